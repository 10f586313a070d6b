"""Harm to a performance: a place, and what strikes there. Every harm is told in a few words, to be repeated by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from btcbot.errors import InvariantBroken
from btcbot.testing.points import Crash

if TYPE_CHECKING:
    from btcbot.testing.stories.performance import Performance

POST: Final = "before POST /api/v1/order"


class Harm(ABC):
    """Called at every point of the story, in order. `struck` says where it did, `after` what must hold in the end."""

    #: The bot may halt because of it.
    halts = False

    def __init__(self) -> None:
        self.struck: list[str] = []

    @abstractmethod
    def __call__(self, it: Performance, name: str) -> None:
        """The performance has come to the point `name`."""

    def after(self, it: Performance) -> list[str]:
        """Whatever is wrong when the last cycle of the story has ended, one line each."""
        return []

    @abstractmethod
    def __str__(self) -> str:
        """What strikes and where, to be repeated by."""


class Crashes(Harm):
    """The process dies at a point; its successor at another one, counted from its own start; and so on."""

    def __init__(self, *numbers: int) -> None:
        super().__init__()
        self._numbers: Sequence[int] = numbers
        self._passed = 0

    def __call__(self, it: Performance, name: str) -> None:
        self._passed += 1
        if len(self.struck) < len(self._numbers) and self._passed == self._numbers[len(self.struck)]:
            self.struck.append(name)
            self._passed = 0
            raise Crash(name)

    def __str__(self) -> str:
        return f"crash at {', then at '.join(map(str, self._numbers))}"


class DiskFails(Harm):
    """From one point on the disk is full, or busy, or reports an error, until the cycle or the process has ended.

    `way`: `full` (the unit is rolled back, as it is after an error at its COMMIT), `busy` (it cannot even begin), or
    `late error` (the commit lasts, and yet an error is reported: what a failed sync of the log can come to).
    """

    def __init__(self, number: int, way: str) -> None:
        super().__init__()
        self._number = number
        self._way = way

    def __call__(self, it: Performance, name: str) -> None:
        if len(it.points) != self._number:
            return
        self.struck.append(name)
        rig = it.rig
        match self._way:
            case "full":
                rig.disk_is_full = True
            case "busy":
                rig.disk_is_busy = True
            case "late error":
                rig.disk_has_error = rig.disk_error_comes_late = True
            case _:
                raise ValueError(f"no way to fail: {self._way}")

    def __str__(self) -> str:
        return f"disk {self._way} at {self._number}"


class StatementFails(Harm):
    """The disk gives an error at one writing statement, in the middle of a unit; none after that."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def __call__(self, it: Performance, name: str) -> None:
        it.breaks_at = self._number
        if it.statements >= self._number and not self.struck:
            self.struck.append(name)

    def __str__(self) -> str:
        return f"I/O error at statement {self._number}"


class _Closes(Harm):
    """A brake is put on at one point. From then on no order may leave but one that is past its last look at it.

    The last look is the permit. It is asked for when the reserve is durable, and between it and the socket lies one
    point only, the one just before the request. So a brake that is put on there, and only there, comes too late for
    exactly that order (which leaves when there is a connection); for the next one it does not.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number
        self._posts = self._cancels = 0
        self._is_too_late = False

    def __call__(self, it: Performance, name: str) -> None:
        if len(it.points) == self._number:
            self.struck.append(name)
            self._posts, self._cancels = it.posts, it.cancels
            self._is_too_late = name == POST and it.rig.venue.transport.is_up
            self._close(it, name)

    @abstractmethod
    def _close(self, it: Performance, name: str) -> None:
        """Put the brake on."""

    def _let_through(self) -> int:
        """Orders that are past their last look when the brake is put on."""
        return int(self._is_too_late)

    def after(self, it: Performance) -> list[str]:
        left = it.posts - self._posts
        allowed = self._let_through() if self.struck else left
        return [f"{left} orders left after the brake, not {allowed}"] if left != allowed else []


class Kill(_Closes):
    """The kill file appears, and stays."""

    def _close(self, it: Performance, name: str) -> None:
        it.kill(is_on=True)

    def __str__(self) -> str:
        return f"kill file at {self._number}"


class SafeMode(_Closes):
    """The process dies and comes back in safe mode: not even a cancellation leaves."""

    def _close(self, it: Performance, name: str) -> None:
        it.rig.environment["SAFE_MODE"] = "true"
        raise Crash(name)

    def _let_through(self) -> int:
        return 0

    def after(self, it: Performance) -> list[str]:
        left = it.cancels - self._cancels
        return [*super().after(it), *([f"{left} cancellations left in safe mode"] if self.struck and left else [])]

    def __str__(self) -> str:
        return f"safe mode at {self._number}"


class Halt(_Closes):
    """What can never be is found to be so while the venue is asked; the process ends, and its successor waits."""

    halts = True

    def _close(self, it: Performance, name: str) -> None:
        raise InvariantBroken("STAGED", f"found at {name}")

    def _let_through(self) -> int:
        return 0

    def after(self, it: Performance) -> list[str]:
        state = it.named_value("trading_state")
        forgotten = [f"a halt became {state}"] if self.struck and state != "HALTED" else []
        return [*super().after(it), *forgotten]

    def __str__(self) -> str:
        return f"halt at {self._number}"


class Terminate(Harm):
    """The process is asked to end at one point. That at most the write in hand still leaves is I6, which is watched."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def __call__(self, it: Performance, name: str) -> None:
        if len(it.points) == self._number:
            self.struck.append(name)
            it.rig.stop.set()

    def __str__(self) -> str:
        return f"word to stop at {self._number}"
