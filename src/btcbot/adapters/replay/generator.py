"""The starter set: a small market out of a seed, so that everything can be tried before any data is there.

The same seed gives the same files on every machine. For each symbol a mid price walks in steps drawn from the seed,
with a drift that changes every few hours. Around it stand a bid and an ask some ticks away; each trade takes one of
them, at most what is shown there; the bars are made of those trades. So quotes, trades and bars tell one story, as a
recording of a real market would. It is a toy market all the same: nothing that earns money here earns it anywhere.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple

import polars as pl

from btcbot.adapters.replay.aggregate import bars_from_trades
from btcbot.adapters.replay.tables import SHAPES, Recording, Source, Table, whole

#: 2025-01-01 00:00 UTC.
START_MS: Final = 1_735_689_600_000
INTERVAL_MS: Final = 60_000
DAYS: Final = 7
_MINUTES: Final = DAYS * 24 * 60
#: The mid price is kept to a thousandth of a tick, so that slow drifts are not lost between ticks.
_FINE: Final = 1000
_DRIFT_MINUTES: Final = 180


class Market(NamedTuple):
    """One symbol. Prices in ticks of `10**-price_scale`; `step_ppm`: how far the mid moves between two trades."""

    symbol: str
    price_scale: int
    quantity_scale: int
    first_price: int
    half_spread: int
    step_ppm: int


#: Prices and scales as BtcTurk had them at that time.
MARKETS: Final = (
    Market("BTCTRY", 0, 8, 3_310_000, 400, 300),
    Market("ETHTRY", 0, 8, 118_000, 20, 380),
    Market("SOLTRY", 0, 6, 6_800, 2, 500),
    Market("USDTTRY", 2, 4, 3_530, 1, 25),
    Market("XRPTRY", 2, 4, 7_350, 2, 480),
)


def recordings(seed: int) -> Iterator[Recording]:
    """Quotes, trades and bars of every market."""
    source = Source(name=f"generator seed {seed}")
    for market in MARKETS:
        yield from _recordings(market, seed, source)


def _recordings(market: Market, seed: int, source: Source) -> tuple[Recording, Recording, Recording]:
    quotes: list[tuple[int, int, int, int, int]] = []
    trades: list[tuple[int, int, int, bool, str]] = []
    for time_ms, bid, bid_quantity, ask, ask_quantity, quantity, taker_sold in _walk(market, seed):
        quotes.append((time_ms, bid, bid_quantity, ask, ask_quantity))
        trades.append((time_ms, bid if taker_sold else ask, quantity, taker_sold, f"{seed}-{len(trades) + 1}"))
    told = _frame("quotes", ("time_ms", "bid", "bid_quantity", "ask", "ask_quantity"), quotes)
    made = _frame("trades", ("time_ms", "price", "quantity", "is_buyer_maker", "trade_id"), trades)
    recording = partial(
        Recording,
        symbol=market.symbol,
        price_scale=market.price_scale,
        quantity_scale=market.quantity_scale,
        sources=(source,),
    )
    traded = recording(table="trades", frame=made)
    quoted = recording(table="quotes", frame=told)
    return bars_from_trades(traded, INTERVAL_MS), quoted, traded


def _frame(table: Table, names: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> pl.DataFrame:
    shape = SHAPES[table]
    return whole(shape, dict(zip(names, zip(*rows, strict=True), strict=True)), len(rows))


def _walk(market: Market, seed: int) -> Iterator[tuple[int, int, int, int, int, int, bool]]:
    """Time, bid and its quantity, ask and its quantity, what is traded, and whether the taker sells."""
    rng = random.Random(f"{seed}/{market.symbol}")  # noqa: S311 - a market out of a seed, no secret
    first = mid = market.first_price * _FINE
    drift_ppm = 0
    for minute in range(_MINUTES):
        if minute % _DRIFT_MINUTES == 0:
            drift_ppm = rng.randint(-market.step_ppm // 10, market.step_ppm // 10)
        opens_ms = START_MS + minute * INTERVAL_MS
        for second in sorted(rng.sample(range(60), 1 + rng.randrange(4))):
            push_ppm = drift_ppm + rng.randint(-market.step_ppm, market.step_ppm)
            # A faint pull towards the first price keeps a week of any seed within reason.
            push_ppm -= (mid - first) * 2000 // first * market.step_ppm // 100_000
            mid = max(mid + mid * push_ppm // 1_000_000, 100 * _FINE)
            bid = mid // _FINE - market.half_spread
            ask = bid + 2 * market.half_spread + rng.randrange(2)
            bid_quantity, ask_quantity = _quantity(rng, market, bid), _quantity(rng, market, ask)
            taker_sold = rng.randrange(market.step_ppm * 4) > market.step_ppm * 2 + push_ppm
            there = bid_quantity if taker_sold else ask_quantity
            quantity = max(there * (1 + rng.randrange(100)) // 100, 1)
            yield (
                opens_ms + second * 1000 + rng.randrange(1000),
                bid,
                bid_quantity,
                ask,
                ask_quantity,
                quantity,
                taker_sold,
            )


def _quantity(rng: random.Random, market: Market, price: int) -> int:
    """Worth between 500 and some 100,000 TRY, small ones by far the most common."""
    value = 500 + rng.randrange(1000)
    while value < 100_000 and rng.randrange(5) < 3:
        value *= 2
    return int(value * 10 ** (market.price_scale + market.quantity_scale) // price)
