"""How a set may change: probation, cool-down, keeping a place, additions a day. Each look is an hour after the last."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.builders import NOW_MS, an_instrument
from tests.unit.decisions.universe_market import FIVE, HOUR_MS, MINUTE_MS, a_look, a_row, listed, rules

from btcbot.decisions import universe
from btcbot.decisions.universe import MomentumWeights, Selection, UniverseRules
from btcbot.domain.scan import Close, ScanRow
from btcbot.domain.universe import Exclusion, Freeze, Refusal, Standing, UniverseState


class Hours:
    """Looks, one an hour; the state goes on from each to the next, through its text as a database keeps it."""

    def __init__(self, the_rules: UniverseRules) -> None:
        self.rules = the_rules
        self.now_ms = NOW_MS
        self.state = UniverseState()

    def look(self, hours: int = 1, **risen: str) -> Selection:
        """`risen` percent by symbol, or what is wrong with it: see `_row`."""
        self.now_ms += hours * HOUR_MS
        rows = [_row(symbol, how, self.now_ms, hours=24) for symbol, how in risen.items()]
        instruments = listed(*risen)
        asked = universe.to_ask(tuple(risen), instruments, self.state, self.rules, self.now_ms)
        facts = a_look([row for row in rows if row.symbol in asked], self.state, now_ms=self.now_ms)
        facts = msgspec.structs.replace(facts, candidates=tuple(risen), instruments=instruments, asked=asked)
        found = universe.momentum(facts, self.rules, MomentumWeights())
        self.state = msgspec.json.decode(msgspec.json.encode(found.state), type=UniverseState)
        assert self.state == found.state
        return found


def test_a_chosen_symbol_is_never_put_on_probation_by_its_own_selection() -> None:
    """What used to happen: two hours of probation from the moment of being chosen, and so out an hour later."""
    hours = Hours(rules(size=2, probation_ms=2 * HOUR_MS))
    for _ in range(30):
        found = hours.look(ADATRY="5", BNBTRY="4", XRPTRY="3")
        assert found.state.symbols == ("ADATRY", "BNBTRY")
    assert found.excluded == {"XRPTRY": Exclusion.OUTRANKED}


def test_a_newcomer_has_to_pass_at_every_look_of_its_probation() -> None:
    hours = Hours(rules(size=2, probation_ms=2 * HOUR_MS))
    hours.look(ADATRY="5", BNBTRY="4")
    assert hours.look(ADATRY="5", BNBTRY="4", XRPTRY="9").excluded == {"XRPTRY": Exclusion.PROBATION}
    assert hours.look(ADATRY="5", BNBTRY="4", XRPTRY="wide").excluded == {"XRPTRY": Exclusion.SPREAD}
    for _ in range(2):
        assert hours.look(ADATRY="5", BNBTRY="4", XRPTRY="9").excluded == {"XRPTRY": Exclusion.PROBATION}
    found = hours.look(ADATRY="5", BNBTRY="4", XRPTRY="9")
    assert found.state.symbols == ("XRPTRY", "ADATRY")
    assert (found.added, found.removed) == (("XRPTRY",), ("BNBTRY",))


def test_the_first_choice_knows_no_probation() -> None:
    assert Hours(rules(probation_ms=2 * HOUR_MS)).look(ADATRY="1").state.symbols == ("ADATRY",)


def test_who_left_does_not_come_back_before_its_cool_down_is_over() -> None:
    hours = Hours(rules(size=1, cooldown_ms=2 * HOUR_MS))
    hours.look(ADATRY="5", BNBTRY="4")
    assert hours.look(ADATRY="wide", BNBTRY="4").state.symbols == ("BNBTRY",)
    found = hours.look(ADATRY="9", BNBTRY="4")
    assert found.excluded == {"ADATRY": Exclusion.COOLDOWN}
    assert hours.look(ADATRY="9", BNBTRY="4").state.symbols == ("ADATRY",)


def test_after_its_cool_down_a_symbol_is_on_probation_again() -> None:
    hours = Hours(rules(size=1, cooldown_ms=HOUR_MS, probation_ms=HOUR_MS))
    hours.look(ADATRY="5", BNBTRY="4")
    hours.look(ADATRY="wide", BNBTRY="4")
    assert hours.look(ADATRY="9", BNBTRY="4").excluded["ADATRY"] is Exclusion.PROBATION
    assert hours.look(ADATRY="9", BNBTRY="4").state.symbols == ("ADATRY",)


def test_a_symbol_that_fails_a_filter_leaves_at_once_whatever_was_changed_that_day() -> None:
    hours = Hours(rules(size=2, additions_per_day_max=1))
    hours.look(ADATRY="5", BNBTRY="4", DOGETRY="1")
    hours.look(ADATRY="5", BNBTRY="4", DOGETRY="9")
    found = hours.look(ADATRY="wide", BNBTRY="4", DOGETRY="9")
    assert found.state.symbols == ("DOGETRY",)
    assert found.removed == ("ADATRY",)
    assert found.excluded == {"ADATRY": Exclusion.SPREAD, "BNBTRY": Exclusion.CHURN}, "and nobody takes its place"


def test_symbols_are_added_only_so_often_a_day() -> None:
    hours = Hours(rules(size=1, cooldown_ms=0, additions_per_day_max=2))
    hours.look(ADATRY="1", BNBTRY="0")  # the first choice takes nobody's place
    assert hours.look(ADATRY="1", BNBTRY="5").state.symbols == ("BNBTRY",)
    assert hours.look(ADATRY="9", BNBTRY="5").state.symbols == ("ADATRY",)
    found = hours.look(ADATRY="1", BNBTRY="5")
    assert found.state.symbols == ("ADATRY",), "a third change within a day is one too many"
    assert found.excluded == {"BNBTRY": Exclusion.CHURN}
    assert hours.look(22, ADATRY="1", BNBTRY="5").state.symbols == ("BNBTRY",), "a day after the first of them"


def test_additions_never_keep_an_empty_set_empty() -> None:
    hours = Hours(rules(size=1, cooldown_ms=0, additions_per_day_max=1))
    hours.look(ADATRY="1", BNBTRY="0")
    hours.look(ADATRY="1", BNBTRY="5")
    assert hours.look(ADATRY="wide", BNBTRY="wide").state.symbols == ()
    assert hours.look(ADATRY="1", BNBTRY="wide").state.symbols == ("ADATRY",)


def test_a_symbol_keeps_its_place_until_it_has_fallen_some_ranks_behind() -> None:
    hours = Hours(rules(size=1, keep_ranks=1))
    hours.look(ADATRY="5", BNBTRY="4", XRPTRY="3")
    assert hours.look(ADATRY="5", BNBTRY="9", XRPTRY="3").state.symbols == ("ADATRY",)
    assert hours.look(ADATRY="5", BNBTRY="9", XRPTRY="8").state.symbols == ("BNBTRY",)


def test_with_fewer_places_the_worst_leave() -> None:
    hours = Hours(rules(size=3))
    hours.look(ADATRY="5", BNBTRY="4", XRPTRY="3")
    hours.rules = rules(size=1)
    found = hours.look(ADATRY="5", BNBTRY="4", XRPTRY="3")
    assert found.state.symbols == ("ADATRY",)
    assert found.removed == ("BNBTRY", "XRPTRY")


class TestWhatMayNotWait:
    STATE = UniverseState(refreshed_at_ms=NOW_MS - HOUR_MS, symbols=("ADATRY", "BNBTRY", "XRPTRY"))

    def leave(
        self, state: UniverseState = STATE, known: tuple[str, ...] = FIVE, the_rules: UniverseRules | None = None
    ) -> tuple[UniverseState, Mapping[str, Exclusion]]:
        instruments = {**listed(*FIVE), "BNBTRY": an_instrument("BNBTRY", is_trading=False)}
        return universe.without_barred(state, frozenset(known), instruments, the_rules or rules(), NOW_MS)

    def test_a_pair_that_is_not_traded_any_more_leaves_between_two_looks(self) -> None:
        state, out = self.leave()
        assert out == {"BNBTRY": Exclusion.NOT_TRADING}
        assert state.symbols == ("ADATRY", "XRPTRY")
        assert state.standings == {"BNBTRY": Standing(cooldown_until_ms=NOW_MS + HOUR_MS)}
        assert state.refreshed_at_ms == self.STATE.refreshed_at_ms, "that was no look"

    def test_what_the_settings_do_not_hold_any_more_leaves_too(self) -> None:
        _, out = self.leave(known=("BNBTRY", "XRPTRY"), the_rules=rules(excludes=frozenset({"XRPTRY"})))
        assert out == {
            "ADATRY": Exclusion.NOT_A_CANDIDATE,
            "BNBTRY": Exclusion.NOT_TRADING,
            "XRPTRY": Exclusion.EXCLUDED,
        }

    def test_a_pair_that_the_venue_keeps_refusing_leaves_and_an_old_refusal_is_forgotten(self) -> None:
        refused = [Refusal("ADATRY", NOW_MS - age_ms) for age_ms in (1, 2, 4 * HOUR_MS - 1)]
        refused += [Refusal("XRPTRY", NOW_MS - age_ms) for age_ms in (1, 2, 4 * HOUR_MS)]
        _, out = self.leave(msgspec.structs.replace(self.STATE, refusals=tuple(refused)))
        assert out == {"ADATRY": Exclusion.REFUSALS, "BNBTRY": Exclusion.NOT_TRADING}

    def test_who_stands_in_leaves_for_the_same_reasons(self) -> None:
        state, out = self.leave(UniverseState(fallback=("BNBTRY", "ADATRY")))
        assert state.active == ("ADATRY",)
        assert set(out) == {"BNBTRY"}

    def test_nothing_to_leave_changes_nothing(self) -> None:
        state, out = self.leave(UniverseState(symbols=("ADATRY",)))
        assert state == UniverseState(symbols=("ADATRY",))
        assert not out


class TestALookThatFailed:
    """Who leaves the set is sold, and somebody else is bought: not because an answer was empty."""

    @pytest.mark.parametrize("how", ["no past", "old past"])
    def test_charts_that_show_nothing_never_sell_the_set(self, how: str) -> None:
        hours = Hours(rules(size=2))
        hours.look(ADATRY="5", BNBTRY="4", XRPTRY="3", DOGETRY="2")
        for _ in range(30):
            found = hours.look(ADATRY=how, BNBTRY=how, XRPTRY=how, DOGETRY=how)
            assert found.freeze is Freeze.STALE_DATA
            assert found.state.active == ("ADATRY", "BNBTRY")
        found = hours.look(ADATRY="5", BNBTRY="4", XRPTRY="9", DOGETRY="2")
        assert found.state.symbols == ("XRPTRY", "ADATRY"), "and the next good look chooses as ever"

    def test_one_symbol_of_the_set_whose_chart_is_empty_keeps_its_place(self) -> None:
        hours = Hours(rules(size=2))
        hours.look(ADATRY="5", BNBTRY="4", XRPTRY="3")
        for _ in range(5):
            found = hours.look(ADATRY="no past", BNBTRY="4", XRPTRY="9")
            assert (found.freeze, set(found.state.symbols)) == (None, {"ADATRY", "XRPTRY"})
            assert "ADATRY" not in found.excluded

    def test_new_listings_without_a_past_are_no_sign_of_charts_that_fail(self) -> None:
        hours = Hours(rules(size=1))
        hours.look(ADATRY="5")
        found = hours.look(ADATRY="5", BNBTRY="no past", XRPTRY="no past", DOGETRY="no past", AVAXTRY="9")
        assert found.freeze is None
        assert found.state.symbols == ("AVAXTRY",)
        assert found.excluded["BNBTRY"] is Exclusion.HISTORY

    def test_a_first_choice_without_charts_chooses_nobody(self) -> None:
        hours = Hours(rules(size=2))
        found = hours.look(ADATRY="no past", BNBTRY="no past")
        assert (found.freeze, found.state.symbols) == (None, ())

    @pytest.mark.parametrize(("how", "why"), [("no book", Exclusion.NO_BOOK), ("old book", Exclusion.STALE_BOOK)])
    def test_one_look_without_a_book_sells_nobody_and_a_pair_that_stands_still_makes_room(
        self, how: str, why: Exclusion
    ) -> None:
        hours = Hours(rules(size=2))
        for _ in range(5):
            assert set(hours.look(ADATRY="5", BNBTRY="4", XRPTRY="3").state.symbols) == {"ADATRY", "BNBTRY"}
            found = hours.look(ADATRY=how, BNBTRY="4", XRPTRY="3")
            assert (set(found.state.symbols), found.removed) == ({"ADATRY", "BNBTRY"}, ())
        found = hours.look(ADATRY=how, BNBTRY="4", XRPTRY="3")
        assert found.state.symbols == ("BNBTRY", "XRPTRY")
        assert (found.removed, found.excluded) == (("ADATRY",), {"ADATRY": why})


#: What one look shows that is the look's own fault, at first.
BLIND = ("gone", "no past", "old past", "no book", "old book")
HOW = st.sampled_from([*BLIND, "wide", "thin", "-4", "0", "1", "3", "7"])


@given(
    looks=st.lists(st.fixed_dictionaries(dict.fromkeys(FIVE, HOW)), min_size=1, max_size=12),
    size=st.integers(1, 4),
    keep_ranks=st.integers(0, 2),
    additions=st.integers(1, 3),
    probation_hours=st.integers(0, 3),
    cooldown_hours=st.integers(0, 3),
)
def test_whatever_the_market_does_a_set_keeps_its_rules(
    looks: list[dict[str, str]],
    size: int,
    keep_ranks: int,
    additions: int,
    probation_hours: int,
    cooldown_hours: int,
) -> None:
    the_rules = rules(
        lookback_ms=HOUR_MS,
        size=size,
        keep_ranks=keep_ranks,
        additions_per_day_max=additions,
        probation_ms=probation_hours * HOUR_MS,
        cooldown_ms=cooldown_hours * HOUR_MS,
    )
    state, now_ms = UniverseState(), NOW_MS
    left_at_ms: dict[str, int] = {}
    seen_well: dict[str, bool] = {}
    for look in looks:
        now_ms += HOUR_MS
        rows = [_row(symbol, how, now_ms) for symbol, how in look.items() if how != "gone"]
        asked = universe.to_ask(FIVE, listed(*FIVE), state, the_rules, now_ms)
        facts = a_look([row for row in rows if row.symbol in asked], state, now_ms=now_ms, candidates=FIVE, asked=asked)
        found = universe.momentum(facts, the_rules, MomentumWeights())
        assert found == universe.momentum(facts, the_rules, MomentumWeights()), "the same facts, the same choice"
        if found.freeze is not None:
            assert found.freeze is Freeze.STALE_DATA
            assert found.state.symbols == state.symbols
            state = found.state
            continue
        after = found.state
        for symbol in state.symbols[:size]:
            if look[symbol] in BLIND and seen_well.get(symbol):
                assert symbol in after.symbols, "one look that failed is no reason to sell"
        seen_well = {symbol: how not in BLIND for symbol, how in look.items()}
        assert len(after.symbols) <= size
        assert len(set(after.symbols)) == len(after.symbols)
        assert set(after.symbols) | set(found.excluded) == set(FIVE), "each is in, or has a reason"
        assert not set(after.symbols) & set(found.excluded)
        assert set(found.added) == set(after.symbols) - set(state.symbols)
        assert set(found.removed) == set(state.symbols) - set(after.symbols)
        for symbol in after.symbols:
            if symbol in found.scores:
                assert look[symbol] not in (*BLIND, "wide", "thin")
            else:
                assert symbol in state.symbols and look[symbol] in BLIND
        for symbol in found.added:
            assert now_ms - left_at_ms.get(symbol, 0) >= cooldown_hours * HOUR_MS
            if state.refreshed_at_ms:
                since_ms = state.standings.get(symbol, Standing()).passing_since_ms or now_ms
                assert now_ms - since_ms >= probation_hours * HOUR_MS
        assert sum(at_ms > now_ms - 24 * HOUR_MS for at_ms in after.additions_ms) <= additions + (not state.symbols)
        left_at_ms |= dict.fromkeys(found.removed, now_ms)
        state = after


def _row(symbol: str, how: str, now_ms: int, hours: int = 1) -> ScanRow:
    """A pair that has risen by so many percent, or one that no rule lets through, or a look that failed."""
    good = a_row(symbol, now_ms=now_ms, hours=hours)
    match how:
        case "wide":
            return a_row(symbol, spread_bps="900", now_ms=now_ms, hours=hours)
        case "thin":
            return a_row(symbol, depth="10", now_ms=now_ms, hours=hours)
        case "no book":
            return replace(good, quote=None)
        case "old book":
            assert good.quote is not None
            return replace(good, quote=replace(good.quote, venue_time_ms=now_ms - 20_001))
        case "no past":
            return replace(good, closes=())
        case "old past":
            return replace(good, closes=(Close(now_ms - 90 * 24 * HOUR_MS, Decimal(100)),))
        case _:
            return a_row(symbol, risen=how, now_ms=now_ms, hours=hours)


def test_the_tolerance_of_the_look_back_is_told_in_minutes_of_the_rules() -> None:
    """An hour's look-back with five minutes of tolerance finds the close of an hour ago among those of a day."""
    row = a_row("ADATRY", risen="5")
    found = universe.momentum(
        a_look([row]),
        rules(lookback_ms=HOUR_MS, lookback_tolerance_ms=5 * MINUTE_MS),
        MomentumWeights(spread=Decimal(0), depth=Decimal(0)),
    )
    assert found.scores == {"ADATRY": 0}
    assert row.closes[0].price == Decimal(100)
