"""The tables of a run by name, as the page shows and the export writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from msgspec.structs import asdict

if TYPE_CHECKING:
    import polars as pl

    from btcbot.backtest.findings import Findings

TABLES: Final = ("orders", "fills", "decisions", "postings", "cycles", "events", "equity", "round_trips")


def tables(findings: Findings) -> Mapping[str, pl.DataFrame]:
    """Every table of a run by name: those of the result, and the round trips."""
    result = findings.result
    return {
        "orders": result.orders,
        "fills": result.fills,
        "decisions": result.decisions,
        "postings": result.postings,
        "cycles": result.cycles,
        "events": result.events,
        "equity": result.equity,
        "round_trips": _round_trips(findings),
    }


def _round_trips(findings: Findings) -> pl.DataFrame:
    import polars as pl

    money = pl.Decimal(38, 18)
    columns: dict[str, pl.DataType] = {
        "symbol": pl.String(),
        "client_order_id": pl.String(),
        "opened_at_ms": pl.Int64(),
        "closed_at_ms": pl.Int64(),
        "held_ms": pl.Int64(),
        "quantity": money,
        "cost": money,
        "pnl": money,
        "gain": pl.Float64(),
    }
    trips = [asdict(trip) for trip in findings.trips]
    made = {}
    for name, kind in columns.items():
        values = [trip[name] for trip in trips]
        if kind == money:
            made[name] = pl.Series(name, list(map(str, values)), dtype=pl.String).cast(money)
        else:
            made[name] = pl.Series(name, values, dtype=kind)
    return pl.DataFrame(made)


def with_plain_money(table: pl.DataFrame) -> pl.DataFrame:
    """Columns of decimals as plain text."""
    import polars as pl

    from btcbot.backtest.fingerprint import plain_text

    exact = [name for name, kind in table.schema.items() if isinstance(kind, pl.Decimal)]
    return table.with_columns([plain_text(table[name]).alias(name) for name in exact])
