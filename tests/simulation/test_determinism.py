"""The same seed is the same run, to the byte: in this process, in another, under another order of hashes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from btcbot.testing.simulate import simulate
from btcbot.testing.world import World

PAIRS = 20


@pytest.mark.parametrize("seed", range(700, 700 + PAIRS))
def test_two_runs_of_a_seed_are_one(seed: int) -> None:
    one, other = World(seed, cycles=8).run(), World(seed, cycles=8).run()

    assert one.trace == other.trace
    assert one.trace_sha256 == other.trace_sha256


@pytest.mark.parametrize("hash_seed", ["1", "4242"])
def test_another_process_with_another_order_of_hashes_runs_the_same(hash_seed: str) -> None:
    here = simulate(720, 4)

    told = subprocess.run(
        [sys.executable, "-m", "btcbot", "simulate", "720", "--count", "4", "--json"],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )

    assert json.loads(told.stdout.splitlines()[-1]) == json.loads(json.dumps(here.report()))


def test_seeds_differ() -> None:
    assert len({World(seed, cycles=3).run().trace_sha256 for seed in range(730, 736)}) == 6


def test_a_story_told_again_by_its_firings_is_the_same_story() -> None:
    """Chance has no part in a script: the faults strike where they struck."""
    story = World(741, cycles=10).run()
    assert story.fired

    again = World(741, cycles=10, script=story.fired).run()

    assert again.fired == story.fired
    assert again.trace == story.trace
