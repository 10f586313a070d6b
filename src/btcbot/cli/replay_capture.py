"""`btcbot replay-capture`: «data capture» by the name and with the options under which scripts know it."""

from __future__ import annotations

from pathlib import Path

import click

from btcbot.cli import options


@click.command(short_help="The same as «data capture».")
@click.option("--dataset", required=True, type=click.Path(path_type=Path), metavar="DIR", help="The dataset to add to.")
@click.option("--symbols", required=True, metavar="A,B", help="The pairs.")
@click.option("--seconds", type=float, default=300.0, show_default=True, help="How long.")
@click.option(
    "--interval-seconds", type=float, default=1.0, show_default=True, help="At most one quote of a pair in so long."
)
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON.")
@options.env_file_option
def command(
    dataset: Path, symbols: str, seconds: float, interval_seconds: float, as_json: bool, env_file: Path | None
) -> None:
    """Record the venue's bars, best quotes and trades into a dataset for some minutes; see «btcbot data capture».

    \b
    Example:  btcbot replay-capture --dataset data/live --symbols BTCTRY,ETHTRY --seconds 60
    """
    from btcbot.cli.data_capture import capture

    everything = frozenset(("bars", "quotes", "trades"))
    capture(dataset, symbols, seconds, everything, interval_seconds, as_json=as_json, env_file=env_file)
