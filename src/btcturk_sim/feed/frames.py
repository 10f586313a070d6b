"""How the feed writes what it says: `[type, {..., "type": type}]`, prices and amounts as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

import msgspec

from btcturk_sim.candles import Candle
from btcturk_sim.feed.window import Window
from btcturk_sim.money import ZERO, divide_half_up, padded, plain, round_down
from btcturk_sim.pair import Pair, PublicTrade

Body = dict[str, object]

TICKER_ALL: Final = 401
TICKER: Final = 402
TRADE_LIST: Final = 421
TRADE: Final = 422
CHART: Final = 428
BOOK: Final = 431
BOOK_CHANGE: Final = 432
LOGIN: Final = 114
RESULT: Final = 100
REQUEST: Final = 101
JOIN: Final = 151
SYSTEM_MESSAGE: Final = 801
LOGGED_OUT: Final = 802
WELCOME: Final = 991

#: Amounts and prices of single trades, and the average price of a day, carry this many decimals.
TRADE_DECIMALS: Final = 10
_AVERAGE_DECIMALS: Final = 12
_NO_LEVEL: Final = ("0", "0")

_encoder: Final = msgspec.json.Encoder()


def encode(body: object) -> str:
    return _encoder.encode(body).decode()


def frame(kind: int, body: Body) -> str:
    return f"[{kind},{encode(body)}]"


WELCOME_TEXT: Final = frame(WELCOME, {"type": WELCOME, "current": "6.0.0", "min": "2.3.0"})


def result(message: str, *, ok: bool) -> str:
    return frame(RESULT, {"type": RESULT, "ok": ok, "message": message})


def logged_in(user_id: int) -> str:
    return frame(LOGIN, {"type": LOGIN, "id": user_id, "ok": True, "message": None})


def login_refused(message: str) -> str:
    return frame(LOGIN, {"type": LOGIN, "id": 0, "ok": False, "message": message})


def system_message(kind: int, user_id: int, message: str) -> str:
    return frame(kind, {"type": kind, "id": user_id, "ok": True, "message": message})


# --- books ------------------------------------------------------------------------------------------------------


def book_body(kind: int, pair: Pair, channel: str, sides: Mapping[str, object]) -> str:
    """A book's body without its CS, which differs from subscription to subscription; for `with_counter`."""
    symbol = pair.instrument.symbol
    return encode({"PS": symbol, **sides, "channel": channel, "event": symbol, "type": kind})


def with_counter(kind: int, counter: int, body: str) -> str:
    return f'[{kind},{{"CS":{counter},{body[1:]}]'


# --- tickers ----------------------------------------------------------------------------------------------------


def ticker_row(pair: Pair, window: Window) -> Body:
    """One pair's day; best prices and their amounts from `window`.

    In every recording D is the best ask less the day's first price, while DP is reckoned from the last one.
    """
    one, day = pair.instrument, pair.day.stats()
    bid, bid_amount = next(iter(window.bids.values()), _NO_LEVEL)
    ask, ask_amount = next(iter(window.asks.values()), _NO_LEVEL)
    change = pair.last - day.open
    percent = divide_half_up(abs(change) * 100, day.open, 2).copy_sign(change)
    return {
        "B": bid,
        "A": ask,
        "BA": bid_amount,
        "AA": ask_amount,
        "PS": one.symbol,
        "H": plain(max(day.high, pair.last)),
        "L": plain(min(day.low, pair.last)),
        "LA": plain(pair.last),
        "O": plain(day.open),
        "V": plain(day.volume),
        "AV": padded(day.average, _AVERAGE_DECIMALS),
        "D": plain(Decimal(ask) - day.open if window.asks else change),
        "DP": plain(percent),
        "DS": one.quote,
        "NS": one.base,
        "PId": one.id,
    }


def ticker(pair: Pair, window: Window) -> str:
    body = ticker_row(pair, window)
    return frame(TICKER, {**body, "channel": "ticker", "event": pair.instrument.symbol, "type": TICKER})


def ticker_all(pairs: Iterable[tuple[Pair, Window]]) -> str:
    items = [{**ticker_row(pair, window), "Ord": ordinal} for ordinal, (pair, window) in enumerate(pairs)]
    return frame(TICKER_ALL, {"items": items, "channel": "ticker", "event": "all", "type": TICKER_ALL})


# --- trades -----------------------------------------------------------------------------------------------------


def _trade_row(trade: PublicTrade, skew_ms: int, sides: Mapping[str, int]) -> Body:
    return {
        "D": str(trade.time_ms + skew_ms),
        "I": str(trade.id),
        "A": amount_text(trade.quantity),
        "P": amount_text(trade.price),
        "S": sides[trade.side.value],
    }


def amount_text(value: Decimal) -> str:
    return padded(round_down(value, TRADE_DECIMALS), TRADE_DECIMALS)


def trade_list(symbol: str, trades: Iterable[PublicTrade], skew_ms: int, sides: Mapping[str, int]) -> str:
    items = [_trade_row(one, skew_ms, sides) for one in trades]
    return frame(
        TRADE_LIST, {"symbol": symbol, "items": items, "channel": "trade", "event": symbol, "type": TRADE_LIST}
    )


def single_trade(symbol: str, trade: PublicTrade, skew_ms: int, sides: Mapping[str, int], *, time_is_text: bool) -> str:
    row = _trade_row(trade, skew_ms, sides)
    if not time_is_text:
        row["D"] = trade.time_ms + skew_ms
    return frame(TRADE, {**row, "PS": symbol, "channel": "trade", "event": symbol, "type": TRADE})


# --- charts -----------------------------------------------------------------------------------------------------


def chart(symbol: str, event: str, minutes: int, second: int, candle: Candle) -> str:
    body: Body = {
        "D": second,
        "P": symbol,
        "R": minutes,
        "O": plain(candle.open),
        "H": plain(candle.high),
        "L": plain(candle.low),
        "C": plain(candle.close),
        "V": plain(candle.volume or ZERO),
        "channel": "tradeview",
        "event": event,
        "type": CHART,
    }
    return frame(CHART, body)
