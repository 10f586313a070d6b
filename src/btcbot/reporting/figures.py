"""The figures of a report, as they are told in JSON: each with what it is and in which unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from btcbot.domain import money
from btcbot.domain.fills import Fill
from btcbot.domain.intents import Side
from btcbot.reporting.findings import Finding
from btcbot.reporting.identity import Drawdown
from btcbot.reporting.slippage import slippage


class Traded(msgspec.Struct, kw_only=True):
    """What a set of trades comes to, in quote. `gain` is realised profit, net of fee and tax.

    `slippage` is over the trades whose decision price is on record; `unmeasured` counts the others.
    """

    fills: int = 0
    bought: Decimal = money.ZERO
    sold: Decimal = money.ZERO
    turnover: Decimal = money.ZERO
    fees: Decimal = money.ZERO
    taxes: Decimal = money.ZERO
    gain: Decimal = money.ZERO
    slippage: Decimal = money.ZERO
    unmeasured: int = 0

    def add(self, fill: Fill, gain: Decimal, price: Decimal | None) -> None:
        value = fill.price * fill.quantity
        self.fills += 1
        if fill.side is Side.BUY:
            self.bought += value
        else:
            self.sold += value
        self.turnover += value
        self.fees += fill.fee
        self.taxes += fill.tax
        self.gain += gain
        if price is None:
            self.unmeasured += 1
        else:
            self.slippage += slippage(fill, price)


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """`sent` reached the venue or may have; `touched` have a fill, `filled` are filled whole. `fill_rate` is touched
    over sent, None without any."""

    sent: int
    touched: int
    filled: int
    never_sent: int
    fill_rate: Decimal | None


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """A day or a week in Istanbul. `profit` is realised plus unrealised, its change since the period before; None where
    no cycle knew it. `put_in` is what came in or went out other than by trading."""

    name: str
    cycles: int
    outcomes: Mapping[str, int]
    profit: Decimal | None
    put_in: Decimal
    equity: Decimal | None
    traded: Traded


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """An open position. `bid` is the last one that was seen, None when none ever was."""

    symbol: str
    quantity: Decimal
    average_cost: Decimal
    cost: Decimal
    bid: Decimal | None
    unrealized: Decimal | None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """As of the newest cycle that knew its equity; `profit` is realised plus unrealised, `profit_here` its change over
    the cycles of this report, `put_in` the rest of the equity. `realized_by_now` is what the ledger has come to since.
    """

    equity: Decimal | None
    put_in: Decimal | None
    under_way: Decimal
    realized: Decimal | None
    unrealized: Decimal | None
    realized_by_now: Decimal
    profit: Decimal | None
    profit_here: Decimal | None
    identity_holds: bool


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Reports on the newest `cycles`; trades are those since the first of them began."""

    schema_version: int
    book_id: str | None
    mode: str | None
    quote_asset: str
    cycles: int
    cycles_total: int
    first_at_ms: int | None
    last_at_ms: int | None
    profiles: Sequence[str]
    outcomes: Mapping[str, int]
    result: Result
    drawdown: Drawdown
    traded: Traded
    orders: Orders
    reasons: Mapping[str, int]
    positions: Sequence[Held]
    symbols: Mapping[str, Traded]
    strategies: Mapping[str, Traded]
    days: Sequence[Period]
    weeks: Sequence[Period]
    findings: Sequence[Finding]
