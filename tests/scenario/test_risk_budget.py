"""The bot with its risk budget: what it writes down, what stops it, and what survives a crash."""

from __future__ import annotations

import itertools
from decimal import Decimal
from functools import partial
from typing import Final, TypeVar

import msgspec
import pytest
from tests.scenario.overseen import WIDE
from tests.scenario.test_replay import Steady
from tests.scenario.test_stage4 import leave

from btcbot import bootstrap
from btcbot.bootstrap.replay import replay
from btcbot.decisions import results as folding
from btcbot.decisions.refusals import Refusals
from btcbot.decisions.results import Results
from btcbot.domain import money
from btcbot.domain.cycles import CycleOutcome
from btcbot.domain.notes import NoteKind
from btcbot.domain.orders import OrderStatus
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.stance import Stance, TradingMode
from btcbot.errors import Refused, StoreFailed
from btcbot.profiles import RUN, STAGE4
from btcbot.services import budget_record, capital, snapshots, values
from btcbot.services.capital import CapitalKeeper, CapitalNote
from btcbot.services.refusals import REFUSAL_BARS
from btcbot.services.risk_budget import RiskBudgetOverseer
from btcbot.services.snapshots import RESULTS, Snapshot
from btcbot.services.watching import CycleFacts

T = TypeVar("T")

BUY = ("buy", "0.0009", "1000500")
SELL = ("sell", "0.0009", "999500")
BUY_ETH = ("buy", "0.0005", "1000500", "ETHTRY")
EMPTY_BOOK = {
    "data": {"timestamp": 1, "bids": [], "asks": []},
    "success": True,
    "message": None,
    "code": "SUCCESS",
}


@pytest.fixture
def make_watched(make_rig):
    """A rig under `stage4-run`; one cycle has run."""

    def make(**options):
        wide = {**WIDE, "TTL_SECONDS": "3600", "NOTIONAL_CAP_TRY_PER_CYCLE": "2000"}
        rig = make_rig(**{"profile": STAGE4, **wide, **options})
        rig.cycle()
        return rig

    return make


def overseer_of(rig, kind: type[T]) -> T:
    """The part of this kind in the bot that runs now."""
    return next(one for one in rig.bot.services.overseers if isinstance(one, kind))


@pytest.fixture
def watched(make_watched):
    return make_watched()


def snaps(rig) -> list[Snapshot]:
    return list(snapshots.read(rig.store))


def capital_notes(rig) -> list[CapitalNote]:
    return [msgspec.json.decode(note.body, type=CapitalNote) for note in rig.store.notes(NoteKind.CAPITAL)]


def state(rig) -> Results:
    return msgspec.json.decode(rig.store.value(RESULTS), type=Results)


def counted(rig) -> list[str]:
    """The client order ids of the refusals that count."""
    kept = msgspec.json.decode(rig.store.value(REFUSAL_BARS), type=Refusals)
    return [one.client_order_id for one in kept.counted]


def trade(rig, *wish: str):
    """Wish, have it filled, and book the fill."""
    rig.wish(*wish)
    rig.cycle(2)


class TestSnapshots:
    def test_each_cycle_leaves_one(self, watched):
        watched.cycle(3)
        assert len(snaps(watched)) == watched.store.cycle_count() == 4
        first = snaps(watched)[0]
        assert (first.equity, first.realized, first.unrealized, first.drawdown) == (10_000, 0, 0, 0)

    def test_a_round_trip_is_told_to_the_last_digit(self, watched):
        trade(watched, *BUY)
        trade(watched, *SELL)
        last, position = snaps(watched)[-1], watched.position()
        assert (last.fees, last.taxes) == (position.fees_paid, position.taxes_paid)
        assert last.fees_today == last.fees > 0
        assert last.realized == position.realized_pnl < 0
        assert last.turnover_today == last.turnover == Decimal("0.0009") * (1_000_500 + 999_500)
        assert last.equity == 10_000 + last.realized
        assert last.drawdown == last.peak - last.realized
        assert (last.round_trips, last.loss_streak) == (1, 1)

    def test_slippage_is_measured_once_and_only_once(self, watched):
        trade(watched, *BUY)
        watched.cycle(3)
        told = [one.slippage for one in snaps(watched)]
        assert [one for one in told if one] == [Decimal("0.0009") * 500], "the half spread, in the cycle that booked it"
        last = snaps(watched)[-1]
        assert last.slippage_total == Decimal("0.45")
        assert last.equity == 10_000 + last.realized + last.unrealized, "and it is not taken off the profit again"

    def test_money_is_written_plainly(self, watched):
        trade(watched, *BUY)
        body = watched.store.notes(NoteKind.SNAPSHOT)[-1].body
        assert '"turnover":"900.45"' in body
        assert "E-" not in body

    def test_deposits_and_withdrawals_are_no_drawdown(self, watched):
        trade(watched, *BUY)
        before = snaps(watched)[-1]
        watched.venue.withdraw("TRY", "5000")
        watched.cycle(3)
        watched.venue.deposit("TRY", "700")
        watched.cycle(3)
        after = snaps(watched)[-1]
        assert after.equity == before.equity - 4_300
        assert (after.drawdown, after.peak, after.drawdown_pct) == (before.drawdown, before.peak, before.drawdown_pct)

    def test_adopting_what_is_already_a_loss_is_no_drawdown(self, make_watched):
        rig = make_watched(balances={"TRY": "10000", "BTC": "0.01"})
        assert rig.ask("adopt", symbol="BTCTRY", quantity="0.01", cost="12000").done
        rig.cycle()
        assert snaps(rig)[-1].unrealized == Decimal("-2005")
        assert snaps(rig)[-1].drawdown == 0

    @pytest.mark.parametrize("dies", [False, True])
    def test_coins_that_a_human_hands_over_or_takes_back_are_no_swing_of_the_results(self, make_watched, dies):
        """What used to happen: 3,000 TRY of cost handed over as 4,000 TRY of worth, and buys at a quarter for hours."""
        rig = make_watched(balances={"TRY": "10000", "BTC": "0.01"})
        trade(rig, *BUY)
        rig.cycle(6)
        assert rig.ask("adopt", symbol="BTCTRY", quantity="0.004", cost="3000").done
        rig.cycle(3)
        assert snaps(rig)[-1].peak_moved == Decimal("998")
        if dies:
            rig.restart()
        assert rig.cycle(3).reasons == ()
        assert rig.ask("release", symbol="BTCTRY", quantity="0.003", reason="mine").done
        assert rig.cycle(3).reasons == ()
        rig.venue.price("BTCTRY", "400000")
        assert any(why.startswith(ReasonCode.BUDGET_VOLATILITY.value) for why in rig.cycle().reasons), "a fall is one"

    def test_the_peak_survives_a_restart(self, watched):
        trade(watched, *BUY)
        watched.venue.price("BTCTRY", "1200000")
        watched.cycle()
        peak = snaps(watched)[-1].peak
        assert peak > 170
        watched.restart()
        watched.venue.price("BTCTRY", "1100000")
        watched.cycle()
        assert (snaps(watched)[-1].peak, snaps(watched)[-1].drawdown) == (peak, Decimal("89.955"))

    def test_drawdown_is_read_from_notes_that_every_cycle_writes(self, watched):
        """The notes that limits and alerts read are the ones that every cycle writes."""
        trade(watched, *BUY)
        watched.venue.price("BTCTRY", "900000")
        watched.cycle()
        assert snaps(watched)[-1].drawdown > 90

    @pytest.mark.parametrize("commit", [1, 2, 3])
    def test_a_crash_at_any_commit_folds_each_fill_once(self, watched, commit):
        watched.wish(*BUY)
        watched.cycle()
        commits = itertools.count(1)
        watched.points.crash_when(lambda point: point == "before commit" and next(commits) == commit)
        watched.crashing_cycle()
        watched.start()
        watched.cycle(2)
        position, kept = watched.position(), state(watched)
        assert (kept.fees, kept.fills_counted) == (position.fees_paid, watched.store.fill_count())
        assert sum(one.fills for one in snaps(watched)) == watched.store.fill_count() > 0
        assert sum(one.slippage for one in snaps(watched)) == kept.slippage == Decimal("0.45")

    def test_a_cycle_reads_no_old_fills(self, watched, monkeypatch):
        """What a cycle costs does not grow with what was traded before it."""
        trade(watched, *BUY)
        asked: list[int] = []
        store = type(watched.store)
        fills_after = store.fills_after
        monkeypatch.setattr(store, "fills_after", lambda self, count: asked.append(count) or fills_after(self, count))
        monkeypatch.setattr(store, "fills", lambda *a, **k: pytest.fail("all fills were read"))
        watched.cycle(3)
        assert asked == []
        trade(watched, *SELL)
        assert set(asked) == {1}


class TestBudget:
    def test_a_day_that_lost_too_much_stops_everything(self, make_watched):
        rig = make_watched(RISK_MAX_DAILY_DRAWDOWN_TRY="20", MAX_DAILY_LOSS_TRY="400")
        trade(rig, *BUY)
        rig.venue.price("BTCTRY", "950000")
        rig.wish(*SELL)
        report = rig.cycle()
        assert report.outcome is CycleOutcome.OBSERVE_ONLY
        assert any(reason.startswith(ReasonCode.BUDGET_DAILY_LOSS.value) for reason in report.reasons)
        rig.restart()
        assert rig.cycle().outcome is CycleOutcome.OBSERVE_ONLY, "a restart does not forget it"

    def fall(self, make_watched):
        """No day lost much, and all of them together too much: bought at 1,000,500, worth 880,000 four days later."""
        rig = make_watched(RISK_MAX_DRAWDOWN_TRY="100")
        trade(rig, *BUY)
        for price in ("960000", "920000"):
            rig.wait(86_400)
            rig.venue.price("BTCTRY", price)
            report = rig.cycle()
            assert (report.outcome, report.reasons) == (CycleOutcome.COMPLETED, ())
        rig.wait(86_400)
        rig.venue.price("BTCTRY", "880000")
        return rig

    def test_after_a_fall_over_days_what_is_held_can_be_sold_and_then_nothing_is_ordered(self, make_watched):
        rig = self.fall(make_watched)
        rig.wish(*BUY)
        report = rig.cycle()
        assert snaps(rig)[-1].daily > -50
        assert report.reasons[0].startswith(f"{ReasonCode.BUDGET_DRAWDOWN.value}: 11")
        assert rig.verdicts() == [ReasonCode.REDUCE_ONLY.value]
        trade(rig, "sell", "0.0009", "870000")
        assert rig.position().quantity == 0
        rig.restart()
        assert rig.cycle().outcome is CycleOutcome.OBSERVE_ONLY, "a restart does not forget it"

    def test_a_drawdown_names_its_way_out_and_the_way_leads_out(self, make_watched):
        """What used to happen: the peak never fell, nothing was sold, and no command was of any use."""
        rig = self.fall(make_watched)
        assert rig.cycle().reasons[0].endswith("«btcbot budget reset --reason …»")
        assert rig.ask("degrade_clear", reason="it does not lift a budget").done
        rig.wish(*BUY)
        rig.cycle()
        assert rig.verdicts() == [ReasonCode.REDUCE_ONLY.value]
        before = snaps(rig)[-1]
        assert rig.ask("budget_reset", reason="looked at it").done
        rig.restart()
        rig.wish("buy", "0.0009", "880500")
        report = rig.cycle()
        assert (report.reasons, rig.verdicts()) == ((), ["allowed"])
        after = snaps(rig)[-1]
        assert (after.peak, after.drawdown, after.drawdown_pct) == (before.realized + before.unrealized, 0, 0)
        assert after.realized + after.unrealized == before.realized + before.unrealized < -100, "the loss stays told"
        ((_, note),) = budget_record.read_resets(rig.store, 10)
        assert (note.what, note.reason) == ("reset", "looked at it")
        assert (note.peak_before, note.peak_after, note.drawdown) == (before.peak, after.peak, before.drawdown)
        rig.venue.price("BTCTRY", "700000")
        rig.wait(86_400)
        rig.cycle(2)
        assert any(why.startswith(ReasonCode.BUDGET_DRAWDOWN.value) for why in rig.cycle().reasons), "and it counts on"

    def test_losses_before_the_first_overseen_cycle_are_no_drawdown_of_these(self, make_rig):
        """A book that lost under `run` could never trade under `stage4-run`, nor sell what it held."""
        rig = make_rig(profile=RUN, RISK_MAX_DRAWDOWN_TRY="5", **WIDE)
        rig.cycle()
        for _ in range(3):
            trade(rig, *BUY)
            trade(rig, *SELL)
        lost = -rig.position().realized_pnl
        assert lost > 15
        rig.profile = STAGE4
        rig.restart()
        rig.wish(*BUY)
        assert rig.cycle().outcome is CycleOutcome.COMPLETED
        assert "allowed" in rig.verdicts()
        assert (snaps(rig)[0].peak, snaps(rig)[0].drawdown) == (-lost, 0)
        rig.cycle()
        rig.venue.price("BTCTRY", "980000")
        rig.cycle()
        assert snaps(rig)[-1].drawdown > 5, "what they lose themselves is"
        rig.close()

    def test_a_reset_after_coins_were_handed_over_leaves_no_drawdown(self, make_watched):
        """Handed over at half their worth, and not counted by any cycle yet: their gain is in the profit, once."""
        rig = make_watched(balances={"TRY": "10000", "BTC": "0.01"})
        trade(rig, *BUY)
        assert rig.ask("adopt", symbol="BTCTRY", quantity="0.01", cost="5000").done
        assert rig.ask("budget_reset", reason="all anew").done
        rig.cycle()
        assert (snaps(rig)[-1].drawdown, snaps(rig)[-1].drawdown_pct) == (0, 0)
        assert snaps(rig)[-1].peak == snaps(rig)[-1].realized + snaps(rig)[-1].unrealized

    def test_a_reset_is_refused_where_there_is_nothing_to_measure_from(self, make_rig):
        rig = make_rig(profile=RUN)
        rig.cycle()
        answer = rig.ask("budget_reset", reason="x")
        assert (answer.done, "has measured a result yet" in answer.text) == (False, True)
        assert rig.store.note_count(NoteKind.BUDGET) == 0
        rig.close()

    def test_a_reset_is_refused_while_a_held_symbol_has_no_price(self, make_watched):
        rig = make_watched()
        trade(rig, *BUY)
        with rig.store.transaction() as tx:
            tx.put_value(values.MARKS, "{}")
        before = rig.store.value(RESULTS)
        answer = rig.ask("budget_reset", reason="x")
        assert (answer.done, answer.text.startswith("BTCTRY has never shown a price")) == (False, True)
        assert rig.store.value(RESULTS) == before

    def test_a_disk_that_breaks_leaves_neither_the_peak_nor_the_note(self, make_watched):
        rig = self.fall(make_watched)
        rig.cycle()
        before = rig.store.value(RESULTS)
        rig.disk_breaks = lambda statement: statement == "insert_note"
        with pytest.raises(StoreFailed):
            rig.ask("budget_reset", reason="x")
        rig.mend_disk()
        rig.disk_breaks = lambda statement: False
        assert (rig.store.value(RESULTS), rig.store.note_count(NoteKind.BUDGET)) == (before, 0)

    def test_a_position_that_is_too_large_stops_buys_of_its_symbol_alone(self, make_watched):
        rig = make_watched(symbols=("BTCTRY", "ETHTRY"), balances={"TRY": "2000"}, RISK_MAX_POSITION_PCT="40")
        trade(rig, *BUY)
        rig.wish("buy", "0.0002", "1000500")
        rig.wish(*BUY_ETH)
        report = rig.cycle()
        assert sorted(rig.verdicts()) == ["allowed", ReasonCode.NO_BUYS.value]
        assert report.reasons[0].startswith("budget:position_share: BTCTRY: it is 45.")
        rig.cycle()
        rig.wish(*SELL)
        rig.cycle(2)
        assert rig.position().quantity == 0
        assert rig.cycle().reasons == ()

    def test_what_is_in_force_is_kept_for_who_asks_and_written_when_it_changes(self, make_watched):
        rig = make_watched(balances={"TRY": "2000"}, RISK_MAX_POSITION_PCT="40")
        rig.cycle(3)
        first = budget_record.read_in_force(rig.store)
        assert (first.cycle_id, first.mode, first.reasons) == ("c00000001", TradingMode.NORMAL, ())
        assert first.limits.position_pct_max == 40
        trade(rig, *BUY)
        then = budget_record.read_in_force(rig.store)
        assert (then.cycle_id, set(then.no_buys)) == (rig.store.cycles(1)[0].cycle_id, {"BTCTRY"})

    def test_too_much_at_risk_lets_sells_through_and_no_buys(self, make_watched):
        rig = make_watched(symbols=("BTCTRY", "ETHTRY"))
        trade(rig, *BUY)
        rig.restart(RISK_MAX_GROSS_EXPOSURE_TRY="500")
        rig.wish(*BUY_ETH)
        rig.wish("sell", "0.0009", "990000")
        rig.cycle()
        assert sorted(rig.verdicts()) == ["allowed", ReasonCode.REDUCE_ONLY.value]
        rig.cycle()
        assert rig.position().quantity == 0

    def test_a_buy_beyond_what_may_be_at_risk_is_not_ordered_and_taken_out_again(self, make_watched):
        """The limit binds before the order; else it would be ordered and cancelled in turns, for ever."""
        rig = make_watched(symbols=("BTCTRY", "ETHTRY"), RISK_MAX_GROSS_EXPOSURE_TRY="500")
        for _ in range(6):
            rig.wish(*BUY)
            rig.cycle()
        assert (rig.store.order_count(), rig.verdicts()[-1]) == (0, ReasonCode.EXPOSURE_CAP.value)

    def test_after_losses_in_a_row_buys_are_smaller(self, make_watched):
        rig = make_watched(RISK_MAX_CONSECUTIVE_LOSSES="2")
        for _ in range(2):
            trade(rig, *BUY)
            trade(rig, *SELL)
        rig.restart()
        rig.wish(*BUY)
        rig.cycle()
        assert rig.order().quantity == Decimal("0.00045")

    def test_a_held_symbol_without_any_price_stops_buying_only(self, make_watched):
        rig = make_watched(symbols=("BTCTRY", "ETHTRY"), balances={"TRY": "10000", "ETH": "1"})
        assert rig.ask("adopt", symbol="ETHTRY", quantity="0.5", cost="400000").done
        with rig.store.transaction() as tx:
            tx.put_value(values.MARKS, "{}")
        rig.restart()
        books = itertools.count(1)

        def no_book_of_eth(point: str) -> None:
            if point == "before GET /api/v2/orderbook" and next(books) == 2:
                rig.venue.answer("/api/v2/orderbook", EMPTY_BOOK)

        rig.points.watch = no_book_of_eth
        rig.wish(*BUY)
        report = rig.cycle()
        assert report.outcome is CycleOutcome.COMPLETED
        assert set(report.quotes) == {"BTCTRY"}
        assert rig.verdicts() == [ReasonCode.REDUCE_ONLY.value]
        assert (snaps(rig)[-1].equity, snaps(rig)[-1].drawdown) == (None, None)


class TestCapital:
    def gain(self, rig) -> Decimal:
        trade(rig, *BUY)
        rig.venue.price("BTCTRY", "1200000")
        trade(rig, "sell", "0.0009", "1199000")
        gained = rig.position().realized_pnl
        assert gained > 100
        return gained

    def test_realised_profit_is_split(self, watched):
        gained = self.gain(watched)
        begun, split = capital_notes(watched)
        assert (begun.capital, begun.treasury) == (10_000, 0)
        assert split.to_capital == money.round_down(gained * Decimal("0.6"), 8)
        assert split.to_capital + split.to_treasury == gained
        assert overseer_of(watched, CapitalKeeper).state().treasury == split.to_treasury
        watched.restart()
        watched.cycle()
        assert len(capital_notes(watched)) == 2

    def test_the_treasury_is_not_invested(self, watched):
        self.gain(watched)
        kept = overseer_of(watched, CapitalKeeper).state().treasury
        facts: list[CycleFacts] = []
        budget = overseer_of(watched, RiskBudgetOverseer)
        look = budget.look
        budget.look = lambda seen: facts.append(seen) or look(seen)
        report = watched.cycle()
        assert overseer_of(watched, CapitalKeeper).look(facts[0]).cash_kept == kept
        assert f"{ReasonCode.TREASURY_KEPT.value}: {money.plain(kept)} TRY of profit are kept" in report.reasons

    def test_it_is_kept_from_the_very_cycle_on_that_books_the_profit(self, watched):
        keeper = overseer_of(watched, CapitalKeeper)
        stances: list[Stance] = []
        look = keeper.look

        def looked(seen: CycleFacts) -> Stance:
            stances.append(look(seen))
            return stances[-1]

        keeper.look = looked
        self.gain(watched)
        told = [stance.cash_kept for stance in stances if stance.reasons]
        assert set(told) == {keeper.state().treasury}

    def test_a_loss_never_stops_the_bot(self, watched):
        self.gain(watched)
        treasury = overseer_of(watched, CapitalKeeper).state().treasury
        trade(watched, "buy", "0.0009", "1201000")
        watched.venue.price("BTCTRY", "1100000")
        report = watched.cycle()
        watched.wish("sell", "0.0009", "1095000")
        report = watched.cycle(2)
        assert report.outcome is CycleOutcome.COMPLETED
        after = overseer_of(watched, CapitalKeeper).state()
        assert capital_notes(watched)[-1].cause == "loss"
        assert after.treasury == treasury
        assert after.capital + after.treasury == 10_000 + watched.position().realized_pnl

    def test_a_crash_at_the_end_of_a_cycle_splits_once(self, watched):
        trade(watched, *BUY)
        watched.venue.price("BTCTRY", "1200000")
        watched.wish("sell", "0.0009", "1199000")
        watched.cycle()
        watched.disk_breaks = lambda statement: statement == "insert_note"
        with pytest.raises(StoreFailed, match="device"):
            watched.cycle()
        watched.crash()
        watched.mend_disk()
        watched.disk_breaks = lambda statement: False
        watched.start()
        watched.cycle(2)
        gained = watched.position().realized_pnl
        assert [note.cause for note in capital_notes(watched)] == ["begin", "profit"]
        kept = overseer_of(watched, CapitalKeeper).state()
        assert kept.capital + kept.treasury == 10_000 + gained

    def test_transfers_reach_the_capital(self, watched):
        watched.venue.deposit("TRY", "500")
        watched.cycle(3)
        assert overseer_of(watched, CapitalKeeper).state().capital == 10_500

    def test_it_can_be_switched_off(self, make_watched):
        rig = make_watched(SELF_FINANCING_ENABLED="false")
        self.gain(rig)
        assert capital_notes(rig) == []
        assert rig.store.value(capital.CAPITAL) is None


class TestRefusals:
    #: The kill chain counts refusals as well; here it waits for more of them.
    PATIENT: Final = {"SETTLE_HORIZON_SECONDS": "1", "KILL_CHAIN_MAX_CONSECUTIVE_ERRORS": "10"}

    def refused_three_times(self, rig, *wish: str) -> None:
        """The venue wants more for an order of BTCTRY than it says."""
        minimum = str(rig.venue.simulator.engine.pairs["BTCTRY"].instrument.min_exchange_value)
        rig.venue.change_minimum("BTCTRY", "5000")
        for _ in range(3):
            rig.wish(*(wish or BUY))
            rig.cycle(4)
        assert rig.statuses()[-3:] == [OrderStatus.REJECTED] * 3
        rig.venue.change_minimum("BTCTRY", minimum)

    def test_what_is_held_can_be_sold_although_its_buys_keep_being_refused(self, make_watched):
        """What used to happen: whatever was refused, the position could not be sold for hours."""
        rig = make_watched(**self.PATIENT)
        trade(rig, *BUY)
        self.refused_three_times(rig)
        rig.wish(*SELL)
        report = rig.cycle()
        assert rig.verdicts() == ["allowed"]
        assert report.reasons[0].startswith("barred:buys_after_refusals: BTCTRY: the venue refused 3 orders")
        rig.cycle()
        assert rig.position().quantity == 0

    def test_a_pair_whose_sells_keep_being_refused_is_left_alone_altogether(self, make_watched):
        rig = make_watched(**self.PATIENT)
        trade(rig, *BUY)
        self.refused_three_times(rig, *SELL)
        rig.restart()
        for wish in (BUY, SELL):
            rig.wish(*wish)
            report = rig.cycle()
            assert rig.verdicts() == [ReasonCode.BARRED.value]
            assert report.reasons[0].startswith("barred:repeated_refusals: BTCTRY: the venue refused 3 sells")

    def test_a_venue_that_asks_for_a_slower_pace_never_bars_the_exit(self, make_watched):
        """What used to happen: three answers of «too many requests», and the position could not be sold for hours."""
        rig = make_watched(DEGRADE_COOLDOWN_SECONDS="1", DEGRADE_QUIET_CYCLES="1", **self.PATIENT)
        trade(rig, *BUY)
        for _ in range(3):
            rig.venue.fault("rate_limited", "POST", "/api/v1/order", retry_after=1)
            rig.wish(*SELL)
            rig.cycle(13)
        assert rig.statuses() == [OrderStatus.FILLED, *[OrderStatus.REJECTED] * 3]
        assert rig.store.value(REFUSAL_BARS) is None
        rig.wish(*SELL)
        assert (rig.cycle().reasons, rig.verdicts()) == ((), ["allowed"])

    def test_a_refusal_counts_although_the_bot_died_in_its_cycle(self, make_watched):
        """Its row tells what the venue said until two lists have confirmed it; the next life notes it in time."""
        rig = make_watched(REJECT_THRESHOLD="1", **self.PATIENT)
        minimum = str(rig.venue.simulator.engine.pairs["BTCTRY"].instrument.min_exchange_value)
        rig.venue.change_minimum("BTCTRY", "5000")
        rig.wish(*BUY)
        rig.disk_breaks = lambda statement: statement == "insert_note"
        with pytest.raises(StoreFailed):
            rig.cycle()
        rig.disk_breaks = lambda statement: False
        rig.mend_disk()
        rig.venue.change_minimum("BTCTRY", minimum)
        rig.restart()
        assert (rig.statuses(), rig.store.value(REFUSAL_BARS)) == ([OrderStatus.REFUSED_PROVISIONAL], None)
        rig.cycle(4)
        assert rig.statuses() == [OrderStatus.REJECTED]
        rig.wish(*BUY)
        rig.cycle()
        assert rig.verdicts() == [ReasonCode.NO_BUYS.value]

    def test_a_refused_order_that_the_venue_shows_after_all_no_longer_counts(self, make_watched):
        rig = make_watched(REJECT_THRESHOLD="2", **self.PATIENT)
        rig.venue.fault("refused_but_placed", "POST", "/api/v1/order", message="FAILED_MIN_TOTAL_AMOUNT")
        rig.wish("buy", "0.0009", "990000")
        rig.cycle()
        assert rig.statuses() == [OrderStatus.REFUSED_PROVISIONAL]
        assert counted(rig) == [rig.order().client_order_id]
        rig.cycle(2)
        assert rig.statuses() == [OrderStatus.CANCELED], "shown, and no longer wished"
        assert counted(rig) == []
        minimum = str(rig.venue.simulator.engine.pairs["BTCTRY"].instrument.min_exchange_value)
        rig.venue.change_minimum("BTCTRY", "5000")
        rig.wish(*BUY)
        rig.cycle(4)
        rig.venue.change_minimum("BTCTRY", minimum)
        assert counted(rig) == [rig.orders()[-1].client_order_id]
        rig.wish(*SELL)
        assert rig.cycle().reasons == ()

    def test_a_symbol_that_the_venue_keeps_refusing_is_left_alone_and_others_are_not(self, make_watched):
        rig = make_watched(symbols=("BTCTRY", "ETHTRY"), **self.PATIENT)
        self.refused_three_times(rig)
        rig.restart()
        rig.wish(*BUY)
        rig.wish(*BUY_ETH)
        rig.cycle()
        assert sorted(rig.verdicts()) == ["allowed", ReasonCode.NO_BUYS.value]

    def test_the_bar_ends_by_itself(self, make_watched):
        rig = make_watched(REJECT_COOLDOWN_MINUTES="90", **self.PATIENT)
        self.refused_three_times(rig)
        rig.wait(80 * 60)
        rig.wish(*BUY)
        rig.cycle()
        assert rig.verdicts() == [ReasonCode.NO_BUYS.value]
        rig.restart()
        rig.wait(11 * 60)
        rig.wish(*BUY)
        rig.cycle()
        assert rig.verdicts() == ["allowed"]


@pytest.mark.parametrize("key", [RESULTS, capital.CAPITAL, REFUSAL_BARS])
def test_a_state_that_cannot_be_read_is_refused_at_the_start(watched, key):
    with watched.store.transaction() as tx:
        tx.put_value(key, '{"capital":"much"')
    watched.crash()
    with pytest.raises(Refused, match=r"cannot be read .*: restore a backup"):
        watched.start()


class TestReplay:
    @pytest.fixture
    def recorded(self, make_watched, monkeypatch):
        """Some cycles with orders, fills and a deposit, recorded; the bot is down."""
        monkeypatch.setattr(bootstrap, "build", partial(bootstrap.build, with_journal=True))
        rig = make_watched(strategy=lambda _: Steady())
        rig.cycle(3)
        rig.venue.deposit("TRY", "500")
        rig.cycle(3)
        assert rig.store.note_count(NoteKind.SNAPSHOT) == 7
        assert len(capital_notes(rig)) == 2
        rig.crash()
        return rig

    def test_the_notes_of_a_recording_come_out_again(self, recorded):
        same = replay(recorded.database, lambda _: Steady())
        assert (same.difference, same.cycles) == (None, 7)

    def test_a_reset_that_was_asked_for_comes_out_again(self, recorded):
        recorded.start()
        recorded.cycle(2)
        leave(recorded, "budget_reset", reason="measure anew")
        recorded.cycle(3)
        assert recorded.store.note_count(NoteKind.BUDGET) == 1
        assert snaps(recorded)[-1].peak == snaps(recorded)[-4].realized + snaps(recorded)[-4].unrealized < 0
        recorded.crash()
        same = replay(recorded.database, lambda _: Steady())
        assert (same.difference, same.cycles) == (None, 12)

    def test_a_note_that_comes_out_otherwise_is_the_first_difference(self, recorded, monkeypatch):
        monkeypatch.setattr(folding, "slippage_of", lambda fill, price: fill.quantity)
        told = replay(recorded.database, lambda _: Steady()).difference
        assert told is not None
        assert (told.what, told.cycle) == ("not the same note", "c00000002")
