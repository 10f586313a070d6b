"""RefusalCooldown: bars symbols whose orders the venue keeps refusing, and remembers it across restarts.

An order is noted in the cycle in which it was refused, or in the next one, before the refusal can be confirmed. One
that the venue has placed after all no longer counts; a bar that it led to stands.
"""

from __future__ import annotations

from typing import Final

import msgspec

from btcbot.decisions import refusals
from btcbot.decisions.refusals import RefusalLimits, Refusals, RefusedOrder, is_of_the_symbol
from btcbot.domain.orders import OrderStatus
from btcbot.domain.stance import FREE, Stance, of_symbols
from btcbot.errors import Refused
from btcbot.ports import StateStore, Transaction
from btcbot.services.watching import CycleEnd, CycleFacts

#: The named value that holds what counts, and the bars.
REFUSAL_BARS: Final = "refusal_bars"

_REFUSED: Final = frozenset({OrderStatus.REJECTED, OrderStatus.REFUSED_PROVISIONAL})
_decode: Final = msgspec.json.Decoder(Refusals).decode
_encode: Final = msgspec.json.Encoder().encode


class RefusalCooldown:
    """An Overseer and a CycleWatcher."""

    name = "refusals"

    def __init__(self, store: StateStore, limits: RefusalLimits) -> None:
        self._store = store
        self._limits = limits
        self._text: str | None = None
        self._state = Refusals()
        self._kept()  # what cannot be read is told at the start, not in the middle of a cycle

    def look(self, facts: CycleFacts) -> Stance:
        kept = self._kept()
        barred = refusals.barred(kept, facts.local_ms, self._limits)
        no_buys = refusals.no_buys(kept, facts.local_ms, self._limits)
        if not barred and not no_buys:
            return FREE
        told = dict(sorted({**no_buys, **barred}.items()))
        return Stance(barred=barred, no_buys=no_buys, reasons=of_symbols(told))

    def cycle_ended(self, end: CycleEnd, tx: Transaction) -> None:
        """Note what the venue refused, in this cycle or in one that died before its end, and the bars it leads to."""
        before, now_ms = self._kept(), end.report.ended_at_ms
        found = [
            RefusedOrder(
                client_order_id=order.client_order_id,
                symbol=order.symbol,
                side=order.side,
                made_ms=order.created_at_ms,
            )
            for order in self._store.orders((OrderStatus.REFUSED_PROVISIONAL,), now_ms - self._limits.window_ms)
            if is_of_the_symbol(order.reason)
        ]
        still = tuple(one for one in before.counted if self._is_refused(one))
        after = refusals.follow(msgspec.structs.replace(before, counted=still), found, now_ms, self._limits)
        if after != before:
            tx.put_value(REFUSAL_BARS, _encode(after).decode())

    def _is_refused(self, counted: RefusedOrder) -> bool:
        order = self._store.order(counted.client_order_id)
        return order is None or order.status in _REFUSED

    def _kept(self) -> Refusals:
        """As it is in the database: a unit that failed has changed nothing."""
        text = self._store.value(REFUSAL_BARS)
        if text != self._text:
            try:
                self._state = Refusals() if text is None else _decode(text)
            except msgspec.MsgspecError as error:
                raise Refused(f"the refusal bars in the database cannot be read ({error}): restore a backup") from None
            self._text = text
        return self._state
