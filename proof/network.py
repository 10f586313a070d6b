"""A real network that fails, one trouble after the other, under a bot that trades; and then is well again.

Each story has a bot process, a venue process, and a proxy between them that delays, loses, resets, swallows, cuts,
drips and repeats. While it lasts the bot may do nothing wrong; when it is over the bot has to trade again by itself,
with no thread and no connection left behind, and books and venue have to be equal to the last digit.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from btcbot.testing.bench import Bench
from btcbot.testing.chaos_proxy import ChaosProxy, Cut, Trouble
from btcbot.testing.rig import BotProcess, time_of
from btcbot.testing.staged_run import Stage
from proof.result import Result
from proof.slices import fast_folder, one_line, spread

#: As shipped a write has 4 s and a read 8 s; most stories are told faster.
TIMEOUT_S: Final = 0.5
TROUBLE_S: Final = 1.2
COMPLETED_MIN: Final = 3
PATIENCE_S: Final = 40.0
POLL_S: Final = 0.01
#: The client keeps two idle connections at most: one that was open before, and one more.
MORE_FILES_MAX: Final = 1


class Befalls(msgspec.Struct, frozen=True, kw_only=True):
    """One trouble for as long as the story's trouble lasts; `share` of a hundred requests that fit."""

    kind: Trouble
    method: str = ""
    share: int = 100
    count: int | None = None
    seconds: float = 0.0
    bytes_: int = 16


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """`doubts`: at least one order must have been left in doubt, or the story was not told."""

    name: str
    befalls: Sequence[Befalls] = ()
    cut: Cut | None = None
    timeout_s: float | None = TIMEOUT_S
    trouble_s: float = TROUBLE_S
    doubts: bool = False


T = Trouble
STORIES: Final[Sequence[Story]] = (
    Story(name="every request is late", befalls=[Befalls(kind=T.DELAY, seconds=0.1)]),
    Story(name="orders come after our patience, and are taken", doubts=True,
          befalls=[Befalls(kind=T.DELAY, method="POST", share=60, seconds=1.0)]),
    Story(name="orders come after their stamp has run out", doubts=True,
          befalls=[Befalls(kind=T.DELAY, method="POST", share=60, seconds=5.6)]),
    Story(name="answers are late", doubts=True,
          befalls=[Befalls(kind=T.DELAY_ANSWER, method="POST", share=60, seconds=0.8)]),
    Story(name="three connections of ten are lost", doubts=True, trouble_s=2.5,
          befalls=[Befalls(kind=T.LOST_BEFORE, share=15), Befalls(kind=T.LOST_AFTER, share=18)]),
    Story(name="connections are reset before anything is sent", befalls=[Befalls(kind=T.RESET_AT_CONNECT)]),
    Story(name="orders are reset on their way", doubts=True,
          befalls=[Befalls(kind=T.RESET_BEFORE, method="POST")]),
    Story(name="the answers of orders are reset", doubts=True,
          befalls=[Befalls(kind=T.RESET_AFTER, method="POST")]),
    Story(name="half-open while an order is answered", doubts=True,
          befalls=[Befalls(kind=T.HALF_OPEN, method="POST")]),
    Story(name="half-open whatever is asked", trouble_s=2.0, befalls=[Befalls(kind=T.HALF_OPEN)]),
    Story(name="a black hole after the bytes of an order", doubts=True,
          befalls=[Befalls(kind=T.BLACK_HOLE, method="POST")]),
    Story(name="answers are cut in the middle", doubts=True,
          befalls=[Befalls(kind=T.TRUNCATED, method="GET", share=4), Befalls(kind=T.TRUNCATED, method="POST")]),
    Story(name="answers drip, but come in time", befalls=[Befalls(kind=T.DRIP, seconds=0.001, bytes_=64)]),
    Story(name="answers of orders drip for ever", doubts=True,
          befalls=[Befalls(kind=T.DRIP, method="POST", seconds=0.2, bytes_=8)]),
    Story(name="orders reach the venue twice", befalls=[Befalls(kind=T.DUPLICATE, method="POST")]),
    Story(name="everything reaches the venue twice", befalls=[Befalls(kind=T.DUPLICATE)]),
    Story(name="cancellations are lost and repeated",
          befalls=[Befalls(kind=T.LOST_AFTER, method="DELETE", share=50), Befalls(kind=T.DUPLICATE, method="DELETE")],
          trouble_s=3.0),
    Story(name="the network refuses", cut=Cut.REFUSED),
    Story(name="the network is silent", cut=Cut.SILENT),
    Story(name="half-open for once, with the time-outs of the product", timeout_s=None, doubts=True, trouble_s=5.0,
          befalls=[Befalls(kind=T.HALF_OPEN, method="POST", count=1)]),
)  # fmt: skip


class Told(msgspec.Struct, kw_only=True):
    """What came of a story. `recovery_ms` is from the end of the trouble to the first cycle that completed."""

    failures: list[str]
    struck: Mapping[str, int]
    in_doubt: int = 0
    recovery_ms: int = 0


class _Watch:
    """What a bot has logged so far."""

    def __init__(self, bot: BotProcess) -> None:
        self._bot = bot
        self.in_doubt = 0

    def completed(self, count: int, since_ms: int = 0) -> int:
        """Wait for `count` completed cycles that ended after `since_ms`; when the first did."""
        over_at = time.monotonic() + PATIENCE_S
        first_ms = 0
        while count:
            assert self._bot.status() is None, f"the bot ended with {self._bot.status()}: {self._bot.last_lines()}"
            assert time.monotonic() < over_at, f"no completed cycle: {self._bot.last_lines()}"
            for event in self._cycles():
                if event["outcome"] == "completed" and time_of(event) > since_ms and count:
                    first_ms = first_ms or time_of(event)
                    count -= 1
            time.sleep(POLL_S)
        return first_ms

    def pass_time(self, seconds: float) -> None:
        over_at = time.monotonic() + seconds
        while time.monotonic() < over_at:
            self._cycles()
            time.sleep(POLL_S)

    def _cycles(self) -> list[Mapping[str, Any]]:
        cycles = [event for event in self._bot.new_events() if event["event"] == "cycle_ended"]
        self.in_doubt += sum(int(event.get("in_doubt", 0)) for event in cycles)
        return cycles


def tell(story: Story, folder: Path, seed: int = 1) -> Told:
    """Play one story to its end in `folder`."""
    stage = Stage(limits_factor=0, busy_seed=seed, read_s=story.timeout_s, write_s=story.timeout_s)
    with Bench.busy(folder, seed, network=True, stage=stage) as bench:
        network = bench.network
        assert network is not None
        told = Told(failures=[], struck={})
        try:
            _play(story, bench, network, told)
        except (AssertionError, TimeoutError) as broken:
            told.failures.append(str(broken))
        told.struck = network.struck
    if not told.struck:
        told.failures.append("the trouble never struck")
    if story.doubts and not told.in_doubt:
        told.failures.append("no order was ever in doubt")
    return told


def _play(story: Story, bench: Bench, network: ChaosProxy, told: Told) -> None:
    bot = bench.start_bot()
    watch = _Watch(bot)
    watch.completed(COMPLETED_MIN)
    files, threads = bot.open_files(), bot.threads()
    for one in story.befalls:
        network.cause(one.kind, method=one.method, share=one.share, count=one.count, seconds=one.seconds,
                      bytes_=one.bytes_)  # fmt: skip
    if story.cut is not None:
        network.cut(story.cut)
    watch.pass_time(story.trouble_s)
    network.heal()
    healed_ms = time.time_ns() // 1_000_000
    told.recovery_ms = watch.completed(COMPLETED_MIN, healed_ms) - healed_ms
    told.in_doubt = watch.in_doubt
    if bot.open_files() > files + MORE_FILES_MAX:
        told.failures.append(f"{files} files were open before, {bot.open_files()} are now")
    if bot.threads() > threads:
        told.failures.append(f"{threads} threads ran before, {bot.threads()} do now")
    told.failures += bench.faults_at_rest(bot)


def run(slice: int = 0, of: int = 1) -> Result:  # noqa: A002 - the plan names its slices so
    """Every `of`-th story, from number `slice` on."""
    counts: Counter[str] = Counter()
    failures: list[str] = []
    recovery_ms: list[int] = []
    for number, story in enumerate(STORIES):
        if number % of != slice:
            continue
        with tempfile.TemporaryDirectory(prefix="btcbot-network-", dir=fast_folder()) as folder:
            told = tell(story, Path(folder), seed=number + 1)
        counts["stories"] += 1
        counts["comparisons"] += 1
        counts["orders_in_doubt"] += told.in_doubt
        for kind, times in told.struck.items():
            counts[kind] += times
        counts["troubles"] += sum(told.struck.values())
        recovery_ms.append(told.recovery_ms)
        failures += [f"{story.name}: {one_line(line)}" for line in told.failures]
    notes = {f"recovery_{word}": f"{value} ms" for word, value in spread(recovery_ms).items()}
    return Result(goal="G4", part="network", counts=counts, failures=failures, notes=notes)
