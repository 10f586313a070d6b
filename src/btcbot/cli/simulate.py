"""`btcbot simulate`: whole worlds in one process, each with its own weather of faults, all from one number."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

import click

from btcbot.cli import output
from btcbot.errors import EXIT_DONE, EXIT_FAILED, Refused

if TYPE_CHECKING:
    from btcbot.testing.world import Story


@click.command("simulate")
@click.argument("seed", type=click.IntRange(min=0))
@click.option("--count", type=click.IntRange(min=1), default=1, show_default=True, help="So many seeds from SEED on.")
@click.option("--cycles", type=click.IntRange(min=1, max=10_000), default=None, help="Cycles of the storm; else drawn.")
@click.option("--only", default="", metavar="FAULT,…", help="Leave only these faults in the world; «help» lists them.")
@click.option("--trace", is_flag=True, help="Print everything that happened, line by line.")
@click.option("--no-shrink", is_flag=True, help="Do not look for the shortest failing story.")
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON.")
def command(seed: int, count: int, cycles: int | None, only: str, trace: bool, no_shrink: bool, as_json: bool) -> None:
    """Simulate a bot and its venue under faults, crashes and other people, and check every invariant.

    The same seed gives the same run, to the byte. A seed that fails prints the invariant, the command that repeats it,
    and the fewest faults that still break it. Exit status 1 then. Nothing is sent anywhere.

    \b
    Examples:
    btcbot simulate 8412 --trace            one world, told line by line
    btcbot simulate 1 --count 1000 --json   a thousand of them
    btcbot simulate 1 --count 100 --only lost_after,crash
    """
    if importlib.util.find_spec("btcturk_sim") is None:
        raise Refused("the simulation needs the local BtcTurk: install btcbot from its source folder")
    from btcbot.testing.faults import ABSENT, FAULTS
    from btcbot.testing.simulate import simulate

    names = [name.strip() for name in only.split(",") if name.strip()]
    if names == ["help"]:
        for fault in FAULTS.values():
            output.line(f"{fault.name:<24} {fault.group:<9} {fault.what}")
        for name, why in ABSENT.items():
            output.line(f"not simulated: {name} ({why})")
        return
    unknown = [name for name in names if name not in FAULTS]
    if unknown:
        raise Refused(f"--only: there is no fault «{unknown[0]}»; «--only help» lists them")

    def watch(story: Story) -> None:
        if trace:
            for line in story.trace:
                output.line(line)
        if story.violation is not None:
            _tell_failure(story, cycles, only, shortened=not no_shrink and not failed_before)
            failed_before.append(story.seed)

    failed_before: list[int] = []
    tally = simulate(seed, count, cycles=cycles, only=names or None, watch=watch)
    output.line(tally.averages())
    if as_json:
        output.json_line(tally.report())
    sys.exit(EXIT_FAILED if tally.violations else EXIT_DONE)


def _tell_failure(story: Story, cycles: int | None, only: str, *, shortened: bool) -> None:
    from btcbot.testing.shrink import shrink

    assert story.violation is not None, "only a failure is told"
    invariant, text = story.violation
    options = (f" --cycles {cycles}" if cycles else "") + (f" --only {only}" if only else "")
    output.line(f"seed {story.seed}: {invariant} is broken: {text}")
    output.line(f"repeat it with: btcbot simulate {story.seed}{options} --trace")
    if shortened:
        short = shrink(story, cycles)
        assert short.violation is not None, "a shortened story fails as well"
        output.line(f"of {len(story.fired)} faults these {len(short.fired)} are enough: {short.violation[1]}")
        for firing in short.fired:
            output.line(f"  {firing}")
