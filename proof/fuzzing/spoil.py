"""Good bytes with something wrong in them, and bytes that are noise from the first on."""

from __future__ import annotations

import json
import re
from random import Random
from typing import Any, Final

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
