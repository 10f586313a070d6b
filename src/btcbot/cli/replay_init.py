"""`btcbot replay-init`: `data init` by the name that other tools gave it."""

from __future__ import annotations

from pathlib import Path

import click

from btcbot.cli.data import make_starter


@click.command(short_help="The same as «data init».")
@click.option("--dataset", type=click.Path(path_type=Path), required=True, metavar="DIR", help="The folder to make.")
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=123, show_default=True, help="The same seed, the same data."
)
@click.option("--no-synthetic", is_flag=True, help="Leave the dataset empty.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def command(dataset: Path, seed: int, *, no_synthetic: bool, as_json: bool) -> None:
    """Make a dataset with a seeded starter set: the same as «data init».

    \b
    Example:  btcbot replay-init --dataset data/replay
    """
    make_starter(dataset, seed, synthetic=not no_synthetic, as_json=as_json)
