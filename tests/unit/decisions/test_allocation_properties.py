"""Whatever is wished, what allocation allows stays within what may be invested and within every cap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.builders import RATES, decimals, draft_facts
from tests.unit.decisions.drawn import LISTED, WISHED, markets, wishes

from btcbot.decisions.allocation import allocate
from btcbot.decisions.allotment import AllocationRules, UsageMode, investable
from btcbot.decisions.draft import Draft, DraftFacts
from btcbot.decisions.fees import hold_amount
from btcbot.domain import money
from btcbot.domain.intents import Intent, Side
from btcbot.domain.orders import WORKING
from btcbot.domain.stance import Stance


@st.composite
def worlds(draw: st.DrawFn) -> DraftFacts:
    market = draw(markets())
    return draft_facts(
        *LISTED,
        **market._asdict(),
        stance=Stance(cash_kept=draw(st.sampled_from([Decimal(0), Decimal(500)]))),
    )


@st.composite
def rule_books(draw: st.DrawFn) -> AllocationRules:
    return AllocationRules(
        cash_target=draw(decimals("0", "500", 0)),
        cash_max=Decimal(600),
        usage=draw(st.sampled_from(UsageMode)),
        usage_fraction=draw(decimals("0.01", "1", 2)),
        usage_cap=draw(decimals("100", "3000", 0)),
        fee_buffer=draw(decimals("0", "0.01", 4)),
        rounding_buffer=draw(st.sampled_from([Decimal(0), Decimal(7)])),
        position_per_symbol_max=draw(decimals("100", "4000", 0)),
        notional_per_cycle_max=draw(decimals("100", "5000", 0)),
        notional_per_intent_max=draw(st.sampled_from([Decimal(0), Decimal(150), Decimal(700)])),
        order_notional_min=draw(st.sampled_from([Decimal(10), Decimal(130)])),
        orders_per_cycle_max=draw(st.integers(1, 6)),
        cooldown_ms=60_000,
        orders_are_replaced=draw(st.booleans()),
    )


def working_of(facts: DraftFacts, rules: AllocationRules, wish: Intent) -> list[Any]:
    """The orders that a wish speaks of."""
    if not rules.orders_are_replaced:
        return []
    return [
        one for one in facts.open_orders if one.status in WORKING and (one.symbol, one.side) == (wish.symbol, wish.side)
    ]


@settings(max_examples=400, deadline=None)
@given(wishes(), worlds(), rule_books())
def test_the_sum_of_allowed_buys_never_exceeds_what_may_be_invested(
    intents: tuple[Intent, ...], facts: DraftFacts, rules: AllocationRules
) -> None:
    """With fee and buffers, beside what the orders that are wished again have locked already."""
    allowed = allocate(Draft(intents=intents), facts, rules, {}).intents
    buys = [one for one in allowed if one.side is Side.BUY]
    beside = 1 + max(rules.fee_buffer, RATES.taker)
    cost = money.total(one.value * beside + rules.rounding_buffer for one in buys)
    locked = money.total(
        hold_amount(order.side, order.price, order.leaves_quantity, RATES)
        for one in buys
        for order in working_of(facts, rules, one)
    )

    assert cost <= investable(facts, rules) + locked
    if not facts.open_orders:
        assert cost <= max(facts.free_cash - rules.cash_target - facts.stance.cash_kept, 0)


@settings(max_examples=400, deadline=None)
@given(wishes(), worlds(), rule_books())
def test_no_cap_is_ever_exceeded(intents: tuple[Intent, ...], facts: DraftFacts, rules: AllocationRules) -> None:
    allowed = allocate(Draft(intents=intents), facts, rules, {}).intents
    new = [one for one in allowed if not working_of(facts, rules, one)]
    working = money.total(
        order.price * order.leaves_quantity for one in allowed for order in working_of(facts, rules, one)
    )

    assert len(new) <= rules.orders_per_cycle_max
    assert money.total(one.value for one in allowed) <= rules.notional_per_cycle_max + working
    for one in allowed:
        instrument = facts.instruments[one.symbol]
        assert one.symbol in facts.quotes
        assert one.value >= max(instrument.value_min, rules.order_notional_min)
        assert instrument.is_on_lot(one.quantity) and instrument.is_on_tick(one.price)
        if rules.notional_per_intent_max:
            assert one.value <= rules.notional_per_intent_max
    for symbol in LISTED:
        position, bought, sold = facts.positions[symbol], money.ZERO, money.ZERO
        for one in allowed:
            if one.symbol == symbol and one.side is Side.BUY:
                bought += one.value * (1 + RATES.taker)
            elif one.symbol == symbol:
                sold += one.quantity
        assert sold <= position.quantity
        if bought:
            invested = max(position.cost, position.quantity * facts.quotes[symbol].ask)
            assert invested + bought <= rules.position_per_symbol_max


@settings(max_examples=300, deadline=None)
@given(wishes(), worlds(), rule_books())
def test_every_wish_is_allowed_once_or_refused_once_with_a_reason(
    intents: tuple[Intent, ...], facts: DraftFacts, rules: AllocationRules
) -> None:
    draft = allocate(Draft(intents=intents), facts, rules, {})
    told = Counter([one.intent_id for one in draft.intents] + [one.intent.intent_id for one in draft.refused])

    assert told == Counter(one.intent_id for one in intents)
    assert all(one.detail for one in draft.refused)
    for symbol in WISHED:
        assert len({one.side for one in draft.intents if one.symbol == symbol}) <= 1, "no contradiction is left"


def turned(facts: DraftFacts, order: Callable[[list[Any]], list[Any]]) -> DraftFacts:
    """The same facts, with every mapping filled in another order."""
    names = ("instruments", "quotes", "positions", "holds")
    return replace(facts, **{name: dict(order(list(getattr(facts, name).items()))) for name in names})


@settings(max_examples=200, deadline=None)
@given(wishes(), worlds(), rule_books(), st.randoms(use_true_random=False))
def test_the_result_does_not_depend_on_the_order_of_mappings(
    intents: tuple[Intent, ...], facts: DraftFacts, rules: AllocationRules, chance: Any
) -> None:
    def mixed(items: list[Any]) -> list[Any]:
        chance.shuffle(items)
        return items

    draft = Draft(intents=intents)
    assert allocate(draft, facts, rules, {}) == allocate(draft, turned(facts, mixed), rules, {})


@settings(max_examples=200, deadline=None)
@given(wishes(), worlds(), rule_books())
def test_larger_orders_never_wait_behind_smaller_ones(
    intents: tuple[Intent, ...], facts: DraftFacts, rules: AllocationRules
) -> None:
    """What is deferred was wished no larger than what goes, as far as the caps on one order let it."""
    draft = allocate(Draft(intents=intents), facts, rules, {})
    cap = rules.notional_per_intent_max or Decimal("Infinity")
    wished = {one.intent_id: min(one.value, cap) for one in intents}
    netted = {refusal.intent.symbol for refusal in draft.refused if "contradicts" in refusal.code}
    new = [one for one in draft.intents if not working_of(facts, rules, one) and one.symbol not in netted]
    for refusal in draft.refused:
        if "deferred" in refusal.code and refusal.intent.symbol not in netted:
            waiting = min(refusal.intent.value, cap)
            assert all(wished[one.intent_id] >= waiting for one in new)
