"""One cycle, top-down. This is the file to open first.

    recover → upkeep → observe → account → oversee → plan → guard → act → report

Facts are gathered by services, decisions are values from pure functions, and every write to the venue passes
`ExecutionService` with a permit that was given for it a moment before. There is no other way to trade in this project:
a live run, a dry run and the demo are this cycle with other things plugged into the ports, and a profile is this cycle
with other parts plugged into its steps: who chooses the symbols, who narrows what may be done, who shapes the wishes.

Between two ticks of the timer the live feed may wake a cycle. It is the same one, from `plan` on: it decides on the
account as it was last compared with the venue, less what was ordered since, on books that are trusted, and asks the
venue nothing. The caps of a cycle hold from tick to tick, such cycles included; one that comes to no order leaves no
record.

A cycle ends in one of three ways. It completes; or it observes only, because the venue is in trouble or something is
not yet explained, and says why; or it halts, because an invariant is broken: then nothing is written to the venue until
a human has looked at the evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from btcbot.decisions.draft import Draft
from btcbot.decisions.freshness import MarketView
from btcbot.decisions.risk import NOTHING_SPENT, Allowed
from btcbot.domain import money
from btcbot.domain.account import AccountSnapshot
from btcbot.domain.cycles import CycleOutcome, CycleReport
from btcbot.domain.feed import Wake
from btcbot.domain.orders import OPEN
from btcbot.domain.permit import WriteKind
from btcbot.domain.reasons import ReasonCode, TradingState
from btcbot.domain.stance import FREE, Stance, TradingMode, strictest
from btcbot.errors import InvariantBroken, StrategyFailed, VenueUnavailable
from btcbot.ports import Clock, Exchange, Log, Metrics, StateStore, Transaction
from btcbot.services.accounting import AccountingService, PnL, set_trading_state
from btcbot.services.cycle_records import CycleRecords, cycle_id_of
from btcbot.services.cycle_telling import CycleTeller
from btcbot.services.execution import ExecutionService, ExecutionSummary
from btcbot.services.feed import FeedService
from btcbot.services.gatekeeper import Gatekeeper
from btcbot.services.market_data import MarketDataService
from btcbot.services.operator import OperatorService
from btcbot.services.planning import Ground, Plan, PlanningService
from btcbot.services.risk import RiskService
from btcbot.services.self_check import SelfCheckService
from btcbot.services.startup_recovery import StartupRecoveryResult, StartupRecoveryService
from btcbot.services.watching import CycleEnd, CycleFacts, Overseer, Replacements, Universe

#: The endpoint of new orders, as `VenueHealth` names it.
SUBMIT_ENDPOINT = "submit"
#: More unauthorised answers in a row than this, and the key is halted before the venue blocks the address (I17).
UNAUTHORIZED_MAX = 5
#: Until the overseers of a cycle have looked, nothing that the feed wakes may trade on what they left of an older one.
NOT_LOOKED_YET: Final = Stance(mode=TradingMode.OBSERVE_ONLY, reasons=("not overseen yet",))
_OPEN: Final = tuple(OPEN)


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """The steps, built by `bootstrap`. `replacements` None: working orders are cancelled when stale, no more."""

    recovery: StartupRecoveryService
    market_data: MarketDataService
    universe: Universe
    planning: PlanningService
    risk: RiskService
    execution: ExecutionService
    accounting: AccountingService
    gatekeeper: Gatekeeper
    self_check: SelfCheckService
    operator: OperatorService
    records: CycleRecords
    teller: CycleTeller
    feed: FeedService | None = None
    overseers: tuple[Overseer, ...] = ()
    replacements: Replacements | None = None


class Progress(msgspec.Struct, kw_only=True):
    """What a cycle has come to so far; the report is made from it however the cycle ends."""

    summary: ExecutionSummary
    reasons: list[str]
    recovered: StartupRecoveryResult | None = None
    view: MarketView | None = None
    pnl: PnL | None = None
    facts: CycleFacts | None = None
    stance: Stance = FREE
    draft: Draft | None = None
    intents: int = 0
    allowed: int = 0
    has_number: bool = False


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
    ) -> None:
        self._services = services
        self._store = store
        self._exchange = exchange
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._mode = mode
        self._profile = profile
        self._spent = NOTHING_SPENT
        #: What the overseers left of the last whole cycle; it holds for the cycles that the feed wakes until the next.
        self._stance = FREE

    def run(self, wake: Wake = Wake.TIME) -> CycleReport:
        """Run one cycle and store its report. Raises StoreFailed: without a record nothing may be done."""
        started_at_ms, started_ns = self._clock.now_ms(), self._clock.monotonic_ns()
        is_woken, records = wake is Wake.MARKET, self._services.records
        number = self.next_number()
        cycle_id = cycle_id_of(number)
        progress = Progress(summary=ExecutionSummary(), reasons=[])
        outcome = CycleOutcome.COMPLETED
        try:
            try:
                if is_woken:
                    self._woken_steps(cycle_id, progress)
                else:
                    records.take_number(number)
                    progress.has_number = True
                    self._steps(cycle_id, number, progress)
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
            records.take_number(number)
            progress.has_number = True
        if progress.has_number:
            end = CycleEnd(
                report=report,
                seconds=(self._clock.monotonic_ns() - started_ns) / 1e9,
                summary=progress.summary,
                stance=progress.stance,
                facts=progress.facts,
                draft=progress.draft,
            )
            read_to_ms = progress.recovered.trades_read_to_ms if progress.recovered is not None else None
            records.keep(end, read_to_ms, has_marks=progress.pnl is not None)
            self._services.teller.cycle(report, (self._clock.monotonic_ns() - started_ns) / 1e9)
        return report

    def next_number(self) -> int:
        """The number that the next cycle takes."""
        return self._services.records.next_number()

    def _steps(self, cycle_id: str, number: int, progress: Progress) -> None:
        services, summary = self._services, progress.summary
        self._spent = NOTHING_SPENT
        self._stance = NOT_LOOKED_YET if services.overseers else FREE
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

        # Upkeep: orders that have stood too long. Needs no market data, so it goes on when there is none. Where orders
        # are replaced by what is wished now, time alone decides only when nothing can be wished.
        if services.replacements is None:
            services.execution.cancel_stale_orders(summary)
            if summary.released:
                account = account.with_released(summary.released)
            self._observe_and_act(cycle_id, number, account, progress)
            return
        try:
            has_planned = self._observe_and_act(cycle_id, number, account, progress)
        except (VenueUnavailable, StrategyFailed):
            services.execution.cancel_stale_orders(summary)
            raise
        if not has_planned:
            services.execution.cancel_stale_orders(summary)

    def _observe_and_act(self, cycle_id: str, number: int, account: AccountSnapshot, progress: Progress) -> bool:
        """The rest of a whole cycle; whether it came to a plan."""
        services, summary = self._services, progress.summary

        # Observe: quotes that are fresh and sane; a symbol without one is not traded in this cycle.
        instruments = services.market_data.get_instruments()
        universe = services.universe.select(self._exchange.venue_time_ms(), instruments, self._held())
        progress.view = view = services.market_data.get_best_bid_ask(universe.watched)

        # Account: what the positions are worth now; the loss of the day is a limit of risk.
        venue_now_ms = self._exchange.venue_time_ms()
        progress.pnl = pnl = services.accounting.mark(view.quotes, account, venue_now_ms)
        ground = Ground(
            now_ms=venue_now_ms,
            account=account,
            instruments=instruments,
            view=view,
            pnl=pnl,
            universe=universe,
            may_read=True,
        )
        if not view.quotes and universe.watched:  # where nothing is watched, nothing is stale
            progress.reasons.append(f"{ReasonCode.STALE_QUOTE.value}: no symbol has a usable quote")
        if SUBMIT_ENDPOINT in self._exchange.health().endpoints_closed:
            progress.reasons.append(f"{ReasonCode.VENUE_UNAVAILABLE.value}: it asked to wait before the next order")
        summary.closed_gates = services.gatekeeper.closed(WriteKind.SUBMIT)

        # Oversee: those whom the profile lets look may narrow what this cycle does.
        if services.overseers:
            self._stance = progress.stance = self._oversee(cycle_id, number, ground, progress)
            ground = msgspec.structs.replace(ground, stance=progress.stance)
            if progress.stance.mode is TradingMode.OBSERVE_ONLY:
                progress.reasons.extend(progress.stance.reasons)
            # Buys that rest would go on filling although they may not be wished any more.
            if progress.stance.mode is not TradingMode.NORMAL:
                services.execution.cancel_buys(ReasonCode.CANCEL_NARROWED, summary)
            elif progress.stance.no_buys:
                services.execution.cancel_buys(ReasonCode.CANCEL_NARROWED, summary, progress.stance.no_buys.keys())
        if progress.reasons or summary.closed_gates:
            return False
        plan = services.planning.plan(cycle_id, ground, self._spent)
        progress.draft, progress.intents = plan.draft, plan.wished
        self._guard_and_act(plan, ground, progress)
        return True

    def _woken_steps(self, cycle_id: str, progress: Progress) -> None:
        """The second half of a cycle, on what is known without asking; nothing at all where that is not enough."""
        services, summary = self._services, progress.summary
        account = services.recovery.account_now()
        venue_now_ms = self._exchange.estimated_time_ms()
        instruments = services.market_data.known_instruments
        progress.stance = self._stance
        may_trade = self._stance.mode is not TradingMode.OBSERVE_ONLY
        if account is None or venue_now_ms is None or not instruments or not may_trade:
            if services.feed is not None:
                services.feed.look()  # what has woken this cycle must not wake the next one too
            return
        universe = services.universe.current()
        progress.view = view = services.market_data.get_from_feed(universe.watched, venue_now_ms)
        if not view.quotes or SUBMIT_ENDPOINT in self._exchange.health().endpoints_closed:
            return
        progress.pnl = pnl = services.accounting.mark(view.quotes, account, venue_now_ms)
        summary.closed_gates = services.gatekeeper.closed(WriteKind.SUBMIT)
        if summary.closed_gates:
            return
        ground = Ground(
            now_ms=venue_now_ms,
            account=account,
            instruments=instruments,
            view=view,
            pnl=pnl,
            universe=universe,
            stance=self._stance,
            may_read=False,
        )
        plan = services.planning.plan(cycle_id, ground, self._spent)
        draft = plan.draft
        if not draft.intents or not services.risk.would_allow(draft.intents, plan.facts):
            return
        number = self.next_number()
        progress.draft, progress.intents = draft, plan.wished

        def take_number(tx: Transaction) -> None:
            services.records.put_number(number, tx)
            progress.has_number = True

        self._guard_and_act(plan, ground, progress, beside=take_number)

    def _oversee(self, cycle_id: str, number: int, ground: Ground, progress: Progress) -> Stance:
        """What all overseers together leave."""
        assert progress.recovered is not None, "a cycle observes what it has brought together"
        progress.facts = facts = CycleFacts(
            cycle_id=cycle_id,
            number=number,
            now_ms=ground.now_ms,
            local_ms=self._clock.now_ms(),
            account=ground.account,
            instruments=ground.instruments,
            view=ground.view,
            pnl=ground.pnl,
            positions=self._store.positions(),
            open_orders=self._store.orders(_OPEN),
            venue_open=progress.recovered.venue_open,
            shown_by_id=progress.recovered.shown_by_id,
            health=self._exchange.health(),
            universe=ground.universe,
        )
        return strictest(overseer.look(facts) for overseer in self._services.overseers)

    def _guard_and_act(
        self,
        plan: Plan,
        ground: Ground,
        progress: Progress,
        beside: Callable[[Transaction], None] | None = None,
    ) -> None:
        services, view, draft = self._services, ground.view, plan.draft

        # Guard: every verdict is durable, with its reason, before anything is sent.
        decisions = services.risk.filter(draft.intents, plan.facts, beside, draft.refused)
        allowed = [decision for decision in decisions if isinstance(decision, Allowed)]
        progress.allowed = len(allowed)
        self._spent = self._spent.plus(allowed)

        # Act: reserve → permit → send once → record, for each. Orders that are in the way go first.
        def may_order(symbol: str) -> bool:
            if not ground.may_read and self._exchange.estimated_time_ms() is None:
                return False  # after an answer that casts doubt on our clock, a stamp would ask for the time first
            return services.market_data.may_order(view.quotes[symbol], view, may_read=ground.may_read)

        if services.replacements is not None:
            services.replacements.settle(decisions)
            services.execution.cancel_wished(draft.cancels, progress.summary)
            services.replacements.begin(draft.replaces, progress.summary)
        services.execution.execute_intents(
            allowed,
            ground.instruments,
            may_order,
            progress.summary,
            beside_of=services.replacements.beside if services.replacements is not None else None,
        )
        self._halt_when_unauthorized()

    def _held(self) -> Sequence[str]:
        """Symbols that have a position or an open order of ours."""
        held = [symbol for symbol, position in self._store.positions().items() if position.quantity]
        return [*held, *[order.symbol for order in self._store.orders(_OPEN) if order.symbol not in held]]

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
        narrowed_by = () if progress.stance.mode is TradingMode.OBSERVE_ONLY else progress.stance.reasons
        # A cycle that the feed woke sees the feed alone: what it lacks there is no news.
        unquoted = progress.view.unusable if progress.view and quotes and not is_woken else {}
        not_traded = [f"{why.value}: {symbol} has no usable quote" for symbol, why in unquoted.items()]
        return CycleReport(
            cycle_id=cycle_id,
            number=number,
            mode=self._mode,
            profile=self._profile,
            outcome=outcome,
            reasons=(
                *progress.reasons,
                *not_traded,
                *narrowed_by,
                *(progress.draft.reasons if progress.draft else ()),
                *[gate.value for gate in summary.closed_gates],
            ),
            started_at_ms=started_at_ms,
            ended_at_ms=self._clock.now_ms(),
            counts=counts,
            gates=self._services.gatekeeper.states(),
            quotes={symbol: (quote.bid, quote.ask) for symbol, quote in quotes.items()},
            equity_try=pnl.equity if pnl else None,
            realized_pnl_try=pnl.realized if pnl else money.ZERO,
            unrealized_pnl_try=pnl.unrealized if pnl else money.ZERO,
        )
