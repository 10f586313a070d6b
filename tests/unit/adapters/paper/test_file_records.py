"""The paper venue's file: what a new process finds there, and what is refused."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from tests.builders import NOW_MS, an_instrument, an_order

from btcbot.adapters.paper.file_records import FileRecords, path_beside
from btcbot.adapters.paper.matching import Level, MarketTrade
from btcbot.adapters.paper.venue import QuoteFillRules, Venue
from btcbot.adapters.store.library import PREFERRED
from btcbot.domain.intents import Side
from btcbot.domain.orders import Order
from btcbot.errors import Refused, StoreFailed

#: The same library as the records': two in one process do not see each other's locks.
sqlite3 = PREFERRED.module
RULES = QuoteFillRules(maker=Decimal("0.0012"), taker=Decimal("0.0024"))
ADA = an_instrument()
BOOK_ID = "k7f3aa01"
BIDS, ASKS = (Level(Decimal(99), Decimal(10)),), (Level(Decimal(101), Decimal(10)),)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return path_beside(tmp_path / "paper.db")


def opened(path: Path, *, book_id: str = BOOK_ID, is_new_book: bool = False) -> FileRecords:
    return FileRecords.open(path, book_id, {"TRY": Decimal(10_000)}, is_new_book=is_new_book)


@pytest.fixture
def records(path: Path) -> Iterator[FileRecords]:
    made = opened(path, is_new_book=True)
    yield made
    made.close()


def a_sell_trade(number: int, price: str = "99", quantity: str = "40") -> MarketTrade:
    return MarketTrade(NOW_MS + number, Decimal(price), Decimal(quantity), Side.SELL, str(number))


def a_buy(number: int, price: str = "100", quantity: str = "20") -> Order:
    return an_order(number, price=price, quantity=quantity)


def test_it_lies_beside_the_database_and_is_its_owners_alone(records: FileRecords, path: Path) -> None:
    assert path.name == "paper.db.venue"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_new_process_finds_everything_that_was_told(records: FileRecords, path: Path) -> None:
    venue = Venue(records, RULES)
    venue.show(ADA, BIDS, ASKS, NOW_MS)
    venue.submit(a_buy(1), ADA, NOW_MS)
    venue.submit(a_buy(2, price="101", quantity="15"), ADA, NOW_MS)  # takes ten, rests with five
    venue.trades(ADA, [a_sell_trade(5)], NOW_MS + 5)  # ten for us: five for the better order, five for the other
    venue.submit(a_buy(3, price="98"), ADA, NOW_MS + 6)
    venue.cancel(a_buy(3, price="98"), NOW_MS + 7)
    venue.commit()
    records.close()  # as the kernel does it for a killed process

    again = opened(path)
    other = Venue(again, RULES)
    assert other.balances == venue.balances
    assert other.fees == venue.fees
    assert other.open_orders() == venue.open_orders()
    assert [one.client_order_id[-1] for one in other.open_paper_orders()] == ["1"]
    assert [str(fill.quantity) for fill in again.trades(0)] == ["10.0000", "5.0000", "5.0000"]
    assert [row.is_canceled for row in again.orders("ADATRY", 0)] == [False, False, True]
    assert again.trades_of("paper-1") == [again.trades(0)[2]]
    found = again.order("paper-2")
    assert found is not None
    assert found.leaves == 0
    assert again.order("987") is None
    again.close()


def test_a_trade_used_before_a_kill_is_not_used_after_it(records: FileRecords, path: Path) -> None:
    venue = Venue(records, RULES)
    venue.show(ADA, BIDS, ASKS, NOW_MS)
    venue.submit(a_buy(1), ADA, NOW_MS)
    venue.trades(ADA, [a_sell_trade(5)], NOW_MS + 5)
    venue.commit()
    records.close()

    again = opened(path)
    other = Venue(again, RULES)
    other.list_pairs({"ADATRY": ADA})
    assert other.trades(ADA, [a_sell_trade(5), a_sell_trade(6, quantity="4")], NOW_MS + 9) == 1
    other.commit()
    assert sum(fill.quantity for fill in again.trades(0)) == 11
    again.close()


def test_what_was_not_kept_before_a_kill_happens_after_it_once(records: FileRecords, path: Path) -> None:
    """The queue's progress may be lost with the trades that made it: both are looked at again."""
    venue = Venue(records, RULES)
    venue.show(ADA, BIDS, ASKS, NOW_MS)
    venue.submit(a_buy(1, price="99"), ADA, NOW_MS)  # ten stand before it
    venue.commit()
    venue.trades(ADA, [a_sell_trade(5, quantity="8")], NOW_MS + 5)
    assert venue.commit_fills() == ()
    records.close()

    again = opened(path)
    other = Venue(again, RULES)
    other.list_pairs({"ADATRY": ADA})
    assert other.trades(ADA, [a_sell_trade(5, quantity="8"), a_sell_trade(6, quantity="4")], NOW_MS + 9) == 1
    assert [fill.quantity for fill in other.commit()] == [Decimal(1)]
    again.close()


def test_an_order_of_a_pair_that_is_not_listed_any_more_can_be_cancelled(records: FileRecords, path: Path) -> None:
    venue = Venue(records, RULES)
    venue.submit(a_buy(1), ADA, NOW_MS)
    venue.commit()
    records.close()

    again = opened(path)
    other = Venue(again, RULES)
    other.list_pairs({})
    assert other.cancel(a_buy(1), NOW_MS + 1) == 0
    other.list_pairs({"ADATRY": ADA})
    assert other.trades(ADA, [a_sell_trade(5)], NOW_MS + 5) == 0
    assert other.balances["TRY"].free == 10_000
    again.close()


def test_a_database_that_has_traded_does_not_begin_a_second_account(path: Path) -> None:
    with pytest.raises(Refused, match=r"paper\.db\.venue is missing"):
        opened(path)


def test_the_file_of_another_database_is_refused(records: FileRecords, path: Path) -> None:
    with pytest.raises(Refused, match="belongs to another database"):
        opened(path, book_id="ffffffff", is_new_book=True)


def test_a_start_that_died_before_its_first_cycle_begins_again(records: FileRecords, path: Path) -> None:
    opened(path, is_new_book=True).close()


def test_a_file_that_was_only_named_is_made_whole(path: Path) -> None:
    path.touch(0o600)
    opened(path, is_new_book=True).close()


def test_a_file_of_something_else_is_told(path: Path) -> None:
    path.write_bytes(b"no database" * 1_000)
    with pytest.raises(StoreFailed, match="cannot be read"):
        opened(path)


def test_a_file_of_a_later_version_is_refused(records: FileRecords, path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE about SET version = 2")
    connection.close()
    with pytest.raises(Refused, match="version 2"):
        opened(path)


def test_locks_that_no_order_explains_are_told(records: FileRecords, path: Path) -> None:
    venue = Venue(records, RULES)
    venue.submit(a_buy(1), ADA, NOW_MS)
    venue.commit()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE orders SET is_open = 0")
    connection.close()
    with pytest.raises(StoreFailed, match="contradicts itself"):
        records.load()


def test_when_the_file_cannot_be_written_nothing_more_is_told(records: FileRecords, path: Path) -> None:
    venue = Venue(records, RULES)
    reader = sqlite3.connect(path, isolation_level=None)
    records._connection.execute("PRAGMA busy_timeout = 1")
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM about").fetchall()  # who reads keeps others from writing
    venue.submit(a_buy(1), ADA, NOW_MS)
    with pytest.raises(StoreFailed, match="could not be written"):
        venue.commit()
    reader.close()
    with pytest.raises(StoreFailed):
        venue.commit_fills()
    with pytest.raises(StoreFailed):
        records.trades(0)
    records.close()

    again = opened(path)
    assert again.load()[1] == []
    again.close()
