"""What a cycle came to, as numbers and flags that adaptation, reports and comparisons can work with."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from btcbot.domain import money
from btcbot.domain.account import AccountSnapshot
from btcbot.domain.cycles import CycleOutcome, CycleReport, Verdict
from btcbot.domain.fills import Fill
from btcbot.domain.market import Quote
from btcbot.domain.money import plain
from btcbot.domain.orders import Order
from btcbot.domain.positions import Position
from btcbot.domain.reasons import ReasonCode, code_of
from btcbot.domain.run_metrics import AlertFlag, Quality, RunMetrics, Traced, drawdown_ratio
from btcbot.domain.stance import Stance
from btcbot.domain.tuning import Tuning

#: A wish refused for one of these is not refused for good: the next cycle may bring it.
DEFERRING: Final = frozenset(
    {
        ReasonCode.MAX_ORDERS_PER_CYCLE.value,
        ReasonCode.NOTIONAL_CAP.value,
        ReasonCode.COOLDOWN.value,
        ReasonCode.ALLOCATION_CYCLE_CAP.value,
        ReasonCode.DEFERRED.value,
        ReasonCode.REPLACE_TOO_SOON.value,
        ReasonCode.REPLACE_UNDER_WAY.value,
    }
)
#: And one of these is not refused at all: an order stands for it, or will.
STANDING: Final = {ReasonCode.ORDER_WORKS.value: "kept", ReasonCode.REPLACES.value: "replaces"}
REFUSED: Final = "refused"
DEFERRED: Final = "deferred"
NOTHING_WISHED: Final = "nothing_wished"
RATE_PLACES: Final = 4


class MetricsLimits(msgspec.Struct, frozen=True, kw_only=True):
    """From settings: from where on a spread is a spike, refusals of one cycle are a spike, and a drawdown a breach."""

    spread_spike_bps: Decimal
    reject_spike: int
    drawdown_ratio_max: Decimal


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """What the metrics of earlier cycles came to."""

    peak_pnl: Decimal | None = None
    drawdown: Decimal = money.ZERO
    drawdown_ratio: Decimal = money.ZERO
    fills_counted: int = 0
    turnover_total: Decimal = money.ZERO


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A cycle that is over. `has_observed` is False where it ended before it had looked at the market; `watched` is
    then empty. `unusable`: watched symbols without a usable quote, `never_priced` those of them that never had one.
    `fills` are those that this cycle booked."""

    report: CycleReport
    seconds: float
    stance: Stance
    tuning: Tuning | None
    has_observed: bool
    watched: int
    unusable: int
    never_priced: int
    quotes: Mapping[str, Quote]
    throttled: bool
    gates_closed: bool
    positions: Mapping[str, Position]
    fills: Sequence[Fill]
    verdicts: Sequence[Verdict]
    orders: Sequence[Order]
    inputs_sha256: str


def measure(ended: Ended, before: Before, limits: MetricsLimits) -> RunMetrics:
    """The metrics of one cycle."""
    report, counts = ended.report, ended.report.counts
    equity = report.equity_try
    is_whole = equity is not None
    charges = _canonical(money.total(each.fees_paid + each.taxes_paid for each in ended.positions.values()))
    net = _canonical(report.realized_pnl_try + report.unrealized_pnl_try) if is_whole else None
    peak, fall, ratio = before.peak_pnl, before.drawdown, before.drawdown_ratio
    if equity is not None and net is not None:
        peak = net if peak is None else max(peak, net)
        fall = _canonical(peak - net)
        ratio = drawdown_ratio(fall, equity)
    trace = trace_of(ended.verdicts, ended.orders)
    quality = _quality(ended, limits)
    submitted, venue_refused = counts.get("submitted", 0), counts.get("refused", 0)
    alerts = []
    if ratio >= limits.drawdown_ratio_max:
        alerts.append(AlertFlag.DRAWDOWN_BREACH)
    if venue_refused >= limits.reject_spike:
        alerts.append(AlertFlag.REJECT_SPIKE)
    if ended.never_priced or (ended.has_observed and ended.watched and not ended.quotes):
        alerts.append(AlertFlag.MISSING_DATA)
    if ended.throttled:
        alerts.append(AlertFlag.THROTTLED)
    turnover = money.total(fill.price * fill.quantity for fill in ended.fills) if ended.fills else money.ZERO
    return RunMetrics(
        cycle_id=report.cycle_id,
        number=report.number,
        at_ms=report.ended_at_ms,
        outcome=report.outcome.value,
        mode=ended.stance.mode,
        narrowed_by=ended.stance.reasons,
        tuning_version=ended.tuning.version if ended.tuning is not None else None,
        wished=counts.get("intents", 0),
        allowed=counts.get("allowed", 0),
        refused=sum(each.became == REFUSED for each in trace),
        deferred=sum(each.became == DEFERRED for each in trace),
        submitted=submitted,
        filled=len(ended.fills),
        venue_refused=venue_refused,
        in_doubt=counts.get("in_doubt", 0),
        denied=counts.get("denied", 0),
        simulated=counts.get("simulated", 0),
        cancels=counts.get("cancels", 0),
        reject_rate=_share(venue_refused, submitted),
        stale_share=_share(ended.unusable, ended.watched) if ended.has_observed else money.ONE,
        throttled=ended.throttled,
        missing_marks=ended.never_priced,
        equity=None if equity is None else _canonical(equity),
        realized_pnl=_canonical(report.realized_pnl_try) if is_whole else None,
        unrealized_pnl=_canonical(report.unrealized_pnl_try) if is_whole else None,
        gross_pnl=None if net is None else _canonical(net + charges),
        charges=charges,
        net_pnl=net,
        peak_pnl=peak,
        drawdown=fall,
        drawdown_ratio=ratio,
        turnover=_canonical(turnover),
        turnover_total=_canonical(before.turnover_total + turnover),
        fills_before=before.fills_counted,
        seconds=round(ended.seconds, 6),
        quality=quality,
        alerts=tuple(alerts),
        no_trades_reason=no_trades_reason(report, trace, has_filled=bool(ended.fills)),
        inputs_sha256=ended.inputs_sha256,
        trace=trace,
    )


def after(metrics: RunMetrics | None) -> Before:
    """What the cycle after `metrics` goes on from; a beginning where there is none."""
    if metrics is None:
        return Before()
    return Before(
        peak_pnl=metrics.peak_pnl,
        drawdown=metrics.drawdown,
        drawdown_ratio=metrics.drawdown_ratio,
        fills_counted=metrics.fills_counted,
        turnover_total=metrics.turnover_total,
    )


def _quality(ended: Ended, limits: MetricsLimits) -> tuple[Quality, ...]:
    found = []
    if ended.unusable or not ended.has_observed:
        found.append(Quality.STALE_DATA)
    if ended.never_priced:
        found.append(Quality.MISSING_MARK_PRICE)
    if any(quote.spread_bps >= limits.spread_spike_bps for quote in ended.quotes.values()):
        found.append(Quality.SPREAD_SPIKE)
    if ended.throttled:
        found.append(Quality.THROTTLED)
    if ended.gates_closed:
        found.append(Quality.BLOCKED_BY_GATE)
    return tuple(found)


def trace_of(verdicts: Iterable[Verdict], orders: Iterable[Order]) -> tuple[Traced, ...]:
    """Each wish of a cycle by symbol, in the order of the verdicts, and what became of it."""
    by_intent = {order.intent_id: order for order in orders}
    found = []
    for verdict in verdicts:
        order = by_intent.get(verdict.intent_id)
        if order is not None:
            became, why = order.status.value.lower(), order.reason or ""
        elif verdict.allowed:
            became, why = DEFERRED, ""  # the cycle stopped sending before it came to this one
        else:
            became, why = _became(verdict.code), verdict.code
        found.append(
            Traced(
                symbol=verdict.symbol,
                side=verdict.side,
                price=_canonical(verdict.price),
                quantity=_canonical(verdict.quantity),
                became=became,
                why=why,
            )
        )
    return tuple(sorted(found, key=lambda each: each.symbol))


def _became(code: str) -> str:
    return DEFERRED if code in DEFERRING else STANDING.get(code, REFUSED)


def no_trades_reason(report: CycleReport, trace: Sequence[Traced], *, has_filled: bool) -> str:
    """Why a cycle sent no order and booked no fill, as a stable code; empty when it did either."""
    if has_filled or report.counts.get("submitted", 0) or report.counts.get("simulated", 0):
        return ""
    if report.outcome is CycleOutcome.HALTED:
        return "halted"
    if report.outcome is CycleOutcome.OBSERVE_ONLY and report.reasons:
        return code_of(report.reasons[0])
    closed = [reason for reason in report.reasons if reason.startswith("gate_closed:")]
    if closed:
        return code_of(closed[0])
    codes = Counter(code_of(each.why) for each in trace if each.why)
    if codes:
        return min(codes, key=lambda code: (-codes[code], code))
    return DEFERRED if trace else NOTHING_WISHED


def inputs_sha256(
    *,
    now_ms: int | None,
    quotes: Mapping[str, tuple[Decimal, Decimal]],
    account: AccountSnapshot | None,
    positions: Mapping[str, Position],
    open_orders: Iterable[Order],
    stance: Stance,
    tuning: Tuning | None,
    active: Sequence[str],
) -> str:
    """SHA-256 of what a decision stood on, as hexadecimal digits: equal for two runs that saw the same.

    `now_ms` is the venue's time. No id of ours is in it, because those differ from run to run; amounts count by value.
    """
    seen = (
        now_ms,
        [(symbol, plain(bid), plain(ask)) for symbol, (bid, ask) in sorted(quotes.items())],
        [
            (asset, plain(balance.free), plain(balance.locked))
            for asset, balance in (sorted(account.balances.items()) if account is not None else ())
        ],
        [
            (symbol, plain(position.quantity), plain(position.cost))
            for symbol, position in sorted(positions.items())
            if position.quantity
        ],
        sorted(
            (order.symbol, order.side.value, plain(order.price), plain(order.leaves_quantity), order.status.value)
            for order in open_orders
        ),
        (
            stance.mode.value,
            plain(stance.buy_share),
            stance.symbols_max,
            plain(stance.cash_kept),
            sorted(stance.barred),
            sorted(stance.no_buys),
        ),
        None if tuning is None else tuple(_text(value) for value in msgspec.structs.astuple(tuning)),
        tuple(active),
    )
    return hashlib.sha256(msgspec.json.encode(seen)).hexdigest()


def _text(value: object) -> str:
    return plain(value) if isinstance(value, Decimal) else str(value)


def _share(part: int, whole: int) -> Decimal:
    return _canonical(money.divide_half_even(Decimal(part), Decimal(whole), RATE_PLACES)) if part else money.ZERO


def _canonical(value: Decimal) -> Decimal:
    """The same amount, so that its text is the one that `money.plain` gives."""
    return Decimal(plain(value))
