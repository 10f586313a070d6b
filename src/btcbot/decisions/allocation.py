"""Allocation: how much of each wish a cycle may put to work, and which wishes wait for the next one.

What may be invested is the free cash above the reserve, and of that the part that the usage mode allows. Replacements
come first whose old order has made room already, then the other wishes from the largest to the smallest; each one
leaves less cash, less room in its symbol and less of the cycle's cap for those after it. A wish is cut to what is left,
lifted to the venue's minimum where it falls short of it and there is room, and refused where neither will do. The
number of orders of a cycle is counted last, so that a wish that cannot be had takes nobody's place; the rest is
deferred.

A wish for a symbol in which an order of ours works already, on the same side, speaks of that order: the funds that the
order has locked are there for the wish, and only what goes beyond the order is new. Where orders are not looked after
that way (`orders_are_replaced` false), a working order is simply in the way.

Buying with cash below the reserve is refused, whatever is wished. A sell frees no cash for a buy of the same cycle: it
has not been filled yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

import msgspec

from btcbot.decisions.allotment import AllocationRules, Allotment
from btcbot.decisions.draft import Draft, DraftFacts
from btcbot.decisions.risk import RefusedIntent
from btcbot.domain import money
from btcbot.domain.intents import Intent, Side
from btcbot.domain.money import plain
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.replacements import replaces_another


class Allocation:
    """The shaper. `last_order_times_ms` tells when each (symbol, side) was last ordered, by our clock, as risk knows
    it: a wish that risk would refuse for its cooldown must not take another order's place here."""

    def __init__(
        self,
        rules: AllocationRules,
        last_order_times_ms: Callable[[], Mapping[tuple[str, str], int]] = dict,
    ) -> None:
        self._rules = rules
        self._last_order_times_ms = last_order_times_ms

    @property
    def name(self) -> str:
        return "allocation"

    def shape(self, draft: Draft, facts: DraftFacts) -> Draft:
        if not draft.intents:
            return draft
        return allocate(draft, facts, self._rules, self._last_order_times_ms())


def allocate(
    draft: Draft,
    facts: DraftFacts,
    rules: AllocationRules,
    last_order_times_ms: Mapping[tuple[str, str], int],
) -> Draft:
    """The draft with every wish sized or refused; equal ones stay in the order in which they were wished."""
    wishes, refused = _settle(draft.intents, one_a_side=rules.orders_are_replaced)
    allotment = Allotment(facts, rules, last_order_times_ms)
    # Sorting is stable: what the strategy wants most stays first among equals.
    wishes.sort(
        key=lambda one: (
            not replaces_another(one.intent_id),
            -_capped(one.value, rules.notional_per_intent_max),
        )
    )
    allowed: list[Intent] = []
    for wish in wishes:
        sized = allotment.size(wish, may_lift=wish.intent_id not in draft.cut)
        if isinstance(sized, RefusedIntent):
            refused.append(sized)
        else:
            allotment.take(sized)
            allowed.append(sized)
    return msgspec.structs.replace(draft, intents=tuple(allowed), refused=(*draft.refused, *refused))


def _settle(intents: Sequence[Intent], *, one_a_side: bool) -> tuple[list[Intent], list[RefusedIntent]]:
    """Wishes to buy and to sell one symbol come down to their difference: the smaller side is refused, the larger one
    is made smaller by it, the last wish first.

    `one_a_side`: a second wish for the same side of a symbol is refused. Where working orders are wished again, two
    wishes would speak of the same order.
    """
    repeated: list[RefusedIntent] = []
    if one_a_side:
        intents, repeated = _first_of_each_side(intents)
    wished: dict[tuple[str, Side], Decimal] = {}
    for one in intents:
        wished[one.symbol, one.side] = wished.get((one.symbol, one.side), money.ZERO) + max(one.quantity, money.ZERO)
    surplus = {key: quantity - wished.get(_against(key), money.ZERO) for key, quantity in wished.items()}
    kept: list[Intent] = []
    refused = repeated
    for one in intents:
        key = one.symbol, one.side
        if _against(key) not in wished:
            kept.append(one)
        elif surplus[key] <= 0:
            other = _against(key)
            detail = f"{plain(wished[other])} are wished on the other side, {plain(wished[key])} on this one"
            refused.append(RefusedIntent(one, ReasonCode.CONTRADICTED, detail))
        else:
            quantity = min(one.quantity, surplus[key])
            surplus[key] -= max(quantity, money.ZERO)
            why = one.why
            if quantity < one.quantity:
                why += f"; {plain(quantity)} of {plain(one.quantity)} are left, since the other side is wished too"
            kept.append(msgspec.structs.replace(one, quantity=quantity, why=why))
    return kept, refused


def _first_of_each_side(intents: Sequence[Intent]) -> tuple[list[Intent], list[RefusedIntent]]:
    first: dict[tuple[str, Side], Intent] = {}
    refused: list[RefusedIntent] = []
    for one in intents:
        before = first.setdefault((one.symbol, one.side), one)
        if before is not one:
            detail = f"{plain(before.quantity)} at {plain(before.price)} are wished before it"
            refused.append(RefusedIntent(one, ReasonCode.REPEATED, detail))
    return list(first.values()), refused


def _against(key: tuple[str, Side]) -> tuple[str, Side]:
    symbol, side = key
    return symbol, Side.SELL if side is Side.BUY else Side.BUY


def _capped(value: Decimal, cap: Decimal) -> Decimal:
    """`value`, or `cap` where that is less; a cap of zero is none."""
    return min(value, cap) if cap else value
