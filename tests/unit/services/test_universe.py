"""The universe over many cycles: when it looks, how a look is spread, what it keeps, and what outlives a restart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from tests.builders import NOW_MS, a_report, an_instrument, an_order
from tests.unit.decisions.universe_market import FIVE, HOUR_MS, MINUTE_MS, a_row, listed, rules

from btcbot.adapters.metrics import MemoryMetrics
from btcbot.adapters.store import SqliteStore
from btcbot.decisions import universe as decisions
from btcbot.decisions.freshness import MarketView
from btcbot.decisions.universe import MomentumWeights, ScoreWeights, UniverseRules
from btcbot.domain import money
from btcbot.domain.account import AccountSnapshot
from btcbot.domain.cycles import CycleOutcome
from btcbot.domain.instrument import Instrument
from btcbot.domain.market import Quote
from btcbot.domain.notes import NoteKind
from btcbot.domain.orders import OrderStatus
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.scan import ScanRow
from btcbot.domain.stance import Stance, TradingMode
from btcbot.domain.tuning import Tuning
from btcbot.domain.universe import Exclusion, Freeze, Watched
from btcbot.errors import VenueUnavailable
from btcbot.ports import VenueHealth
from btcbot.services.accounting import PnL
from btcbot.services.execution import ExecutionSummary
from btcbot.services.universe import UNIVERSE_STATE, ConfiguredUniverse, SelectingUniverse, UniverseNote
from btcbot.services.watching import CycleEnd, CycleFacts
from btcbot.testing.in_process_rig import ListLog

CYCLE_MS = 10_000
RISING = {"ADATRY": "5", "AVAXTRY": "4", "BNBTRY": "3", "DOGETRY": "2", "XRPTRY": "1"}


class Scanner:
    """A market whose pairs have risen by so many percent; shows at most `reach` of those it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.risen = dict(RISING)
        self.reach = 100
        self.is_down = False
        #: Added to what a symbol's row shows.
        self.rows: dict[str, dict[str, Any]] = {}

    def scan(self, symbols: Sequence[str], now_ms: int) -> Mapping[str, ScanRow]:
        self.asked.append(tuple(symbols))
        if self.is_down:
            raise VenueUnavailable("no route to the venue")
        return {
            symbol: replace(a_row(symbol, risen=self.risen[symbol], now_ms=now_ms), **self.rows.get(symbol, {}))
            for symbol in symbols[: self.reach]
        }


class Days:
    """A universe, cycle by cycle, over a real database."""

    def __init__(self, folder: Path, the_rules: UniverseRules | None = None, **options: Any) -> None:
        self.store = SqliteStore.open(folder / "universe.db")
        self.scanner = Scanner()
        self.metrics, self.log = MemoryMetrics(), ListLog()
        self.now_ms = NOW_MS
        self.number = 0
        self.instruments: Mapping[str, Instrument] = listed(*FIVE)
        self.held: tuple[str, ...] = ()
        self.options: dict[str, Any] = {
            "candidates": FIVE,
            "configured": ("ADATRY", "BNBTRY"),
            "refresh_ms": HOUR_MS,
            "requests_per_cycle": 100,
            **options,
        }
        self.rules = the_rules or rules(size=2)
        self.start()

    def start(self, the_rules: UniverseRules | None = None, **options: Any) -> None:
        """A new process on the same database."""
        self.rules = the_rules or self.rules
        self.options |= options
        self.universe = SelectingUniverse(
            partial(decisions.momentum, weights=MomentumWeights()),
            self.rules,
            scanner=self.scanner,
            store=self.store,
            metrics=self.metrics,
            log=self.log,
            **self.options,
        )

    def cycle(self, **ends: Any) -> Watched:
        self.number += 1
        watched = self.universe.select(self.now_ms, self.instruments, self.held)
        self.end(**ends)
        self.now_ms += CYCLE_MS
        return watched

    def cycles(self, minutes: int) -> Watched:
        """A cycle each ten seconds."""
        for _ in range(minutes * MINUTE_MS // CYCLE_MS):
            watched = self.cycle()
        return watched

    def end(
        self,
        *,
        reasons: tuple[str, ...] = (),
        stance: Stance | None = None,
        refused: int = 0,
        closed: tuple[str, ...] = (),
        woken: int = 0,
    ) -> None:
        report = a_report(
            self.number,
            cycle_id=self.cycle_id,
            profile="stage4-run",
            outcome=CycleOutcome.OBSERVE_ONLY if reasons else CycleOutcome.COMPLETED,
            reasons=reasons,
            started_at_ms=self.now_ms,
            ended_at_ms=self.now_ms + 50,
            counts={"woken_by_feed": woken},
        )
        end = CycleEnd(
            report=report,
            seconds=0.05,
            summary=ExecutionSummary(refused=refused),
            stance=stance or Stance(),
            facts=self._facts(closed),
        )
        with self.store.transaction() as tx:
            self.universe.cycle_ended(end, tx)

    @property
    def cycle_id(self) -> str:
        return f"c{self.number:08d}"

    def _facts(self, closed: tuple[str, ...]) -> CycleFacts:
        watched = self.universe.current()
        return CycleFacts(
            cycle_id=self.cycle_id,
            number=self.number,
            now_ms=self.now_ms,
            local_ms=self.now_ms,
            account=AccountSnapshot(balances={}, asked_at_ms=0, received_at_ms=0),
            instruments=self.instruments,
            view=MarketView(quotes={}, unusable={}),
            pnl=PnL(day="2026-09-23", realized=money.ZERO, unrealized=money.ZERO, daily=money.ZERO, equity=None),
            positions={},
            open_orders=(),
            venue_open=(),
            health=VenueHealth(endpoints_closed=closed),
            universe=watched,
        )

    def refuse(self, symbol: str, reason: str = "FAILED_MIN_TOTAL_AMOUNT") -> None:
        """In this cycle the venue refused an order of this symbol."""
        self.number += 1
        order = an_order(
            self.number,
            symbol=symbol,
            status=OrderStatus.REFUSED_PROVISIONAL,
            cycle_id=self.cycle_id,
            reason=f"{reason}: what the venue said",
            updated_at_ms=self.now_ms,
        )
        with self.store.transaction() as tx:
            tx.insert_order(order)
        self.number -= 1
        self.cycle(refused=1)

    @property
    def notes(self) -> list[UniverseNote]:
        return [msgspec.json.decode(note.body, type=UniverseNote) for note in self.store.notes(NoteKind.UNIVERSE)]


@pytest.fixture
def days(tmp_path: Path) -> Iterator[Days]:
    made = Days(tmp_path)
    yield made
    made.store.close()


class TestConfigured:
    def test_it_is_the_symbols_of_the_settings_always_whatever_is_held(self) -> None:
        universe = ConfiguredUniverse(["BTCTRY", "ADATRY"])
        both = ("BTCTRY", "ADATRY")
        assert universe.select(NOW_MS, {}, ["XRPTRY"]) == Watched(active=both, watched=both)
        assert universe.current() == Watched(active=both, watched=both)

    def test_what_else_is_held_is_quoted_for_its_worth_where_the_venue_trades_it(self) -> None:
        universe = ConfiguredUniverse(["BTCTRY"], marks_others=True)
        listed = {
            "BTCTRY": an_instrument("BTCTRY"),
            "DOGETRY": an_instrument("DOGETRY"),
            "XRPTRY": an_instrument("XRPTRY", is_trading=False),
        }
        held = ["XRPTRY", "BTCTRY", "DOGETRY", "ADATRY"]
        watched = universe.select(NOW_MS, listed, held)
        assert watched == Watched(active=("BTCTRY",), watched=("BTCTRY", "DOGETRY"), only_marked=("DOGETRY",))
        assert watched.winding_down == frozenset(), "nobody is asked to sell it"
        assert universe.select(NOW_MS, listed, held) is watched is universe.current()
        assert universe.select(NOW_MS, listed, ["BTCTRY"]) == Watched(active=("BTCTRY",), watched=("BTCTRY",))


class TestWhenItLooks:
    def test_the_first_cycle_looks_and_chooses(self, days: Days) -> None:
        assert days.cycle().active == ("ADATRY", "AVAXTRY")
        assert days.scanner.asked == [FIVE]

    def test_the_refresh_interval_elapses_although_cycles_are_frequent(self, days: Days) -> None:
        """What used to happen: each cycle stamped the choice with «now», so that an hour was never over."""
        days.cycles(59)
        days.scanner.risen |= {"XRPTRY": "9"}
        assert len(days.scanner.asked) == 1
        assert days.cycles(2).active == ("XRPTRY", "ADATRY")
        assert len(days.scanner.asked) == 2
        days.cycles(180)
        assert len(days.scanner.asked) == 5

    def test_between_two_looks_nothing_is_asked_read_or_written(self, days: Days) -> None:
        days.cycles(1)

        class Untouchable:
            def __getattr__(self, name: str) -> Any:
                raise AssertionError(f"the store was asked for {name}")

        days.universe._store = Untouchable()  # type: ignore[assignment]
        asked, notes, before = len(days.scanner.asked), days.notes, days.store.value(UNIVERSE_STATE)
        first = days.cycle()
        assert all(days.cycle() is first for _ in range(300)), "not even a new answer is made"
        assert (len(days.scanner.asked), days.notes, days.store.value(UNIVERSE_STATE)) == (asked, notes, before)

    def test_a_clock_set_back_by_hours_does_not_put_the_next_look_off(self, days: Days) -> None:
        days.cycle()
        days.now_ms -= CYCLE_MS + 500
        days.cycle()
        assert len(days.scanner.asked) == 1, "half a second back is nothing"
        days.now_ms -= 5 * HOUR_MS
        days.cycle()
        assert len(days.scanner.asked) == 2


class TestSpreadLooks:
    def test_a_look_takes_as_many_cycles_as_it_needs_and_each_symbol_is_asked_for_once(self, days: Days) -> None:
        days.start(requests_per_cycle=2)
        for _ in range(2):
            assert days.cycle().active == ("ADATRY", "BNBTRY"), "until then the configured symbols stand in"
        assert days.cycle().active == ("ADATRY", "AVAXTRY")
        assert days.scanner.asked == [FIVE[:2], FIVE[2:4], FIVE[4:]]

    def test_who_was_not_reached_is_asked_for_again(self, days: Days) -> None:
        days.scanner.reach = 2
        days.cycles(1)
        assert days.scanner.asked == [FIVE, FIVE[2:], FIVE[4:]]
        assert days.universe.current().active == ("ADATRY", "AVAXTRY")

    def test_a_look_that_never_ends_decides_on_what_it_has_seen(self, days: Days) -> None:
        days.cycle()
        days.scanner.asked.clear()
        days.now_ms += HOUR_MS
        days.scanner.reach = 3
        days.cycle()
        days.scanner.reach = 0
        days.cycles(11)
        note = days.notes[-1]
        assert (note.frozen, list(note.scores)) == (None, ["ADATRY", "AVAXTRY", "BNBTRY"])
        assert note.excluded["XRPTRY"] is Exclusion.NOT_SCANNED

    def test_what_was_seen_long_ago_is_no_ground_for_a_choice(self, days: Days) -> None:
        """Four of five were seen; then the bot stood still for half an hour."""
        days.scanner.reach = 4
        days.cycle()
        days.scanner.is_down = True
        days.now_ms += 30 * MINUTE_MS
        days.cycle()
        assert days.notes[-1].frozen is Freeze.STALE_DATA

    def test_a_venue_that_does_not_answer_leaves_the_last_choice_and_is_asked_again_later(self, days: Days) -> None:
        chosen = days.cycle()
        days.now_ms += HOUR_MS
        days.scanner.is_down = True
        days.scanner.asked.clear()
        days.cycles(1)
        assert days.universe.current() == chosen
        assert len(days.scanner.asked) == 2, "each half minute, not each cycle"
        days.scanner.is_down = False
        days.scanner.risen |= {"XRPTRY": "9"}
        assert days.cycles(1).active == ("XRPTRY", "ADATRY")
        assert days.log.events("universe_look_failed")[0]["reason"] == "no route to the venue"


class TestHeld:
    def test_a_held_symbol_that_is_deselected_stays_watched_and_may_only_be_sold(self, days: Days) -> None:
        days.held = ("AVAXTRY", "SOLTRY")
        watched = days.cycle()
        assert watched.active == ("ADATRY", "AVAXTRY")
        assert watched.watched == ("ADATRY", "AVAXTRY", "SOLTRY")
        days.now_ms += HOUR_MS
        days.scanner.risen |= {"XRPTRY": "9"}
        watched = days.cycle()
        assert watched.active == ("XRPTRY", "ADATRY")
        assert watched.watched == ("XRPTRY", "ADATRY", "AVAXTRY", "SOLTRY")
        assert watched.winding_down == {"AVAXTRY", "SOLTRY"}
        assert days.universe.current() == watched
        days.held = ()
        assert days.cycle().watched == ("XRPTRY", "ADATRY")


class TestRestart:
    def test_a_choice_outlives_a_restart_and_so_does_its_time(self, days: Days) -> None:
        chosen = days.cycles(30)
        days.start()
        assert days.universe.current() == chosen, "before anything was asked"
        days.cycles(29)
        assert len(days.scanner.asked) == 1
        days.cycles(2)
        assert len(days.scanner.asked) == 2

    def test_a_cycle_that_died_before_its_end_has_chosen_nothing(self, days: Days) -> None:
        days.universe.select(days.now_ms, days.instruments, ())
        days.start()
        assert days.store.value(UNIVERSE_STATE) is None
        days.cycle()
        assert len(days.scanner.asked) == 2

    def test_what_the_settings_no_longer_hold_is_gone_with_the_restart(self, days: Days) -> None:
        days.cycle()
        days.start(rules(size=2, excludes=frozenset({"ADATRY"})))
        assert days.cycle().active == ("AVAXTRY", "BNBTRY"), "and the look for another one comes at once"
        assert days.notes[1].excluded == {"ADATRY": Exclusion.EXCLUDED}

    def test_an_unreadable_memory_is_told_and_the_next_look_chooses_anew(self, days: Days) -> None:
        days.cycle()
        with days.store.transaction() as tx:
            tx.put_value(UNIVERSE_STATE, '{"symbols":"all"}')
        days.start()
        assert len(days.log.events("universe_state_unreadable")) == 1
        assert days.cycle().active == ("ADATRY", "AVAXTRY")


class TestNotes:
    def test_each_choice_is_noted_with_scores_and_reasons_in_the_unit_of_its_cycle(self, days: Days) -> None:
        days.scanner.rows["DOGETRY"] = {"quote": None}
        days.cycles(1)
        (note,) = days.notes
        assert note.symbols == note.added == ("ADATRY", "AVAXTRY")
        assert list(note.scores) == ["ADATRY", "AVAXTRY", "BNBTRY", "XRPTRY"]
        assert note.excluded == {
            "BNBTRY": Exclusion.OUTRANKED,
            "DOGETRY": Exclusion.NO_BOOK,
            "XRPTRY": Exclusion.OUTRANKED,
        }
        (row,) = days.store.notes(NoteKind.UNIVERSE)
        assert (row.cycle_id, row.at_ms) == ("c00000001", NOW_MS + 50)
        assert days.metrics.value("btcbot_universe_symbols") == 2
        assert days.metrics.value("btcbot_universe_looks_total", result="chosen") == 1

    def test_an_empty_selection_keeps_its_documented_fallback(self, days: Days) -> None:
        days.scanner.rows = {symbol: {"closes": ()} for symbol in FIVE}
        assert days.cycle().active == ("ADATRY", "BNBTRY"), "the configured symbols"
        assert days.notes[-1].is_fallback
        assert set(days.notes[-1].excluded.values()) == {Exclusion.HISTORY}
        days.start(rules(size=2, has_fallback=False))
        days.now_ms += HOUR_MS
        assert days.cycle().active == ()
        days.cycles(30)
        assert len(days.scanner.asked) == 2, "an empty set is no reason to look in every cycle"


def shallow(symbol: str) -> Quote | None:
    """A book with a tight spread and hardly anything in it; never stale here."""
    quote = a_row(symbol, depth="100").quote
    return None if quote is None else replace(quote, venue_time_ms=NOW_MS + 10 * HOUR_MS)


class TestWhoStandsInSellsNobody:
    """ADATRY and BNBTRY stand in; what else is held is no worse than they are, for all that anybody knows."""

    def test_what_is_held_is_not_sold_because_no_look_chose_anybody(self, days: Days) -> None:
        """The first look found all too shallow, the first two of the list stood in, and SOL and XRP were to be sold."""
        days.held = ("XRPTRY", "ADATRY")
        days.scanner.rows = {symbol: {"quote": shallow(symbol)} for symbol in FIVE}
        watched = days.cycle()
        assert set(days.notes[-1].excluded.values()) == {Exclusion.DEPTH}
        assert (watched.active, watched.watched) == (("ADATRY", "BNBTRY"), ("ADATRY", "BNBTRY", "XRPTRY"))
        assert (watched.only_marked, watched.winding_down) == (("XRPTRY",), frozenset())

    def test_nor_before_the_first_look_is_over(self, days: Days) -> None:
        days.held = ("XRPTRY",)
        days.scanner.is_down = True
        assert days.cycle().winding_down == frozenset()

    def test_nor_where_nobody_stands_in(self, days: Days) -> None:
        days.start(rules(size=2, has_fallback=False))
        days.held = ("XRPTRY",)
        days.scanner.rows = {symbol: {"closes": ()} for symbol in FIVE}
        watched = days.cycle()
        assert (watched.active, watched.only_marked, watched.winding_down) == ((), ("XRPTRY",), frozenset())

    def test_a_choice_ends_it(self, days: Days) -> None:
        days.held = ("XRPTRY",)
        days.scanner.is_down = True
        assert days.cycle().only_marked == ("XRPTRY",)
        days.scanner.is_down = False
        days.cycles(1)
        watched = days.cycle()
        assert watched.active == ("ADATRY", "AVAXTRY")
        assert (watched.only_marked, watched.winding_down) == ((), frozenset({"XRPTRY"}))

    def test_who_left_a_set_is_sold_whoever_stands_in(self, days: Days) -> None:
        days.held = ("AVAXTRY",)
        assert days.cycle().active == ("ADATRY", "AVAXTRY")
        days.scanner.rows = {symbol: {"quote": shallow(symbol)} for symbol in FIVE}
        days.now_ms += HOUR_MS
        watched = days.cycle()
        assert watched.active == ("ADATRY", "BNBTRY")
        assert watched.winding_down == {"AVAXTRY"}

    def test_so_is_what_the_settings_leave_out(self, days: Days) -> None:
        days.held = ("XRPTRY", "DOGETRY")
        days.scanner.is_down = True
        days.start(rules(size=2, excludes=frozenset({"XRPTRY"})))
        watched = days.cycle()
        assert (watched.only_marked, watched.winding_down) == (("DOGETRY",), frozenset({"XRPTRY"}))


class TestFreeze:
    @pytest.mark.parametrize(
        ("trouble", "why"),
        [
            ({"reasons": (f"{ReasonCode.VENUE_UNAVAILABLE.value}: it does not answer",)}, Freeze.EXCHANGE_DEGRADED),
            ({"closed": ("order_book",)}, Freeze.EXCHANGE_DEGRADED),
            ({"stance": Stance(mode=TradingMode.OBSERVE_ONLY)}, Freeze.OBSERVE_ONLY),
            ({"reasons": (f"{ReasonCode.BALANCE_UNEXPLAINED.value}: TRY",)}, Freeze.OBSERVE_ONLY),
        ],
    )
    def test_the_set_stays_while_the_venue_is_in_trouble_or_the_bot_observes(
        self, days: Days, trouble: dict[str, Any], why: Freeze
    ) -> None:
        chosen = days.cycle()
        days.scanner.risen |= {"XRPTRY": "9"}
        days.cycle(**trouble)
        days.now_ms += HOUR_MS
        for _ in range(100):
            assert days.cycle(**trouble) == chosen
        assert len(days.scanner.asked) == 1
        assert [note.frozen for note in days.notes] == [None, why], "told once"
        days.cycle()
        assert days.cycle().active == ("XRPTRY", "ADATRY"), "the first cycle after it looks"

    def test_a_stance_that_only_reduces_risk_freezes_nothing(self, days: Days) -> None:
        days.cycle(stance=Stance(mode=TradingMode.REDUCE_RISK_ONLY))
        days.now_ms += HOUR_MS
        days.cycle(reasons=(ReasonCode.DRY_RUN.value,))
        assert len(days.scanner.asked) == 2

    def test_a_set_without_usable_quotes_may_be_exchanged_for_another(self, days: Days) -> None:
        """Were that a freeze, a set whose pairs all stand still would be kept for ever."""
        days.cycle()
        stale = (f"{ReasonCode.STALE_QUOTE.value}: no symbol has a usable quote",)
        days.cycle(reasons=stale)
        days.now_ms += HOUR_MS
        days.scanner.rows = {symbol: {"quote": None} for symbol in ("ADATRY", "AVAXTRY")}
        assert days.cycle(reasons=stale).active == ("ADATRY", "AVAXTRY"), "it may have been the look"
        days.now_ms += HOUR_MS
        assert days.cycle(reasons=stale).active == ("BNBTRY", "DOGETRY")

    def test_a_cycle_that_the_feed_woke_says_nothing_about_the_venue(self, days: Days) -> None:
        days.cycle(reasons=(f"{ReasonCode.VENUE_UNAVAILABLE.value}: it does not answer",))
        days.end(woken=1)
        days.now_ms += HOUR_MS
        days.cycle()
        assert len(days.scanner.asked) == 1

    def test_stale_data_keep_the_set_and_are_looked_at_again_within_minutes(self, days: Days) -> None:
        chosen = days.cycle()
        days.now_ms += HOUR_MS
        days.scanner.rows = {symbol: {"quote": None} for symbol in FIVE[:3]}
        days.scanner.risen |= {"XRPTRY": "9"}
        days.cycles(6)
        assert days.universe.current() == chosen
        assert len(days.scanner.asked) == 3
        assert [note.frozen for note in days.notes] == [None, Freeze.STALE_DATA]
        days.scanner.rows = {}
        days.cycles(5)
        assert days.universe.current().active == ("XRPTRY", "ADATRY")


class TestLeavingAtOnce:
    def test_a_symbol_whose_orders_the_venue_keeps_refusing_leaves_before_the_next_look_is_due(
        self, days: Days
    ) -> None:
        days.cycle()
        for _ in range(3):
            assert "ADATRY" in days.universe.current().active
            days.refuse("ADATRY")
        assert days.cycle().active == ("AVAXTRY", "BNBTRY"), "another one was found at once"
        assert days.notes[1].removed == ("ADATRY",)
        assert days.notes[1].excluded == {"ADATRY": Exclusion.REFUSALS}
        days.now_ms += HOUR_MS
        days.cycle()
        assert days.notes[-1].excluded["ADATRY"] is Exclusion.REFUSALS
        days.now_ms += 4 * HOUR_MS
        days.start(rules(size=3))
        assert "ADATRY" in days.cycle().active, "after four hours without it is forgotten"

    def test_refusals_that_are_of_the_account_are_not_held_against_the_symbol(self, days: Days) -> None:
        days.cycle()
        for reason in ("BALANCE_NOT_ENOUGH", "RATE", "UNAUTHORIZED") * 2:
            days.refuse("ADATRY", reason)
        assert days.cycle().active == ("ADATRY", "AVAXTRY")

    def test_refusals_outlive_a_restart(self, days: Days) -> None:
        days.cycle()
        for _ in range(2):
            days.refuse("ADATRY")
        days.start()
        days.refuse("ADATRY")
        assert "ADATRY" not in days.cycle().active

    def test_a_pair_that_is_not_traded_any_more_leaves_even_while_the_set_is_frozen(self, days: Days) -> None:
        observing = Stance(mode=TradingMode.OBSERVE_ONLY)
        days.cycle(stance=observing)
        days.instruments = {**days.instruments, "AVAXTRY": an_instrument("AVAXTRY", is_trading=False)}
        assert days.cycle(stance=observing).active == ("ADATRY",)
        assert days.cycle().active == ("ADATRY",)
        assert days.cycle().active == ("ADATRY", "BNBTRY")

    def test_who_stands_in_before_the_first_look_may_have_to_wait_out_its_refusals(self, days: Days) -> None:
        days.start(configured=("ADATRY",))
        days.scanner.is_down = True
        for _ in range(3):
            days.refuse("ADATRY")
        assert days.cycle().active == ()
        days.now_ms += 4 * HOUR_MS
        assert days.cycle().active == ("ADATRY",)

    def test_rules_that_were_read_anew_and_say_the_same_change_nothing(self, days: Days) -> None:
        first = days.cycle()
        days.instruments = listed(*FIVE)
        assert days.cycle() is first


def test_tuned_parameters_are_in_force_from_the_next_look_on(tmp_path: Path) -> None:
    tuning: list[Tuning | None] = [None]
    days = Days(tmp_path, rules(size=4), tuning=lambda: tuning[0])
    assert len(days.cycle().active) == 4
    tuning[0] = Tuning(
        version=1,
        universe_size=1,
        order_offset_bps=Decimal(5),
        turnover_per_cycle_max=Decimal(1000),
        orders_per_cycle_max=2,
        spread_bps_max=Decimal(60),
        quote_volume_min=Decimal(0),
        cash_target=Decimal(300),
    )
    assert len(days.cycle().active) == 4
    days.now_ms += HOUR_MS
    assert days.cycle().active == ("ADATRY",)
    days.store.close()


def test_the_other_selection_needs_nothing_else(tmp_path: Path) -> None:
    days = Days(tmp_path, rules(size=2, lookback_ms=None))
    days.universe._select = partial(decisions.scored, weights=ScoreWeights())
    days.scanner.rows = {"XRPTRY": {"quote_volume_24h": Decimal(9_000_000)}}
    assert "XRPTRY" in days.cycle().active
    days.store.close()
