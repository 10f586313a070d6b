"""What the control interface shows: pairs, accounts, orders, trades and requests, numbers as text."""

from __future__ import annotations

from btcturk_sim.accounts import Account
from btcturk_sim.api import RequestRecord, body_text
from btcturk_sim.codec import order_row
from btcturk_sim.money import plain
from btcturk_sim.orders import Fill, Order
from btcturk_sim.pair import Pair


def pair_state(pair: Pair) -> dict[str, object]:
    bid, ask = pair.best_bid(), pair.best_ask()
    return {
        "price": plain(pair.price),
        "last": plain(pair.last),
        "bid": None if bid is None else plain(bid),
        "ask": None if ask is None else plain(ask),
        "halted": pair.halted,
        "cancel_only": pair.cancel_only,
        "delayed": pair.delayed,
        "delisted": pair.delisted,
        "overridden": pair.price_override is not None,
    }


def account_state(account: Account, detailed: bool) -> dict[str, object]:
    shown: dict[str, object] = {
        "user_id": account.user_id,
        "balances": {
            asset: {"free": plain(held.free), "locked": plain(held.locked), "balance": plain(held.total)}
            for asset, held in sorted(account.balances.items())
        },
        "open_orders": len(account.open_orders),
    }
    if detailed:
        shown["orders"] = [order_state(order) for order in account.orders.values()]
        shown["fills"] = [fill_state(fill) for fill in account.fills]
        shown["transfers"] = [
            {"id": one.id, "asset": one.asset, "amount": plain(one.amount), "fee": plain(one.fee),
             "time_ms": one.time_ms}
            for one in account.transfers
        ]  # fmt: skip
    return shown


def order_state(order: Order) -> dict[str, object]:
    row = order_row(order, (order.updated_ms, order.left, order.status), 0, with_time=True)
    return {**row, "filled": plain(order.filled), "hold": plain(order.hold), "cancel_at_ms": order.cancel_at_ms}


def fill_state(fill: Fill) -> dict[str, object]:
    return {
        "id": fill.id,
        "order_id": fill.order_id,
        "client_id": fill.client_id,
        "symbol": fill.instrument.symbol,
        "side": fill.side.value,
        "time_ms": fill.time_ms,
        "quantity": plain(fill.quantity),
        "price": plain(fill.price),
        "fee": plain(fill.fee),
        "tax": plain(fill.tax),
        "maker": fill.maker,
    }


def request_row(record: RequestRecord, bodies: bool) -> dict[str, object]:
    row: dict[str, object] = {
        "seq": record.seq,
        "time_ms": record.time_ms,
        "host": record.host.value,
        "method": record.method,
        "path": record.path,
        "query": record.query,
        "body": body_text(record.body),
        "stamp": record.stamp,
        "key": record.key,
        "status": record.status,
        "fault": record.fault,
    }
    if bodies:
        row["answer"] = None if record.answer is None else body_text(record.answer, 1_000_000)
    return row
