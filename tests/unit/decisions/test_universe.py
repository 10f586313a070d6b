"""Which symbols are worth choosing: filters and scores, by example."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace
from tests.builders import NOW_MS, an_instrument
from tests.unit.decisions.universe_market import FIVE, HOUR_MS, MINUTE_MS, a_look, a_row, listed, rules

from btcbot.decisions import universe
from btcbot.decisions.universe import MomentumWeights, ScoreWeights, Selection, UniverseFacts, UniverseRules
from btcbot.domain.scan import Close, ScanRow, TickerRow
from btcbot.domain.tuning import Tuning
from btcbot.domain.universe import Exclusion, Freeze, Refusal, Standing, UniverseState


def by_momentum(facts: UniverseFacts, the_rules: UniverseRules | None = None, **weights: int) -> Selection:
    given = {name: Decimal(weight) for name, weight in weights.items()}
    return universe.momentum(facts, the_rules or rules(), MomentumWeights(**given))


def by_score(facts: UniverseFacts, the_rules: UniverseRules | None = None) -> Selection:
    return universe.scored(facts, the_rules or rules(lookback_ms=None, depth_min=Decimal(0)), ScoreWeights())


class TestMomentum:
    def test_the_pairs_that_rose_most_in_books_alike_are_chosen(self) -> None:
        risen = {"ADATRY": "1", "AVAXTRY": "-3", "BNBTRY": "7", "DOGETRY": "4", "XRPTRY": "0"}
        found = by_momentum(a_look([a_row(symbol, risen=percent) for symbol, percent in risen.items()]))
        assert found.state.symbols == ("BNBTRY", "DOGETRY", "ADATRY")
        assert found.excluded == {"AVAXTRY": Exclusion.OUTRANKED, "XRPTRY": Exclusion.OUTRANKED}
        assert found.added == found.state.symbols

    def test_the_score_is_percent_less_spread_plus_depth_less_refusals(self) -> None:
        state = UniverseState(refreshed_at_ms=1, symbols=("ADATRY",), refusals=(Refusal("ADATRY", NOW_MS - 1),))
        found = by_momentum(a_look([a_row("ADATRY", risen="5", spread_bps="20", depth="60000")], state))
        # 5 % up; 20 bps of spread; ln(60,001); one refusal.
        assert found.scores["ADATRY"] == Decimal("5") - Decimal("0.2") + Decimal("1.100212") - Decimal("0.05")

    def test_depth_is_read_from_the_order_book_and_not_from_a_ticker_without_sizes(self) -> None:
        """What always chose nothing: quantities of zero, as a list of all pairs has them, taken for a book."""
        row = a_row("ADATRY")
        assert row.quote is not None
        sizeless = replace(row, quote=replace(row.quote, bid_quantity=Decimal(0), ask_quantity=Decimal(0)))
        assert by_momentum(a_look([row])).state.symbols == ("ADATRY",)
        found = by_momentum(a_look([sizeless]))
        assert found.excluded == {"ADATRY": Exclusion.NO_DEPTH}
        assert found.state.symbols == ()

    def test_the_look_back_is_as_long_as_the_rules_say(self) -> None:
        """Up since yesterday, down since an hour ago."""
        row = replace(
            a_row("ADATRY"),
            closes=(Close(NOW_MS - 24 * HOUR_MS, Decimal(80)), Close(NOW_MS - HOUR_MS, Decimal(125))),
        )
        day = by_momentum(a_look([row]), rules(lookback_ms=24 * HOUR_MS), spread=0, depth=0)
        hour = by_momentum(a_look([row]), rules(lookback_ms=HOUR_MS), spread=0, depth=0)
        assert day.scores["ADATRY"] == 25
        assert hour.scores["ADATRY"] == -20

    @pytest.mark.parametrize(("minutes_off", "is_known"), [(0, True), (30, True), (-30, True), (31, False)])
    def test_a_price_of_then_may_lie_off_by_the_tolerance_and_no_more(self, minutes_off: int, is_known: bool) -> None:
        then_ms = NOW_MS - 24 * HOUR_MS + minutes_off * MINUTE_MS
        row = replace(a_row("ADATRY"), closes=(Close(then_ms, Decimal(90)), Close(NOW_MS, Decimal(100))))
        found = by_momentum(a_look([row]))
        assert (found.state.symbols == ("ADATRY",)) is is_known
        assert found.excluded == ({} if is_known else {"ADATRY": Exclusion.HISTORY})


class TestFilters:
    @pytest.mark.parametrize(
        ("row", "why"),
        [
            (replace(a_row("ADATRY"), quote=None), Exclusion.NO_BOOK),
            (replace(a_row("ADATRY"), at_ms=NOW_MS + 20_001), Exclusion.STALE_BOOK),
            (a_row("ADATRY", spread_bps="61"), Exclusion.SPREAD),
            (a_row("ADATRY", depth="49999"), Exclusion.DEPTH),
            (a_row("ADATRY", volume="999"), Exclusion.VOLUME),
            (a_row("ADATRY", volume=None), Exclusion.VOLUME),
            (a_row("ADATRY", hours=20), Exclusion.HISTORY),
        ],
    )
    def test_each_filter_says_which_it_is(self, row: ScanRow, why: Exclusion) -> None:
        good = [a_row(symbol) for symbol in ("BNBTRY", "XRPTRY")]
        found = by_momentum(a_look([row, *good]), rules(quote_volume_min=Decimal(1000)))
        assert found.excluded == {"ADATRY": why}
        assert found.state.symbols == ("BNBTRY", "XRPTRY")

    @pytest.mark.parametrize(
        "row",
        [
            a_row("ADATRY", spread_bps="60"),
            a_row("ADATRY", depth="50000"),
            a_row("ADATRY", volume="1000"),
            replace(a_row("ADATRY"), at_ms=NOW_MS + 20_000),
        ],
    )
    def test_what_just_meets_a_limit_passes(self, row: ScanRow) -> None:
        assert by_momentum(a_look([row]), rules(quote_volume_min=Decimal(1000))).state.symbols == ("ADATRY",)

    def test_a_crossed_book_is_no_book(self) -> None:
        row = a_row("ADATRY")
        assert row.quote is not None
        crossed = replace(row, quote=replace(row.quote, bid=row.quote.ask, ask=row.quote.bid))
        found = by_momentum(a_look([crossed, a_row("BNBTRY"), a_row("XRPTRY")]))
        assert found.excluded == {"ADATRY": Exclusion.NO_BOOK}

    def test_who_is_out_beforehand_is_not_even_asked_for(self) -> None:
        instruments = {
            **listed("ADATRY", "USDTTRY", "BNBTRY", "XRPTRY", "DOGETRY"),
            "BTCUSDT": an_instrument("BTCUSDT", base="BTC", quote="USDT"),
            "AVAXTRY": an_instrument("AVAXTRY", is_trading=False),
            "SOLTRY": an_instrument("SOLTRY", takes_limit_orders=False),
        }
        candidates = (*instruments, "GONETRY")
        state = UniverseState(
            refreshed_at_ms=1,
            standings={"BNBTRY": Standing(cooldown_until_ms=NOW_MS + 1), "XRPTRY": Standing(cooldown_until_ms=NOW_MS)},
            refusals=tuple(Refusal("DOGETRY", NOW_MS - at) for at in (1, 2, 3)),
        )
        the_rules = rules(excludes=frozenset({"ADATRY"}))
        assert universe.to_ask(candidates, instruments, state, the_rules, NOW_MS) == ("XRPTRY",)
        found = by_momentum(
            a_look([a_row("XRPTRY")], state, candidates=candidates, instruments=instruments, asked=("XRPTRY",)),
            the_rules,
        )
        assert found.excluded == {
            "ADATRY": Exclusion.EXCLUDED,
            "USDTTRY": Exclusion.STABLE,
            "BNBTRY": Exclusion.COOLDOWN,
            "DOGETRY": Exclusion.REFUSALS,
            "BTCUSDT": Exclusion.WRONG_QUOTE,
            "AVAXTRY": Exclusion.NOT_TRADING,
            "SOLTRY": Exclusion.NOT_TRADING,
            "GONETRY": Exclusion.NOT_LISTED,
        }

    def test_a_stable_coin_may_be_wanted(self) -> None:
        found = by_momentum(a_look([a_row("USDTTRY")]), rules(excludes_stables=False))
        assert found.state.symbols == ("USDTTRY",)

    def test_those_of_the_set_are_asked_for_first_and_then_the_others_in_their_order(self) -> None:
        state = UniverseState(refreshed_at_ms=1, symbols=("XRPTRY", "BNBTRY"))
        the_rules = rules(scan_symbols_max=3)
        asked = universe.to_ask(FIVE, listed(*FIVE), state, the_rules, NOW_MS)
        assert asked == ("XRPTRY", "BNBTRY", "ADATRY")
        found = by_momentum(a_look([a_row(s) for s in asked], state, candidates=FIVE, asked=asked), the_rules)
        assert found.excluded == {"AVAXTRY": Exclusion.SCAN_BUDGET, "DOGETRY": Exclusion.SCAN_BUDGET}


class TestScored:
    def test_liquid_narrow_and_calm_pairs_are_chosen(self) -> None:
        rows = [
            a_row("ADATRY", volume="9000000", spread_bps="5", swing="0.1"),  # the best of all three
            a_row("AVAXTRY", volume="9000000", spread_bps="50", swing="0.1"),
            a_row("BNBTRY", volume="1000000", spread_bps="5", swing="0.1"),
            a_row("DOGETRY", volume="1000000", spread_bps="50", swing="2"),  # the worst of all three
        ]
        found = by_score(a_look(rows))
        assert found.scores["ADATRY"] == Decimal("1.0")
        assert found.scores["AVAXTRY"] == Decimal("0.7")
        assert found.scores["BNBTRY"] == Decimal("0.5")
        assert found.scores["DOGETRY"] == Decimal("0.0")
        assert found.state.symbols == ("ADATRY", "AVAXTRY", "BNBTRY")

    def test_what_is_not_known_counts_as_worse_than_the_worst(self) -> None:
        rows = [
            a_row("ADATRY", volume=None, swing="0.1"),
            a_row("BNBTRY", volume="1", swing="0.2"),
            replace(a_row("XRPTRY", volume="2"), closes=()),
        ]
        found = by_score(a_look(rows))
        assert found.scores["ADATRY"] == Decimal("0.0")
        assert found.scores["BNBTRY"] == Decimal("0.3")
        assert found.scores["XRPTRY"] == Decimal("0.6")

    def test_a_single_pair_is_the_best_of_all(self) -> None:
        assert by_score(a_look([a_row("ADATRY", swing="1")])).scores == {"ADATRY": Decimal("1.0")}

    def test_volatility_looks_back_over_its_bars_alone(self) -> None:
        """A wild day that ended twenty bars ago is forgotten."""
        calm, wild = a_row("ADATRY"), a_row("BNBTRY", swing="3")
        ended = replace(wild, symbol="XRPTRY", closes=(*wild.closes[:-21], *calm.closes[-21:]))
        found = by_score(a_look([calm, wild, ended]))
        assert found.scores["ADATRY"] == found.scores["XRPTRY"] > found.scores["BNBTRY"]

    def test_a_price_that_rises_evenly_is_calm(self) -> None:
        """Volatility is how returns differ from each other, and no trend."""
        flat, wild, rising = a_row("ADATRY"), a_row("BNBTRY", swing="1"), a_row("XRPTRY")
        doubling = tuple(Close(NOW_MS - (20 - at) * 1000, Decimal(2) ** at) for at in range(21))
        found = by_score(a_look([flat, wild, replace(rising, closes=doubling)]))
        assert found.scores["XRPTRY"] == found.scores["ADATRY"] > found.scores["BNBTRY"]

    def test_tuned_parameters_take_the_place_of_the_rules(self) -> None:
        tuning = Tuning(
            version=3,
            universe_size=1,
            order_offset_bps=Decimal(5),
            turnover_per_cycle_max=Decimal(1000),
            orders_per_cycle_max=2,
            spread_bps_max=Decimal(8),
            quote_volume_min=Decimal(500),
            cash_target=Decimal(300),
        )
        rows = [
            a_row("ADATRY", spread_bps="9", volume="999"),
            a_row("BNBTRY", spread_bps="7", volume="499"),
            a_row("DOGETRY", spread_bps="8", volume="500"),
            a_row("XRPTRY", spread_bps="5", volume="900"),
        ]
        loose = rules(lookback_ms=None)
        assert universe.tuned(loose, None) is loose
        found = by_score(a_look(rows), universe.tuned(loose, tuning))
        assert found.state.symbols == ("XRPTRY",)
        assert found.excluded == {
            "ADATRY": Exclusion.SPREAD,
            "BNBTRY": Exclusion.VOLUME,
            "DOGETRY": Exclusion.OUTRANKED,
        }


class TestBadData:
    def test_no_number_that_a_venue_may_send_is_too_absurd_for_a_score(self) -> None:
        """As long as the wire lets it through: 24 digits before the point, 24 behind it."""
        row, tiny, huge = a_row("ADATRY"), Decimal("1E-24"), Decimal(10) ** 24 - Decimal("1E-24")
        assert row.quote is not None
        absurd = replace(
            row,
            quote=replace(row.quote, bid=huge, ask=huge + tiny, bid_quantity=huge, ask_quantity=tiny),
            quote_volume_24h=huge * Decimal("1E24"),
            closes=tuple(Close(close.at_ms, tiny if at % 2 else huge) for at, close in enumerate(row.closes)),
        )
        swapped = replace(absurd, symbol="BNBTRY", closes=tuple(c._replace(price=tiny) for c in absurd.closes))
        for select in (by_momentum, by_score):
            assert len(select(a_look([absurd, swapped, a_row("XRPTRY")])).state.symbols) == 3

    def test_with_most_books_stale_or_missing_the_set_stays(self) -> None:
        state = UniverseState(refreshed_at_ms=NOW_MS - HOUR_MS, symbols=("ADATRY", "XRPTRY"))
        rows = [a_row(symbol, now_ms=NOW_MS) for symbol in FIVE]
        stale = [replace(row, at_ms=NOW_MS + 60_000) if row.symbol != "BNBTRY" else row for row in rows[:4]]
        for facts in (a_look([*stale, rows[4]], state), a_look(rows[:2], state, candidates=FIVE)):
            found = by_momentum(facts)
            assert found.freeze is Freeze.STALE_DATA
            assert found.state == state
            assert found.added == found.removed == ()

    def test_with_half_of_them_there_is_a_choice(self) -> None:
        rows = [a_row(symbol) for symbol in FIVE[:2]]
        found = by_momentum(a_look(rows, candidates=FIVE[:4]))
        assert found.freeze is None
        assert found.state.symbols == ("ADATRY", "AVAXTRY")

    def test_a_pair_of_the_set_that_nobody_came_to_look_at_keeps_its_place(self) -> None:
        state = UniverseState(refreshed_at_ms=1, symbols=("XRPTRY", "ADATRY"))
        rows = [a_row(symbol, risen="9") for symbol in FIVE if symbol != "XRPTRY"]
        found = by_momentum(a_look(rows, state, candidates=FIVE))
        assert found.state.symbols == ("ADATRY", "AVAXTRY", "XRPTRY")
        assert "XRPTRY" not in found.excluded


class TestFallback:
    def test_an_empty_selection_keeps_its_documented_fallback(self) -> None:
        """The first of the configured symbols stand in, as many as there are places; not those that are out anyway."""
        candidates = ("USDTTRY", *FIVE)
        rows = [a_row(symbol, spread_bps="900") for symbol in FIVE]
        found = by_momentum(a_look(rows, candidates=candidates))
        assert found.state.symbols == ()
        assert found.state.fallback == found.state.active == ("ADATRY", "AVAXTRY", "BNBTRY")
        assert found.added == ()

    def test_without_a_fallback_nothing_may_be_bought(self) -> None:
        found = by_momentum(a_look([a_row("ADATRY", spread_bps="900")]), rules(has_fallback=False))
        assert found.state.active == ()

    def test_a_pair_that_the_venue_keeps_refusing_does_not_stand_in(self) -> None:
        state = UniverseState(refusals=tuple(Refusal("ADATRY", NOW_MS - at) for at in (1, 2, 3)))
        found = by_momentum(a_look([a_row("AVAXTRY", depth="1")], state, candidates=("ADATRY", "AVAXTRY")))
        assert found.state.active == ("AVAXTRY",)

    def test_bad_data_before_the_first_choice_lets_the_fallback_stand_in(self) -> None:
        found = by_momentum(a_look([], candidates=("ADATRY",)))
        assert found.freeze is Freeze.STALE_DATA
        assert found.state.active == ("ADATRY",)
        assert found.state.refreshed_at_ms == 0, "it was no choice"


def a_ticker(symbol: str, volume: str | None) -> TickerRow:
    return TickerRow(
        symbol=symbol,
        bid=Decimal(1),
        ask=Decimal(2),
        last=Decimal(1),
        quote_volume_24h=None if volume is None else Decimal(volume),
        venue_time_ms=NOW_MS,
    )


def test_listed_candidates_are_the_most_traded_and_not_the_first_of_the_alphabet() -> None:
    volumes = {"AAATRY": "5", "ADATRY": "70", "BTCTRY": "900", "USDTTRY": "9999", "XRPTRY": "80", "ZZZTRY": "70"}
    rows = {symbol: a_ticker(symbol, volume) for symbol, volume in volumes.items()}
    rows |= {symbol: a_ticker(symbol, volume) for symbol, volume in (("NONETRY", None), ("STILLTRY", "0"))}
    instruments = listed(*rows)
    the_rules = rules(scan_symbols_max=4)
    assert universe.listed_candidates(instruments, rows, the_rules) == ("BTCTRY", "XRPTRY", "ADATRY", "ZZZTRY")
    assert universe.listed_candidates(listed("AAATRY"), rows, the_rules) == ("AAATRY",)
