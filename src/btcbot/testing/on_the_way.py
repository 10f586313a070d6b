"""Who stands on the way between bot and venue: faults of the wire, and eyes for the checkers."""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

import httpx2
import msgspec

from btcbot.adapters.btcturk.requester import Timing
from btcbot.domain import money
from btcbot.testing.bodies import DEPTHS
from btcbot.testing.chance import place_of
from btcbot.testing.fault import Fault, Firing
from btcbot.testing.faults import FAULTS
from btcturk_sim.faults import FaultRule
from btcturk_sim.wire import Delivery, Request, Response

if TYPE_CHECKING:
    from btcbot.testing.world import World

TIME_PATH: Final = "/api/v2/server/time"
TIME_SAMPLES: Final = 3
TICKER_PATH: Final = "/api/v2/ticker"
BOOK_PATH: Final = "/api/v2/orderbook"
#: What the bot's own transport makes of connections that do not come about.
_NO_CONNECTION: Final[Mapping[str, httpx2.RequestError]] = {
    "connect_failure": httpx2.ConnectError("ConnectError: [Errno 113] No route to host"),
    "connect_time_out": httpx2.ConnectTimeout("no connection in time"),
    "dns_failure": httpx2.ConnectError("ConnectError: the name 'api.btcturk.com' cannot be looked up"),
    "tls_failure": httpx2.ConnectError(
        "ConnectError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired"
    ),
}


class _UnderWay(NamedTuple):
    fault: Fault
    firing: Firing
    rule: FaultRule | None


class _SentOrder(msgspec.Struct):
    pairSymbol: str  # noqa: N815 (as the wire has it)


def _books_of(ticker: bytes) -> Iterator[tuple[str, bytes]]:
    """What a ticker tells of each pair, as the order book that the checkers know how to read."""
    try:
        if ticker.startswith(BOM_UTF8):
            return  # the bot reads nothing that begins with a byte order mark
        rows = json.loads(ticker, parse_float=str, parse_int=str)["data"]
        told = [(row["pair"], row["bid"], row["ask"]) for row in rows if isinstance(row, dict)]
    except (ValueError, LookupError, TypeError):
        return  # nothing that anybody could trade on
    for symbol, bid, ask in told:
        yield str(symbol), json.dumps({"data": {"bids": [[bid]], "asks": [[ask]]}}).encode()


class OnTheWay:
    """The `Meddler` of a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rig = world.rig
        self._chance = world.chance
        self._under_way: _UnderWay | None = None
        #: Pairs that an order was sent for.
        self.pairs: set[str] = set()

    def sends(self, name: str, request: Request) -> None:
        self._under_way = None
        self._world.checkers.leaves(request)
        if request.method == "POST":
            self.pairs.add(msgspec.json.decode(request.body, type=_SentOrder).pairSymbol)
        if not self._world.is_stormy:
            return
        firing = self._chance.occasion("wire", place_of(name))
        if firing is None:
            return
        fault = FAULTS[firing.fault]
        if firing.fault in _NO_CONNECTION:
            self._never_leaves(name, request, firing)
        self._under_way = _UnderWay(fault, firing, self._rule(fault, firing, request))

    def _never_leaves(self, name: str, request: Request, firing: Firing) -> NoReturn:
        if firing.fault == "connect_time_out":
            self._rig.clock.advance(Timing().write_s if request.method != "GET" else Timing().read_s)
        self._world.note(firing)
        self._world.tell_wire(f"{name} no connection")
        # A new error each time: one that is raised again drags the frames of all its earlier lives along.
        error = _NO_CONNECTION[firing.fault]
        raise type(error)(*error.args)

    def _rule(self, fault: Fault, firing: Firing, request: Request) -> FaultRule | None:
        """What the venue is told to do with this request, where it is the venue that does it."""
        if fault.rule is None:
            return None
        faults = self._rig.venue.simulator.faults
        kind, params = fault.rule(firing.numbers)
        told: Mapping[str, Any] = params
        if kind in ("lag", "hide_new"):
            told = {"lag_ms": self._world.swarm.lag_ms_max * firing.numbers[0] // 1_000}
        if kind == "unauthorized":
            return faults.add(kind, path_prefix="/api/v1", count=firing.numbers[0], **told)
        if request.path == TIME_PATH:
            # All samples of one measurement, or the shortest trip would tell the truth.
            return faults.add(kind, path_prefix=request.path, count=TIME_SAMPLES, **told)
        return faults.add(kind, method=request.method, path_prefix=request.path, count=1, **told)

    def answers(self, name: str, request: Request, answer: Response) -> Response:
        if self._under_way is not None:
            under_way, self._under_way = self._under_way, None
            answer, has_struck = self._spoiled(under_way, request, answer)
            if has_struck:
                self._world.note(under_way.firing)
            elif under_way.rule is not None:
                # Something else came first. It must not strike another request later, without being told of.
                self._rig.venue.simulator.faults.remove(under_way.rule.id)
        delivery = "" if answer.transport.delivery is Delivery.SEND else f" {answer.transport.delivery.value}"
        self._world.tell_wire(f"{place_of(name)} {answer.status} {len(answer.body)}{delivery}")
        return answer

    def arrives(self, name: str, request: Request, answer: Response) -> None:
        if answer.fault == "deep_json" and len(answer.body) > DEPTHS[-1]:
            # Nobody can read it, the checkers' own reader neither.
            answer = Response(answer.status, b"", answer.headers, answer.transport, answer.fault)
        self._world.checkers.arrives(name, request, answer)
        if request.path == TICKER_PATH and answer.status == 200 and answer.transport.delivery is Delivery.SEND:
            for symbol, body in _books_of(answer.body):
                book = msgspec.structs.replace(request, path=BOOK_PATH, query=f"pairSymbol={symbol}")
                self._world.checkers.arrives(f"GET {BOOK_PATH}", book, Response(200, body))

    def _spoiled(self, under_way: _UnderWay, request: Request, answer: Response) -> tuple[Response, bool]:
        """The answer as it arrives, and whether the fault made a difference."""
        fault, firing, rule = under_way
        if rule is not None:
            if fault.name == "refused_but_placed":
                return answer, rule.hits > 0 and answer.fault == "refused_but_placed"
            return answer, rule.hits > 0
        if fault.remake is not None:
            if answer.status != 200:
                return answer, False
            body = fault.remake(answer.body, firing.numbers)
            if body == answer.body:
                return answer, False
            return Response(answer.status, body, answer.headers, answer.transport, fault.name), True
        if fault.name == "fill_while_cancelling":
            return answer, answer.status == 200 and self._fill_cancelled(request, firing.numbers[0])
        second = self._rig.venue.simulator.api.handle(request, self._rig.clock.true_ms(), resumed=True)
        if fault.name == "duplicate_second_answer":
            return second.via(second.transport, fault.name), True
        return answer, True

    def _fill_cancelled(self, request: Request, permille: int) -> bool:
        venue_order_id = int(request.query.partition("id=")[2])
        for order in self._world.our_working():
            if order.id == venue_order_id and order.resting and order.cancel_at_ms is not None:
                quantity = money.round_down(order.left * permille / 1_000, order.instrument.quantity_scale)
                if quantity > 0:
                    self._rig.venue.fill(order, quantity)
                    return True
        return False
