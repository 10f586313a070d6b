"""`btcbot simulate`: whole worlds in one process, each with its own weather of faults, all from one number."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import click

from btcbot.cli import output
from btcbot.errors import EXIT_DONE, EXIT_FAILED, Refused

if TYPE_CHECKING:
    from btcbot.testing.world import Story


@click.command("simulate")
@click.argument("seed", type=click.IntRange(min=0))
@click.option("--count", type=click.IntRange(min=1), default=1, show_default=True, help="So many seeds from SEED on.")
@click.option("--workers", type=click.IntRange(min=1, max=256), default=1, show_default=True,
              help="So many processes share the seeds; the result is the same.")  # fmt: skip
@click.option("--cycles", type=click.IntRange(min=1, max=10_000), default=None, help="Cycles of the storm; else drawn.")
@click.option(
    "--only", default=None, metavar="FAULT,…", help="Leave only these faults in the world; «help» lists them."
)
@click.option("--trace", is_flag=True, help="Print everything that happened, line by line.")
@click.option("--no-shrink", is_flag=True, help="Do not look for the shortest failing story, and keep none.")
@click.option("--save", type=click.Path(file_okay=False, path_type=Path), default=Path("scenarios"), show_default=True,
              metavar="FOLDER", help="Where the shortest failing story is kept.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON.")
def command(
    seed: int,
    count: int,
    workers: int,
    cycles: int | None,
    only: str | None,
    trace: bool,
    no_shrink: bool,
    save: Path,
    as_json: bool,
) -> None:
    """Simulate a bot and its venue under faults, crashes and other people, and check every invariant.

    The same seed gives the same run, to the byte. A seed that fails prints the invariant, the command that repeats it,
    and the fewest faults that still break it, which are kept as a story in a file. Exit status 1 then. A batch of 200
    seeds or more also fails when too little happened in it. Nothing is sent anywhere.

    \b
    Examples:
    btcbot simulate 8412 --trace            one world, told line by line
    btcbot simulate 1 --count 1000 --json   a thousand of them
    btcbot simulate 1 --count 100 --only lost_after,crash
    """
    if importlib.util.find_spec("btcturk_sim") is None:
        raise Refused("the simulation needs the local BtcTurk: install btcbot from its source folder")
    from btcbot.testing.demands import missed
    from btcbot.testing.faults import FAULTS
    from btcbot.testing.simulate import simulate

    names = [name.strip() for name in (only or "").split(",") if name.strip()]
    if names == ["help"]:
        _tell_catalogue()
        return
    if only is not None and not names:
        raise Refused("--only: name at least one fault; «--only help» lists them")
    for unknown in (name for name in names if name not in FAULTS):
        near = get_close_matches(unknown, FAULTS, n=1)
        meant = f"; did you mean {near[0]}?" if near else "; «--only help» lists them"
        raise Refused(f"--only: there is no fault «{unknown}»{meant}")

    def watch(story: Story) -> None:
        tick()
        if trace:
            for line in story.trace:
                output.line(line)
        if story.violation is not None:
            _tell_failure(story, cycles, only, None if no_shrink or failed_before else save)
            failed_before.append(story.seed)

    failed_before: list[int] = []
    with _progress(count) as tick:
        tally = simulate(
            seed, count, cycles=cycles, only=names or None, watch=watch, workers=workers, with_traces=trace
        )
    output.line(tally.averages())
    # A world with chosen faults, or of a chosen length, is not asked for averages.
    shortfalls = [] if names or cycles else missed(tally)
    if shortfalls:
        output.line(f"too little happened for this to prove anything: {'; '.join(shortfalls)}")
    if as_json:
        output.json_line(tally.report())
    sys.exit(EXIT_FAILED if tally.violations or shortfalls else EXIT_DONE)


def _tell_catalogue() -> None:
    from btcbot.testing.absent import ABSENT
    from btcbot.testing.faults import FAULTS

    for fault in FAULTS.values():
        output.line(f"{fault.name:<24} {fault.group:<9} {fault.what}")
    for name, absent in ABSENT.items():
        output.line(f"not simulated: {name} ({absent.why})")


def _tell_failure(story: Story, cycles: int | None, only: str | None, save: Path | None) -> None:
    """What was broken, how to see it again, and, where it is to be kept, the shortest story that breaks it."""
    assert story.violation is not None, "only a failure is told"
    invariant, text = story.violation
    options = (f" --cycles {cycles}" if cycles else "") + (f" --only {only}" if only else "")
    output.line(f"seed {story.seed}: {invariant} is broken: {text}")
    output.line(f"repeat it with: btcbot simulate {story.seed}{options} --trace")
    if save is None:
        return
    from btcbot.testing import told
    from btcbot.testing.shrink import shrink

    short = shrink(story)
    assert short.violation is not None, "a shortened story fails as well"
    output.line(
        f"of {len(story.fired)} faults in {story.swarm.cycles} cycles these {len(short.fired)} in {short.swarm.cycles} "
        f"are enough: {short.violation[1]}"
    )
    for firing in short.fired:
        output.line(f"  {firing}")
    try:
        output.line(f"kept as {told.save(told.told(short), save)}")
    except OSError as error:
        output.line(f"it cannot be kept in {save}: {error.strerror}")


class _Ticks:
    """Called once for each story."""

    def __call__(self) -> None:
        """Nobody watches."""


@contextmanager
def _progress(count: int) -> Iterator[_Ticks]:
    """A bar on the terminal's error stream, and nothing where that is none."""
    if count == 1 or sys.stderr is None or not sys.stderr.isatty():
        yield _Ticks()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("simulating"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=count)

        class Bar(_Ticks):
            def __call__(self) -> None:
                progress.advance(task)

        yield Bar()
