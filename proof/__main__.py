"""The proof, from the command line.

    python -m proof ci                       all parts at the size of CI, and whether every demand is met
    python -m proof run PART [--count N] [--first K] [--workers W]
    python -m proof figures                  take the tally over into docs/figures.jsonl, write docs/figures.md

Every result is kept in .proof/tally.jsonl. Exit status 1 when something failed or a demand is not met.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import click
import msgspec

from proof import figures as pages
from proof import seeds, tally
from proof.plan import DEMANDS, PARTS
from proof.result import Result
from proof.run import Task, results

#: What a line tells beside its counts; the rest stands in the tally.
NOTES_TOLD: Final = 3


@click.group()
def root() -> None:
    """Prove the product: nothing lost, nothing doubled."""


@root.command("ci")
@click.option("--workers", type=click.IntRange(min=1), default=None, help="Processes at once; else one for each core.")
def everything(workers: int | None) -> None:
    """All parts at the size of CI."""
    tasks: list[Task] = [(part, arguments) for part in PARTS.values() for arguments in part.ci_tasks()]
    seen = _play(tasks, workers)
    is_met = True
    for demand in DEMANDS:
        count = demand.seen(seen)
        word = "" if demand.is_met(count) else f"  NOT MET: {'at most' if demand.is_limit else 'at least'} {demand.ci}"
        is_met = is_met and not word
        click.echo(f"{demand.goal:<4}{demand.what:<48}{count:>10,}{word}")
    for short in seeds.shortfalls(_summed(seen, "seeds")):
        is_met = False
        click.echo(f"worlds of faults: {short}")
    failed = sum(len(result.failures) for result in seen)
    click.echo(f"{failed} failures" if failed else "no failure")
    sys.exit(0 if is_met and not failed else 1)


@root.command("run")
@click.argument("part", metavar="PART", type=click.Choice(sorted(PARTS)))
@click.option(
    "--count", type=click.IntRange(min=1), default=None, help="How many, or in how many slices; else as in CI."
)
@click.option("--first", type=click.IntRange(min=0), default=None, help="The first number; else as in CI.")
@click.option("--workers", type=click.IntRange(min=1), default=None, help="Processes at once; else one for each core.")
def run(part: str, count: int | None, first: int | None, workers: int | None) -> None:
    """One part, at any size."""
    if first is not None and PARTS[part].is_finite:
        raise click.BadParameter(f"{part} is finite: it is cut by --count alone", param_hint="--first")
    seen = _play([(PARTS[part], arguments) for arguments in PARTS[part].tasks(count, first)], workers)
    sys.exit(1 if any(result.failures for result in seen) else 0)


@root.command("figures")
def figures() -> None:
    """Take the tally over, and write the page of figures."""
    tally.append(tally.KEPT, tally.read(tally.LOCAL))
    tally.LOCAL.unlink(missing_ok=True)
    kept = tally.read(tally.KEPT)
    pages.PAGE.write_text(pages.page(kept), encoding="utf-8")
    pages.README.write_text(pages.with_short(pages.README.read_text(encoding="utf-8"), kept), encoding="utf-8")
    click.echo("wrote docs/figures.md and the figures of README.md")


@root.command("one", hidden=True)
@click.argument("part", type=click.Choice(sorted(PARTS)))
@click.argument("arguments")
def one(part: str, arguments: str) -> None:
    """Run one part in this very process and print its result as a line of JSON."""
    try:
        sizes = msgspec.json.decode(arguments, type=dict[str, int])
    except msgspec.DecodeError as error:
        raise click.BadParameter(f'{error}; write it like «{{"first":1,"count":10}}»') from None
    module: Any = importlib.import_module(f"proof.{part}")
    result: Result = module.run(**sizes)
    click.echo(msgspec.json.encode(result).decode())


def _summed(seen: Sequence[Result], part: str) -> Counter[str]:
    sums: Counter[str] = Counter()
    for result in seen:
        if result.part == part:
            sums.update(result.counts)
    return sums


def _play(tasks: Sequence[Task], workers: int | None) -> list[Result]:
    started, seen = time.monotonic(), []
    for done in results(tasks, workers):
        tally.append(tally.LOCAL, [done])
        result = done.result
        seen.append(result)
        counts = ", ".join(f"{count:,} {key}" for key, count in result.counts.items() if ":" not in key)
        notes = "".join(f"; {name} {text}" for name, text in list(result.notes.items())[:NOTES_TOLD])
        click.echo(
            f"[{time.monotonic() - started:4.0f} s] {result.part}: {counts or 'nothing'}{notes} ({done.wall_s:.0f} s)"
        )
        for failure in result.failures:
            click.echo(f"         FAILED {result.part} {dict(done.arguments)}: {failure}")
    return seen


def main() -> None:
    """Wrong input is answered with one line and status 2."""
    try:
        root.main(prog_name="python -m proof", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as help_asked:
        click.echo(help_asked.format_message())
        sys.exit(2)
    except click.UsageError as error:
        click.echo(f"proof: {' '.join(error.format_message().split())}", err=True)
        sys.exit(2)
    except click.Abort:
        click.echo("proof: interrupted; what was done stands in .proof/tally.jsonl", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
