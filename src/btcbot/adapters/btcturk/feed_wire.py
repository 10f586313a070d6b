"""The codec of the feed: text frames of BtcTurk's WebSocket to typed values, or `FrameError`. Pure; nothing is guessed.

Every frame is `[type, {…}]`. The type decides how the rest is read; types and fields that are not known are left alone,
as BtcTurk asks of its clients. Prices and amounts are texts on the wire and become exact decimals: a digit, a dot, and
nothing else that Python would also take for a number.

A `FrameError` tells what the reader needs to know besides that it could not read: which pair the frame was about, and
whether it may have been a change of a book. Such a frame that is lost is a change that is lost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Final, TypeVar

import msgspec
from msgspec import Raw

from btcbot.adapters.btcturk import feed_rows as rows
from btcbot.adapters.btcturk.feed_frames import (
    AccountFrame,
    Answer,
    BookDiff,
    BookSnapshot,
    Candle,
    Change,
    ChangeKind,
    Frame,
    Level,
    LoginAnswer,
    PublicTrade,
    SystemMessage,
    Ticker,
    Tickers,
    TradeList,
    Unknown,
    Welcome,
)
from btcbot.adapters.btcturk.wire import values
from btcbot.adapters.btcturk.wire.values import WireError
from btcbot.domain import money
from btcbot.domain.feed import AccountEventKind

__all__ = [
    "ACCOUNT_TYPES",
    "FRAME_BYTES_MAX",
    "KNOWN_TYPES",
    "OBDIFF",
    "TRADE",
    "Frame",
    "FrameError",
    "decode",
    "join",
]

#: Larger frames are not read. The largest honest one, the tickers of all pairs, has about 150 kB.
FRAME_BYTES_MAX: Final = 1024 * 1024
OBDIFF: Final = "obdiff"
TRADE: Final = "trade"

_BOOK_TYPES: Final = frozenset({431, 432})
#: Texts of numbers, each with a comma behind it. One match for a whole frame is ten times cheaper than one for each.
_NUMBERS: Final = re.compile(r"(?:[0-9]{1,25}(?:\.[0-9]{1,24})?,)*")
_VERSION: Final = re.compile(r"[0-9A-Za-z.+-]{1,40}")

T = TypeVar("T")


class FrameError(WireError):
    """A frame that cannot be read. Its text is safe to log.

    `type` is the frame's type where that could be read. `symbols` are the pairs that it names. `may_be_book` tells that
    it was, or may have been, a snapshot or a change of a book; with no pair named it may have been any book's.
    """

    def __init__(self, why: str, frame_type: int | None, symbols: tuple[str, ...] = ()) -> None:
        super().__init__(why)
        self.type = frame_type
        self.symbols = symbols
        self.may_be_book = frame_type is None or frame_type in _BOOK_TYPES


_HEAD: Final = msgspec.json.Decoder(tuple[int, Raw])
_LIST_HEAD: Final = re.compile(rb"\s*\[\s*([0-9]{1,4})\s*,")
_NAMES: Final = msgspec.json.Decoder(rows.Names)


# -- decoding ----------------------------------------------------------------------------------------------------------


def decode(data: bytes | str) -> Frame:
    """One frame. Raises FrameError, and nothing else, for whatever cannot be read."""
    frame_type: int | None = None
    body: Raw | None = None
    try:
        if len(data) > FRAME_BYTES_MAX:
            raise WireError(f"a frame of {len(data)} characters is beyond the limit")
        frame_type, body = _HEAD.decode(data)
        reader = _READERS.get(frame_type)
        return Unknown(frame_type) if reader is None else reader(body)
    except (msgspec.MsgspecError, UnicodeError, InvalidOperation, WireError) as error:
        why = values.for_people(str(error)) if isinstance(error, WireError | msgspec.MsgspecError) else "no number"
    except RecursionError:
        why = "nested too deeply"
    if body is None:
        frame_type = _type_at_the_front(data)
    name = "a frame" if frame_type is None else f"a frame {frame_type}"
    raise FrameError(f"{name} cannot be read: {why}", frame_type, _symbols_of(body))


def _type_at_the_front(data: bytes | str) -> int | None:
    """Of a frame whose rest is broken: a change of a book cut in two is still known for what it was."""
    front = data[:40]
    found = _LIST_HEAD.match(front if isinstance(front, bytes) else front.encode("ascii", "replace"))
    return int(found[1]) if found else None


def _symbols_of(body: Raw | None) -> tuple[str, ...]:
    """The pairs named in the body of a frame that could not be read otherwise, as far as they are names."""
    if body is None:
        return ()
    try:
        names = _NAMES.decode(body)
        named = [name for name in (names.PS, names.event) if isinstance(name, str)]
        return tuple(dict.fromkeys(values.symbol(name) for name in named))
    except (msgspec.MsgspecError, UnicodeError, WireError, RecursionError):
        return ()


def _symbol_of(first: str, second: str) -> str:
    """The pair of a frame that tells it twice."""
    if first != second:
        raise WireError("it names two pairs")
    return values.symbol(first)


def _decimals(texts: list[str]) -> list[Decimal]:
    """Exact and positive, within the magnitude of anything in the world."""
    if not texts:
        return []
    if _NUMBERS.fullmatch(",".join(texts) + ",") is None:
        raise WireError("a price or an amount is not a number")
    made = list(map(Decimal, texts))
    if not (min(made) > 0 and max(made) <= money.MAGNITUDE_MAX):
        raise WireError("a price or an amount is not positive, or out of range")
    return made


def _levels(side: list[rows.Level]) -> tuple[Level, ...]:
    prices = _decimals([row.P for row in side])
    amounts = _decimals([row.A for row in side])
    return tuple(map(Level, prices, amounts))


_KINDS: Final = {0: ChangeKind.UPDATE, 1: ChangeKind.INSERT, 3: ChangeKind.DELETE}


def _changes(side: list[rows.Change]) -> tuple[Change, ...]:
    if not side:
        return ()
    prices = _decimals([row.P for row in side])
    amounts = _decimals([row.A for row in side])
    return tuple(map(Change, [_KINDS[row.CP] for row in side], prices, amounts))


def _reader(kind: type[T], make: Callable[[T], Frame]) -> Callable[[Raw], Frame]:
    decoder = msgspec.json.Decoder(kind)
    return lambda body: make(decoder.decode(body))


def _snapshot(wire: rows.Snapshot) -> Frame:
    if wire.channel != OBDIFF:  # the channel `orderbook` counts apart: its books may not be mixed with ours
        return Unknown(431)
    return BookSnapshot(_symbol_of(wire.PS, wire.event), wire.CS, _levels(wire.AO), _levels(wire.BO))


def _diff(wire: rows.Diff) -> Frame:
    if wire.channel != OBDIFF:
        raise WireError("its channel is not obdiff")
    return BookDiff(_symbol_of(wire.PS, wire.event), wire.CS, _changes(wire.AO), _changes(wire.BO))


def _trade(row: rows.Trade) -> PublicTrade:
    return PublicTrade(
        trade_id=values.identifier(row.I, "a trade's id"),
        at_ms=values.time_ms(row.D, "D"),
        price=values.positive(row.P, "P"),
        quantity=values.positive(row.A, "A"),
        is_buy=row.S == 1,
    )


def _trades(wire: rows.Trades) -> Frame:
    symbol = values.symbol(wire.symbol or wire.event or "")
    return TradeList(symbol, tuple(map(_trade, wire.items)), is_whole=True)


def _one_trade(wire: rows.Trade) -> Frame:
    return TradeList(values.symbol(wire.PS or wire.event or ""), (_trade(wire),), is_whole=False)


def _one_ticker(row: rows.Ticker) -> Ticker:
    return Ticker(values.symbol(row.PS), values.not_negative(row.B, "B"), values.not_negative(row.A, "A"))


def _candle(row: rows.Candle) -> Frame:
    return Candle(
        symbol=values.symbol(row.P),
        start_s=values.time_ms(row.D, "D"),
        resolution=values.identifier(row.R, "R"),
        open=values.positive(row.O, "O"),
        high=values.positive(row.H, "H"),
        low=values.positive(row.L, "L"),
        close=values.positive(row.C, "C"),
        volume=values.not_negative(row.V, "V"),
    )


def _welcome(wire: rows.Welcome) -> Frame:
    if _VERSION.fullmatch(wire.current) is None or _VERSION.fullmatch(wire.min) is None:
        raise WireError("its versions are not such")
    return Welcome(wire.current, wire.min)


def _account(frame_type: int, kind: AccountEventKind) -> Callable[[Raw], Frame]:
    decoder = msgspec.json.Decoder(rows.Account)

    def make(body: Raw) -> Frame:
        wire = decoder.decode(body)
        if kind is AccountEventKind.BALANCE:
            return AccountFrame(frame_type, kind)
        if kind is AccountEventKind.FILL:
            if not wire.numerator_symbol or not wire.denominator_symbol:
                raise WireError("it names no pair")
            symbol = values.symbol(values.asset(wire.numerator_symbol) + values.asset(wire.denominator_symbol))
            order_id = values.number_identifier(wire.order_id, "orderId")
            trade_id: str | None = values.number_identifier(wire.id, "id")
        else:
            symbol = values.symbol(wire.symbol or "")
            order_id = values.number_identifier(wire.id, "id")
            trade_id = None
        client_id = wire.client_id or wire.order_client_id or wire.new_order_client_id or None
        if client_id is not None and not (client_id.isprintable() and len(client_id) <= values.TEXT_LENGTH_MAX):
            client_id = None  # none of ours, and nothing for a log
        return AccountFrame(frame_type, kind, symbol, order_id, client_id, trade_id)

    return make


def _system(frame_type: int) -> Callable[[Raw], Frame]:
    decoder = msgspec.json.Decoder(rows.System)
    return lambda body: SystemMessage(
        frame_type, values.for_people(bytes(decoder.decode(body).message).decode("utf-8", "replace"))
    )


_READERS: Final[Mapping[int, Callable[[Raw], Frame]]] = MappingProxyType(
    {
        100: _reader(rows.Answer, lambda wire: Answer(wire.ok, wire.message or "")),
        114: _reader(rows.Login, lambda wire: LoginAnswer(wire.ok, values.for_people(wire.message or ""))),
        201: _account(201, AccountEventKind.BALANCE),
        401: _reader(rows.Tickers, lambda wire: Tickers(tuple(map(_one_ticker, wire.items)))),
        402: _reader(rows.Ticker, lambda wire: Tickers((_one_ticker(wire),))),
        421: _reader(rows.Trades, _trades),
        422: _reader(rows.Trade, _one_trade),
        423: _account(423, AccountEventKind.FILL),
        428: _reader(rows.Candle, _candle),
        431: _reader(rows.Snapshot, _snapshot),
        432: _reader(rows.Diff, _diff),
        441: _account(441, AccountEventKind.MATCH),
        451: _account(451, AccountEventKind.INSERTED),
        452: _account(452, AccountEventKind.DELETED),
        453: _account(453, AccountEventKind.UPDATED),
        801: _system(801),
        802: _system(802),
        991: _reader(rows.Welcome, _welcome),
    }
)
#: The types that are read, for counting: all others are one.
KNOWN_TYPES: Final = frozenset(_READERS)
ACCOUNT_TYPES: Final = frozenset({201, 423, 441, 451, 452, 453})

# -- encoding ----------------------------------------------------------------------------------------------------------


def join(channel: str, symbol: str, *, is_join: bool) -> str:
    """The frame 151 that begins or ends a subscription."""
    return _text(151, {"type": 151, "channel": channel, "event": symbol, "join": is_join})


def _text(frame_type: int, body: dict[str, object]) -> str:
    return msgspec.json.encode([frame_type, body]).decode("ascii")
