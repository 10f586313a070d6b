"""Whatever is written in whatever order, undone or kept, closed and opened again: the stores tell the same."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.contract.state_store import a_fill, a_note, a_report, a_verdict, an_order, everything

from btcbot.adapters.store import MemoryStore, SqliteStore
from btcbot.domain.intents import Side
from btcbot.domain.ledger import Account, Entry, EntryKind, Hold, Posting
from btcbot.domain.notes import NoteKind
from btcbot.domain.orders import OrderStatus
from btcbot.domain.positions import Position
from btcbot.errors import StoreFailed
from btcbot.ports import Discrepancy, Transaction

Act = Callable[[Transaction], object]

numbers = st.integers(1, 4)
amounts = st.decimals(min_value=-(10**12), max_value=10**12, places=10)
times = st.integers(0, 50)

orders = st.builds(
    lambda number, status, at, updated, filled, side, symbol, venue_id: an_order(
        number,
        status=status,
        created_at_ms=at,
        updated_at_ms=updated,
        filled_quantity=filled,
        side=side,
        symbol=symbol,
        venue_order_id=venue_id,
    ),
    numbers,
    st.sampled_from(OrderStatus),
    times,
    times,
    st.decimals(min_value=0, max_value=10, places=8),
    st.sampled_from(Side),
    st.sampled_from(["BTCTRY", "ADATRY"]),
    st.none() | st.sampled_from(["1", "2"]),
)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    asset, amount, part = draw(st.sampled_from(["TRY", "BTC"])), draw(amounts), draw(amounts)
    accounts = st.sampled_from(Account)
    return Entry(
        entry_id=f"entry:{draw(st.integers(1, 9))}",
        kind=draw(st.sampled_from(EntryKind)),
        at_ms=draw(times),
        postings=(
            Posting(draw(accounts), asset, amount),
            Posting(draw(accounts), asset, part),
            Posting(draw(accounts), asset, -amount - part),
        ),
    )


acts: st.SearchStrategy[Act] = st.one_of(
    orders.map(lambda order: lambda tx: tx.insert_order(order)),
    orders.map(lambda order: lambda tx: tx.update_order(order)),
    st.builds(
        lambda number, amount: (
            lambda tx: tx.put_hold(Hold(client_order_id=f"btcbot-test-{number}", asset="TRY", amount=amount))
        ),
        numbers,
        st.sampled_from([Decimal(0), Decimal("1.50"), Decimal("-1"), Decimal("1E-20")]),
    ),
    st.builds(
        lambda number, order, at: (
            lambda tx: tx.insert_fill(a_fill(number, client_order_id=f"btcbot-test-{order}", at_ms=at))
        ),
        st.integers(1, 9),
        numbers,
        times,
    ),
    entries().map(lambda entry: lambda tx: tx.insert_entry(entry)),
    st.builds(
        lambda symbol, quantity: lambda tx: tx.put_position(Position(symbol=symbol, quantity=quantity)),
        st.sampled_from(["BTCTRY", "ADATRY"]),
        amounts,
    ),
    st.builds(
        lambda number, cycle: lambda tx: tx.insert_verdict(a_verdict(number, cycle_id=f"cycle-{cycle}")),
        numbers,
        numbers,
    ),
    numbers.map(lambda number: lambda tx: tx.insert_cycle(a_report(number))),
    st.builds(
        lambda number, cycle, kind, at: (
            lambda tx: tx.insert_note(a_note(number, cycle_id=cycle and f"cycle-{cycle}", kind=kind, at_ms=at))
        ),
        numbers,
        st.sampled_from(["", "1", "2", "3"]),
        st.sampled_from([NoteKind.SNAPSHOT, NoteKind.CAPITAL]),
        times,
    ),
    st.lists(st.sampled_from(["TRY", "BTC", "ADA"]), max_size=3).map(
        lambda assets: (
            lambda tx: tx.put_discrepancies(
                [Discrepancy(asset=asset, amount=Decimal("-1.10"), first_seen_ms=1, seen_count=2) for asset in assets]
            )
        )
    ),
    st.builds(lambda key, value: lambda tx: tx.put_value(key, value), st.sampled_from(["key", "new"]), st.text()),
)


class _Undo(Exception):
    """The caller's own failure in the middle of a unit."""


class Stores(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "state.db"
        self.path.write_bytes(_EMPTY)
        self.file = SqliteStore.open(self.path)
        self.memory = MemoryStore()

    @rule(unit=st.lists(acts, max_size=6), undo=st.booleans())
    def write(self, unit: list[Act], undo: bool) -> None:
        told = []
        for store in (self.file, self.memory):
            answers: list[object] = []
            try:
                with store.transaction() as tx:
                    answers.extend(act(tx) for act in unit)
                    if undo:
                        raise _Undo
            except (StoreFailed, _Undo) as error:
                answers.append(type(error))
            told.append(answers)
        assert told[0] == told[1]

    @rule()
    def reopen(self) -> None:
        self.file.close()
        self.file = SqliteStore.open(self.path)

    @rule()
    def move_into_memory(self) -> None:
        copy = SqliteStore.from_image(self.file.image())
        assert everything(copy) == everything(self.file)
        copy.close()

    @invariant()
    def they_tell_the_same(self) -> None:
        if not hasattr(self, "file"):
            return
        assert everything(self.file) == everything(self.memory)
        for since_ms in (0, 25):
            assert self.file.orders(tuple(OrderStatus), since_ms) == self.memory.orders(tuple(OrderStatus), since_ms)
            assert self.file.fills(since_ms, 2) == self.memory.fills(since_ms, 2)
        assert list(self.file.notes(NoteKind.SNAPSHOT, 3, 20)) == list(self.memory.notes(NoteKind.SNAPSHOT, 3, 20))
        assert self.file.fills_after(2) == self.memory.fills_after(2)
        assert self.file.entries(2) == self.memory.entries(2)
        assert self.file.order_by_venue_id("1") == self.memory.order_by_venue_id("1")
        assert not [finding for finding in self.file.verify() if "balance" in finding or "zero" in finding]

    def teardown(self) -> None:
        if hasattr(self, "file"):
            self.file.close()
            self.folder.cleanup()


def _empty() -> bytes:
    store = SqliteStore.in_memory()
    image = store.image()
    store.close()
    return image


_EMPTY = _empty()

TestStores = Stores.TestCase
TestStores.settings = settings(
    max_examples=40, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
