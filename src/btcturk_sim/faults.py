"""Faults on order: what can go wrong between a client and the exchange, switched at run time.

A rule names a kind, which requests it meets, and how often. Kinds fall in three groups:

before the act  (the exchange never sees the request)
    lost_before          connection closed without an answer
    half_open            {acted: false}              no answer, and the connection stays open
    reset                {acted: false}              the connection is broken (RST) without an answer
    status_before        {status, body?}             5xx answered, nothing done
    html_before          {status}                    a proxy's HTML page instead of JSON
    rate_limited         {retry_after?, policy?}     429, whatever the quota says; retry_after null leaves it out
    unauthorized         {message?, success?}        401
    delay_before         {delay_ms}                  the request arrives late: acted on after the delay
after the act  (it was done; the answer suffers)
    lost_after           connection closed without an answer
    half_open            {acted?: true}              no answer, the connection stays open until the client closes it
    reset                {acted?: true}              the connection is broken (RST) without an answer
    slow_body            {over_ms}                   the body comes byte by byte, the last one `over_ms` later
    status_after         {status, body?}
    html_after           {status}
    truncated            {cut_at?}                   half the body, or `cut_at` bytes, then a closed connection
    huge_body            {bytes?}                    the answer grows by 9 MB of blanks
    delay_after          {delay_ms}
    refused_but_placed   {message?, code?}           an accepted order is answered with an error
    raw_body             {body, status?, content_type?}  any bytes at all instead of the answer
while acting
    lag                  {lag_ms}                    lists show the state of `lag_ms` ago
    hide_new             {lag_ms}                    lists leave out orders and trades younger than `lag_ms`
    cancel_lost          the cancel is answered with success and forgotten
    duplicate            the request is carried out twice, answered once
while acting, where there is something to spoil: a rule that finds nothing does not strike and is not used up
    accepted_then_canceled {after_ms?}               a new order is accepted, never reaches the book, and is Canceled
                                                     at once or that much later
    id_reused            {age_ms?}                   a new order gets the id of the account's order that ended longest
                                                     ago (at least `age_ms` ago); answers and lists show it, reads and
                                                     cancels by this id find the new one
    rows_missing         {seed?} or {start?, rows}   a list of orders, trades or transfers leaves out a run of rows:
                                                     drawn from `seed`, or `rows` of them from row `start` (0)
    shifted_page         {rows?}                     a page after the first (`page` of allOrders, `endDate` of trades)
                                                     begins one row (or `rows`) earlier, as if new ones had come
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from random import Random
from typing import Any

from btcturk_sim.limits import Exceeded, Policy
from btcturk_sim.wire import JSON_TYPE, Delivery, Request, Response, Transport, json_response

HTML = (
    '<!DOCTYPE html>\n<html lang="en-US"><head><title>api.btcturk.com | {status}: {text}</title></head>\n'
    "<body><h1>{text}</h1><p>Error code {status}</p><p>Cloudflare Ray ID: 8f0c0ffee0000000</p></body></html>\n"
)
_DENIED = (
    '<!DOCTYPE html>\n<html lang="en-US"><head><title>Access denied | api.btcturk.com used Cloudflare to restrict '
    "access</title></head>\n<body><h1>Error 1006</h1><p>Access denied</p></body></html>\n"
)
_HTML_TEXTS = {502: "Bad gateway", 503: "Service unavailable", 504: "Gateway time-out", 520: "Web server is unknown"}


class Phase(StrEnum):
    BEFORE = "before"
    WHILE = "while"
    AFTER = "after"


class Kind(StrEnum):
    LOST_BEFORE = "lost_before"
    STATUS_BEFORE = "status_before"
    HTML_BEFORE = "html_before"
    RATE_LIMITED = "rate_limited"
    UNAUTHORIZED = "unauthorized"
    DELAY_BEFORE = "delay_before"
    LOST_AFTER = "lost_after"
    STATUS_AFTER = "status_after"
    HTML_AFTER = "html_after"
    TRUNCATED = "truncated"
    HUGE_BODY = "huge_body"
    DELAY_AFTER = "delay_after"
    REFUSED_BUT_PLACED = "refused_but_placed"
    RAW_BODY = "raw_body"
    LAG = "lag"
    HIDE_NEW = "hide_new"
    CANCEL_LOST = "cancel_lost"
    DUPLICATE = "duplicate"
    ACCEPTED_THEN_CANCELED = "accepted_then_canceled"
    ID_REUSED = "id_reused"
    ROWS_MISSING = "rows_missing"
    SHIFTED_PAGE = "shifted_page"
    HALF_OPEN = "half_open"
    RESET = "reset"
    SLOW_BODY = "slow_body"


_BEFORE = {Kind.LOST_BEFORE, Kind.STATUS_BEFORE, Kind.HTML_BEFORE, Kind.RATE_LIMITED, Kind.UNAUTHORIZED,
           Kind.DELAY_BEFORE}  # fmt: skip
#: Kinds that need something to spoil: an accepted order, an ended one, rows, a second page.
SELECTIVE = frozenset({Kind.ACCEPTED_THEN_CANCELED, Kind.ID_REUSED, Kind.ROWS_MISSING, Kind.SHIFTED_PAGE})
_WHILE = {Kind.LAG, Kind.HIDE_NEW, Kind.CANCEL_LOST, Kind.DUPLICATE, *SELECTIVE}

#: Parameters of each kind: name → (type, whether it must be given).
_PARAMS: Mapping[Kind, Mapping[str, tuple[type, bool]]] = {
    Kind.STATUS_BEFORE: {"status": (int, True), "body": (str, False)},
    Kind.STATUS_AFTER: {"status": (int, True), "body": (str, False)},
    Kind.HTML_BEFORE: {"status": (int, True)},
    Kind.HTML_AFTER: {"status": (int, True)},
    Kind.RATE_LIMITED: {"retry_after": (object, False), "policy": (str, False)},
    Kind.UNAUTHORIZED: {"message": (str, False), "success": (bool, False)},
    Kind.DELAY_BEFORE: {"delay_ms": (int, True)},
    Kind.DELAY_AFTER: {"delay_ms": (int, True)},
    Kind.TRUNCATED: {"cut_at": (int, False)},
    Kind.HUGE_BODY: {"bytes": (int, False)},
    Kind.REFUSED_BUT_PLACED: {"message": (str, False), "code": (int, False)},
    Kind.RAW_BODY: {"body": (str, True), "status": (int, False), "content_type": (str, False)},
    Kind.LAG: {"lag_ms": (int, True)},
    Kind.HIDE_NEW: {"lag_ms": (int, True)},
    Kind.ACCEPTED_THEN_CANCELED: {"after_ms": (int, False)},
    Kind.ID_REUSED: {"age_ms": (int, False)},
    Kind.ROWS_MISSING: {"seed": (int, False), "start": (int, False), "rows": (int, False)},
    Kind.SHIFTED_PAGE: {"rows": (int, False)},
    Kind.HALF_OPEN: {"acted": (bool, False)},
    Kind.RESET: {"acted": (bool, False)},
    Kind.SLOW_BODY: {"over_ms": (int, True)},
}


@dataclass(slots=True)
class FaultRule:
    """`count` None means without end; `probability` is drawn in parts per million."""

    id: int
    kind: Kind
    method: str | None = None
    path_prefix: str = "/"
    key: str | None = None
    count: int | None = None
    probability_ppm: int = 1_000_000
    params: dict[str, Any] = field(default_factory=dict)
    hits: int = 0

    @property
    def phase(self) -> Phase:
        if self.params.get("acted") is False:
            return Phase.BEFORE
        return Phase.BEFORE if self.kind in _BEFORE else Phase.WHILE if self.kind in _WHILE else Phase.AFTER

    def meets(self, request: Request) -> bool:
        return (
            self.count != 0
            and (self.method is None or self.method == request.method)
            and request.path.lower().startswith(self.path_prefix)
            and (self.key is None or self.key == request.key)
        )

    def shown(self) -> dict[str, object]:
        return {
            "id": self.id,
            "kind": self.kind.value,
            "match": {"method": self.method, "path": self.path_prefix, "key": self.key},
            "count": self.count,
            "probability_ppm": self.probability_ppm,
            "params": self.params,
            "hits": self.hits,
        }


def checked_parameters(
    kind: str, allowed: Mapping[str, tuple[type, bool]], params: Mapping[str, object]
) -> dict[str, Any]:
    """The parameters of a rule, if its kind takes them; ValueError says what is wrong. `allowed` as in `_PARAMS`."""
    for name, value in params.items():
        if name not in allowed:
            raise ValueError(f"{kind} knows no parameter {name!r}; it takes {sorted(allowed) or 'none'}")
        wanted = allowed[name][0]
        if not isinstance(value, wanted) or (wanted is int and (isinstance(value, bool) or int(str(value)) < 0)):
            raise ValueError(f"{kind}: {name} must be {wanted.__name__}, got {value!r}")
    missing = [name for name, (_, needed) in allowed.items() if needed and name not in params]
    if missing:
        raise ValueError(f"{kind} needs {', '.join(missing)}")
    return dict(params)


def check_how_often(count: int | None, probability_ppm: int) -> None:
    """ValueError where a rule could never strike, or more often than always."""
    if not 0 <= probability_ppm <= 1_000_000:
        raise ValueError("probability_ppm lies between 0 and 1000000")
    if count is not None and count < 1:
        raise ValueError("count is at least 1; leave it out for no end")


class FaultRegistry:
    def __init__(self, seed: int = 1) -> None:
        self._random = Random(f"faults-{seed}")  # noqa: S311 (a market is not a secret)
        self._rules: dict[int, FaultRule] = {}
        self._last_id = 0
        #: How often each kind struck, over the whole run.
        self.struck: Counter[str] = Counter()

    def add(
        self,
        kind: Kind | str,
        *,
        method: str | None = None,
        path_prefix: str = "/",
        key: str | None = None,
        count: int | None = None,
        probability_ppm: int = 1_000_000,
        **params: object,
    ) -> FaultRule:
        """Register a rule; ValueError says what is wrong with it."""
        kind = Kind(kind)
        checked = checked_parameters(kind.value, _PARAMS.get(kind, {}), params)
        check_how_often(count, probability_ppm)
        rule = FaultRule(self.next_id(), kind, method and method.upper(), path_prefix.lower(), key, count,
                         probability_ppm, checked)  # fmt: skip
        self._rules[rule.id] = rule
        return rule

    def next_id(self) -> int:
        """A number for a new rule, here or in the feed."""
        self._last_id += 1
        return self._last_id

    def remove(self, rule_id: int) -> bool:
        return self._rules.pop(rule_id, None) is not None

    def clear(self) -> None:
        self._rules.clear()

    def rules(self) -> list[FaultRule]:
        return list(self._rules.values())

    def strike(self, request: Request, *, resumed: bool) -> list[FaultRule]:
        """The rules that strike this request, in order of their making; each strike is counted.

        A request that was deferred comes back with `resumed`: what was before the act is behind it.
        """
        if not self._rules:
            return []
        struck = []
        for rule in list(self._rules.values()):
            if not rule.meets(request) or (resumed and rule.phase is Phase.BEFORE):
                continue
            if rule.probability_ppm < 1_000_000 and self._random.randrange(1_000_000) >= rule.probability_ppm:
                continue
            struck.append(rule)
            # Only one thing can happen to a request before the exchange sees it; nothing follows but a delay.
            if rule.phase is Phase.BEFORE:
                struck = [rule]
                break
        for rule in struck:
            rule.hits += 1
            self.struck[rule.kind.value] += 1
            if rule.count is not None:
                rule.count -= 1
                if rule.count == 0:
                    self._rules.pop(rule.id, None)
        return struck

    def take_back(self, rule: FaultRule) -> None:
        """The strike found nothing to spoil: it did not happen."""
        rule.hits -= 1
        self.struck[rule.kind.value] -= 1
        if not self.struck[rule.kind.value]:
            del self.struck[rule.kind.value]
        if rule.count is not None:
            rule.count += 1
            if rule.id not in self._rules:
                # Just used up: it takes its place again, for rules strike in the order of their making.
                self._rules = dict(sorted((self._rules | {rule.id: rule}).items()))


def _error_body(rule: FaultRule) -> bytes:
    body = rule.params.get("body")
    if body is not None:
        return str(body).encode()
    return b'{"success":false,"message":"INTERNAL_ERROR","code":500}'


def _html(rule: FaultRule) -> Response:
    status = rule.params["status"]
    text = _HTML_TEXTS.get(status, "Error")
    return Response(
        status, HTML.format(status=status, text=text).encode(), (("Content-Type", "text/html; charset=UTF-8"),)
    )


def access_denied() -> Response:
    """What a blocked address is told: not by the exchange, but by what stands before it."""
    return Response(403, _DENIED.encode(), (("Content-Type", "text/html; charset=UTF-8"),))


def answer_before(rule: FaultRule) -> Response:
    """The answer to a request the exchange never sees."""
    name = rule.kind.value
    match rule.kind:
        case Kind.LOST_BEFORE:
            return Response(0, b"", (), Transport(Delivery.DROP), name)
        case Kind.HALF_OPEN:
            return Response(0, b"", (), Transport(Delivery.HANG), name)
        case Kind.RESET:
            return Response(0, b"", (), Transport(Delivery.RESET), name)
        case Kind.DELAY_BEFORE:
            return Response(0, b"", (), Transport(Delivery.DEFER, delay_ms=rule.params["delay_ms"]), name)
        case Kind.STATUS_BEFORE:
            return Response(rule.params["status"], _error_body(rule), fault=name)
        case Kind.HTML_BEFORE:
            return _html(rule).via(Transport(), name)
        case Kind.RATE_LIMITED:
            exceeded = Exceeded(0, 120, "1m", Policy(rule.params.get("policy", "ip")))
            wait = rule.params.get("retry_after", 1)
            headers = () if wait is None else (("Retry-After", str(wait)),)
            return json_response(429, exceeded.payload(), *headers).via(Transport(), name)
        case _:
            payload = {
                "success": bool(rule.params.get("success", False)),
                "message": rule.params.get("message", "Unauthorized - Invalid Nonce"),
                "code": 1037,
            }
            return json_response(401, payload).via(Transport(), name)


def alter_after(rule: FaultRule, request: Request, response: Response) -> Response:
    """What becomes of the answer to a request that was carried out."""
    name = rule.kind.value
    match rule.kind:
        case Kind.LOST_AFTER:
            return response.via(replace(response.transport, delivery=Delivery.DROP), name)
        case Kind.HALF_OPEN:
            return response.via(replace(response.transport, delivery=Delivery.HANG), name)
        case Kind.RESET:
            return response.via(replace(response.transport, delivery=Delivery.RESET), name)
        case Kind.SLOW_BODY:
            spread_ms = rule.params["over_ms"]
            return response.via(replace(response.transport, delivery=Delivery.DRIBBLE, spread_ms=spread_ms), name)
        case Kind.STATUS_AFTER:
            return Response(rule.params["status"], _error_body(rule), transport=response.transport, fault=name)
        case Kind.HTML_AFTER:
            return _html(rule).via(response.transport, name)
        case Kind.TRUNCATED:
            cut_at = min(rule.params.get("cut_at", len(response.body) // 2), len(response.body))
            return response.via(replace(response.transport, delivery=Delivery.TRUNCATE, cut_at=cut_at), name)
        case Kind.HUGE_BODY:
            size = rule.params.get("bytes", 9_000_000)
            return response.via(replace(response.transport, delivery=Delivery.STREAM, stream_bytes=size), name)
        case Kind.DELAY_AFTER:
            return response.via(replace(response.transport, delay_ms=rule.params["delay_ms"]), name)
        case Kind.REFUSED_BUT_PLACED:
            if request.method != "POST" or response.status != 200:
                return response
            payload = {
                "httpStatusCode": 400,
                "data": None,
                "success": False,
                "message": rule.params.get("message", "FAILED_ORDER_WITH_OPEN_ORDERS"),
                "code": rule.params.get("code", 1122),
            }
            return json_response(400, payload).via(response.transport, name)
        case Kind.RAW_BODY:
            headers = (("Content-Type", str(rule.params.get("content_type", JSON_TYPE))),)
            status = rule.params.get("status", response.status)
            return Response(status, str(rule.params["body"]).encode(), headers, response.transport, name)
        case _:
            return response
