"""Watches for orders that nobody can explain, and freezes new orders until a human has looked.

An order of ours that was missing and that the books have closed since is explained: a freeze that was about such orders
alone ends by itself.

Cancels pass, and nothing in here ever touches an order: foreign ones are not ours, and our own are looked after by
recovery.
"""

from __future__ import annotations

from btcbot.decisions import freeze
from btcbot.decisions.freeze import FreezeRecord, FreezeRules, Unexplained
from btcbot.domain.notes import Note, NoteKind
from btcbot.domain.orders import is_ours
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.stance import FREE, Stance, TradingMode
from btcbot.ports import Log, Metrics, StateStore, Transaction
from btcbot.services.freeze_record import (
    ORDER_FREEZE,
    ORDER_FREEZE_WATCH,
    FreezeNote,
    encoded,
    end_explained,
    read_acknowledged,
    read_freeze,
    read_watched,
)
from btcbot.services.watching import CycleEnd, CycleFacts


class FreezeOverseer:
    """An overseer and a watcher: looks once a cycle, and keeps what it counted with the cycle's report."""

    name = "freeze"

    def __init__(self, store: StateStore, metrics: Metrics, log: Log, rules: FreezeRules) -> None:
        self._store = store
        self._metrics = metrics
        self._log = log
        self._rules = rules
        self._watched = read_watched(store)
        self._kept = self._watched

    def look(self, facts: CycleFacts) -> Stance:
        """Freeze where it is proved: at once and durably, because every write of this cycle asks for it."""
        if self._rules.is_enabled and (facts.venue_open or facts.open_orders or self._watched):
            self._watch(facts)
        record = read_freeze(self._store)
        if record is not None and self._rules.is_enabled and self._is_explained(record):
            end_explained(self._store, record, facts.cycle_id, facts.local_ms)
            self._log.warning("freeze_explained", orders=[order.key for order in record.orders])
            record = None
        self._metrics.gauge("btcbot_orders_frozen", int(record is not None))
        if record is None:
            return FREE
        return Stance(
            mode=TradingMode.OBSERVE_ONLY, reasons=(f"{ReasonCode.UNEXPLAINED_ORDERS.value}: {record.reason}",)
        )

    def _watch(self, facts: CycleFacts) -> None:
        store = self._store
        known = {order.client_order_id for order in facts.open_orders}
        for row in facts.venue_open:
            shown_as = row.client_order_id
            if shown_as is None or not is_ours(shown_as) or shown_as in known:
                continue
            if store.order(shown_as) is not None:
                known.add(shown_as)
        found = freeze.unexplained(facts.venue_open, known, facts.open_orders, facts.shown_by_id)
        self._watched = freeze.watch(self._watched, found, facts.now_ms, self._rules)
        if not self._watched:
            return
        proved = freeze.proved(self._watched, read_acknowledged(store), facts.now_ms, self._rules)
        if proved:
            self._freeze(facts, proved)

    def _is_explained(self, record: FreezeRecord) -> bool:
        def is_closed(client_order_id: str) -> bool:
            order = self._store.order(client_order_id)
            return order is not None and not order.is_open

        acknowledged = read_acknowledged(self._store)
        return freeze.is_explained(record, is_closed, self._watched, acknowledged, self._rules)

    def _freeze(self, facts: CycleFacts, proved: tuple[Unexplained, ...]) -> None:
        before = read_freeze(self._store)
        held = () if before is None else before.orders
        new = tuple(order for order in proved if order.key not in {one.key for one in held})
        if not new:
            return
        since_ms = facts.local_ms if before is None else before.since_ms
        record = FreezeRecord(
            since_ms=since_ms, cycle_id=facts.cycle_id if before is None else before.cycle_id, orders=(*held, *new)
        )
        what = "frozen" if before is None else "extended"
        body = encoded(FreezeNote(what=what, orders=new))
        with self._store.transaction() as tx:
            tx.put_value(ORDER_FREEZE, encoded(record))
            tx.insert_note(Note(kind=NoteKind.FREEZE, cycle_id=facts.cycle_id, at_ms=facts.local_ms, body=body))
        self._log.error(
            "frozen_by_unexplained_orders",
            what=what,
            orders=[f"{order.kind.value} {order.symbol}: {order.detail}" for order in new],
            mend="look at them, then «btcbot freeze clear --yes»",
        )

    def cycle_ended(self, end: CycleEnd, tx: Transaction) -> None:
        """Keep what was seen in a row: a restart must not begin to count anew."""
        if self._watched != self._kept:
            tx.put_value(ORDER_FREEZE_WATCH, encoded(self._watched) if self._watched else "")
            self._kept = self._watched
