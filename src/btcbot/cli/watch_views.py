"""How `btcbot watch` shows a pair: as a picture on a terminal, a line a second into a pipe, or lines of JSON."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from btcbot.cli import output

if TYPE_CHECKING:
    from rich.console import RenderableType

    from btcbot.adapters.btcturk.feed_frames import PublicTrade
    from btcbot.cli.watch_state import Watch
    from btcbot.domain.feed import Top

TRADES_SHOWN: Final = 12
LINE_EVERY_S: Final = 1.0
#: The feed begins with the trades of before; a pair without any has none by then.
NEWS_FROM_S: Final = 5.0


def spread_bps(bid: Decimal, ask: Decimal) -> Decimal:
    """The spread in hundredths of a percent of the middle, to a tenth."""
    from btcbot.domain import money

    return money.divide_half_even(20_000 * (ask - bid), ask + bid, 1)


def _side(trade: PublicTrade) -> str:
    return "buy" if trade.is_buy else "sell"


def of(watch: Watch, *, as_json: bool) -> Shown:
    """The way that suits where the output goes."""
    if as_json:
        return JsonLines(watch)
    return Picture(watch) if sys.stdout is not None and sys.stdout.isatty() else PlainLines(watch)


class Shown(ABC):
    """One way to show a watch."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def opened(self) -> AbstractContextManager[object]:
        return nullcontext()

    @abstractmethod
    def tell(self) -> None:
        """Show what the last look has brought."""


class JsonLines(Shown):
    """`{"type":"book",…}` for each change of the best prices, null where none may be shown; `{"type":"trade",…}`."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(watch)
        self._last: Top | None = None
        self._has_told_none = False
        self._trade_ids: set[str] | None = None
        self._news_from_s = time.monotonic() + NEWS_FROM_S

    def tell(self) -> None:
        self._tell_trades()
        book = self._watch.book
        if book is None:
            if not self._has_told_none and self._last is not None:
                self._has_told_none, self._last = True, None
                output.json_line(
                    {**self._book(None), "at_ms": time.time_ns() // 1_000_000, "why": self._watch.why_nothing}
                )
            return
        offset_ms = time.time_ns() // 1_000_000 - time.monotonic_ns() // 1_000_000
        after = self._last
        for top in book.tops if after is not None else book.tops[-1:]:
            if after is None or (top.since_ms >= after.since_ms and _prices(top) != _prices(after)):
                output.json_line({**self._book(top), "at_ms": top.since_ms + offset_ms})
                after = top
        self._last, self._has_told_none = after, False

    def _book(self, top: Top | None) -> dict[str, object]:
        told: dict[str, object] = {"type": "book", "symbol": self._watch.symbol}
        if top is None:
            return {**told, "bid": None, "bid_quantity": None, "ask": None, "ask_quantity": None}
        told |= {"bid": top.bid, "bid_quantity": top.bid_quantity, "ask": top.ask, "ask_quantity": top.ask_quantity}
        return told

    def _tell_trades(self) -> None:
        trades = self._watch.trades
        if self._trade_ids is None:  # the feed begins with what was traded before: that is no news
            if not trades and time.monotonic() < self._news_from_s:
                return
            self._trade_ids = {trade.trade_id for trade in trades}
        for trade in trades:
            if trade.trade_id not in self._trade_ids:
                told = {
                    "id": trade.trade_id,
                    "side": _side(trade),
                    "price": trade.price,
                    "quantity": trade.quantity,
                    "at_ms": trade.at_ms,
                }
                output.json_line({"type": "trade", "symbol": self._watch.symbol, **told})
        if trades:
            self._trade_ids = {trade.trade_id for trade in trades}


def _prices(top: Top) -> tuple[Decimal, Decimal]:
    return top.bid, top.ask


class PlainLines(Shown):
    """One line a second."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(watch)
        self._next_s = time.monotonic() + LINE_EVERY_S

    def tell(self) -> None:
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = max(self._next_s + LINE_EVERY_S, now_s)
        watch, said = self._watch, [self._watch.symbol]
        if watch.book is not None:
            top = watch.book.top
            said.append(f"bid {output.amount(top.bid)} ({output.amount(top.bid_quantity)})")
            said.append(f"ask {output.amount(top.ask)} ({output.amount(top.ask_quantity)})")
            said.append(f"spread {output.amount(spread_bps(top.bid, top.ask))} bps")
        if watch.trades:
            last = watch.trades[-1]
            said.append(f"last {_side(last)} {output.amount(last.quantity)} at {output.amount(last.price)}")
        output.line(" · ".join([*said, watch.status()]))


class Picture(Shown):
    """Book and trades side by side, in place, the status below."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(watch)
        from rich.live import Live

        self._live = Live(auto_refresh=False, transient=False)

    def opened(self) -> AbstractContextManager[object]:
        return self._live

    def tell(self) -> None:
        self._live.update(self._drawn(), refresh=True)

    def _drawn(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        both = Table.grid(padding=(0, 4))
        both.add_row(self._drawn_book(), self._drawn_trades())
        return Group(both, Text(output.clean(self._watch.status()), style="dim"))

    def _drawn_book(self) -> RenderableType:
        from rich.table import Table
        from rich.text import Text

        watch, depth = self._watch, self._watch.depth
        drawn = Table(title=watch.symbol, title_style="bold", show_edge=False, pad_edge=False)
        for name in ("price", "quantity"):
            drawn.add_column(name, justify="right", min_width=14)
        if depth is None:
            drawn.add_row(Text("no book", style="yellow"), "")
            return drawn
        for level in reversed(depth.asks):
            drawn.add_row(Text(output.amount(level.price), style="red"), output.amount(level.quantity))
        if depth.asks and depth.bids:
            bps = spread_bps(depth.bids[0].price, depth.asks[0].price)
            drawn.add_row(Text("spread", style="dim"), Text(f"{output.amount(bps)} bps", style="dim"))
        for level in depth.bids:
            drawn.add_row(Text(output.amount(level.price), style="green"), output.amount(level.quantity))
        return drawn

    def _drawn_trades(self) -> RenderableType:
        from rich.table import Table
        from rich.text import Text

        drawn = Table(title="last trades", title_style="bold", show_edge=False, pad_edge=False)
        drawn.add_column("time", min_width=8)
        for name in ("price", "quantity"):
            drawn.add_column(name, justify="right", min_width=14)
        for trade in list(reversed(self._watch.trades))[:TRADES_SHOWN]:
            at = output.moment(trade.at_ms)[-9:-1]
            style = "green" if trade.is_buy else "red"
            drawn.add_row(at, Text(output.amount(trade.price), style=style), output.amount(trade.quantity))
        return drawn
