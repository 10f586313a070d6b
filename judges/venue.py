"""The local BtcTurk as a judge meets it: a real process, a market that holds still, and a record of what it saw.

    order = client.create_order("BTC/TRY", "limit", "buy", "0.001", "3000000")
    sent = venue.saw("POST", "/api/v1/order")       # the one request since the last look
    assert sent.body["newClientOrderId"] == …
    assert venue.order(order["id"])["status"] == "Untouched"

The market runs for a moment, so that there are trades and a chart, and is paused then: what a client says of a price
can be compared with the exchange to the last digit.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

from btcbot.testing.rig import Credentials, Simulator, wait_until, write_private

SYMBOLS: Final = ("BTCTRY", "ETHTRY", "SOLTRY", "USDTTRY")
BALANCES: Final[Mapping[str, Decimal]] = {
    "TRY": Decimal(1_000_000),
    "BTC": Decimal(1),
    "ETH": Decimal(10),
    "SOL": Decimal(100),
}
#: Bars of a minute in a hundredth of a second: a few dozen of them before the pause.
_SPEED: Final = "6000"
_BARS_WANTED: Final = 60
_BARS_SECONDS_MAX: Final = 20.0
_STAMP_TOLERANCE_MS: Final = 5_000


@dataclass(frozen=True, slots=True)
class Sent:
    """One request as the exchange saw it. `query` has a list for each name; `body` is decoded JSON, None if empty."""

    host: str
    method: str
    path: str
    query: dict[str, list[str]]
    body: Any
    key: str | None
    stamp: str | None
    status: int

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status}"


class Venue(Simulator):
    """`btcturk-sim serve` with one account. `rest_url` and `graph_url` are the base addresses for a client."""

    def __init__(self, folder: Path) -> None:
        credentials = Credentials(folder)
        self.key = credentials.key
        self.secret = credentials.secret_file.read_text().strip()
        accounts = write_private(folder / "accounts", credentials.account_line(BALANCES))
        market = ["--symbols", ",".join(SYMBOLS), "--speed", _SPEED, "--seed", "7"]
        super().__init__(folder, ["--accounts", str(accounts), *market])
        self._read_to = 0
        #: What was looked at since `forget`, and whether anybody looked at all.
        self.judged: list[Sent] = []
        self.is_judged = False
        wait_until(lambda: self.state()["market"]["bar"] >= _BARS_WANTED, _BARS_SECONDS_MAX, "the market to move")
        self.control("/market", action="pause")

    # -- what it saw ---------------------------------------------------------------------------------------------------

    def saw(self, method: str, path: str, *, host: str = "rest", status: int = 200) -> Sent:
        """The one request since the last look. AssertionError if there were more or others."""
        sent = self.saw_all()
        assert len(sent) == 1, f"wanted one {method} {path}, saw {_listed(sent)}"
        (one,) = sent
        assert (one.host, one.method, one.path, one.status) == (host, method, path, status), (
            f"wanted {host} {method} {path} {status}, saw {one.host} {one}"
        )
        if path.startswith("/api/v1/"):
            self._check_signed(one)
        return one

    def saw_all(self) -> list[Sent]:
        """Every request since the last look, oldest first."""
        sent = self.unjudged()
        self._read_to += len(sent)
        self.judged += sent
        self.is_judged = True
        return sent

    def unjudged(self) -> list[Sent]:
        """What came since the last look, without looking."""
        seen, rows = self.state()["requests_seen"], self.requests(self._read_to)
        assert len(rows) >= seen - self._read_to, "the exchange forgot requests"
        return [_sent(row) for row in rows]

    def forget(self) -> None:
        """What came until now was another judge's business."""
        self._read_to = self.state()["requests_seen"]
        self.judged, self.is_judged = [], False

    def _check_signed(self, sent: Sent) -> None:
        assert sent.key == self.key, f"{sent} came with the key {sent.key}"
        assert sent.stamp is not None, f"{sent} came without a stamp"
        age_ms = time.time_ns() // 1_000_000 - int(sent.stamp)
        assert abs(age_ms) <= _STAMP_TOLERANCE_MS, f"{sent} came with a stamp of {age_ms} ms ago"

    # -- what it knows -------------------------------------------------------------------------------------------------

    def state(self, **parameters: str) -> Any:
        """Clock, market and totals, without orders unless they are asked for; amounts are strings."""
        return super().state(**{"orders": "0", **parameters})

    def account(self) -> Any:
        """The account with its balances, orders, fills and transfers."""
        return super().state(key=self.key)["accounts"][self.key]

    def order(self, order_id: object) -> Any:
        """The order with this id. AssertionError when there is none."""
        found = [order for order in self.account()["orders"] if str(order["id"]) == str(order_id)]
        assert len(found) == 1, f"the exchange has {len(found)} orders with the id {order_id}"
        return found[0]

    def fills(self, order_id: object) -> list[Any]:
        """The trades of this order, oldest first."""
        return [fill for fill in self.account()["fills"] if str(fill["order_id"]) == str(order_id)]

    def price(self, symbol: str, of_it: Decimal = Decimal(1)) -> str:
        """The market's price times `of_it` as a text without decimals, which every pair takes."""
        return str(int(Decimal(self.prices(symbol)["price"]) * of_it))

    def prices(self, symbol: str) -> Any:
        """price, last, bid and ask of one pair, as strings."""
        return self.state()["market"]["prices"][symbol]

    # -- what only it can do -------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Cancels take effect and trades are listed, now: how long that takes is not a client's business."""
        self.control("/settle")


def _sent(row: Mapping[str, Any]) -> Sent:
    return Sent(
        host=row["host"],
        method=row["method"],
        path=row["path"],
        query=parse_qs(row["query"], keep_blank_values=True),
        body=json.loads(row["body"]) if row["body"] else None,
        key=row["key"],
        stamp=row["stamp"],
        status=row["status"],
    )


def _listed(sent: list[Sent]) -> str:
    return ", ".join(map(str, sent)) or "none"
