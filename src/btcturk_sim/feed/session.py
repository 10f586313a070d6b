"""One connection to the feed: what its client asks, what it is sent, and when.

A session never waits and knows no socket. Whoever holds one calls, with times that never go back:

    session.receive(text, now_ms)     the client sent a frame
    session.pong(now_ms)              the client answered a ping
    session.client_ping(data, now_ms) the client sent a ping of its own
    session.take(now_ms)              everything to be done with the socket by now, in order, once
    session.next_due_ms()             look again then at the latest, unless something is called before; None: nothing
                                      will come by itself. It may be too early, never too late
    session.disconnect(now_ms)        the client has gone

Frames that make no sense (not JSON, not `[type, {...}]`, of an unknown type) are passed over in silence.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from btcturk_sim.accounts import Account
from btcturk_sim.feed import frames
from btcturk_sim.feed.frames import Body
from btcturk_sim.feed.login import LoginForm
from btcturk_sim.feed.options import FeedOptions
from btcturk_sim.feed.outputs import Abort, CloseSocket, Out, SendPing, SendPong, SendText
from btcturk_sim.feed.subscription import Frame, Subscription
from btcturk_sim.money import exact

if TYPE_CHECKING:
    from btcturk_sim.feed.hub import Feed

#: Longer frames of clients are not read.
_RECEIVE_BYTES_MAX: Final = 65_536


class _JoinForm(msgspec.Struct):
    type: int
    join: bool
    channel: str | int | bool
    event: str | int | bool


class _RequestForm(msgspec.Struct):
    type: int
    code: int
    channel: str
    event: str


_message = msgspec.json.Decoder(tuple[int, msgspec.Raw])


@dataclass(slots=True)
class Tally:
    """What has passed through a connection."""

    sent: Counter[int] = field(default_factory=Counter)
    received: int = 0
    ignored: int = 0
    pings: int = 0
    pongs: int = 0
    logins: int = 0
    logins_refused: int = 0


class Session:
    """Made by `Feed.connect`."""

    def __init__(self, feed: Feed, number: int, client_ip: str, now_ms: int) -> None:
        self.id = number
        self.client_ip = client_ip
        self.opened_ms = now_ms
        #: Called when something may have become due; a shell wakes its writer with it.
        self.on_output: Callable[[], None] | None = None
        self.account: Account | None = None
        self.subscriptions: dict[tuple[str, str], Subscription] = {}
        self.tally = Tally()
        #: How the connection ended: (code, reason), or (0, "abort" | "client").
        self.ended: tuple[int, str] | None = None
        #: The session says nothing any more and hears nothing, but its socket stays.
        self.is_silent = False
        #: Types that this session is never sent again.
        self.muted: set[int] = set()
        self._feed = feed
        #: (when it leaves, when it would have left, number, what)
        self._queue: list[tuple[int, int, int, Out]] = []
        self._sequence = 0
        #: What is due from the first time on leaves at the second one at the earliest.
        self._held_up = (0, 0)
        self._held: dict[tuple[str, str], list[Frame]] = {}
        self._next_ping_ms: int | None = now_ms + self._options.ping_ms
        self._deadline_ms: int | None = now_ms + self._options.pong_timeout_ms
        self._expires_ms = now_ms + self._options.lifetime_ms if self._options.lifetime_ms else None
        self._is_closed = False

    @property
    def _options(self) -> FeedOptions:
        return self._feed.options

    # --- for whoever holds the socket -------------------------------------------------------------------------

    @property
    def is_closed(self) -> bool:
        """Nothing will come any more: a close or an abort has been taken, or the client has gone."""
        return self._is_closed

    @exact
    def receive(self, text: str | bytes, now_ms: int) -> None:
        """Read one frame of the client; binary frames mean nothing to the exchange."""
        self._feed.advance(now_ms)
        if self.ended is not None or self.is_silent:
            return
        self.tally.received += 1
        self._feed.note(self, "in", text, now_ms)
        if isinstance(text, bytes) or len(text) > _RECEIVE_BYTES_MAX or not self._understand(text, now_ms):
            self.tally.ignored += 1

    @exact
    def pong(self, now_ms: int) -> None:
        self._feed.advance(now_ms)
        if self.ended is None and not self.is_silent:
            self.tally.pongs += 1
            if self._deadline_ms is not None:
                self._deadline_ms = now_ms + self._options.pong_timeout_ms
                self._feed.retime()

    @exact
    def client_ping(self, payload: bytes, now_ms: int) -> None:
        self._feed.advance(now_ms)
        if self.ended is None and not self.is_silent:
            self._push(SendPong(payload, now_ms), now_ms)

    @exact
    def take(self, now_ms: int) -> Sequence[Out]:
        """Everything due by `now_ms` that was not taken before, in order."""
        if self._is_closed:
            return ()
        self._feed.advance(now_ms)
        self._feed.flush_balances()
        queue = self._queue
        if not queue or queue[0][0] > now_ms:
            return ()
        taken: list[Out] = []
        while queue and queue[0][0] <= now_ms:
            out = heapq.heappop(queue)[-1]
            taken.append(out)
            if isinstance(out, SendText):
                self._feed.note(self, "out", out.text, out.due_ms)
            elif isinstance(out, CloseSocket | Abort):
                self._is_closed = True
                queue.clear()
        return taken

    def next_due_ms(self) -> int | None:
        if self._is_closed:
            return None
        own_ms = self.next_own_due_ms()
        if self.ended is None and not self.is_silent and (self.subscriptions or self.account is not None):
            event_ms = self._feed.next_event_ms()
            if own_ms is None or (event_ms is not None and event_ms < own_ms):
                return event_ms
        return own_ms

    def next_own_due_ms(self) -> int | None:
        """As `next_due_ms`, for who is woken by `on_output` when the market brings something."""
        if self._is_closed:
            return None
        self._feed.flush_balances()
        timer_ms = self.timer_ms()
        if not self._queue:
            return timer_ms
        first_ms = self._queue[0][0]
        return first_ms if timer_ms is None else min(timer_ms, first_ms)

    @exact
    def disconnect(self, now_ms: int) -> None:
        """The client has gone, politely or not."""
        self._feed.advance(now_ms)
        self._is_closed = True
        self._queue.clear()
        self._end((0, "client"), now_ms)

    # --- what the client asks ---------------------------------------------------------------------------------

    def _understand(self, text: str, now_ms: int) -> bool:
        try:
            kind, raw = _message.decode(text)
            match kind:
                case frames.JOIN:
                    join = msgspec.json.decode(raw, type=_JoinForm)
                    return join.type == kind and self._join(join, now_ms)
                case frames.REQUEST:
                    request = msgspec.json.decode(raw, type=_RequestForm)
                    return request.type == kind and self._resend(request, now_ms)
                case frames.LOGIN:
                    login = msgspec.json.decode(raw, type=LoginForm)
                    if login.type != kind:
                        return False
                    self._feed.log_in(self, login, now_ms)
                    return True
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            pass
        return False

    def _join(self, form: _JoinForm, now_ms: int) -> bool:
        """Anything can be joined, once; whether something ever comes of it is another matter."""
        verb = "join" if form.join else "leave"
        message = f"{verb}|{_shown(form.channel)}:{_shown(form.event)}"
        if not isinstance(form.channel, str) or not isinstance(form.event, str):
            self.send(Frame(frames.RESULT, frames.result(message, ok=False)), now_ms)
            return True
        spot = (form.channel, form.event)
        if form.join:
            ok = spot not in self.subscriptions
        else:
            ok = spot in self.subscriptions or self._options.leave_unknown_ok
        self.send(Frame(frames.RESULT, frames.result(message, ok=ok), *spot), now_ms)
        if form.join and ok:
            subscription = Subscription(self, *spot, self._feed.first_counter())
            self.subscriptions[spot] = subscription
            self._feed.joined(subscription, now_ms)
        elif not form.join and spot in self.subscriptions:
            self._feed.left(self.subscriptions.pop(spot))
        return True

    def _resend(self, form: _RequestForm, now_ms: int) -> bool:
        subscription = self.subscriptions.get((form.channel, form.event))
        return subscription is not None and self._feed.resend(subscription, form.code, now_ms)

    # --- what the session is sent -----------------------------------------------------------------------------

    def send(self, frame: Frame, at_ms: int) -> None:
        """Queue a frame, past the faults in force."""
        if self.ended is not None or self.is_silent or frame.type in self.muted:
            return
        if self._feed.faults.has_rules:
            self._feed.spoiler.send(self, frame, at_ms)
        else:
            self.queue(frame, at_ms)

    def queue(self, frame: Frame, at_ms: int) -> None:
        """Queue a frame as it is, and whatever waited for it."""
        self._push(SendText(frame.text, self._due(at_ms)), at_ms)
        self.tally.sent[frame.type] += 1
        self._feed.sent[frame.type] += 1
        if self._held:
            for waiting in self._held.pop((frame.channel, frame.event), ()):
                self.queue(waiting, at_ms)

    def hold(self, frame: Frame) -> None:
        """Keep a frame until the next one of its channel and event has gone."""
        self._held.setdefault((frame.channel, frame.event), []).append(frame)

    def hold_up(self, from_ms: int, delay_ms: int) -> None:
        """What is due from that time on does not leave before the delay is over; the order stays."""
        self._held_up = (from_ms, max(self._held_up[1], from_ms + delay_ms))

    def _due(self, at_ms: int) -> int:
        from_ms, until_ms = self._held_up
        return max(at_ms, until_ms) if at_ms >= from_ms else at_ms

    def _push(self, out: Out, at_ms: int) -> None:
        self._sequence += 1
        heapq.heappush(self._queue, (out.due_ms, at_ms, self._sequence, out))
        self.wake()

    def wake(self) -> None:
        if self.on_output is not None:
            self.on_output()

    # --- its time ---------------------------------------------------------------------------------------------

    def timer_ms(self) -> int | None:
        """When the session's own clock strikes next."""
        if self.ended is not None or self.is_silent:
            return None
        first_ms = self._next_ping_ms
        if self._deadline_ms is not None and (first_ms is None or self._deadline_ms < first_ms):
            first_ms = self._deadline_ms
        if self._expires_ms is not None and (first_ms is None or self._expires_ms < first_ms):
            first_ms = self._expires_ms
        return first_ms

    def strike(self, time_ms: int) -> None:
        """The clock strikes: a ping, or the end."""
        ends = [one for one in (self._deadline_ms, self._expires_ms) if one is not None]
        if ends and min(ends) <= time_ms:
            self.close(1000, "", time_ms)
        elif self._next_ping_ms is not None and self._next_ping_ms <= time_ms:
            self._push(SendPing(self._due(time_ms)), time_ms)
            self.tally.pings += 1
            self._next_ping_ms += self._options.ping_ms

    def stop_heartbeat(self) -> None:
        """No ping any more, and none is missed."""
        self._next_ping_ms = self._deadline_ms = None
        self._feed.retime()

    def fall_silent(self) -> None:
        """Say and hear nothing from now on; the socket stays open."""
        self.is_silent = True
        self._queue.clear()
        self._feed.retime()

    def close(self, code: int, reason: str, at_ms: int) -> None:
        if self.ended is None:
            self._push(CloseSocket(code, reason, self._due(at_ms)), at_ms)
            self._end((code, reason), at_ms)

    def abort(self, at_ms: int) -> None:
        if self.ended is None:
            self._push(Abort(at_ms), at_ms)
            self._end((0, "abort"), at_ms)

    def _end(self, how: tuple[int, str], at_ms: int) -> None:
        if self.ended is None:
            self.ended = how
            self._held.clear()
            self._feed.ended(self, at_ms)

    def state(self) -> Body:
        """For the control interface."""
        tally = self.tally
        return {
            "id": self.id,
            "client_ip": self.client_ip,
            "opened_ms": self.opened_ms,
            "key": None if self.account is None else self.account.key,
            "subscriptions": [one.name for one in self.subscriptions.values()],
            "frames_sent": tally.sent.total(),
            "sent": {str(kind): count for kind, count in sorted(tally.sent.items())},
            "received": tally.received,
            "ignored": tally.ignored,
            "pings": tally.pings,
            "pongs": tally.pongs,
            "logins": tally.logins,
            "logins_refused": tally.logins_refused,
            "silent": self.is_silent,
            "muted": sorted(self.muted),
            "ended": None if self.ended is None else {"code": self.ended[0], "reason": self.ended[1]},
        }


def _shown(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
