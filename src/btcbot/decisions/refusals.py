"""Refusals: a symbol whose orders the venue keeps refusing is left alone for a while.

So many refusals of one symbol within the window, whatever their side, bar buys of it until the last of them is as old
as the cooldown. So many refused sells bar sells as well: until then, what is held can be sold. What the venue refuses
for a cause that is not the symbol's (the pace, the balance, the key) counts for none. A bar ends by itself; refusals
that led to it never count again.

    three refused buys                      no buys of the symbol, sells pass
    two refused buys and one refused sell   the same
    three refused sells                     no orders of the symbol
    three orders refused for their pace     nothing
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

import msgspec

from btcbot.domain import money
from btcbot.domain.intents import Side
from btcbot.domain.reasons import ReasonCode

_MINUTE_MS = 60_000
#: What the venue's word begins with where it says nothing about the symbol: the account, the pace, the key.
NOT_OF_THE_SYMBOL: Final = ("BALANCE_NOT_ENOUGH", "RATE", "UNAUTHORIZED", "FAILED_ORDER_WITH_OPEN_ORDERS")


class RefusalLimits(msgspec.Struct, frozen=True, kw_only=True):
    """From settings: so many refusals within the window bar a symbol for the cooldown."""

    threshold: int
    window_ms: int
    cooldown_ms: int


class RefusedOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An order that the venue refused for a cause of its symbol, made at `made_ms` (our clock)."""

    client_order_id: str
    symbol: str
    side: Side
    made_ms: int


class Bar(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Barred until `until_ms`, for `refused` orders, of which the newest was made at `counted_to_ms` (our clock)."""

    until_ms: int
    counted_to_ms: int
    refused: int


class Refusals(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What counts, oldest first, and the bars it led to, by symbol: of buys (`no_buys`) and of every order (`barred`).
    Of these are kept the ones that hold, and those that ended so lately that what led to them could still be counted.
    """

    counted: tuple[RefusedOrder, ...] = ()
    no_buys: Mapping[str, Bar] = {}
    barred: Mapping[str, Bar] = {}


def is_of_the_symbol(reason: str | None) -> bool:
    """Whether the venue's word for a refusal says something about the symbol, as far as we know."""
    return not (reason or "").startswith(NOT_OF_THE_SYMBOL)


def follow(before: Refusals, refused: Iterable[RefusedOrder], now_ms: int, limits: RefusalLimits) -> Refusals:
    """With what was refused since; an order that counted before counts once."""
    known = {one.client_order_id: one for one in (*before.counted, *refused)}
    young = (one for one in known.values() if one.made_ms > now_ms - limits.window_ms)
    counted = tuple(sorted(young, key=lambda one: (one.made_ms, one.client_order_id)))
    sells = [one for one in counted if one.side is Side.SELL]
    return Refusals(
        counted=counted,
        no_buys=_bars(before.no_buys, counted, now_ms, limits),
        barred=_bars(before.barred, sells, now_ms, limits),
    )


def no_buys(refusals: Refusals, now_ms: int, limits: RefusalLimits) -> Mapping[str, str]:
    """Why each symbol that may only be sold may not be bought."""
    all_barred = barred(refusals, now_ms, limits)
    return {
        symbol: _why(ReasonCode.BUYS_BARRED_REFUSALS, "orders", bar, now_ms, limits)
        for symbol, bar in refusals.no_buys.items()
        if now_ms < bar.until_ms and symbol not in all_barred
    }


def barred(refusals: Refusals, now_ms: int, limits: RefusalLimits) -> Mapping[str, str]:
    """Why each symbol that may not be ordered at all may not."""
    return {
        symbol: _why(ReasonCode.BARRED_REFUSALS, "sells", bar, now_ms, limits)
        for symbol, bar in refusals.barred.items()
        if now_ms < bar.until_ms
    }


def _bars(
    bars: Mapping[str, Bar], counted: Iterable[RefusedOrder], now_ms: int, limits: RefusalLimits
) -> Mapping[str, Bar]:
    made_ms: dict[str, list[int]] = {}
    for one in counted:
        bar = bars.get(one.symbol)
        if bar is None or one.made_ms > bar.counted_to_ms:
            made_ms.setdefault(one.symbol, []).append(one.made_ms)
    found = {symbol: bar for symbol, bar in bars.items() if _matters(bar, now_ms, limits)}
    for symbol, times_ms in made_ms.items():
        if len(times_ms) >= limits.threshold:
            newest_ms = max(times_ms)
            found[symbol] = Bar(until_ms=newest_ms + limits.cooldown_ms, counted_to_ms=newest_ms, refused=len(times_ms))
    return dict(sorted(found.items()))


def _matters(bar: Bar, now_ms: int, limits: RefusalLimits) -> bool:
    return now_ms < bar.until_ms or now_ms <= bar.counted_to_ms + limits.window_ms


def _why(code: ReasonCode, what: str, bar: Bar, now_ms: int, limits: RefusalLimits) -> str:
    left = money.divide_up(Decimal(bar.until_ms - now_ms), Decimal(_MINUTE_MS), 0)
    return (
        f"{code.value}: the venue refused {bar.refused} {what} within {limits.window_ms // _MINUTE_MS} minutes, "
        f"the limit is {limits.threshold}; {money.plain(left)} minutes are left"
    )
