"""The word to stop, as a signal handler can give it.

`threading.Event` takes a lock to be set. A handler runs in the main thread, between any two steps of what that thread
does; when it does just then hold the lock, in `wait`, setting the event waits for ever, and so does the next signal. So
the word is a plain attribute here, and a byte in a pipe wakes whoever waits.
"""

from __future__ import annotations

import contextlib
import os
import select

__all__ = ["StopFlag"]


class StopFlag:
    """`StopSignal` that may be set by a signal handler at any moment. Set once, it stays set."""

    def __init__(self) -> None:
        self._is_set = False
        self._reader, self._writer = os.pipe()  # not inherited by children
        os.set_blocking(self._writer, False)

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        with contextlib.suppress(BlockingIOError):  # full: it wakes all the same
            os.write(self._writer, b".")

    def fileno(self) -> int:
        """A descriptor that can be read from once it is set, for whoever waits for something else as well. Waiting for
        it is all that may be done with it."""
        return self._reader

    def wait(self, timeout: float | None = None) -> bool:
        """Wait `timeout` seconds (None: for ever), or until it is set; whether it is."""
        if not self._is_set:
            waiting = select.poll()  # unlike `select`, for any number of open files
            waiting.register(self._reader, select.POLLIN)
            waiting.poll(None if timeout is None else max(timeout, 0) * 1_000)
        return self._is_set
