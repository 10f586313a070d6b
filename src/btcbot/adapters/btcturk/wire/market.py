"""What BtcTurk tells anybody of its market: its time, best prices, and the trades of everybody.

An order book and a list of trades are refused as a whole where a row is bad; a ticker that cannot be read is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final, TypeVar

import msgspec
from msgspec import Raw

from btcbot.adapters.btcturk.feed_frames import PublicTrade
from btcbot.adapters.btcturk.wire import envelope, values
from btcbot.adapters.btcturk.wire.values import NULL, WireError
from btcbot.domain import money
from btcbot.domain.intents import Side
from btcbot.domain.market import NOT_TOLD, Quote
from btcbot.domain.scan import TickerRow

T = TypeVar("T")

# -- server time -------------------------------------------------------------------------------------------------------

_TIME_MS_MIN: Final = 1_400_000_000_000  # 2014: BtcTurk's interface is younger than that


class _ServerTime(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    server_time: Raw


_SERVER_TIME: Final = msgspec.json.Decoder(_ServerTime)


def server_time_ms(body: bytes) -> int:
    """Unix ms of GET /api/v2/server/time, which has no envelope."""
    made = values.time_ms(envelope.decode_body(_SERVER_TIME, body, "the server's time").server_time, "serverTime")
    if made < _TIME_MS_MIN:
        raise WireError("serverTime is not a time of this century's second decade or later")
    return made


# -- books and tickers -------------------------------------------------------------------------------------------------


class _Book(msgspec.Struct, frozen=True, gc=False):
    timestamp: Raw
    bids: list[tuple[Raw, Raw]]
    asks: list[tuple[Raw, Raw]]


class _Ticker(msgspec.Struct, frozen=True, gc=False):
    pair: str
    timestamp: Raw
    bid: Raw = NULL
    ask: Raw = NULL
    last: Raw = NULL
    volume: Raw = NULL
    average: Raw = NULL


_BOOK: Final = msgspec.json.Decoder(_Book)
_ROWS: Final = msgspec.json.Decoder(list[Raw])
_TICKER: Final = msgspec.json.Decoder(_Ticker)


def order_book(body: bytes, symbol: str, received_at_ms: int) -> Quote | None:
    """Best bid and ask of GET /api/v2/orderbook; None when a side is empty. Crossed books are typed all the same."""
    book = envelope.decode_data(_BOOK, body, "the order book")
    bids = [(values.decimal(p, "bid"), values.decimal(q, "bid amount")) for p, q in book.bids]
    asks = [(values.decimal(p, "ask"), values.decimal(q, "ask amount")) for p, q in book.asks]
    venue_time_ms = values.time_ms(book.timestamp, "timestamp")
    if not bids or not asks:
        return None
    # The best is looked for, not taken from the front: a list in the wrong order must not become a price.
    bid, bid_quantity = max(bids)
    ask, ask_quantity = min(asks)
    return Quote(
        symbol=symbol,
        bid=bid,
        bid_quantity=bid_quantity,
        ask=ask,
        ask_quantity=ask_quantity,
        venue_time_ms=venue_time_ms,
        received_at_ms=received_at_ms,
    )


def tickers(body: bytes, received_at_ms: int) -> dict[str, Quote]:
    """Quotes of GET /api/v2/ticker by symbol. A ticker tells no quantities: they are zero here."""

    def quote(symbol: str, ticker: _Ticker) -> Quote:
        return Quote(
            symbol=symbol,
            bid=values.decimal(ticker.bid, "bid"),
            bid_quantity=NOT_TOLD,
            ask=values.decimal(ticker.ask, "ask"),
            ask_quantity=NOT_TOLD,
            venue_time_ms=values.time_ms(ticker.timestamp, "timestamp"),
            received_at_ms=received_at_ms,
        )

    return _by_symbol(body, quote)


#: Volume and average are cut to these places before they are multiplied, so that their product always fits: it is
#: compared and ranked, never booked.
_VOLUME_PLACES: Final = 4
_AVERAGE_PLACES: Final = 8


def ticker_rows(body: bytes) -> dict[str, TickerRow]:
    """Rows of GET /api/v2/ticker by symbol, what a row does not tell left open. Unreadable rows are left out.

    `volume` is of the last 24 hours and in base; its worth is told by the average price of these hours.
    """
    return _by_symbol(body, _ticker_row)


def _ticker_row(symbol: str, ticker: _Ticker) -> TickerRow:
    return TickerRow(
        symbol=symbol,
        bid=values.decimal(ticker.bid, "bid"),
        ask=values.decimal(ticker.ask, "ask"),
        last=_told(ticker.last, "last"),
        quote_volume_24h=_worth(_told(ticker.volume, "volume"), _told(ticker.average, "average")),
        venue_time_ms=values.time_ms(ticker.timestamp, "timestamp"),
    )


def _by_symbol(body: bytes, made_of: Callable[[str, _Ticker], T]) -> dict[str, T]:
    """What is made of each row; one that cannot be read is left out."""
    made: dict[str, T] = {}
    for row in envelope.decode_data(_ROWS, body, "the tickers"):
        try:
            ticker = envelope.decode(_TICKER, row, "a ticker")
            symbol = values.symbol(ticker.pair)
            made[symbol] = made_of(symbol, ticker)
        except WireError:
            continue
    return made


def _told(raw: Raw, name: str) -> Decimal | None:
    return None if values.is_null(raw) else values.not_negative(raw, name)


def _worth(volume: Decimal | None, average: Decimal | None) -> Decimal | None:
    if volume is None or average is None:
        return None
    return money.round_down(volume, _VOLUME_PLACES) * money.round_down(average, _AVERAGE_PLACES)


# -- trades of everybody -----------------------------------------------------------------------------------------------


class _PublicTrade(msgspec.Struct, frozen=True, gc=False):
    pair: str
    date: Raw
    tid: Raw
    price: Raw
    amount: Raw
    side: str


_PUBLIC_TRADES: Final = msgspec.json.Decoder(list[_PublicTrade])


def public_trades(body: bytes, symbol: str) -> list[PublicTrade]:
    """Trades of GET /api/v2/trades, in the venue's order (newest first in all samples)."""
    made = []
    for row in envelope.decode_data(_PUBLIC_TRADES, body, "the trades"):
        if values.symbol(row.pair) != symbol:
            raise WireError("a trade is of another pair than the one asked for")
        made.append(
            PublicTrade(
                trade_id=values.number_identifier(row.tid, "a trade's id"),
                at_ms=values.time_ms(row.date, "a trade's time"),
                price=values.positive(row.price, "a trade's price"),
                quantity=values.positive(row.amount, "a trade's amount"),
                is_buy=values.side(row.side) is Side.BUY,
            )
        )
    return made
