"""Upkeep: what becomes of working orders, seen from what is wished now.

For each pair and side, at most one order is to work:

- *keep*: a wish that equals a working order within a hair leaves it where it is, with its place in the queue. So does a
  wish that is another one but not far enough away, or an order too young to make room.
- *replace*: the order is stale, or its price is off what is wished now. The wish leaves the draft; it is sent when the
  old order is proved gone.
- *cancel*: the order is stale or off the market, and nobody wishes it any more; or it is a second one of its side.

Orders in doubt are left alone, and so is whatever is being cancelled, but for a cancellation that seems to have got
lost. A price is compared with the wish and the mid of its own pair only. Every wish that does not go on is refused with
its reason, so that each has its verdict.

This shaper comes before the allocation: cash that is locked in an order is not missing for the wish to keep it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from btcbot.decisions import lifecycle
from btcbot.decisions.draft import CancelWish, Draft, DraftFacts, ReplaceWish
from btcbot.decisions.risk import RefusedIntent
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Intent, Side
from btcbot.domain.money import plain
from btcbot.domain.orders import WORKING, Order, OrderStatus, is_ours
from btcbot.domain.reasons import ReasonCode, code_of
from btcbot.domain.replacements import replaces_another

#: A wish equals a working order when price and quantity differ by no more than this.
SAME_PRICE_BPS: Final = Decimal(5)
SAME_QUANTITY_BPS: Final = Decimal(100)

_Place = tuple[str, Side]


class UpkeepRules(msgspec.Struct, frozen=True, kw_only=True):
    """From settings. An order is stale at `ttl_ms`; it is off at `drift_bps` from where it would be put now.

    None younger than `age_ms_min` is replaced, and none that replaced another one is before `age_ms_min_again`: so one
    place is not ordered anew at every tick. `cancel_retry_ms`: a lost cancellation is asked for again.
    """

    ttl_ms: int
    drift_bps: Decimal
    order_notional_min: Decimal
    age_ms_min: int
    age_ms_min_again: int
    cancel_retry_ms: int


class Upkeep:
    """The shaper. In a cycle that may ask nothing of the venue it only keeps and refuses; the next whole one acts."""

    name = "upkeep"

    def __init__(self, rules: UpkeepRules) -> None:
        self._rules = rules

    def shape(self, draft: Draft, facts: DraftFacts) -> Draft:
        wished, superseded = one_for_each_place(draft.intents)
        fresh = {_place(intent) for intent in draft.intents if not replaces_another(intent.intent_id)}
        ours = [order for order in facts.open_orders if is_ours(order.client_order_id)]
        doubtful = frozenset(order.symbol for order in ours if order.is_in_doubt)
        intents: list[Intent] = []
        refused = [*draft.refused, *superseded]
        cancels = [*draft.cancels, *self._lost_cancels(ours, facts)]
        replaces = list(draft.replaces)
        for intent in wished:
            at_place = [order for order in ours if _place(order) == _place(intent)]
            working = [order for order in at_place if _may_be_touched(order)]
            if intent.symbol in doubtful:
                intents.append(intent)  # risk refuses it, and says why
            elif len(working) < len(at_place):
                going = next(order for order in at_place if not _may_be_touched(order))
                detail = f"the cancellation of {going.client_order_id} is under way"
                refused.append(RefusedIntent(intent, ReasonCode.REPLACE_UNDER_WAY, detail))
            elif not working:
                refusal = self._worse_than_none(intent, facts, is_fresh=_place(intent) in fresh)
                if refusal is None:
                    intents.append(intent)
                else:
                    refused.append(refusal)
            else:
                nearest = min(working, key=lambda order: (abs(order.price - intent.price), -order.created_at_ms))
                cancels += _surplus(working, nearest, facts)
                outcome = self._beside_order(intent, nearest, facts)
                if isinstance(outcome, ReplaceWish):
                    replaces.append(outcome)
                else:
                    refused.append(outcome)
        cancels += self._unwished(ours, {_place(intent) for intent in wished}, facts)
        return msgspec.structs.replace(draft, intents=intents, refused=refused, cancels=cancels, replaces=replaces)

    def _beside_order(self, intent: Intent, order: Order, facts: DraftFacts) -> ReplaceWish | RefusedIntent:
        """What a wish comes to whose place a working order has."""
        instrument = facts.instruments.get(intent.symbol)
        price = _on_tick(intent, instrument)
        away, is_stale = abs(order.price - price), self._is_stale(order, facts)

        def keep(code: ReasonCode, why: str) -> RefusedIntent:
            return RefusedIntent(intent, code, f"{order.client_order_id} works: {why}")

        is_same_price = away * 10_000 <= SAME_PRICE_BPS * price
        differs = abs(order.leaves_quantity - intent.quantity)
        if is_same_price and differs * 10_000 <= SAME_QUANTITY_BPS * intent.quantity:
            return keep(ReasonCode.ORDER_WORKS, "it is what is wished")
        is_off = away * 10_000 >= self._rules.drift_bps * price
        if not (is_stale or is_off):
            return keep(ReasonCode.ORDER_WORKS, f"{plain(order.price)} is near enough to {plain(price)}")
        if not facts.may_read:
            return keep(ReasonCode.ORDER_WORKS, "the next whole cycle may replace it")
        if instrument is None:
            return keep(ReasonCode.RULES_UNAVAILABLE, f"the venue lists no rules for {intent.symbol}")
        if price * intent.quantity < self._least(instrument):
            return keep(ReasonCode.MIN_NOTIONAL, f"{plain(price * intent.quantity)} is less than can be ordered")
        age_ms, least_ms = facts.local_ms - order.created_at_ms, self._age_ms_min(order)
        if 0 <= age_ms < least_ms:
            return keep(
                ReasonCode.REPLACE_TOO_SOON, f"it is {age_ms} ms old, and replaced at {least_ms} ms at the least"
            )
        reason = ReasonCode.REPLACED_STALE if is_stale else ReasonCode.REPLACED_DRIFTED
        return ReplaceWish(order.client_order_id, intent, reason)

    def _unwished(self, ours: Iterable[Order], wished: set[_Place], facts: DraftFacts) -> Sequence[CancelWish]:
        """Orders that nobody wishes: those too old or off the market go, and of several all but the newest."""
        if not facts.may_read:
            return []
        places: dict[_Place, list[Order]] = {}
        for order in ours:
            if _may_be_touched(order) and _place(order) not in wished:
                places.setdefault(_place(order), []).append(order)
        cancels: list[CancelWish] = []
        for orders in places.values():
            newest = max(orders, key=lambda order: (order.created_at_ms, order.client_order_id))
            cancels += _surplus(orders, newest, facts)
            if self._is_stale(newest, facts):
                cancels.append(CancelWish(newest.client_order_id, ReasonCode.CANCEL_STALE))
            elif self._is_off_its_own_mid(newest, facts):
                cancels.append(CancelWish(newest.client_order_id, ReasonCode.CANCEL_DRIFTED))
        return cancels

    def _is_off_its_own_mid(self, order: Order, facts: DraftFacts) -> bool:
        quote = facts.quotes.get(order.symbol)
        if quote is None or 0 <= facts.local_ms - order.created_at_ms < self._age_ms_min(order):
            return False
        return abs(order.price - quote.mid) * 10_000 >= self._rules.drift_bps * quote.mid

    def _worse_than_none(self, intent: Intent, facts: DraftFacts, *, is_fresh: bool) -> RefusedIntent | None:
        """Why a replacement that is due is better not sent.

        Nobody wishes it anew and upkeep itself would take it out again; or too little of it is left. It is not raised
        to what can be ordered: with what the old order filled, that would be more than was wished.
        """
        quote, instrument = facts.quotes.get(intent.symbol), facts.instruments.get(intent.symbol)
        if not replaces_another(intent.intent_id) or quote is None or instrument is None:
            return None  # where something is missing, risk refuses it and says what
        if intent.value < self._least(instrument):
            detail = f"{plain(intent.value)} is below the minimum of {plain(self._least(instrument))}"
            return RefusedIntent(intent, ReasonCode.MIN_NOTIONAL, detail)
        away = abs(intent.price - quote.mid)
        if is_fresh or away * 10_000 < self._rules.drift_bps * quote.mid:
            return None
        return RefusedIntent(
            intent, ReasonCode.REPLACE_DRIFTED, f"{plain(intent.price)} is off the mid of {plain(quote.mid)} by now"
        )

    def _least(self, instrument: Instrument) -> Decimal:
        """The least value of an order."""
        return max(instrument.value_min, self._rules.order_notional_min)

    def _lost_cancels(self, ours: Iterable[Order], facts: DraftFacts) -> Sequence[CancelWish]:
        """Cancellations that were asked for, had no effect, and are due again."""
        if not facts.may_read:
            return []
        due = lifecycle.cancels_due_again(ours, facts.local_ms, self._rules.cancel_retry_ms)
        return [CancelWish(order.client_order_id, _reason_of(order)) for order in due]

    def _is_stale(self, order: Order, facts: DraftFacts) -> bool:
        return facts.local_ms - order.created_at_ms >= self._rules.ttl_ms

    def _age_ms_min(self, order: Order) -> int:
        return self._rules.age_ms_min_again if replaces_another(order.intent_id) else self._rules.age_ms_min


def one_for_each_place(intents: Sequence[Intent]) -> tuple[Sequence[Intent], Sequence[RefusedIntent]]:
    """At most one wish for each pair and side, and the others refused.

    The last one stands: it was decided last. A replacement that is due lends it its name, so that the order that comes
    of it ends the replacement in the same unit, and one place is not ordered twice.
    """
    by_place: dict[_Place, list[Intent]] = {}
    for intent in intents:
        by_place.setdefault(_place(intent), []).append(intent)
    wished: list[Intent] = []
    refused: list[RefusedIntent] = []
    for same in by_place.values():
        due = [intent for intent in same if replaces_another(intent.intent_id)]
        fresh = [intent for intent in same if not replaces_another(intent.intent_id)]
        stands = (fresh or due)[-1]
        detail = f"{stands.intent_id} of the same side was decided later"
        refused += [RefusedIntent(intent, ReasonCode.SUPERSEDED, detail) for intent in (*due[:-1], *fresh[:-1])]
        if due and fresh:
            detail = f"ordered as {due[-1].intent_id}"
            refused.append(RefusedIntent(stands, ReasonCode.REPLACES, detail))
            stands = msgspec.structs.replace(stands, intent_id=due[-1].intent_id)
        wished.append(stands)
    return wished, refused


def _place(wanted: Intent | Order) -> _Place:
    return wanted.symbol, wanted.side


def _may_be_touched(order: Order) -> bool:
    """Working, and not on its way out."""
    return (
        order.status in WORKING
        and order.status is not OrderStatus.PENDING_CANCEL
        and order.cancel_requested_at_ms is None
        and order.venue_order_id is not None
    )


def _surplus(orders: Iterable[Order], kept: Order, facts: DraftFacts) -> Sequence[CancelWish]:
    """All of them but the one that is kept."""
    if not facts.may_read:
        return []
    return [CancelWish(order.client_order_id, ReasonCode.CANCEL_SURPLUS) for order in orders if order is not kept]


def _on_tick(intent: Intent, instrument: Instrument | None) -> Decimal:
    """The price that the order would get: on a coarse tick two wishes may be one order."""
    if instrument is None:
        return intent.price
    return instrument.price_down(intent.price) if intent.side is Side.BUY else instrument.price_up(intent.price)


def _reason_of(order: Order) -> ReasonCode:
    """Why its cancellation was asked for before."""
    try:
        return ReasonCode(code_of(order.reason or ""))
    except ValueError:
        return ReasonCode.CANCEL_STALE
