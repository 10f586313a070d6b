"""`btcturk-sim serve …`: the command line.

Everything heavy is imported inside the command, so `--help` and `--version` answer at once. Bad input ends with
one line on stderr and exit code 2.
"""

from __future__ import annotations

import sys
import time
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click

from btcturk_sim import __version__
from btcturk_sim.cli_rest import bind_keys, commissions, questions, rest_flags
from btcturk_sim.errors import ConfigurationError, ConservationError

if TYPE_CHECKING:
    from btcturk_sim.accounts import Account
    from btcturk_sim.bars import BarSource

_ACCOUNTS_FILE_MODE_FORBIDDEN = 0o077
_HISTORY_BARS = 1440
_PORT = click.IntRange(0, 65_535)
#: A day: whoever waits longer for a cancel waits for ever.
LAG_MS_MAX = 86_400_000
#: A spread of its whole price: beyond it there would be no bid.
SPREAD_BPS_MAX = 10_000


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="btcturk-sim")
def cli() -> None:
    """A local BtcTurk exchange for tests and demos, on loopback only."""


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback address to serve on.")
@click.option("--port", type=_PORT, default=0, show_default=True, help="REST port; 0 takes any free one.")
@click.option("--graph-port", type=_PORT, default=0, help="Port of the chart host; 0 takes any free one.")
@click.option("--control-port", type=_PORT, default=0, help="Port of the control interface; 0 takes any free one.")
@click.option("--ws-port", type=_PORT, default=0, help="Port of the feed; 0 takes any free one.")
@click.option("--market", type=click.Path(path_type=Path), help="Folder of SYMBOL.csv bars; else a seeded generator.")
@click.option("--symbols", default="", help="Pairs to list, comma-separated, such as BTCTRY,ETHTRY.")
@click.option("--seed", default=1, show_default=True, help="Seed of everything random.")
@click.option("--speed", default="1", show_default=True, help="Bars are played this many times faster than time.")
@click.option(
    "--at-end",
    type=click.Choice(["hold", "loop", "exit"]),
    default="hold",
    show_default=True,
    help="After the last bar: hold the price, start over, or exit.",
)
@click.option(
    "--account",
    "account_texts",
    multiple=True,
    metavar="KEY:SECRET:ASSET=AMOUNT,…",
    help="An account; the secret is base64. May be repeated.",
)
@click.option(
    "--accounts",
    "accounts_file",
    type=click.Path(path_type=Path),
    help="File of accounts, one a line as for --account; its mode must be 0600.",
)
@click.option("--limits", default="real", show_default=True, help="real, real-ip, scaled=N or off.")
@click.option("--record", type=click.Path(path_type=Path), help="Append all requests, answers, frames and steps here.")
@click.option("--cancel-lag-ms", default=50, show_default=True, help="A cancel takes effect this much later.")
@click.option("--transactions-lag-ms", default=150, show_default=True, help="A trade is listed this much later.")
@click.option("--just-filled-ms", default=0, show_default=True, help="Money from a fill is unusable for this long.")
@click.option(
    "--nonce",
    type=click.Choice(["windowed", "strict"]),
    default="windowed",
    show_default=True,
    help="Stamps must differ, or must rise.",
)
@click.option(
    "--client-ids",
    type=click.Choice(["repeatable", "unique"]),
    default="repeatable",
    show_default=True,
    help="Whether a client order id may be used again.",
)
@click.option("--spread-bps", default="10", show_default=True, help="Spread of the synthetic book.")
@click.option("--depth-try", default="20000", show_default=True, help="Smallest worth of its best level, in TRY.")
@click.option(
    "--error-401",
    type=click.Choice(["current", "2019"]),
    default="current",
    show_default=True,
    help="Body of authentication failures; in 2019 it said success: true.",
)
@click.option(
    "--decimal-separator",
    type=click.Choice(["dot", "comma"]),
    default="dot",
    show_default=True,
    help="In balances; the documentation shows a comma, the live exchange a dot.",
)
@click.option("--trades-max", type=click.IntRange(1), default=200, show_default=True, help="Rows of a trade list.")
@click.option(
    "--unauthorized-max",
    type=click.IntRange(0),
    default=50,
    show_default=True,
    help="More 401 than this in a row block the address; 0: never.",
)
@click.option(
    "--unauthorized-block-ms",
    type=click.IntRange(0),
    default=600_000,
    show_default=True,
    help="How long that block lasts.",
)
@click.option("--limit-only", default="", help="Pairs that take no market orders, comma-separated.")
@rest_flags
def serve(
    host: str, port: int, graph_port: int, control_port: int, market: Path | None, symbols: str, seed: int,
    speed: str, at_end: str, account_texts: tuple[str, ...], accounts_file: Path | None, limits: str,
    record: Path | None, cancel_lag_ms: int, transactions_lag_ms: int, just_filled_ms: int, nonce: str,
    client_ids: str, spread_bps: str, depth_try: str, error_401: str, decimal_separator: str, limit_only: str,
    trades_max: int, unauthorized_max: int, unauthorized_block_ms: int, ws_port: int, pairs: int | None,
    history_bars: int | None, assumed: tuple[str, ...], permission_texts: tuple[str, ...],
    address_texts: tuple[str, ...], fee_level: int, free_pairs: str,
) -> None:  # fmt: skip
    """Serve the exchange; prints one JSON line with its addresses when it accepts connections."""
    from btcturk_sim.api import ApiOptions
    from btcturk_sim.assumptions import assume
    from btcturk_sim.auth import NonceRule
    from btcturk_sim.book import BookOptions
    from btcturk_sim.engine import EngineOptions
    from btcturk_sim.feed import FeedOptions
    from btcturk_sim.limits import LimitsMode
    from btcturk_sim.market import AtEnd
    from btcturk_sim.server import Ports, require_loopback
    from btcturk_sim.server import serve as run_server
    from btcturk_sim.simulator import Simulator, SimulatorOptions

    require_loopback(host)
    for name, lag in (("--cancel-lag-ms", cancel_lag_ms), ("--transactions-lag-ms", transactions_lag_ms),
                      ("--just-filled-ms", just_filled_ms)):  # fmt: skip
        if not 0 <= lag <= LAG_MS_MAX:
            raise ConfigurationError(f"{name} {lag}: give milliseconds, from 0 to {LAG_MS_MAX}")
    engine, api, feed = assume(
        assumed,
        EngineOptions(
            cancel_lag_ms=cancel_lag_ms,
            transactions_lag_ms=transactions_lag_ms,
            just_filled_ms=just_filled_ms,
            unique_client_ids=client_ids == "unique",
            book=BookOptions(
                spread_bps=_positive("--spread-bps", spread_bps, SPREAD_BPS_MAX),
                depth_try=_positive("--depth-try", depth_try),
            ),
            fees=commissions(_symbols(free_pairs)),
            fee_level=fee_level,
        ),
        ApiOptions(
            nonce=NonceRule(nonce),
            limits=LimitsMode.parse(limits),
            error_401_of_2019=error_401 == "2019",
            decimal_comma=decimal_separator == "comma",
            trades_max=trades_max,
            unauthorized_max=unauthorized_max,
            unauthorized_block_ms=unauthorized_block_ms,
        ),
        FeedOptions(),
    )
    options = SimulatorOptions(
        engine=engine,
        api=api,
        feed=feed,
        speed=Fraction(_positive("--speed", speed)),
        at_end=AtEnd(at_end),
        seed=seed,
        record=record,
    )
    accounts = _accounts(account_texts, accounts_file)
    bind_keys(accounts, permission_texts, address_texts)
    source = _source(market, _symbols(symbols), seed, pairs, history_bars)
    _forbid_market_orders(source, _symbols(limit_only))
    _refuse_unlisted("--free-pairs", source, _symbols(free_pairs))
    now_ms = time.time_ns() // 1_000_000
    simulator = Simulator(accounts=accounts, source=source, now_ms=now_ms, options=options)
    run_server(simulator, Ports(host=host, rest=port, graph=graph_port, control=control_port, ws=ws_port))


@cli.command()
def assumptions() -> None:
    """List what is not known of the exchange, and what is assumed; see --assume and POST /assumptions."""
    click.echo(questions())


def _positive(name: str, text: str, most: int = 1_000_000_000) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or not 0 < value <= most:
        raise ConfigurationError(f"{name} {text}: give a number above 0, at most {most}")
    return value


def _symbols(text: str) -> list[str]:
    from btcturk_sim.instruments import normalize_symbol, split_symbol

    symbols = [normalize_symbol(part.strip()) for part in text.split(",") if part.strip()]
    for symbol in symbols:
        split_symbol(symbol)
    return list(dict.fromkeys(symbols))


def _source(
    folder: Path | None, symbols: list[str], seed: int, pairs: int | None, history_bars: int | None
) -> BarSource:
    if pairs is not None and (folder is not None or symbols):
        raise ConfigurationError("--pairs lists built-in pairs; leave out --market and --symbols, or --pairs")
    if folder is None:
        from btcturk_sim.generator import DEFAULT_SYMBOLS, GeneratedBars

        if pairs is not None:
            from btcturk_sim.listing import listings

            return GeneratedBars(seed=seed, listed=listings(pairs), history_bars=history_bars or 0)
        past = _HISTORY_BARS if history_bars is None else history_bars
        return GeneratedBars(symbols or DEFAULT_SYMBOLS, seed, history_bars=past)
    from btcturk_sim.bars import load_bars

    bars = load_bars(folder, symbols)
    for note in bars.notes:
        click.echo(note, err=True)
    return bars.after(history_bars or 0)


def _refuse_unlisted(name: str, source: BarSource, symbols: list[str]) -> None:
    listed = {one.symbol for one in source.instruments}
    for symbol in symbols:
        if symbol not in listed:
            raise ConfigurationError(f"{name} {symbol}: not listed; name some of {', '.join(sorted(listed))}")


def _forbid_market_orders(source: BarSource, symbols: list[str]) -> None:
    from btcturk_sim.instruments import without_market_orders

    _refuse_unlisted("--limit-only", source, symbols)
    source.instruments = tuple(
        without_market_orders(one) if one.symbol in symbols else one for one in source.instruments
    )


def _accounts(texts: tuple[str, ...], file: Path | None) -> list[Account]:
    from btcturk_sim.simulator import parse_account

    lines = list(texts)
    if file is not None:
        lines += _account_lines(file)
    accounts = [parse_account(line, ordinal) for ordinal, line in enumerate(lines)]
    keys = [one.key for one in accounts]
    for key in keys:
        if keys.count(key) > 1:
            raise ConfigurationError(f"account {key} is given twice; keep one")
    return accounts


def _account_lines(file: Path) -> list[str]:
    """The file's accounts; blank lines and lines beginning with # are skipped."""
    try:
        mode = file.stat().st_mode & 0o777
        if mode & _ACCOUNTS_FILE_MODE_FORBIDDEN:
            raise ConfigurationError(f"--accounts {file}: others can read it (mode {mode:04o}); run: chmod 600 {file}")
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(f"--accounts {file}: {why}; give a readable file of mode 0600") from None
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def main() -> None:
    """Run the command line; never a traceback for what the operator can mend."""
    try:
        cli(prog_name="btcturk-sim", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(0)
    except click.exceptions.NoArgsIsHelpError as helped:
        click.echo(helped.format_message(), err=True)
        sys.exit(2)
    except click.ClickException as error:
        click.echo(f"btcturk-sim: {error.format_message()}", err=True)
        sys.exit(2)
    except ConfigurationError as error:
        click.echo(f"btcturk-sim: {error}", err=True)
        sys.exit(2)
    except ConservationError as error:
        click.echo(f"btcturk-sim: the books do not add up: {error}", err=True)
        sys.exit(1)
