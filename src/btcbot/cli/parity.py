"""`btcbot parity`: compares what two runs decided, and names the first difference."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from btcbot.cli import output
from btcbot.errors import EXIT_DONE, EXIT_FAILED


@click.command("parity")
@click.argument("a", type=click.Path(path_type=Path), metavar="A")
@click.argument("b", type=click.Path(path_type=Path), metavar="B")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def command(a: Path, b: Path, as_json: bool) -> None:
    """Compare two runs cycle by cycle.

    A and B are databases, .journal folders, files of such a folder, or folders of backtests (--out). What counts is
    what was allowed, refused and ordered, and how each cycle ended; times and names of orders are each run's own. Exit
    status: 0 equal, 1 different, 2 one of them cannot be read.

    \b
    Examples:
      btcbot parity monday.db tuesday.db
      btcbot parity btcbot_state.db btcbot_state.db.journal --json
    """
    from btcbot.bootstrap.runs import decided_in
    from btcbot.decisions.parity import fingerprint, first_difference

    runs = decided_in(a), decided_in(b)
    prints = [fingerprint(run) for run in runs]
    difference = first_difference(*runs)
    if as_json:
        output.json_line(
            {
                "fingerprint_a": prints[0],
                "fingerprint_b": prints[1],
                "match": prints[0] == prints[1],
                "cycles_a": len(runs[0]),
                "cycles_b": len(runs[1]),
                "difference": difference,
            }
        )
    elif difference is None:
        kinds = Counter(decision.kind for cycle in runs[0] for decision in cycle.decisions)
        counted = f"{len(runs[0])} cycles with a report, {kinds['verdict']} verdicts, {kinds['order']} orders"
        output.line(f"{counted}: the same ({prints[0][:16]})")
    else:
        output.line(f"cycle {difference.cycle}: {difference.what}\n  A: {difference.a}\n  B: {difference.b}")
    output.leave(EXIT_DONE if difference is None else EXIT_FAILED)
