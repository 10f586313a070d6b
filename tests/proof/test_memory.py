"""What the soak calls growth: a leak of some bytes a cycle, and not an allocator that breathes."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence

import msgspec
import pytest
from proof.memory import Sample
from proof.soak import SAMPLE_EVERY, WARM_UP

from proof import memory

CYCLES = 20_000
#: Resident KiB of a soak without a leak, from its first sample to its last, one every 500 cycles.
SEEN_KIB = [
    82320, 83308, 84252, 84756, 85108, 85356, 85696, 85956, 85448, 85540, 86452, 87464, 87468, 86660, 87024, 87248,
    88500, 87500, 88056, 89344, 89516, 89888, 89888, 89892, 89892, 88880, 88880, 88928, 88928, 88928, 88928, 88932,
    88928, 88928, 88932, 88928, 88932, 88928, 88932, 88936,
]  # fmt: skip


def soaked(
    resident_kib: Sequence[int] = SEEN_KIB,
    *,
    blocks_a_cycle: float = 0.0,
    heap_a_cycle: float = 0.0,
    kib_a_cycle: float = 0.0,
    handles_at_the_end: int = 20,
    cycles: int = CYCLES,
) -> list[Sample]:
    """The samples of a soak: 20,000 cycles as they were seen, and what leaks beside."""
    rows = []
    for number, done in enumerate(range(SAMPLE_EVERY, cycles + 1, SAMPLE_EVERY)):
        kib = resident_kib[min(number, len(resident_kib) - 1)]
        rows.append(
            Sample(
                cycles=done,
                resident_kib=kib + int(done * kib_a_cycle),
                blocks=411_700 + (number * 37) % 90 + int(done * blocks_a_cycle),
                heap_bytes=19_990_000 + (number % 2) * 6_000 + int(done * heap_a_cycle),
                handles=handles_at_the_end if done > cycles * 4 // 5 else 20,
            )
        )
    return rows


def found(samples: list[Sample]) -> list[str]:
    return memory.growth(samples, WARM_UP)


def test_what_was_seen_without_a_leak_is_none():
    assert found(soaked()) == []


@pytest.mark.parametrize("at", range(11_000, 20_000, 500))
def test_an_arena_more_is_no_leak_whenever_it_comes(at: int):
    """As CI once saw it: 89,960 KiB at first, 91,196 at last, and flat on either side of the step."""
    kib = [89_960 if done < at else 91_196 for done in range(SAMPLE_EVERY, CYCLES + 1, SAMPLE_EVERY)]
    assert found(soaked(kib)) == []


def test_one_small_object_in_each_cycle_is_a_leak_though_resident_memory_shows_nothing():
    [told] = found(soaked(blocks_a_cycle=1))
    assert told.startswith("live Python objects grew from ")
    assert told.endswith(" blocks in 7000 cycles")


def test_one_small_object_in_each_eighth_cycle_is_a_leak():
    assert found(soaked(blocks_a_cycle=0.125))


def test_thirty_bytes_a_cycle_outside_of_python_are_a_leak():
    [told] = found(soaked(heap_a_cycle=30))
    assert told.startswith("the heap grew from ")


def test_resident_memory_that_climbs_all_the_time_is_a_leak():
    """Whatever took it: a map of a file, a stack, or pieces that nobody can use."""
    [told] = found(soaked([89_000], kib_a_cycle=0.15))
    assert told.startswith("resident memory grew from ")


def test_over_a_long_time_forty_bytes_a_cycle_of_resident_memory_are_a_leak():
    [told] = found(soaked([80_000], kib_a_cycle=0.04, cycles=50_000))
    assert told.startswith("resident memory grew from ")


def test_one_more_open_file_is_a_leak():
    assert found(soaked(handles_at_the_end=21)) == ["open files or threads grew"]


def test_a_heap_that_cannot_be_counted_is_not_judged():
    assert found([msgspec.structs.replace(one, heap_bytes=None) for one in soaked(heap_a_cycle=30)]) == []


# -- the instrument itself ---------------------------------------------------------------------------------------------


def measured(cycle: Callable[[], object]) -> list[str]:
    """What is found of a loop of 20,000 cycles in this very process."""
    samples, types = [], None
    for done in range(1, CYCLES + 1):
        cycle()
        if done == WARM_UP:
            types = memory.census()
        if done > WARM_UP and done % (2 * SAMPLE_EVERY) == 0:
            samples.append(memory.sample(done))
    return memory.growth(samples, WARM_UP, types)


def test_a_loop_that_lets_go_of_everything_is_clean():
    numbers = iter(range(CYCLES))
    assert measured(lambda: [str(next(numbers))] * 10) == []


def test_a_list_that_gets_one_small_object_more_in_each_cycle_is_found_and_named():
    kept: list[float] = []
    [told, *others] = measured(lambda: kept.append(len(kept) + 0.5))
    assert told.startswith("live Python objects grew from ")
    assert " more float" in told
    assert all(other.startswith("the heap grew from ") for other in others)  # the list itself


@pytest.mark.skipif(memory.sample(0).heap_bytes is None, reason="this C library does not count its heap")
def test_thirty_bytes_that_c_code_never_frees_are_found():
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    kept = (ctypes.c_void_p * CYCLES)()
    numbers = iter(range(CYCLES))

    def leak() -> None:
        kept[next(numbers)] = libc.malloc(ctypes.c_size_t(30))

    [told] = measured(leak)
    assert told.startswith("the heap grew from ")
    libc.free.argtypes = [ctypes.c_void_p]
    for each in kept:
        libc.free(each)


@pytest.mark.skipif(memory.sample(0).heap_bytes is None, reason="this C library does not count its heap")
def test_a_buffer_that_only_grows_is_found():
    buffer = bytearray()
    assert any(told.startswith("the heap grew from ") for told in measured(lambda: buffer.extend(b"x" * 30)))


def test_a_file_that_stays_open_is_found():
    opened: list[int] = []
    cycles = iter(range(CYCLES))

    def leak() -> None:
        if next(cycles) % 1_000 == 0:
            opened.append(os.open(os.devnull, os.O_RDONLY))

    try:
        assert "open files or threads grew" in measured(leak)
    finally:
        for each in opened:
            os.close(each)
