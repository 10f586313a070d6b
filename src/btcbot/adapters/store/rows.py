"""Domain values to statement parameters, and rows back to domain values. The only place that knows both.

Money travels as `money.plain` text, whose value is exact and which SQLite and PostgreSQL (NUMERIC without scale) both
take without rounding; it comes back as text from the one and as Decimal from the other, and `Decimal()` reads both.
Rows are tuples in the column order of queries.sql.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec.structs import asdict

from btcbot.domain.cycles import CycleOutcome, CycleReport, Verdict
from btcbot.domain.fills import Fill
from btcbot.domain.intents import Side
from btcbot.domain.ledger import Account, Entry, EntryKind, Hold, Posting
from btcbot.domain.money import plain
from btcbot.domain.notes import Note, NoteKind
from btcbot.domain.orders import Order, OrderStatus
from btcbot.domain.positions import Position
from btcbot.ports import BookIdentity, Discrepancy

Row = tuple[Any, ...]
Parameters = dict[str, Any]

# Looking a word up in a dict costs a tenth of calling the enum; an unknown word is a KeyError.
_SIDE: Final = {side.value: side for side in Side}
_STATUS: Final = {status.value: status for status in OrderStatus}
_ACCOUNT: Final = {account.value: account for account in Account}
_KIND: Final = {kind.value: kind for kind in EntryKind}
_NOTE_KIND: Final = {kind.value: kind for kind in NoteKind}
_OUTCOME: Final = {outcome.value: outcome for outcome in CycleOutcome}

_encode: Final = msgspec.json.Encoder().encode
_words: Final = msgspec.json.Decoder(tuple[str, ...]).decode
_counts: Final = msgspec.json.Decoder(dict[str, int]).decode
_gates: Final = msgspec.json.Decoder(dict[str, bool]).decode
_quotes: Final = msgspec.json.Decoder(dict[str, tuple[Decimal, Decimal]]).decode


def of_identity(identity: BookIdentity) -> Parameters:
    return asdict(identity)


def identity(row: Row) -> BookIdentity:
    book_id, mode, venue_host, key_fingerprint, created_at_ms = row
    return BookIdentity(
        book_id=book_id,
        mode=mode,
        venue_host=venue_host,
        key_fingerprint=key_fingerprint,
        created_at_ms=created_at_ms,
    )


def of_order(order: Order) -> Parameters:
    parameters = asdict(order)
    parameters["side"] = order.side.value
    parameters["price"] = plain(order.price)
    parameters["quantity"] = plain(order.quantity)
    parameters["status"] = order.status.value
    parameters["filled_quantity"] = plain(order.filled_quantity)
    return parameters


def of_order_changes(order: Order) -> Parameters:
    """What `update_order` may write: the rest of an order never changes."""
    return {
        "client_order_id": order.client_order_id,
        "status": order.status.value,
        "updated_at_ms": order.updated_at_ms,
        "filled_quantity": plain(order.filled_quantity),
        "venue_order_id": order.venue_order_id,
        "stamp_ms": order.stamp_ms,
        "reason": order.reason,
        "cancel_requested_at_ms": order.cancel_requested_at_ms,
        "absent_count": order.absent_count,
        "absent_since_ms": order.absent_since_ms,
    }


def order(row: Row) -> Order:
    (
        client_order_id,
        intent_id,
        cycle_id,
        strategy,
        symbol,
        side,
        price,
        quantity,
        status,
        created_at_ms,
        updated_at_ms,
        filled_quantity,
        venue_order_id,
        stamp_ms,
        reason,
        cancel_requested_at_ms,
        absent_count,
        absent_since_ms,
    ) = row
    return Order(
        client_order_id=client_order_id,
        intent_id=intent_id,
        cycle_id=cycle_id,
        strategy=strategy,
        symbol=symbol,
        side=_SIDE[side],
        price=Decimal(price),
        quantity=Decimal(quantity),
        status=_STATUS[status],
        created_at_ms=created_at_ms,
        updated_at_ms=updated_at_ms,
        filled_quantity=Decimal(filled_quantity),
        venue_order_id=venue_order_id,
        stamp_ms=stamp_ms,
        reason=reason,
        cancel_requested_at_ms=cancel_requested_at_ms,
        absent_count=absent_count,
        absent_since_ms=absent_since_ms,
    )


def of_hold(hold: Hold) -> Parameters:
    return {"client_order_id": hold.client_order_id, "asset": hold.asset, "amount": plain(hold.amount)}


def hold(row: Row) -> Hold:
    client_order_id, asset, amount = row
    return Hold(client_order_id=client_order_id, asset=asset, amount=Decimal(amount))


def of_fill(fill: Fill) -> Parameters:
    parameters = asdict(fill)
    parameters["side"] = fill.side.value
    parameters["price"] = plain(fill.price)
    parameters["quantity"] = plain(fill.quantity)
    parameters["fee"] = plain(fill.fee)
    parameters["tax"] = plain(fill.tax)
    return parameters


def fill(row: Row) -> Fill:
    trade_id, client_order_id, symbol, side, price, quantity, fee, tax, at_ms = row
    return Fill(
        trade_id=trade_id,
        client_order_id=client_order_id,
        symbol=symbol,
        side=_SIDE[side],
        price=Decimal(price),
        quantity=Decimal(quantity),
        fee=Decimal(fee),
        tax=Decimal(tax),
        at_ms=at_ms,
    )


def of_entry(entry: Entry) -> Parameters:
    return {"entry_id": entry.entry_id, "kind": entry.kind.value, "at_ms": entry.at_ms, "memo": entry.memo}


def of_postings(entry: Entry) -> list[Parameters]:
    return [
        {
            "entry_id": entry.entry_id,
            "line": line,
            "account": posting.account.value,
            "asset": posting.asset,
            "amount": plain(posting.amount),
        }
        for line, posting in enumerate(entry.postings)
    ]


def entries(rows: Iterable[Row]) -> list[Entry]:
    """Rows of one entry follow each other, a row for each posting."""
    found: list[tuple[Row, list[Posting]]] = []
    for *head, account, asset, amount in rows:
        if not found or found[-1][0][0] != head[0]:
            found.append((tuple(head), []))
        found[-1][1].append(Posting(_ACCOUNT[account], asset, Decimal(amount)))
    return [
        Entry(entry_id=entry_id, kind=_KIND[kind], at_ms=at_ms, memo=memo, postings=tuple(postings))
        for (entry_id, kind, at_ms, memo), postings in found
    ]


def balances(rows: Iterable[Row]) -> dict[str, Decimal]:
    return {name: Decimal(balance) for name, balance in rows}


def of_position(position: Position) -> Parameters:
    return {
        "symbol": position.symbol,
        "quantity": plain(position.quantity),
        "cost": plain(position.cost),
        "realized_pnl": plain(position.realized_pnl),
        "fees_paid": plain(position.fees_paid),
        "taxes_paid": plain(position.taxes_paid),
    }


def position(row: Row) -> Position:
    symbol, quantity, cost, realized_pnl, fees_paid, taxes_paid = row
    return Position(
        symbol=symbol,
        quantity=Decimal(quantity),
        cost=Decimal(cost),
        realized_pnl=Decimal(realized_pnl),
        fees_paid=Decimal(fees_paid),
        taxes_paid=Decimal(taxes_paid),
    )


def of_verdict(verdict: Verdict) -> Parameters:
    parameters = asdict(verdict)
    parameters["side"] = verdict.side.value
    parameters["price"] = plain(verdict.price)
    parameters["quantity"] = plain(verdict.quantity)
    parameters["allowed"] = int(verdict.allowed)
    return parameters


def verdict(row: Row) -> Verdict:
    cycle_id, intent_id, symbol, side, price, quantity, allowed, code, detail, at_ms = row
    return Verdict(
        cycle_id=cycle_id,
        intent_id=intent_id,
        symbol=symbol,
        side=_SIDE[side],
        price=Decimal(price),
        quantity=Decimal(quantity),
        allowed=bool(allowed),
        code=code,
        detail=detail,
        at_ms=at_ms,
    )


def of_cycle(report: CycleReport) -> Parameters:
    parameters = asdict(report)
    parameters["outcome"] = report.outcome.value
    parameters["reasons"] = _text(report.reasons)
    parameters["counts"] = _text(dict(report.counts))
    parameters["gates"] = _text(dict(report.gates))
    parameters["quotes"] = _text({symbol: (plain(bid), plain(ask)) for symbol, (bid, ask) in report.quotes.items()})
    parameters["equity_try"] = None if report.equity_try is None else plain(report.equity_try)
    parameters["realized_pnl_try"] = plain(report.realized_pnl_try)
    parameters["unrealized_pnl_try"] = plain(report.unrealized_pnl_try)
    return parameters


def _text(value: tuple[str, ...] | Mapping[str, object]) -> str:
    return _encode(value).decode()


def cycle(row: Row) -> CycleReport:
    (
        cycle_id,
        number,
        mode,
        profile,
        outcome,
        reasons,
        started_at_ms,
        ended_at_ms,
        counts,
        gates,
        quotes,
        equity_try,
        realized_pnl_try,
        unrealized_pnl_try,
    ) = row
    return CycleReport(
        cycle_id=cycle_id,
        number=number,
        mode=mode,
        profile=profile,
        outcome=_OUTCOME[outcome],
        reasons=_words(reasons),
        started_at_ms=started_at_ms,
        ended_at_ms=ended_at_ms,
        counts=_counts(counts),
        gates=_gates(gates),
        quotes=_quotes(quotes),
        equity_try=None if equity_try is None else Decimal(equity_try),
        realized_pnl_try=Decimal(realized_pnl_try),
        unrealized_pnl_try=Decimal(unrealized_pnl_try),
    )


def of_note(note: Note) -> Parameters:
    return {"kind": note.kind.value, "cycle_id": note.cycle_id, "at_ms": note.at_ms, "body": note.body}


def note(row: Row) -> Note:
    kind, cycle_id, at_ms, body = row
    return Note(kind=_NOTE_KIND[kind], cycle_id=cycle_id, at_ms=at_ms, body=body)


def of_discrepancy(discrepancy: Discrepancy) -> Parameters:
    parameters = asdict(discrepancy)
    parameters["amount"] = plain(discrepancy.amount)
    return parameters


def discrepancy(row: Row) -> Discrepancy:
    asset, amount, first_seen_ms, seen_count = row
    return Discrepancy(asset=asset, amount=Decimal(amount), first_seen_ms=first_seen_ms, seen_count=seen_count)
