"""Errors, sorted by what the caller must do about them.

    BtcbotError
    ├── ConfigurationError   tell the operator; the process ends with 2 and has touched nothing
    ├── Refused              a gate, a lock or a command says no; ends with 2, nothing was changed
    ├── VenueUnavailable     wait, observe only; the next cycle tries again
    ├── StrategyFailed       a strategy raised, or wished nonsense: observe only, look after what is there
    ├── StoreFailed          the books cannot be written: stop writing to the venue as well; ends with 1
    └── InvariantBroken      the books contradict themselves: halt, keep the evidence; ends with 1

Whatever is none of these is a defect of the program. Every message is for a person: one clear line that says what is
wrong and how to mend it. No message holds a secret or a value taken from a secret setting.

Standard library only, so that every layer, the domain included, can raise them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

__all__ = [
    "EXIT_DONE",
    "EXIT_FAILED",
    "EXIT_REFUSED",
    "BtcbotError",
    "ConfigurationError",
    "InvariantBroken",
    "Refused",
    "StoreFailed",
    "StrategyFailed",
    "VenueUnavailable",
]

EXIT_DONE: Final = 0
EXIT_FAILED: Final = 1
EXIT_REFUSED: Final = 2


class BtcbotError(Exception):
    """What btcbot itself raises. `exit_code` is the process's status when nobody handles it."""

    exit_code: ClassVar[int] = EXIT_FAILED


class ConfigurationError(BtcbotError):
    """The settings cannot be used. `lines`: one line for each problem, all of them reported together."""

    exit_code = EXIT_REFUSED

    def __init__(self, lines: Sequence[str] | str) -> None:
        listed = (lines,) if isinstance(lines, str) else lines
        self.lines: tuple[str, ...] = tuple(" ".join(line.splitlines()) for line in listed)
        super().__init__(self.lines)

    def __str__(self) -> str:
        return "\n".join(self.lines)


class Refused(BtcbotError):
    """A gate, a lock or a command refuses. The message says why, and what would let it pass."""

    exit_code = EXIT_REFUSED


class VenueUnavailable(BtcbotError):
    """The venue or the network is in trouble: wait and observe.

    `reason` is one line; `retry_after_s` is how long the venue asked us to wait, in seconds, None when it did not say.
    """

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason, retry_after_s)
        self.reason = reason
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return self.reason


class StrategyFailed(BtcbotError):
    """A strategy raised, or gave something that is no wish. Orders and books are looked after all the same."""


class StoreFailed(BtcbotError):
    """The state database cannot be read or written. Without books nothing may be sent."""


class InvariantBroken(BtcbotError):
    """Something that can never be true is true. `code` names the invariant, `evidence` says what was seen."""

    def __init__(self, code: str, evidence: str) -> None:
        super().__init__(code, evidence)
        self.code = code
        self.evidence = evidence

    def __str__(self) -> str:
        return f"{self.code}: {self.evidence}"
