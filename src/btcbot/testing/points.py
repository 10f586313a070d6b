"""The points of a run: where the process may die, and where somebody may meddle.

Transport and store of a rig report each request and each commit here, before and after. A crash at a point is an
exception that no code of the bot may catch: whoever runs the bot catches it, and drops every object of the bot.
"""

from __future__ import annotations

from collections.abc import Callable


class Crash(BaseException):
    """The process is gone at this point. No code of the bot may catch it."""


class Points:
    """Everything that the bot does to the world passes here first and last, by name: a place to crash, or to meddle."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.watch: Callable[[str], None] | None = None

    def reach(self, name: str) -> None:
        self.passed.append(name)
        if self.watch is not None:
            self.watch(name)

    def crash_at(self, number: int) -> None:
        """Crash at the `number`th point from now on, once."""
        last = len(self.passed) + number

        def crash(name: str) -> None:
            if len(self.passed) == last:
                raise Crash(f"point {number}: {name}")

        self.watch = crash

    def crash_when(self, is_due: Callable[[str], bool]) -> None:
        def crash(name: str) -> None:
            if is_due(name):
                self.watch = None
                raise Crash(name)

        self.watch = crash
