"""I11, I17, I18: stamps only rise, the venue's patience is not tried, and nothing is done without end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from btcbot.testing.checkers.scene import Invariant, Scene
from btcturk_sim.wire import Request, Response

UNAUTHORIZED_IN_A_ROW_MAX: Final = 5
#: Longest `Retry-After` that has to be kept to, in seconds; what is longer or no number is taken as nonsense.
RETRY_AFTER_S_MAX: Final = 3_600
REQUESTS_PER_CYCLE_MAX: Final = 160
CYCLE_MS_MAX: Final = 900_000
UNITS_PER_CYCLE_MAX: Final = 120
#: Reads of which a cycle needs one answer; each may be tried so often for it.
ASKED_ONCE: Final = ("/api/v1/users/balances", "/api/v1/openOrders")
TRIES_MAX: Final = 3
#: A change that one cycle could not act on may wake the next ones; it does not do so for ever.
WOKEN_FOR_NOTHING_MAX: Final = 10
#: Why an order is cancelled when a human says so, as often as he likes.
OPERATORS_WISH: Final = "order:cancelled_by_operator"


class I11Stamps(Invariant):
    """Stamps of a key rise for ever, across crashes and clock steps, as they leave and as they arrive."""

    name = "I11"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._last = 0

    def request_leaves(self, request: Request) -> None:
        if request.stamp is not None:
            stamp = int(request.stamp)
            if stamp <= self._last:
                self.violated(f"stamp {stamp} follows {self._last}")
            self._last = stamp

    def at_rest(self) -> None:
        found = self.scene.rig.crooked_stamps()
        if found:
            self.violated("; ".join(found[:3]))


class I17Manners(Invariant):
    """Within the venue's limits, not before the time it asked for, and silent after five answers 401 in a row."""

    name = "I17"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._unauthorized = 0
        self._closed_until_ms: dict[str, int] = {}

    def new_life(self) -> None:
        self._unauthorized = 0
        self._closed_until_ms = {}

    def request_leaves(self, request: Request) -> None:
        if request.stamp is not None and self._unauthorized >= UNAUTHORIZED_IN_A_ROW_MAX:
            self.violated(f"a signed request left after {self._unauthorized} answers 401 in a row")
        if self._closed_until_ms:
            left_ms = self._closed_until_ms.get(_endpoint(request), 0) - self.scene.now_ms()
            if left_ms > 0:
                self.violated(f"{_endpoint(request)} leaves {left_ms} ms before the venue wants to hear of it again")

    def answer_arrives(self, name: str, request: Request, answer: Response) -> None:
        if "/api/v1/" in name:
            self._unauthorized = self._unauthorized + 1 if answer.status == 401 else 0
        if answer.status != 429:
            return
        if answer.fault is None and not self.scene.stage.has_restarted_lately:
            self.violated(f"the venue's limiter refused {name}")
        told = dict(answer.headers).get("Retry-After", "")
        if told.isdecimal() and int(told) <= RETRY_AFTER_S_MAX:
            self._closed_until_ms[_endpoint(request)] = self.scene.now_ms() + int(told) * 1_000 - 10


class I18Bounds(Invariant):
    """Requests, units and time of a cycle are bounded; so are tries of a read, and cancellations of an order. A cycle
    that the feed woke sends orders and nothing else; and the feed wakes none where it has told nothing new."""

    name = "I18"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._requests = self._units = self._started_ms = self._paused_before_ms = 0
        self._tellings = self._woken_for_nothing = 0
        self._tries: Counter[str] = Counter()
        #: Of each order: the wall time at which its cancellation was last wished for, as far as it was not taken back.
        self._wished_ms: dict[str, int] = {}
        #: The wall time of the bot when its cycle began, and the orders whose cancellation this cycle has wished for.
        self._began_ms = 0
        self._wished_now: set[str] = set()
        #: Whether this cycle has asked for the account: what it wishes from then on is no wish of the operator's.
        self._has_asked = False

    def cycle_begins(self) -> None:
        self._began_ms = self.scene.rig.clock.now_ms()
        self._wished_now.clear()
        self._has_asked = False
        self._requests = self._units = 0
        self._tries.clear()
        self._started_ms, self._paused_before_ms = self.scene.now_ms(), self.scene.stage.paused_ms

    def woken_begins(self) -> None:
        self._requests = self._units = 0
        tellings = 0 if self.scene.eye is None else self.scene.eye.tellings
        self._woken_for_nothing = self._woken_for_nothing + 1 if tellings == self._tellings else 0
        self._tellings = tellings
        if self._woken_for_nothing > WOKEN_FOR_NOTHING_MAX:
            self.violated(f"{self._woken_for_nothing} cycles in a row were woken, and the feed told nothing new")

    def request_leaves(self, request: Request) -> None:
        if self.scene.is_woken and request.method != "POST":
            self.violated(f"{request.method} {request.path} leaves in a cycle that the feed woke")
        self._requests += 1
        if self._requests > REQUESTS_PER_CYCLE_MAX:
            self.violated(f"more than {REQUESTS_PER_CYCLE_MAX} requests in one cycle")
        if request.path in ASKED_ONCE:
            self._has_asked = True
            self._tries[request.path] += 1
            if self._tries[request.path] > TRIES_MAX:
                self.violated(f"{request.path} fails and is tried {self._tries[request.path]} times in one cycle")

    def answer_arrives(self, name: str, request: Request, answer: Response) -> None:
        if answer.status == 200:
            self._tries[request.path] = 0

    def unit_committed(self, unit: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        self._units += 1
        if self._units > UNITS_PER_CYCLE_MAX:
            self.violated(f"more than {UNITS_PER_CYCLE_MAX} units in one cycle")
        for statement, row in unit:
            if statement == "update_order":
                self._wishes(row)

    def _wishes(self, row: Mapping[str, Any]) -> None:
        client, wished_ms = row["client_order_id"], row["cancel_requested_at_ms"]
        before_ms = self._wished_ms.get(client)
        if wished_ms is None:
            self._wished_ms.pop(client, None)  # it was not sent, or not taken in: as due as before
            return
        self._wished_ms[client] = wished_ms
        is_first_now = client not in self._wished_now
        self._wished_now.add(client)
        if before_ms is None or (OPERATORS_WISH in (row["reason"] or "") and not self._has_asked):
            return
        if is_first_now and before_ms > self._began_ms:
            return  # noted by a clock that ran ahead: it lay in the future when this cycle decided
        pause_ms = 1_000 * int(self.scene.rig.environment["SETTLE_HORIZON_SECONDS"])
        if 0 < wished_ms - before_ms < pause_ms:
            self.violated(f"{client} is to be cancelled again after {wished_ms - before_ms} ms")

    def cycle_ended(self) -> None:
        paused_ms = self.scene.stage.paused_ms - self._paused_before_ms
        took_ms = self.scene.now_ms() - self._started_ms - paused_ms
        if took_ms > CYCLE_MS_MAX:
            self.violated(f"a cycle took {took_ms} ms")


def _endpoint(request: Request) -> str:
    """What the venue counts together: all single orders are one."""
    head, slash, last = request.path.rpartition("/")
    return f"{request.method} {head}/N" if slash and last.isdigit() else f"{request.method} {request.path}"
