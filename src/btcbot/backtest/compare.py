"""Strategies side by side: runs over the same data, ranked in one table.

The ranking is that of `decisions.comparison`. A run is handed to it by its curve of equity, which has a point at each
step of the clock whether or not the cycle ran there, so that leaving cycles out changes no rank; the last point is what
the books say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from btcbot.backtest.findings import NOTHING, Findings, amount, percent, ratio
from btcbot.decisions.comparison import Compared, FinishedRun, Snapshot, compare, table_of
from btcbot.decisions.run_metrics import NOTHING_WISHED
from btcbot.domain import money
from btcbot.domain.cycles import CycleOutcome
from btcbot.domain.fills import Fill
from btcbot.domain.intents import Side
from btcbot.domain.reasons import code_of

if TYPE_CHECKING:
    from rich.console import Console

    from btcbot.backtest.result import BacktestResult

#: The curve of equity is in floats, good for so many places.
_CURVE_PLACES: Final = 8


def ranked(runs: Mapping[str, Findings]) -> Sequence[Compared]:
    """The best first; see `decisions.comparison`. `runs` by the name of each."""
    return compare(finished_run(name, findings.result) for name, findings in runs.items())


def finished_run(name: str, result: BacktestResult) -> FinishedRun:
    """A backtest as plain values."""
    opening = result.opening_equity
    worths = [Decimal(f"{worth:.{_CURVE_PLACES}f}") for worth in result.equity["equity"].to_list()]
    worths[-1] = result.final_equity
    return FinishedRun(
        name=name,
        opening_equity=opening,
        snapshots=[
            Snapshot(at_ms, worth, worth - opening)
            for at_ms, worth in zip(result.equity["at_ms"].to_list(), worths, strict=True)
        ],
        fills=_fills(result),
        no_trades=_no_trades(result),
    )


def _fills(result: BacktestResult) -> Sequence[Fill]:
    """The table tells fee and tax as one sum."""
    columns = ("trade_id", "client_order_id", "symbol", "side", "price", "quantity", "fee", "at_ms")
    return [
        Fill(
            trade_id=trade_id,
            client_order_id=client_order_id,
            symbol=symbol,
            side=Side(side),
            price=price,
            quantity=quantity,
            fee=fee,
            tax=money.ZERO,
            at_ms=at_ms,
        )
        for trade_id, client_order_id, symbol, side, price, quantity, fee, at_ms in result.fills.select(
            columns
        ).iter_rows()
    ]


def _no_trades(result: BacktestResult) -> Mapping[str, int]:
    """Of the cycles that ran and neither sent an order nor booked a fill: how many for which reason. Of several
    refusals in one cycle the most frequent code counts."""
    import polars as pl

    refused = (
        result.decisions.filter(~pl.col("allowed"))
        .group_by("cycle_id", pl.col("code").cast(pl.String))
        .len()
        .sort("cycle_id", "len", "code", descending=[False, True, False])
        .unique("cycle_id", keep="first", maintain_order=True)
    )
    reasons = pl.col("reasons")
    only_observed = pl.col("outcome").cast(pl.String) != CycleOutcome.COMPLETED.value
    idle = result.cycles.filter((pl.col("submitted") == 0) & (pl.col("fills") == 0))
    # All reasons of a cycle in one text: its code is that of the first one.
    codes = {told: code_of(told) or None for told in idle.filter(only_observed)["reasons"].unique()}
    why = pl.coalesce(
        pl.when(only_observed).then(reasons.replace_strict(codes, default=None, return_dtype=pl.String)),
        reasons.str.extract(r"(?:^|; )(gate_closed:\w+)"),
        "code",
        pl.lit(NOTHING_WISHED),
    )
    counted = idle.join(refused, on="cycle_id", how="left").select(why=why).group_by("why").len().sort("why")
    return dict(counted.iter_rows())


def comparison(runs: Mapping[str, Findings], rows: Sequence[Compared]) -> dict[str, object]:
    """For `--json`: what was played, and a row for each strategy, the best first; money and shares as text."""
    first = next(iter(runs.values()))
    told = []
    for row in table_of(rows):
        findings = runs[str(row["name"])]
        result = findings.result
        own = {"parameters": dict(result.parameters), "cycles": result.cycles_run, "orders": result.order_count}
        told.append({**row, **own, "fingerprint": findings.fingerprint})
    return {
        "profile": first.result.profile,
        "quote_asset": first.result.quote_asset,
        "interval_ms": first.result.interval_ms,
        "start_ms": first.statistics.start_ms,
        "end_ms": first.statistics.end_ms,
        "bars": first.result.bars_played,
        "symbols": sorted(first.result.bars),
        "settings": dict(first.result.settings),
        "hold_return": first.statistics.hold_return,
        "strategies": told,
    }


def show_comparison(runs: Mapping[str, Findings], rows: Sequence[Compared], *, console: Console | None = None) -> None:
    """Print the table. Into a pipe it is eighty columns of plain text."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from btcbot.backtest.findings import moment
    from btcbot.backtest.table import clean

    target = console or Console(highlight=False, soft_wrap=False)
    first = next(iter(runs.values()))
    result, statistics = first.result, first.statistics
    target.print(Text(f"{len(rows)} strategies, {result.profile}, {len(result.bars)} symbols", style="bold"))
    span = f"{moment(statistics.start_ms)} to {moment(statistics.end_ms)} UTC"
    held = percent(statistics.hold_return, signed=True)
    target.print(Text(f"{span}; {result.bars_played:,} bars; buy and hold {held}", style="dim"))
    target.print()
    quote = result.quote_asset
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("Strategy", no_wrap=True)
    for name in ("Return", "Drawdown", "Turnover", f"Fees {quote}", "Fills", f"Final {quote}"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            str(row.rank),
            clean(row.name),
            percent(None if row.total_return is None else float(row.total_return), signed=True),
            percent(-float(row.max_drawdown)),
            NOTHING if row.turnover is None else f"{ratio(float(row.turnover))} x",
            amount(row.fees, quote),
            f"{row.fills:,}",
            amount(row.final_equity, quote),
        )
    target.print(table)
    target.print()
    for row in rows:
        if row.no_trades:
            why = ", ".join(f"{reason} {count:,}" for reason, count in row.no_trades)
            target.print(Text(f"{clean(row.name)}, cycles without a trade: {why}", style="dim"))
