"""Narrowing: a stance applied to the wishes of a cycle.

Sells of inventory and whatever lowers the risk pass as long as they may; every wish that does not, is told why.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from btcbot.decisions.draft import Draft, DraftFacts
from btcbot.decisions.risk import RefusedIntent
from btcbot.domain import money
from btcbot.domain.intents import Intent, Side
from btcbot.domain.money import plain
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.stance import Stance, TradingMode

_WHOLE: Final = money.ONE


class Narrowing:
    """The shaper that enforces the stance and the universe. It comes before the upkeep of working orders, so that what
    may not be wished does not replace anything either."""

    name = "stance"

    def shape(self, draft: Draft, facts: DraftFacts) -> Draft:
        stance, kept, refused, cut = facts.stance, list[Intent](), list(draft.refused), set[str]()
        buyable = _buyable(facts)
        for intent in draft.intents:
            narrowed = _narrowed(intent, facts, stance, buyable)
            if isinstance(narrowed, RefusedIntent):
                refused.append(narrowed)
            else:
                kept.append(narrowed)
                if narrowed is not intent:
                    cut.add(narrowed.intent_id)
        return msgspec.structs.replace(draft, intents=kept, refused=refused, cut=draft.cut | cut)


def _buyable(facts: DraftFacts) -> frozenset[str]:
    """The symbols that may be bought: the first ones chosen, as many as the stance lets through."""
    active = facts.universe.active
    return frozenset(active if facts.stance.symbols_max is None else active[: facts.stance.symbols_max])


def _narrowed(intent: Intent, facts: DraftFacts, stance: Stance, buyable: frozenset[str]) -> Intent | RefusedIntent:
    if stance.mode is TradingMode.OBSERVE_ONLY:
        return RefusedIntent(intent, ReasonCode.OBSERVING, "; ".join(stance.reasons))
    if why := stance.barred.get(intent.symbol):
        return RefusedIntent(intent, ReasonCode.BARRED, why)
    if intent.side is Side.SELL:
        return intent
    if stance.mode is TradingMode.REDUCE_RISK_ONLY:
        return RefusedIntent(intent, ReasonCode.REDUCE_ONLY, "; ".join(stance.reasons))
    if why := stance.no_buys.get(intent.symbol):
        return RefusedIntent(intent, ReasonCode.NO_BUYS, why)
    if intent.symbol in facts.universe.winding_down or intent.symbol not in facts.universe.active:
        return RefusedIntent(intent, ReasonCode.NOT_SELECTED, f"{intent.symbol} is not among the symbols chosen")
    if intent.symbol not in buyable:
        return RefusedIntent(
            intent, ReasonCode.SYMBOLS_CAP, f"{intent.symbol} is not among the first {stance.symbols_max} symbols"
        )
    return _shared(intent, facts, stance.buy_share)


def _shared(intent: Intent, facts: DraftFacts, share: Decimal) -> Intent | RefusedIntent:
    """The part of a buy that the stance lets through."""
    instrument = facts.instruments.get(intent.symbol)
    if share >= _WHOLE or instrument is None:  # without rules risk refuses it, and says so
        return intent
    quantity = instrument.quantity_down(intent.quantity * share)
    if quantity <= 0 or quantity * intent.price < instrument.value_min:
        detail = (
            f"{plain(share)} of {plain(intent.value)} is less than the least order of {plain(instrument.value_min)}"
        )
        return RefusedIntent(intent, ReasonCode.MIN_NOTIONAL, "; ".join((detail, *facts.stance.reasons)))
    return msgspec.structs.replace(intent, quantity=quantity)
