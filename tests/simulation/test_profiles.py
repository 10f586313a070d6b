"""Worlds of the overseen profiles: what they draw, and that what they are for really happens in them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from btcbot.profiles import RUN, STAGE4, STAGE7
from btcbot.testing import candles, told
from btcbot.testing.chance import place_of
from btcbot.testing.fault import Firing, Knowing
from btcbot.testing.faults import FAULTS
from btcbot.testing.profiles_played import OVERSEEN, PERCENT, PLAYED, draw_profile
from btcbot.testing.swarm import draw_swarm
from btcbot.testing.world import Story, World

TOLD = Path(__file__).parents[1] / "scenario" / "told"
EVERY = frozenset(FAULTS)
#: Crashes of one world that are played.
CRASHES_MAX = 5


def world(seed: int, profile: str, **rates: int) -> World:
    """A world of this profile in which these faults alone strike, so often."""
    drawn = draw_swarm(seed, None, EVERY, profile)
    return World(seed, swarm=msgspec.structs.replace(drawn, rates=rates, skew_ms=0))


def played(seed: int, profile: str, **rates: int) -> Story:
    story = world(seed, profile, **rates).run()
    assert story.violation is None, f"seed {seed}: {story.violation}"
    return story


def lines(story: Story, text: str) -> list[str]:
    return [line for line in story.trace if text in line]


# -- what a seed draws -------------------------------------------------------------------------------------------------


def test_the_profiles_are_drawn_in_their_proportions() -> None:
    drawn = Counter(draw_profile(seed) for seed in range(4_000))

    assert sum(PERCENT.values()) == 100
    for name, percent in PERCENT.items():
        assert abs(drawn[name] / 40 - percent) < 3


def test_a_kept_story_that_names_no_profile_is_one_of_run() -> None:
    paths = told.all_told(TOLD)
    assert paths

    for path in paths:
        if '"profile"' not in path.read_text():
            assert told.load(path).swarm.profile == RUN.name


def test_the_adaptive_profile_trades_in_a_world_and_nowhere_else() -> None:
    assert STAGE7.is_on_paper_only
    assert msgspec.structs.replace(PLAYED[STAGE7.name], is_on_paper_only=True) == STAGE7
    assert PLAYED[STAGE4.name] is STAGE4


def test_each_choice_of_a_setting_is_one_that_a_bot_starts_with() -> None:
    """Every drawn setting belongs to a world that really started with it."""
    seen: set[tuple[str, str]] = set()
    for seed in range(60):
        for profile in (STAGE4.name, STAGE7.name):
            seen |= set(draw_swarm(seed, None, EVERY, profile).settings.items())

    missing = [(name, choice) for name, choices in OVERSEEN.items() for choice in choices if (name, choice) not in seen]
    assert missing == []


@pytest.mark.parametrize("profile", PLAYED)
def test_faults_strike_only_worlds_that_know_them(profile: str) -> None:
    known = {
        Knowing.EVERY: True,
        Knowing.OVERSEEN: PLAYED[profile].is_overseen,
        Knowing.ADAPTIVE: PLAYED[profile].adapts,
        Knowing.CHARTS: True,
    }
    drawn = {name for seed in range(200) for name in draw_swarm(seed, None, EVERY, profile).rates}

    assert drawn <= {name for name, fault in FAULTS.items() if known[fault.knowing]}
    assert {name for name, fault in FAULTS.items() if fault.knowing is Knowing.CHARTS} <= drawn


# -- what happens in them ----------------------------------------------------------------------------------------------


def test_orders_are_replaced_and_each_replacement_ends() -> None:
    ends: Counter[str] = Counter()
    for seed in range(1, 9):
        one = world(seed, STAGE4.name)
        notes: list[str] = []
        watch = one.rig.points.watch
        assert watch is not None

        def look(name: str, watch=watch, one=one, notes=notes) -> None:
            if name == "after commit":
                notes += [
                    str(row["body"])
                    for statement, row in one.rig.last_unit()
                    if statement == "insert_note" and row["kind"] == "replacement"
                ]
            watch(name)

        one.rig.points.watch = look
        assert one.run().violation is None
        ends.update(json.loads(body)["outcome"] for body in notes)

    assert ends["DONE"] >= 4
    assert ends["ABANDONED"] >= 2


def test_a_second_bot_of_the_key_freezes_until_a_human_has_looked() -> None:
    frozen = cleared = 0
    for seed in range(1, 7):
        story = played(seed, STAGE4.name, other_book_order=300_000, freeze_clear=300_000)
        frozen += len(lines(story, "gate_closed:frozen_by_unexplained_orders"))
        cleared += story.faults["freeze_clear"]

    assert frozen >= 5
    assert cleared >= 2


def test_a_strategy_that_raises_turns_the_kill_switch_on() -> None:
    stories = [played(seed, STAGE4.name, strategy_raises=250_000) for seed in range(1, 5)]

    assert any(lines(story, "the kill chain has made the kill file") for story in stories)
    assert all(lines(story, "observe_only:strategy_failed") for story in stories if story.faults["strategy_raises"])


def test_a_pair_whose_orders_the_venue_refuses_is_barred() -> None:
    stories = [played(seed, STAGE4.name, symbol_refused=250_000) for seed in range(1, 9)]

    assert any(story.faults["symbol_refused"] for story in stories)
    assert any(bars(story) for story in stories)


def bars(story: Story) -> list[str]:
    """Lines of cycles that told of a pair that is barred."""
    told = [(line, line.partition("completed ")[2].partition(" ")[0].split(",")) for line in lines(story, "completed ")]
    return [line for line, reasons in told if any(reason.startswith("barred:") for reason in reasons)]


def test_parameters_are_reset_by_an_operator_who_stops_the_bot_first() -> None:
    stories = [played(seed, STAGE7.name, params_reset=150_000) for seed in range(1, 5)]

    assert sum(story.faults["params_reset"] for story in stories) >= 4


def test_other_limits_demand_a_reset_of_what_was_adapted_from_them() -> None:
    stories = [played(seed, STAGE7.name, settings_change=400_000) for seed in range(1, 9)]

    assert any(lines(story, "refused: the parameters are those of other settings") for story in stories)


def test_a_reset_that_the_disk_does_not_take_is_tried_again() -> None:
    story = World(1345).run()

    assert lines(story, "the reset came to nothing")
    assert story.violation is None


class Commits:
    """Where in a world units are committed that write a named value: the crash that would strike there."""

    def __init__(self, world: World, value: str) -> None:
        self.crashes: list[Firing] = []
        self._world = world
        self._value = value
        self._watch = world.rig.points.watch
        self._seen: Counter[tuple[int, str]] = Counter()
        world.rig.points.watch = self._look

    def _look(self, name: str) -> None:
        world = self._world
        if world.is_stormy:
            place = f"crash:{place_of(name)}"
            nth = self._seen[world.cycle, place]
            self._seen[world.cycle, place] += 1
            if name in ("before commit", "after commit") and self._value in self._written():
                self.crashes.append(Firing(world.cycle, place, nth, "crash"))
        assert self._watch is not None
        self._watch(name)

    def _written(self) -> set[object]:
        return {row["name"] for statement, row in self._world.rig.last_unit() if statement == "put_value"}


@pytest.mark.parametrize(
    ("value", "profile", "rates"),
    [
        ("replacements", STAGE4.name, {}),
        ("adaptation_state", STAGE7.name, {}),
        ("order_freeze", STAGE4.name, {"other_book_order": 200_000}),
    ],
)
def test_the_process_may_end_at_every_commit_of_what_a_profile_keeps(
    value: str, profile: str, rates: dict[str, int]
) -> None:
    """The same world as often as it has such commits, each time with one crash, there."""
    ended = 0
    for seed in range(1, 5):
        calm = world(seed, profile, **rates)
        commits = Commits(calm, value)
        story = calm.run()
        assert story.violation is None
        for crash in commits.crashes[:CRASHES_MAX]:
            again = World(seed, script=[*story.fired, crash], swarm=story.swarm).run()
            assert again.violation is None, f"seed {seed}, {crash}: {again.violation}"
            ended += again.crashed_in[value]

    assert ended >= 6


# -- candles -----------------------------------------------------------------------------------------------------------

BODY = json.dumps({
    "s": "ok", "t": [60, 120, 180], "o": [1.0, 2.0, 3.0], "h": [2.5, 3.5, 4.5], "l": [0.5, 1.5, 2.5],
    "c": [2.0, 3.0, 4.0], "v": [1.0, 0.0, 2.0],
}).encode()  # fmt: skip


def columns(body: bytes) -> Mapping[str, list[float]]:
    found: dict[str, list[float]] = json.loads(body)
    return found


def test_candles_that_are_late_lack_the_newest() -> None:
    assert columns(candles.late(BODY, (2,)))["t"] == [60]


def test_candles_that_are_missing_lie_in_the_middle() -> None:
    after = columns(candles.missing(BODY, (1, 0)))

    assert after["t"] == [60, 180]
    assert after["c"] == [2.0, 4.0]


def test_a_revised_candle_still_is_one() -> None:
    after = columns(candles.revised(BODY, (0, 0)))

    assert after["c"][0] == after["h"][0]
    assert after["v"][0] == 2.0
    assert after["t"] == [60, 120, 180]


@pytest.mark.parametrize("how", range(4))
def test_the_bot_cannot_read_candles_that_cannot_be(how: int) -> None:
    from btcbot.adapters.btcturk.wire import WireError, klines

    assert len(klines(BODY, "BTCTRY", 60_000)) == 3
    with pytest.raises(WireError):
        klines(candles.unreadable(BODY, (how, 1)), "BTCTRY", 60_000)


@pytest.mark.parametrize("remake", [candles.late, candles.missing, candles.revised, candles.unreadable])
def test_what_holds_no_candles_is_left_alone(remake: candles.Remake) -> None:
    for body in (b"", b"[]", b"null", b'{"s":"no_data","t":[],"o":[],"h":[],"l":[],"c":[],"v":[]}'):
        assert remake(body, (0, 0)) == body
