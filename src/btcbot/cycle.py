"""One cycle, top-down. This is the file to open first.

    recover → upkeep → observe → account → plan → guard → act → report

Facts are gathered by services, decisions are values from pure functions, and every write to the venue passes
`ExecutionService` with a permit that was given for it a moment before. There is no other way to trade in this project:
a live run, a dry run and the demo are this cycle with other things plugged into the ports.

Between two ticks of the timer the live feed may wake a cycle. It is the same one, from `plan` on: it decides on the
account as it was last compared with the venue, less what was ordered since, on books that are trusted, and asks the
venue nothing. The caps of a cycle hold from tick to tick, such cycles included; one that comes to no order leaves no
record.

A cycle ends in one of three ways. It completes; or it observes only, because the venue is in trouble or something is
not yet explained, and says why; or it halts, because an invariant is broken: then nothing is written to the venue until
a human has looked at the evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from btcbot.decisions.freshness import MarketView
from btcbot.decisions.risk import NOTHING_SPENT, RiskFacts
from btcbot.domain import money
from btcbot.domain.account import AccountSnapshot
from btcbot.domain.cycles import CycleOutcome, CycleReport
from btcbot.domain.feed import Wake
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Intent
from btcbot.domain.orders import IN_DOUBT, OPEN
from btcbot.domain.permit import WriteKind
from btcbot.domain.reasons import ReasonCode, TradingState
from btcbot.errors import InvariantBroken, StrategyFailed, VenueUnavailable
from btcbot.ports import Clock, Exchange, Log, Metrics, StateStore, Transaction
from btcbot.services import values
from btcbot.services.accounting import AccountingService, PnL, set_trading_state
from btcbot.services.execution import ExecutionService, ExecutionSummary
from btcbot.services.feed import FeedService
from btcbot.services.gatekeeper import Gatekeeper
from btcbot.services.market_data import MarketDataService
from btcbot.services.operator import OperatorService
from btcbot.services.risk import RiskService
from btcbot.services.self_check import SelfCheckService
from btcbot.services.startup_recovery import StartupRecoveryResult, StartupRecoveryService
from btcbot.services.strategy import StrategyService
from btcbot.services.sweep import SweepService

#: Old reports are forgotten in steps of so many, so that no cycle has much to delete.
FORGET_EVERY_CYCLES = 1_000
#: The endpoint of new orders, as `VenueHealth` names it.
SUBMIT_ENDPOINT = "submit"
#: More unauthorised answers in a row than this, and the key is halted before the venue blocks the address (I17).
UNAUTHORIZED_MAX = 5
_OPEN: Final = tuple(OPEN)


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """The steps, built by `bootstrap`."""

    recovery: StartupRecoveryService
    market_data: MarketDataService
    strategy: StrategyService
    risk: RiskService
    execution: ExecutionService
    accounting: AccountingService
    sweep: SweepService
    gatekeeper: Gatekeeper
    self_check: SelfCheckService
    operator: OperatorService
    feed: FeedService | None = None


class Progress(msgspec.Struct, kw_only=True):
    """What a cycle has come to so far; the report is made from it however the cycle ends."""

    summary: ExecutionSummary
    reasons: list[str]
    recovered: StartupRecoveryResult | None = None
    view: MarketView | None = None
    pnl: PnL | None = None
    intents: int = 0
    allowed: int = 0
    has_number: bool = False


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision stands on. `now_ms` is the venue's time, `may_read` whether it may be asked anything more."""

    now_ms: int
    account: AccountSnapshot
    instruments: Mapping[str, Instrument]
    view: MarketView
    pnl: PnL
    may_read: bool


def cycle_id_of(number: int) -> str:
    """Sorts like the number it is made from."""
    return f"c{number:08d}"


class Cycle:
    def __init__(
        self,
        services: Services,
        store: StateStore,
        exchange: Exchange,
        clock: Clock,
        metrics: Metrics,
        log: Log,
        mode: str,
        profile: str,
        symbols: Sequence[str],
        cycles_kept: int,
    ) -> None:
        self._services = services
        self._store = store
        self._exchange = exchange
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._mode = mode
        self._profile = profile
        self._symbols = tuple(symbols)
        self._cycles_kept = cycles_kept
        self._spent = NOTHING_SPENT
        #: Gates and trading state as the metrics were told them last.
        self._told: tuple[Mapping[str, bool], TradingState] | None = None

    def run(self, wake: Wake = Wake.TIME) -> CycleReport:
        """Run one cycle and store its report. Raises StoreFailed: without a record nothing may be done."""
        started_at_ms, started_ns = self._clock.now_ms(), self._clock.monotonic_ns()
        is_woken = wake is Wake.MARKET
        number = self.next_number()
        cycle_id = cycle_id_of(number)
        progress = Progress(summary=ExecutionSummary(), reasons=[])
        outcome = CycleOutcome.COMPLETED
        try:
            try:
                if is_woken:
                    self._woken_steps(cycle_id, progress)
                else:
                    self._take_number(number, progress)
                    self._steps(cycle_id, progress)
            except VenueUnavailable as unavailable:
                progress.reasons.append(f"{ReasonCode.VENUE_UNAVAILABLE.value}: {unavailable.reason}")
                self._halt_when_unauthorized()
            except StrategyFailed as failed:
                progress.reasons.append(f"{ReasonCode.STRATEGY_FAILED.value}: {failed}")
        except InvariantBroken as broken:
            outcome = CycleOutcome.HALTED
            progress.reasons.append(str(broken))
            self._halt(str(broken))
        if outcome is CycleOutcome.COMPLETED and progress.reasons:
            outcome = CycleOutcome.OBSERVE_ONLY
        report = self._report(cycle_id, number, started_at_ms, outcome, progress, is_woken=is_woken)
        if is_woken:
            self._metrics.count("btcbot_woken_cycles_total", outcome="ordered" if progress.allowed else "idle")
        if outcome is CycleOutcome.HALTED and not progress.has_number:
            self._take_number(number, progress)
        if progress.has_number:
            self._store_report(report, progress)
            self._tell(report, (self._clock.monotonic_ns() - started_ns) / 1e9)
        return report

    def _take_number(self, number: int, progress: Progress) -> None:
        """Durable before anything is done with it: a cycle that dies in the middle must not lend its name, nor the
        names of its intents, to another."""
        with self._store.transaction() as tx:
            tx.put_value(values.CYCLE_NUMBER, str(number))
        progress.has_number = True

    def next_number(self) -> int:
        """Cycles of a database are numbered upwards across restarts; a cycle that died leaves a gap."""
        return int(self._store.value(values.CYCLE_NUMBER) or 0) + 1

    def _steps(self, cycle_id: str, progress: Progress) -> None:
        services, summary = self._services, progress.summary
        self._spent = NOTHING_SPENT
        services.gatekeeper.self_check_passed = services.self_check.run_if_due().passed
        services.operator.handle_pending()

        # Recover: bring our record and the venue's lists together before anything new is wished. What the feed has told
        # of our account so far is in these lists, or will be.
        if services.feed is not None:
            services.feed.look()
        progress.recovered = recovered = services.recovery.run()
        self._halt_when_unauthorized()
        progress.reasons.extend(recovered.observe_only_reasons)
        account = recovered.account
        if services.feed is not None:
            services.feed.reconciled()

        # Upkeep: orders that have stood too long. Needs no market data, so it goes on when there is none.
        services.execution.cancel_stale_orders(summary)
        if summary.released:
            account = account.with_released(summary.released)

        # Observe: quotes that are fresh and sane; a symbol without one is not traded in this cycle.
        instruments = services.market_data.get_instruments()
        progress.view = view = services.market_data.get_best_bid_ask(self._symbols)

        # Account: what the positions are worth now; the loss of the day is a limit of risk.
        venue_now_ms = self._exchange.venue_time_ms()
        progress.pnl = pnl = services.accounting.mark(view.quotes, account, venue_now_ms)
        if not view.quotes:
            progress.reasons.append(f"{ReasonCode.STALE_QUOTE.value}: no symbol has a usable quote")
        if SUBMIT_ENDPOINT in self._exchange.health().endpoints_closed:
            progress.reasons.append(f"{ReasonCode.VENUE_UNAVAILABLE.value}: it asked to wait before the next order")
        summary.closed_gates = services.gatekeeper.closed(WriteKind.SUBMIT)
        if progress.reasons or summary.closed_gates:
            return
        ground = Ground(
            now_ms=venue_now_ms, account=account, instruments=instruments, view=view, pnl=pnl, may_read=True
        )
        intents, facts = self._plan(cycle_id, ground)
        progress.intents = len(intents)
        self._guard_and_act(intents, facts, ground, progress)

    def _woken_steps(self, cycle_id: str, progress: Progress) -> None:
        """The second half of a cycle, on what is known without asking; nothing at all where that is not enough."""
        services, summary = self._services, progress.summary
        account = services.recovery.account_now()
        venue_now_ms = self._exchange.estimated_time_ms()
        instruments = services.market_data.known_instruments
        if account is None or venue_now_ms is None or not instruments:
            return
        progress.view = view = services.market_data.get_from_feed(self._symbols, venue_now_ms)
        if not view.quotes or SUBMIT_ENDPOINT in self._exchange.health().endpoints_closed:
            return
        progress.pnl = pnl = services.accounting.mark(view.quotes, account, venue_now_ms)
        summary.closed_gates = services.gatekeeper.closed(WriteKind.SUBMIT)
        if summary.closed_gates:
            return
        ground = Ground(
            now_ms=venue_now_ms, account=account, instruments=instruments, view=view, pnl=pnl, may_read=False
        )
        intents, facts = self._plan(cycle_id, ground)
        if not intents or not services.risk.would_allow(intents, facts):
            return
        number = self.next_number()
        progress.intents = len(intents)

        def take_number(tx: Transaction) -> None:
            tx.put_value(values.CYCLE_NUMBER, str(number))
            progress.has_number = True

        self._guard_and_act(intents, facts, ground, progress, beside=take_number)

    def _guard_and_act(
        self,
        intents: Sequence[Intent],
        facts: RiskFacts,
        ground: Ground,
        progress: Progress,
        beside: Callable[[Transaction], None] | None = None,
    ) -> None:
        services, view = self._services, ground.view

        # Guard: every verdict is durable, with its reason, before anything is sent.
        allowed = services.risk.filter(intents, facts, beside)
        progress.allowed = len(allowed)
        self._spent = self._spent.plus(allowed)

        # Act: reserve → permit → send once → record, for each.
        def may_order(symbol: str) -> bool:
            if not ground.may_read and self._exchange.estimated_time_ms() is None:
                return False  # after an answer that casts doubt on our clock, a stamp would ask for the time first
            return services.market_data.may_order(view.quotes[symbol], view, may_read=ground.may_read)

        services.execution.execute_intents(allowed, ground.instruments, may_order, progress.summary)
        self._halt_when_unauthorized()

    def _plan(self, cycle_id: str, ground: Ground) -> tuple[Sequence[Intent], RiskFacts]:
        """What the strategy wishes, then where idle cash should go, in which order risk takes them; and what risk is
        to know."""
        services, account, instruments, quotes = self._services, ground.account, ground.instruments, ground.view.quotes
        open_orders, positions = self._store.orders(_OPEN), self._store.positions()
        rates = services.accounting.fee_rates
        wishes = services.strategy.generate(
            cycle_id,
            instruments,
            quotes,
            account,
            positions,
            open_orders,
            rates.taker,
            now_ms=ground.now_ms,
            may_read=ground.may_read,
        )
        busy = frozenset(order.symbol for order in open_orders)
        idle_cash = services.sweep.plan(cycle_id, account, instruments, quotes, busy, rates.taker)
        intents = [*wishes, *idle_cash]
        for intent in intents:
            self._metrics.count("btcbot_intents_total", symbol=intent.symbol, side=intent.side.value)
        facts = RiskFacts(
            now_ms=self._clock.now_ms(),
            instruments=instruments,
            quotes=quotes,
            unusable_quotes=ground.view.unusable,
            account=account,
            open_orders=open_orders,
            holds=self._store.holds(),
            positions=positions,
            last_order_times_ms=self._store.last_order_times_ms(),
            daily_pnl=ground.pnl.daily,
            fee_rates=rates,
            spent=self._spent,
        )
        return intents, facts

    def _halt_when_unauthorized(self) -> None:
        in_a_row = self._exchange.health().unauthorized_in_a_row
        if in_a_row > UNAUTHORIZED_MAX:
            raise InvariantBroken(
                "I17_UNAUTHORIZED",
                f"the venue refused the key more than {UNAUTHORIZED_MAX - 1} times in a row; check the key, its "
                "permissions and the address it is bound to, then «btcbot resume --reason …»",
            )

    def _halt(self, evidence: str) -> None:
        with self._store.transaction() as tx:
            set_trading_state(tx, TradingState.HALTED, evidence)
        self._log.error("halted", evidence=evidence)

    def _report(
        self,
        cycle_id: str,
        number: int,
        started_at_ms: int,
        outcome: CycleOutcome,
        progress: Progress,
        *,
        is_woken: bool,
    ) -> CycleReport:
        summary, pnl = progress.summary, progress.pnl
        counts = {
            "intents": progress.intents,
            "allowed": progress.allowed,
            "submitted": summary.submitted,
            "accepted": summary.accepted,
            "refused": summary.refused,
            "in_doubt": summary.in_doubt,
            "denied": summary.denied,
            "simulated": summary.simulated,
            "cancels": summary.cancels,
            "fills": progress.recovered.fills_inserted if progress.recovered else 0,
            "quotes_from_feed": len(progress.view.from_feed) if progress.view else 0,
            "woken_by_feed": int(is_woken),
        }
        quotes = progress.view.quotes if progress.view else {}
        return CycleReport(
            cycle_id=cycle_id,
            number=number,
            mode=self._mode,
            profile=self._profile,
            outcome=outcome,
            reasons=(*progress.reasons, *(gate.value for gate in summary.closed_gates)),
            started_at_ms=started_at_ms,
            ended_at_ms=self._clock.now_ms(),
            counts=counts,
            gates=self._services.gatekeeper.states(),
            quotes={symbol: (quote.bid, quote.ask) for symbol, quote in quotes.items()},
            equity_try=pnl.equity if pnl else None,
            realized_pnl_try=pnl.realized if pnl else money.ZERO,
            unrealized_pnl_try=pnl.unrealized if pnl else money.ZERO,
        )

    def _store_report(self, report: CycleReport, progress: Progress) -> None:
        """The report, the trade cursor and the trading state: one transaction closes the cycle."""
        state, _ = self._store.trading_state()
        with self._store.transaction() as tx:
            tx.insert_cycle(report)
            if progress.recovered is not None:
                tx.put_value(values.TRADES_CURSOR_MS, str(progress.recovered.trades_read_to_ms))
            if report.number % FORGET_EVERY_CYCLES == 0 and report.number > self._cycles_kept:
                tx.forget_cycles_before(cycle_id_of(report.number - self._cycles_kept))
            if progress.pnl is not None:
                tx.put_value(values.MARKS, self._services.accounting.marks_text())
            if state in {TradingState.ACTIVE, TradingState.OBSERVE_ONLY}:
                observes = report.outcome is CycleOutcome.OBSERVE_ONLY
                after = TradingState.OBSERVE_ONLY if observes else TradingState.ACTIVE
                if after is not state:
                    set_trading_state(tx, after, "; ".join(report.reasons))

    def _tell(self, report: CycleReport, seconds: float) -> None:
        metrics = self._metrics
        metrics.count("btcbot_cycles_total", outcome=report.outcome.value)
        metrics.observe("btcbot_cycle_seconds", seconds)
        open_orders = self._store.orders(_OPEN)
        metrics.gauge("btcbot_orders_open", len(open_orders))
        metrics.gauge("btcbot_orders_in_doubt", sum(order.status in IN_DOUBT for order in open_orders))
        state, _ = self._store.trading_state()
        told = self._told
        if told is None or told[0] is not report.gates or told[1] is not state:  # gauges keep what they were set to
            self._told = report.gates, state
            for gate, is_open in report.gates.items():
                metrics.gauge("btcbot_gate_open", int(is_open), gate=gate)
            for one in TradingState:
                metrics.gauge("btcbot_trading_state", int(one is state), state=one.value)
        log = self._log.info if report.outcome is CycleOutcome.COMPLETED else self._log.warning
        log(
            "cycle_ended",
            outcome=report.outcome.value,
            reasons=list(report.reasons),
            seconds=round(seconds, 4),
            **{name: count for name, count in report.counts.items() if count},
        )
