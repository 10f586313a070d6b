"""`btcbot data`: recorded market data for backtests: make, import, check and show it.

`capture` lives in a module of its own, imported only when it is called: it talks to the venue, the rest does not.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from btcbot.adapters.replay.extra import demand_research
from btcbot.cli import output
from btcbot.errors import EXIT_FAILED

if TYPE_CHECKING:
    from btcbot.adapters.replay.csv_files import Options, Progress
    from btcbot.adapters.replay.findings import Finding

_LAZY: Final = {"capture": "Capture bars, books and trades live from the venue."}
_DEFAULT_FOLDER: Final = Path("data/replay")
_MS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
SEED: Final = click.IntRange(0, 2**63 - 1)
SEED_DEFAULT: Final = 123
_FOLDER: Final = click.Path(path_type=Path)


class _Group(click.Group):
    """Imports `capture` when it is called, and answers a misspelt name with the nearest one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *_LAZY]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _LAZY:
            return super().get_command(ctx, cmd_name)
        from btcbot.cli.data_capture import command as capture

        return capture

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            known = [(name, self.commands[name].get_short_help_str(90)) for name in super().list_commands(ctx)]
            formatter.write_dl([*known, *_LAZY.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in self.list_commands(ctx):
            from difflib import get_close_matches

            near = get_close_matches(name, self.list_commands(ctx), n=1)
            hint = f"; did you mean «{near[0]}»?" if near else "; «btcbot data --help» lists them"
            raise click.UsageError(f"there is no command «data {output.clean(name)}»{hint}", ctx)
        return super().resolve_command(ctx, args)


class Interval(click.ParamType[int]):
    """`1m`, `15m`, `1h`, `1d`, as milliseconds."""

    name = "interval"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        matched = re.fullmatch(r"([1-9][0-9]{0,5})([smhd])", str(value), re.ASCII)
        if matched is None:
            self.fail(f"«{output.clean(value)}» is no interval; write one such as 1m, 15m, 1h or 1d", param, ctx)
        return int(matched[1]) * _MS[matched[2]]


class Symbol(click.ParamType[str]):
    """One pair, upper-cased and without its underscore."""

    name = "symbol"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value).upper().replace("_", "", 1)
        if not re.fullmatch(r"[A-Z0-9]{2,20}", text, re.ASCII):
            self.fail(f"«{output.clean(value)}» is no pair; write one such as BTCTRY", param, ctx)
        return text


_JSON: Final = click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
_STRICT: Final = click.option("--strict", is_flag=True, help="Count warnings as errors.")


_READING: Final = (
    click.option(
        "--table",
        type=click.Choice(["bars", "quotes", "trades", "tickers"]),
        help="What files hold, not what headers say.",
    ),
    click.option("--interval", type=Interval(), metavar="1m", help="Of bars, where they do not show it."),
    click.option("--time-unit", type=click.Choice(["s", "ms", "us", "ns"]), help="Of times that are numbers."),
    click.option("--time-zone", metavar="ZONE", help="Of times that say none: UTC, Europe/Istanbul, +03:00."),
    click.option("--sort", is_flag=True, help="Sort the rows by time, instead of refusing those out of order."),
)


def _reading(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say how CSV files are read, where they do not say it themselves."""
    for option in reversed(_READING):
        command = option(command)
    return command


@click.group(cls=_Group, invoke_without_command=True, short_help="Import, capture, check and show recorded data.")
@click.pass_context
def command(context: click.Context) -> None:
    """Look after recorded market data: what backtests, replays and the search for parameters run on.

    \b
    Examples:  btcbot data init
               btcbot data import BTCTRY.csv ETHTRY.csv --into data/mine
               btcbot data info data/mine
    """
    if context.invoked_subcommand is None:
        raise click.UsageError("say init, import, capture, validate or info; «btcbot data --help» tells more")


@command.command(short_help="Make a dataset with a seeded starter set.")
@click.argument("folder", type=_FOLDER, metavar="[DIR]", default=_DEFAULT_FOLDER)
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=123, show_default=True, help="The same seed, the same data."
)
@click.option("--no-synthetic", is_flag=True, help="Leave the dataset empty.")
@_JSON
def init(folder: Path, seed: int, *, no_synthetic: bool, as_json: bool) -> None:
    """Make a dataset in DIR (data/replay): a week of an invented market in five TRY pairs.

    Bars of a minute, quotes and trades that agree with each other, from a seed: enough to try every command before any
    data is there. It proves nothing about a strategy.

    \b
    Example:  btcbot data init data/starter --seed 7
    """
    make_starter(folder, seed, synthetic=not no_synthetic, as_json=as_json)


def make_starter(folder: Path, seed: int, *, synthetic: bool, as_json: bool) -> None:
    """`data init`, and `replay-init` by its other name."""
    demand_research("recorded data")
    from btcbot.adapters.replay import starter

    with progress_bar("making") as progress:
        made = starter.make(folder, seed, synthetic=synthetic, progress=progress)
    if as_json:
        output.json_line({"dataset": str(folder), "seed": seed if synthetic else None, "recordings": made})
    elif made:
        symbols = list(dict.fromkeys(one.symbol for one in made))
        rows = {table: sum(one.rows for one in made if one.table == table) for table in ("bars", "quotes", "trades")}
        counts = ", ".join(f"{count} {table}" for table, count in rows.items())
        output.line(f"{folder}: {counts} of {', '.join(symbols)}, from seed {seed}")
    else:
        output.line(f"{folder}: an empty dataset; fill it with «btcbot data import … --into {folder}»")


@command.command("import", short_help="Bring CSV files into a dataset.")
@click.argument("paths", type=_FOLDER, nargs=-1, required=True, metavar="SOURCE...")
@click.option("--into", type=_FOLDER, required=True, metavar="DIR", help="The dataset; made where there is none.")
@click.option("--symbol", type=Symbol(), help="Of the one file, instead of what its name says.")
@_reading
@click.option("--bars", "bars_ms", type=Interval(), metavar="1m", help="Make bars of this interval from trades, too.")
@click.option("--replace", is_flag=True, help="Let bars take the place of others at the same time.")
@_STRICT
@_JSON
def import_(
    paths: tuple[Path, ...],
    into: Path,
    symbol: str | None,
    bars_ms: int | None,
    *,
    replace: bool,
    strict: bool,
    as_json: bool,
    **reading: Any,
) -> None:
    """Check CSV files and bring them into the dataset DIR: bars, quotes, trades or tickers.

    SOURCE is a file, a folder of files such as BTCTRY.csv, or a folder with candles/, orderbook/ and ticker/. What a
    file holds, and how it tells the time, is read off its header and rows; what they leave open has to be said. Every
    number arrives exactly. Where any row is wrong, every problem is told and DIR stays as it was (exit status 2).

    \b
    Examples:  btcbot data import recordings/ --into data/mine
               btcbot data import BTCTRY-trades-2022-11.csv --into data/mine --bars 1m
    """
    demand_research("recorded data")
    from btcbot.adapters.replay.importing import import_files

    with progress_bar("importing") as progress:
        report = import_files(
            paths, into, _options(reading), symbol=symbol, bars_ms=bars_ms, replace=replace, strict=strict,
            progress=progress,
        )  # fmt: skip
    if as_json:
        output.json_line({"dataset": str(into), "imported": report.imported, "warnings": _shaped(report.warnings)})
        return
    _tell(report.warnings)
    output.table(
        f"imported into {into}",
        ("file", "table", "symbol", "rows", "added", "known", "replaced"),
        [(one.source, one.table, one.symbol, one.rows, one.added, one.known, one.replaced) for one in report.imported],
        numbers=("rows", "added", "known", "replaced"),
    )


@command.command(short_help="Find everything that is wrong with data.")
@click.argument("path", type=_FOLDER, metavar="DIR")
@_reading
@_STRICT
@_JSON
def validate(path: Path, *, strict: bool, as_json: bool, **reading: Any) -> None:
    """Check a dataset, or CSV files before an import. Exit status 1 when something is wrong.

    Errors are what an import refuses; warnings, such as gaps, are told and pass, unless --strict counts them as well.

    \b
    Example:  btcbot data validate data/mine --strict
    """
    demand_research("recorded data")
    from btcbot.adapters.replay import inspection

    with progress_bar("checking") as progress:
        found = inspection.validate(path, _options(reading), progress)
    sound = found.is_sound(strict=strict)
    errors = sum(finding.level == "error" for finding in found.findings)
    warnings = len(found.findings) - errors
    if as_json:
        counts = {"recordings": found.recordings, "rows": found.rows, "errors": errors, "warnings": warnings}
        output.json_line({"sound": sound, **counts, "findings": _shaped(found.findings)})
    else:
        _tell(found.findings)
        seen = f"{path}: {found.rows} rows in {_count(found.recordings, 'recording')}"
        verdict = "sound" if sound else "not sound"
        output.line(f"{seen}, {verdict}: {_count(errors, 'error')}, {_count(warnings, 'warning')}")
    if not sound:
        output.leave(EXIT_FAILED)


@command.command(short_help="Show what a dataset holds.")
@click.argument("path", type=_FOLDER, metavar="DIR")
@_JSON
def info(path: Path, *, as_json: bool) -> None:
    """Show rows, range, gaps and sizes of a dataset, by symbol and table.

    \b
    Example:  btcbot data info data/mine --json
    """
    demand_research("recorded data")
    from btcbot.adapters.replay import inspection
    from btcbot.adapters.replay.checks import duration
    from btcbot.adapters.replay.parquet import SCHEMA_VERSION

    with progress_bar("reading") as progress:
        facts = inspection.info(path, progress)
    if as_json:
        output.json_line({"dataset": str(path), "schema_version": SCHEMA_VERSION, "recordings": facts})
        return
    output.table(
        f"{path} (schema version {SCHEMA_VERSION})",
        ("symbol", "table", "rows", "first", "last", "interval", "gaps", "missing", "decimals", "size"),
        [
            (
                one.symbol,
                one.table,
                one.rows,
                output.moment(one.first_ms),
                output.moment(one.last_ms),
                output.NOTHING if one.interval_ms is None else duration(one.interval_ms),
                output.NOTHING if one.gaps is None else one.gaps,
                output.NOTHING if one.missing_bars is None else one.missing_bars,
                f"{one.price_scale}/{one.quantity_scale}",
                _size(one.bytes),
            )
            for one in facts
        ],
        numbers=("rows", "gaps", "missing", "size"),
    )


# -- shared -----------------------------------------------------------------------------------------------------------


def _options(reading: dict[str, Any]) -> Options:
    from btcbot.adapters.replay.csv_files import Options

    return Options(
        table=reading["table"],
        interval_ms=reading["interval"],
        unit=reading["time_unit"],
        zone=reading["time_zone"],
        sort=reading["sort"],
    )


@contextmanager
def progress_bar(doing: str) -> Iterator[Progress | None]:
    """A bar on stderr where that is a terminal, nothing elsewhere."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=None)

        def show(name: str, done: int, total: int) -> None:
            bar.update(task, description=f"{doing} {output.clean(name)}", completed=done, total=total)

        yield show


def _tell(findings: tuple[Finding, ...]) -> None:
    """The lines of findings on stderr, the errors first."""
    for finding in sorted(findings, key=lambda one: one.level):
        click.echo(f"btcbot: {finding.level}: {output.clean(finding.line)}", err=True)


def _shaped(findings: tuple[Finding, ...]) -> list[object]:
    import msgspec

    return [{**msgspec.structs.asdict(finding), "line": finding.line} for finding in findings]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _size(count: int) -> str:
    return f"{count / 1_048_576:.1f} MiB" if count >= 1_048_576 else f"{max(count, 1024) / 1024:.0f} KiB"
