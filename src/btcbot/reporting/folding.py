"""The ledger once more, from its first entry: what each trade gained, and where money came from that no trade made.

Positions are folded with the functions that booked them, in the order of booking, so that what is told here is what the
books say; where the two differ, that is a finding.

    equity = cash + positions at the bid, and profit = realised + unrealised

    equity - profit = opening + transfers + foreign trades + suspense + cost of what was adopted, less that of what was
                      released

The right-hand side moves only with entries that are no trades of ours: these are the flows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, DecimalException
from typing import Final

import msgspec

from btcbot.domain import money
from btcbot.domain.fills import Fill
from btcbot.domain.intents import Side
from btcbot.domain.ledger import Account, Entry, EntryKind
from btcbot.domain.positions import Position, after_adoption, after_fill, after_release
from btcbot.errors import InvariantBroken, StoreFailed
from btcbot.ports import StateStore
from btcbot.reporting.findings import Code, Finding

QUOTE_ASSET: Final = "TRY"
_ADOPTED: Final = re.compile(r"adopted (\S+) (\S+) at a cost of (\S+)")
_RELEASED: Final = re.compile(r"released (\S+) (\S+): ")
_FILL: Final = "fill:"


class Booked(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something that changed a position, in the order of booking. Money in quote.

    `side` is buy, sell, adopted or released. `value` price times quantity; `cost` what entered the position (buy,
    adoption) or left it (sale, release); `gain` what a sale made net of fee and tax, zero for all else; `cash` what
    the quote balance moved by. `quantity_after` and `cost_after` are the position's.
    """

    entry_id: str
    symbol: str
    side: str
    at_ms: int
    quantity: Decimal
    value: Decimal
    cost: Decimal
    gain: Decimal
    cash: Decimal
    quantity_after: Decimal
    cost_after: Decimal
    fill: Fill | None = None

    @property
    def is_sale(self) -> bool:
        return self.side == Side.SELL.value


class Flow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Quote that came in (or left, below zero) other than by a trade of ours; `kind` as the ledger has it."""

    entry_id: str
    kind: str
    at_ms: int
    amount: Decimal


class Folded(msgspec.Struct, frozen=True, kw_only=True):
    """Everything in the order of booking. `watched`: a difference in the quote asset that is not explained yet."""

    quote_asset: str
    booked: Sequence[Booked]
    flows: Sequence[Flow]
    positions: Mapping[str, Position]
    watched: Decimal
    findings: Sequence[Finding]


#: How often a ledger is read anew because the bot booked something meanwhile.
TRIES: Final = 20


def fold(store: StateStore) -> Folded:
    """Read the whole ledger. Raises StoreFailed for a row that cannot be read.

    A bot may write meanwhile. Every unit that moves a position or explains a difference books an entry, so what was
    read between two equal counts of entries belongs together.
    """
    for _ in range(TRIES):
        count = store.entry_count()
        entries, fills = store.entries(), {fill.trade_id: fill for fill in store.fills()}
        positions, differences = store.positions(), store.discrepancies()
        if store.entry_count() == count:
            break
    else:
        raise StoreFailed("the bot books so fast that its ledger cannot be read whole: try again, or read a backup")
    folding = _Folding(_quote_asset(entries, fills), fills)
    for entry in entries:
        folding.take(entry)
    folding.demand_all_booked()
    folding.demand_positions(positions)
    return Folded(
        quote_asset=folding.quote,
        booked=folding.booked,
        flows=folding.flows,
        positions=folding.positions,
        watched=money.total(one.amount for one in differences if one.asset == folding.quote),
        findings=folding.findings,
    )


def _quote_asset(entries: Sequence[Entry], fills: Mapping[str, Fill]) -> str:
    """In what the books are kept: what the symbols of the fills end in."""
    for entry in entries:
        fill = fills.get(entry.entry_id.removeprefix(_FILL)) if entry.kind is EntryKind.FILL else None
        if fill is not None:
            for asset in {posting.asset for posting in entry.postings}:
                if fill.symbol.endswith(asset) and fill.symbol != asset:
                    return asset
    return QUOTE_ASSET


class _Folding:
    def __init__(self, quote: str, fills: Mapping[str, Fill]) -> None:
        self.quote = quote
        self.booked: list[Booked] = []
        self.flows: list[Flow] = []
        self.positions: dict[str, Position] = {}
        self.findings: list[Finding] = []
        self._fills = fills
        self._seen: set[str] = set()

    def take(self, entry: Entry) -> None:
        try:
            match entry.kind:
                case EntryKind.FILL:
                    self._fill(entry)
                case EntryKind.ADOPTION:
                    self._adoption(entry)
                case _:
                    self._flow(entry, entry.kind.value, entry.moved(Account.VENUE, self.quote))
        except (InvariantBroken, DecimalException) as error:
            self._find(Code.IDENTITY, f"entry {entry.entry_id}", str(error))

    def _fill(self, entry: Entry) -> None:
        trade_id = entry.entry_id.removeprefix(_FILL)
        fill = self._fills.get(trade_id)
        if fill is None:
            self._find(Code.MISSING, f"entry {entry.entry_id}", "the trade that it books is not there")
            return
        self._seen.add(trade_id)
        value, charges = fill.price * fill.quantity, fill.fee + fill.tax
        cash = -value - charges if fill.side is Side.BUY else value - charges
        moved = entry.moved(Account.VENUE, self.quote)
        if moved != cash:
            what = f"it moved {money.plain(moved)} {self.quote}, the trade comes to {money.plain(cash)}"
            self._find(Code.IDENTITY, f"entry {entry.entry_id}", what)
        before = self.positions.get(fill.symbol) or Position(symbol=fill.symbol)
        after = after_fill(before, fill)
        self.positions[fill.symbol] = after
        self.booked.append(
            Booked(
                entry_id=entry.entry_id,
                symbol=fill.symbol,
                side=fill.side.value,
                at_ms=fill.at_ms,
                quantity=fill.quantity,
                value=value,
                cost=abs(after.cost - before.cost),
                gain=after.realized_pnl - before.realized_pnl,
                cash=cash,
                quantity_after=after.quantity,
                cost_after=after.cost,
                fill=fill,
            )
        )

    def _adoption(self, entry: Entry) -> None:
        adopted, released = _ADOPTED.fullmatch(entry.memo), _RELEASED.match(entry.memo)
        found = adopted or released
        if found is None:
            self._find(Code.MISSING, f"entry {entry.entry_id}", "it does not say what was adopted or released")
            return
        quantity, symbol = found.group(1, 2)
        before = self.positions.get(symbol) or Position(symbol=symbol)
        if adopted is not None:
            after = after_adoption(before, Decimal(quantity), Decimal(adopted[3]))
        else:
            after = after_release(before, Decimal(quantity))
        self.positions[symbol] = after
        cost = after.cost - before.cost
        side = "adopted" if adopted is not None else "released"
        self._flow(entry, side, cost)
        self.booked.append(
            Booked(
                entry_id=entry.entry_id,
                symbol=symbol,
                side=side,
                at_ms=entry.at_ms,
                quantity=Decimal(quantity),
                value=money.ZERO,
                cost=abs(cost),
                gain=money.ZERO,
                cash=money.ZERO,
                quantity_after=after.quantity,
                cost_after=after.cost,
            )
        )

    def _flow(self, entry: Entry, kind: str, amount: Decimal) -> None:
        if amount:
            self.flows.append(Flow(entry_id=entry.entry_id, kind=kind, at_ms=entry.at_ms, amount=amount))

    def demand_all_booked(self) -> None:
        for trade_id in self._fills.keys() - self._seen:
            self._find(Code.MISSING, f"trade {trade_id}", "no entry of the ledger books it")

    def demand_positions(self, kept: Mapping[str, Position]) -> None:
        """What is kept must be what the ledger comes to, to the last digit."""
        for symbol in sorted({*kept, *self.positions}):
            blank = Position(symbol=symbol)
            told, folded = _amounts(kept.get(symbol, blank)), _amounts(self.positions.get(symbol, blank))
            for field, one in told.items():
                other = folded[field]
                if one != other:
                    what = f"its {field} is kept as {money.plain(one)}, the ledger comes to {money.plain(other)}"
                    self._find(Code.IDENTITY, f"position {symbol}", what)

    def _find(self, code: Code, where: str, what: str) -> None:
        self.findings.append(Finding(code, where, what))


def _amounts(position: Position) -> dict[str, Decimal]:
    """All that a position holds, by the name of the field."""
    return {
        "quantity": position.quantity,
        "cost": position.cost,
        "realized_pnl": position.realized_pnl,
        "fees_paid": position.fees_paid,
        "taxes_paid": position.taxes_paid,
    }
