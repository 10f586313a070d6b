"""Capture, look after look: what is stored, what is asked for, what is named as lost, and what a crash leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

pytest.importorskip("polars")

from btcbot.adapters.btcturk.feed_frames import PublicTrade
from btcbot.adapters.replay import capture as capture_module
from btcbot.adapters.replay.capture import Capture, Wanted
from btcbot.adapters.replay.capture_lines import IDS_KEPT, BarLine, Gap, QuoteLine, QuoteRow, TradeLine
from btcbot.adapters.replay.capture_spool import SPOOL_FILE, read_gaps
from btcbot.adapters.replay.dataset import Dataset
from btcbot.adapters.replay.tables import bars_of
from btcbot.adapters.replay.writer import DatasetWriter
from btcbot.domain.bars import Bar
from btcbot.domain.feed import FeedBook, FeedView, Top
from btcbot.domain.instrument import Instrument
from btcbot.domain.market import Quote
from btcbot.errors import Refused, VenueUnavailable
from btcbot.testing.manual_clock import ManualClock

MINUTE: Final = 60_000
NOON: Final = 1_790_164_800_000
BTC: Final = Instrument(
    symbol="BTCTRY",
    base="BTC",
    quote="TRY",
    price_scale=0,
    quantity_scale=8,
    value_min=Decimal(100),
    price_min=None,
    price_max=None,
    is_trading=True,
    takes_limit_orders=True,
)


def trade(number: int, at_ms: int = 0) -> PublicTrade:
    """One a second after noon, numbered upwards."""
    return PublicTrade(str(1_000_000 + number), at_ms or NOON + number * 1_000, Decimal(100), Decimal("0.1"), True)


def bar(open_time_ms: int, close: str = "100") -> Bar:
    price = Decimal(close)
    return Bar(
        symbol="BTCTRY",
        interval_ms=MINUTE,
        open_time_ms=open_time_ms,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=Decimal(1),
    )


def quote_row(seconds: float, bid: int = 100) -> QuoteRow:
    return QuoteRow(NOON + round(seconds * 1_000), Decimal(bid), Decimal(1), Decimal(bid + 1), Decimal(2))


# -- how far one table has come ----------------------------------------------------------------------------------------


def test_of_each_list_of_trades_only_the_new_ones_are_taken() -> None:
    line = TradeLine("BTCTRY", (), None)
    first, gap = line.take([trade(1), trade(2), trade(3)])
    assert ([one.trade_id for one in first], gap) == (["1000001", "1000002", "1000003"], None)
    more, gap = line.take([trade(2), trade(3), trade(4)])
    assert ([one.trade_id for one in more], gap) == (["1000004"], None)
    assert line.take([trade(2), trade(3), trade(4)]) == ([], None)
    assert line.take([]) == ([], None)


def test_a_trade_that_the_feed_lost_is_filled_in_from_a_later_list() -> None:
    line = TradeLine("BTCTRY", (), None)
    line.take([trade(1), trade(2), trade(4)])
    assert line.take([trade(1), trade(2), trade(3), trade(4)]) == ([trade(3)], None)


def test_a_list_that_does_not_reach_back_leaves_a_hole() -> None:
    line = TradeLine("BTCTRY", (), None)
    line.take([trade(1), trade(2)])
    new, gap = line.take([trade(60), trade(61)])
    assert len(new) == 2
    assert gap == Gap("trades", "BTCTRY", trade(2).at_ms, trade(60).at_ms, "more was traded than the venue lists")
    assert line.take([trade(61), trade(62)])[1] is None, "named once"


def test_the_first_list_of_all_is_no_hole() -> None:
    assert TradeLine("BTCTRY", (), None).take([trade(60)])[1] is None
    assert TradeLine("BTCTRY", ["1000059"], trade(59).at_ms).take([trade(60)])[1] is not None


def test_ids_are_forgotten_in_the_end() -> None:
    line = TradeLine("BTCTRY", (), None)
    for number in range(1, IDS_KEPT + 100):
        line.take([trade(number - 1), trade(number)] if number > 1 else [trade(number)])
    assert len(line._known) == IDS_KEPT


def test_a_quote_is_written_down_when_it_changes_and_no_oftener_than_wanted() -> None:
    line = QuoteLine("BTCTRY", None, interval_ms=1_000, gap_ms=5_000)
    rows = [quote_row(0), quote_row(0.2, 101), quote_row(0.9, 102), quote_row(1, 103), quote_row(2, 103)]
    taken = [line.take(row)[0] for row in rows]
    assert taken == [rows[0], None, None, rows[3], None]


def test_a_quote_that_stands_is_written_down_each_minute() -> None:
    line = QuoteLine("BTCTRY", None, interval_ms=1_000, gap_ms=5_000)
    times = [second for second in range(200) if line.take(quote_row(second))[0] is not None]
    assert times == [0, 60, 120, 180]


def test_time_in_which_nobody_looked_is_a_hole() -> None:
    line = QuoteLine("BTCTRY", NOON - 10_000, interval_ms=1_000, gap_ms=5_000)
    assert line.take(quote_row(0))[1] == Gap("quotes", "BTCTRY", NOON - 10_000, NOON, "nobody saw a book")
    assert line.take(quote_row(5))[1] is None
    row, gap = line.take(quote_row(10.001))
    assert row is not None, "the same quote: the first one after a hole tells where it ends"
    assert gap is not None


def test_bars_are_due_when_the_next_one_has_closed_and_settled() -> None:
    line = BarLine("BTCTRY", MINUTE, NOON)
    assert not line.is_due(NOON + 2 * MINUTE + 1_999, settle_ms=2_000)
    assert line.is_due(NOON + 2 * MINUTE + 2_000, settle_ms=2_000)
    assert line.since_ms(NOON + 2 * MINUTE) == (NOON, None), "the last one again: it may have been read early"


def test_bars_that_the_venue_leaves_out_are_named_once_another_one_follows() -> None:
    line = BarLine("BTCTRY", MINUTE, NOON)
    assert line.take([bar(NOON)]) == []
    assert line.take([bar(NOON), bar(NOON + 3 * MINUTE)]) == [
        Gap("bars", "BTCTRY", NOON + MINUTE, NOON + 3 * MINUTE, "the venue draws no bar")
    ]


def test_bars_of_too_long_ago_are_named_and_not_asked_for() -> None:
    line = BarLine("BTCTRY", MINUTE, NOON - 20_000 * MINUTE)
    since_ms, gap = line.since_ms(NOON)
    assert since_ms == NOON - 9_000 * MINUTE
    assert gap == Gap("bars", "BTCTRY", NOON - 19_999 * MINUTE, since_ms, "longer ago than is asked for")
    assert line.take([bar(since_ms)]) == [], "that hole is named already"


# -- the whole of it ---------------------------------------------------------------------------------------------------


class World:
    """A venue with a feed, a REST side and charts; a test says what each shows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self._began_ms = self.clock.monotonic_ns() // 1_000_000
        self.listed: list[PublicTrade] = []
        self.bid: int | None = 100
        self.is_connected = True
        self.is_reachable = True
        self.draws_bars = True
        self.asked: list[str] = []
        self.writer: DatasetWriter | None = None
        self.made: Capture | None = None

    @property
    def now_ms(self) -> int:
        return NOON + self.clock.monotonic_ns() // 1_000_000 - self._began_ms

    # REST and charts
    def venue_time_ms(self) -> int:
        return self.now_ms

    estimated_time_ms = venue_time_ms

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if not self.is_reachable:
            raise VenueUnavailable("no route to the venue")

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        self._ask("quotes")
        price = Decimal(self.bid or 100)
        return {
            symbol: Quote(
                symbol=symbol,
                bid=price,
                bid_quantity=Decimal(0),
                ask=price + 1,
                ask_quantity=Decimal(0),
                venue_time_ms=self.now_ms,
                received_at_ms=self.now_ms,
            )
            for symbol in symbols
        }

    def public_trades(self, symbol: str) -> Sequence[PublicTrade]:
        self._ask("trades")
        return self.listed[-50:]

    def bars(self, symbol: str, interval_ms: int, since_ms: int) -> Sequence[Bar]:
        self._ask("bars")
        times = range(since_ms // MINUTE * MINUTE, self.now_ms - MINUTE + 1, MINUTE) if self.draws_bars else ()
        return [bar(at, "100.00000000000001") for at in times]

    def close(self) -> None:
        pass

    # the feed
    def view(self) -> FeedView:
        top = Top(0, Decimal(self.bid or 0), Decimal(1), Decimal(self.bid or 0) + 1, Decimal(2))
        book = FeedBook(symbol="BTCTRY", tops=(top,), snapshot_at_ms=0, changed_at_ms=0)
        is_shown = self.is_connected and self.bid is not None
        return FeedView(
            connection=1,
            alive_at_ms=0 if self.is_connected else None,
            why_down="" if self.is_connected else "the connection broke",
            is_logged_in=False,
            books={"BTCTRY": book} if is_shown else {},
            without_book={},
        )

    def trades(self, symbol: str) -> Sequence[PublicTrade]:
        return self.listed[-50:] if self.is_connected else self.listed[:0]

    # driving
    def start(self, *tables: str, has_feed: bool = True, interval_ms: int = 1_000) -> Capture:
        self.writer = DatasetWriter.open(self.folder)
        wanted = Wanted(
            symbols=("BTCTRY",),
            tables=frozenset(tables or ("bars", "quotes", "trades")),
            interval_ms=interval_ms,
            instruments={"BTCTRY": BTC},
        )
        feed = self if has_feed else None
        self.made = Capture(wanted, self.writer, self.folder, clock=self.clock, rest=self, feed=feed, charts=self)
        return self.made

    def pass_s(self, made: Capture, seconds: float) -> None:
        for _ in range(round(seconds * 5)):
            self.clock.advance(0.2)
            made.step()

    def stop(self, made: Capture) -> None:
        made.close()
        self.release()

    def release(self) -> None:
        """What the end of a process does, however it ends."""
        if self.writer is not None:
            self.writer.close()
        if self.made is not None:
            self.made._spool._file.close()

    def stored(self, table: Any) -> Any:
        return Dataset.open(self.folder).recording(table, "BTCTRY").frame


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "data")
    yield made
    made.release()


def test_a_minute_of_everything(world: World) -> None:
    made = world.start()
    for number in range(60):
        world.listed.append(trade(number))
        world.bid = 100 + number
        world.pass_s(made, 1)
    world.pass_s(made, 10)
    world.stop(made)
    assert world.stored("trades")["trade_id"].to_list() == [trade(number).trade_id for number in range(60)]
    assert len(world.stored("quotes")) == 60
    assert world.stored("bars")["open_time_ms"].to_list() == [NOON - 2 * MINUTE, NOON - MINUTE, NOON]
    assert made.stored == {"bars": 3, "quotes": 60, "trades": 60}
    assert made.gaps == 0
    assert read_gaps(world.folder) == []
    assert not (world.folder / SPOOL_FILE).exists()


def test_bars_are_freed_of_the_noise_of_their_arithmetic(world: World) -> None:
    made = world.start("bars")
    world.pass_s(made, 4)
    world.stop(made)
    bars = Dataset.open(world.folder).bars("BTCTRY")
    assert bars.bar(0).close == Decimal(100), "the pair's prices are whole numbers"


def test_a_bar_is_not_believed_the_moment_it_closes(world: World) -> None:
    world.clock.advance(60.5)
    made = world.start("bars")
    world.pass_s(made, 1)
    assert made.waiting["bars"] == 1, "the minute before noon; that of noon closed a second ago"
    world.pass_s(made, 6)
    world.stop(made)
    assert world.stored("bars")["open_time_ms"].to_list() == [NOON - MINUTE, NOON]


def test_who_took_whom_is_kept(world: World) -> None:
    bought = trade(1)
    sold = PublicTrade("1000002", NOON + 2_000, Decimal(100), Decimal(1), is_buy=False)
    world.listed += [bought, sold]
    made = world.start("trades")
    world.pass_s(made, 1)
    world.stop(made)
    assert world.stored("trades")["is_buyer_maker"].to_list() == [False, True]


def test_what_the_feed_serves_is_not_asked_for(world: World) -> None:
    made = world.start("quotes", "trades")
    world.pass_s(made, 100)
    assert "quotes" not in world.asked
    assert world.asked.count("trades") == 2, "only held against the venue's list once a minute"


def test_rest_stands_in_while_the_feed_is_down(world: World) -> None:
    made = world.start("quotes", "trades")
    world.pass_s(made, 2)
    world.is_connected = False
    for number in range(20):
        world.listed.append(trade(number, world.now_ms))
        world.bid = 200 + number
        world.pass_s(made, 1)
    world.is_connected = True
    world.pass_s(made, 2)
    world.stop(made)
    assert len(world.stored("trades")) == 20
    assert made.gaps == 0
    bids = world.stored("quotes")
    assert len(bids) > 15
    assert bids["bid_quantity"].null_count() + bids["bid_quantity"].eq(0).sum() > 0, "a ticker tells no quantities"


def test_when_nothing_answers_the_hole_is_named_and_requests_become_rare(world: World) -> None:
    made = world.start("quotes", "trades")
    world.listed.append(trade(1))
    world.pass_s(made, 5)
    lost_from_ms = world.now_ms
    world.is_connected = world.is_reachable = False
    before = len(world.asked)
    world.pass_s(made, 120)
    assert len(world.asked) - before < 20
    assert "no route" in made.trouble
    world.listed += [trade(100 + number, world.now_ms) for number in range(60)]
    world.is_connected = world.is_reachable = True
    world.pass_s(made, 5)
    world.stop(made)
    gaps = {gap.table: gap for gap in read_gaps(world.folder)}
    assert gaps.keys() == {"quotes", "trades"}
    assert abs(gaps["quotes"].from_ms - lost_from_ms) < 1_000
    assert gaps["quotes"].to_ms - gaps["quotes"].from_ms == pytest.approx(120_000, abs=2_000)
    assert gaps["trades"].from_ms == trade(1).at_ms
    assert made.gaps == 2


def test_a_second_run_goes_on_where_the_first_ended(world: World) -> None:
    made = world.start()
    world.listed += [trade(number) for number in range(10)]
    world.pass_s(made, 5)
    world.stop(made)
    # Five minutes later; thirty trades in between, which the venue still lists.
    world.clock.advance(300)
    world.listed += [trade(number) for number in range(10, 40)]
    made = world.start()
    world.pass_s(made, 5)
    world.stop(made)
    assert world.stored("trades")["trade_id"].to_list() == [trade(number).trade_id for number in range(40)]
    assert world.stored("bars")["open_time_ms"].to_list() == [NOON + n * MINUTE for n in range(-2, 5)]
    assert [gap.table for gap in read_gaps(world.folder)] == ["quotes"], "only what was quoted then is gone"


def test_a_quiet_restart_doubles_nothing(world: World) -> None:
    world.listed += [trade(number) for number in range(10)]
    for _ in range(3):
        made = world.start()
        world.pass_s(made, 4)
        world.stop(made)
    assert len(world.stored("trades")) == 10
    assert world.stored("bars")["open_time_ms"].to_list() == [NOON - 2 * MINUTE, NOON - MINUTE]
    assert made.stored["trades"] == 0


def test_a_pair_without_bars_is_not_asked_for_all_the_time(world: World) -> None:
    made = world.start("bars")
    world.draws_bars = False
    world.pass_s(made, 60)
    assert world.asked.count("bars") == 12


# -- crashes -----------------------------------------------------------------------------------------------------------


def test_a_kill_loses_nothing_that_was_seen(world: World) -> None:
    made = world.start()
    for number in range(20):
        world.listed.append(trade(number))
        world.bid = 100 + number
        world.pass_s(made, 1)
    assert made.stored.total() == 0, "nothing of it is in the dataset yet"
    world.release()  # killed: nobody calls `close`
    world.listed = world.listed[-1:]  # and the venue's list does not help any more
    made = world.start()
    world.pass_s(made, 1)
    world.stop(made)
    assert world.stored("trades")["trade_id"].to_list() == [trade(number).trade_id for number in range(20)]
    assert len(world.stored("quotes")) >= 20
    assert read_gaps(world.folder) == []


def test_after_each_look_the_spool_holds_all_that_waits(world: World) -> None:
    made = world.start()
    for number in range(5):
        world.listed.append(trade(number))
        world.pass_s(made, 1)
        assert len((world.folder / SPOOL_FILE).read_bytes().splitlines()) == made.waiting.total() + made.gaps > 0


def test_nor_does_one_in_the_middle_of_a_line(world: World) -> None:
    made = world.start("trades")
    world.listed += [trade(number) for number in range(3)]
    world.pass_s(made, 1)
    world.release()
    spool = world.folder / SPOOL_FILE
    spool.write_bytes(spool.read_bytes()[:-20])
    world.stop(world.start("trades"))
    assert len(world.stored("trades")) == 2
    made = world.start("trades")
    world.pass_s(made, 1)
    world.stop(made)
    assert len(world.stored("trades")) == 3, "the row that was cut off is on the venue's list"


def test_a_kill_between_storing_and_emptying_the_spool_doubles_nothing(world: World, monkeypatch: Any) -> None:
    made = world.start()
    world.listed += [trade(number) for number in range(3)]
    world.pass_s(made, 2)
    world.clock.advance(20)
    world.pass_s(made, 2)
    with monkeypatch.context() as patched:
        patched.setattr(capture_module.Spool, "clear", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            made.store()
    before = {table: len(world.stored(table)) for table in ("bars", "quotes", "trades")}
    gaps = read_gaps(world.folder)
    world.release()
    world.stop(world.start())
    assert {table: len(world.stored(table)) for table in before} == before
    assert read_gaps(world.folder) == gaps


def test_two_captures_of_one_folder_are_one_too_many(world: World) -> None:
    world.start()
    with pytest.raises(Refused, match="another btcbot writes"):
        DatasetWriter.open(world.folder)
    world.release()


def test_bars_of_another_length_are_refused_at_once(world: World) -> None:
    with DatasetWriter.open(world.folder) as writer:
        hour = Bar(**{**{name: getattr(bar(NOON), name) for name in Bar.__struct_fields__}, "interval_ms": 3_600_000})
        writer.append("bars", "BTCTRY", bars_of("BTCTRY", 3_600_000, [hour]))
    with pytest.raises(Refused, match="3600 s long"):
        world.start()
    world.release()


def test_no_book_that_nobody_could_trade_on(world: World) -> None:
    made = world.start("quotes")
    world.bid = 0
    world.pass_s(made, 3)
    made._take_quote("BTCTRY", made._quotes["BTCTRY"], QuoteRow(NOON, Decimal(5), None, Decimal(4), None))
    world.stop(made)
    assert made.stored["quotes"] == 0
