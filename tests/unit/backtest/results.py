"""Results of backtests for examples: small ones told by hand, and a large one drawn from a seed.

Each is what an engine would leave behind: every fill has its order, every entry sums to zero, equity follows from both.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import polars as pl
from msgspec.structs import replace

from btcbot.adapters.replay.columns import BarColumns
from btcbot.backtest.result import BacktestResult
from btcbot.domain import money
from btcbot.domain.adaptation import ChangeOutcome, change_of
from btcbot.domain.intents import Side
from btcbot.domain.replacements import ReplacementEnd, ReplacementOutcome

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
#: 2026-01-01 00:00 UTC.
NEW_YEAR_MS = 1_767_225_600_000
MONEY = pl.Decimal(38, 18)

ORDERS: dict[str, Any] = {
    "client_order_id": pl.String,
    "cycle_id": pl.String,
    "created_at_ms": pl.Int64,
    "updated_at_ms": pl.Int64,
    "symbol": pl.String,
    "side": pl.String,
    "price": MONEY,
    "quantity": MONEY,
    "filled_quantity": MONEY,
    "status": pl.String,
    "reason": pl.String,
}
FILLS: dict[str, Any] = {
    "trade_id": pl.String,
    "client_order_id": pl.String,
    "at_ms": pl.Int64,
    "symbol": pl.String,
    "side": pl.String,
    "price": MONEY,
    "quantity": MONEY,
    "fee": MONEY,
    "realized_pnl": MONEY,
}
DECISIONS: dict[str, Any] = {
    "cycle_id": pl.String,
    "at_ms": pl.Int64,
    "symbol": pl.String,
    "side": pl.String,
    "price": MONEY,
    "quantity": MONEY,
    "allowed": pl.Boolean,
    "code": pl.String,
    "detail": pl.String,
}
POSTINGS: dict[str, Any] = {
    "entry_id": pl.String,
    "kind": pl.String,
    "at_ms": pl.Int64,
    "account": pl.String,
    "asset": pl.String,
    "amount": MONEY,
}
EVENTS: dict[str, Any] = {"at_ms": pl.Int64, "kind": pl.String, "cycle_id": pl.String, "body": pl.String}
CYCLES: dict[str, Any] = {
    "number": pl.Int64,
    "cycle_id": pl.String,
    "at_ms": pl.Int64,
    "outcome": pl.String,
    "reasons": pl.String,
    "intents": pl.Int32,
    "allowed": pl.Int32,
    "submitted": pl.Int32,
    "cancels": pl.Int32,
    "fills": pl.Int32,
    "equity": MONEY,
}


def frame(rows: Sequence[Mapping[str, Any]], schema: dict[str, Any]) -> pl.DataFrame:
    """Rows as columns of the types that an engine gives; money from Decimals or from text."""
    columns = {}
    for name, kind in schema.items():
        values = [row[name] for row in rows]
        if kind == MONEY:
            texts = [None if value is None else str(value) for value in values]
            columns[name] = pl.Series(name, texts, dtype=pl.String).cast(MONEY)
        else:
            columns[name] = pl.Series(name, values, dtype=kind)
    return pl.DataFrame(columns)


def bars_of(
    symbol: str, closes: Sequence[int], *, interval_ms: int = HOUR_MS, start_ms: int = NEW_YEAR_MS, price_scale: int = 2
) -> BarColumns:
    """Bars that open at the close before; prices in units of the last decimal."""
    close = np.array(closes, dtype=np.int64)
    opened = np.concatenate((close[:1], close[:-1]))
    return BarColumns(
        symbol=symbol,
        interval_ms=interval_ms,
        price_scale=price_scale,
        volume_scale=0,
        open_time_ms=start_ms + interval_ms * np.arange(len(close), dtype=np.int64),
        open=opened,
        high=np.maximum(opened, close),
        low=np.minimum(opened, close),
        close=close,
        volume=np.full(len(close), 1_000, dtype=np.int64),
    )


def a_fill(
    number: int, at_ms: int, side: str, price: str, quantity: str, *, fee: str = "0", pnl: str = "0", **changes: Any
) -> dict[str, Any]:
    """A whole order in one fill, of ADATRY unless told otherwise; order `number` stands behind it."""
    return {
        "trade_id": f"t{number}",
        "client_order_id": f"BB-test-{number:04}",
        "at_ms": at_ms,
        "symbol": "ADATRY",
        "side": side,
        "price": price,
        "quantity": quantity,
        "fee": fee,
        "realized_pnl": pnl,
    } | changes


def an_order(fill: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """The filled order behind a fill."""
    return {
        "client_order_id": fill["client_order_id"],
        "cycle_id": f"c{fill['at_ms']}",
        "created_at_ms": fill["at_ms"] - MINUTE_MS,
        "updated_at_ms": fill["at_ms"],
        "symbol": fill["symbol"],
        "side": fill["side"],
        "price": fill["price"],
        "quantity": fill["quantity"],
        "filled_quantity": fill["quantity"],
        "status": "FILLED",
        "reason": "an example",
    } | changes


def a_decision(order: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """The verdict that let an order pass."""
    return {
        "cycle_id": order["cycle_id"],
        "at_ms": order["created_at_ms"],
        "symbol": order["symbol"],
        "side": order["side"],
        "price": order["price"],
        "quantity": order["quantity"],
        "allowed": True,
        "code": "allowed",
        "detail": order["reason"],
    } | changes


def postings_of(number: int, fill: Mapping[str, Any], quote: str = "TRY") -> list[dict[str, Any]]:
    """What the books say of a fill: base against base, money against money and fees."""
    base = str(fill["symbol"]).removesuffix(quote)
    sign = 1 if fill["side"] == "buy" else -1
    quantity = sign * Decimal(str(fill["quantity"]))
    value = quantity * Decimal(str(fill["price"]))
    fee = Decimal(str(fill["fee"]))
    amounts = [
        ("venue", base, quantity),
        ("trading", base, -quantity),
        ("venue", quote, -value - fee),
        ("trading", quote, value),
        ("fees", quote, fee),
    ]
    return [
        {
            "entry_id": f"e{number}",
            "kind": "fill",
            "at_ms": fill["at_ms"],
            "account": account,
            "asset": asset,
            "amount": amount,
        }
        for account, asset, amount in amounts
    ]


def a_result(
    equity: Sequence[float] = (10_000.0, 10_100.0),
    fills: Sequence[Mapping[str, Any]] = (),
    *,
    decisions: Sequence[Mapping[str, Any]] | None = None,
    exposure: Sequence[float] | None = None,
    interval_ms: int = HOUR_MS,
    closes: Sequence[int] | None = None,
    **changes: Any,
) -> BacktestResult:
    """A run with this curve of equity, step by step, and these fills. It opens with 10,000 TRY."""
    orders = [an_order(fill) for fill in fills]
    steps = len(equity)
    at_ms = [NEW_YEAR_MS + interval_ms * (step + 1) for step in range(steps)]
    bars = bars_of("ADATRY", closes or [1_000] * steps, interval_ms=interval_ms)
    decided = [a_decision(order) for order in orders] if decisions is None else decisions
    made = BacktestResult(
        strategy="example",
        parameters={"fast": "20"},
        settings={"opening": "10000"},
        quote_asset="TRY",
        interval_ms=interval_ms,
        opening_equity=Decimal(10_000),
        final_equity=Decimal(str(equity[-1])),
        bars={"ADATRY": bars},
        bars_played=steps,
        cycles_run=steps,
        order_count=len(orders),
        fill_count=len(fills),
        fees=money.total(Decimal(str(fill["fee"])) for fill in fills),
        wall_s=2.0,
        cpu_s=1.5,
        orders=frame(orders, ORDERS),
        fills=frame(fills, FILLS),
        decisions=frame(decided, DECISIONS),
        postings=frame([row for number, fill in enumerate(fills) for row in postings_of(number, fill)], POSTINGS),
        cycles=frame([], CYCLES),
        events=frame([], EVENTS),
        equity=pl.DataFrame(
            {"at_ms": at_ms, "equity": list(map(float, equity)), "exposure": list(exposure or [0.0] * steps)},
            schema={"at_ms": pl.Int64, "equity": pl.Float64, "exposure": pl.Float64},
        ),
    )
    return replace(made, **changes)


def a_market(symbol: str, bars: int, *, seed: int, price: int, interval_ms: int = MINUTE_MS) -> BarColumns:
    """A random walk with quiet and wild days, from `price` hundredths on. Every 5,000th bar is missing."""
    draw = np.random.default_rng(seed)
    wild = np.repeat(draw.lognormal(0.0, 0.5, bars // 1_440 + 1), 1_440)[:bars]
    close = np.maximum(10, np.rint(price * np.exp(np.cumsum(draw.normal(0.0, 0.0006, bars) * wild)))).astype(np.int64)
    opened = np.concatenate((close[:1], close[:-1]))
    reach = np.abs(draw.normal(0.0, 0.0004, (2, bars))) * wild
    there = np.arange(1, bars + 1) % 5_000 != 0
    return BarColumns(
        symbol=symbol,
        interval_ms=interval_ms,
        price_scale=2,
        volume_scale=2,
        open_time_ms=(NEW_YEAR_MS + interval_ms * np.arange(bars, dtype=np.int64))[there],
        open=opened[there],
        high=np.rint(np.maximum(opened, close) * (1 + reach[0])).astype(np.int64)[there],
        low=np.rint(np.minimum(opened, close) * (1 - reach[1])).astype(np.int64)[there],
        close=close[there],
        volume=draw.integers(100, 100_000, bars)[there],
    )


def _a_change(before: str, after: str, outcome: str, reason: str) -> str:
    change = change_of("c7", "universe_size", before, after, 1, 2, ChangeOutcome(outcome), reason)
    return msgspec.json.encode(change).decode()


def _a_replacement(outcome: str, reason: str) -> str:
    end = ReplacementEnd(
        old_client_order_id="one",
        new_client_order_id=None,
        symbol="BTCTRY",
        side=Side.BUY,
        price="1850000",
        quantity="0.001",
        outcome=ReplacementOutcome(outcome),
        reason=reason,
        begun_at_ms=1,
        ended_at_ms=2,
    )
    return msgspec.json.encode(end).decode()


def some_events() -> pl.DataFrame:
    """A change of parameters and its end, a replaced order and one that was given up, a level, a choice, a trip."""
    told = [
        ("universe", '{"symbols":["BTCTRY"],"frozen":"STALE_DATA"}'),
        ("universe", '{"symbols":["BTCTRY"],"frozen":null}'),
        ("parameters", _a_change("5", "6", "APPLIED", "3 healthy cycles in a row")),
        ("parameters", _a_change("6", "7", "APPLIED", "3 healthy cycles in a row")),
        ("parameters_proved_good", '{"version":2}'),
        ("parameters", _a_change("7", "8", "REJECTED", "8 is outside")),
        ("parameters", _a_change("7", "5", "ROLLED_BACK", "losses: 63 TRY")),
        ("replacement", _a_replacement("DONE", "replacement:done")),
        ("replacement", _a_replacement("ABANDONED", "replacement:too_late")),
        ("anomaly", '{"code":"LATENCY_SPIKE","severity":"WARN","detail":"a cycle took 9000 ms"}'),
        ("degrade", '{"what":"raised","before":0,"after":1,"mode":"NORMAL","why":"LATENCY_SPIKE"}'),
        ("kill_chain_tripped", '{"reason":"kill chain: 3 failed cycles in a row <b>"}'),
    ]
    rows = [
        {"at_ms": NEW_YEAR_MS + at * MINUTE_MS, "kind": kind, "cycle_id": f"c{at}", "body": body}
        for at, (kind, body) in enumerate(told)
    ]
    return frame(rows, EVENTS)


def a_large_result(
    bars: int = 50_000,
    *,
    symbols: Sequence[str] = ("BTCTRY", "ETHTRY", "ADATRY"),
    seed: int = 7,
    every: int = 97,
    **changes: Any,
) -> BacktestResult:
    """A run over random walks: now and then it buys, later sells; one wish in five is refused, one order goes stale."""
    chance = random.Random(seed)
    markets = {
        symbol: a_market(symbol, bars, seed=seed + at, price=[4_120_000_00, 152_000_00, 41_50][at % 3])
        for at, symbol in enumerate(symbols)
    }
    opening = Decimal(100_000)
    orders: list[dict[str, Any]] = []
    fills: list[dict[str, Any]] = []
    decisions: list[dict[str, Any]] = []
    postings: list[dict[str, Any]] = []
    cash = opening
    held: dict[str, tuple[Decimal, Decimal]] = {}
    fees = Decimal(0)
    for step in range(every, bars - 2, every):
        symbol = symbols[step // every % len(symbols)]
        columns = markets[symbol]
        at = min(step, len(columns) - 2)
        at_ms = int(columns.open_time_ms[at]) + MINUTE_MS
        close = columns.bar(at).close
        side = "sell" if symbol in held else "buy"
        quantity = held[symbol][0] if side == "sell" else money.divide_down(cash / 10, close, 6)
        reason = "average crossed down: leave" if side == "sell" else "average crossed up: enter with a tenth"
        number = len(decisions)
        told = a_fill(number, at_ms, side, str(close), str(quantity), symbol=symbol)
        order = an_order(told, created_at_ms=at_ms, reason=reason, cycle_id=f"c{step}")
        if chance.random() < 0.2:
            said = {"allowed": False, "code": "risk_block:price_collar", "detail": f"{close} is 231 bps from the mid"}
            decisions.append(a_decision(order, **said))
            continue
        decisions.append(a_decision(order))
        if chance.random() < 0.1:
            stale = {
                "status": "CANCELED",
                "filled_quantity": "0",
                "reason": "order:stale",
                "updated_at_ms": at_ms + 120_000,
            }
            orders.append(order | stale)
            continue
        price = columns.bar(at + 1).open
        fee = money.round_half_up(price * quantity * Decimal("0.0024"), 8)
        profit = Decimal(0)
        if side == "buy":
            cash -= price * quantity + fee
            held[symbol] = (quantity, price * quantity + fee)
        else:
            cash += price * quantity - fee
            profit = price * quantity - fee - held.pop(symbol)[1]
        fees += fee
        fill = told | {"at_ms": at_ms + MINUTE_MS, "price": str(price), "fee": str(fee), "realized_pnl": str(profit)}
        fills.append(fill)
        orders.append(order | {"updated_at_ms": at_ms + MINUTE_MS})
        postings += postings_of(len(fills), fill)
    grid = np.unique(np.concatenate([columns.open_time_ms for columns in markets.values()])) + MINUTE_MS
    curve, exposure = _curve(grid, markets, fills, float(opening))
    worth = [quantity * markets[symbol].bar(-1).close for symbol, (quantity, _) in held.items()]
    made = BacktestResult(
        strategy="ema_cross",
        parameters={"fast": "20", "slow": "100", "share": "0.1"},
        settings={"opening": "100000", "half_spread_bps": "5", "volume_share": "0.1", "fills_at_touch": "False"},
        quote_asset="TRY",
        interval_ms=MINUTE_MS,
        opening_equity=opening,
        final_equity=cash + money.total(worth),
        bars=markets,
        bars_played=sum(len(columns) for columns in markets.values()),
        cycles_run=len(decisions),
        order_count=len(orders),
        fill_count=len(fills),
        fees=fees,
        wall_s=1.25,
        cpu_s=1.2,
        orders=frame(orders, ORDERS),
        fills=frame(fills, FILLS),
        decisions=frame(decisions, DECISIONS),
        postings=frame(postings, POSTINGS),
        cycles=frame([], CYCLES),
        events=frame([], EVENTS),
        equity=pl.DataFrame({"at_ms": grid, "equity": curve, "exposure": exposure}),
        notes=("bars are missing in each market; they were left out, not filled",),
    )
    return replace(made, **changes)


def _curve(
    grid: np.ndarray[Any, Any], markets: Mapping[str, BarColumns], fills: Sequence[Mapping[str, Any]], opening: float
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    cash = np.full(len(grid), opening)
    held = {symbol: np.zeros(len(grid)) for symbol in markets}
    for fill in fills:
        sign = 1 if fill["side"] == "buy" else -1
        first = int(grid.searchsorted(fill["at_ms"]))
        quantity = sign * float(fill["quantity"])
        cash[first:] -= quantity * float(fill["price"]) + float(fill["fee"])
        held[fill["symbol"]][first:] += quantity
    exposure = np.zeros(len(grid))
    for symbol, columns in markets.items():
        last = columns.open_time_ms.searchsorted(grid - MINUTE_MS, side="right") - 1
        exposure += np.where(held[symbol] > 1e-9, held[symbol], 0.0) * columns.close[last.clip(0)] / 100.0
    return cash + exposure, exposure
