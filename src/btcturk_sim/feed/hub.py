"""The hub: who is connected, who wants what, and when it is said.

Books, tickers and charts are said in batches, at multiples of `FeedOptions.batch_ms`; trades and user events when they
happen. What an event changes is shown by the batch after it, as the book stands then. The hub listens to the engine
only while somebody has joined something or logged in: an idle connection costs nothing but its pings.

    session = simulator.feed.connect(now_ms, "127.0.0.1")      a `Session`, or the `Refusal` of the upgrade
    simulator.feed.faults.add("frame_lost", types=[432], count=1)
    simulator.feed.strike("socket_aborted", now_ms)                   now, to every connection
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from random import Random
from typing import Final

from btcturk_sim.accounts import Account
from btcturk_sim.answers import Answers
from btcturk_sim.api import Api
from btcturk_sim.engine import Engine
from btcturk_sim.events import (
    BookChanged,
    Event,
    FundsMoved,
    MarketStepped,
    OrderClosed,
    OrderDeleted,
    OrderInserted,
    OrderMatched,
    TradeBusted,
    TradePrinted,
)
from btcturk_sim.faults import access_denied
from btcturk_sim.feed import frames
from btcturk_sim.feed.channels import Channels
from btcturk_sim.feed.faults import FeedFaults, FeedKind
from btcturk_sim.feed.login import LoginForm, check_login
from btcturk_sim.feed.options import BALANCE_UPDATED, FeedOptions
from btcturk_sim.feed.outputs import Refusal
from btcturk_sim.feed.private import UserEvents, assets_of
from btcturk_sim.feed.session import Session
from btcturk_sim.feed.spoil import Spoiler
from btcturk_sim.feed.subscription import Frame, Subscription, private_frame
from btcturk_sim.limits import RateLimiter
from btcturk_sim.money import exact
from btcturk_sim.wire import Response

_PAST_MAX: Final = 200
_FIRST_COUNTERS: Final = range(2_000_000, 5_000_000)

#: Told of every frame: session, "in" or "out", what it was, when.
FrameListener = Callable[[Session, str, str | bytes, int], None]
#: Told of every connection: session (None: refused), "open", "close" or "refused", when.
SocketListener = Callable[[Session | None, str, int], None]


class Feed:
    def __init__(self, engine: Engine, api: Api, *, options: FeedOptions | None = None, seed: int = 1) -> None:
        self._options = options or FeedOptions()
        self.engine = engine
        self.sessions: dict[int, Session] = {}
        #: Connections that have ended, newest last.
        self.past: deque[Session] = deque(maxlen=_PAST_MAX)
        self.faults = FeedFaults(api.faults, seed)
        self.spoiler = Spoiler(self)
        self.channels = Channels(engine, self._options, lambda: api.skew_ms)
        #: Frames sent to all connections together, by type.
        self.sent: Counter[int] = Counter()
        self.connections = 0
        self.refused = 0
        self.on_frame: FrameListener | None = None
        self.on_socket: SocketListener | None = None
        self._api = api
        self._random = Random(f"feed-{seed}")  # noqa: S311 (a counter is not a secret)
        self._limiter = RateLimiter(api.options.limits, accounts=1)
        self._user_events = UserEvents(api, self._options)
        self._logins: dict[str, list[Session]] = {}
        #: Accounts whose balances changed and have not been told: since when, and of which assets.
        self._balances: dict[str, tuple[int, Account, set[str]]] = {}
        self._timer_ms: int | None = None
        self._is_attached = False

    @property
    def options(self) -> FeedOptions:
        """How the feed behaves; may be replaced at any time."""
        return self._options

    @options.setter
    def options(self, options: FeedOptions) -> None:
        self._options = self.channels.options = self._user_events.options = options

    # --- connections ------------------------------------------------------------------------------------------

    @exact
    def connect(self, now_ms: int, client_ip: str = "127.0.0.1") -> Session | Refusal:
        """Ask for a connection; at most 15 a minute and address, then none for a minute."""
        self.advance(now_ms)
        refusal = self._refusal(client_ip, now_ms)
        if refusal is not None:
            self.refused += 1
            if self.on_socket is not None:
                self.on_socket(None, "refused", now_ms)
            return refusal
        self.connections += 1
        session = self.sessions[self.connections] = Session(self, self.connections, client_ip, now_ms)
        self.retime()
        if self.on_socket is not None:
            self.on_socket(session, "open", now_ms)
        session.send(Frame(frames.WELCOME, frames.WELCOME_TEXT), now_ms)
        return session

    def _refusal(self, client_ip: str, now_ms: int) -> Refusal | None:
        rule = self.faults.strike_connect()
        if rule is not None:
            body = str(rule.params.get("body", "")).encode()
            return Refusal(rule.params.get("status", 503), body, (("Content-Type", "text/plain; charset=utf-8"),))
        if self._api.blocklist.holds(client_ip, None, now_ms):
            return _refused(access_denied())
        exceeded = self._limiter.check("ws", client_ip, None, now_ms)
        if exceeded is not None:
            return _refused(Answers(self._api.options).too_many(exceeded))
        return None

    def ended(self, session: Session, at_ms: int) -> None:
        """The session is over: nothing is prepared for it any more."""
        if self.sessions.pop(session.id, None) is None:
            return
        for subscription in session.subscriptions.values():
            self.channels.remove(subscription)
        self.log_out(session)
        self.past.append(session)
        self.retime()
        self._attach()
        if self.on_socket is not None:
            self.on_socket(session, "close", at_ms)

    def first_counter(self) -> int:
        """Where the CS of a new subscription begins; those of different subscriptions have nothing in common."""
        return self._random.choice(_FIRST_COUNTERS)

    def joined(self, subscription: Subscription, now_ms: int) -> None:
        frame = self.channels.add(subscription, now_ms)
        self._attach()
        if frame is not None:
            subscription.session.send(frame, now_ms)

    def left(self, subscription: Subscription) -> None:
        self.channels.remove(subscription)
        self._attach()

    def resend(self, subscription: Subscription, code: int, now_ms: int) -> bool:
        """Message 101: the first frame of a subscription once more, if that is its type."""
        frame = self.channels.first_frame(subscription, now_ms)
        if frame is None or frame.type != code:
            return False
        subscription.session.send(frame, now_ms)
        return True

    # --- logins -----------------------------------------------------------------------------------------------

    def log_in(self, session: Session, form: LoginForm, now_ms: int) -> None:
        answer = self._who(session, form, now_ms)
        if isinstance(answer, str):
            session.tally.logins_refused += 1
            session.send(Frame(frames.LOGIN, frames.login_refused(answer)), now_ms)
            return
        if self.options.one_login_per_key:
            for earlier in list(self._logins.get(answer.key, ())):
                if earlier is not session:
                    self.announce_logout(earlier, now_ms)
        self.log_out(session)
        session.account = answer
        session.tally.logins += 1
        self._logins.setdefault(answer.key, []).append(session)
        self._attach()
        session.send(Frame(frames.LOGIN, frames.logged_in(answer.user_id)), now_ms)

    def _who(self, session: Session, form: LoginForm, now_ms: int) -> Account | str:
        rule = self.faults.strike_login(session, form.key)
        if rule is not None:
            return str(rule.params.get("message", "Invalid Signature"))
        if self._api.blocklist.holds(session.client_ip, form.key, now_ms):
            return "Access denied"
        venue_ms = now_ms + self._api.skew_ms
        accounts, window = self.engine.books.accounts, self.options.login_window
        return check_login(form, accounts, venue_ms, window, session.client_ip)

    def log_out(self, session: Session) -> None:
        """The session is told nothing of its account any more; nobody tells it so."""
        account = session.account
        if account is None or session not in self._logins.get(account.key, ()):
            return
        self.flush_balances()
        self._logins[account.key].remove(session)
        if not self._logins[account.key]:
            del self._logins[account.key]
        if session.ended is None:
            session.account = None
        self._attach()

    def announce_logout(self, session: Session, now_ms: int) -> None:
        user_id = 0 if session.account is None else session.account.user_id
        text = frames.system_message(frames.LOGGED_OUT, user_id, "LogoutUser")
        session.send(Frame(frames.LOGGED_OUT, text), now_ms)
        self.log_out(session)

    @exact
    def say(self, message: str, now_ms: int) -> None:
        """Message 801 to everybody."""
        self.advance(now_ms)
        text = frames.system_message(frames.SYSTEM_MESSAGE, 0, message)
        for session in list(self.sessions.values()):
            session.send(Frame(frames.SYSTEM_MESSAGE, text), now_ms)

    @exact
    def strike(self, kind: FeedKind | str, now_ms: int, session_id: int | None = None, **params: object) -> int:
        """Do a fault of a connection at once, to one or to all; returns to how many. ValueError: no such fault."""
        self.advance(now_ms)
        kind, checked = self.faults.checked_now(FeedKind(kind), params)
        struck = 0
        for session in list(self.sessions.values()):
            meant = session_id in (None, session.id) and not session.is_silent
            if meant and self.spoiler.strike_session(kind, checked, session, now_ms):
                self.faults.count(kind)
                struck += 1
        return struck

    # --- time -------------------------------------------------------------------------------------------------

    @exact
    def advance(self, now_ms: int) -> None:
        """Let everything happen that is due by `now_ms`, in the exchange and on all connections."""
        self.engine.advance(now_ms)
        self._pass(now_ms)

    def next_event_ms(self) -> int | None:
        """When the market, a cancel or a batch may next give somebody something to say."""
        due_ms, tick_ms = self.engine.next_due_ms(), self.channels.tick_ms
        if due_ms is None or tick_ms is None:
            return due_ms if tick_ms is None else tick_ms
        return min(due_ms, tick_ms)

    def retime(self) -> None:
        """Some session's clock was set anew."""
        times = (one.timer_ms() for one in self.sessions.values())
        self._timer_ms = min((one for one in times if one is not None), default=None)

    def _pass(self, until_ms: int) -> None:
        """Batches and timers up to a moment, before what happens in it."""
        self.flush_balances()
        while True:
            tick_ms, timer_ms = self.channels.tick_ms, self._timer_ms
            if tick_ms is not None and tick_ms <= until_ms and (timer_ms is None or tick_ms <= timer_ms):
                for session, frame in self.channels.tick():
                    session.send(frame, tick_ms)
            elif timer_ms is not None and timer_ms <= until_ms:
                for session in list(self.sessions.values()):
                    due_ms = session.timer_ms()
                    if due_ms is not None and due_ms <= timer_ms:
                        session.strike(timer_ms)
                self.retime()
            else:
                return

    def _attach(self) -> None:
        """Listen to the engine while there is somebody to tell."""
        wanted = self.channels.is_wanted or bool(self._logins)
        if wanted and not self._is_attached:
            self.engine.listeners.append(self._event)
            self.engine.passing = self._pass
        elif self._is_attached and not wanted:
            self.engine.listeners.remove(self._event)
            self.engine.passing = None
        self._is_attached = wanted

    # --- events of the engine ---------------------------------------------------------------------------------

    def _event(self, event: Event) -> None:
        match event:
            case MarketStepped(time_ms):
                self.channels.all_changed(time_ms)
                return
            case TradePrinted(symbol, trade):
                self.channels.changed(symbol, trade.time_ms)
                for session, frame in self.channels.printed(symbol, trade):
                    session.send(frame, trade.time_ms)
                return
            case BookChanged(symbol, time_ms):
                self.channels.changed(symbol, time_ms)
                return
            case OrderInserted(order, time_ms) | OrderDeleted(order, time_ms) | OrderClosed(order, time_ms):
                account, symbol = order.account, order.instrument.symbol
            case OrderMatched(account, order, fill):
                symbol, time_ms = order.instrument.symbol, fill.time_ms
            case TradeBusted(account, _, fill, time_ms):
                symbol = fill.instrument.symbol
            case FundsMoved(account, _, time_ms):
                symbol = ""
        self.channels.changed(symbol, time_ms)
        if account.key in self._logins:
            self._tell(account, symbol, event, time_ms)

    def _tell(self, account: Account, symbol: str, event: Event, time_ms: int) -> None:
        sessions = self._logins[account.key]
        due_ms = time_ms + self.options.user_events_lag_ms
        for kind, text in self._user_events.of(event):
            for session in list(sessions):
                session.send(private_frame(kind, text, symbol), due_ms)
        changed = assets_of(event)
        if changed is not None and BALANCE_UPDATED in self.options.user_events:
            pending = self._balances.setdefault(account.key, (time_ms, account, set()))
            pending[2].update(changed[1])
            for session in sessions:
                session.wake()

    def flush_balances(self) -> None:
        """Message 201, once for everything that changed at one time."""
        if self._balances:
            self._say_balances()

    @exact
    def _say_balances(self) -> None:
        pending, self._balances = self._balances, {}
        for key, (time_ms, account, assets) in pending.items():
            frame = private_frame(BALANCE_UPDATED, self._user_events.balance(account, assets))
            for session in list(self._logins.get(key, ())):
                session.send(frame, time_ms + self.options.user_events_lag_ms)

    # --- looking ----------------------------------------------------------------------------------------------

    def note(self, session: Session, direction: str, text: str | bytes, time_ms: int) -> None:
        if self.on_frame is not None:
            self.on_frame(session, direction, text, time_ms)

    def state(self) -> dict[str, object]:
        """For the control interface."""
        every = [*self.past, *self.sessions.values()]
        return {
            "sessions": [session.state() for session in self.sessions.values()],
            "past": [session.state() for session in self.past],
            "connections": self.connections,
            "refused": self.refused,
            "frames_sent": self.sent.total(),
            "sent": {str(kind): count for kind, count in sorted(self.sent.items())},
            "pongs": sum(session.tally.pongs for session in every),
            "logins": sum(session.tally.logins for session in every),
            "logins_refused": sum(session.tally.logins_refused for session in every),
        }


def _refused(response: Response) -> Refusal:
    return Refusal(response.status, response.body, response.headers)
