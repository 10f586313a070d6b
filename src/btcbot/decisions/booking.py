"""Booking: how trades, transfers and differences become entries.

Every function returns values; the shell writes each of them in one transaction. Entry ids are made from what is booked
(`fill:<trade id>`), so booking the same thing twice is impossible whatever the venue repeats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import combinations, product
from types import MappingProxyType
from typing import Final

import msgspec

from btcbot.decisions.fees import FeeRates, hold_amount
from btcbot.domain import money
from btcbot.domain.account import AccountSnapshot
from btcbot.domain.book import Discrepancy
from btcbot.domain.fills import Fill, VenueTrade
from btcbot.domain.intents import Side
from btcbot.domain.ledger import Account, Entry, EntryKind, Hold, Posting
from btcbot.domain.orders import IN_DOUBT, REOPENABLE, Order, OrderEvent, OrderStatus, apply, apply_fill
from btcbot.domain.positions import Position, after_adoption, after_fill, after_release
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.venue import Transfer
from btcbot.errors import InvariantBroken

#: Balances and trades are read one after the other and may lag each other by this much.
READ_MARGIN_MS: Final = 2_000
#: So many equal differences stop new orders; so many put the amount into suspense. Of the latter two have to lie behind
#: the settle horizon: before it the lists may not be there yet, and a single one after it may leave something out.
STOP_AT: Final = 2
OBSERVATIONS_MIN: Final = 4
#: An asset that differs for so many settle horizons without a quiet moment gets one.
OVERDUE_HORIZONS: Final = 10
#: Unbooked transfers beyond this are not searched for a combination: the newest matter.
TRANSFERS_SEARCHED_MAX: Final = 8


class FillBooking(msgspec.Struct, frozen=True, kw_only=True):
    """All that one fill changes; written in one transaction or not at all."""

    fill: Fill
    entry: Entry
    order: Order
    hold: Hold
    position: Position


def book_fill(
    trade: VenueTrade, order: Order, position: Position | None, fee_rates: FeeRates, at_ms: int
) -> FillBooking:
    """A trade of one of our orders. An order that we had doubted or given up is seen by this very trade."""
    if (trade.symbol, trade.side) != (order.symbol, order.side):
        raise InvariantBroken(
            "I2_FILL",
            f"trade {trade.trade_id} is a {trade.side} of {trade.symbol}, its order {order.client_order_id} is a "
            f"{order.side} of {order.symbol}",
        )
    if order.status in IN_DOUBT or order.status in REOPENABLE:
        order = adopted(order, trade.venue_order_id, at_ms)
    if order.venue_order_id is None:
        order = msgspec.structs.replace(order, venue_order_id=trade.venue_order_id)
    if order.venue_order_id != trade.venue_order_id:
        raise InvariantBroken(
            "I1_TWO_ORDERS",
            f"client order id {order.client_order_id} traded as venue orders {order.venue_order_id} and "
            f"{trade.venue_order_id}",
        )
    late = order.status is OrderStatus.CANCELED
    after = apply_fill(order, trade.quantity, at_ms)
    if late and ReasonCode.LATE_FILL.value not in (order.reason or ""):
        # Beside why it was cancelled, not in its place.
        told = f"{order.reason}; {ReasonCode.LATE_FILL.value}" if order.reason else ReasonCode.LATE_FILL.value
        after = msgspec.structs.replace(after, reason=told)
    fill = Fill(
        trade_id=trade.trade_id,
        client_order_id=order.client_order_id,
        symbol=trade.symbol,
        side=trade.side,
        price=trade.price,
        quantity=trade.quantity,
        fee=trade.fee,
        tax=trade.tax,
        at_ms=trade.at_ms,
    )
    return FillBooking(
        fill=fill,
        entry=_trade_entry(trade, f"fill:{trade.trade_id}", EntryKind.FILL, Account.MARKET),
        order=after,
        hold=hold_for(after, trade.base, trade.quote, fee_rates),
        position=after_fill(position or Position(symbol=trade.symbol), fill),
    )


def adopted(order: Order, venue_order_id: str, at_ms: int) -> Order:
    """The order after the venue showed it: ACCEPTED, with its venue order id, its evidence of absence void."""
    if order.status is OrderStatus.SUBMITTED:
        order = apply(order, OrderEvent.DOUBT, at_ms)
    seen = apply(order, OrderEvent.SEEN, at_ms, reason=ReasonCode.ADOPTED.value)
    return msgspec.structs.replace(seen, venue_order_id=venue_order_id, absent_count=0, absent_since_ms=None)


def hold_for(order: Order, base: str, quote: str, fee_rates: FeeRates) -> Hold:
    """I10: an open order has its hold, a closed one has none."""
    amount = hold_amount(order.side, order.price, order.leaves_quantity, fee_rates) if order.is_open else money.ZERO
    asset = quote if order.side is Side.BUY else base
    return Hold(client_order_id=order.client_order_id, asset=asset, amount=amount)


def book_foreign(trade: VenueTrade) -> Entry:
    """A trade of an order that is not ours: it moves the balance, never our position."""
    return _trade_entry(trade, foreign_entry_id(trade.trade_id), EntryKind.FOREIGN, Account.FOREIGN)


def foreign_entry_id(trade_id: str) -> str:
    """Under which id a trade of other hands is booked, once."""
    return f"foreign:{trade_id}"


def _trade_entry(trade: VenueTrade, entry_id: str, kind: EntryKind, counter: Account) -> Entry:
    base, value = (trade.quantity, trade.value) if trade.side is Side.BUY else (-trade.quantity, -trade.value)
    base_asset, quote_asset, fee, tax = trade.base, trade.quote, trade.fee, trade.tax
    postings = (
        Posting(Account.VENUE, base_asset, base),
        Posting(counter, base_asset, -base),
        Posting(Account.VENUE, quote_asset, -value - fee - tax),
        Posting(counter, quote_asset, value),
        Posting(Account.FEE, quote_asset, fee),
        Posting(Account.TAX, quote_asset, tax),
    )
    return Entry(
        entry_id=entry_id,
        kind=kind,
        at_ms=trade.at_ms,
        postings=tuple([posting for posting in postings if posting.amount]),
        memo=f"{trade.side} {money.plain(trade.quantity)} {trade.symbol} at {money.plain(trade.price)}",
    )


def book_opening(account: AccountSnapshot, at_ms: int) -> Sequence[Entry]:
    """What was there before this database began, once for each asset. Equity without a position."""
    return [
        _two_sided(
            f"opening:{asset}", EntryKind.OPENING, at_ms, Account.OPENING, asset, balance.total, "opening balance"
        )
        for asset, balance in sorted(account.balances.items())
        if balance.total
    ]


def book_adoption(
    entry_id: str, position: Position | None, symbol: str, base: str, quantity: Decimal, cost: Decimal, at_ms: int
) -> tuple[Entry, Position]:
    """Hand `quantity` that was bought elsewhere for `cost` (quote, in all) to the bot's position."""
    entry = Entry(
        entry_id=entry_id,
        kind=EntryKind.ADOPTION,
        at_ms=at_ms,
        postings=(Posting(Account.OPENING, base, quantity), Posting(Account.ADOPTED, base, -quantity)),
        memo=f"adopted {money.plain(quantity)} {symbol} at a cost of {money.plain(cost)}",
    )
    return entry, after_adoption(position or Position(symbol=symbol), quantity, cost)


def book_release(
    entry_id: str, position: Position, base: str, quantity: Decimal, reason: str, at_ms: int
) -> tuple[Entry, Position]:
    """Take `quantity` out of the bot's position: somebody else disposes of it from now on. No result is booked."""
    entry = Entry(
        entry_id=entry_id,
        kind=EntryKind.ADOPTION,
        at_ms=at_ms,
        postings=(Posting(Account.ADOPTED, base, quantity), Posting(Account.OPENING, base, -quantity)),
        memo=f"released {money.plain(quantity)} {position.symbol}: {reason}",
    )
    return entry, after_release(position, quantity)


def _two_sided(
    entry_id: str, kind: EntryKind, at_ms: int, counter: Account, asset: str, amount: Decimal, memo: str
) -> Entry:
    """`amount` comes to the venue out of `counter`."""
    postings = (Posting(Account.VENUE, asset, amount), Posting(counter, asset, -amount))
    return Entry(entry_id=entry_id, kind=kind, at_ms=at_ms, postings=postings, memo=memo)


def differences(books: Mapping[str, Decimal], account: AccountSnapshot) -> Mapping[str, Decimal]:
    """Venue minus books, for each asset of either where they differ."""
    balances = account.balances.items()
    if books == {asset: each.free + each.locked if each.locked else each.free for asset, each in balances}:
        return {}
    found: dict[str, Decimal] = {}
    for asset in sorted({*books, *account.balances}):
        amount = account.total(asset) - books.get(asset, money.ZERO)
        if amount:
            found[asset] = amount
    return found


def match_transfers(asset: str, difference: Decimal, candidates: Sequence[Transfer]) -> Sequence[Entry]:
    """The unbooked transfers that explain `difference` exactly, as entries; nothing when none do.

    The balance is the evidence: a transfer is booked when the money has really moved. Whether the listed amount already
    contains the fee is not documented, so both readings are tried: the fewest of the newest first, then long runs from
    the oldest on, for a bot that was away while many came in and the newest may not have moved yet.
    """
    if not difference:
        return []
    mine = sorted((each for each in candidates if each.asset == asset), key=lambda transfer: transfer.at_ms)
    newest = mine[-TRANSFERS_SEARCHED_MAX:]
    for size in range(1, len(newest) + 1):
        for chosen in combinations(newest, size):
            for readings in product((True, False), repeat=size):
                if any(apart and not each.fee for apart, each in zip(readings, chosen, strict=True)):
                    continue  # without a fee both readings are one
                found = _when_sum_fits(chosen, readings, difference)
                if found:
                    return found
    for count in range(len(mine), TRANSFERS_SEARCHED_MAX, -1):
        for is_fee_apart in (True, False):
            found = _when_sum_fits(mine[:count], [is_fee_apart] * count, difference)
            if found:
                return found
    return []


def _when_sum_fits(chosen: Sequence[Transfer], fee_apart: Sequence[bool], difference: Decimal) -> Sequence[Entry]:
    moved = [each.amount - each.fee if apart else each.amount for apart, each in zip(fee_apart, chosen, strict=True)]
    if money.total(moved) != difference:
        return []
    return [_transfer_entry(each, amount) for each, amount in zip(chosen, moved, strict=True)]


def _transfer_entry(transfer: Transfer, moved: Decimal) -> Entry:
    postings = [
        Posting(Account.VENUE, transfer.asset, moved),
        Posting(Account.TRANSFERS, transfer.asset, -moved - transfer.fee),
        Posting(Account.FEE, transfer.asset, transfer.fee),
    ]
    return Entry(
        entry_id=f"transfer:{transfer.transfer_id}",
        kind=EntryKind.TRANSFER,
        at_ms=transfer.at_ms,
        postings=tuple(posting for posting in postings if posting.amount),
        memo=f"{transfer.kind} of {money.plain(abs(transfer.amount))} {transfer.asset}",
    )


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """Between which two moments the balances were read, by the venue's clock: ours may be set between two looks."""

    asked_at_ms: int
    answered_at_ms: int


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """What a comparison of books and venue concludes.

    `entries` to write, `discrepancies` to keep watching, `unexplained` assets that stop new orders until they settle.
    """

    entries: Sequence[Entry]
    discrepancies: Sequence[Discrepancy]
    unexplained: tuple[str, ...]


def reconcile(
    found: Mapping[str, Decimal],
    before: Sequence[Discrepancy],
    busy_assets: frozenset[str],
    candidates: Sequence[Transfer],
    suspense: Mapping[str, Decimal],
    look: Look,
    settle_horizon_ms: int,
    differing_since_ms: Mapping[str, int] = MappingProxyType({}),
) -> Reconciliation:
    """Judge each difference: explained by transfers, still settling, or to be put in suspense.

    `busy_assets` had own orders or trades around the moment of the read: their difference may be nothing but the lag
    between two lists, so it is watched and not judged, not even by a transfer that happens to fit. An asset that has
    differed for long (`differing_since_ms`) without a quiet moment stops new orders, which makes one. A difference that
    is the exact opposite of what lies in suspense clears it: what had been missing has turned up.

    A difference is as old as is certain, however slow the answers were: from the end of the first look, to the
    beginning of this one.
    """
    earlier = {discrepancy.asset: discrepancy for discrepancy in before}
    entries: list[Entry] = []
    watched: list[Discrepancy] = []
    unexplained: list[str] = []
    for asset in sorted({*found, *suspense}):
        amount, held_back = found.get(asset, money.ZERO), suspense.get(asset, money.ZERO)
        is_quiet = asset not in busy_assets
        if is_quiet and held_back and (late := match_transfers(asset, amount - held_back, candidates)):
            # The list tells only now what suspense had to stand in for.
            entries += [*late, _suspense_entry(asset, held_back, look, "the venue's list explains it after all")]
            continue
        if not amount:
            continue
        if is_quiet and (matched := match_transfers(asset, amount, candidates)):
            entries += matched
            continue
        last = earlier.get(asset)
        if last is None or last.amount != amount:
            last = Discrepancy(asset=asset, amount=amount, first_seen_ms=look.answered_at_ms, seen_count=0)
        # What was first seen at a moment that has not come yet was dated by a clock that has been set right since.
        first_seen_ms = min(last.first_seen_ms, look.answered_at_ms)
        is_behind_horizon = look.asked_at_ms - first_seen_ms >= settle_horizon_ms
        # Within the horizon any number of looks is one piece of evidence: the lists may simply not be there yet.
        counts = not last.seen_count or (is_quiet and (last.seen_count < STOP_AT or is_behind_horizon))
        seen = msgspec.structs.replace(last, first_seen_ms=first_seen_ms, seen_count=last.seen_count + counts)
        if is_quiet and seen.seen_count >= OBSERVATIONS_MIN and is_behind_horizon:
            has_turned_up = held_back == amount
            memo = "what was in suspense has turned up" if has_turned_up else "nobody has explained this difference"
            entries.append(_suspense_entry(asset, amount, look, memo))
            continue
        watched.append(seen)
        differing_ms = look.asked_at_ms - differing_since_ms.get(asset, look.asked_at_ms)
        is_overdue = differing_ms >= OVERDUE_HORIZONS * settle_horizon_ms
        if seen.seen_count >= STOP_AT or is_overdue:
            unexplained.append(asset)
    return Reconciliation(entries=entries, discrepancies=watched, unexplained=tuple(unexplained))


def _suspense_entry(asset: str, amount: Decimal, look: Look, memo: str) -> Entry:
    """`amount` comes to the venue's side out of suspense (or goes back into it, when negative)."""
    at_ms = look.answered_at_ms
    return _two_sided(f"suspense:{asset}:{at_ms}", EntryKind.SUSPENSE, at_ms, Account.SUSPENSE, asset, amount, memo)


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """A human's word for an amount in suspense."""

    entry_id: str
    meaning: str  # deposit | withdrawal | fee
    reason: str


#: Which way the money must have moved for each meaning: towards the account, or away from it.
EXPLAINS_GAIN: Final[Mapping[str, bool]] = {"deposit": True, "withdrawal": False, "fee": False}
EXPLANATION_ACCOUNTS: Final[Mapping[str, Account]] = {
    "deposit": Account.TRANSFERS,
    "withdrawal": Account.TRANSFERS,
    "fee": Account.FEE,
}


def book_explanation(suspense_entry: Entry, explanation: Explanation, at_ms: int) -> Entry:
    """Move what `suspense_entry` put into suspense to the account that the operator names."""
    account = EXPLANATION_ACCOUNTS[explanation.meaning]
    postings: list[Posting] = []
    for posting in suspense_entry.postings:
        if posting.account is Account.SUSPENSE:
            postings.append(Posting(Account.SUSPENSE, posting.asset, -posting.amount))
            postings.append(Posting(account, posting.asset, posting.amount))
    return Entry(
        entry_id=explanation.entry_id,
        kind=EntryKind.EXPLANATION,
        at_ms=at_ms,
        postings=tuple(postings),
        memo=f"{explanation.meaning}: {explanation.reason}",
    )
