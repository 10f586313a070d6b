"""`btcbot backtest`: the trading cycle over recorded bars, and what came of it."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Final

import click

from btcbot.adapters.replay.extra import demand_research
from btcbot.cli import output
from btcbot.cli.played import pairs_of, played
from btcbot.errors import Refused

_PATH: Final = click.Path(path_type=Path)
#: Profiles that a backtest can play.
PROFILES: Final = ("run",)
TABLES: Final = ("bars", "quotes")


@click.command("backtest")
@click.argument("data", type=_PATH, metavar="DATA")
@click.option("--strategy", default="profit_v1", show_default=True, metavar="NAME|FILE", help="What decides.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter of the strategy; repeat it.")
@played
@click.option("--table", type=click.Choice(TABLES), default="bars", show_default=True, help="What is played.")
@click.option(
    "--cycle-seconds",
    type=click.FloatRange(min=0.1, max=86_400),
    default=10.0,
    show_default=True,
    help="From cycle to cycle over quotes; over bars each bar may have one.",
)
@click.option("--profile", type=click.Choice(PROFILES), default="run", show_default=True, help="Which pipeline.")
@click.option("--every-bar", is_flag=True, help="Run a cycle at each bar, although nothing could come of it.")
@click.option("--out", type=_PATH, metavar="DIR", help="Write the report (report.html) and all records there.")
@click.option("--force", is_flag=True, help="Replace what an earlier run wrote there.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON; money is text.")
def command(
    data: Path,
    strategy: str,
    params: tuple[str, ...],
    symbols: str | None,
    table: str,
    cycle_seconds: float,
    start: int | None,
    end: int | None,
    cash: Decimal,
    half_spread_bps: Decimal,
    volume_share: Decimal,
    fills_at_touch: bool,
    changes: tuple[str, ...],
    env_file: Path | None,
    profile: str,
    every_bar: bool,
    out: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Play the trading cycle over recorded bars and tell what came of it.

    DATA is a dataset («btcbot data --help»), a folder of CSV files or one CSV file; with --table quotes, a dataset that
    holds quotes and, better, trades. It is the very cycle of «btcbot run»: the same risk, gates, books and settings,
    with the recording for a venue. Settings are the defaults, those of --env-file and of --set; nothing else of this
    machine changes the result.

    \b
    Examples:
      btcbot backtest data/replay --strategy ema_cross --param fast=20 --param slow=100
      btcbot backtest BTCTRY.csv --strategy my_idea.py --out results/my_idea
      btcbot backtest data/replay --set TTL_SECONDS=60 --set MAX_DAILY_LOSS_TRY=5000 --json
    """
    demand_research("a backtest")
    if not 0 < volume_share <= 1:
        raise Refused("--volume-share: give a share above 0, at most 1")
    if not half_spread_bps < 5_000:
        raise Refused("--half-spread-bps: give less than 5000")
    if cash <= 0:
        raise Refused("--cash: give an amount above 0")
    parameters, settings_given = pairs_of("--param", params), pairs_of("--set", changes)

    from btcbot.adapters.replay.load import load_bars
    from btcbot.adapters.strategy_plugins import find
    from btcbot.backtest.engine import run_backtest
    from btcbot.backtest.export import refuse_unusable, write_all
    from btcbot.backtest.findings import examine
    from btcbot.backtest.plan import BacktestPlan, settings_for
    from btcbot.backtest.table import show, summary
    from btcbot.backtest.tape import bars_of_tape, load_tape
    from btcbot.bootstrap.meaning import make_strategy
    from btcbot.cli.data import progress_bar

    if out is not None:
        refuse_unusable(out, force=force)
    wanted = [one.strip().upper().replace("_", "") for one in symbols.split(",") if one.strip()] if symbols else None
    tape = None
    if table == "quotes":
        tape = load_tape(data, wanted, start, end, round(cycle_seconds * 1_000))
        bars = bars_of_tape(tape)
    else:
        bars = load_bars(data, wanted, start, end, warn=lambda line: click.echo(f"btcbot: {line}", err=True))
    settings = settings_for(bars, settings_given, env_file)
    decides = make_strategy(strategy, parameters, settings)
    plan = BacktestPlan(
        bars=bars,
        strategy=decides,
        settings=settings,
        parameters=find(strategy).texts(decides),
        opening=cash,
        half_spread_bps=half_spread_bps,
        volume_share=volume_share,
        fills_at_touch=fills_at_touch,
        every_bar=every_bar,
        tape=tape,
    )
    with progress_bar("playing") as progress:
        told = None if progress is None else partial(progress, "")
        result = run_backtest(plan, told)
    findings = examine(result)
    if out is not None:
        write_all(result, out, force=force, findings=findings)
    if as_json:
        output.json_line(summary(result, findings))
        return
    show(result, findings)
    if out is not None:
        click.echo(f"report: {out / 'report.html'}")
