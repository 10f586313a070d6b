"""`btcbot demo`: the main job on a local BtcTurk, ending with the comparison of books and venue."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from btcbot.errors import EXIT_DONE, EXIT_FAILED, Refused

if TYPE_CHECKING:
    from btcbot.testing.demo import DemoOptions, DemoProgress
    from btcbot.testing.demo_stages import Shown
    from btcbot.testing.judge import Judgement


#: What `--profile` may name; how each is staged, `btcbot.testing.demo_stages` says.
PROFILES: Final = ("run", "stage4")


@click.command("demo")
@click.option(
    "--market",
    type=click.Path(path_type=Path),
    default=None,
    help="Folder of one-minute bars, SYMBOL.csv each. Without it a seeded market is made.",
)
@click.option(
    "--profile",
    type=click.Choice(PROFILES),
    default="run",
    show_default=True,
    help="What trades: run, or the portfolio of stage4-run with a feed that stalls.",
)
@click.option("--symbols", default="", help="Comma-separated, such as BTCTRY,ETHTRY.")
@click.option("--cycles", type=click.IntRange(min=1), default=None, help="End after so many cycles.")
@click.option("--speed", type=click.IntRange(min=1), default=600, show_default=True, help="Market time over wall time.")
@click.option("--seed", type=int, default=7, show_default=True, help="Of the made market.")
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON instead of tables.")
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Where database and logs go.",
)
def command(
    market: Path | None,
    profile: str,
    symbols: str,
    cycles: int | None,
    speed: int,
    seed: int,
    as_json: bool,
    folder: Path | None,
) -> None:
    """Trade on a local BtcTurk for about two minutes and judge the result.

    Starts btcturk-sim and an armed bot as two processes that speak over real sockets on this machine. Orders come from
    the strategy alone. A loss is a fair result; what is demanded is that both sides filled, that the books equal the
    venue to the last digit, and that no order is in doubt. Exit status 0 only then.

    \b
    btcbot demo
    btcbot demo --market path/to/bars --symbols ADATRY,BNBTRY --json
    btcbot demo --profile stage4 --market path/to/bars
    """
    if importlib.util.find_spec("aiohttp") is None:
        raise Refused("the demo needs the local BtcTurk: install btcbot[sim], or use «make demo»")
    from btcbot.config.values import symbols as symbols_of
    from btcbot.testing.demo import DemoOptions, choose_symbols, play
    from btcbot.testing.demo_stages import STAGINGS

    try:
        wanted = symbols_of(symbols) if symbols else ()
        assert isinstance(wanted, tuple)
    except ValueError as error:
        raise Refused(f"--symbols: {error}") from None
    staging = STAGINGS[profile]
    if staging.needs_market and market is None:
        raise Refused(f"--profile {profile} shows a portfolio going through a crash; give recorded bars with --market")
    options = DemoOptions(
        staging=staging,
        market=market,
        symbols=choose_symbols(market, wanted, staging),
        cycles=cycles,
        speed=speed,
        seed=seed,
        # Whole: its processes do not all stand where this one does.
        folder=folder.absolute() if folder else Path(tempfile.mkdtemp(prefix="btcbot-demo-")),
    )
    with _Screen(options) as screen:
        judgement, shown = play(options, screen.watch)
    missing = shown.missing(staging)
    if as_json:
        click.echo(_json_line(judgement, shown, missing, options))
    else:
        _print(judgement, shown, missing, options)
    is_full = judgement.both_sides_filled and judgement.quotes_from_feed > 0 and not missing
    sys.exit(EXIT_DONE if is_full and not judgement.faults else EXIT_FAILED)


class _Screen:
    """Progress on stderr: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, options: DemoOptions) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._console = Console(stderr=True, highlight=False)
        source = str(options.market) if options.market else f"made market, seed {options.seed}"
        self._console.print(f"btcbot demo · {source} · speed {options.speed} · {', '.join(options.symbols)}")
        staging = options.staging
        settings = " ".join(f"{name}={value}" for name, value in staging.settings.items())
        self._console.print(
            f"{staging.command} · {staging.cash_try} TRY · a cycle every {staging.cycle_seconds:g} s · {settings}",
            soft_wrap=True,
        )
        if staging.stall is not None:
            self._console.print(
                f"the feed is broken for {staging.stall.seconds:g} s when {staging.stall.at_share:.0%} are over"
            )
        self._bar = Progress(
            TextColumn("{task.description:<9}"),
            BarColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=self._console,
        )
        self._task = self._bar.add_task("starting", total=1.0, note="")
        self._told = -1

    def watch(self, progress: DemoProgress) -> None:
        equity = f"{progress.equity_try:.2f}" if progress.equity_try is not None else "–"
        note = f"{progress.cycles} cycles · {progress.orders} orders · {progress.fills} fills · equity {equity} TRY"
        self._bar.update(self._task, description=progress.stage, completed=progress.share, note=note)
        tenth = int(progress.share * 10)
        if not self._console.is_terminal and tenth != self._told:
            self._told = tenth
            self._console.print(f"{progress.stage:<9} {progress.share:>4.0%} · {note}")

    def __enter__(self) -> _Screen:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *unused: object) -> None:
        if self._console.is_terminal:
            self._bar.stop()


def _json_line(judgement: Judgement, shown: Shown, missing: list[str], options: DemoOptions) -> str:
    import msgspec

    from btcbot.domain.money import plain

    return msgspec.json.encode(
        {
            "orders": judgement.orders,
            "fills": judgement.fills,
            "symbols": judgement.symbols,
            "venue_fills": judgement.venue_fills,
            "difference": {asset: plain(amount) for asset, amount in judgement.difference.items()},
            "suspense": {asset: plain(amount) for asset, amount in judgement.suspense.items()},
            "in_doubt": len(judgement.in_doubt),
            "pnl_try": plain(judgement.realized_pnl + judgement.unrealized_pnl),
            "realized_pnl_try": plain(judgement.realized_pnl),
            "fees_try": plain(judgement.fees),
            "quotes": judgement.quotes,
            "quotes_from_feed": judgement.quotes_from_feed,
            "woken_cycles": judgement.woken_cycles,
            "doubled_orders": len(judgement.doubled_orders),
            "profile": options.staging.command,
            "replaced": shown.replaced,
            "replacements_given_up": shown.given_up,
            "degrade_level_max": shown.level_max,
            "degrade_level": shown.level_last,
            "missing": missing,
            "faults": judgement.faults,
            "db": str(options.folder / "demo.db"),
        }
    ).decode()


def _print(judgement: Judgement, shown: Shown, missing: list[str], options: DemoOptions) -> None:
    from rich.console import Console
    from rich.table import Table

    from btcbot.domain.money import plain

    console = Console(highlight=False)
    trades = Table(title="Fills", title_justify="left")
    for name in ("symbol", "buys", "sells"):
        trades.add_column(name, justify="left" if name == "symbol" else "right")
    for symbol, counts in sorted(judgement.symbols.items()):
        trades.add_row(symbol, str(counts["buys"]), str(counts["sells"]))
    console.print(trades)
    books = Table(title="Books minus venue", title_justify="left")
    books.add_column("asset")
    books.add_column("difference", justify="right")
    for asset, amount in judgement.difference.items():
        books.add_row(asset, plain(amount))
    console.print(books)
    pnl = judgement.realized_pnl + judgement.unrealized_pnl
    console.print(
        f"{judgement.orders} orders, {judgement.fills} fills (the venue has {judgement.venue_fills}), "
        f"{plain(judgement.fees)} TRY of fees and tax"
    )
    console.print(
        f"{judgement.quotes_from_feed} of {judgement.quotes} quotes came from the live feed, which woke "
        f"{judgement.woken_cycles} of the {judgement.cycles} cycles"
    )
    console.print(f"profit {pnl:.2f} TRY, of it realised {judgement.realized_pnl:.2f} (net of fees)")
    if options.staging.replacements_min:
        console.print(
            f"{shown.replaced} orders made room for others, {shown.given_up} replacements were given up · "
            f"degrade level {shown.level_max} at most, {shown.level_last} at the end"
        )
    if judgement.faults:
        for fault in judgement.faults:
            console.print(f"FAULT: {fault}")
    elif not judgement.quotes_from_feed:
        console.print("Not a full demo: the live feed served no quote; the bot's log says why.")
    elif not judgement.both_sides_filled:
        console.print("Not a full demo: the strategy found no reason to trade on both sides. Give it more cycles.")
    elif missing:
        for line in missing:
            console.print(f"Not a full demo: {line}.")
    else:
        console.print("The books equal the venue to the last digit; no order is in doubt, none was doubled.")
    console.print(f"Look around: {_program()} status --db {options.folder / 'demo.db'}", soft_wrap=True)


def _program() -> str:
    """How to call us from here: by name where the shell finds it, else by the path of this environment."""
    if shutil.which("btcbot"):
        return "btcbot"
    called = Path(sys.argv[0])
    return "python -m btcbot" if called.name == "__main__.py" else os.path.relpath(called)
