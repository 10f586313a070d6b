"""How long ccxt's `create_order` takes by itself, measured in an environment that has ccxt: the judges'.

    .venvs/judges/bin/python benchmarks/ccxt_order.py REST_URL SYMBOL BASE PRICE QUANTITY TICK LOT COUNT PAUSE_S

The key comes as a line `KEY SECRET` on standard input. Prints one line of JSON: version, and milliseconds of each
order. Nothing durable is written, no limit is looked at and no risk is judged: it is the bare request.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import ccxt  # type: ignore[import-not-found, unused-ignore]


def market(symbol: str, base: str, tick: float, lot: float) -> dict[str, Any]:
    """What `load_markets` would have found, without asking."""
    return {
        "id": symbol, "symbol": f"{base}/TRY", "base": base, "quote": "TRY", "baseId": base, "quoteId": "TRY",
        "type": "spot", "spot": True, "active": True, "contract": False, "swap": False, "future": False,
        "option": False, "margin": False, "settle": None, "linear": None, "inverse": None,
        "precision": {"amount": lot, "price": tick}, "info": {},
        "limits": {name: {"min": None, "max": None} for name in ("amount", "price", "cost", "leverage")},
    }  # fmt: skip


def main() -> None:
    url, symbol, base = sys.argv[1:4]
    price, quantity, tick, lot, count, pause_s = map(float, sys.argv[4:10])
    key, secret = sys.stdin.readline().split()
    exchange = ccxt.btcturk({"apiKey": key, "secret": secret, "enableRateLimit": False})
    for name in exchange.urls["api"]:
        exchange.urls["api"][name] = f"{url}/api/v1"
    exchange.set_markets([market(symbol, base, tick, lot)])
    took_ms = []
    for _ in range(int(count)):
        started = time.perf_counter_ns()
        exchange.create_order(f"{base}/TRY", "limit", "buy", quantity, price)
        took_ms.append((time.perf_counter_ns() - started) / 1e6)
        time.sleep(pause_s)
    print(json.dumps({"version": ccxt.__version__, "ms": took_ms}))


if __name__ == "__main__":
    main()
