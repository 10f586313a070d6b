"""A clock that a test turns, and a client whose venue is a function."""

from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import httpx2
import structlog

from btcbot.adapters.btcturk.rest import BtcturkHttpClient
from btcbot.adapters.btcturk.signing import Signer
from btcbot.adapters.metrics import MemoryMetrics
from btcbot.config.secrets import Secret
from btcbot.domain.intents import Side
from btcbot.domain.orders import Order, OrderStatus
from btcbot.domain.permit import Permit, PermitScope, WriteKind
from btcbot.ports import StopSignal

KEY = "test-public-key"
SECRET = "dGVzdC1zZWNyZXQta2V5LWZvci11bml0LXRlc3Rz"
NOW_MS = 1_790_133_600_000
CLIENT_ID = "btcbot-test-19a-1"


class FakeClock:
    """Both clocks, turned by hand; sleeping turns them too."""

    def __init__(self, now_ms: int = NOW_MS) -> None:
        self.wall_ms = now_ms
        self.mono_ns = 5_000_000_000
        self.slept: list[float] = []

    def now_ms(self) -> int:
        return self.wall_ms

    def monotonic_ns(self) -> int:
        return self.mono_ns

    def sleep(self, seconds: float, stop: StopSignal) -> bool:
        if stop.is_set():
            return True
        self.slept.append(seconds)
        self.pass_ms(round(seconds * 1000))
        return False

    def pass_ms(self, ms: int) -> None:
        self.wall_ms += ms
        self.mono_ns += ms * 1_000_000


class Call:
    """One request as the venue saw it."""

    def __init__(self, request: httpx2.Request) -> None:
        self.method = request.method
        self.path = request.url.path
        self.params = dict(parse_qsl(request.url.query.decode()))
        self.headers = request.headers
        self.body = request.read()
        self.host = request.url.host

    def __repr__(self) -> str:
        return f"{self.method} {self.path} {self.params}"


Reply = Callable[[Call], "httpx2.Response | tuple[int, Any] | Any"]


class Venue:
    """Answers by `reply`; server/time by the clock, unless `reply_time` is set. Keeps every call."""

    def __init__(self, clock: FakeClock, reply: Reply | None = None) -> None:
        self.clock = clock
        self.reply = reply or (lambda call: ok([]))
        self.skew_ms = 0
        self.calls: list[Call] = []
        self.time_calls = 0
        self.reply_time: Reply | None = None

    def handle(self, request: httpx2.Request) -> httpx2.Response:
        call = Call(request)
        if call.path == "/api/v2/server/time":
            self.time_calls += 1
            if self.reply_time is None:
                return httpx2.Response(200, json={"serverTime": self.clock.wall_ms + self.skew_ms})
            answer = self.reply_time(call)
        else:
            self.calls.append(call)
            answer = self.reply(call)
        if isinstance(answer, httpx2.Response):
            return answer
        if isinstance(answer, tuple):
            return httpx2.Response(answer[0], json=answer[1])
        return httpx2.Response(200, json=answer)


def ok(data: object, **more: object) -> dict[str, object]:
    return {"success": True, "message": None, "code": 0, "data": data, **more}


def no(message: str | None, code: int | str, **more: object) -> dict[str, object]:
    return {"success": False, "message": message, "code": code, **more}


def signer(key: str = KEY, secret: str = SECRET) -> Signer:
    return Signer(Secret(key), Secret(secret))


class Rig:
    """A client, its venue, its clock, its metrics and its log."""

    def __init__(self, reply: Reply | None = None, *, has_key: bool = True, **options: Any) -> None:
        self.clock = FakeClock()
        self.venue = Venue(self.clock, reply)
        self.stop = threading.Event()
        self.metrics = MemoryMetrics()
        self.log = structlog.testing.LogCapture()
        self.marks = [0]
        options.setdefault("load_mark", lambda: self.marks[-1])
        options.setdefault("save_mark", self.marks.append)
        self.client = BtcturkHttpClient(
            options.pop("base_url", "https://api.btcturk.com"),
            clock=self.clock,
            stop=self.stop,
            metrics=self.metrics,
            log=structlog.wrap_logger(None, processors=[self.log]),
            signer=signer() if has_key else None,
            transport=options.pop("transport", None) or httpx2.MockTransport(self.venue.handle),
            **options,
        )

    @property
    def calls(self) -> list[Call]:
        return self.venue.calls

    def permit(self, kind: WriteKind = WriteKind.SUBMIT, client_order_id: str = CLIENT_ID) -> Permit:
        return make_permit(kind, client_order_id, self.clock.mono_ns // 1_000_000)

    def submit(self, **changes: Any) -> Any:
        stamp_ms = self.client.take_stamp()
        return self.client.submit(make_order(stamp_ms=stamp_ms, **changes), self.permit())

    def cancel(self, **changes: Any) -> Any:
        changes.setdefault("venue_order_id", "77")
        return self.client.cancel(make_order(**changes), self.permit(WriteKind.CANCEL))


def make_permit(
    kind: WriteKind, client_order_id: str, issued_at_ms: int, scope: PermitScope = PermitScope.VENUE
) -> Permit:
    return Permit(kind=kind, scope=scope, client_order_id=client_order_id, issued_at_ms=issued_at_ms)


def make_order(**changes: Any) -> Order:
    fields: dict[str, Any] = {
        "client_order_id": CLIENT_ID,
        "intent_id": "i",
        "cycle_id": "c",
        "strategy": "s",
        "symbol": "BTCTRY",
        "side": Side.BUY,
        "price": Decimal("3712281"),
        "quantity": Decimal("0.00010000"),
        "status": OrderStatus.SUBMITTED,
        "created_at_ms": NOW_MS,
        "updated_at_ms": NOW_MS,
    }
    return Order(**{**fields, **changes})


def order_row(number: int, **changes: object) -> dict[str, object]:
    row: dict[str, object] = {
        "id": number,
        "price": "66800.00",
        "amount": "0.5",
        "quantity": "0.5",
        "stopPrice": "0.00",
        "pairSymbol": "BTCTRY",
        "pairSymbolNormalized": "BTC_TRY",
        "type": "buy",
        "method": "limit",
        "orderClientId": f"c{number}",
        "time": NOW_MS - number * 1000,
        "updateTime": NOW_MS - number * 1000,
        "status": "Untouched",
        "leftAmount": "0.5",
    }
    return {**row, **changes}


def trade_row(number: int, at_ms: int, **changes: object) -> dict[str, object]:
    row: dict[str, object] = {
        "id": 1181163798924649000 + number,
        "timestamp": at_ms,
        "amount": "0.3384",
        "fee": "-0.06297817",
        "tax": "-0.01133607",
        "price": "122.00",
        "numeratorSymbol": "BTC",
        "denominatorSymbol": "TRY",
        "orderType": "buy",
        "orderId": 9,
        "orderClientId": None,
    }
    return {**row, **changes}
