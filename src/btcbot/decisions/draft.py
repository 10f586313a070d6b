"""The draft of a cycle: the strategy's wishes on their way to risk, and the upkeep of orders that already work.

A profile names the shapers that a draft passes. Each one may take wishes out (with the reason that ends up as a durable
verdict), make them smaller, or say what is to become of a working order; none may write anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from btcbot.decisions.fees import FeeRates
from btcbot.decisions.risk import RefusedIntent
from btcbot.domain.account import AccountSnapshot
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Intent
from btcbot.domain.ledger import Hold
from btcbot.domain.market import Quote
from btcbot.domain.orders import Order
from btcbot.domain.positions import Position
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.stance import Stance
from btcbot.domain.tuning import Tuning
from btcbot.domain.universe import Watched


class CancelWish(msgspec.Struct, frozen=True):
    """A working order that is to be taken out of the market, with nothing in its place."""

    client_order_id: str
    reason: ReasonCode


class ReplaceWish(msgspec.Struct, frozen=True):
    """A working order that is to make room for `intent`, which is sent when the old one is proved closed."""

    client_order_id: str
    intent: Intent
    reason: ReasonCode


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """`intents` are still wished, most wanted first; `refused` are not any more. `cut` are the ids of intents that were
    made smaller for safety's sake: nothing after that may make them larger again. `reasons` are for the cycle's report:
    what went wrong with a shaper, each beginning with its code."""

    intents: Sequence[Intent]
    refused: Sequence[RefusedIntent] = ()
    cancels: Sequence[CancelWish] = ()
    replaces: Sequence[ReplaceWish] = ()
    cut: frozenset[str] = frozenset()
    reasons: tuple[str, ...] = ()


class DraftFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What shapers may look at. `now_ms` is the venue's time, `local_ms` ours (orders' times are ours).

    `free_cash` is the free quote asset as the venue shows it, no reserve taken off; `equity` cash and positions at the
    last bid, None while a held symbol has never shown a price. `tuning` None: nothing is tuned.
    """

    cycle_id: str
    now_ms: int
    local_ms: int
    quote_asset: str
    instruments: Mapping[str, Instrument]
    quotes: Mapping[str, Quote]
    account: AccountSnapshot
    positions: Mapping[str, Position]
    open_orders: Sequence[Order]
    holds: Mapping[str, Hold]
    fee_rates: FeeRates
    free_cash: Decimal
    equity: Decimal | None
    universe: Watched
    stance: Stance
    tuning: Tuning | None = None
    #: Whether this cycle may ask anything of the venue or of anybody else; one that the feed woke may not.
    may_read: bool = True


class Shaper(Protocol):
    """The same draft and facts give the same draft; only an agent asks somebody else."""

    @property
    def name(self) -> str: ...

    def shape(self, draft: Draft, facts: DraftFacts) -> Draft: ...
