"""A run and everything that is told of it: measured once, then shown in the terminal, on the page and in files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import msgspec

from btcbot.backtest.events import counts_of
from btcbot.backtest.fingerprint import fingerprint
from btcbot.backtest.result import BacktestResult
from btcbot.backtest.roundtrips import RoundTrip
from btcbot.backtest.statistics import Statistics, measure
from btcbot.domain import money

#: Currencies whose amounts are shown with two decimals; of others (BTC) eight tell something.
_CURRENCIES: Final = {"TRY", "USDT", "USD", "EUR", "GBP", "USDC"}
NOTHING: Final = "–"


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What was found about one run. `counts`: see `events.counts_of`."""

    result: BacktestResult
    statistics: Statistics
    trips: Sequence[RoundTrip]
    counts: Mapping[str, int]
    fingerprint: str


def examine(result: BacktestResult) -> Findings:
    """Measure a run. Raises ValueError for a result without a step or with an equity that is no number."""
    statistics, trips = measure(result)
    return Findings(
        result=result,
        statistics=statistics,
        trips=trips,
        counts=counts_of(result.events),
        fingerprint=fingerprint(result),
    )


def amount(value: Decimal | None, asset: str, *, signed: bool = False) -> str:
    """`1,234,567.80`: for reading; two decimals of a currency, eight of anything else, rounded half up."""
    if value is None:
        return NOTHING
    places = 2 if asset in _CURRENCIES else 8
    rounded = money.round_half_up(value, places) + money.ZERO
    return f"{rounded:+,f}" if signed and rounded else f"{rounded:,f}"


def percent(value: float | None, *, signed: bool = False) -> str:
    """`12.34 %`; large ones without decimals."""
    if value is None:
        return NOTHING
    hundredths = value * 100
    places = 2 if abs(hundredths) < 1_000 else 0
    text = f"{hundredths:+,.{places}f}" if signed else f"{hundredths:,.{places}f}"
    return f"{_without_minus_zero(text)} %"


def ratio(value: float | None) -> str:
    return NOTHING if value is None else _without_minus_zero(f"{value:,.2f}")


def _without_minus_zero(text: str) -> str:
    return text.lstrip("+-") if not text.strip("+-0.") else text


def moment(at_ms: int) -> str:
    """`2026-01-31 12:00` in UTC; seconds where there are any."""
    at = datetime.fromtimestamp(at_ms // 1000, tz=UTC)
    return at.strftime("%Y-%m-%d %H:%M:%S" if at.second else "%Y-%m-%d %H:%M")


def span(ms: int | None) -> str:
    """`45 s`, `12 min`, `5 h 30 min`, `12.4 days`."""
    if ms is None:
        return NOTHING
    seconds = ms / 1000
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"
    return f"{minutes / 1440:,.1f} days"
