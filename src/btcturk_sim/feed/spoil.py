"""What a fault does to one frame, or to one connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

import msgspec

from btcturk_sim.feed import frames
from btcturk_sim.feed.faults import FeedKind, FeedRule
from btcturk_sim.feed.subscription import Frame
from btcturk_sim.feed.window import UPDATED
from btcturk_sim.money import plain

if TYPE_CHECKING:
    from btcturk_sim.feed.hub import Feed
    from btcturk_sim.feed.session import Session

_FLOOD_FRAMES: Final = 1_000
_HUGE_BYTES: Final = 9_000_000
_DEPTH: Final = 100_000
_SPIKE: Final = 100
_GARBAGE: Final = '{"this": is not a frame'
#: Fields of a ticker and of other frames that hold prices.
_TICKER_PRICES: Final = ("B", "A", "H", "L", "LA", "O")
_PRICES: Final = ("P", "price")
_SYMBOLS: Final = ("PS", "symbol")
_TIMES: Final = ("D", "timestamp")

_decoder: Final = msgspec.json.Decoder(float_hook=Decimal)
_encoder: Final = msgspec.json.Encoder(decimal_format="number")
_Row = dict[str, Any]


class _Fate(msgspec.Struct):
    """What becomes of a frame."""

    frame: Frame
    copies: int = 1
    is_held: bool = False
    flood: int = 0


class Spoiler:
    """Lets the rules in force act on what a session is sent."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def send(self, session: Session, frame: Frame, at_ms: int) -> None:
        """Queue a frame as far as the faults let it through."""
        faults, fate = self._feed.faults, _Fate(frame)
        for rule in faults.meeting(session, frame):
            if self._strike(rule, session, fate, at_ms):
                faults.strike(rule)
            if session.ended is not None or session.is_silent:
                return
        if fate.is_held and fate.copies:
            session.hold(fate.frame)
            return
        for _ in range(fate.copies):
            session.queue(fate.frame, at_ms)
        for text in self._flood(fate):
            session.queue(msgspec.structs.replace(fate.frame, text=text), at_ms)

    def strike_session(self, kind: FeedKind, params: _Row, session: Session, at_ms: int) -> bool:
        """Do it to the connection; False where it makes no difference."""
        match kind:
            case FeedKind.SOCKET_CLOSED:
                session.close(params.get("code", 1011), params.get("reason", ""), at_ms)
            case FeedKind.SOCKET_ABORTED:
                session.abort(at_ms)
            case FeedKind.SOCKET_HALF_OPEN:
                session.fall_silent()
            case FeedKind.HEARTBEAT_LOST:
                session.stop_heartbeat()
            case FeedKind.LOGIN_LOST:
                if session.account is None:
                    return False
                if params.get("announced", False):
                    self._feed.announce_logout(session, at_ms)
                else:
                    self._feed.log_out(session)
            case _:
                session.queue(Frame(0, str(params.get("text", _GARBAGE))), at_ms)
        return True

    def _strike(self, rule: FeedRule, session: Session, fate: _Fate, at_ms: int) -> bool:
        """Let one rule act; whether it found something to spoil."""
        params = rule.params
        match rule.kind:
            case FeedKind.FRAME_LOST:
                fate.copies = 0
            case FeedKind.FRAME_DOUBLED:
                fate.copies *= params.get("times", 2)
            case FeedKind.FRAMES_SWAPPED:
                fate.is_held = True
            case FeedKind.FRAME_DELAYED:
                session.hold_up(at_ms, params["delay_ms"])
            case FeedKind.FLOOD:
                fate.flood = params.get("frames", _FLOOD_FRAMES)
            case FeedKind.EVENTS_STOP:
                session.muted |= rule.types or {fate.frame.type}
                fate.copies = 0
            case FeedKind.SOCKET_CLOSED | FeedKind.SOCKET_ABORTED | FeedKind.SOCKET_HALF_OPEN:
                return self.strike_session(rule.kind, params, session, at_ms)
            case FeedKind.HEARTBEAT_LOST:
                return self.strike_session(rule.kind, params, session, at_ms)
            case FeedKind.LOGIN_LOST:
                if fate.frame.is_private:
                    fate.copies = 0
                return self.strike_session(rule.kind, params, session, at_ms)
            case _:
                text = self._altered(rule, fate.frame, at_ms)
                if text is None:
                    return False
                fate.frame = msgspec.structs.replace(fate.frame, text=text)
        return True

    def _flood(self, fate: _Fate) -> Iterator[str]:
        """More frames that may lawfully come: deltas that change nothing, or the same again."""
        frame, subscription = fate.frame, fate.frame.subscription
        if frame.type != frames.BOOK_CHANGE or subscription is None:
            yield from (frame.text for _ in range(fate.flood))
            return
        window = self._feed.channels.window(frame.event)
        sides: dict[str, object] = {"AO": [], "BO": []}
        if window is not None and window.bids:
            price, amount = next(iter(window.bids.values()))
            sides["BO"] = [{"CP": UPDATED, "P": price, "A": amount}]
        body = frames.book_body(frames.BOOK_CHANGE, self._feed.engine.pairs[frame.event], frame.channel, sides)
        for _ in range(fate.flood):
            subscription.counter += 1
            yield frames.with_counter(frames.BOOK_CHANGE, subscription.counter, body)

    # --- other text -------------------------------------------------------------------------------------------

    def _altered(self, rule: FeedRule, frame: Frame, at_ms: int) -> str | None:
        """The frame's new text; None where there is nothing to spoil."""
        params = rule.params
        match rule.kind:
            case FeedKind.GARBAGE:
                return str(params.get("text", _GARBAGE))
            case FeedKind.FRAME_TRUNCATED:
                return frame.text[: params.get("cut_at", len(frame.text) // 2)]
            case FeedKind.FRAME_HUGE:
                return _with_field(frame.text, '"padding":"' + "x" * params.get("bytes", _HUGE_BYTES) + '"')
            case FeedKind.FRAME_DEEP:
                depth = params.get("depth", _DEPTH)
                return _with_field(frame.text, '"nested":' + "[" * depth + "]" * depth)
            case FeedKind.SNAPSHOT_STALE:
                return self._stale(frame, at_ms - params.get("age_ms", 0))
            case FeedKind.WRONG_SYMBOL:
                return _edited(frame, lambda body: _rename(body, params["symbol"]))
            case FeedKind.BOOK_CROSSED:
                return _edited(frame, lambda body: self._cross(body, frame))
            case FeedKind.VALUE_REPLACED:
                return _edited(frame, lambda body: _put(body, params["field"], lambda _: params["value"]))
            case FeedKind.TYPE_CHANGED:
                return _edited(frame, lambda body: _put(body, params["field"], _other_type))
            case FeedKind.TIME_BACK:
                return _edited(frame, lambda body: _turn_back(body, frame.type, params["by_ms"]))
            case _:
                factor = params.get("factor", _SPIKE)
                return _edited(frame, lambda body: _spike(body, frame.type, factor))

    def _stale(self, frame: Frame, before_ms: int) -> str | None:
        if frame.type != frames.BOOK or frame.subscription is None:
            return None
        window = self._feed.channels.earlier_window(frame.event, before_ms)
        return None if window is None else self._feed.channels.snapshot(frame.subscription, window)

    def _cross(self, body: _Row, frame: Frame) -> bool:
        """A bid at the price of the farthest ask that is shown."""
        if frame.type in (frames.TICKER, frames.TICKER_ALL):
            for row in body.get("items", [body]):
                row["B"], row["A"] = row["A"], row["B"]
            return True
        window = self._feed.channels.window(frame.event)
        if frame.type not in (frames.BOOK, frames.BOOK_CHANGE) or window is None or len(window.asks) < 2:
            return False
        price, amount = list(window.asks.values())[-1]
        row = {"A": amount, "P": price} if frame.type == frames.BOOK else {"CP": 1, "P": price, "A": amount}
        body["BO"] = [row, *body["BO"]]
        return True


def _with_field(text: str, field: str) -> str | None:
    """The same object with one more member, put in as text."""
    return f"{text[:-2]},{field}}}]" if text.endswith("}]") else None


def _edited(frame: Frame, edit: Callable[[_Row], bool]) -> str | None:
    try:
        kind, body = _decoder.decode(frame.text)
        return f"[{kind},{_encoder.encode(body).decode()}]" if edit(body) else None
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError, AttributeError):
        return None  # an earlier rule has left nothing of the kind that this one spoils


def _rename(body: _Row, symbol: str) -> bool:
    names = [name for name in _SYMBOLS if name in body]
    if not names:
        return False
    own = body[names[0]]
    for name in (*names, "event"):
        if body.get(name) == own:
            body[name] = symbol
    return True


def _rows(body: _Row) -> list[_Row]:
    """The body itself and all rows in it."""
    return [body, *(row for name in ("AO", "BO", "items") for row in body.get(name, ()))]


def _put(body: _Row, field: str, make: Callable[[Any], Any]) -> bool:
    rows = [row for row in _rows(body) if field in row]
    for row in rows:
        row[field] = make(row[field])
    return bool(rows)


def _other_type(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return Decimal(value)
        except InvalidOperation:
            return 0
    return str(value)


def _turn_back(body: _Row, kind: int, by_ms: int) -> bool:
    """D is a day's change in tickers and seconds in charts."""
    if kind in (frames.TICKER, frames.TICKER_ALL):
        return False
    by = by_ms // 1000 if kind == frames.CHART else by_ms

    def earlier(value: Any) -> Any:
        return str(int(value) - by) if isinstance(value, str) else value - by

    return any(_put(body, name, earlier) for name in _TIMES)


def _spike(body: _Row, kind: int, factor: int) -> bool:
    names = _TICKER_PRICES if kind in (frames.TICKER, frames.TICKER_ALL) else _PRICES
    found = False
    for row in _rows(body):
        for name in names:
            if isinstance(row.get(name), str):
                try:
                    row[name] = plain(Decimal(row[name]) * factor)
                except InvalidOperation:
                    continue
                found = True
    return found
