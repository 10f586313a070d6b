"""`btcbot optimise`: a search for parameters on one machine or many, judged on data that it has not seen."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from btcbot.adapters.replay.extra import demand_research
from btcbot.cli import output
from btcbot.cli.options import Amount
from btcbot.cli.played import demand_playable, named_in, pairs_of, played
from btcbot.cli.stopping import ended_by_signals
from btcbot.errors import EXIT_DONE, EXIT_FAILED, Refused

if TYPE_CHECKING:
    from btcbot.backtest.optimise.outcome import Outcome
    from btcbot.backtest.optimise.request import Prepared
    from btcbot.backtest.optimise.search import Progress
    from btcbot.backtest.optimise.surface import Surface

_PATH: Final = click.Path(path_type=Path)
STORAGE: Final = "btcbot-optimise.journal"
#: Windows in the terminal's table; the files hold all.
WINDOWS_SHOWN_MAX: Final = 24
DAYS_MAX: Final = 36_500


@click.command("optimise")
@click.argument("data", type=_PATH, metavar="DATA")
@click.option("--strategy", required=True, metavar="NAME|FILE", help="What decides.")
@click.option("--param", "params", multiple=True, metavar="NAME=RANGE",
              help="1..50, 0.001..0.01:log, 5..50:5 (step), x|y, or one value; repeat it.")  # fmt: skip
@click.option(
    "--trials", type=click.IntRange(1, 1_000_000), required=True, help="So many in each window, of all workers."
)
@click.option("--objective", default="return", show_default=True, help="return, sharpe, sortino or calmar.")
@click.option("--split", type=Amount(), help="One window: this share to learn from, the rest to judge.  [0.7]")
@click.option("--train", type=Amount(), metavar="DAYS", help="Walk forward: days to learn from, …")
@click.option("--test", type=Amount(), metavar="DAYS", help="… and the days after them to judge on.")
@click.option("--anchored", is_flag=True, help="Learn from everything since the beginning, not from a moving stretch.")
@click.option("--embargo", type=Amount(), default="0", metavar="DAYS", help="Leave out so much between the two.")
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes at once, here.")
@click.option("--storage", default=STORAGE, show_default=True, metavar="FILE|URL",
              help="A journal file, sqlite:///FILE, or postgresql://… for many machines.")  # fmt: skip
@click.option(
    "--study", metavar="NAME", help="Go on with the study of this name, or begin it; else named by the search."
)
@click.option("--sampler", default="tpe", show_default=True, help="tpe, random or grid.")
@click.option("--pruner", default="none", show_default=True, help="none, median, halving or hyperband.")
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), default=1, show_default=True, help="The same seed, the same trials."
)
@played
@click.option("--out", type=_PATH, metavar="DIR", help="Write report.html, summary.json and all trials there.")
@click.option("--force", is_flag=True, help="Replace what an earlier search wrote there.")
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON.")
def command(
    data: Path,
    strategy: str,
    params: tuple[str, ...],
    trials: int,
    objective: str,
    split: Decimal | None,
    train: Decimal | None,
    test: Decimal | None,
    anchored: bool,
    embargo: Decimal,
    workers: int,
    storage: str,
    study: str | None,
    sampler: str,
    pruner: str,
    seed: int,
    symbols: str | None,
    start: int | None,
    end: int | None,
    cash: Decimal,
    half_spread_bps: Decimal,
    volume_share: Decimal,
    fills_at_touch: bool,
    changes: tuple[str, ...],
    env_file: Path | None,
    out: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Search a strategy's parameters, and judge the best on data that the search has not seen.

    Each trial is a whole «btcbot backtest» of the training stretch. The best of each window is then played on its test
    stretch, and both results stand side by side. The same command goes on where an interrupted one stopped; with
    PostgreSQL, the same command on more machines shares the work. Exit status 1 when it was interrupted, or when no
    trial came to anything.

    \b
    Examples:
      btcbot optimise data/replay --strategy ema_cross --param fast=2..50 --param slow=20..200 --trials 200 --workers 4
      btcbot optimise data/replay --strategy my_idea.py --param band=0.001..0.05:log --trials 100 --train 60 --test 20
      btcbot optimise data/replay --strategy ema_cross --param fast=5..50:5 --sampler grid --trials 10 --out results/ema
    """
    demand_research("a search")
    if find_spec("optuna") is None or find_spec("jinja2") is None:
        raise Refused("a search needs the research extra: pip install 'btcbot[research]'")
    demand_playable(cash=cash, half_spread_bps=half_spread_bps, volume_share=volume_share)
    for option, days in (("--train", train), ("--test", test), ("--embargo", embargo)):
        if days is not None and days > DAYS_MAX:
            raise Refused(f"{option}: give at most {DAYS_MAX} days")
    if study is not None and not (study.strip() and study.isprintable()):
        raise Refused("--study: give a name that can be printed")
    settings = pairs_of("--set", changes)

    from btcbot.adapters.stop import StopFlag
    from btcbot.backtest.optimise.report import refuse_unusable, summary, write_all
    from btcbot.backtest.optimise.request import Request, demand_objective, prepare, run
    from btcbot.backtest.plan import symbols_of

    demand_objective(objective)
    if out is not None:
        refuse_unusable(out, force=force)
    named = named_in(symbols)
    wanted = list(symbols_of(named, settings, env_file) or ())
    prepared = prepare(
        Request(
            data=data,
            strategy=strategy,
            params=params,
            trials=trials,
            symbols=wanted,
            start_ms=start,
            end_ms=end,
            workers=workers,
            storage=storage,
            study=study,
            sampler=sampler,
            pruner=pruner,
            seed=seed,
            objective=objective,
            split=split,
            train_days=train,
            test_days=test,
            embargo_days=embargo,
            anchored=anchored,
            settings=settings,
            env_file=env_file,
            opening=cash,
            half_spread_bps=half_spread_bps,
            volume_share=volume_share,
            fills_at_touch=fills_at_touch,
        ),
        lambda line: click.echo(f"btcbot: {line}", err=True),
    )
    stop = StopFlag()
    # What has been found by then is kept and told.
    with ended_by_signals(stop, (signal.SIGINT, signal.SIGTERM)), _progress() as watch:
        outcome = run(prepared, stop, watch, lambda shown: _tell_begin(prepared, shown))
    if out is not None:
        write_all(outcome, out)
    if not as_json:
        _show(outcome, out)
    status = _tell_end(outcome)
    if as_json:
        output.json_line(summary(outcome, out))
    output.leave(status)


@contextmanager
def _progress() -> Iterator[Callable[[Progress], None] | None]:
    """A bar on the terminal's error stream, and nothing where that is none."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("searching"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("best {task.fields[best]}", markup=False),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, best="–")

        def show(progress: Progress) -> None:
            best = "–" if progress.best is None else f"{progress.best:.4g}"
            bar.update(task, completed=progress.done, total=progress.total, best=best)

        yield show


def _tell_begin(prepared: Prepared, storage: str) -> None:
    """On stderr: what is searched, and where it is kept."""
    windows = len(prepared.windows)
    many = f"{windows} windows of {prepared.seats} trials" if windows > 1 else f"{prepared.seats} trials"
    click.echo(output.clean(f"study {prepared.study} in {storage}: {many}, {prepared.data_text}"), err=True)
    if prepared.seats < prepared.request.trials:
        click.echo(f"the grid has {prepared.seats} points; more trials would repeat them", err=True)


def _tell_end(outcome: Outcome) -> int:
    """One line on stderr where the search did not come to a good end; the exit status."""
    counts = outcome.counts
    done = sum(counts.get(state, 0) for state in ("complete", "pruned", "failed"))
    ended = outcome.ended
    if ended.how == "interrupted":
        total = outcome.seats * len(outcome.windows)
        click.echo(f"btcbot: interrupted: {done} of {total} trials are kept; the same command goes on", err=True)
        return EXIT_FAILED
    if ended.how == "hopeless":
        click.echo(f"btcbot: the search ended early: {output.clean(ended.reason)}", err=True)
        return EXIT_FAILED
    if not counts.get("complete", 0):
        why = output.clean(outcome.first_reason) or "they came to nothing"
        click.echo(f"btcbot: none of the {done} trials has a value; the first: {why}", err=True)
        return EXIT_FAILED
    return EXIT_DONE


# -- the report in the terminal --------------------------------------------------------------------------------------


def _show(outcome: Outcome, out: Path | None) -> None:
    from btcbot.backtest.findings import percent
    from btcbot.backtest.optimise.page import metric

    counts, chosen, objective = outcome.counts, outcome.chosen, outcome.objective
    states = ", ".join(
        f"{counts[state]} {state}" for state in ("complete", "pruned", "failed", "lost") if counts[state]
    )
    repeated = f"; {outcome.repeated} were known already and not played again" if outcome.repeated else ""
    output.line(f"{outcome.strategy} · {outcome.data} · {outcome.windows_text}")
    output.line(f"trials: {states or 'none'}{repeated}")
    if chosen is None or chosen.best is None:
        return
    _show_windows(outcome)
    inside, outside = (outcome.mean_of(objective, is_test=is_test) for is_test in (False, True))
    kept = [one for each in outcome.windows if (one := each.kept(objective)) is not None]
    facts: list[tuple[str, object]] = [
        (f"{objective} in sample, mean", metric(objective, inside)),
        (f"{objective} out of sample, mean", metric(objective, outside)),
    ]
    if kept:
        by_day = " (as growth of a day)" if objective == "return" else ""
        facts.append((f"kept out of sample, mean{by_day}", f"{sum(kept) / len(kept) * 100:.0f} %"))
    facts.append(("return of the test stretches, one after the other", percent(outcome.test_return, signed=True)))
    facts.append(("best parameters", " ".join(f"{name}={text}" for name, text in chosen.best.parameters.items())))
    output.facts(facts)
    output.table(
        "Importance (PED-ANOVA, in sample)",
        ("parameter", "share"),
        [(name, f"{share * 100:.0f} %") for name, share in outcome.importances.items()],
        numbers=("share",),
    )
    if chosen.surface is not None:
        _show_surface(chosen.surface, objective)
    if out is not None:
        output.line(f"report: {out / 'report.html'}")


def _show_windows(outcome: Outcome) -> None:
    from btcbot.backtest.optimise.page import metric

    objective = outcome.objective
    rows = []
    for number, each in enumerate(outcome.windows, 1):
        kept = each.kept(objective)
        best = {} if each.best is None else each.best.metrics
        rows.append(
            (
                number,
                f"{_day(each.window.train_start_ms)} – {_day(each.window.train_end_ms)}",
                f"{_day(each.window.test_start_ms)} – {_day(each.window.test_end_ms)}",
                metric(objective, best.get(objective)),
                metric(objective, each.test.get(objective)),
                output.NOTHING if kept is None else f"{kept * 100:.0f} %",
                metric("max_drawdown", best.get("max_drawdown")),
                metric("max_drawdown", each.test.get("max_drawdown")),
                "no trial has a value"
                if each.best is None
                else " ".join(f"{name}={text}" for name, text in each.best.parameters.items()) + each.test_reason,
            )
        )
    numbers = (f"{objective} in", "out", "kept", "drawdown in", "drawdown out")
    columns = ("window", "learned from", "judged on", *numbers, "parameters")
    shown = rows[-WINDOWS_SHOWN_MAX:]
    title = "Windows" if len(shown) == len(rows) else f"The last {len(shown)} of {len(rows)} windows"
    output.table(title, columns, shown, numbers=("window", *numbers))


def _show_surface(surface: Surface, objective: str) -> None:
    from btcbot.backtest.optimise.page import metric

    across = [f"{surface.x.name} {surface.x.labels[0]}", *surface.x.labels[1:]]
    rows = []
    for y in reversed(range(len(surface.y.labels))):
        cells = [surface.cells.get((x, y)) for x in range(len(across))]
        if any(cells):
            shown = [output.NOTHING if cell is None else metric(objective, cell.mean) for cell in cells]
            rows.append((f"{surface.y.name} {surface.y.labels[y]}".strip(), *shown))
    output.table(f"Surface: mean {objective}, in sample", ("", *across), rows, numbers=across)


def _day(at_ms: int) -> str:
    """The day, and the hour where a stretch does not begin with one."""
    text = output.moment(at_ms)
    return text[:10] if text.endswith(" 00:00:00Z") else text[:16]
