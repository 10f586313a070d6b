"""Faults of the wire strike where they are told to, or not at all."""

from __future__ import annotations

from btcbot.testing.fault import Firing
from btcbot.testing.world import World

BALANCES = "GET /api/v1/users/balances"


def test_what_was_drawn_and_did_not_strike_does_not_strike_later() -> None:
    """While the venue is down nobody hears its «unauthorized»; afterwards it must not come as if from nowhere."""
    script = [Firing(0, "beat:venue_down", 0, "venue_down", (1,)), Firing(0, BALANCES, 0, "unauthorized", (5,))]

    story = World(1, cycles=4, script=script).run()

    assert story.violation is None
    assert [firing.fault for firing in story.fired] == ["venue_down"]
    assert any(f"{BALANCES} 503" in line for line in story.trace)
    assert not any(f"{BALANCES} 401" in line for line in story.trace)


def test_a_burst_of_refusals_goes_on_after_the_request_that_began_it() -> None:
    story = World(1, cycles=4, script=[Firing(0, BALANCES, 0, "unauthorized", (3,))]).run()

    assert [firing.fault for firing in story.fired] == ["unauthorized"]
    assert sum(" 401 " in line for line in story.trace) == 3


def test_connections_that_do_not_come_about_reach_nobody() -> None:
    faults = ("connect_failure", "connect_time_out", "dns_failure", "tls_failure")
    script = [Firing(cycle, BALANCES, 0, fault) for cycle, fault in enumerate(faults)]

    story = World(1, cycles=4, script=script).run()

    assert story.violation is None
    assert [firing.fault for firing in story.fired] == list(faults)
    assert sum(f"{BALANCES} no connection" in line for line in story.trace) == 4


def test_with_very_many_pairs_the_ticker_is_read_and_traded_on() -> None:
    """Beyond five pairs there is no book for each: the checkers are told of the ticker instead."""
    from btcbot.testing import swarm

    seed = next(
        seed for seed in range(1, 200) if len(swarm.draw_swarm(seed, 8, (), "run").symbols) == len(swarm.PRICES)
    )

    story = World(seed, cycles=8, script=[], profile="run").run()

    assert story.violation is None
    assert story.submits > 0
    assert any("GET /api/v2/ticker 200" in line for line in story.trace)
    assert not any("orderbook" in line for line in story.trace)
