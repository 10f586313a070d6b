"""A real network that fails, one trouble after the other, under a bot that trades; and then is well again.

Each story has a bot process, a venue process, and a proxy between them that delays, loses, resets, swallows, cuts,
drips and repeats. While it lasts the bot may do nothing wrong; when it is over the bot has to trade again by itself,
with no thread and no connection left behind, and books and venue have to be equal to the last digit.

In more than half of the stories the bot has the live feed as well, over a proxy of its own; in some it is the feed that
fails, alone or with everything else. Then quotes have to come from REST meanwhile, or where the settings want the feed
alone no order may leave; and in the end they have to come from the feed again.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
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
#: The feed's waits between attempts grow; after some failures they are seconds, with as much again by chance.
FEED_PATIENCE_S: Final = 60.0
#: Of the stories in which nothing befalls the feed, every so many-th has one. The proof plays them in two slices, so
#: this is odd: each slice has both kinds.
FED_EVERY: Final = 3
POLL_S: Final = 0.01
#: A feed that falls silent is noticed by a ping that is not answered: as shipped after five seconds, and the pings are
#: five seconds apart. Most stories of silence are told with a quicker heartbeat.
NOTICED_S: Final = 11.5
QUICK_HEARTBEAT: Final = 0.4
#: An order whose permit was given just before the feed went may still leave.
IN_HAND_MS_MAX: Final = 250
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


class FeedTrouble(StrEnum):
    """What befalls the feed's own way to the venue."""

    REFUSED = "refused"
    SILENT = "silent"
    HUSHED = "hushed"  # the connection stands half-open; a new one is well
    DROPPED = "dropped"  # it is reset; a new one is well
    UNANSWERED = "unanswered"  # it is reset, and the wish for a new one is not answered


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """`doubts`: at least one order must have been left in doubt, or the story was not told.

    `feed` is what befalls the feed; then the bot has one in any case. `falls_back`: cycles must have completed on
    quotes of REST meanwhile. `feed_alone`: the bot takes no other quotes, so no order may leave while it has none.
    `feed_as_shipped`: silence is noticed by the product's own heartbeat.
    """

    name: str
    befalls: Sequence[Befalls] = ()
    cut: Cut | None = None
    timeout_s: float | None = TIMEOUT_S
    trouble_s: float = TROUBLE_S
    doubts: bool = False
    feed: FeedTrouble | None = None
    falls_back: bool = False
    feed_alone: bool = False
    feed_as_shipped: bool = False

    @property
    def heartbeat(self) -> float:
        """The feed's spans times this."""
        is_silence = self.feed in (FeedTrouble.SILENT, FeedTrouble.HUSHED)
        return QUICK_HEARTBEAT if is_silence and not self.feed_as_shipped else 1.0

    @property
    def lasts_s(self) -> float:
        return self.trouble_s * self.heartbeat


T = Trouble
F = FeedTrouble
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
    Story(name="the feed alone is refused", feed=F.REFUSED, falls_back=True),
    Story(name="the feed alone falls silent", feed=F.SILENT, falls_back=True, trouble_s=NOTICED_S,
          feed_as_shipped=True),
    Story(name="the feed goes half-open", feed=F.HUSHED, trouble_s=NOTICED_S),
    Story(name="the feed is reset", feed=F.DROPPED),
    Story(name="the feed is reset and not let in again", feed=F.UNANSWERED, falls_back=True, trouble_s=NOTICED_S),
    Story(name="the feed and the rest are refused", cut=Cut.REFUSED, feed=F.REFUSED),
    Story(name="the feed and the rest fall silent", cut=Cut.SILENT, feed=F.SILENT, trouble_s=NOTICED_S),
    Story(name="the feed goes half-open while orders are reset", feed=F.HUSHED, doubts=True, trouble_s=NOTICED_S,
          befalls=[Befalls(kind=T.RESET_AFTER, method="POST", share=30)]),
    Story(name="a bot that takes the feed's quotes alone has none", feed=F.REFUSED, feed_alone=True, trouble_s=2.0),
)  # fmt: skip


class Told(msgspec.Struct, kw_only=True):
    """What came of a story. `recovery_ms` is from the end of the trouble to the first cycle that completed."""

    failures: list[str]
    struck: Mapping[str, int]
    has_feed: bool = False
    in_doubt: int = 0
    recovery_ms: int = 0


class _Watch:
    """What a bot has logged so far."""

    def __init__(self, bot: BotProcess) -> None:
        self._bot = bot
        self.in_doubt = 0
        self.feeds = 0
        self.feed_lost_ms = 0
        #: Completed cycles without a quote of the feed since the last look at this number.
        self.on_rest = 0

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

    def feed_quotes(self, connections: int, since_ms: int = 0) -> None:
        """Wait for a completed cycle on the feed's quotes, by its `connections`-th connection at least."""
        over_at = time.monotonic() + FEED_PATIENCE_S
        while True:
            assert self._bot.status() is None, f"the bot ended with {self._bot.status()}: {self._bot.last_lines()}"
            assert time.monotonic() < over_at, f"no quote of the feed: {self._bot.last_lines()}"
            for event in self._cycles():
                if event.get("quotes_from_feed") and self.feeds >= connections and time_of(event) > since_ms:
                    return
            time.sleep(POLL_S)

    def pass_time(self, seconds: float) -> None:
        over_at = time.monotonic() + seconds
        while time.monotonic() < over_at:
            self._cycles()
            time.sleep(POLL_S)

    def _cycles(self) -> list[Mapping[str, Any]]:
        cycles = []
        for event in self._bot.new_events():
            if event["event"] == "feed_connected":
                self.feeds += 1
            if event["event"] == "feed_disconnected":
                self.feed_lost_ms = time_of(event)
            if event["event"] == "cycle_ended":
                cycles.append(event)
                self.on_rest += event["outcome"] == "completed" and not event.get("quotes_from_feed")
        self.in_doubt += sum(int(event.get("in_doubt", 0)) for event in cycles)
        return cycles


def tell(story: Story, folder: Path, seed: int = 1, *, with_feed: bool = False) -> Told:
    """Play one story to its end in `folder`. `with_feed`: the bot has the feed though nothing befalls it."""
    stage = Stage(
        limits_factor=0,
        busy_seed=seed,
        read_s=story.timeout_s,
        write_s=story.timeout_s,
        feed_factor=story.heartbeat,
    )
    with Bench.busy(folder, seed, network=True, stage=stage) as bench:
        network = bench.network
        assert network is not None
        told = Told(failures=[], struck={}, has_feed=with_feed or story.feed is not None)
        with ChaosProxy(bench.venue.ws_url, seed) as feed:
            try:
                _play(story, bench, network, feed, told)
            except (AssertionError, TimeoutError) as broken:
                told.failures.append(str(broken))
            told.struck = network.struck + Counter({f"feed_{kind}": times for kind, times in feed.struck.items()})
    if not told.struck:
        told.failures.append("the trouble never struck")
    if story.doubts and not told.in_doubt:
        told.failures.append("no order was ever in doubt")
    return told


def _play(story: Story, bench: Bench, network: ChaosProxy, feed: ChaosProxy, told: Told) -> None:
    settings: dict[str, Any] = {"BTCTURK_WS_URL": feed.ws_url} if told.has_feed else {}
    if story.feed_alone:
        settings["MARKET_DATA_MODE"] = "ws"
    bot = bench.start_bot(**settings)
    watch = _Watch(bot)
    watch.completed(COMPLETED_MIN)
    if told.has_feed:
        watch.feed_quotes(1)
    files, threads = bot.open_files(), bot.threads()
    for one in story.befalls:
        network.cause(one.kind, method=one.method, share=one.share, count=one.count, seconds=one.seconds,
                      bytes_=one.bytes_)  # fmt: skip
    if story.cut is not None:
        network.cut(story.cut)
    watch.on_rest = 0
    if story.feed is not None:
        _befall(feed, story.feed)
    watch.pass_time(story.lasts_s)
    told.failures += _faults_meanwhile(story, network, watch)
    feed.heal()
    network.heal()
    healed_ms = time.time_ns() // 1_000_000
    told.recovery_ms = watch.completed(COMPLETED_MIN, healed_ms) - healed_ms
    if told.has_feed:
        watch.feed_quotes(1 if story.feed is None else 2, healed_ms)
    told.in_doubt = watch.in_doubt
    if bot.open_files() > files + MORE_FILES_MAX:
        told.failures.append(f"{files} files were open before, {bot.open_files()} are now")
    if bot.threads() > threads:
        told.failures.append(f"{threads} threads ran before, {bot.threads()} do now")
    told.failures += bench.faults_at_rest(bot)


def _befall(feed: ChaosProxy, trouble: FeedTrouble) -> None:
    match trouble:
        case FeedTrouble.REFUSED:
            feed.cut(Cut.REFUSED)
        case FeedTrouble.SILENT:
            feed.cut(Cut.SILENT)
        case FeedTrouble.HUSHED:
            assert feed.hush() == 1, "the bot has one connection to the feed"
        case FeedTrouble.DROPPED:
            assert feed.drop() == 1, "the bot has one connection to the feed"
        case FeedTrouble.UNANSWERED:
            feed.cause(Trouble.BLACK_HOLE)
            assert feed.drop() == 1, "the bot has one connection to the feed"


def _faults_meanwhile(story: Story, network: ChaosProxy, watch: _Watch) -> list[str]:
    """What should have happened while the trouble lasted, and did not."""
    found = []
    if story.feed is not None and not watch.feed_lost_ms:
        found.append("the loss of the feed was never noticed")
    if story.falls_back and not watch.on_rest:
        found.append("no cycle completed on quotes of REST")
    if story.feed_alone:
        late = [
            one.at_ms - watch.feed_lost_ms
            for one in network.passed()
            if one.client_order_id is not None and one.at_ms > watch.feed_lost_ms + IN_HAND_MS_MAX
        ]
        found += [f"an order left {late_ms} ms after the feed, and with it every quote, was gone" for late_ms in late]
        if watch.feed_lost_ms and watch.on_rest:
            found.append("a cycle completed without the feed's quotes though the settings want no others")
    return found


def run(slice: int = 0, of: int = 1) -> Result:  # noqa: A002 - the plan names its slices so
    """Every `of`-th story, from number `slice` on."""
    counts: Counter[str] = Counter()
    failures: list[str] = []
    recovery_ms: list[int] = []
    for number, story in enumerate(STORIES):
        if number % of != slice:
            continue
        with tempfile.TemporaryDirectory(prefix="btcbot-network-", dir=fast_folder()) as folder:
            told = tell(story, Path(folder), seed=number + 1, with_feed=number % FED_EVERY == 0)
        counts["stories"] += 1
        counts["stories_with_feed"] += told.has_feed
        counts["comparisons"] += 1
        counts["orders_in_doubt"] += told.in_doubt
        for kind, times in told.struck.items():
            counts[kind] += times
        counts["troubles"] += sum(told.struck.values())
        recovery_ms.append(told.recovery_ms)
        failures += [f"{story.name}: {one_line(line)}" for line in told.failures]
    notes = {f"recovery_{word}": f"{value} ms" for word, value in spread(recovery_ms).items()}
    return Result(goal="G4", part="network", counts=counts, failures=failures, notes=notes)
