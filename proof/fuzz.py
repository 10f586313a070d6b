"""G6: bad input into everything that reads: answers and frames of the venue, env files, settings, operators' requests.

Whatever comes in, a typed value or the reader's own error comes out, within its time and memory, without a float. Input
number n is made from n alone, so a slice can be run anywhere and a finding told by its number: `replay(n)` shows it.

The inputs are good answers with something wrong in them: a place replaced, lost, repeated, nested or renamed, numbers
in spellings that a float would swallow, bytes flipped, texts cut; and some that are noise from the first byte.
"""

from __future__ import annotations

import gc
import json
import re
import shutil
import tempfile
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import click
import msgspec

from btcbot.adapters.btcturk import feed_wire, outcome, wire
from btcbot.adapters.btcturk.breaker import RETRY_AFTER_S_MAX, retry_after_s
from btcbot.adapters.btcturk.feed_actions import Close, Note
from btcbot.adapters.btcturk.outcome import Answer
from btcbot.adapters.btcturk.wire.values import WireError
from btcbot.cli.options import Amount
from btcbot.config.env_file import parse_env_file
from btcbot.config.loading import load_settings
from btcbot.config.settings import SETTING_NAMES
from btcbot.domain import money
from btcbot.domain.outcomes import Accepted, CancelRequested, InDoubt, Refused
from btcbot.errors import ConfigurationError
from btcbot.services import operator
from btcbot.testing.in_process_rig import Rig
from proof.fuzz_feed import FRAMES, talk
from proof.result import Result

SECONDS_MAX: Final = 0.05
#: The same for an operator's request, which is answered with the venue asked and the books written.
OPERATOR_SECONDS_MAX: Final = 0.5
#: Beyond the input itself.
MEMORY_BYTES_MAX: Final = 10 * 1024 * 1024
#: Every so-manieth input is watched for its memory, which makes it ten times slower.
MEMORY_EVERY: Final = 97
FAILURES_TOLD_MAX: Final = 20

# -- good answers ------------------------------------------------------------------------------------------------------


def _ok(data: object, **more: object) -> dict[str, object]:
    return {"success": True, "message": None, "code": 0, "data": data, **more}


_PAIR: Final = {
    "id": 1,
    "name": "BTCTRY",
    "nameNormalized": "BTC_TRY",
    "status": "TRADING",
    "numerator": "BTC",
    "denominator": "TRY",
    "numeratorScale": 8,
    "denominatorScale": 2,
    "hasFraction": False,
    "filters": [{"filterType": "PRICE_FILTER", "minPrice": "0.0000000000001", "minExchangeValue": "99.91"}],
    "orderMethods": ["MARKET", "LIMIT", "STOP_MARKET", "STOP_LIMIT"],
    "maximumLimitOrderPrice": 37000000.0,
    "minimumLimitOrderPrice": 370000.0,
}
_ORDER: Final = {
    "id": 21771006214,
    "price": "66800.00",
    "amount": "0.50000000",
    "quantity": "0.50000000",
    "stopPrice": "0.00",
    "pairSymbol": "BTCTRY",
    "pairSymbolNormalized": "BTC_TRY",
    "type": "buy",
    "method": "limit",
    "orderClientId": "btcbot-k7f3-19a-1",
    "time": 1790133600027,
    "updateTime": 1790133600027,
    "status": "Partial",
    "leftAmount": "0.25000000",
}
_TRADE: Final = {
    "id": 1181163798924649001,
    "timestamp": 1790133600027,
    "amount": "-0.3384",
    "preciseAmount": -0.33840811,
    "fee": "-0.06297817",
    "tax": "-0.01133607",
    "price": "122.00",
    "numeratorSymbol": "BTC",
    "denominatorSymbol": "TRY",
    "orderType": "sell",
    "orderId": 21771006214,
    "orderClientId": None,
}
_TRANSFER: Final = {
    "balanceType": "withdrawal",
    "currencySymbol": "TRY",
    "id": 3,
    "timestamp": 1790133600027,
    "amount": "-480.5",
    "fee": "3",
    "tax": "0.54",
}

Reader = Callable[[bytes], object]

#: Every decoder of the wire, by the name of what it reads, with an answer that is good.
DECODERS: Final[Mapping[str, tuple[Reader, object]]] = {
    "server_time": (wire.server_time_ms, {"serverTime": 1790133600027}),
    "instruments": (wire.instruments, _ok({"timeZone": "UTC", "symbols": [_PAIR]})),
    "order_book": (
        partial(wire.order_book, symbol="BTCTRY", received_at_ms=1),
        _ok({"timestamp": 1787525059089, "bids": [["1.50", "2"], ["1.49", "9"]], "asks": [["3", "4"]]}),
    ),
    "tickers": (
        partial(wire.tickers, received_at_ms=1),
        _ok([{"pair": "BTCTRY", "timestamp": 1787525058187, "bid": 1.5, "ask": 2.5, "last": 2}]),
    ),
    "ticker_rows": (
        wire.ticker_rows,
        _ok(
            [
                {
                    "pair": "BTCTRY",
                    "timestamp": 1787525058187,
                    "bid": 1.5,
                    "ask": 2.5,
                    "last": 2,
                    "volume": 3,
                    "average": 2,
                }
            ]
        ),
    ),
    "balances": (wire.balances, _ok([{"asset": "TRY", "free": "1,5", "locked": "2.5", "balance": "4"}])),
    "open_orders": (wire.open_orders, _ok({"asks": [{**_ORDER, "type": "sell"}], "bids": [_ORDER]})),
    "all_orders": (wire.all_orders, _ok([_ORDER])),
    "order": (wire.order, _ok(_ORDER)),
    "trades": (wire.trades, _ok([_TRADE])),
    "transfers": (partial(wire.transfers, source="fiat"), _ok([_TRANSFER])),
    "placed_order": (
        lambda body: wire.placed_order(wire.unpack(body, "the placed order")),
        _ok({"id": 5, "newOrderClientId": "mine", "type": "buy"}),
    ),
    "public_trades": (
        partial(wire.public_trades, symbol="BTCTRY"),
        _ok(
            [
                {
                    "pair": "BTCTRY",
                    "date": 1643883524310,
                    "tid": "101963779399182809",
                    "price": "36334",
                    "amount": "0.1",
                    "side": "sell",
                }
            ]
        ),
    ),
    "klines": (
        partial(wire.klines, symbol="BTCTRY", interval_ms=3_600_000),
        {
            "s": "ok",
            "t": [1787684400, 1787688000],
            "h": [3809691.0, 3796611.0],
            "o": [3802189.0, 3796611.0],
            "l": [3787859.0, 3760727.0],
            "c": [3796125.0, 3761074.0],
            "v": [0.54581564, 5e-06],
        },
    ),
    **{name: (feed_wire.decode, good) for name, good in FRAMES.items()},
}
_OUTCOMES: Final = (
    _ok({"id": 5, "newOrderClientId": "mine", "type": "buy"}, httpStatusCode=200),
    {"success": False, "message": "BALANCE_NOT_ENOUGH", "code": 1055, "data": None},
    {"success": False, "message": None, "code": 1120},
    {"success": True, "message": "Unauthorized - Invalid Nonce", "code": 1037},
    {"success": False, "message": "NO_ORDER_MATCHES_YOUR_REQUEST", "code": 1052, "data": None},
    {"success": False, "message": "TOO_MANY_REQUESTS", "code": 429},
    {"success": True, "message": "SUCCESS", "code": 0},
    {"success": False, "message": "INTERNAL_ERROR", "code": 500},
)
_STATUSES: Final = (200, 200, 200, 400, 400, 401, 422, 429, 201, 204, 301, 404, 500, 502, 503, 599)

# -- what goes wrong with them -----------------------------------------------------------------------------------------

#: Texts that go in as they stand, between `@@`, where JSON's writer would spell them otherwise.
_BARE: Final = tuple(
    f"@@{text}@@"
    for text in (
        *("1e400", "-1e400", "5e-06", "1E+3", "1e25", "1e-25", "-0", "-0.0", "00", "01", "1.", ".5", "+1", "0x10"),
        *("NaN", "Infinity", "-Infinity", "1_000", "9" * 30, "0." + "1" * 30, "0.1000000000000000055511151231257827"),
        *("9" * 400, "1.7976931348623157e308", "tru", "undefined", "'a'", "[,]", "{,}", "", "/**/1", "\\u0031"),
    )
)
_TEXTS: Final = (
    *("NaN", "Infinity", "-Infinity", "1e5", "1e400", "0x10", "", " ", "-1", "+1", "1,5", "1.000,5", "1 000", "9" * 30),
    *(
        "0." + "1" * 30,
        "\u0661\u0662",
        "\uff11",
        "null",
        "None",
        "true",
        "\x00",
        "a\nb",
        "\u202e",
        "\ud800",
        "%s{0}$(id)",
    ),
    *("BTCTRY", "btc_try", "TRY", "buy", "sell", "BUY", "limit", "market", "Canceled", "Partial", "SUCCESS", "0"),
    *("=cmd()", "<script>", "'; DROP TABLE orders;--", "../../etc", "BALANCE_NOT_ENOUGH", "TOO_MANY_REQUESTS"),
)
_OTHERS: Final[tuple[object, ...]] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2**31,
    2**63,
    -(2**63),
    2**64,
    10**24,
    10**25,
    1037,
    1055,
    0.1,
    -0.5,
    [],
    {},
)
_SNIPPETS: Final = (
    *(b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b'"data":', b'"success":true', b'"code":0', b'"id":5', b"null"),
    *(b"1e999", b"-", b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b"\xed\xa0\x80", b"\\ud800", b"\n", b"// x\n", b"NaN"),
    *(b'"success":false', b'"message":"MIN_TOTAL"', b'"httpStatusCode":200', b'"success":true,"success":true'),
)
_UNQUOTE: Final = re.compile(r'"@@(.*?)@@"')


def leaf(random: Random) -> object:
    """Something that should not be there."""
    kind = random.randrange(8)
    if kind < 2:
        return random.choice(_BARE)
    if kind < 5:
        return random.choice(_TEXTS)
    if kind == 5:
        return random.choice(_OTHERS)
    if kind == 6:
        return f"{'-' * random.randrange(2)}{random.randrange(10 ** random.randrange(1, 28))}.{random.randrange(10**9)}"
    nested: object = random.choice(_TEXTS)
    for _ in range(random.choice((1, 2, 5, 40))):
        nested = [nested] if random.random() < 0.5 else {random.choice(("data", "id", "asks", "")): nested}
    return nested


def spoiled(random: Random, good: bytes) -> bytes:
    """`good` with one to four things wrong with its structure, and now and then with its bytes."""
    value = json.loads(good)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        value = _changed_somewhere(random, value)
    text = json.dumps(value)
    raw = _UNQUOTE.sub(r"\1", text).encode()
    return _with_wrong_bytes(random, raw) if random.random() < 0.3 else raw


def _changed_somewhere(random: Random, value: Any) -> Any:
    node, path = value, []
    while isinstance(node, dict | list) and node and random.random() < 0.85:
        key = random.choice(list(node)) if isinstance(node, dict) else random.randrange(len(node))
        path.append((node, key))
        node = node[key]
    if not path:
        return leaf(random) if random.random() < 0.2 else value
    parent, key = path[-1]
    deed = random.randrange(7)
    if deed == 0:
        del parent[key]
    elif deed == 1 and isinstance(parent, dict) and isinstance(key, str):
        parent[random.choice((key.upper(), key.lower(), key + " ", "", f"{key}\x00", "data"))] = parent.pop(key)
    elif deed == 2 and isinstance(parent, list):
        parent.extend([parent[key]] * random.choice((1, 1, 30)))
    elif deed == 3:
        parent[key] = [node] if random.random() < 0.5 else {"data": node}
    elif deed == 4 and isinstance(node, str | int | float) and not isinstance(node, bool):
        parent[key] = f"@@{node}@@" if isinstance(node, str) else str(node)  # a text bare, a number as text
    else:
        parent[key] = leaf(random)
    return value


def _with_wrong_bytes(random: Random, raw: bytes) -> bytes:
    at, deed = random.randrange(len(raw) + 1), random.randrange(7)
    if deed == 0:
        return raw[:at]
    if deed == 1:
        return raw[:at] + random.choice(_SNIPPETS) + raw[at:]
    if deed == 2:
        return raw[:at] + bytes([random.randrange(256)]) + raw[at + 1 :]
    if deed == 3:
        return raw[:at] + raw[at + random.randrange(1, 9) :]
    if deed == 4:
        return raw + random.choice((b" ", b"\n\n", b"x", b"\x00", raw))
    if deed == 5:
        return raw.decode().encode(random.choice(("utf-16", "utf-8-sig", "utf-32")))
    return raw[:1] + random.choice(_SNIPPETS) + b"," + raw[1:]


def noise(random: Random) -> bytes:
    """Nothing that anybody meant."""
    kind = random.randrange(40)
    if kind == 0:
        return random.choice((b"[", b'{"data":', b'{"success":true,"code":0,"data":[')) * random.choice(
            (50, 5_000, 40_000)
        )
    if kind == 1:
        return b'{"serverTime":' + b"9" * random.choice((20, 5_000, 200_000)) + b"}"
    if kind < 20:
        return random.randbytes(random.randrange(300))
    return b"".join(random.choice(_SNIPPETS) for _ in range(random.randrange(40)))


def body(random: Random, good: bytes) -> bytes:
    return spoiled(random, good) if random.random() < 0.9 else noise(random)


# -- what must hold ----------------------------------------------------------------------------------------------------


class Finding(Exception):
    """Something came out that must not."""


class TooSlow(Finding):
    """It came out too late."""


def demand(holds: object, what: str) -> None:
    if not holds:
        raise Finding(what)


def demand_exact(value: object) -> None:
    """No float anywhere in it, and every number finite and in range."""
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.astuple(value)
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list | tuple):
        for each in value:
            demand_exact(each)
    elif isinstance(value, Decimal):
        demand(value.is_finite() and abs(value) <= 2 * money.MAGNITUDE_MAX, "a number out of range")
    else:
        demand(not isinstance(value, float), "a float")


def demand_words(text: str) -> None:
    """A line of a log or a report."""
    demand(text.isprintable(), "words that do not print")
    demand(len(text) < 500, "an endless line")


def read(reader: Reader, raw: bytes) -> None:
    """A typed value, or WireError."""
    try:
        made = reader(raw)
    except WireError as error:
        demand_words(str(error))
    else:
        demand_exact(made)


def _plain(raw: bytes) -> dict[str, Any]:
    """What a plain reading of the answer gives; only asked when something was taken for a proof."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        demand(len(dict(pairs)) == len(pairs), "a proof that says a thing twice")
        return dict(pairs)

    value = json.loads(raw, object_pairs_hook=unique)
    demand(isinstance(value, dict), "a proof that is no object")
    return dict(value)


_SUCCESS: Final = (0, "0", "SUCCESS", "")
_WORDS: Final = outcome.SUBMIT_REFUSALS | outcome.CANCEL_REFUSALS
_CODES: Final = {1037, 429, *outcome.SUBMIT_CODES, *outcome.CANCEL_CODES}


def demand_proof(made: object, status: int, raw: bytes) -> None:
    """The outcome is one of the table's; a proof has all that a proof needs, whatever else stands beside it."""
    demand(isinstance(made, Accepted | CancelRequested | Refused | InDoubt), f"an outcome that is none: {made!r}")
    if isinstance(made, InDoubt):
        demand_words(made.why)
        return
    value = _plain(raw)
    code = value.get("code")
    if isinstance(made, Accepted | CancelRequested):
        demand(200 <= status < 300 and value["success"] is True, "a yes behind a no")
        demand(code in _SUCCESS and code is not False, "a yes with a code that says no")
        demand(value.get("httpStatusCode") is None or 200 <= value["httpStatusCode"] < 300, "a yes with another status")
    if isinstance(made, Accepted):
        data = value["data"]
        demand(str(data["id"]) == made.venue_order_id and made.venue_order_id.strip("0"), "an order without its id")
        demand(data.get("newOrderClientId") in (None, "", "mine"), "an order of somebody else")
    if isinstance(made, Refused):
        word = (value.get("message") or "").strip()
        demand(value.get("data") is None, "a refusal that names an order")
        demand(code is not None and code not in _SUCCESS, "a refusal with a code that says yes")
        demand(word.upper() in _WORDS or word.lower().startswith("unauth") or code in _CODES, "an unknown refusal")
        demand((made.code == outcome.RATE) == (status == 429), "a limiter's word without its status")


# -- the targets -------------------------------------------------------------------------------------------------------


class Case(NamedTuple):
    """One input: whom it is for, how large it is, and the act of reading it, which raises Finding."""

    target: str
    size: int
    read: Callable[[], None]
    seconds_max: float = SECONDS_MAX
    is_heavy: bool = False


_GOOD: Final = {name: json.dumps(good).encode() for name, (_, good) in DECODERS.items()}
_GOOD_OUTCOMES: Final = [json.dumps(value).encode() for value in _OUTCOMES]


def _wire(name: str, random: Random) -> Case:
    raw = body(random, _GOOD[name])
    return Case(f"wire.{name}", len(raw), lambda: read(DECODERS[name][0], raw))


def _outcome(random: Random) -> Case:
    raw, status = body(random, random.choice(_GOOD_OUTCOMES)), random.choice(_STATUSES)
    if random.random() < 0.5:
        return Case(
            "outcome.submit",
            len(raw),
            lambda: demand_proof(outcome.of_submit(Answer(status, raw), "mine"), status, raw),
        )
    return Case("outcome.cancel", len(raw), lambda: demand_proof(outcome.of_cancel(Answer(status, raw)), status, raw))


def _feed(random: Random) -> Case:
    """A handful of frames into one conversation."""
    raws = [body(random, _GOOD[random.choice(_FRAME_NAMES)]) for _ in range(random.choice((1, 2, 5)))]

    def check() -> None:
        told = talk(raws)
        demand_exact([told.view, told.trades, told.depth])
        for action in told.actions:
            if isinstance(action, Close):
                demand_words(action.why)
            if isinstance(action, Note):
                for value in action.fields.values():
                    demand_words(str(value))
        book = told.view.books.get("BTCTRY")
        demand((book is None) is (told.depth is None), "a book half shown")
        if book is None:
            demand_words(told.view.without_book["BTCTRY"])
        else:
            demand(all(0 < top.bid < top.ask for top in book.tops), "a book that cannot be")

    return Case("feed.receive", sum(map(len, raws)), check)


_FRAME_NAMES: Final = sorted(FRAMES)

_HEADERS: Final = ("5", "0", "-1", "1e9", "99999999999999999999", "1.5", "", " 7 ", "\u0665", "NaN", "inf", "5;6")
_DATES: Final = ("Wed, 21 Oct 2015 07:28:00 GMT", "tomorrow", "9" * 9, "0." + "9" * 3, "1." + "9" * 9)


def _retry_after(random: Random) -> Case:
    text = random.choice((*_HEADERS, *_DATES)) + random.choice(("", "", chr(random.randrange(0x3000))))

    def check() -> None:
        seconds = retry_after_s(text)
        demand(seconds is None or 0 <= seconds <= RETRY_AFTER_S_MAX, "a time to wait out of range")

    return Case("retry_after", len(text), check)


_HOSTILE: Final = (
    *("$(id)", "${HOME}", "`id`", "%s", "{0}", "~", "\x00", "a\nDRY_RUN=false", "a\rb", "\u2028", "\x85", "\ud800"),
    *("\uff54\uff52\uff55\uff45", "\uff11", "\u0663", "true", "false", "I_UNDERSTAND", "1", "-1", "1e9", "NaN", "0.5"),
    *("'", '"', "'a' b", '"a\\nb"', "# c", "a # c", "[]", '["a"]', "[" * 3000, "BTCTRY,ETHTRY", "b\u0131tc", "\ufeff"),
    *("https://api.btcturk.com", "https://api.btcturk.com.evil", "https://\u0430pi.btcturk.com", "http://127.0.0.1:1"),
    *("9" * 5000, "/etc/passwd", "../x", "read,trade", "withdraw", "2026-01-31", "2026-13-01", "A" * 60_000),
)
_NAMES: Final = (
    *SETTING_NAMES,
    "UNIVERSE_SYMBOLS",
    "DRYRUN",
    "BTCTURK_X",
    "export DRY_RUN",
    "",
    "x",
    "\u0391",
    "B" * 60_000,
)


def _hostile(random: Random) -> str:
    kind = random.randrange(10)
    if kind < 7:
        return random.choice(_HOSTILE)
    if kind == 7:
        return "".join(chr(random.randrange(0x110000)) for _ in range(random.randrange(20)))
    return random.choice(_HOSTILE) + random.choice(_HOSTILE)


def _name(random: Random) -> str:
    name = random.choice(_NAMES)
    if name and random.random() < 0.2:  # a slip of the finger
        at = random.randrange(len(name))
        name = name[:at] + random.choice(("", "X", name[at] * 2, "_", "\u0406")) + name[at + 1 :]
    return name


def _env_text(random: Random) -> str:
    lines = [
        f"{_name(random)}{random.choice(('=', '=', '=', ' = ', ''))}{_hostile(random)}"
        for _ in range(random.randrange(5))
    ]
    return random.choice(("\n", "\n", "\r\n", "\n\n# c\n")).join(lines)


def _env_file(random: Random) -> Case:
    text = _env_text(random)

    def check() -> None:
        found = parse_env_file(text, "f")
        for line in found.problems:
            demand_line(line)
        for value in found.values.values():
            demand("\n" not in value and "\x00" not in value, "a value that breaks a line")

    return Case("env_file", len(text), check)


def demand_line(line: str) -> None:
    """One line for the operator."""
    demand(line and "\n" not in line and "\r" not in line, "a problem that is not one line")
    demand(len(line) < 1_000, "a problem that is an endless line")


def _settings(random: Random) -> Case:
    # An environment cannot hold a NUL or a lone surrogate that is no byte; an env file can, and is parsed before.
    environ = {_name(random): _hostile(random) for _ in range(random.randrange(6))}
    file = parse_env_file(_env_text(random), "f")
    sources = [environ, file.values]

    def check() -> None:
        try:
            loaded = load_settings(
                sources[0], None, sources[1] if len(file.values) % 2 else None, default_env_file=None
            )
        except ConfigurationError as error:
            demand(error.lines, "a refusal without a word")
            for line in error.lines:
                demand_line(line)
        else:
            demand(not loaded.settings.live_trading or loaded.settings.dry_run, "armed by chance")
            demand_exact([value for value in vars(loaded.settings).values() if not isinstance(value, str)])

    return Case("settings", sum(map(len, environ.values())), check)


def _amount(random: Random) -> Case:
    text = _hostile(random) if random.random() < 0.5 else str(leaf(random))

    def check() -> None:
        try:
            made = Amount().convert(text, None, None)
        except click.BadParameter:
            return
        demand(made.is_finite() and made >= 0, f"an amount that is none: {text[:40]!r}")
        demand(text.isascii() and "e" not in text.lower(), "an amount in another spelling")

    return Case("operator.amount", len(text), check)


# -- an operator's request ---------------------------------------------------------------------------------------------


@cache
def _bench() -> tuple[Rig, str]:
    """A bot with a position, an order that works and one in doubt; and the folder of its books."""
    memory = Path("/dev/shm")
    folder = tempfile.mkdtemp(prefix="fuzz-", dir=memory if memory.is_dir() else None)
    rig = Rig(Path(folder))
    rig.cycle()
    rig.wish("buy", "0.0005", "1000500")
    rig.cycle()
    rig.wish("buy", "0.0005", "999000")
    rig.cycle()
    rig.venue.fault("lost_before", "POST")
    rig.wish("buy", "0.0004", "998000")
    rig.cycle()
    return rig, folder


def _close_bench() -> None:
    if _bench.cache_info().currsize:
        rig, folder = _bench()
        rig.close()
        shutil.rmtree(folder)
        _bench.cache_clear()


_KINDS: Final = ("cancel", "resolve", "disown", "explain", "adopt", "release", "resume", "", "answer", "__init__")
_NUMBERS: Final = (
    "0.001",
    "0",
    "-1",
    "1e-9",
    "1e999999999",
    "-1e999999999",
    "1e-999999999",
    "NaN",
    "sNaN",
    "Infinity",
    "9" * 40,
)


def _operator(random: Random) -> Case:
    rig, _ = _bench()
    known = [order.client_order_id for order in rig.orders()]
    texts = (
        *_HOSTILE,
        *known,
        *_NUMBERS,
        "placed",
        "not-placed",
        "closed",
        "deposit",
        "fee",
        "all",
        "BTCTRY",
        "suspense:TRY:1",
    )
    names = (
        "client_order_id",
        "outcome",
        "venue_order_id",
        "reason",
        "entry_id",
        "meaning",
        "symbol",
        "quantity",
        "cost",
    )
    fitting = {
        "client_order_id": known,
        "symbol": ["BTCTRY"],
        "quantity": _NUMBERS,
        "cost": _NUMBERS,
        "reason": ["why"],
    }
    arguments = {
        name: random.choice(fitting[name]) if name in fitting and random.random() < 0.5 else random.choice(texts)
        for name in names
        if random.random() < 0.95
    }
    request = operator.Request(
        request_id="r", kind=random.choice(_KINDS), arguments=arguments, made_at_ms=rig.clock.now_ms(), wait_ms=60_000
    )

    def check() -> None:
        before = rig.books()
        answer = rig.bot.services.operator.answer(request)
        demand(answer.text, "no answer")
        demand(answer.done or rig.books() == before, "a refused request changed the books")

    return Case("operator.request", 0, check, OPERATOR_SECONDS_MAX, is_heavy=True)


# -- the run -----------------------------------------------------------------------------------------------------------

_PERIOD: Final = 400


def case(number: int) -> Case:
    """Input `number`, from the number alone (but for the books that an operator's requests meet)."""
    random = Random(number)
    at = number % _PERIOD
    if at == 0:
        return _operator(random)
    if at < 20:
        return _settings(random)
    if at < 50:
        return _env_file(random)
    if at < 60:
        return _amount(random)
    if at < 70:
        return _retry_after(random)
    if at < 200:
        return _outcome(random)
    if at < 240:
        return _feed(random)
    return _wire(random.choice(_DECODER_NAMES), random)


_DECODER_NAMES: Final = sorted(DECODERS)


@contextmanager
def within(seconds_max: float) -> Iterator[None]:
    """Of this thread's processor time, without collections of what the rest of the process left lying."""
    gc.disable()
    started = time.thread_time()
    try:
        yield
        took_s = time.thread_time() - started
        if took_s > seconds_max:
            raise TooSlow(f"it took {took_s * 1000:.0f} ms of processor time")
    finally:
        gc.enable()


def attempt(tried: Case, *, watches_memory: bool = False) -> int:
    """Read it; the peak of memory in bytes where that is watched, else 0. Raise Finding."""
    if not watches_memory:
        try:
            with within(tried.seconds_max):
                tried.read()
        except TooSlow:
            with within(tried.seconds_max):  # what is slow is slow twice; a page that had to be fetched is not
                tried.read()
        return 0
    tracemalloc.start()
    try:
        tried.read()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    demand(peak <= MEMORY_BYTES_MAX + 2 * tried.size, f"it took {peak:,} bytes for {tried.size:,}")
    return peak


def replay(number: int) -> str:
    """What became of input `number`, in a line; an empty line when all was well."""
    try:
        attempt(case(number))
    except Exception as error:  # noqa: BLE001 - whatever a reader raises is the finding
        return f"{type(error).__name__}: {error}"
    return ""


def run(first: int = 1, count: int = 10_000) -> Result:
    """`count` inputs from number `first` on."""
    counts: Counter[str] = Counter()
    failures: list[str] = []
    peak = longest_us = 0
    try:
        for number in range(first, first + count):
            tried = case(number)
            counts["inputs"] += 1
            counts[f"inputs:{tried.target}"] += 1
            try:
                started = time.thread_time_ns()
                watches = number % MEMORY_EVERY == 0 and not tried.is_heavy
                peak = max(peak, attempt(tried, watches_memory=watches))
                if not tried.is_heavy and not watches:
                    longest_us = max(longest_us, (time.thread_time_ns() - started) // 1_000)
            except Exception as error:  # noqa: BLE001 - whatever a reader raises is the finding
                counts["findings"] += 1
                if len(failures) < FAILURES_TOLD_MAX:
                    failures.append(f"input {number} ({tried.target}): {type(error).__name__}: {str(error)[:300]}")
        if _bench.cache_info().currsize:
            failures += [f"books after an operator's requests: {fault}" for fault in _bench()[0].store.verify()]
    finally:
        _close_bench()
    counts["findings"] += 0
    notes = {"longest": f"{longest_us / 1000:.1f} ms", "largest": f"{peak / 1024:.0f} KiB"}
    return Result(goal="G6", part="fuzz", counts=dict(counts), failures=failures, notes=notes)
