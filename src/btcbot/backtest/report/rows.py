"""The tables of the page: the first rows of each, packed by column, for the page's script to list and search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from btcbot.backtest.events import told
from btcbot.backtest.frames import tables as exported
from btcbot.backtest.frames import with_plain_money

if TYPE_CHECKING:
    import polars as pl

    from btcbot.backtest.findings import Findings

#: Rows of each table on the page. All of them are in the exported tables.
ROWS_MAX: Final = 5_000
#: How a column is shown: `time` in UTC, `span` of ms as a duration, `money` and `number` to the right, `word` as it is.
TIME, SPAN, MONEY, WORD, GAIN, FLAG = "time", "span", "money", "word", "gain", "flag"


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column. `words` holds each text once, then `values` are places in it; without, `values` are the values."""

    title: str
    kind: str
    values: Sequence[object]
    words: Sequence[str] = ()


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """The first `shown` of `total` rows."""

    name: str
    title: str
    total: int
    shown: int
    columns: Sequence[Column]


_LAYOUT: Final = {
    "decisions": (
        "Decisions",
        {
            "at_ms": ("Time (UTC)", TIME),
            "symbol": ("Symbol", WORD),
            "side": ("Side", WORD),
            "price": ("Price", MONEY),
            "quantity": ("Quantity", MONEY),
            "allowed": ("Verdict", FLAG),
            "status": ("Order", WORD),
            "why": ("Reason", WORD),
        },
    ),
    "orders": (
        "Orders",
        {
            "created_at_ms": ("Time (UTC)", TIME),
            "symbol": ("Symbol", WORD),
            "side": ("Side", WORD),
            "price": ("Price", MONEY),
            "quantity": ("Quantity", MONEY),
            "filled_quantity": ("Filled", MONEY),
            "status": ("Status", WORD),
            "updated_at_ms": ("Last change (UTC)", TIME),
            "reason": ("Reason", WORD),
        },
    ),
    "fills": (
        "Fills",
        {
            "at_ms": ("Time (UTC)", TIME),
            "symbol": ("Symbol", WORD),
            "side": ("Side", WORD),
            "price": ("Price", MONEY),
            "quantity": ("Quantity", MONEY),
            "fee": ("Fee", MONEY),
            "realized_pnl": ("Realised", MONEY),
        },
    ),
    "round_trips": (
        "Round trips",
        {
            "closed_at_ms": ("Closed (UTC)", TIME),
            "symbol": ("Symbol", WORD),
            "held_ms": ("Held", SPAN),
            "quantity": ("Quantity", MONEY),
            "cost": ("Cost", MONEY),
            "pnl": ("Profit", MONEY),
            "gain": ("Gain", GAIN),
        },
    ),
}


#: Shown where there are any.
_EVENTS: Final = (
    "Events",
    {"at_ms": ("Time (UTC)", TIME), "kind": ("What", WORD), "cycle_id": ("Cycle", WORD), "told": ("Told", WORD)},
)


def tables(findings: Findings) -> list[Table]:
    """Decisions, orders, fills, round trips, and what a profile's parts did."""
    all_of = exported(findings)
    packed = []
    layouts = {**_LAYOUT, **({"events": _EVENTS} if findings.result.events.height else {})}
    for name, (title, layout) in layouts.items():
        whole = all_of[name]
        first = whole.head(ROWS_MAX)
        if name == "events":
            first = _with_words(first)
        if name == "decisions":
            first = _with_reasons(first, all_of["orders"])
        shown = with_plain_money(first)
        columns = [_column(shown[key], head, kind) for key, (head, kind) in layout.items()]
        packed.append(Table(name=name, title=title, total=whole.height, shown=first.height, columns=columns))
    return packed


def _with_words(events: pl.DataFrame) -> pl.DataFrame:
    """Each event with what it says in words."""
    import polars as pl

    rows = zip(events["kind"].cast(pl.String).to_list(), events["body"].to_list(), strict=True)
    return events.with_columns(told=pl.Series([told(kind, body) for kind, body in rows], dtype=pl.String))


def _with_reasons(decisions: pl.DataFrame, orders: pl.DataFrame) -> pl.DataFrame:
    """Each decision with what became of its order and why.

    A wish that was let through has the order of its cycle, symbol and side; of several, the first has the first. The
    reason is the verdict's where it says more than a word, and else what stands with the order.
    """
    import polars as pl

    key = ["cycle_id", "symbol", "side"]
    texts = [pl.col(name).cast(pl.String) for name in key]
    nth = pl.int_range(pl.len(), dtype=pl.UInt32).over([*key, "allowed"]).alias("nth")
    wished = decisions.with_columns(
        *texts, pl.col("code", "detail").cast(pl.String), pl.col("allowed").cast(pl.Boolean)
    ).with_columns(nth)
    placed = (
        orders.with_columns(*texts)
        .join(wished.select("cycle_id").unique(), on="cycle_id", how="semi", maintain_order="left")
        .with_columns(
            nth=pl.int_range(pl.len(), dtype=pl.UInt32).over(key),
            allowed=pl.lit(value=True),
            status=pl.col("status").cast(pl.String),
            reason=pl.col("reason").cast(pl.String),
        )
        .select(*key, "nth", "allowed", "status", "reason")
    )
    joined = wished.join(placed, on=[*key, "nth", "allowed"], how="left", maintain_order="left")
    detail, reason = pl.col("detail").fill_null(""), pl.col("reason").fill_null("")
    said = (
        pl.when(~pl.col("allowed"))
        .then(pl.when(detail == "").then(pl.col("code")).otherwise(pl.col("code") + ": " + detail))
        .when((reason == "") | (reason == detail))
        .then(detail)
        .when(detail == "")
        .then(reason)
        .otherwise(reason + "; " + detail)
    )
    return joined.with_columns(status=pl.col("status").fill_null(""), why=said)


def _column(values: pl.Series, title: str, kind: str) -> Column:
    """Texts are told once each; times and spans as whole ms."""
    import polars as pl

    if kind in (MONEY, WORD):
        texts = values.cast(pl.String).fill_null("").to_list()
        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        if len(places) * 2 > len(texts):
            return Column(title=title, kind=kind, values=texts)
        return Column(title=title, kind=kind, words=list(places), values=[places[text] for text in texts])
    if kind == FLAG:
        return Column(title=title, kind=WORD, words=["refused", "allowed"], values=values.cast(pl.Int64).to_list())
    return Column(title=title, kind=kind, values=values.to_list())
