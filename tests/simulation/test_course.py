"""The end of a world: what two recoveries without any event may change in the database, and what they may not.

After the last of them a hand reaches into the database, as a defect of the bot would. The world has to notice whatever
is changed, but for what prices alone may move.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from btcbot.profiles import RUN, STAGE4
from btcbot.testing.world import Story, World

Change = Callable[[str], str]


def touched(profile: str, name: str, change: Change, state_before: str | None = "ACTIVE") -> Story:
    """A calm world in which a named value is another one after its last cycle. `state_before` is the trading state with
    which its last two cycles begin, None where none was ever written."""
    world = World(7, cycles=3, script=[], profile=profile)
    tell, live = world.tell, world.live
    cycles_left = 0

    def put(text: str, of: str = name) -> None:
        world.rig.disk.execute("INSERT OR REPLACE INTO named_values (name, value) VALUES (?, ?)", (of, text))

    def told(text: str) -> None:
        nonlocal cycles_left
        tell(text)
        if text == "idempotence":
            if state_before is None:
                world.rig.disk.execute("DELETE FROM named_values WHERE name = 'trading_state'")
            else:
                put(state_before, "trading_state")
            cycles_left = 2

    def lived(seconds: float | None = None) -> bool:
        nonlocal cycles_left
        has_completed = live(seconds)
        cycles_left -= 1
        if cycles_left == 0:
            rows = world.rig.disk.execute("SELECT value FROM named_values WHERE name = ?", (name,)).fetchall()
            put(change(rows[0][0] if rows else ""))
        return has_completed

    world.tell, world.live = told, lived  # type: ignore[method-assign]
    return world.run()


def now(state: str) -> Change:
    return lambda before: state


def with_result(field: str, text: str) -> Change:
    def change(before: str) -> str:
        told = json.loads(before)
        assert field in told
        return json.dumps({**told, field: text})

    return change


@pytest.mark.parametrize(
    ("profile", "name", "change"),
    [
        (RUN.name, "trading_state", now("OBSERVE_ONLY")),
        (STAGE4.name, "trading_state", now("FROZEN")),
        (STAGE4.name, "results", with_result("fees", "0.01")),
    ],
    ids=["a run that trades observes", "an overseen one is frozen", "a fee that nobody charged"],
)
def test_what_no_price_can_move_may_not_change(profile: str, name: str, change: Change) -> None:
    violation = touched(profile, name, change).violation

    assert violation is not None
    assert violation[0] == "I7"
    assert "two recoveries without any event changed named_values" in violation[1]
    assert name in violation[1]


@pytest.mark.parametrize(
    ("name", "change"),
    [("trading_state", now("OBSERVE_ONLY")), ("results", with_result("peak", "1000000"))],
    ids=["it observes while its budget says so", "what is held was never worth as much"],
)
def test_what_a_price_moves_in_an_overseen_world_is_no_change(name: str, change: Change) -> None:
    assert touched(STAGE4.name, name, change).violation is None


def test_that_an_overseen_bot_observes_for_the_first_time_is_no_change() -> None:
    """Until then no trading state stands in the database at all."""
    observes = touched(STAGE4.name, "trading_state", now("OBSERVE_ONLY"), state_before=None)
    assert observes.violation is None
    assert touched(STAGE4.name, "trading_state", now("HALTED"), state_before=None).violation is not None
