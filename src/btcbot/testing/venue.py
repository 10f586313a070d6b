"""The venue of a story: the simulator in this process, and a narrator who moves prices and people and breaks things.

`Venue` changes and reads the simulator through its control interface where that has a word for it.
`armed_environment` gives a bot the settings to trade there.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from btcbot.domain import money
from btcbot.testing.in_process_transport import InProcessTransport
from btcbot.testing.manual_clock import EPOCH_MS, ManualClock
from btcbot.testing.points import Points
from btcturk_sim.accounts import Account
from btcturk_sim.api import TRADES_MAX, ApiOptions, RequestRecord
from btcturk_sim.auth import NonceRule
from btcturk_sim.bars import Bar
from btcturk_sim.engine import EngineOptions
from btcturk_sim.instruments import Instrument, instrument_for
from btcturk_sim.money import exact
from btcturk_sim.orders import Order
from btcturk_sim.simulator import Simulator, SimulatorOptions, account

_BASE_URL: Final = "http://127.0.0.1:1"  # nothing listens there, should a request ever miss the transport
_SECRET: Final = base64.b64encode(b"the secret of a rig").decode()
_STRANGER: Final = "stranger"


class StillMarket:
    """A `BarSource` whose prices hold until somebody moves them."""

    def __init__(self, prices: Mapping[str, str]) -> None:
        self._prices = {symbol: Decimal(price) for symbol, price in prices.items()}
        #: Own copies, so that a story may change the rules of its venue.
        self.instruments: tuple[Instrument, ...] = tuple(
            replace(instrument_for(symbol, [price], ordinal))
            for ordinal, (symbol, price) in enumerate(self._prices.items())
        )
        self.interval_ms = 60_000
        self.length: int | None = None
        self.first_open_ms = 0

    def bar(self, symbol: str, index: int) -> Bar | None:
        return None

    def opening_price(self, symbol: str) -> Decimal:
        return self._prices[symbol]


class Venue:
    """The simulator as a story's narrator sees it: prices, faults, other people, and what it was asked."""

    def __init__(
        self,
        clock: ManualClock,
        points: Points,
        key: str,
        prices: Mapping[str, str],
        balances: Mapping[str, str],
        *,
        nonce: NonceRule = NonceRule.STRICT,
        engine: EngineOptions | None = None,
        packs: bool = True,
        trades_max: int = TRADES_MAX,
    ) -> None:
        """`trades_max` rows are the most that a trade list tells at once."""
        self.key = key
        self._clock = clock
        rich = {"TRY": "100000000", **{one.removesuffix("TRY"): "100000" for one in prices}}
        self.simulator = Simulator(
            accounts=[account(key, _SECRET, balances), account(_STRANGER, _SECRET, rich, 1)],
            source=StillMarket(prices),
            now_ms=clock.true_ms(),
            options=SimulatorOptions(
                engine=engine or EngineOptions(), api=ApiOptions(nonce=nonce, trades_max=trades_max)
            ),
        )
        self.transport = InProcessTransport(self.simulator, clock, points, packs=packs)

    # -- what happens there ----------------------------------------------------------------------------------------

    def price(self, symbol: str, price: str) -> None:
        """Hold the middle of the market there from now on."""
        self._control("/market", symbol=symbol, price=price)

    def halt(self, symbol: str, *, halted: bool = True) -> None:
        """Maintenance of one pair."""
        self._control("/market", symbol=symbol, halted=halted, price=None)

    def delist(self, symbol: str) -> None:
        """The venue takes a pair from its list."""
        self._control("/market", symbol=symbol, delisted=True)

    def hide_book(self, symbol: str, *, hidden: bool = True) -> None:
        """REST answers for the order book of one pair that it is not to be had just now."""
        self._control("/market", symbol=symbol, delayed=hidden)

    def human_orders(self, side: str, symbol: str, quantity: str, price: str) -> int:
        """An order that somebody places by hand on the bot's account."""
        return self._place(self.key, side, symbol, quantity, price)

    def stranger_orders(self, side: str, symbol: str, quantity: str, price: str) -> int:
        """An order of another account."""
        return self._place(_STRANGER, side, symbol, quantity, price)

    def cancel(self, venue_order_id: int | str) -> None:
        """A cancellation by hand."""
        self._control("/cancel-order", id=int(venue_order_id))

    def deposit(self, asset: str, amount: str, fee: str = "0") -> None:
        self._control("/deposit", key=self.key, asset=asset, amount=amount, fee=fee)

    def withdraw(self, asset: str, amount: str, fee: str = "0") -> None:
        self._control("/withdraw", key=self.key, asset=asset, amount=amount, fee=fee)

    def take_unseen(self, asset: str, amount: str) -> None:
        """Money goes (or comes, when below zero) and no list of the venue ever tells why."""
        self.simulator.engine.transfer(self._account(), asset, -Decimal(amount), money.ZERO, self._clock.true_ms())
        moved = self._account().transfers.pop()
        opening = self._account().opening  # the venue's own audit must not ask for the transfer that we hide
        opening[asset] = opening.get(asset, money.ZERO) + moved.amount

    def working(self) -> list[Order]:
        """The account's open orders as the engine has them, oldest first."""
        return list(self._account().open_orders.values())

    def fill(self, order: Order, quantity: Decimal) -> None:
        """Somebody takes `quantity` of a resting order, at its price, now."""
        engine, now_ms = self.simulator.engine, self._clock.true_ms()

        @exact
        def take() -> None:
            engine.fill(order, quantity, order.price, maker=True, now_ms=now_ms, match_id=None)
            engine.settle()

        take()

    def change_minimum(self, symbol: str, value: str) -> None:
        """From now on an order of this pair is worth at least so much."""
        instrument = self.simulator.engine.pairs[symbol].instrument
        object.__setattr__(instrument, "min_exchange_value", Decimal(value))

    def fault(
        self, kind: str, method: str | None = None, path: str = "/api/v1", *, count: int | None = 1, **params: Any
    ) -> None:
        """Spoil the next `count` requests (None: all) that fit; the kinds stand in `btcturk_sim.faults`."""
        self.simulator.faults.add(kind, method=method, path_prefix=path, count=count, **params)

    def answer(self, path: str, payload: object, *, count: int | None = 1) -> None:
        """Answer GET requests of `path` with this JSON."""
        self.fault("raw_body", "GET", path, count=count, body=json.dumps(payload), status=200)

    def clear_faults(self) -> None:
        self.simulator.faults.clear()
        self.simulator.feed.faults.clear()
        self.transport.is_up = True

    def skew(self, seconds: float) -> None:
        """The venue's clock runs ahead of the world's, or behind."""
        self._control("/clock", skew_ms=round(seconds * 1_000))

    # -- what it knows ---------------------------------------------------------------------------------------------

    def state(self) -> Any:
        """The bot's account as the control interface tells it."""
        query = urlencode({"key": self.key})
        answer = self.simulator.control.handle("GET", "/state", query, b"", self._clock.true_ms())
        payload: Any = json.loads(answer.body)
        return payload["accounts"][self.key]

    def totals(self) -> dict[str, Decimal]:
        """Free and locked together, by asset."""
        return {asset: held.total for asset, held in self._account().balances.items()}

    def orders(self) -> list[Any]:
        listed: list[Any] = self.state()["orders"]
        return listed

    def requests(self, method: str = "", path: str = "") -> list[RequestRecord]:
        """Requests of this method and path (all, where none is named), also those that a fault kept from the venue.

        Oldest first.
        """
        return [one for one in self.simulator.api.requests if method in ("", one.method) and path in ("", one.path)]

    def posts_by_client(self) -> Counter[str]:
        """How often each client order id was sent."""
        return self.transport.posts

    def _account(self) -> Account:
        return self.simulator.engine.books.accounts[self.key]

    def _place(self, key: str, side: str, symbol: str, quantity: str, price: str) -> int:
        fields = {"pairSymbol": symbol, "orderType": side, "orderMethod": "limit", "quantity": quantity, "price": price}
        return int(self._control("/foreign-order", key=key, **fields)["id"])

    def _control(self, path: str, **body: object) -> Any:
        content = json.dumps(body).encode()
        answer = self.simulator.control.handle("POST", path, "", content, self._clock.true_ms())
        payload: Any = json.loads(answer.body)
        assert answer.status == 200, payload
        return payload


def armed_environment(database: Path, key: str, symbols: Sequence[str]) -> dict[str, str]:
    """Settings that open every gate to the venue in this process, for the account of `key`."""
    return {
        "BTCTURK_BASE_URL": _BASE_URL,
        "BTCTURK_API_KEY": key,
        "BTCTURK_API_SECRET": _SECRET,
        "BTCTURK_SECRET_ROTATED_AT": datetime.fromtimestamp(EPOCH_MS / 1_000, tz=UTC).date().isoformat(),
        "STATE_DB_PATH": str(database),
        "SYMBOLS": ",".join(symbols),
        "DRY_RUN": "false",
        "LIVE_TRADING": "true",
        "LIVE_TRADING_ACK": "I_UNDERSTAND",
    }
