"""The metrics of one cycle: each cost once, a drawdown that is real, flags, and why nothing was traded."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.builders import NOW_MS, a_fill, a_position, a_quote, a_report, an_account, an_order, decimals
from tests.unit.decisions.adaptive import START

from btcbot.decisions.run_metrics import Before, Ended, MetricsLimits, after, inputs_sha256, measure
from btcbot.domain import money
from btcbot.domain.cycles import CycleOutcome, CycleReport, Verdict
from btcbot.domain.intents import Side
from btcbot.domain.orders import OrderStatus
from btcbot.domain.positions import Position, after_fill
from btcbot.domain.run_metrics import AlertFlag, Quality, RunMetrics, drawdown_ratio
from btcbot.domain.stance import FREE, Stance, TradingMode

LIMITS = MetricsLimits(spread_spike_bps=Decimal(300), reject_spike=3, drawdown_ratio_max=Decimal("0.25"))
TUNING = replace(START, version=7)


def a_result(equity: str | None = "10000", realized: str = "0", unrealized: str = "0", **changes: Any) -> CycleReport:
    """The report of a cycle on paper that took 5 ms and left the account with this worth."""
    plain = {
        "mode": "paper",
        "profile": "stage7-run",
        "ended_at_ms": NOW_MS + 5,
        "equity_try": None if equity is None else Decimal(equity),
        "realized_pnl_try": Decimal(realized),
        "unrealized_pnl_try": Decimal(unrealized),
    }
    return a_report(**(plain | changes))


def an_end(report: CycleReport | None = None, **changes: Any) -> Ended:
    """Of a quiet cycle that saw one symbol."""
    ended = Ended(
        report=report or a_result(),
        seconds=0.01,
        stance=FREE,
        tuning=TUNING,
        has_observed=True,
        watched=1,
        unusable=0,
        never_priced=0,
        quotes={"ADATRY": a_quote()},
        throttled=False,
        gates_closed=False,
        positions={},
        fills=(),
        verdicts=(),
        orders=(),
        inputs_sha256="0" * 64,
    )
    return replace(ended, **changes)


def a_verdict(code: str = "allowed", number: int = 1, symbol: str = "ADATRY") -> Verdict:
    return Verdict(
        cycle_id="c00000001",
        intent_id=f"intent-{number}",
        symbol=symbol,
        side=Side.BUY,
        price=Decimal("100.00"),
        quantity=Decimal("2.0000"),
        allowed=code == "allowed",
        code=code,
        detail="",
        at_ms=NOW_MS,
    )


# -- money -----------------------------------------------------------------------------------------------------------

FILLS = st.lists(
    st.tuples(st.booleans(), decimals("90", "110", 2), decimals("0.0001", "9", 4), decimals("0", "1", 8)), max_size=12
)


@given(fills=FILLS, bid=decimals("80", "120", 2))
def test_profit_counts_each_cost_once_and_equals_what_the_cash_says(
    fills: list[tuple[bool, Decimal, Decimal, Decimal]], bid: Decimal
) -> None:
    """mistake 3: fees and slippage were taken off figures that had them in already."""
    position, cash, charges = Position(symbol="ADATRY"), Decimal(0), Decimal(0)
    for number, (is_buy, price, quantity, fee) in enumerate(fills):
        side = Side.BUY if is_buy or quantity > position.quantity else Side.SELL
        fill = a_fill(side, str(quantity), str(price), str(fee), "0.01", trade_id=f"t{number}")
        position = after_fill(position, fill)
        cash += (price * quantity if side is Side.SELL else -price * quantity) - fee - Decimal("0.01")
        charges += fee + Decimal("0.01")
    unrealized = position.unrealized_pnl(bid)

    found = measure(
        an_end(
            a_result("10000", money.plain(position.realized_pnl), money.plain(unrealized)),
            positions={"ADATRY": position},
        ),
        Before(),
        LIMITS,
    )

    assert found.net_pnl == cash + position.quantity * bid, "what came in, what went out, and what is left"
    assert found.gross_pnl == found.net_pnl + charges
    assert found.charges == charges


def test_turnover_is_what_the_fills_of_the_cycle_traded_on_both_sides() -> None:
    fills = [a_fill(Side.BUY, "2", "100"), a_fill(Side.SELL, "1", "110", trade_id="t2")]
    found = measure(an_end(fills=fills), Before(turnover_total=Decimal(1000), fills_counted=8), LIMITS)
    assert (found.turnover, found.turnover_total) == (Decimal(310), Decimal(1310))
    assert (found.filled, found.fills_counted) == (2, 10)


def results(*nets: str, equity: str = "10000") -> Sequence[RunMetrics]:
    """Cycles one after the other, with these net results."""
    found: list[RunMetrics] = []
    for net in nets:
        before = after(found[-1] if found else None)
        report = a_result(money.plain(Decimal(equity) + Decimal(net)), realized=net)
        found.append(measure(an_end(report), before, LIMITS))
    return found


def test_the_drawdown_of_a_run_is_the_fall_from_its_highest_profit_and_not_always_zero() -> None:
    """mistake 2: the drawdown read a table that nobody wrote."""
    found = results("0", "2500", "1000", "-875", "100")
    assert [each.drawdown for each in found] == [0, 0, 1500, 3375, 2400]
    assert found[2].drawdown_ratio == Decimal("0.12"), "1,500 of the 12,500 that there were"
    assert found[3].drawdown_ratio == Decimal("0.27")
    assert [AlertFlag.DRAWDOWN_BREACH in each.alerts for each in found] == [False, False, False, True, False]


def test_money_that_is_taken_out_is_no_drawdown() -> None:
    rich = measure(an_end(a_result("10000", realized="500")), Before(), LIMITS)
    poor = measure(an_end(a_result("1000", realized="500")), after(rich), LIMITS)
    assert (poor.drawdown, poor.drawdown_ratio) == (0, 0)


def test_without_a_whole_result_the_drawdown_stays_what_it_was() -> None:
    before = after(results("1000", "-1000")[-1])
    found = measure(an_end(a_result(None)), before, LIMITS)
    assert (found.net_pnl, found.gross_pnl, found.equity) == (None, None, None)
    assert (found.peak_pnl, found.drawdown) == (Decimal(1000), Decimal(2000))
    assert found.drawdown_ratio == before.drawdown_ratio > 0


@given(fall=decimals("0", "100000", 2), worth=decimals("-1000", "100000", 2))
def test_a_drawdown_is_a_share_whatever_is_left(fall: Decimal, worth: Decimal) -> None:
    assert 0 <= drawdown_ratio(fall, worth) <= 1


def test_all_is_lost_when_more_is_gone_than_there_was() -> None:
    assert drawdown_ratio(Decimal(100), Decimal(-100)) == 1
    assert drawdown_ratio(Decimal(0), Decimal(0)) == 0


def test_amounts_are_written_as_plain_text() -> None:
    import msgspec

    found = measure(an_end(a_result("1E+4", realized="1.500")), Before(), LIMITS)
    body = msgspec.json.decode(msgspec.json.encode(found))
    assert (body["equity"], body["net_pnl"]) == ("10000", "1.5")
    assert msgspec.json.decode(msgspec.json.encode(found), type=RunMetrics) == found


# -- flags -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "quality", "alerts"),
    [
        (an_end(), (), ()),
        (an_end(unusable=1, watched=2), (Quality.STALE_DATA,), ()),
        (
            an_end(unusable=1, watched=2, never_priced=1),
            (Quality.STALE_DATA, Quality.MISSING_MARK_PRICE),
            (AlertFlag.MISSING_DATA,),
        ),
        (an_end(unusable=1, quotes={}), (Quality.STALE_DATA,), (AlertFlag.MISSING_DATA,)),
        (an_end(has_observed=False, quotes={}), (Quality.STALE_DATA,), ()),
        (an_end(throttled=True), (Quality.THROTTLED,), (AlertFlag.THROTTLED,)),
        (an_end(gates_closed=True), (Quality.BLOCKED_BY_GATE,), ()),
        (an_end(quotes={"ADATRY": a_quote(bid="98", ask="101.1")}), (Quality.SPREAD_SPIKE,), ()),
        (an_end(a_result(counts={"submitted": 3, "refused": 3})), (), (AlertFlag.REJECT_SPIKE,)),
        (an_end(a_result(counts={"submitted": 9, "refused": 2})), (), ()),
    ],
)
def test_what_was_wrong_with_a_cycle(end: Ended, quality: tuple[Quality, ...], alerts: tuple[AlertFlag, ...]) -> None:
    found = measure(end, Before(), LIMITS)
    assert (found.quality, found.alerts) == (quality, alerts)


def test_shares_of_refusals_and_of_stale_symbols() -> None:
    found = measure(an_end(a_result(counts={"submitted": 3, "refused": 2}), unusable=1, watched=8), Before(), LIMITS)
    assert (found.reject_rate, found.stale_share) == (Decimal("0.6667"), Decimal("0.125"))
    assert measure(an_end(has_observed=False, quotes={}), Before(), LIMITS).stale_share == 1


def test_the_stance_and_the_version_in_force_are_told() -> None:
    stance = Stance(mode=TradingMode.REDUCE_RISK_ONLY, reasons=("risk_budget: daily loss",))
    found = measure(an_end(stance=stance), Before(), LIMITS)
    assert (found.mode, found.narrowed_by) == (TradingMode.REDUCE_RISK_ONLY, ("risk_budget: daily loss",))
    assert (found.tuning_version, measure(an_end(tuning=None), Before(), LIMITS).tuning_version) == (7, None)


# -- trace -----------------------------------------------------------------------------------------------------------


def test_the_trace_tells_of_each_wish_what_became_of_it_and_why() -> None:
    end = an_end(
        verdicts=[
            a_verdict(number=1, symbol="SOLTRY"),
            a_verdict(number=2),
            a_verdict("risk_block:max_orders_per_cycle", number=3),
            a_verdict("risk_block:min_notional", number=4, symbol="BTCTRY"),
            a_verdict(number=5, symbol="XRPTRY"),
            a_verdict("draft_block:order_already_works", number=6, symbol="YFITRY"),
            a_verdict("draft_block:deferred_by_larger_orders", number=7, symbol="ZRXTRY"),
        ],
        orders=[
            an_order(1, symbol="SOLTRY", status=OrderStatus.UNKNOWN, reason="no answer within 4 s"),
            an_order(2, status=OrderStatus.ACCEPTED),
        ],
    )
    found = measure(end, Before(), LIMITS)
    assert [(each.symbol, each.became, each.why) for each in found.trace] == [
        ("ADATRY", "accepted", ""),
        ("ADATRY", "deferred", "risk_block:max_orders_per_cycle"),
        ("BTCTRY", "refused", "risk_block:min_notional"),
        ("SOLTRY", "unknown", "no answer within 4 s"),
        ("XRPTRY", "deferred", ""),
        ("YFITRY", "kept", "draft_block:order_already_works"),
        ("ZRXTRY", "deferred", "draft_block:deferred_by_larger_orders"),
    ]
    assert (found.refused, found.deferred) == (1, 3)


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (an_end(), "nothing_wished"),
        (an_end(a_result(counts={"submitted": 1})), ""),
        (an_end(fills=[a_fill()]), ""),
        (an_end(a_result(outcome=CycleOutcome.HALTED, reasons=("I9: x",))), "halted"),
        (
            an_end(a_result(outcome=CycleOutcome.OBSERVE_ONLY, reasons=("observe_only:venue_unavailable: time-out",))),
            "observe_only:venue_unavailable",
        ),
        (an_end(a_result(reasons=("gate_closed:kill_file",))), "gate_closed:kill_file"),
        (
            an_end(a_result(outcome=CycleOutcome.OBSERVE_ONLY, reasons=("BTCTRY: barred:repeated_refusals: 3 sells",))),
            "barred:repeated_refusals",
        ),
        (
            an_end(a_result(outcome=CycleOutcome.OBSERVE_ONLY, reasons=("budget:daily_loss: 618; by the evening",))),
            "budget:daily_loss",
        ),
        (
            an_end(
                verdicts=[a_verdict("allowed", 1), a_verdict("allowed", 2)],
                orders=[
                    an_order(1, status=OrderStatus.DENIED, reason="order:not_sent: no route to 10.0.0.1"),
                    an_order(2, status=OrderStatus.DENIED, reason="order:not_sent: no route to 10.0.0.2"),
                ],
            ),
            "order:not_sent",
        ),
        (
            an_end(verdicts=[a_verdict("b", 1), a_verdict("a", 2), a_verdict("a", 3), a_verdict("b", 4)]),
            "a",
        ),
        (an_end(verdicts=[a_verdict("b", 1), a_verdict("a", 2), a_verdict("b", 3)]), "b"),
        (an_end(verdicts=[a_verdict()]), "deferred"),
    ],
)
def test_why_a_cycle_did_not_trade(end: Ended, reason: str) -> None:
    assert measure(end, Before(), LIMITS).no_trades_reason == reason


# -- inputs ----------------------------------------------------------------------------------------------------------

INPUTS: dict[str, Any] = {
    "now_ms": NOW_MS,
    "quotes": {"ADATRY": (Decimal("99.95"), Decimal("100.05")), "BTCTRY": (Decimal(5), Decimal(6))},
    "account": an_account(TRY="1000", ADA=("5", "2")),
    "positions": {"ADATRY": a_position(quantity="5", cost="480")},
    "open_orders": [an_order(1), an_order(2, price="99")],
    "stance": FREE,
    "tuning": TUNING,
    "active": ("ADATRY", "BTCTRY"),
}


@pytest.mark.parametrize(
    "other",
    [
        {"now_ms": NOW_MS + 1},
        {"quotes": {"ADATRY": (Decimal("99.95"), Decimal("100.06")), "BTCTRY": (Decimal(5), Decimal(6))}},
        {"account": an_account(TRY="1000.01", ADA=("5", "2"))},
        {"positions": {"ADATRY": a_position(quantity="5", cost="480.5")}},
        {"open_orders": [an_order(1)]},
        {"stance": Stance(mode=TradingMode.OBSERVE_ONLY)},
        {"tuning": replace(TUNING, universe_size=21)},
        {"active": ("ADATRY",)},
    ],
)
def test_whatever_a_decision_stands_on_is_in_the_hash_of_its_inputs(other: dict[str, Any]) -> None:
    assert inputs_sha256(**INPUTS) != inputs_sha256(**{**INPUTS, **other})


def test_two_runs_that_saw_the_same_have_the_same_hash() -> None:
    same = {
        **INPUTS,
        "quotes": {"BTCTRY": (Decimal("5.00"), Decimal("6.0")), "ADATRY": (Decimal("99.950"), Decimal("100.05"))},
        "open_orders": [an_order(7, price="99.0", venue_order_id="other"), an_order(8)],
        "positions": {**INPUTS["positions"], "ETHTRY": a_position("ETHTRY")},
    }
    assert inputs_sha256(**INPUTS) == inputs_sha256(**same), "ids, order and trailing zeros do not count"
