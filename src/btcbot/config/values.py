"""From text to value: strict readers, one for each kind of setting.

Python's own constructors are too kind for money and switches: `int("１２")`, `Decimal("1_0")`, `Decimal("NaN")` and
`bool("false")` all succeed. Here only plain ASCII spellings pass, so a look-alike or a stray control character is
refused instead of read as something else. A value that already has its type passes: code may build Settings too.

Every reader raises ValueError with `what is wrong; how to mend`. The text itself is never quoted: an operator may have
pasted a secret into the wrong line.
"""

from __future__ import annotations

import decimal as exact
import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

__all__ = [
    "Targets",
    "base_url",
    "choice",
    "decimal",
    "endpoint",
    "graph_url",
    "iso_date",
    "names",
    "path",
    "switch",
    "symbols",
    "targets",
    "whole",
    "ws_url",
]

VENUE_HOST: Final = "api.btcturk.com"
FEED_HOST: Final = "ws-feed-pro.btcturk.com"
GRAPH_HOST: Final = "graph-api.btcturk.com"
_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})
_WHOLE: Final = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_DECIMAL: Final = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", re.ASCII)
_SYMBOL_AS_WRITTEN: Final = re.compile(r"[A-Za-z0-9]{1,20}_?[A-Za-z0-9]{1,20}", re.ASCII)
_SYMBOL: Final = re.compile(r"[A-Z0-9]{2,20}", re.ASCII)
_SYMBOLS_MAX: Final = 100
_SHARE: Final = re.compile(r"[01]?(\.[0-9]{1,12})?|[01]", re.ASCII)
_SHARE_PLACES: Final = Decimal("1e-12")
#: How far from 1 shares may add up: within the first they are taken as they are, within the second they are scaled.
_SUM_SLACK: Final = Decimal("0.000001")
_SUM_SCALED: Final = Decimal("0.05")
_HOST: Final = r"://(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:(?P<port>[0-9]{1,5}))?/?"
_URL: Final = re.compile(f"(?P<scheme>https?){_HOST}")
_WS_URL: Final = re.compile(f"(?P<scheme>wss?){_HOST}")
_ENDPOINT: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])(:(?P<port>[0-9]{1,5}))?"
    r"(?P<path>(/[A-Za-z0-9._-]*)*)"
)


def switch(value: object) -> object:
    """true/false, 1/0, yes/no, on/off in any case. Nothing else, and above all not the empty string."""
    if not isinstance(value, str):
        return value
    text = value.lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    found = "is empty" if not value else "is neither true nor false"
    raise ValueError(f"{found}; write true or false (1/0, yes/no, on/off also do)")


def whole(value: object) -> object:
    """A whole number in digits."""
    if isinstance(value, bool | float):
        raise ValueError("is not a whole number; write digits only, such as 30")
    if not isinstance(value, str):
        return value
    if not _WHOLE.fullmatch(value):
        raise ValueError("is not a whole number; write digits only, such as 30")
    return int(value)


def decimal(value: object) -> object:
    """An exact number. A float is refused: it has lost its digits already."""
    if isinstance(value, bool | float):
        raise ValueError("is not an exact number; write it with digits and at most one point, such as 12.5")
    if not isinstance(value, str):
        return value
    if not _DECIMAL.fullmatch(value):
        raise ValueError("is not a number; write it with digits and at most one point, such as 12.5")
    return Decimal(value)


def path(value: object) -> object:
    """A file path, taken as it is written: neither `~` nor variables are expanded."""
    if not isinstance(value, str):
        return value
    if not value or not value.isprintable():
        raise ValueError("is empty or holds control characters; write a plain path")
    return Path(value)


def iso_date(value: object) -> object:
    """A day such as 2026-01-31; of an ISO time the day counts."""
    if isinstance(value, datetime):
        return value.date()
    if not isinstance(value, str):
        return value
    try:
        if not re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T|$)", value, re.ASCII):
            raise ValueError
        return date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value).date()
    except ValueError:
        raise ValueError("is not a date; write it as 2026-01-31") from None


def names(value: object) -> object:
    """A list of words, as JSON (`["read","trade"]`) or with commas (`read,trade`), lower-cased, without repeats."""
    return _tuple_of(value, str.lower) if isinstance(value, str | list | tuple) else value


def symbols(value: object) -> object:
    """A list of pairs; `btc_try` and `BTCTRY` are the same one."""
    if not isinstance(value, str | list | tuple):
        return value
    if isinstance(value, str) and not value.strip():
        raise ValueError("is empty; name pairs such as BTCTRY,ETHTRY, or leave it out")
    found = _tuple_of(value, _symbol)
    if len(found) > _SYMBOLS_MAX:
        raise ValueError(f"holds more than {_SYMBOLS_MAX} pairs; name fewer")
    return found


def _symbol(text: str) -> str:
    # The ASCII test comes first: upper-casing turns a dotless i into a plain I.
    symbol = text.upper().replace("_", "", 1) if _SYMBOL_AS_WRITTEN.fullmatch(text) else ""
    if not _SYMBOL.fullmatch(symbol):
        raise ValueError("holds a pair that is not 2 to 20 letters and digits; write such as BTCTRY,ETHTRY")
    return symbol


class Targets(msgspec.Struct, frozen=True):
    """Share of each pair in what is invested, adding up to 1; empty for equal shares. `warning` says what was made of
    shares that do not add up to 1 and nearly do."""

    weights: Mapping[str, Decimal] = {}
    warning: str = ""

    def __str__(self) -> str:
        return ",".join(f"{symbol}:{weight:f}" for symbol, weight in self.weights.items())


def targets(value: object) -> object:
    """Target shares, as a JSON object (`{"BTCTRY":0.6,"ETHTRY":0.4}`) or with commas (`BTCTRY:0.6,ETHTRY:0.4`)."""
    if not isinstance(value, str):
        return value
    if not value.strip():
        return Targets()
    mend = "write such as BTCTRY:0.6,ETHTRY:0.4"
    weights: dict[str, Decimal] = {}
    for name, share in _shares(value, mend):
        symbol = _symbol(name)
        if not share or not _SHARE.fullmatch(share):
            raise ValueError(f"gives a pair a share that is not a number from 0 to 1 with at most 12 decimals; {mend}")
        weight = Decimal(share)
        if weight <= 0:
            raise ValueError("gives a pair a share of 0; leave it out, it is then sold")
        if symbol in weights:
            raise ValueError("names a pair twice; write each pair once")
        weights[symbol] = weight
    if len(weights) > _SYMBOLS_MAX:
        raise ValueError(f"holds more than {_SYMBOLS_MAX} pairs; name fewer")
    with exact.localcontext(exact.Context(prec=40)):
        total = sum(weights.values(), Decimal(0))
        if abs(total - 1) > _SUM_SCALED:
            raise ValueError(f"adds up to {total.normalize():f}; write shares that add up to 1")
        if abs(total - 1) <= _SUM_SLACK:
            return Targets(weights)
        scaled = {symbol: (weight / total).quantize(_SHARE_PLACES) for symbol, weight in weights.items()}
        return Targets(scaled, f"PORTFOLIO_TARGETS adds up to {total.normalize():f} and was scaled to 1")


def _shares(text: str, mend: str) -> list[tuple[str, str]]:
    """Names and shares as they are written, repeats included."""
    if not text.lstrip().startswith("{"):
        parts = [part.strip().partition(":") for part in text.split(",")]
        return [(name.strip(), share.strip()) for name, _, share in parts]
    try:
        # Numbers stay text, so that no digit is lost; pairs stay a list, so that a repeated name is seen.
        read = json.loads(text, object_pairs_hook=list, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        raise ValueError(f"is not a JSON object; {mend}") from None
    if not all(isinstance(share, str) for _, share in read):
        raise ValueError(f"holds something that is no share; {mend}")
    return [(name, share) for name, share in read]


def _tuple_of(value: str | list[object] | tuple[object, ...], read: Callable[[str], str]) -> tuple[str, ...]:
    listed: list[object]
    if not isinstance(value, str):
        listed = list(value)
    elif value.lstrip().startswith("["):
        try:
            # The type keeps the decoder from descending: a thousand brackets would exhaust the stack.
            listed = list(msgspec.json.decode(value, type=list[str]))
        except (msgspec.MsgspecError, UnicodeEncodeError):
            raise ValueError('is not a list; write a,b or ["a","b"]') from None
    else:
        listed = list(value.split(","))
    words: list[str] = []
    for item in listed:
        if not isinstance(item, str):
            raise ValueError('holds something that is not text; write a,b or ["a","b"]')
        word = read(item.strip())
        if not word:
            raise ValueError("holds an empty entry; remove the stray comma")
        if word not in words:
            words.append(word)
    if not words:
        raise ValueError("is an empty list; name at least one")
    return tuple(words)


def choice(value: object, allowed: tuple[str, ...], *, upper: bool) -> object:
    """One word of `allowed`, in any case."""
    if not isinstance(value, str):
        return value
    word = value.upper() if upper else value.lower()
    if not value.isascii() or word not in allowed:
        raise ValueError(f"is not one of {', '.join(allowed)}; write one of them")
    return word


def base_url(value: object) -> object:
    """The venue itself over TLS, or a simulator on this very machine. Keys go nowhere else.

    The whole address must match a narrow pattern, so that user parts, paths, escapes and look-alike hosts have no room.
    """
    return _address(value, _URL, VENUE_HOST, "https", "http") if isinstance(value, str) else value


def ws_url(value: object) -> object:
    """The venue's live feed over TLS, or a simulator's on this very machine; empty means not given."""
    if not isinstance(value, str):
        return value
    return _address(value, _WS_URL, FEED_HOST, "wss", "ws") if value else None


def graph_url(value: object) -> object:
    """The venue's charts over TLS, or a simulator's on this very machine; empty means not given."""
    if not isinstance(value, str):
        return value
    return _address(value, _URL, GRAPH_HOST, "https", "http") if value else None


def _address(value: str, pattern: re.Pattern[str], venue: str, secure: str, plain: str) -> str:
    mend = f"write {secure}://{venue}, or {plain}://127.0.0.1:PORT for a local simulator"
    match = pattern.fullmatch(value)
    if match is None:
        raise ValueError(f"is not an address of the venue; {mend}")
    scheme, host, port = match["scheme"], match["host"].lower(), match["port"]
    if port is not None and not 1 <= int(port) <= 65535:
        raise ValueError(f"has no such port; {mend}")
    if host == venue:
        if scheme != secure or port not in (None, "443"):
            raise ValueError(f"must reach the venue by {secure} on its usual port; {mend}")
        return f"{secure}://{venue}"
    if not _is_loopback(host):
        raise ValueError(f"names another host than the venue or this machine; {mend}")
    return f"{scheme}://{host}" if port is None else f"{scheme}://{host}:{port}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def endpoint(value: object) -> object:
    """The address of a metrics collector: http or https, without user part, query or fragment."""
    if not isinstance(value, str):
        return value
    match = _ENDPOINT.fullmatch(value)
    if match is None or (match["port"] is not None and not 1 <= int(match["port"]) <= 65535):
        raise ValueError("is not a collector's address; write such as http://127.0.0.1:4318/v1/metrics")
    return value
