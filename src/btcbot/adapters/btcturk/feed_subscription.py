"""One channel of one pair, from joining it to its first frame, and joining it again. Pure: times are handed in.

    IDLE ──join──▶ JOINING ──first frame──▶ LIVE
                    │  ▲                     │
     no frame, «no» │  └────────┐            │ a gap, a doubt
                    ▼           │            ▼
                  RESTING ──leave──▶ LEAVING

BtcTurk answers ok to a pair that it does not know, and then keeps silent: only the first frame proves a subscription. A
second join changes nothing there, so beginning anew means to leave, to wait for the answer to that (frames of the old
subscription may be under way before it), and to join.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from btcbot.adapters.btcturk import feed_wire
from btcbot.adapters.btcturk.feed_actions import Actions, FeedTiming, Send

_DOUBLINGS_MAX: Final = 20


class SubscriptionState(Enum):
    IDLE = "idle"
    JOINING = "joining"
    LIVE = "live"
    RESTING = "resting"
    LEAVING = "leaving"


class Subscription:
    """`due_ms` is when `tick` has something to do; None when only frames can move it."""

    __slots__ = ("_again_ms", "_in_a_row", "_live_since_ms", "_timing", "channel", "due_ms", "state", "symbol")

    def __init__(self, channel: str, symbol: str, timing: FeedTiming) -> None:
        self.channel = channel
        self.symbol = symbol
        self.state = SubscriptionState.IDLE
        self.due_ms: int | None = None
        self._timing = timing
        self._in_a_row = 0
        self._again_ms = 0
        self._live_since_ms = 0

    def open(self, now_ms: int) -> Actions:
        """On a new connection."""
        self.state = SubscriptionState.JOINING
        self.due_ms = now_ms + self._timing.first_frame_ms_max
        return [Send(feed_wire.join(self.channel, self.symbol, is_join=True))]

    def close(self) -> None:
        """The connection is gone."""
        self.state, self.due_ms = SubscriptionState.IDLE, None

    def is_live(self, now_ms: int) -> None:
        """Its first frame came."""
        if self.state is SubscriptionState.JOINING:
            self.state, self.due_ms = SubscriptionState.LIVE, None
            self._live_since_ms = now_ms

    def renew(self, now_ms: int) -> Actions:
        """Begin anew, at once or when the last time is long enough ago."""
        if self.state in (SubscriptionState.IDLE, SubscriptionState.RESTING, SubscriptionState.LEAVING):
            return []
        if self.state is SubscriptionState.LIVE and now_ms - self._live_since_ms >= self._timing.good_ms:
            self._in_a_row = 0
        self.state = SubscriptionState.RESTING
        self.due_ms = max(now_ms, self._again_ms) if self._in_a_row else now_ms
        return self._leave(now_ms) if self.due_ms <= now_ms else []

    def answered(self, *, is_join: bool, ok: bool, now_ms: int) -> tuple[Actions, bool]:
        """What BtcTurk said to a join or leave; and whether it was a no that costs us the subscription."""
        if not is_join and self.state is SubscriptionState.LEAVING:
            return self.open(now_ms), False
        if is_join and not ok and self.state is SubscriptionState.JOINING:
            return self.renew(now_ms), True
        return [], False

    def tick(self, now_ms: int) -> tuple[Actions, bool]:
        """Do what is due; and whether the first frame did not come in time."""
        if self.due_ms is None or now_ms < self.due_ms:
            return [], False
        if self.state is SubscriptionState.JOINING:
            return self.renew(now_ms), True
        if self.state is SubscriptionState.RESTING:
            return self._leave(now_ms), False
        return self.open(now_ms), False  # no answer to leaving: the join tells

    def _leave(self, now_ms: int) -> Actions:
        wait_ms = self._timing.renew_ms_min << min(self._in_a_row, _DOUBLINGS_MAX)
        self._again_ms = now_ms + min(wait_ms, self._timing.renew_ms_max)
        self._in_a_row += 1
        self.state = SubscriptionState.LEAVING
        self.due_ms = now_ms + self._timing.leave_ms_max
        return [Send(feed_wire.join(self.channel, self.symbol, is_join=False))]
