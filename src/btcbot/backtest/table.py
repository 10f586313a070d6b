"""A backtest in the terminal: one table that fits eighty columns, or one line of JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from btcbot.backtest.findings import NOTHING, Findings, amount, examine, moment, percent, ratio, span
from btcbot.domain import money
from btcbot.profiles import PROFILES

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from btcbot.backtest.result import BacktestResult
    from btcbot.backtest.statistics import SymbolStatistics, TripStatistics

#: What two runs of the same thing may differ in.
UNREPEATABLE: Final = ("wall_s", "cpu_s", "bars_per_s")
#: Symbols that the title names; more are counted there and listed below.
_NAMED_MAX: Final = 4


def summary(result: BacktestResult, findings: Findings | None = None) -> dict[str, object]:
    """For `--json`: money as text, ratios as fractions (0.05 is five percent), times in Unix ms or seconds.

    What is undefined is None, and `undefined` says why. All but `UNREPEATABLE` is the same for the same run.
    """
    return {
        **facts(findings or examine(result)),
        "wall_s": round(result.wall_s, 6),
        "cpu_s": round(result.cpu_s, 6),
        "bars_per_s": round(result.bars_played / result.wall_s, 1) if result.wall_s > 0 else None,
    }


def facts(findings: Findings) -> dict[str, object]:
    """The summary without what may differ from run to run."""
    result, found = findings.result, findings.statistics
    return {
        "strategy": result.strategy,
        "profile": result.profile,
        "parameters": dict(result.parameters),
        "settings": dict(result.settings),
        "quote_asset": result.quote_asset,
        "interval_ms": result.interval_ms,
        "start_ms": found.start_ms,
        "end_ms": found.end_ms,
        "bars": result.bars_played,
        "cycles": result.cycles_run,
        "orders": result.order_count,
        "fills": result.fill_count,
        "opening_equity": money.plain(result.opening_equity),
        "final_equity": money.plain(result.final_equity),
        "return": found.total_return,
        "hold_return": found.hold_return,
        "cagr": found.cagr,
        "volatility": found.volatility,
        "sharpe": found.sharpe,
        "sortino": found.sortino,
        "max_drawdown": found.drawdown.depth,
        "max_drawdown_s": found.drawdown.length_ms // 1000,
        "max_drawdown_recovered": found.drawdown.recovered_at_ms is not None,
        "exposure": found.exposure,
        "time_in_market": found.time_in_market,
        "turnover": found.turnover,
        "traded_value": money.plain(found.traded_value),
        "fees": money.plain(result.fees),
        "realized_pnl": money.plain(found.realized_pnl),
        **_trips(found.trips),
        "symbols": {symbol.symbol: _symbol(symbol) for symbol in found.symbols},
        "balances": {asset: money.plain(amount) for asset, amount in result.balances.items()},
        "notes": list(result.notes),
        "undefined": dict(found.undefined),
        "fingerprint": findings.fingerprint,
        **_of_profile(findings),
    }


def _of_profile(findings: Findings) -> dict[str, object]:
    """What a profile's parts came to; nothing for one without any. The words of other tools stand beside ours."""
    result, found = findings.result, findings.statistics
    if not PROFILES[result.profile].is_overseen:
        return {}
    return {
        **findings.counts,
        "cycles_run": result.cycles_run,
        "started_at": _iso(found.start_ms),
        "ended_at": _iso(found.end_ms),
        "final_fingerprint": findings.fingerprint,
    }


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, tz=UTC).isoformat().replace("+00:00", "Z")


def _trips(trips: TripStatistics) -> dict[str, object]:
    return {
        "round_trips": trips.count,
        "won": trips.won,
        "lost": trips.lost,
        "win_rate": trips.win_rate,
        "profit_factor": trips.profit_factor,
        "best_trip": None if trips.best is None else money.plain(trips.best),
        "worst_trip": None if trips.worst is None else money.plain(trips.worst),
        "average_trip": None if trips.average is None else money.plain(trips.average),
        "average_holding_s": None if trips.held_ms_mean is None else trips.held_ms_mean // 1000,
    }


def _symbol(symbol: SymbolStatistics) -> dict[str, object]:
    return {
        "bars": symbol.bars,
        "orders": symbol.orders,
        "fills": symbol.fills,
        "traded_value": money.plain(symbol.traded_value),
        "fees": money.plain(symbol.fees),
        "realized_pnl": money.plain(symbol.realized_pnl),
        "position": money.plain(symbol.position),
        "position_value": money.plain(symbol.position_value),
        "hold_return": symbol.hold_return,
        **_trips(symbol.trips),
    }


def show(result: BacktestResult, findings: Findings | None = None, *, console: Console | None = None) -> None:
    """Print the run. Into a pipe it is eighty columns of plain text."""
    from rich.console import Console
    from rich.text import Text

    found = findings or examine(result)
    target = console or Console(highlight=False, soft_wrap=False)
    statistics = found.statistics
    first, last = moment(statistics.start_ms), moment(statistics.end_ms)
    symbols = ", ".join(sorted(result.bars)) if len(result.bars) <= _NAMED_MAX else f"{len(result.bars)} symbols"
    target.print(Text(f"{clean(result.strategy)} on {clean(symbols)}", style="bold"))
    if result.parameters:
        target.print(Text(", ".join(f"{clean(name)}={clean(value)}" for name, value in result.parameters.items())))
    played = f"{result.bars_played:,} bars, {result.cycles_run:,} cycles in {result.wall_s:.2f} s"
    target.print(Text(f"{first} to {last} UTC; {played}", style="dim"))
    target.print()
    target.print(_whole(found))
    target.print()
    target.print(_symbols(found))
    happened = ", ".join(f"{COUNT_NAMES[name]} {count:,}" for name, count in found.counts.items() if count)
    if PROFILES[result.profile].is_overseen:
        target.print(Text(f"{result.profile}: {happened or 'nothing happened beside orders'}"))
    for name, reason in _undefined(statistics.undefined):
        target.print(Text(f"{name} {NOTHING}: {reason}", style="dim"))
    for note in result.notes:
        target.print(Text(f"Note: {clean(note)}"))
    target.print(Text(f"fingerprint {found.fingerprint}", style="dim"))


#: Names of counts as the table has them.
COUNT_NAMES: Final = {
    "param_changes": "parameters changed",
    "params_refused": "changes refused",
    "params_rolled_back": "rolled back",
    "params_checkpoints": "checkpoints",
    "replacements": "orders replaced",
    "replacements_abandoned": "replacements given up",
    "degrade_changes": "changes of level",
    "anomalies": "anomalies",
    "freezes": "freezes",
    "universe_choices": "choices of symbols",
    "universe_choices_put_off": "choices put off",
    "kill_switch_trips": "kill switch turned on",
}


#: Names of statistics as the table has them.
NAMES: Final = {
    "cagr": "CAGR",
    "volatility": "Volatility",
    "sharpe": "Sharpe",
    "sortino": "Sortino",
    "win_rate": "Win rate",
    "profit_factor": "Profit factor",
    "best_trip": "Best trip",
    "worst_trip": "Worst trip",
    "average_trip": "Average trip",
    "average_holding_s": "Average holding",
}


def _undefined(reasons: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """One line for each reason, with all that it makes undefined."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        by_reason.setdefault(reason, []).append(NAMES[name])
    return [(", ".join(names), reason) for reason, names in by_reason.items()]


def _whole(found: Findings) -> Table:
    """Money and risk on the left, trading on the right."""
    from rich.table import Table

    result, statistics = found.result, found.statistics
    quote, trips, drawdown = result.quote_asset, statistics.trips, statistics.drawdown
    under = span(drawdown.length_ms) + ("" if drawdown.recovered_at_ms is not None else ", not recovered")
    left = (
        ("Opening equity", amount(result.opening_equity, quote)),
        ("Final equity", amount(result.final_equity, quote)),
        ("Realised profit", amount(statistics.realized_pnl, quote)),
        ("Return", percent(statistics.total_return, signed=True)),
        ("Buy and hold", percent(statistics.hold_return, signed=True)),
        ("CAGR", percent(statistics.cagr, signed=True)),
        ("Volatility", percent(statistics.volatility)),
        ("Sharpe", ratio(statistics.sharpe)),
        ("Sortino", ratio(statistics.sortino)),
        ("Max drawdown", percent(-drawdown.depth)),
        ("  its length", under),
    )
    right = (
        ("Fees", amount(result.fees, quote)),
        ("Orders / fills", f"{result.order_count:,} / {result.fill_count:,}"),
        ("Turnover", f"{ratio(statistics.turnover)} x"),
        ("Exposure, mean", percent(statistics.exposure)),
        ("Time in market", percent(statistics.time_in_market)),
        ("Round trips", f"{trips.count:,}"),
        ("Win rate", percent(trips.win_rate)),
        ("Profit factor", ratio(trips.profit_factor)),
        ("Best trip", amount(trips.best, quote)),
        ("Worst trip", amount(trips.worst, quote)),
        ("Held on average", span(trips.held_ms_mean)),
    )
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True, style="bold")
    table.add_column(width=1)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True, style="bold")
    for (name, value), (other, its) in zip(left, right, strict=True):
        table.add_row(name, value, "", other, its)
    return table


def _symbols(found: Findings) -> Table:
    from rich.table import Table

    quote = found.result.quote_asset
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    table.add_column("Symbol", no_wrap=True)
    for name in ("Fills", f"Realised {quote}", f"Fees {quote}", f"Open {quote}", "Trips", "Won", "Hold"):
        table.add_column(name, justify="right", no_wrap=True)
    for symbol in found.statistics.symbols:
        table.add_row(
            clean(symbol.symbol),
            f"{symbol.fills:,}",
            amount(symbol.realized_pnl, quote, signed=True),
            amount(symbol.fees, quote),
            amount(symbol.position_value, quote),
            f"{symbol.trips.count:,}",
            percent(symbol.trips.win_rate),
            percent(symbol.hold_return, signed=True),
        )
    return table


def clean(text: str) -> str:
    """Without control characters: a terminal obeys those."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
