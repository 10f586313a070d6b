"""How a command ends that goes on until it is told to stop, or is done before."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from btcbot.adapters.stop import StopFlag

#: Ctrl-C, the word of a service manager, and a terminal that was closed.
ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def end_on_signals(stop: StopFlag) -> None:
    """From now on each of these signals sets the flag, and a second one ends the process."""

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(128 + number)  # asked twice: at once, as a crash would; the next start recovers
        stop.set()

    for number in ENDING:
        signal.signal(number, ask)


@contextmanager
def ended_by_signals(stop: StopFlag, numbers: Sequence[signal.Signals] = ENDING) -> Iterator[None]:
    """Inside, each of these signals sets the flag and cuts nothing off; afterwards they mean what they did before."""
    before = [signal.signal(number, lambda *_: stop.set()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
