"""What happens below the store: a killed process, a full disk, another writer, hands in the file."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest
from proof.disk_errors import live, positions
from proof.disk_stories import STORIES
from tests.contract.state_store import a_fill, a_report, an_entry, an_order, everything

from btcbot.adapters.store import SqliteStore
from btcbot.adapters.store.library import PREFERRED, STANDARD, Library
from btcbot.adapters.store.sqlite import SqliteTransaction
from btcbot.domain.ledger import Hold
from btcbot.domain.orders import OrderStatus
from btcbot.domain.positions import Position
from btcbot.errors import StoreFailed
from btcbot.testing.disks import Trouble
from proof import disk_errors

#: Writes units for ever and says the number of each one after it was committed.
WRITER = """
import sys
from pathlib import Path
from btcbot.adapters.store import SqliteStore
from btcbot.adapters.store.library import PREFERRED, STANDARD, Library
from btcbot.adapters.store.sqlite import SqliteTransaction
from proof import disk_errors
from proof.disk_errors import live, positions
from proof.disk_stories import STORIES
from tests.contract.state_store import an_entry, an_order
store = SqliteStore.open(Path(sys.argv[1]))
number = store.order_count()
while True:
    with store.transaction() as tx:
        tx.insert_order(an_order(number))
        tx.insert_entry(an_entry(number))
        tx.put_value("key", str(number))
    number += 1
    print(number, flush=True)
"""


def test_what_was_acknowledged_survives_sigkill(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    root = Path(__file__).parents[3]
    for wait_s in (0.0, 0.003, 0.011, 0.029):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)],
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": f"{root / 'src'}:{root}"},
        )
        assert child.stdout is not None
        told = [child.stdout.readline()]
        time.sleep(wait_s)
        child.kill()
        told += child.stdout.readlines()
        child.stdout.close()
        child.wait()
        acknowledged = int(next(line for line in reversed(told) if line.endswith("\n")))
        store = SqliteStore.open(path)
        count = store.order_count()
        # the last commit may have been made and not yet told
        assert acknowledged <= count <= acknowledged + 1
        assert store.entry_count() == count
        assert store.value("key") == str(count - 1)
        # I10 needs holds, which this writer does not set; everything else is sound
        assert [finding for finding in store.verify() if "has no hold" not in finding] == []
        store.close()


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_full_disk_undoes_the_unit_and_heals(tmp_path: Path, in_memory: bool) -> None:
    store = SqliteStore.in_memory() if in_memory else SqliteStore.open(tmp_path / "state.db")
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages + 3}")
    number = 0
    while number < 1_000:
        before = everything(store)
        failure = _why_not_written(store, number)
        if failure:
            break
        number += 1
    assert "no space is left" in failure
    assert "\n" not in failure
    assert number > 0
    assert everything(store) == before
    store._connection.execute("PRAGMA max_page_count = 100000")
    with store.transaction() as tx:
        tx.insert_order(an_order(number))
    assert store.order_count() == number + 1
    store.close()


def _why_not_written(store: SqliteStore, number: int) -> str:
    """Write a unit; an empty string, or why it could not be written."""
    try:
        with store.transaction() as tx:
            tx.insert_order(an_order(number, reason="x" * 500))
            tx.insert_entry(an_entry(number))
    except StoreFailed as failed:
        return str(failed)
    return ""


def test_another_writer_is_waited_for_and_then_told(tmp_path: Path) -> None:
    first = SqliteStore.open(tmp_path / "state.db")
    second = SqliteStore.open(tmp_path / "state.db", busy_timeout_ms=200)
    with first.transaction() as tx:
        tx.insert_order(an_order())
        began = time.monotonic()
        with pytest.raises(StoreFailed, match="another process holds the database"), second.transaction():
            pass
        assert 0.1 < time.monotonic() - began < 2
        assert second.order_count() == 0  # reading goes on
    with second.transaction() as tx:
        tx.insert_order(an_order(2))
    assert first.order_count() == 2
    first.close()
    second.close()


def test_a_copy_does_not_wait_for_ever_for_another_process(tmp_path: Path) -> None:
    library = Library(name="a test", module=PREFERRED.module, version=(3, 40, 1))  # with a journal, readers wait too
    store = SqliteStore.open(tmp_path / "state.db", busy_timeout_ms=100, library=library)
    other = library.module.connect(tmp_path / "state.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreFailed, match="another process holds the database: stop it, or wait"):
        store.backup(tmp_path / "copy.db")
    other.execute("ROLLBACK")
    assert [path.name for path in tmp_path.iterdir()] == ["state.db"]
    assert store.backup(tmp_path / "copy.db") == []
    other.close()
    store.close()


HOLDER = """
import sqlite3, sys
other = sqlite3.connect(sys.argv[1], isolation_level=None)
other.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_of_another_process_ends_with_it(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = SqliteStore.open(path, busy_timeout_ms=50, library=STANDARD)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None and holder.stdin is not None
    assert holder.stdout.readline() == "held\n"
    for number in (1, 2):
        with pytest.raises(StoreFailed, match="another process holds the database"), store.transaction() as tx:
            tx.insert_order(an_order(number))
    assert store.order_count() == 0
    assert store.verify() == []
    holder.kill()
    holder.wait()
    holder.stdin.close()
    holder.stdout.close()
    with store.transaction() as tx:
        tx.insert_order(an_order(3))
    assert store.order_count() == 1
    store.close()


# The disk fails at one operation: a slice of what `proof.disk_errors` tries in full


@pytest.mark.parametrize("name", STORIES)
@pytest.mark.parametrize("trouble", Trouble)
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
def test_a_disk_that_fails_anywhere_takes_nothing(name: str, trouble: Trouble, lasting: bool) -> None:
    story = STORIES[name]
    count = positions(story, trouble)
    assert count > 20
    for at in random.Random(f"{name} {trouble} {lasting}").sample(range(1, count + 1), 6):
        assert live(name, story, trouble, at, lasting=lasting) == []


def test_the_stories_see_what_a_careless_bot_would_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(self: object, kind: object, error: object, trace: object) -> bool:
        with contextlib.suppress(StoreFailed):
            original(self, kind, error, trace)
        return True  # whatever happened to the unit, go on and send

    original = SqliteTransaction.__exit__
    monkeypatch.setattr(SqliteTransaction, "__exit__", careless)
    count = positions(STORIES["bot"], Trouble.FULL)
    told = [
        line for at in range(1, count + 1, 3) for line in live("bot", STORIES["bot"], Trouble.FULL, at, lasting=True)
    ]
    assert any("was sent although the last unit failed" in line for line in told)
    assert any("was sent and is not in the database" in line for line in told)


def test_the_part_of_the_proof_counts_its_positions() -> None:
    one, two = disk_errors.run(slice=0, of=400), disk_errors.run(slice=1, of=400)
    assert not one.failures and not two.failures
    assert one.counts["positions"] + two.counts["positions"] > 20
    assert one.counts["lives"] == 2 * one.counts["positions"]


def test_what_was_booked_cannot_be_changed_even_by_hand(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "state.db")
    with store.transaction() as tx:
        tx.insert_order(an_order())
        tx.insert_fill(a_fill())
        tx.insert_entry(an_entry())
    for table, column in (("fills", "price"), ("entries", "memo"), ("postings", "amount")):
        for statement in (f"UPDATE {table} SET {column} = '1'", f"DELETE FROM {table}"):
            with pytest.raises(store._errors, match=f"{table} are written once"):
                store._connection.execute(statement)
    store.close()


@pytest.mark.parametrize(
    ("by_hand", "finding"),
    [
        (
            "UPDATE account_balances SET balance = '10.250000000000000001' WHERE account = 'venue'",
            "kept balance of venue",
        ),
        ("DELETE FROM account_balances WHERE account = 'fee'", "kept balance of fee in TRY is not kept"),
        ("UPDATE account_balances SET balance = 'much'", "cannot be read"),
        ("INSERT INTO entries VALUES (2, 'empty', 'fill', 1, '')", "entry empty has no postings"),
        ("INSERT INTO postings VALUES ('entry:1', 9, 'venue', 'TRY', '1')", "entry:1 does not sum to zero: 1 TRY"),
        ("UPDATE orders SET filled_quantity = '0.00011'", "says 0.00011 is filled, its fills sum to 0.0001"),
        ("UPDATE orders SET status = 'CANCELED'", "is held for order btcbot-test-1, which is CANCELED"),
        ("DELETE FROM holds", "is SUBMITTED and has no hold"),
        (
            "PRAGMA ignore_check_constraints = ON; UPDATE positions SET quantity = '-1'",
            "position of BTCTRY is negative",
        ),
        ("DELETE FROM cycles WHERE number = 2", "rows of cycles are missing"),
        ("PRAGMA foreign_keys = OFF; UPDATE orders SET client_order_id = 'x'", "belongs to no row of orders"),
    ],
)
def test_verify_tells_what_a_foreign_hand_did(by_hand: str, finding: str) -> None:
    store = SqliteStore.in_memory()
    with store.transaction() as tx:
        tx.insert_order(an_order(filled_quantity=Decimal("0.0001")))
        tx.put_hold(Hold(client_order_id="btcbot-test-1", asset="TRY", amount=Decimal(5)))
        tx.insert_fill(a_fill())
        tx.insert_entry(an_entry())
        tx.put_position(Position(symbol="BTCTRY", quantity=Decimal(1)))
        for number in (1, 2, 3):
            tx.insert_cycle(a_report(number))
    assert store.verify() == []
    for statement in by_hand.split("; "):
        store._connection.execute(statement)
    assert any(finding in told for told in store.verify()), store.verify()
    store.close()


def test_verify_tells_a_venue_order_that_two_orders_claim() -> None:
    store = SqliteStore.in_memory()
    with store.transaction() as tx:
        for number in (1, 2):
            tx.insert_order(an_order(number, venue_order_id="61", status=OrderStatus.FILLED))
    assert store.verify() == ["venue order 61 belongs to two of our orders"]
    store.close()


@pytest.mark.parametrize("by_hand", ["status = 'ODD'", "price = 'much'", "quantity = x'ff'"])
def test_a_row_that_no_btcbot_wrote_fails_the_store(by_hand: str) -> None:
    store = SqliteStore.in_memory()
    with store.transaction() as tx:
        tx.insert_order(an_order())
    store._connection.execute("PRAGMA ignore_check_constraints = ON")
    store._connection.execute(f"UPDATE orders SET {by_hand}")
    with pytest.raises(StoreFailed, match="no btcbot wrote"):
        store.order("btcbot-test-1")
    store.close()
