"""From a decision to the order's POST on the socket, and to its recorded outcome, durable record included.

    python -m benchmarks.order_path [--json]

The bot is the one that `bootstrap.build` makes; what is timed is `ExecutionService.submit`. Beside it, taking turns so
that all meet the same disk and the same neighbours: a bare sync, the transaction that reserves, one signed POST with
httpx2 alone, and, where ccxt happens to be installed, its `create_order`. All POSTs go to the same local venue.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib.util
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import httpx2
import msgspec
import structlog

from benchmarks.common import RUNS, Credential, Figure, Result, Venue, best, logs_to, run_alone, working_folder
from btcbot import bootstrap
from btcbot.adapters.metrics import NullMetrics
from btcbot.adapters.store import SqliteStore
from btcbot.domain import money
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Intent, Side
from btcbot.domain.ledger import Hold
from btcbot.domain.orders import Order, OrderStatus
from btcbot.services.execution import ExecutionSummary
from btcbot.strategies.base import StrategyContext

SYMBOL: Final = "BTCTRY"
ORDERS: Final = 40
WARM_UP: Final = 10
#: The client's own limits allow nine orders a second; a refusal by them would be no order.
TURN_S: Final = 0.15
ORDER_TRY: Final = Decimal(400)


class Idle:
    """Wishes nothing: the cycle before the first order is there for clock, self-check and instruments."""

    name = "idle"

    def generate(self, context: StrategyContext) -> tuple[Intent, ...]:
        return ()


class _Sends:
    """When the last bytes of the last request went to the kernel."""

    def __init__(self) -> None:
        self.left_ns = 0

    @contextmanager
    def watched(self) -> Iterator[None]:
        send, sendall = socket.socket.send, socket.socket.sendall

        def noted_send(each: socket.socket, data: Any, *more: Any) -> int:
            sent = send(each, data, *more)
            self.left_ns = time.perf_counter_ns()
            return sent

        def noted_sendall(each: socket.socket, data: Any, *more: Any) -> None:
            sendall(each, data, *more)
            self.left_ns = time.perf_counter_ns()

        with patch.object(socket.socket, "send", noted_send), patch.object(socket.socket, "sendall", noted_sendall):
            yield


class _Bare:
    """The parts alone: a sync, the reserving transaction, a POST."""

    def __init__(self, folder: Path, venue: Venue, price: Decimal, quantity: Decimal) -> None:
        self._venue = venue
        self._price, self._quantity = price, quantity
        self._block = os.urandom(4_096)
        self._file = os.open(folder / "yardstick", os.O_CREAT | os.O_RDWR)
        os.posix_fallocate(self._file, 0, 256 * 4_096)
        self._store = SqliteStore.open(folder / "bare.db")
        self._client = httpx2.Client(trust_env=False, timeout=4.0)
        self._number = 0

    def sync(self) -> None:
        self._number += 1
        os.pwrite(self._file, self._block, self._number % 256 * 4_096)
        os.fdatasync(self._file)

    def reserve(self) -> None:
        now_ms = time.time_ns() // 1_000_000
        order = Order(
            client_order_id=f"btcbot-bench-{now_ms:x}-{self._number:x}",
            intent_id=f"bare:{self._number}",
            cycle_id="bare",
            strategy="bare",
            symbol=SYMBOL,
            side=Side.BUY,
            price=self._price,
            quantity=self._quantity,
            status=OrderStatus.SUBMITTED,
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
            stamp_ms=now_ms,
        )
        with self._store.transaction() as tx:
            tx.insert_order(order)
            tx.put_hold(Hold(client_order_id=order.client_order_id, asset="TRY", amount=ORDER_TRY))

    def post(self) -> None:
        account = self._venue.others[0]
        body = msgspec.json.encode(
            {
                "quantity": money.plain(self._quantity),
                "price": money.plain(self._price),
                "stopPrice": "0",
                "newOrderClientId": f"bare-{self._number}",
                "orderMethod": "limit",
                "orderType": "buy",
                "pairSymbol": SYMBOL,
            }
        )
        answer = self._client.post(f"{self._venue.url}/api/v1/order", content=body, headers=signed(account))
        assert answer.json()["success"], answer.text

    def close(self) -> None:
        self._client.close()
        self._store.close()
        os.close(self._file)


def signed(account: Credential) -> dict[str, str]:
    """Headers of one private request, made with nothing but the standard library."""
    stamp = str(time.time_ns() // 1_000_000)
    digest = hmac.digest(base64.b64decode(account.secret), (account.key + stamp).encode(), hashlib.sha256)
    return {
        "X-PCK": account.key,
        "X-Stamp": stamp,
        "X-Signature": base64.b64encode(digest).decode(),
        "Content-Type": "application/json",
    }


def _ccxt_order(venue: Venue, instrument: Instrument, price: Decimal, quantity: Decimal) -> Callable[[], object] | None:
    """One `create_order` of ccxt against the same venue, or None where it is not installed."""
    if importlib.util.find_spec("ccxt") is None:
        return None
    import ccxt  # type: ignore[import-not-found, unused-ignore]

    account = venue.others[1]
    exchange = ccxt.btcturk({"apiKey": account.key, "secret": account.secret, "enableRateLimit": False})
    for name in exchange.urls["api"]:
        exchange.urls["api"][name] = f"{venue.url}/api/v1"
    precision = {"amount": float(instrument.lot), "price": float(instrument.tick)}
    limits: dict[str, dict[str, float | None]] = {
        name: {"min": None, "max": None} for name in ("amount", "price", "cost", "leverage")
    }
    market = {
        "id": SYMBOL, "symbol": "BTC/TRY", "base": "BTC", "quote": "TRY", "baseId": "BTC", "quoteId": "TRY",
        "type": "spot", "spot": True, "active": True, "contract": False, "swap": False, "future": False,
        "option": False, "margin": False, "settle": None, "linear": None, "inverse": None,
        "precision": precision, "limits": limits, "info": {},
    }  # fmt: skip
    exchange.set_markets([market])
    return lambda: exchange.create_order("BTC/TRY", "limit", "buy", float(quantity), float(price))


def measure() -> Result:
    sends = _Sends()
    names = ("POST left", "outcome recorded", "CPU", "bare sync", "reserve alone", "httpx2 POST alone", "ccxt")
    runs: dict[str, list[list[float]]] = {name: [] for name in names}
    with working_folder() as folder, Venue(folder, others=2) as venue:
        settings = venue.settings(folder / "path.db")
        with logs_to(folder / "path.log", settings):
            bot = bootstrap.build(
                settings,
                stop=threading.Event(),
                metrics=NullMetrics(),
                log=structlog.get_logger("btcbot"),
                strategy=Idle(),
            )
            report = bot.run_cycle()
            assert not report.reasons, report.reasons
            instrument = bot.exchange.instruments()[SYMBOL]
            # Rests below the market, so that the venue's matching takes no part.
            price = instrument.price_down(venue.bid(SYMBOL) * Decimal("0.97"))
            quantity = money.divide_down(ORDER_TRY, price, instrument.quantity_scale)
            bare = _Bare(folder, venue, price, quantity)
            ccxt_order = _ccxt_order(venue, instrument, price, quantity)
            acts: dict[str, Callable[[], object]] = {
                "bare sync": bare.sync,
                "reserve alone": bare.reserve,
                "httpx2 POST alone": bare.post,
            }
            if ccxt_order is not None:
                acts["ccxt"] = ccxt_order
            try:
                with sends.watched():
                    for number in range(-WARM_UP, RUNS * ORDERS):
                        turn_ends_s = time.monotonic() + TURN_S
                        if number >= 0 and number % ORDERS == 0:
                            for name in names:
                                runs[name].append([])
                        intent = Intent(
                            intent_id=f"path:{number}",
                            cycle_id=report.cycle_id,
                            strategy="path",
                            symbol=SYMBOL,
                            side=Side.BUY,
                            price=price,
                            quantity=quantity,
                            why="measured",
                        )
                        cpu, started = time.process_time_ns(), time.perf_counter_ns()
                        order = bot.services.execution.submit(intent, instrument, ExecutionSummary())
                        ended, cpu = time.perf_counter_ns(), time.process_time_ns() - cpu
                        assert order is not None and order.status is OrderStatus.ACCEPTED, order
                        if number >= 0:
                            runs["POST left"][-1].append((sends.left_ns - started) / 1e6)
                            runs["outcome recorded"][-1].append((ended - started) / 1e6)
                            runs["CPU"][-1].append(cpu / 1e6)
                        for name, act in acts.items():
                            started = time.perf_counter_ns()
                            act()
                            if number >= 0:
                                runs[name][-1].append((time.perf_counter_ns() - started) / 1e6)
                        time.sleep(max(turn_ends_s - time.monotonic(), 0))
            finally:
                bare.close()
                bot.close()
    figures: list[Figure] = [
        best("intent to POST on the socket", "ms", runs["POST left"], goal=5),
        best("intent to recorded outcome", "ms", runs["outcome recorded"]),
        best("intent to recorded outcome: CPU of the bot", "ms", runs["CPU"]),
        best("beside: fdatasync of 4 KiB", "ms", runs["bare sync"]),
        best("beside: reserve transaction", "ms", runs["reserve alone"]),
        best("beside: signed POST with httpx2, answered", "ms", runs["httpx2 POST alone"]),
    ]
    notes = [f"{RUNS} runs of {ORDERS} orders, one every {TURN_S} s"]
    if ccxt_order is None:
        notes.append("ccxt is not installed (it is no dependency): its create_order was not measured")
    else:
        import ccxt  # type: ignore[import-not-found, unused-ignore]

        figures.append(best("beside: ccxt create_order, no durable record", "ms", runs["ccxt"]))
        notes.append(f"ccxt {ccxt.__version__}")
    return Result(name="order_path", figures=figures, notes=notes)


if __name__ == "__main__":
    run_alone(measure)
