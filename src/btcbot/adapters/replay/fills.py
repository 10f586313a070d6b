"""When a bar fills an order, at which price, and how much of it: pure, in the integers of the columns.

The rules are those of `docs/reference/backtest-fills.md`, chosen against us wherever a bar does not tell:

- An order that could trade on arrival takes the next bar's open, moved against us by half the spread, if its limit
  allows that price; otherwise it rests.
- A resting order fills at its own limit, never better, and only in a bar whose price went through the limit: who came
  first at that price is not known, so a touch is not enough (`fills_at_touch` takes a touch for enough).
- No bar gives our orders of one symbol more than a share of its volume. What is left waits for the next bar.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

#: Bars looked at in one go while a fill is searched for.
_STRIDE: Final = 512
#: (is a buy, a touch is enough) → whether a price is through the limit; the same for one price and for a column.
_BEYOND: Final[Mapping[tuple[bool, bool], Callable[[Any, int], Any]]] = {
    (True, True): operator.le,
    (True, False): operator.lt,
    (False, True): operator.ge,
    (False, False): operator.gt,
}


class FillRules(msgspec.Struct, frozen=True, kw_only=True):
    """What bars do not tell. `half_spread` and `volume_share` are fractions; `maker` and `taker` charge, tax included.

    `volume_share`: the most of a bar's volume that our orders may take. `fills_at_touch`: a resting order fills when a
    bar touches its price, although others may have come first.
    """

    maker: Decimal
    taker: Decimal
    half_spread: Decimal
    volume_share: Decimal
    fills_at_touch: bool = False


def reaches(is_buy: bool, limit: int, low: int, high: int, *, at_touch: bool) -> bool:
    """Whether a bar's prices reach a resting limit; all in ticks."""
    return bool(_BEYOND[is_buy, at_touch](low if is_buy else high, limit))


def first_reach(
    is_buy: bool,
    limit: int,
    lows: npt.NDArray[np.int64],
    highs: npt.NDArray[np.int64],
    first: int,
    *,
    at_touch: bool,
) -> int:
    """Index of the first bar from `first` on that reaches the limit; `len(lows)` when none does."""
    column = lows if is_buy else highs
    count = len(column)
    stride = _STRIDE
    while first < count:
        part = column[first : first + stride]
        hits = _BEYOND[is_buy, at_touch](part, limit)
        at = int(hits.argmax())
        if hits[at]:
            return first + at
        first += stride
        stride *= 2
    return count


def open_price(is_buy: bool, open_: Decimal, half_spread: Decimal) -> Decimal:
    """What taking at the bar's open costs, before it is put on the tick. `half_spread` is a fraction."""
    return open_ + open_ * half_spread if is_buy else open_ - open_ * half_spread
