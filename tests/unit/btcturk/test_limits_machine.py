"""Our count of requests as a machine: any schedule, answers of any delay, several under way, refusals in between.

Whatever the schedule, no stretch of time as long as one of the venue's windows holds more arrivals than the venue
allows, wherever its windows begin; and whoever waits as long as was said may send.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.unit.btcturk.support import FakeClock

from btcbot.adapters.btcturk.breaker import RETRY_AFTER_S_MAX, Breaker, retry_after_s
from btcbot.adapters.btcturk.limits import SLACK_MS, Endpoint, Quota, RateBudget

#: Small enough that a machine of a few dozen steps meets them: two windows at once, as for orders.
QUOTAS = {Endpoint.SUBMIT: (Quota(4, 1_000), Quota(9, 5_000)), Endpoint.TICKER: (Quota(3, 2_000),)}
#: The longest block that the breaker makes up where the venue names no time.
BLOCK_MS_MAX = 60_000
endpoints = st.sampled_from(sorted(QUOTAS))


class Client(RuleBasedStateMachine):
    """Sends whenever it may. The venue sees a request at some moment between its leaving and its answer."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.budget = RateBudget(self.clock, QUOTAS)
        self.breaker = Breaker(self.clock)
        self.arrivals: dict[Endpoint, list[int]] = {endpoint: [] for endpoint in QUOTAS}
        self.under_way: list[tuple[Endpoint, bool]] = []  # and whether the venue has seen it already
        self.closed_until_ms: dict[Endpoint, int] = {}

    def now_ms(self) -> int:
        return self.clock.wall_ms

    def seconds_left(self, endpoint: Endpoint) -> float:
        return max(self.closed_until_ms.get(endpoint, 0) - self.now_ms(), 0) / 1000

    @rule(endpoint=endpoints, at_once=st.booleans())
    def send_if_allowed(self, endpoint: Endpoint, at_once: bool) -> None:
        if self.budget.wait_ms(endpoint) or self.breaker.closed_s(endpoint):
            return
        self.budget.start(endpoint)
        if at_once:
            self.arrivals[endpoint].append(self.now_ms())
        self.under_way.append((endpoint, at_once))

    @rule(endpoint=endpoints)
    def send_as_fast_as_allowed(self, endpoint: Endpoint) -> None:
        for _ in range(12):
            self.send_if_allowed(endpoint, at_once=True)
            if self.under_way:
                self.answer(len(self.under_way) - 1)

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 20))
    def answer(self, which: int) -> None:
        endpoint, has_arrived = self.under_way.pop(which % len(self.under_way))
        if not has_arrived:
            self.arrivals[endpoint].append(self.now_ms())
        self.budget.end(endpoint)
        self.breaker.answered(endpoint)

    @precondition(lambda self: self.under_way)
    @rule(header=st.sampled_from([None, "0", "1", "2.5", "99999999", "-1", "soon", "Wed, 21 Oct 2015 07:28:00 GMT"]))
    def answer_with_too_many_requests(self, header: str | None) -> None:
        endpoint, has_arrived = self.under_way.pop()
        if not has_arrived:
            self.arrivals[endpoint].append(self.now_ms())
        self.budget.end(endpoint)
        told_s = retry_after_s(header)
        closed_s = self.breaker.rate_limited(endpoint, told_s)
        assert 0 <= closed_s <= RETRY_AFTER_S_MAX
        if told_s is None:
            assert 1 <= closed_s <= BLOCK_MS_MAX / 1000
        self.closed_until_ms[endpoint] = self.now_ms() + max(1, round(closed_s * 1000))

    @rule(ms=st.sampled_from([1, 7, 49, 50, 51, 999, 1_000, 1_050, 2_000, 5_000, 70_000]))
    def pass_time(self, ms: int) -> None:
        self.clock.pass_ms(ms)

    @rule(endpoint=endpoints)
    def wait_as_told(self, endpoint: Endpoint) -> None:
        """Nobody starves: with all answers in, whoever waits as long as was said may send."""
        while self.under_way:
            self.answer(0)
        wait_ms = self.budget.wait_ms(endpoint)
        assert wait_ms <= max(quota.period_ms for quota in QUOTAS[endpoint]) + SLACK_MS
        self.clock.pass_ms(wait_ms)
        assert self.budget.wait_ms(endpoint) == 0

    @rule(endpoint=endpoints)
    def wait_for_a_closed_endpoint(self, endpoint: Endpoint) -> None:
        self.clock.pass_ms(-(-int(self.breaker.closed_s(endpoint) * 1000) // 1) + 1)
        assert self.breaker.closed_s(endpoint) == 0

    @invariant()
    def no_stretch_of_time_holds_more_than_the_venue_allows(self) -> None:
        for endpoint, quotas in QUOTAS.items():
            arrivals = self.arrivals[endpoint]
            for quota in quotas:
                for first, last in zip(arrivals, arrivals[quota.requests :], strict=False):
                    assert last - first >= quota.period_ms, (endpoint, quota, arrivals)

    @invariant()
    def an_endpoint_is_closed_for_as_long_as_was_said_and_alone(self) -> None:
        for endpoint in QUOTAS:
            assert abs(self.breaker.closed_s(endpoint) - self.seconds_left(endpoint)) < 0.002
        told = set(self.breaker.endpoints_closed())
        assert told == {endpoint.value for endpoint in QUOTAS if self.breaker.closed_s(endpoint)}


Client.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestClient = Client.TestCase
