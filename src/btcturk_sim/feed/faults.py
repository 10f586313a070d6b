"""Faults of the feed, switched at run time like those of the REST API.

A rule names a kind, which frames it meets (`types`, `channel`, `event`, `key`, `session`; whatever is left out is not
asked for), how often, and how likely. User events are the channel "private", their event is the pair. A rule that
finds nothing to spoil in a frame does not strike and is not used up.

frames that do not come as they should
    frame_lost                        it is not sent: a missing event; of 432, a gap in CS
    frame_doubled      {times?}       it is sent twice
    frames_swapped                    it comes after the next frame of its channel and event: disorder; of 431, the
                                      delta comes before the snapshot
    frame_delayed      {delay_ms}     it and everything after it come that much later
    flood              {frames?}      1,000 more come with it: deltas that change nothing, or the same frame again
    events_stop                       this connection is never sent the rule's types again; all else goes on
frames that are not what they should be
    snapshot_stale     {age_ms?}      431 shows the book as it was shown before, `age_ms` ago or longer
    wrong_symbol       {symbol}       it names another pair
    book_crossed                      a bid above the best ask
    value_replaced     {field, value} every P, A, price, … of that name is this text, such as "0" or "-1"
    price_spike        {factor?}      every price is a hundred times what it is
    type_changed       {field}        text becomes a number, a number becomes text
    time_back          {by_ms}        times of trades and matches are earlier than they were
    garbage            {text?}        something else altogether
    frame_truncated    {cut_at?}      half of it, or `cut_at` characters
    frame_huge         {bytes?}       9 MB more of it, still JSON
    frame_deep         {depth?}       a field nested 100,000 deep
connections; by rule instead of a frame, or at once by `Feed.strike`
    socket_closed           {code?, reason?}   a closing handshake
    socket_aborted                       the connection breaks
    socket_half_open                       nothing is said or heard any more, pings included; the socket stays
    heartbeat_lost                    no pings any more; frames still come
    login_lost         {announced?}   no user events any more; with 802 before, or without a word
refusals
    connect_refused    {status?, body?}   an HTTP answer instead of a connection
    login_refused      {message?}     114 with ok false
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import TYPE_CHECKING, Any, Final

from btcturk_sim.faults import FaultRegistry, check_how_often, checked_parameters

if TYPE_CHECKING:
    from btcturk_sim.feed.session import Session
    from btcturk_sim.feed.subscription import Frame


class FeedKind(StrEnum):
    FRAME_LOST = "frame_lost"
    FRAME_DOUBLED = "frame_doubled"
    FRAMES_SWAPPED = "frames_swapped"
    FRAME_DELAYED = "frame_delayed"
    FLOOD = "flood"
    EVENTS_STOP = "events_stop"
    SNAPSHOT_STALE = "snapshot_stale"
    WRONG_SYMBOL = "wrong_symbol"
    BOOK_CROSSED = "book_crossed"
    VALUE_REPLACED = "value_replaced"
    PRICE_SPIKE = "price_spike"
    TYPE_CHANGED = "type_changed"
    TIME_BACK = "time_back"
    GARBAGE = "garbage"
    FRAME_TRUNCATED = "frame_truncated"
    FRAME_HUGE = "frame_huge"
    FRAME_DEEP = "frame_deep"
    SOCKET_CLOSED = "socket_closed"
    SOCKET_ABORTED = "socket_aborted"
    SOCKET_HALF_OPEN = "socket_half_open"
    HEARTBEAT_LOST = "heartbeat_lost"
    LOGIN_LOST = "login_lost"
    CONNECT_REFUSED = "connect_refused"
    LOGIN_REFUSED = "login_refused"


#: Kinds that can be done at once, without waiting for a frame.
AT_ONCE: Final = frozenset(
    {FeedKind.SOCKET_CLOSED, FeedKind.SOCKET_ABORTED, FeedKind.SOCKET_HALF_OPEN, FeedKind.HEARTBEAT_LOST,
     FeedKind.LOGIN_LOST, FeedKind.GARBAGE}
)  # fmt: skip
_NOT_OF_FRAMES: Final = frozenset({FeedKind.CONNECT_REFUSED, FeedKind.LOGIN_REFUSED})

#: Parameters of each kind: name → (type, whether it must be given).
_PARAMS: Final[Mapping[FeedKind, Mapping[str, tuple[type, bool]]]] = {
    FeedKind.FRAME_DOUBLED: {"times": (int, False)},
    FeedKind.FRAME_DELAYED: {"delay_ms": (int, True)},
    FeedKind.FLOOD: {"frames": (int, False)},
    FeedKind.SNAPSHOT_STALE: {"age_ms": (int, False)},
    FeedKind.WRONG_SYMBOL: {"symbol": (str, True)},
    FeedKind.VALUE_REPLACED: {"field": (str, True), "value": (str, True)},
    FeedKind.PRICE_SPIKE: {"factor": (int, False)},
    FeedKind.TYPE_CHANGED: {"field": (str, True)},
    FeedKind.TIME_BACK: {"by_ms": (int, True)},
    FeedKind.GARBAGE: {"text": (str, False)},
    FeedKind.FRAME_TRUNCATED: {"cut_at": (int, False)},
    FeedKind.FRAME_HUGE: {"bytes": (int, False)},
    FeedKind.FRAME_DEEP: {"depth": (int, False)},
    FeedKind.SOCKET_CLOSED: {"code": (int, False), "reason": (str, False)},
    FeedKind.LOGIN_LOST: {"announced": (bool, False)},
    FeedKind.CONNECT_REFUSED: {"status": (int, False), "body": (str, False)},
    FeedKind.LOGIN_REFUSED: {"message": (str, False)},
}


@dataclass(slots=True)
class FeedRule:
    """`count` None means without end; `probability` is drawn in parts per million."""

    id: int
    kind: FeedKind
    types: frozenset[int] = frozenset()
    channel: str | None = None
    event: str | None = None
    key: str | None = None
    session: int | None = None
    count: int | None = None
    probability_ppm: int = 1_000_000
    params: dict[str, Any] = field(default_factory=dict)
    hits: int = 0

    def meets(self, session: Session, frame: Frame) -> bool:
        return (
            self.kind not in _NOT_OF_FRAMES
            and (not self.types or frame.type in self.types)
            and (self.channel is None or self.channel == frame.channel)
            and (self.event is None or self.event == frame.event)
            and (self.key is None or (session.account is not None and session.account.key == self.key))
            and (self.session is None or self.session == session.id)
        )

    def shown(self) -> dict[str, object]:
        match = {"types": sorted(self.types), "channel": self.channel, "event": self.event, "key": self.key,
                 "session": self.session}  # fmt: skip
        return {
            "id": self.id,
            "kind": self.kind.value,
            "match": match,
            "count": self.count,
            "probability_ppm": self.probability_ppm,
            "params": self.params,
            "hits": self.hits,
        }


class FeedFaults:
    """The rules in force. Strikes are counted together with those of the REST API, and so are rules numbered."""

    def __init__(self, registry: FaultRegistry, seed: int) -> None:
        self._registry = registry
        self._random = Random(f"feed-faults-{seed}")  # noqa: S311 (a market is not a secret)
        self._rules: dict[int, FeedRule] = {}

    @property
    def has_rules(self) -> bool:
        return bool(self._rules)

    def add(
        self,
        kind: FeedKind | str,
        *,
        types: Sequence[int] = (),
        channel: str | None = None,
        event: str | None = None,
        key: str | None = None,
        session: int | None = None,
        count: int | None = None,
        probability_ppm: int = 1_000_000,
        **params: object,
    ) -> FeedRule:
        """Register a rule; ValueError says what is wrong with it."""
        kind = FeedKind(kind)
        checked = _checked(kind, params)
        check_how_often(count, probability_ppm)
        rule = FeedRule(self._registry.next_id(), kind, frozenset(types), channel, event, key, session, count,
                        probability_ppm, checked)  # fmt: skip
        self._rules[rule.id] = rule
        return rule

    def remove(self, rule_id: int) -> bool:
        return self._rules.pop(rule_id, None) is not None

    def clear(self) -> None:
        self._rules.clear()

    def rules(self) -> list[FeedRule]:
        return list(self._rules.values())

    def checked_now(self, kind: FeedKind, params: Mapping[str, object]) -> tuple[FeedKind, dict[str, Any]]:
        """The kind and its parameters, if it can be done at once; ValueError otherwise."""
        if kind not in AT_ONCE:
            raise ValueError(f"{kind.value} waits for a frame; at once there are {', '.join(sorted(AT_ONCE))}")
        return kind, _checked(kind, params)

    # --- striking ---------------------------------------------------------------------------------------------

    def meeting(self, session: Session, frame: Frame) -> Iterator[FeedRule]:
        """The rules that would strike this frame, in order of their making; call `strike` for those that do."""
        for rule in list(self._rules.values()):
            if rule.meets(session, frame) and self._is_drawn(rule):
                yield rule

    def strike_connect(self) -> FeedRule | None:
        return self._first(FeedKind.CONNECT_REFUSED, None, None)

    def strike_login(self, session: Session, key: str) -> FeedRule | None:
        return self._first(FeedKind.LOGIN_REFUSED, session, key)

    def _first(self, kind: FeedKind, session: Session | None, key: str | None) -> FeedRule | None:
        for rule in list(self._rules.values()):
            meets = rule.kind is kind and rule.key in (None, key)
            if (
                meets
                and (rule.session is None or (session is not None and rule.session == session.id))
                and (self._is_drawn(rule))
            ):
                self.strike(rule)
                return rule
        return None

    def strike(self, rule: FeedRule) -> None:
        """The rule has spoiled something."""
        rule.hits += 1
        self.count(rule.kind)
        if rule.count is not None:
            rule.count -= 1
            if rule.count == 0:
                self._rules.pop(rule.id, None)

    def count(self, kind: FeedKind) -> None:
        self._registry.struck[kind.value] += 1

    def _is_drawn(self, rule: FeedRule) -> bool:
        return rule.probability_ppm >= 1_000_000 or self._random.randrange(1_000_000) < rule.probability_ppm


def _checked(kind: FeedKind, params: Mapping[str, object]) -> dict[str, Any]:
    return checked_parameters(kind.value, _PARAMS.get(kind, {}), params)
