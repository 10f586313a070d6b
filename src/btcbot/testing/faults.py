"""What can go wrong, by name: the catalogue of the fault simulation.

A fault belongs to a *site*, the place where it may strike: a request on its way (`wire`), any of the points that the
bot passes on its way to the world (`point`), or the pause before a cycle (`beat`). On each occasion chance decides
whether it strikes, how hard (`numbers`), and what struck is kept as a `Firing`: a list of those is a story that can be
told again, and made shorter.

`ABSENT` names what the plan knows and this catalogue does not do yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Final, Literal

import msgspec

Numbers = tuple[int, ...]
Site = Literal["wire", "point", "beat"]

ORDER: Final = "/api/v1/order"
OPEN_ORDERS: Final = "GET /api/v1/openOrders"
ALL_ORDERS: Final = "GET /api/v1/allOrders"
SINGLE_ORDER: Final = "GET /api/v1/order/N"
BALANCES: Final = "GET /api/v1/users/balances"
TIME: Final = "GET /api/v2/server/time"
TRADES: Final = "GET /api/v1/users/transactions/trade"
BOOK: Final = "GET /api/v2/orderbook"
SUBMIT: Final = "POST /api/v1/order"
CANCEL: Final = "DELETE /api/v1/order"


class Firing(msgspec.Struct, frozen=True):
    """One fault that struck: the `nth` occasion at `place` in this cycle, with what chance gave it."""

    cycle: int
    place: str
    nth: int
    fault: str
    numbers: Numbers = ()

    def __str__(self) -> str:
        drawn = f" {','.join(map(str, self.numbers))}" if self.numbers else ""
        return f"cycle {self.cycle}: {self.place} #{self.nth}: {self.fault}{drawn}"


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """`ppm` is the range of its rate for one occasion, in parts per million; `at` says which places know it."""

    name: str
    group: str
    what: str
    site: Site
    ppm: tuple[int, int]
    at: Callable[[str], bool]
    draw: Callable[[Random], Numbers]
    #: A kind of `btcturk_sim.faults` and its parameters, where the venue itself plays it.
    rule: Callable[[Numbers], tuple[str, Mapping[str, object]]] | None = None
    #: The body that the bot gets in place of the venue's.
    remake: Callable[[bytes, Numbers], bytes] | None = None


def anywhere(place: str) -> bool:
    return True


def only(*places: str) -> Callable[[str], bool]:
    return lambda place: place in places


def is_private(place: str) -> bool:
    return "/api/v1/" in place


def is_read(place: str) -> bool:
    return place.startswith("GET")


def is_list(place: str) -> bool:
    return place in (TRADES, ALL_ORDERS)


def nothing(random: Random) -> Numbers:
    return ()


def between(*ranges: tuple[int, int]) -> Callable[[Random], Numbers]:
    """One number from each range, ends included."""
    return lambda random: tuple(random.randint(low, high) for low, high in ranges)


def one_of(*choices: int) -> Callable[[Random], Numbers]:
    return lambda random: (random.choice(choices),)


# -- bodies --------------------------------------------------------------------------------------------------------

_ABSURD_WAITS: Final = ("99999999999", "-5", "soon", "3600", "")
_NOT_NUMBERS: Final = (b"NaN", b"Infinity", b"-Infinity", b"1e400", b"true", b'"abc"', b"[]", b"{}")
_HUGE: Final = (b"1e60", b"9" * 60, b'"' + b"9" * 60 + b'"', b'"1e99"')
_WRONG_SHAPES: Final = (
    b"[]",
    b"{}",
    b"null",
    b'""',
    b"0",
    b'{"data":7,"success":true,"code":0,"message":null}',
    b"[[[[",
)
#: Names of fields that hold amounts, wherever they stand.
_AMOUNTS: Final = (
    b'"amount":', b'"price":', b'"quantity":', b'"leftAmount":', b'"free":', b'"locked":', b'"balance":', b'"fee":',
)  # fmt: skip


def _with_amount(body: bytes, numbers: Numbers, values: tuple[bytes, ...]) -> bytes:
    """The body with one of its amounts replaced; as it is where it has none."""
    places = [at + len(name) for name in _AMOUNTS for at in _found(body, name)]
    if not places:
        return body
    start = sorted(places)[numbers[0] % len(places)]
    end = start
    if body[start : start + 1] == b'"':
        end = body.index(b'"', start + 1) + 1
    else:
        while body[end : end + 1] not in (b",", b"}", b"]"):
            end += 1
    return body[:start] + values[numbers[1] % len(values)] + body[end:]


def _found(body: bytes, name: bytes) -> list[int]:
    found, at = [], body.find(name)
    while at >= 0:
        found.append(at)
        at = body.find(name, at + 1)
    return found


class _Listed(msgspec.Struct):
    data: list[msgspec.Raw]
    success: bool
    message: str | None
    code: msgspec.Raw


def _with_rows(body: bytes, change: Callable[[list[msgspec.Raw]], list[msgspec.Raw]]) -> bytes:
    try:
        listed = msgspec.json.decode(body, type=_Listed)
    except msgspec.DecodeError:
        return body
    if not listed.data:
        return body
    listed.data = change(listed.data)
    return msgspec.json.encode(listed)


def _shuffled(body: bytes, numbers: Numbers) -> bytes:
    def change(rows: list[msgspec.Raw]) -> list[msgspec.Raw]:
        Random(numbers[0]).shuffle(rows)  # noqa: S311 (no secret)
        return rows

    return _with_rows(body, change)


def _doubled(body: bytes, numbers: Numbers) -> bytes:
    return _with_rows(body, lambda rows: rows + rows[: 1 + numbers[0] % len(rows)])


def _crossed(body: bytes, numbers: Numbers) -> bytes:
    """Bids and asks trade their names."""
    return body.replace(b'"bids"', b'"?"').replace(b'"asks"', b'"bids"').replace(b'"?"', b'"asks"')


def _one_sided(body: bytes, numbers: Numbers) -> bytes:
    """One side of the book is empty."""
    name = (b'"bids":[', b'"asks":[')[numbers[0] % 2]
    start = body.find(name)
    end = body.find(b"]]", start)
    return body if start < 0 or end < 0 else body[: start + len(name)] + body[end + 1 :]


# -- the catalogue -------------------------------------------------------------------------------------------------


def _wire(
    name: str,
    group: str,
    what: str,
    ppm: tuple[int, int],
    at: Callable[[str], bool] = anywhere,
    draw: Callable[[Random], Numbers] = nothing,
    rule: Callable[[Numbers], tuple[str, Mapping[str, object]]] | None = None,
    remake: Callable[[bytes, Numbers], bytes] | None = None,
) -> Fault:
    return Fault(name=name, group=group, what=what, site="wire", ppm=ppm, at=at, draw=draw, rule=rule, remake=remake)


def _point(
    name: str, group: str, what: str, ppm: tuple[int, int], at: Callable[[str], bool], draw: Callable[[Random], Numbers]
) -> Fault:
    return Fault(name=name, group=group, what=what, site="point", ppm=ppm, at=at, draw=draw)


def _beat(name: str, group: str, what: str, ppm: tuple[int, int], draw: Callable[[Random], Numbers] = nothing) -> Fault:
    return Fault(name=name, group=group, what=what, site="beat", ppm=ppm, at=anywhere, draw=draw)


_RARE: Final = (1_000, 10_000)
_SOME: Final = (4_000, 30_000)
_MANY: Final = (20_000, 150_000)
_OFTEN: Final = (50_000, 350_000)
_WRITE: Final = only(SUBMIT, CANCEL)
_PICK: Final = between((0, 999), (1, 999))

_ALL: Final = (
    # sending
    _wire("lost_before", "sending", "the request is lost before the venue", _SOME,
          rule=lambda n: ("lost_before", {})),
    _wire("lost_after", "sending", "the venue acts, its answer is lost", _SOME,
          rule=lambda n: ("lost_after", {})),
    _wire("lost_after_write", "sending", "a write is carried out and its answer lost", _MANY, _WRITE,
          rule=lambda n: ("lost_after", {})),
    _wire("lost_before_write", "sending", "a write is lost before the venue", _MANY, _WRITE,
          rule=lambda n: ("lost_before", {})),
    _wire("reset_mid_body", "sending", "the connection ends in the middle of the answer", _SOME,
          draw=between((0, 200)), rule=lambda n: ("truncated", {"cut_at": n[0]})),
    _wire("duplicate_delivery", "sending", "a proxy delivers the request twice; the first answer is told", _SOME),
    _wire("duplicate_second_answer", "sending", "a proxy delivers it twice; the second answer is told", _RARE,
          is_private),
    _wire("slow_within", "sending", "the answer is slow, within the deadline", _SOME,
          draw=between((300, 3_500)), rule=lambda n: ("delay_after", {"delay_ms": n[0]})),
    _wire("slow_beyond", "sending", "the answer comes after the deadline", _SOME,
          draw=between((8_100, 12_000)), rule=lambda n: ("delay_after", {"delay_ms": n[0]})),
    _wire("late_inside", "sending", "a write arrives after our deadline and within its stamp", _MANY, _WRITE,
          between((4_050, 4_850)), lambda n: ("delay_before", {"delay_ms": n[0]})),
    _wire("late_outside", "sending", "a write arrives when its stamp is too old", _MANY, _WRITE,
          between((5_200, 9_000)), lambda n: ("delay_before", {"delay_ms": n[0]})),
    _wire("connect_failure", "sending", "no connection comes about", _SOME),
    # answers
    _wire("status_before", "answers", "a 5xx before the venue acts", _SOME, anywhere, one_of(500, 502, 503, 504),
          lambda n: ("status_before", {"status": n[0]})),
    _wire("status_after", "answers", "a 5xx after the venue has acted", _SOME, anywhere, one_of(500, 502, 503, 504),
          lambda n: ("status_after", {"status": n[0]})),
    _wire("html_before", "answers", "a page of HTML before the venue acts", _SOME, anywhere, one_of(502, 503, 520),
          lambda n: ("html_before", {"status": n[0]})),
    _wire("html_after", "answers", "a page of HTML, with status 200 too, after the venue has acted", _SOME, anywhere,
          one_of(200, 502, 504, 520), lambda n: ("html_after", {"status": n[0]})),
    _wire("rate_limited", "answers", "429 with Retry-After", _SOME, anywhere, between((1, 20)),
          lambda n: ("rate_limited", {"retry_after": n[0]})),
    _wire("rate_limited_bare", "answers", "429 without Retry-After", _SOME,
          rule=lambda n: ("rate_limited", {"retry_after": None})),
    _wire("rate_limited_absurd", "answers", "429 with an absurd Retry-After", _RARE, anywhere, between((0, 4)),
          lambda n: ("rate_limited", {"retry_after": _ABSURD_WAITS[n[0]]})),
    _wire("unauthorized", "answers", "one to five answers 401 in a row", _RARE, is_private, between((1, 5)),
          lambda n: ("unauthorized", {})),
    _wire("yes_and_no", "answers", "status 200, success true, and the code of a refusal", _SOME, is_private,
          rule=lambda n: ("status_before", {"status": 200, "body":
                          '{"success":true,"message":"Invalid request","code":1037,"data":null}'})),
    _wire("empty_body", "answers", "an answer without a body", _SOME, remake=lambda body, n: b""),
    _wire("huge_body", "answers", "more bytes than anybody can want", (200, 2_000), anywhere, nothing,
          lambda n: ("huge_body", {"bytes": 8_400_000})),
    _wire("wrong_shape", "answers", "JSON of another shape", _SOME, anywhere, between((0, 999)),
          remake=lambda body, n: _WRONG_SHAPES[n[0] % len(_WRONG_SHAPES)]),
    _wire("not_a_number", "answers", "NaN, an infinity or another type in place of an amount", _SOME, is_private,
          between((0, 999), (0, 999)), remake=lambda body, n: _with_amount(body, n, _NOT_NUMBERS)),
    _wire("huge_number", "answers", "an amount that cannot be", _SOME, is_private, between((0, 999), (0, 999)),
          remake=lambda body, n: _with_amount(body, n, _HUGE)),
    _wire("byte_order_mark", "answers", "a byte order mark before the JSON", _SOME,
          remake=lambda body, n: b"\xef\xbb\xbf" + body),
    _wire("extra_fields", "answers", "fields that nobody knows", _SOME,
          remake=lambda body, n: body.replace(b"{", b'{"news":{"a":[1,null]},', 1)),
    # reads
    _wire("open_orders_lag", "reads", "the list of open orders is old", _OFTEN, only(OPEN_ORDERS),
          between((1, 999)), lambda n: ("lag", {})),
    _wire("all_orders_lag", "reads", "the list of all orders is old", _OFTEN, only(ALL_ORDERS),
          between((1, 999)), lambda n: ("lag", {})),
    _wire("single_order_lag", "reads", "an order is told as it was, or not yet known", _OFTEN, only(SINGLE_ORDER),
          between((1, 999)), lambda n: ("lag", {})),
    _wire("trades_lag", "reads", "the trade list is old", _OFTEN, only(TRADES), between((1, 999)),
          lambda n: ("lag", {})),
    _wire("balances_lag", "reads", "the balances are old", _OFTEN, only(BALANCES), between((1, 999)),
          lambda n: ("lag", {})),
    _wire("hide_new", "reads", "young orders are left out of a list", _OFTEN, only(OPEN_ORDERS, ALL_ORDERS),
          between((1, 999)), lambda n: ("hide_new", {})),
    _wire("rows_shuffled", "reads", "a list is out of order", _MANY, is_list, between((0, 999_999)),
          remake=_shuffled),
    _wire("rows_doubled", "reads", "rows of a list appear twice", _MANY, is_list, between((0, 999)),
          remake=_doubled),
    _wire("crossed_book", "reads", "best bid above best ask", _SOME, only(BOOK), remake=_crossed),
    _wire("one_sided_book", "reads", "one side of the book is empty", _SOME, only(BOOK), between((0, 1)),
          remake=_one_sided),
    _beat(
        "replica_lag", "reads", "everything that is told of the account is old, for one to three cycles", _MANY,
        between((300, 999), (1, 3)),
    ),
    # orders
    _wire("refused_but_placed", "orders", "a refusal is answered and the order placed", _MANY, only(SUBMIT),
          rule=lambda n: ("refused_but_placed", {})),
    _wire("cancel_lost", "orders", "a cancellation is confirmed and never happens", _MANY, only(CANCEL),
          rule=lambda n: ("cancel_lost", {})),
    _wire("fill_while_cancelling", "orders", "an order trades between the cancellation's answer and its effect",
          _OFTEN, only(CANCEL), between((1, 1_000))),
    _point("partial_fill", "orders", "somebody takes a part of a resting order, at any moment", _RARE, anywhere, _PICK),
    _beat("whole_fill", "orders", "somebody takes all that is left of a resting order", _MANY, _PICK),
    _beat("human_cancel", "orders", "somebody cancels our order by hand", _MANY, _PICK),
    _beat("price_jump", "orders", "the price jumps by 3 to 20 per cent", _SOME, between((0, 999), (-200, 200))),
    _beat("maintenance", "orders", "a pair is halted for a few cycles", _SOME, between((0, 999), (1, 4))),
    _beat("rules_change", "orders", "the least value of an order changes", _SOME, between((0, 999), (50, 400))),
    # time
    _beat("clock_forward", "time", "our wall clock jumps ahead, for one to three cycles", _SOME,
          between((100, 30_000), (1, 3))),
    _beat("clock_back", "time", "our wall clock jumps back, for one to three cycles", _SOME,
          between((100, 30_000), (1, 3))),
    _point("process_paused", "time", "the process stands still, for seconds to minutes", (200, 2_000), anywhere,
           between((500, 200_000))),
    _wire(
        "time_request_slow",
        "time",
        "the venue is asked for its time and gets the question late: our estimate runs ahead",
        _OFTEN,
        only(TIME),
        between((300, 1_900)),
        lambda n: ("delay_before", {"delay_ms": n[0]}),
    ),
    _wire(
        "time_answer_slow",
        "time",
        "the venue tells its time and we get it late: our estimate runs behind",
        _OFTEN,
        only(TIME),
        between((300, 1_900)),
        lambda n: ("delay_after", {"delay_ms": n[0]}),
    ),
    # disk
    _point("disk_full", "disk", "no space for this commit", (500, 8_000), only("before commit"), nothing),
    _point("disk_busy", "disk", "another process holds the database", (500, 8_000), only("before unit"), nothing),
    # process
    _point("crash", "process", "the process is gone", (500, 10_000), anywhere, nothing),
    _point("sigterm", "process", "the process is asked to end", (200, 2_000), anywhere, nothing),
    _point("kill_flip", "process", "the kill file appears, for one to three cycles", (500, 5_000), anywhere,
           between((1, 3))),
    _beat("safe_mode", "process", "a restart in safe mode, for one to three cycles", _RARE, between((1, 3))),
    _beat("venue_skew", "time", "the venue's clock runs ahead or behind, from the start", (0, 0)),
    # operator
    _point("human_order", "operator", "somebody trades by hand on the account", _RARE, anywhere,
           between((0, 1), (0, 999), (1, 400))),
    _point("deposit", "operator", "money comes in", (500, 4_000), anywhere, between((1, 99_999))),
    _point("withdrawal", "operator", "money goes out", (500, 4_000), anywhere, between((1, 200))),
    _beat("cancel_all", "operator", "the operator cancels all our orders", _SOME),
)  # fmt: skip

FAULTS: Final[Mapping[str, Fault]] = {fault.name: fault for fault in _ALL}

#: What the plan's catalogue names and this one does not do, and why.
ABSENT: Final[Mapping[str, str]] = {
    "feed faults": "the bot reads over REST; there is no feed to disturb yet",
    "TLS and DNS failure": "they come to the bot as a failed connection (connect_failure); sockets are replaced here",
    "duplicate keys, deep JSON": "the codec's own tests try them; here they would be one more wrong_shape",
    "an id reused for another order": "the venue model cannot do it",
    "a page missing, or shifting while paging": "no account of a simulated day fills a page of 200 trades",
    "lists older than the settle horizon": "limits are then not guaranteed; scenarios tell the adoption on sight",
    "trade bust": "the venue model cannot take a trade back",
    "cancel-only phase, delisting": "the venue model knows maintenance only",
    "tick and lot change mid-order": "orders of the venue model hold their rules; the least value changes",
    "self-trade": "the bot never crosses its own orders: one side at a time",
    "one request placed twice": "it halts by design; a scenario tells it",
    "I/O error, corrupt page, missing file, schema, log left behind": "tests of the store and of real processes",
    "second instance": "tests of real processes",
    "leap second, DST text": "all time is Unix milliseconds",
}
