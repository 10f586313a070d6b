"""Whatever is wished, what is allowed stays within every limit."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import NOW_MS, RATES, decimals
from tests.unit.decisions.drawn import LISTED, markets, wishes

from btcbot.decisions.risk import Allowed, RiskFacts, RiskLimits, evaluate
from btcbot.domain.intents import Intent, Side


@st.composite
def worlds(draw: st.DrawFn) -> RiskFacts:
    return RiskFacts(
        now_ms=NOW_MS,
        **draw(markets())._asdict(),
        unusable_quotes={},
        last_order_times_ms={
            (draw(st.sampled_from(LISTED)), draw(st.sampled_from(["buy", "sell"]))): NOW_MS
            - draw(st.integers(0, 2_000))
        },
        daily_pnl=draw(decimals("-600", "100", 0)),
        fee_rates=RATES,
    )


limits = st.builds(
    RiskLimits,
    orders_per_cycle_max=st.integers(1, 6),
    open_orders_per_symbol_max=st.integers(1, 4),
    cooldown_ms=st.just(1_000),
    order_notional_min=decimals("10", "200", 0),
    notional_per_cycle_max=decimals("100", "3000", 0),
    notional_per_order_max=st.just(Decimal(0)) | decimals("90", "800", 0),
    position_per_symbol_max=decimals("200", "5000", 0),
    exposure_max=decimals("200", "9000", 0),
    daily_loss_max=st.just(Decimal(500)),
    price_collar_bps=decimals("50", "200", 0),
    cash_reserve=decimals("0", "500", 0),
)


@settings(deadline=None, max_examples=400)
@given(intents=wishes(), facts=worlds(), within=limits)
def test_what_is_allowed_stays_within_every_limit(
    intents: tuple[Intent, ...], facts: RiskFacts, within: RiskLimits
) -> None:
    decisions = evaluate(intents, facts, within)
    allowed = [decision.intent for decision in decisions if isinstance(decision, Allowed)]
    buys = [intent for intent in allowed if intent.side is Side.BUY]
    sells = [intent for intent in allowed if intent.side is Side.SELL]
    in_doubt = {order.symbol for order in facts.open_orders if order.is_in_doubt}

    assert [decision.intent.intent_id for decision in decisions] == [intent.intent_id for intent in intents]
    assert len(allowed) <= within.orders_per_cycle_max
    assert sum((intent.value for intent in allowed), Decimal(0)) <= within.notional_per_cycle_max
    for intent, wish in ((d.intent, i) for d, i in zip(decisions, intents, strict=True) if isinstance(d, Allowed)):
        pair = facts.instruments[intent.symbol]
        assert pair.is_on_tick(intent.price) and pair.is_on_lot(intent.quantity)
        assert intent.value >= max(pair.value_min, within.order_notional_min)
        assert not within.notional_per_order_max or intent.value <= within.notional_per_order_max
        assert 0 < intent.quantity <= wish.quantity
        assert intent.price <= wish.price if intent.side is Side.BUY else intent.price >= wish.price
        assert abs(intent.price - 100) * 100 <= within.price_collar_bps
        assert intent.symbol in facts.quotes and intent.symbol not in in_doubt
        assert NOW_MS - facts.last_order_times_ms.get((intent.symbol, intent.side.value), 0) >= within.cooldown_ms

    open_count = Counter(order.symbol for order in facts.open_orders)
    for symbol, count in Counter(intent.symbol for intent in allowed).items():
        assert open_count[symbol] + count <= within.open_orders_per_symbol_max

    if buys:
        assert facts.daily_pnl > -within.daily_loss_max
        doubtful = {order.client_order_id for order in facts.open_orders if order.is_in_doubt}
        held = sum(
            (h.amount for h in facts.holds.values() if h.client_order_id in doubtful and h.asset == "TRY"), Decimal(0)
        )
        cost = sum((intent.value * (1 + RATES.taker) for intent in buys), Decimal(0))
        assert facts.account.free("TRY") - held - cost >= within.cash_reserve
        assert _invested(facts, buys, None) <= within.exposure_max
        for symbol in {intent.symbol for intent in buys}:
            assert _invested(facts, buys, symbol) <= within.position_per_symbol_max

    for symbol in {intent.symbol for intent in sells}:
        sold = sum((intent.quantity for intent in sells if intent.symbol == symbol), Decimal(0))
        on_sale = sum(
            (o.leaves_quantity for o in facts.open_orders if o.symbol == symbol and o.side is Side.SELL), Decimal(0)
        )
        assert sold + on_sale <= facts.positions[symbol].quantity
        assert sold <= facts.account.free(symbol.removesuffix("TRY"))


def _invested(facts: RiskFacts, buys: list[Intent], symbol: str | None) -> Decimal:
    """Positions at cost, and all that open and new buys may add: in one symbol, or in all."""
    position_cost = sum(
        (p.cost for p in facts.positions.values() if p.quantity and symbol in (None, p.symbol)), Decimal(0)
    )
    open_buys = sum(
        (o.price * o.leaves_quantity for o in facts.open_orders if o.side is Side.BUY and symbol in (None, o.symbol)),
        Decimal(0),
    )
    return position_cost + open_buys + sum((i.value for i in buys if symbol in (None, i.symbol)), Decimal(0))
