"""What a process holds, measured so finely that a leak of some bytes a cycle shows within ten thousand cycles.

Resident memory alone cannot tell that: an allocator takes it from the system by the arena, a mebibyte at once, and
gives it back when it likes. So three things are measured, each after everything unreachable is gone:

    blocks      live allocations of Python's own small-object allocator, exactly
    heap        bytes in use of the C library's heap, exactly, where it can tell: SQLite, TLS, buffers, large objects
    resident    what the system sees, after the C library was asked to return what it does not use

The bound is the same for all three. Blocks and heap bytes are exact, so any rise beyond it is growth. Of resident
memory a single step is no slope: it has grown when every part of the time brought its share.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import threading
from collections import Counter
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

#: Allowed growth of each measure, in per cent of it, for each 100,000 cycles (G10).
GROWTH_PERCENT_MAX: Final = Decimal(1)
#: What breathes without growing: objects that live for some cycles, lists that are tidied when they have 200 entries.
BLOCKS_NOISE: Final = 512
HEAP_BYTES_NOISE: Final = 64 * 1_024
#: Pages and arenas.
RESIDENT_KIB_NOISE: Final = 768
#: A slope climbs in each half of the time by at least this share of its whole rise.
STEADY_SHARE: Final = Decimal("0.25")
#: Types that a message names.
_TYPES_TOLD: Final = 3


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What the process held after so many cycles. `heap_bytes` None: this C library does not tell."""

    cycles: int
    resident_kib: int
    blocks: int
    heap_bytes: int | None
    #: Open files and threads together.
    handles: int


def sample(cycles: int) -> Sample:
    """Measure now."""
    gc.collect()
    trim = getattr(_libc(), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))
    return Sample(
        cycles=cycles,
        resident_kib=int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1_024,
        blocks=sys.getallocatedblocks(),
        heap_bytes=_heap_bytes(),
        handles=len(list(Path("/proc/self/fd").iterdir())) + threading.active_count(),
    )


def census() -> Counter[str]:
    """How many objects of each type live, those that no collector watches among them: for the message alone."""
    gc.collect()
    watched = gc.get_objects()
    seen = {id(watched)}
    types: Counter[str] = Counter()
    for holder in watched:
        for held in (holder, *gc.get_referents(holder)):
            if id(held) not in seen:
                seen.add(id(held))
                types[type(held).__qualname__] += 1
    return types


def growth(samples: list[Sample], warm_up: int, before: Counter[str] | None = None) -> list[str]:
    """What grew after `warm_up` cycles, a line each; nothing of fewer than six samples.

    `before` is a census of that time: with it a line names the types of which there are more.
    """
    settled = [one for one in samples if one.cycles > warm_up]
    if len(settled) < 6:
        return []
    third = len(settled) // 3
    parts = settled[:third], settled[third:-third], settled[-third:]
    cycles = parts[2][0].cycles - parts[0][0].cycles
    found = []

    def least(name: str) -> tuple[int, int, int]:
        first, middle, last = (min(getattr(one, name) for one in part) for part in parts)
        return first, middle, last

    blocks = least("blocks")
    if _rise(blocks) > _allowed(blocks[0], cycles, BLOCKS_NOISE):
        told = f"live Python objects grew from {blocks[0]} to {blocks[2]} blocks in {cycles} cycles"
        found.append(told + (_more(before, census()) if before is not None else ""))
    if all(one.heap_bytes is not None for one in settled):
        heap = least("heap_bytes")
        if _rise(heap) > _allowed(heap[0], cycles, HEAP_BYTES_NOISE):
            found.append(f"the heap grew from {heap[0]} to {heap[2]} bytes in use in {cycles} cycles")
    resident = least("resident_kib")
    if _rise(resident) > _allowed(resident[0], cycles, RESIDENT_KIB_NOISE) and _is_steady(resident):
        found.append(f"resident memory grew from {resident[0]} to {resident[2]} KiB in {cycles} cycles")
    if max(one.handles for one in parts[2]) > max(one.handles for one in parts[0]):
        found.append("open files or threads grew")
    return found


def _rise(least: tuple[int, int, int]) -> int:
    return least[2] - least[0]


def _allowed(at_first: int, cycles: int, noise: int) -> Decimal:
    return at_first * GROWTH_PERCENT_MAX / 100 * cycles / 100_000 + noise


def _is_steady(least: tuple[int, int, int]) -> bool:
    first, middle, last = least
    return min(middle - first, last - middle) >= (last - first) * STEADY_SHARE


def _more(before: Counter[str], now: Counter[str]) -> str:
    """The types of which there are most more: a hint, no measure."""
    more = [(name, count) for name, count in (now - before).most_common(_TYPES_TOLD) if count > BLOCKS_NOISE]
    return "" if not more else ": " + ", ".join(f"{count} more {name}" for name, count in more)


class _MallInfo(ctypes.Structure):
    """`struct mallinfo2` of the GNU C library."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks",
                     "keepcost")
    ]  # fmt: skip


@cache
def _libc() -> Any:
    return ctypes.CDLL(None)


def _heap_bytes() -> int | None:
    """Bytes in use of all heaps, and of what was too large for one; None where the C library has no such count."""
    ask = getattr(_libc(), "mallinfo2", None)
    if ask is None:
        return None
    ask.restype = _MallInfo
    told = ask()
    return int(told.uordblks) + int(told.hblkhd)
