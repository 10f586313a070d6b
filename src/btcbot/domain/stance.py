"""How freely a cycle may trade: what the watchers of a run narrow it to, and why.

A stance only ever narrows. Several of them are combined to the strictest, so that no part of the program can give back
what another one took.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from btcbot.domain import money


class TradingMode(StrEnum):
    """From the freest to the strictest. REDUCE_RISK_ONLY lets through sells of inventory and cancels."""

    NORMAL = "NORMAL"
    REDUCE_RISK_ONLY = "REDUCE_RISK_ONLY"
    OBSERVE_ONLY = "OBSERVE_ONLY"


_STRICTNESS: Final = {mode: rank for rank, mode in enumerate(TradingMode)}


class Stance(msgspec.Struct, frozen=True, kw_only=True):
    """`buy_share` (0 to 1) is the part of each buy that may be ordered; `symbols_max` the most symbols that may be
    bought, None for no such limit; `cash_kept` what of the free quote asset may not be invested; `barred` symbols that
    may not be ordered at all and `no_buys` symbols that may only be sold, each with why; `reasons` say who narrowed
    what, empty for a stance that narrows nothing.
    """

    mode: TradingMode = TradingMode.NORMAL
    buy_share: Decimal = money.ONE
    symbols_max: int | None = None
    cash_kept: Decimal = money.ZERO
    barred: Mapping[str, str] = {}
    no_buys: Mapping[str, str] = {}
    reasons: tuple[str, ...] = ()


FREE: Final = Stance()


def of_symbols(why: Mapping[str, str]) -> tuple[str, ...]:
    """The reasons of a stance for what single symbols may not: each begins with its code, as every reason does, and
    names the symbol after it. `why` by symbol: `{"BTCTRY": "budget:position_share: it is 45 %"}` gives
    `budget:position_share: BTCTRY: it is 45 %`."""
    found = []
    for symbol, text in why.items():
        code, _, detail = text.partition(": ")
        found.append(f"{code}: {symbol}: {detail}")
    return tuple(found)


def stricter_mode(one: TradingMode, other: TradingMode) -> TradingMode:
    """The stricter of two modes."""
    return one if _STRICTNESS[one] >= _STRICTNESS[other] else other


def strictest(stances: Iterable[Stance]) -> Stance:
    """What is left when all of them hold: the strictest mode, the least share and limit, every bar and reason."""
    found = FREE
    for stance in stances:
        if stance is FREE:
            continue
        limits = [limit for limit in (found.symbols_max, stance.symbols_max) if limit is not None]
        found = Stance(
            mode=stricter_mode(found.mode, stance.mode),
            buy_share=min(found.buy_share, stance.buy_share),
            symbols_max=min(limits, default=None),
            cash_kept=max(found.cash_kept, stance.cash_kept),
            barred={**stance.barred, **found.barred},
            no_buys={**stance.no_buys, **found.no_buys},
            reasons=(*found.reasons, *(reason for reason in stance.reasons if reason not in found.reasons)),
        )
    return found
