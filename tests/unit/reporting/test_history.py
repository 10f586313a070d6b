"""Reading the cycles of a long life: page by page, and without what a report does not ask for."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace
from tests.builders import a_report

from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.reporting.history import PAGE_CYCLES, newest_cycles

QUOTES = {"BTCTRY": (Decimal(100), Decimal(101))}
COUNT = 2 * PAGE_CYCLES + 5


def test_all_pages_are_read_and_only_cycles_that_ordered_keep_their_quotes() -> None:
    ordered = a_report(COUNT - PAGE_CYCLES - 1).cycle_id
    written = [
        a_report(number, quotes=QUOTES, counts={"intents": number % 2}, gates={"kill_switch": True})
        for number in range(1, COUNT + 1)
    ]
    store = SqliteStore.in_memory()
    try:
        with store.transaction() as tx:
            for report in written:
                tx.insert_cycle(report)
        lean = [one if one.cycle_id == ordered else replace(one, quotes={}) for one in reversed(written)]
        assert newest_cycles(store, COUNT + 100, {ordered}) == lean
        assert newest_cycles(store, PAGE_CYCLES + 1, {ordered}) == lean[: PAGE_CYCLES + 1]
        assert newest_cycles(store, 0, {ordered}) == []
        found = newest_cycles(store, COUNT, ())
        assert len({id(one.counts) for one in found}) == 2, "the same content is kept once"
        assert len({id(one.gates) for one in found}) == 1
    finally:
        store.close()
