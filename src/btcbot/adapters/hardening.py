"""What a process does for itself, before it has read a secret, so that its memory and files stay its own.

* **No core file.** `RLIMIT_CORE` is zero, hard, for children too. Where the kernel hands cores to a program (systemd's
  collector), that limit is ignored; being not dumpable is what stops it there.
* **Not dumpable** (Linux). No other process of the same user may read its memory, attach a debugger, or look at its
  environment and open files; only root may.
* **umask 077.** Whatever file somebody makes without naming a mode is the owner's alone.

Nothing here can fail a start: a machine without one of these has the others.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from typing import Final, NamedTuple

__all__ = ["Hardening", "harden", "state"]

PR_GET_DUMPABLE: Final = 3
PR_SET_DUMPABLE: Final = 4
UMASK: Final = 0o077


class Hardening(NamedTuple):
    """How this process stands now. `is_dumpable` None: this system does not tell."""

    core_bytes_max: int
    is_dumpable: bool | None


def harden() -> Hardening:
    """Close this process to others, for good: none of it can be taken back without root. Harmless to repeat."""
    os.umask(UMASK)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(PR_SET_DUMPABLE, 0)
    return state()


def state() -> Hardening:
    """What holds for this process."""
    found = _prctl(PR_GET_DUMPABLE, 0)
    return Hardening(
        core_bytes_max=resource.getrlimit(resource.RLIMIT_CORE)[0],
        is_dumpable=None if found is None else found != 0,
    )


def _prctl(option: int, value: int) -> int | None:
    """The kernel's answer; None where there is no such call."""
    if sys.platform != "linux":
        return None
    import ctypes  # only here: it costs other systems nothing

    try:
        answer = ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
    except (OSError, AttributeError):
        return None
    return None if answer < 0 else int(answer)
