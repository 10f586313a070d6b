"""The trades of a year as a tax adviser wants them: each sale with what it had cost, by the books' own method.

Acquisition cost is the moving average that the books use, fee and tax of the purchases included. Purchases, and what an
operator handed to the bot or took out of it, stand between the sales, so that the running position can be followed. A
row belongs to the year and month of the trade's time in Istanbul.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import msgspec

from btcbot.domain import money
from btcbot.reporting.findings import Code, Finding
from btcbot.reporting.folding import Booked, Folded
from btcbot.services import days


class TaxRow(msgspec.Struct, frozen=True, kw_only=True):
    """Money in quote. `proceeds` is price times quantity of a sale; `acquisition_cost` what entered or left the
    position; `profit` is proceeds less fee, tax and acquisition cost."""

    time: str
    symbol: str
    side: str
    trade_id: str
    order_id: str
    quantity: Decimal
    price: Decimal | None
    proceeds: Decimal
    acquisition_cost: Decimal
    fee: Decimal
    tax: Decimal
    profit: Decimal
    position_after: Decimal
    cost_after: Decimal


class TaxSum(msgspec.Struct, kw_only=True):
    """A month or a year. `fees` and `taxes` are those of all its trades; `fees_of_sales` and `taxes_of_sales` of its
    sales alone, so that proceeds - fees_of_sales - taxes_of_sales - acquisition_cost = profit."""

    period: str
    sales: int = 0
    proceeds: Decimal = money.ZERO
    acquisition_cost: Decimal = money.ZERO
    fees_of_sales: Decimal = money.ZERO
    taxes_of_sales: Decimal = money.ZERO
    profit: Decimal = money.ZERO
    purchases: int = 0
    spent: Decimal = money.ZERO
    fees: Decimal = money.ZERO
    taxes: Decimal = money.ZERO

    def add(self, one: Booked) -> None:
        if one.fill is None:
            return
        self.fees += one.fill.fee
        self.taxes += one.fill.tax
        if one.is_sale:
            self.sales += 1
            self.proceeds += one.value
            self.acquisition_cost += one.cost
            self.fees_of_sales += one.fill.fee
            self.taxes_of_sales += one.fill.tax
            self.profit += one.gain
        else:
            self.purchases += 1
            self.spent += one.value


class TaxList(msgspec.Struct, frozen=True, kw_only=True):
    """`years` and `months` are sums of `rows`; `findings` say where they do not equal the books."""

    quote_asset: str
    rows: Sequence[TaxRow]
    months: Sequence[TaxSum]
    years: Sequence[TaxSum]
    findings: Sequence[Finding]


def tax_list(folded: Folded, year: int | None = None) -> TaxList:
    """Everything, or the rows and sums of one year. The sums are compared with the books over all years, always."""
    everything = folded.booked
    wanted = [one for one in everything if year is None or days.day(one.at_ms)[:4] == f"{year:04d}"]
    return TaxList(
        quote_asset=folded.quote_asset,
        rows=[_row(one) for one in wanted],
        months=list(_sums(wanted, 7).values()),
        years=list(_sums(wanted, 4).values()),
        findings=[*folded.findings, *_against_the_books(folded, _sums(everything, 4).values())],
    )


def _row(one: Booked) -> TaxRow:
    fill = one.fill
    return TaxRow(
        time=days.local_text(one.at_ms),
        symbol=one.symbol,
        side=one.side,
        trade_id=fill.trade_id if fill is not None else one.entry_id,
        order_id=fill.client_order_id if fill is not None else "",
        quantity=one.quantity,
        price=fill.price if fill is not None else None,
        proceeds=one.value if one.is_sale else money.ZERO,
        acquisition_cost=one.cost,
        fee=fill.fee if fill is not None else money.ZERO,
        tax=fill.tax if fill is not None else money.ZERO,
        profit=one.gain,
        position_after=one.quantity_after,
        cost_after=one.cost_after,
    )


def _sums(rows: Iterable[Booked], length: int) -> Mapping[str, TaxSum]:
    """By the first characters of the day: 4 the year, 7 the month."""
    found: dict[str, TaxSum] = {}
    for one in rows:
        period = days.day(one.at_ms)[:length]
        found.setdefault(period, TaxSum(period=period)).add(one)
    return dict(sorted(found.items()))


def _against_the_books(folded: Folded, years: Iterable[TaxSum]) -> Iterable[Finding]:
    sums = list(years)
    positions = folded.positions.values()
    for name, told, kept in (
        ("profit", money.total(one.profit for one in sums), money.total(p.realized_pnl for p in positions)),
        ("fees", money.total(one.fees for one in sums), money.total(p.fees_paid for p in positions)),
        ("taxes", money.total(one.taxes for one in sums), money.total(p.taxes_paid for p in positions)),
    ):
        if told != kept:
            what = f"they sum to {money.plain(told)}, the books have {money.plain(kept)}"
            yield Finding(Code.IDENTITY, f"{name} of all years", what)
    for one in sums:
        if one.proceeds - one.fees_of_sales - one.taxes_of_sales - one.acquisition_cost != one.profit:
            yield Finding(Code.IDENTITY, f"year {one.period}", "proceeds less cost and charges are not its profit")
