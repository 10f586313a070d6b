"""Errors tell the caller what to do, and the operator one clear line."""

from __future__ import annotations

import copy

import pytest

from btcbot.errors import (
    EXIT_FAILED,
    EXIT_REFUSED,
    BtcbotError,
    ConfigurationError,
    InvariantBroken,
    Refused,
    StoreFailed,
    VenueUnavailable,
)


@pytest.mark.parametrize(
    ("error", "exit_code", "text"),
    [
        (ConfigurationError("A: wrong; mend"), EXIT_REFUSED, "A: wrong; mend"),
        (ConfigurationError(["A: wrong", "B: forged\nline"]), EXIT_REFUSED, "A: wrong\nB: forged line"),
        (Refused("no"), EXIT_REFUSED, "no"),
        (VenueUnavailable("timed out", 2.5), EXIT_FAILED, "timed out"),
        (StoreFailed("disk full"), EXIT_FAILED, "disk full"),
        (InvariantBroken("I3", "order 7"), EXIT_FAILED, "I3: order 7"),
    ],
)
def test_exit_code_and_text(error: BtcbotError, exit_code: int, text: str) -> None:
    assert (error.exit_code, str(error)) == (exit_code, text)
    assert str(copy.copy(error)) == text
