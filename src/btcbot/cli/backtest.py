"""`btcbot backtest`: the trading cycle over recorded bars, and what came of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from btcbot.adapters.replay.extra import demand_research
from btcbot.cli import output
from btcbot.cli.played import demand_playable, named_in, pairs_of, played
from btcbot.errors import Refused
from btcbot.profiles import RUN, STAGE4, STAGE7, Profile

if TYPE_CHECKING:
    from btcbot.backtest.findings import Findings
    from btcbot.backtest.plan import BacktestPlan
    from btcbot.config.settings import Settings

_PATH: Final = click.Path(path_type=Path)
#: Profiles by the names that they have here.
PROFILES: Final[Mapping[str, Profile]] = {"run": RUN, "stage4": STAGE4, "stage7": STAGE7}
TABLES: Final = ("bars", "quotes")


@click.command("backtest")
@click.argument("data", type=_PATH, metavar="DATA")
@click.option(
    "--strategy",
    metavar="NAME|FILE",
    help="What decides; by default STRATEGY of the settings given, else the profile's own.",
)
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter of the strategy; repeat it.")
@click.option(
    "--compare", "compared", multiple=True, metavar="NAME|FILE,…", help="Play each of these, and rank them; repeat it."
)
@played
@click.option("--table", type=click.Choice(TABLES), default="bars", show_default=True, help="What is played.")
@click.option(
    "--cycle-seconds",
    type=click.FloatRange(min=0.1, max=86_400),
    default=10.0,
    show_default=True,
    help="From cycle to cycle over quotes; over bars each bar may have one.",
)
@click.option(
    "--profile",
    "profile_name",
    type=click.Choice(tuple(PROFILES)),
    default="run",
    show_default=True,
    help="Which parts stand around the strategy: those of «run», «stage4-run» or «stage7-run».",
)
@click.option("--include-adaptation", is_flag=True, help="With stage7: let parameters change within their bounds.")
@click.option(
    "--every-note", is_flag=True, help="Keep the metrics and the trace of each cycle among the events as well."
)
@click.option("--every-bar", is_flag=True, help="Run a cycle at each bar, although nothing could come of it.")
@click.option("--out", type=_PATH, metavar="DIR", help="Write the report (report.html) and all records there.")
@click.option("--force", is_flag=True, help="Replace what an earlier run wrote there.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON; money is text.")
def command(
    data: Path,
    strategy: str | None,
    params: tuple[str, ...],
    compared: tuple[str, ...],
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
    profile_name: str,
    include_adaptation: bool,
    every_note: bool,
    every_bar: bool,
    out: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Play the trading cycle over recorded bars and tell what came of it.

    DATA is a dataset («btcbot data --help»), a folder of CSV files or one CSV file; with --table quotes, a dataset that
    holds quotes and, better, trades. It is the very cycle of «btcbot run», or of another profile: the same risk, gates,
    books and settings, with the recording for a venue. Settings are the defaults, those of --env-file and of --set;
    nothing else of this machine changes the result. Parameters that stage7 adapts stand still unless
    --include-adaptation is given.

    \b
    Examples:
      btcbot backtest data/replay --strategy ema_cross --param fast=20 --param slow=100
      btcbot backtest BTCTRY.csv --strategy my_idea.py --out results/my_idea
      btcbot backtest data/replay --set TTL_SECONDS=60 --set MAX_DAILY_LOSS_TRY=5000 --json
      btcbot backtest data/replay --profile stage7 --include-adaptation
      btcbot backtest data/replay --compare profit_v1,ema_cross,my_idea.py
    """
    demand_research("a backtest")
    demand_playable(cash=cash, half_spread_bps=half_spread_bps, volume_share=volume_share)
    profile = PROFILES[profile_name]
    names = _compared(compared, strategy, params)
    parameters, settings_given = pairs_of("--param", params), pairs_of("--set", changes)
    settings_given = _with_adaptation(profile, settings_given, include=include_adaptation)

    from btcbot.adapters.replay.load import load_bars
    from btcbot.adapters.strategy_plugins import find
    from btcbot.backtest.export import refuse_unusable, write_all
    from btcbot.backtest.plan import BacktestPlan, instruments_of, settings_for, symbols_of
    from btcbot.backtest.table import show, summary
    from btcbot.backtest.tape import bars_of_tape, load_tape
    from btcbot.bootstrap.room import demand_room
    from btcbot.bootstrap.strategies import make_strategy, own_parameters

    if out is not None and not names:
        refuse_unusable(out, force=force)
    named = named_in(symbols)
    wanted = symbols_of(named, settings_given, env_file)
    tape = None
    if table == "quotes":
        tape = load_tape(data, wanted, start, end, round(cycle_seconds * 1_000))
        bars = bars_of_tape(tape)
    else:
        bars = load_bars(data, wanted, start, end, warn=lambda line: click.echo(f"btcbot: {line}", err=True))
    settings = settings_for(bars, settings_given, env_file)

    def plan_of(name: str, given: Mapping[str, str]) -> BacktestPlan:
        decides = make_strategy(name, given, settings)
        demand_room(settings, instruments_of(bars), profile, own_parameters(name, decides))
        return BacktestPlan(
            bars=bars,
            strategy=decides,
            settings=settings,
            parameters=find(name).texts(decides),
            opening=cash,
            half_spread_bps=half_spread_bps,
            volume_share=volume_share,
            fills_at_touch=fills_at_touch,
            every_bar=every_bar,
            tape=tape,
            profile=profile,
            keeps_every_note=every_note,
        )

    if names:
        _compare(names, plan_of, out, force=force, as_json=as_json)
        return
    if strategy is None:
        strategy, parameters = _of_settings(profile, settings, parameters)
    findings = _play(plan_of(strategy, parameters), "")
    result = findings.result
    if out is not None:
        write_all(result, out, force=force, findings=findings)
    if as_json:
        output.json_line(summary(result, findings))
        return
    show(result, findings)
    if out is not None:
        click.echo(f"report: {out / 'report.html'}")


def _compared(given: Sequence[str], strategy: str | None, params: Sequence[str]) -> Sequence[str]:
    """Whom to compare, each once; nobody where nothing is to be compared."""
    names = [name.strip() for one in given for name in one.split(",") if name.strip()]
    if not given:
        return ()
    if strategy is not None:
        raise Refused("--strategy: is one strategy, while --compare names several; name them all with --compare")
    if params:
        raise Refused("--param: whose would it be? with --compare each strategy has its defaults; --set changes them")
    if len(names) < 2 or len(set(names)) < len(names):
        raise Refused("--compare: name at least two strategies, each once, such as --compare portfolio,ema_cross")
    return names


def _of_settings(profile: Profile, settings: Settings, given: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The strategy that a run with these settings would have, and its parameters, below those that are given."""
    from btcbot.adapters.strategy_plugins import parse_parameters
    from btcbot.bootstrap.strategies import strategy_name

    return strategy_name(profile, settings), {**parse_parameters(settings.strategy_params or ""), **given}


def _with_adaptation(profile: Profile, given: Mapping[str, str], *, include: bool) -> dict[str, str]:
    """The settings given, with adaptation only where it was asked for."""
    if include and not profile.adapts:
        raise Refused(f"--include-adaptation: {profile.name} adapts nothing; give --profile stage7 as well")
    if "ADAPTATION_ENABLED" in given:
        raise Refused("--set: a backtest adapts with --include-adaptation, and else not; leave ADAPTATION_ENABLED out")
    return {**given, "ADAPTATION_ENABLED": str(include).lower()}


def _play(plan: BacktestPlan, label: str) -> Findings:
    from btcbot.backtest.engine import run_backtest
    from btcbot.backtest.findings import examine
    from btcbot.cli.data import progress_bar

    # What a strategy prints is for whoever writes it; standard output holds the result and nothing else.
    with redirect_stdout(sys.stderr), progress_bar("playing") as progress:
        return examine(run_backtest(plan, None if progress is None else partial(progress, label)))


def _compare(
    names: Sequence[str],
    plan_of: Callable[[str, Mapping[str, str]], BacktestPlan],
    out: Path | None,
    *,
    force: bool,
    as_json: bool,
) -> None:
    """Play each of them on the same data with the same settings, and rank them."""
    from btcbot.backtest.compare import comparison, ranked, show_comparison
    from btcbot.backtest.export import refuse_unusable, write_all

    plans: dict[str, BacktestPlan] = {}
    for name in names:
        plan = plan_of(name, {})
        if plan.strategy.name in plans:
            raise Refused(f"--compare: two strategies are called {output.clean(plan.strategy.name)}; rename one")
        plans[plan.strategy.name] = plan
    folders = {} if out is None else {name: out / name for name in plans}
    for folder in folders.values():
        refuse_unusable(folder, force=force)
    runs = {name: _play(plan, name) for name, plan in plans.items()}
    rows = ranked(runs)
    for name, folder in folders.items():
        write_all(runs[name].result, folder, force=force, findings=runs[name])
    if as_json:
        output.json_line(comparison(runs, rows))
        return
    show_comparison(runs, rows)
    for folder in folders.values():
        click.echo(f"report: {folder / 'report.html'}")
