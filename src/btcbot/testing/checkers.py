"""The invariants, each watched by code that shares none with what it watches.

The watchers see three things: what really happens at the venue (the engine's events), what the bot sends and is told
(bytes), and what the database holds after a commit (SQL of their own). What is called at which moment:

    a request leaves     I1 I5 I6 I8 I11 I14 I15 I16 I17 I18
    an answer arrives    I15 (what was told) I17
    a unit is committed  I2 I9 I10
    a cycle has ended    I3 I7 I18 I20
    everything at rest   I1 I2 I3 I4 I7 I10 I11 I16 I20, and the books' own proof

I12, I13, I21 and I22 are about processes, sockets and disks and are proved elsewhere; I19 is the hash of the trace.
"""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from btcbot.domain.orders import TRANSITIONS, OrderStatus
from btcturk_sim.events import Event, OrderInserted, OrderMatched
from btcturk_sim.money import exact
from btcturk_sim.orders import Fill, Order, Side
from btcturk_sim.wire import Delivery, Request, Response

if TYPE_CHECKING:
    from btcbot.testing.world import World

PREFIX: Final = "btcbot-"
UNAUTHORIZED_IN_A_ROW_MAX: Final = 5
#: Quotes may age by this much between the moment they are judged and the moment an order leaves.
QUOTE_MARGIN_MS: Final = 5_000
#: A request whose stamp is older than this cannot be accepted any more: the process stood still after its last look.
STAMP_TOLERANCE_MS: Final = 5_000
REQUESTS_PER_CYCLE_MAX: Final = 160
CYCLE_MS_MAX: Final = 900_000
UNITS_PER_CYCLE_MAX: Final = 120
_ZERO: Final = Decimal(0)
_NEVER_PLACED: Final = ("DENIED", "NOT_PLACED", "REJECTED")
_BALANCES: Final = "SELECT asset, account, balance FROM account_balances WHERE account IN ('venue', 'suspense')"
#: An order that is open without a hold, or closed with one.
_HOLDS: Final = """
    SELECT orders.client_order_id, orders.status FROM orders LEFT JOIN holds USING (client_order_id)
    WHERE (orders.status IN ('SUBMITTED', 'ACCEPTED', 'PARTIALLY_FILLED', 'PENDING_CANCEL', 'REFUSED_PROVISIONAL',
                             'UNKNOWN')) = (holds.client_order_id IS NULL) LIMIT 1"""
_UNPROVED: Final = """
    SELECT orders.client_order_id FROM orders LEFT JOIN verdicts
    ON verdicts.intent_id = orders.intent_id AND verdicts.cycle_id = orders.cycle_id AND verdicts.allowed = 1
    WHERE verdicts.intent_id IS NULL AND orders.strategy != 'adopted' LIMIT 1"""


class Violated(BaseException):
    """An invariant does not hold. No code of the bot may catch it."""

    def __init__(self, invariant: str, text: str) -> None:
        super().__init__(f"{invariant}: {text}")
        self.invariant = invariant
        self.text = text


def _reachable() -> frozenset[tuple[str, str]]:
    """(before, after) for one to three steps of the table: one unit may take an order from in doubt to filled."""
    steps = {(str(a), str(b)) for a, after in TRANSITIONS.items() for b in after.values()}
    found = {(str(status), str(status)) for status in OrderStatus} | steps
    for _ in range(2):
        found |= {(a, d) for a, b in found for c, d in steps if b == c}
    return frozenset(found)


class _Holding:
    """One symbol of ours at the venue: what we own and what it cost, by average cost."""

    __slots__ = ("cost", "quantity")

    def __init__(self) -> None:
        self.quantity = _ZERO
        self.cost = _ZERO

    @exact
    def add(self, fill: Fill) -> None:
        if fill.side is Side.BUY:
            self.quantity += fill.quantity
            self.cost += fill.quantity * fill.price + fill.fee + fill.tax
        else:
            left = self.quantity - fill.quantity
            # To the disadvantage of the check: cost that is too low can only let an order pass.
            self.cost = self.cost * left // self.quantity if left > 0 else _ZERO
            self.quantity = left


class Checkers:
    REACHABLE: Final = _reachable()

    def __init__(self, world: World) -> None:
        self._world = world
        self._rig = world.rig
        engine = self._rig.venue.simulator.engine
        self._account = engine.books.accounts[self._rig.venue.key]
        self._pairs = engine.pairs
        engine.listeners.append(self.on_event)
        #: Our orders at the venue by client order id, and what the venue says we traded.
        self.ours: dict[str, Order] = {}
        self.fills: dict[int, Fill] = {}
        self.partial: set[int] = set()
        self._holdings: dict[str, _Holding] = {}
        self._statuses: dict[str, tuple[str, Decimal]] = {}
        self._told: dict[str, tuple[Decimal, Decimal, int]] = {}
        self._last_stamp = 0
        self._requests = 0
        self._units = 0
        self._unauthorized = 0
        self._posts_since_stop = 0
        self._sent: Counter[str] = Counter()
        self._sent_in_cycle = 0
        self._notional_in_cycle = _ZERO
        self._started_ms = 0

    # -- moments ---------------------------------------------------------------------------------------------------

    def new_life(self) -> None:
        """Another process runs now: what it was told and refused is its own."""
        self._unauthorized = 0
        self._told = {}
        self._posts_since_stop = 0

    def cycle_begins(self) -> None:
        self._requests = self._units = self._sent_in_cycle = 0
        self._notional_in_cycle = _ZERO
        self._told = {}
        self._started_ms = self._rig.clock.true_ms()

    def on_event(self, event: Event) -> None:
        if isinstance(event, OrderInserted):
            order = event.order
            if order.account is self._account and order.client_id.startswith(PREFIX):
                other = self.ours.setdefault(order.client_id, order)
                if other is not order:
                    raise Violated("I1", f"{order.client_id} stands at the venue as {other.id} and as {order.id}")
                status = self._statuses.get(order.client_id, ("", _ZERO))[0]
                if status in _NEVER_PLACED:
                    raise Violated("I7", f"{order.client_id} is {status}, and the venue takes it now")
        elif isinstance(event, OrderMatched) and event.account is self._account:
            self.fills[event.fill.id] = event.fill
            if event.order.client_id.startswith(PREFIX):
                if event.order.left > 0:
                    self.partial.add(event.order.id)
                self._holdings.setdefault(event.order.instrument.symbol, _Holding()).add(event.fill)

    def leaves(self, request: Request) -> None:
        """A request is about to leave the bot."""
        self._requests += 1
        if self._requests > REQUESTS_PER_CYCLE_MAX:
            raise Violated("I18", f"more than {REQUESTS_PER_CYCLE_MAX} requests in one cycle")
        if request.stamp is not None:
            stamp = int(request.stamp)
            if stamp <= self._last_stamp:
                raise Violated("I11", f"stamp {stamp} follows {self._last_stamp}")
            self._last_stamp = stamp
            if self._unauthorized >= UNAUTHORIZED_IN_A_ROW_MAX:
                raise Violated("I17", f"a signed request left after {self._unauthorized} answers 401 in a row")
        if request.method == "POST":
            self._submits(json.loads(request.body, parse_float=Decimal), int(request.stamp or 0))
        elif request.method == "DELETE":
            self._cancels(int(request.query.partition("id=")[2]))

    def arrives(self, name: str, request: Request, answer: Response) -> None:
        """An answer is about to reach the bot, as it left the hands of everybody on the way."""
        if answer.transport.delivery is not Delivery.SEND:
            return
        if "/api/v1/" in name:
            self._unauthorized = self._unauthorized + 1 if answer.status == 401 else 0
        if answer.status == 429 and answer.fault is None and not self._world.has_restarted_lately:
            raise Violated("I17", f"the venue's limiter refused {name}")
        if name == "GET /api/v2/orderbook" and answer.status == 200:
            self._book_told(request, answer.body)

    def committed(self) -> None:
        """A unit has been committed."""
        self._units += 1
        if self._units > UNITS_PER_CYCLE_MAX:
            raise Violated("I18", f"more than {UNITS_PER_CYCLE_MAX} units in one cycle")
        touches_orders = False
        unit = self._rig.last_unit()
        for statement, row in unit:
            if statement in ("insert_order", "update_order"):
                touches_orders = True
                self._order_written(statement, row)
            elif statement in ("put_hold", "release_hold"):
                touches_orders = True
            elif statement == "insert_fill":
                self._fill_written(row)
                if not {"insert_entry", "update_order", "put_position"} <= {name for name, _ in unit}:
                    raise Violated("I2", f"fill {row['trade_id']} is booked without its entry, order and position")
        if touches_orders:
            found = self._sql(_HOLDS)
            if found:
                raise Violated("I10", f"order {found[0][0]} is {found[0][1]}, and its hold says otherwise")

    def cycle_ended(self) -> None:
        """A cycle came to its end, however."""
        took_ms = self._rig.clock.true_ms() - self._started_ms - self._world.paused_ms
        if took_ms > CYCLE_MS_MAX:
            raise Violated("I18", f"a cycle took {took_ms} ms")
        self._books_are_explained()

    # -- I1 I5 I6 I8 I14 I15: a new order leaves -----------------------------------------------------------------------

    @exact
    def _submits(self, body: Any, stamp: int) -> None:
        client, symbol = body["newOrderClientId"], body["pairSymbol"]
        side, price, quantity = body["orderType"], Decimal(body["price"]), Decimal(body["quantity"])
        self._sent[client] += 1
        if self._sent[client] > 1:
            raise Violated("I1", f"{client} is sent a second time")
        row = self._sql("SELECT status, stamp_ms, price, quantity FROM orders WHERE client_order_id = ?", client)
        if (
            not row
            or row[0][:2] != ("SUBMITTED", stamp)
            or (Decimal(row[0][2]), Decimal(row[0][3]))
            != (
                price,
                quantity,
            )
        ):
            raise Violated("I1", f"{client} leaves, and the database has {row} for it")
        self._gates_are_open(client)
        self._budget_holds(client, symbol, side, price * quantity)
        venue_now_ms = self._rig.clock.true_ms() + self._world.skew_ms
        can_be_accepted = abs(venue_now_ms - stamp) <= STAMP_TOLERANCE_MS
        self._market_was_seen(client, symbol, price, can_be_accepted=can_be_accepted)
        self._form_is_right(client, symbol, side, price, quantity)
        self._sent_in_cycle += 1
        self._notional_in_cycle += price * quantity

    def _gates_are_open(self, client: str) -> None:
        """I6, I8: only what was already past its permit may leave when a gate closes."""
        world = self._world
        if world.kill_since is not None and world.kill_since < world.points_passed:
            raise Violated("I8", f"{client} leaves {world.points_passed - world.kill_since} points after the kill file")
        if world.safe_mode_left:
            raise Violated("I6", f"{client} leaves in safe mode")
        if world.is_healing:
            raise Violated("I6", f"{client} leaves although nothing was wished")
        state = self._sql("SELECT value FROM named_values WHERE name = 'trading_state'")
        if state and state[0][0] in ("HALTED", "FROZEN"):
            raise Violated("I6", f"{client} leaves while {state[0][0]}")
        skew_ms = self._rig.bot.exchange.health().clock_skew_ms
        if skew_ms is None or abs(skew_ms) >= 2_000:
            raise Violated("I6", f"{client} leaves with a clock skew of {skew_ms} ms")
        if self._rig.stop.is_set():
            self._posts_since_stop += 1
            if self._posts_since_stop > 1:
                raise Violated("I6", f"{client} is the second order to leave after the word to stop")

    @exact
    def _budget_holds(self, client: str, symbol: str, side: str, value: Decimal) -> None:
        """I5, counted on what was sent and on what stands at the venue."""
        limits = self._world.limits
        if limits.per_order and value > limits.per_order:
            raise Violated("I5", f"{client} is worth {value}, at most {limits.per_order} per order")
        if self._sent_in_cycle + 1 > limits.orders_per_cycle:
            raise Violated("I5", f"{client} is number {self._sent_in_cycle + 1} of its cycle")
        if self._notional_in_cycle + value > limits.per_cycle:
            raise Violated("I5", f"{self._notional_in_cycle + value} in one cycle, at most {limits.per_cycle}")
        working = [one for one in self._account.open_orders.values() if one.client_id.startswith(PREFIX)]
        if sum(1 for one in working if one.instrument.symbol == symbol) + 1 > limits.open_per_symbol:
            raise Violated("I5", f"{client} makes more than {limits.open_per_symbol} open orders of {symbol}")
        if side != "buy":
            return
        invested = {name: held.cost for name, held in self._holdings.items()}
        for one in working:
            if one.side is Side.BUY:
                name = one.instrument.symbol
                invested[name] = invested.get(name, _ZERO) + one.left * one.price
        invested[symbol] = invested.get(symbol, _ZERO) + value
        if invested[symbol] > limits.position:
            raise Violated("I5", f"{client} brings {symbol} to {invested[symbol]}, at most {limits.position}")
        if sum(invested.values(), _ZERO) > limits.exposure:
            raise Violated("I5", f"{client} brings all to {sum(invested.values(), _ZERO)}, at most {limits.exposure}")

    @exact
    def _market_was_seen(self, client: str, symbol: str, price: Decimal, *, can_be_accepted: bool) -> None:
        """I15, and the collar of I14: a sane and fresh book of this very cycle stands behind every order.

        A process may stand still between its very last look and the socket; then the age of the stamp protects.
        """
        told = self._told.get(symbol)
        if told is None:
            raise Violated("I15", f"{client} leaves without a book of {symbol} in this cycle")
        bid, ask, told_ms = told
        if not 0 < bid < ask:
            raise Violated("I15", f"{client} leaves on a book of {bid} / {ask}")
        age_ms = self._rig.clock.true_ms() - told_ms
        if can_be_accepted and age_ms > self._world.limits.quote_age_ms + QUOTE_MARGIN_MS:
            raise Violated("I15", f"{client} leaves on a book that is {age_ms} ms old")
        middle = (bid + ask) / 2
        if abs(price - middle) * 10_000 > (self._world.limits.collar_bps + Decimal("0.001")) * middle:
            raise Violated("I14", f"{client} at {price} is outside the collar around {middle}")

    @exact
    def _form_is_right(self, client: str, symbol: str, side: str, price: Decimal, quantity: Decimal) -> None:
        """I14: on tick and lot, and never more sold than was bought."""
        rules = self._pairs[symbol].instrument
        if price % rules.price_step or quantity % Decimal(1).scaleb(-rules.quantity_scale):
            raise Violated("I14", f"{client}: {quantity} at {price} is off the tick or the lot")
        if price * quantity < self._world.minimum_lately(symbol):
            raise Violated("I14", f"{client} is worth {price * quantity}, below the venue's minimum")
        if side == "sell":
            held = self._holdings.get(symbol)
            on_sale = sum(
                (one.left for one in self._account.open_orders.values()
                 if one.client_id.startswith(PREFIX) and one.side is Side.SELL and one.instrument.symbol == symbol),
                _ZERO,
            )  # fmt: skip
            if held is None or on_sale + quantity > held.quantity:
                owned = held.quantity if held else _ZERO
                raise Violated("I14", f"{client} sells {quantity} of {symbol}; {owned} owned, {on_sale} on sale")

    # -- I16: a cancellation leaves ------------------------------------------------------------------------------------

    def _cancels(self, venue_order_id: int) -> None:
        order = self._account.orders.get(venue_order_id)
        if order is not None and not order.client_id.startswith(PREFIX):
            raise Violated("I16", f"order {venue_order_id} is not ours and is cancelled")
        if self._world.safe_mode_left:
            raise Violated("I6", f"a cancellation of {venue_order_id} leaves in safe mode")

    # -- what was told -------------------------------------------------------------------------------------------------

    def _book_told(self, request: Request, body: bytes) -> None:
        symbol = request.query.partition("pairSymbol=")[2].partition("&")[0]
        try:
            data = json.loads(body.removeprefix(b"\xef\xbb\xbf"), parse_float=Decimal)["data"]
            bid, ask = Decimal(data["bids"][0][0]), Decimal(data["asks"][0][0])
        except (ValueError, LookupError, TypeError, ArithmeticError):
            self._told.pop(symbol, None)  # nothing that anybody could trade on
        else:
            self._told[symbol] = (bid, ask, self._rig.clock.true_ms())

    # -- I2 I9: a unit was committed -----------------------------------------------------------------------------------

    def _order_written(self, statement: str, row: Any) -> None:
        client, status, filled = row["client_order_id"], str(row["status"]), Decimal(row["filled_quantity"])
        before = self._statuses.get(client)
        if before is None:
            if status not in ("SUBMITTED", "ACCEPTED") or filled:
                raise Violated("I9", f"{client} begins as {status} with {filled} filled")
        else:
            if (before[0], status) not in self.REACHABLE:
                raise Violated("I9", f"{client} went from {before[0]} to {status}")
            if filled < before[1]:
                raise Violated("I9", f"{client} had {before[1]} filled and now {filled}")
        self._statuses[client] = (status, filled)
        at_venue = self.ours.get(client)
        if status in _NEVER_PLACED and at_venue is not None:
            raise Violated("I7", f"{client} is taken for {status}, and the venue has it as {at_venue.id}")
        if status == "CANCELED" and at_venue is not None and (before is None or before[0] != status):
            if at_venue.status.is_open:
                raise Violated("I7", f"{client} is taken for {status}, and the venue works it")
            if at_venue.filled != filled:
                raise Violated("I2", f"{client} is closed with {filled} filled; the venue executed {at_venue.filled}")

    def _fill_written(self, row: Any) -> None:
        fill = self.fills.get(int(row["trade_id"]))
        if fill is None or fill.client_id != row["client_order_id"]:
            raise Violated("I2", f"fill {row['trade_id']} of {row['client_order_id']} never happened")
        told = tuple(Decimal(row[name]) for name in ("quantity", "price", "fee", "tax"))
        if told != (fill.quantity, fill.price, fill.fee, fill.tax):
            raise Violated("I2", f"fill {fill.id} is booked as {told}")

    # -- I3: the books at any moment -----------------------------------------------------------------------------------

    @exact
    def _books_are_explained(self) -> None:
        """Books without suspense, plus all that is not booked yet, are the venue's balances, to the last digit."""
        opening = self._sql("SELECT value FROM named_values WHERE name = 'opening_at_ms'")
        if not opening:
            return
        books: dict[str, Decimal] = {}
        for asset, _, balance in self._sql(_BALANCES):
            books[asset] = books.get(asset, _ZERO) + Decimal(balance)
        booked = {entry for (entry,) in self._sql("SELECT entry_id FROM entries")}
        opening_ms = int(opening[0][0]) - self._world.skew_ms
        for fill in self.fills.values():
            if fill.time_ms >= opening_ms and not booked & {f"fill:{fill.id}", f"foreign:{fill.id}"}:
                sign = 1 if fill.side is Side.BUY else -1
                base, quote = fill.instrument.base, fill.instrument.quote
                books[base] = books.get(base, _ZERO) + sign * fill.quantity
                paid = sign * fill.quantity * fill.price + fill.fee + fill.tax
                books[quote] = books.get(quote, _ZERO) - paid
        for transfer in self._account.transfers:
            if f"transfer:{self._world.transfer_name(transfer)}" not in booked:
                books[transfer.asset] = books.get(transfer.asset, _ZERO) + transfer.amount - transfer.fee
        for asset, held in self._account.balances.items():
            if books.get(asset, _ZERO) != held.total:
                raise Violated(
                    "I3", f"{asset}: books and all that is under way give {books.get(asset, _ZERO)}, not {held.total}"
                )

    # -- everything at rest --------------------------------------------------------------------------------------------

    def at_rest(self) -> None:
        """I1 I2 I3 I4 I7 I10 I11: what stories are judged by, and I16 I20."""
        rig = self._rig
        for invariant, found in (
            ("I2", rig.crooked_money()),
            ("I7", rig.crooked_orders()),
            ("I11", rig.crooked_stamps()),
            ("I4", rig.store.verify()),
        ):
            if found:
                raise Violated(invariant, "; ".join(found[:3]))
        foreign = {f"foreign:{fill.id}" for fill in self.fills.values() if not fill.client_id.startswith(PREFIX)}
        booked = {entry for (entry,) in self._sql("SELECT entry_id FROM entries WHERE kind = 'foreign'")}
        if foreign != booked:
            raise Violated("I16", f"foreign trades of the venue and of the books differ: {sorted(foreign ^ booked)}")
        unexplained = self._sql(_UNPROVED)
        if unexplained:
            raise Violated("I20", f"no verdict explains order {unexplained[0][0]}")
        self._books_are_explained()

    def _sql(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._rig.disk.execute(statement, parameters).fetchall()
        return rows
