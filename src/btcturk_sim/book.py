"""The order book clients meet: synthetic levels around the price, and their own resting orders.

The synthetic side is rebuilt at every step of the market but computed only as far as somebody looks: most
orders touch one level, most steps none. Its sizes come from a fixed table of noise, indexed by the step, so the
same seed gives the same book however often or seldom it is read.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Final

import msgspec

from btcturk_sim.instruments import Instrument
from btcturk_sim.money import ZERO, divide_down, step_of
from btcturk_sim.orders import Order, Side

LEVELS_MAX: Final = 100
_NOISE_SIZE: Final = 1009  # prime, so that index strides below visit every entry
_VOLUME_SHARE_PERCENT: Final = 2  # a level shows at least this share of the last bar's volume


@dataclass(frozen=True, slots=True)
class BookOptions:
    spread_bps: Decimal = Decimal(10)
    depth_try: Decimal = Decimal(20_000)
    levels: int = LEVELS_MAX


class Level(msgspec.Struct):
    price: Decimal
    quantity: Decimal


def noise_table(seed: int) -> tuple[int, ...]:
    """Level sizes in percent of the smallest: 100–300."""
    random = Random(f"book-{seed}")  # noqa: S311 (a market is not a secret)
    return tuple(100 + byte * 200 // 255 for byte in random.randbytes(_NOISE_SIZE))


class SyntheticBook:
    """What the rest of the world offers during one step of the market."""

    __slots__ = (
        "_ask_ticks",
        "_base_lots",
        "_bid_ticks",
        "_gap_ticks",
        "_levels",
        "_limit",
        "_lot",
        "_noise",
        "_offset",
        "_tick",
        "_ticks",
        "_top",
    )  # fmt: skip

    def __init__(
        self,
        instrument: Instrument,
        mid: Decimal,
        bar_volume: Decimal,
        depth_quote: Decimal,
        options: BookOptions,
        noise: tuple[int, ...],
        offset: int,
    ) -> None:
        places = instrument.price_scale if instrument.has_fraction else 0
        mid_ticks = int(mid.scaleb(places))
        spread_ticks = max(1, -(-mid_ticks * int(options.spread_bps * 100) // 1_000_000))
        self._tick, self._lot = step_of(places), step_of(instrument.quantity_scale)
        self._bid_ticks = max(1, mid_ticks - spread_ticks // 2)
        self._ask_ticks = self._bid_ticks + spread_ticks
        self._gap_ticks = max(1, mid_ticks // 10_000)
        lots_deep = int(divide_down(depth_quote, mid, instrument.quantity_scale).scaleb(instrument.quantity_scale)) + 1
        lots_traded = int(bar_volume.scaleb(instrument.quantity_scale)) * _VOLUME_SHARE_PERCENT // 100
        self._base_lots = max(lots_deep, lots_traded)
        self._noise = noise
        self._offset = offset
        self._limit = options.levels
        self._levels: dict[Side, list[Level]] = {Side.BUY: [], Side.SELL: []}
        self._ticks = {Side.BUY: self._bid_ticks, Side.SELL: self._ask_ticks}
        self._top = {Side.BUY: 0, Side.SELL: 0}

    @property
    def best_bid(self) -> Decimal:
        return self._bid_ticks * self._tick

    @property
    def best_ask(self) -> Decimal:
        return self._ask_ticks * self._tick

    def best(self, side: Side) -> Level | None:
        """The first level of bids (BUY) or asks (SELL) with anything left."""
        while True:
            index = self._top[side]
            level = self._level(side, index)
            if level is None or level.quantity > 0:
                return level
            self._top[side] = index + 1

    def first(self, side: Side, limit: int) -> list[tuple[Decimal, Decimal]]:
        """Price and quantity of the first levels with anything left, at most `limit` of them."""
        made = self._levels[side]
        self._level(side, limit - 1)
        shown = [(level.price, level.quantity) for level in made[:limit] if level.quantity > 0]
        index = limit
        while len(shown) < limit and (level := self._level(side, index)) is not None:
            index += 1  # some of the first have been taken: those behind them move up
            if level.quantity > 0:
                shown.append((level.price, level.quantity))
        return shown

    def levels(self, side: Side) -> Iterator[Level]:
        made = self._levels[side]
        yield from (level for level in made if level.quantity > 0)
        while (level := self._level(side, len(made))) is not None:
            if level.quantity > 0:
                yield level

    def _level(self, side: Side, index: int) -> Level | None:
        made = self._levels[side]
        if len(made) <= index:
            self._make(side, made, index + 1)
        return made[index] if index < len(made) else None

    def _make(self, side: Side, made: list[Level], count: int) -> None:
        """Compute levels until there are `count` of them, or no more."""
        tick, lot, base_lots, noises = self._tick, self._lot, self._base_lots, self._noise
        ticks, gap_ticks = self._ticks[side], self._gap_ticks if side is Side.SELL else -self._gap_ticks
        offset = self._offset + (503 if side is Side.SELL else 0)
        for number in range(len(made), min(count, self._limit)):
            if ticks < 1:
                break
            noise = noises[(offset + 17 * number) % _NOISE_SIZE]
            made.append(Level(ticks * tick, base_lots * noise // 100 * lot))
            ticks += gap_ticks * (1 + noise % 3)
        self._ticks[side] = ticks


class ClientBook:
    """Resting orders of all accounts for one pair, best price first, then oldest first."""

    __slots__ = ("_sides",)

    def __init__(self) -> None:
        self._sides: dict[Side, list[tuple[Decimal, int, Order]]] = {Side.BUY: [], Side.SELL: []}

    def __len__(self) -> int:
        return len(self._sides[Side.BUY]) + len(self._sides[Side.SELL])

    @staticmethod
    def _rank(order: Order) -> tuple[Decimal, int, Order]:
        # Ids rise with time, so they are the time priority, and no two entries compare equal.
        return (order.price if order.side is Side.SELL else -order.price, order.id, order)

    def add(self, order: Order) -> None:
        insort(self._sides[order.side], self._rank(order))

    def remove(self, order: Order) -> None:
        self._sides[order.side].remove(self._rank(order))

    def best(self, side: Side) -> Order | None:
        queue = self._sides[side]
        return queue[0][2] if queue else None

    def orders(self, side: Side) -> Iterator[Order]:
        return (entry[2] for entry in self._sides[side])


def merged_levels(
    synthetic: SyntheticBook, clients: ClientBook, side: Side, limit: int
) -> list[tuple[Decimal, Decimal]]:
    """Price levels as the public sees them: synthetic and client quantity together, best first."""
    shown: dict[Decimal, Decimal] = {}
    for order in clients.orders(side):
        shown[order.price] = shown.get(order.price, ZERO) + order.left
    if not shown:
        return synthetic.first(side, limit)
    for level in synthetic.levels(side):
        shown[level.price] = shown.get(level.price, ZERO) + level.quantity
    return sorted(shown.items(), reverse=side is Side.BUY)[:limit]


def smallest_quantity(instrument: Instrument) -> Decimal:
    return step_of(instrument.quantity_scale)
