"""The login of one connection after another. Pure: times are handed in, the signature is the signer's.

A login that is refused, that gets no answer, or after which the connection ends, is tried again later and later,
whatever number of connections there are in between: BtcTurk blocks an address that keeps failing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from btcbot.adapters.btcturk.feed_actions import Actions, FeedTiming, Note, Send
from btcbot.adapters.btcturk.feed_frames import LoginAnswer
from btcbot.adapters.btcturk.signing import Signer

_DOUBLINGS_MAX: Final = 20


class Login:
    """`signer` None: there is nothing to log in with, and `why_not` stays empty. `wall_ms` gives Unix milliseconds."""

    def __init__(self, signer: Signer | None, wall_ms: Callable[[], int], timing: FeedTiming) -> None:
        self.is_in = False
        #: Why we are not logged in; empty when we are.
        self.why_not = "" if signer is None else "not connected"
        #: When `tick` has something to do.
        self.due_ms: int | None = None
        #: Results of logins since the counts were last taken: ok, refused, no_answer, logged_out.
        self.results: Counter[str] = Counter()
        self._signer = signer
        self._wall_ms = wall_ms
        self._timing = timing
        self._is_asked = False
        self._again_ms: int | None = None
        self._in_a_row = 0

    def connected(self, now_ms: int) -> Actions:
        """Log in, or wait until that is allowed."""
        if self._signer is None:
            return []
        self.due_ms = now_ms if self._again_ms is None else max(now_ms, self._again_ms)
        if self._again_ms is None:
            self.why_not = "not logged in yet"
        return self.tick(now_ms)

    def disconnected(self, now_ms: int) -> Actions:
        """The connection is gone, and the login with it."""
        if self._signer is None:
            return []
        # The venue may answer a bad login by hanging up.
        notes = self._failed("no_answer", "the connection ended before the answer", now_ms) if self._is_asked else []
        if self.is_in:
            self.why_not = "not connected"
        self.is_in, self.due_ms = False, None
        return notes

    def tick(self, now_ms: int) -> Actions:
        if self.due_ms is None or now_ms < self.due_ms or self._signer is None:
            return []
        if self._is_asked:
            return self._failed("no_answer", f"no answer within {self._timing.login_ms_max // 1000} s", now_ms)
        self._is_asked = True
        self.due_ms = now_ms + self._timing.login_ms_max
        return [Send(self._signer.login(self._wall_ms()))]

    def answered(self, answer: LoginAnswer, now_ms: int) -> Actions:
        """What BtcTurk said. A yes that nobody asked for is none; a no is always one."""
        if self._signer is None:
            return []
        if not answer.ok:
            return self._failed("refused", answer.message or "refused without a word", now_ms)
        if not self._is_asked:
            return []
        self._is_asked, self.is_in, self.why_not = False, True, ""
        self.due_ms = self._again_ms = None
        self._in_a_row = 0
        self.results["ok"] += 1
        return [Note("info", "feed_logged_in", {})]

    def logged_out(self, now_ms: int) -> Actions:
        """BtcTurk ended the login, not the connection."""
        return self._failed("logged_out", "BtcTurk logged us out", now_ms) if self.is_in else []

    def _failed(self, result: str, why: str, now_ms: int) -> Actions:
        wait_ms = min(
            self._timing.login_again_ms_min << min(self._in_a_row, _DOUBLINGS_MAX), self._timing.login_again_ms_max
        )
        self._in_a_row += 1
        self.results[result] += 1
        self._is_asked = self.is_in = False
        self.why_not = why
        self.due_ms = self._again_ms = now_ms + wait_ms
        told: dict[str, object] = {"reason": why, "again_in_s": wait_ms / 1000}
        if result == "refused":  # BtcTurk names no cause; until then fills are known from the lists, a cycle later
            told["mend"] = "check the key, its permission for WebSocket and the address it is bound to"
        return [Note("warning", "feed_login_failed", told)]
