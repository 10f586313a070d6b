"""What a world does at each point that the bot passes: the checkers look, faults strike, the process may end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from btcbot.testing.chance import crash_of, place_of
from btcbot.testing.points import Crash

if TYPE_CHECKING:
    from btcbot.testing.world import World

#: At these it is known too whether the kill chain has turned its switch in the unit that closes a cycle.
_AT_A_COMMIT: Final = ("before commit", "after commit")


class AtPoints:
    """`reached` is told of each point, by its name."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rig = world.rig
        self._kill_file = str(world.rig.kill_switch().path)

    def reached(self, name: str) -> None:
        world, rig = self._world, self._rig
        world.points_passed = len(rig.points.passed)
        is_at_commit = name in _AT_A_COMMIT
        if is_at_commit and world.profile.is_overseen:
            self._look_at_kill_file()
        if name == "after commit":
            world.trace.append("+" + ",".join(statement for statement, _ in rig.last_unit()))
            world.checkers.committed()
        if not world.is_stormy:
            return
        crash = world.chance.occasion("crash", crash_of(name))
        if crash is not None:
            world.note(crash)
            if is_at_commit:
                unit = rig.last_unit()
                world.crashed_in.update(str(row["name"]) for statement, row in unit if statement == "put_value")
            raise Crash(name)
        world.occasion("point", place_of(name))

    def _look_at_kill_file(self) -> None:
        """The kill chain makes it too, and lets it go where its settings say so; else the operator does, in a while."""
        world = self._world
        is_there = os.access(self._kill_file, os.F_OK)
        if is_there and world.kill_since is None:
            world.kill_since, world.is_kill_of_chain = world.points_passed, True
            world.tell("the kill chain has made the kill file")
            if world.is_stormy:
                world.effects.lets_kill_file_go()
        elif not is_there and world.is_kill_of_chain:
            world.kill_since, world.is_kill_of_chain = None, False
