"""The exchange in process, as a client meets it: scripted bars, calls with signatures, and a clock that is a number."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from urllib.parse import urlencode

from btcturk_sim.auth import signature
from btcturk_sim.bars import Bar
from btcturk_sim.instruments import instrument_for
from btcturk_sim.simulator import Simulator
from btcturk_sim.wire import Host, Request, Response

T0 = 1_790_133_600_000
SECRET = base64.b64encode(b"bench secret").decode()


class ScriptedBars:
    """Bars written by hand: (open, high, low, close, volume) as text, one tuple a minute."""

    def __init__(self, bars: Mapping[str, Sequence[tuple[str, str, str, str, str]]]) -> None:
        self._bars = {symbol: [Bar(*map(Decimal, row)) for row in rows] for symbol, rows in bars.items()}
        self.instruments = tuple(
            instrument_for(symbol, [price for bar in rows for price in bar[:4]], ordinal)
            for ordinal, (symbol, rows) in enumerate(self._bars.items())
        )
        self.interval_ms = 60_000
        self.length: int | None = max(map(len, self._bars.values()))
        self.first_open_ms = 0

    def bar(self, symbol: str, index: int) -> Bar | None:
        rows = self._bars[symbol]
        return rows[index] if index < len(rows) else None

    def opening_price(self, symbol: str) -> Decimal:
        return self._bars[symbol][0].open


class Bench:
    """Calls the exchange as clients do; every signed call takes the next millisecond as its stamp."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.engine = simulator.engine
        self.api = simulator.api
        self.now_ms = T0
        self._stamp = 0

    def wait(self, milliseconds: int) -> None:
        self.now_ms += milliseconds
        self.engine.advance(self.now_ms)

    def request(
        self, method: str, path: str, body: object = None, *, key: str | None = "ALICE", host: Host = Host.REST,
        **query: object,
    ) -> Request:  # fmt: skip
        headers = {"content-type": "application/json"}
        if key is not None:
            self._stamp = max(self.now_ms + self.api.skew_ms, self._stamp + 1)
            stamp = str(self._stamp)
            signed = signature(b"bench secret", key, stamp)
            headers |= {"x-pck": key, "x-stamp": stamp, "x-signature": signed}
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return Request(method=method, path=path, query=urlencode(query, doseq=True), headers=headers, body=content,
                       host=host)  # fmt: skip

    def send(self, request: Request, *, resumed: bool = False) -> Response:
        return self.api.handle(request, self.now_ms, resumed=resumed)

    def call(self, method: str, path: str, body: object = None, **more: object) -> tuple[int, dict]:
        response = self.send(self.request(method, path, body, **more))
        return response.status, json.loads(response.body, parse_float=Decimal) if response.body else {}

    def get(self, path: str, **query: object) -> object:
        status, payload = self.call("GET", path, **query)
        assert status == 200, payload
        return payload["data"]

    def order(self, side: str, quantity: str, price: str | None = None, *, symbol: str = "BTCTRY", key: str = "ALICE",
              **fields: object) -> tuple[int, dict]:  # fmt: skip
        """Limit order if there is a price, else a market order."""
        body: dict[str, object] = {"pairSymbol": symbol, "orderType": side, "quantity": quantity}
        body |= {"orderMethod": "limit", "price": price} if price is not None else {"orderMethod": "market"}
        return self.call("POST", "/api/v1/order", body | fields, key=key)

    def place(self, side: str, quantity: str, price: str | None = None, **more: object) -> int:
        """The id of an order that must be accepted."""
        status, payload = self.order(side, quantity, price, **more)
        assert status == 200, payload
        return payload["data"]["id"]

    def cancel(self, order_id: int, *, key: str = "ALICE") -> tuple[int, dict]:
        return self.call("DELETE", "/api/v1/order", id=order_id, key=key)

    def balance(self, asset: str, key: str = "ALICE") -> tuple[str, str]:
        """(free, locked) as the wire shows them."""
        rows = {row["asset"]: row for row in self.get("/api/v1/users/balances", key=key)}
        return rows[asset]["free"], rows[asset]["locked"]

    def status(self, order_id: int, key: str = "ALICE") -> str:
        return self.get(f"/api/v1/order/{order_id}", key=key)["status"]

    def fills(self, order_id: int, key: str = "ALICE") -> list[dict]:
        return self.get("/api/v1/users/transactions/trade", orderId=order_id, key=key)

    def control(self, method: str, path: str, body: object = None, query: str = "") -> tuple[int, dict]:
        content = b"" if body is None else json.dumps(body).encode()
        answer = self.simulator.control.handle(method, path, query, content, self.now_ms)
        return answer.status, json.loads(answer.body)
