"""`btcbot replay`: feeds a recorded run to the same cycle, which must decide the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from btcbot.cli import output
from btcbot.errors import EXIT_DONE, EXIT_FAILED

if TYPE_CHECKING:
    from btcbot.bootstrap.replay import ReplayDifference


@click.command("replay")
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def command(run: Path, as_json: bool) -> None:
    """Play a recorded run again and compare.

    RUN is a database, its .journal folder, or one file in that. Nothing is asked of any venue and nothing is written:
    every answer comes from the recording, and the books from the database with which the run began. Exit status: 0 the
    same, 1 a difference, which is named, 2 it cannot be replayed.

    \b
    Examples:
      btcbot replay btcbot_state.db
      btcbot replay btcbot_state.db.journal/0003.jsonl.gz --json
    """
    from btcbot.bootstrap.replay import replay

    played = replay(run)
    difference = played.difference
    if as_json:
        output.json_line(
            {
                "same": difference is None,
                "runs": played.runs,
                "cycles": played.cycles,
                "decisions": played.decisions,
                "orders": played.orders,
                "difference": difference,
                "notes": played.notes,
            }
        )
    else:
        counted = f"{played.cycles} cycles, {played.decisions} verdicts, {played.orders} orders: the same"
        output.line(counted if difference is None else _told(difference, played.cycles))
        for note in played.notes:
            click.echo(f"btcbot: {output.clean(note)}", err=True)
    output.leave(EXIT_DONE if difference is None else EXIT_FAILED)


def _told(difference: ReplayDifference, cycles: int) -> str:
    return (
        f"{difference.run}, cycle {difference.cycle}: {difference.what} ({cycles} cycles before it: the same)\n"
        f"  recorded: {_words(difference.recorded)}\n"
        f"  now:      {_words(difference.now)}"
    )


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {one}" for name, one in value.items())
    return str(value)
