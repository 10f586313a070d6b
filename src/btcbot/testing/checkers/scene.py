"""What all watchers share: the words, the moments, and what is known of bot and venue at any time.

Nothing in here comes out of the bot's own reading of its books: the venue's side is the engine itself, the bot's side
is the bytes it sends and the rows it commits, read by SQL of our own.
"""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn, Protocol

import msgspec

from btcbot.testing.checkers.closing import Closing, Unit, closing_of
from btcturk_sim.money import exact
from btcturk_sim.orders import Fill, Order, Side
from btcturk_sim.wire import Request, Response

if TYPE_CHECKING:
    from btcbot.testing.checkers.feed_eye import FeedEye
    from btcbot.testing.in_process_rig import Rig
    from btcbot.testing.swarm import Limits
    from btcturk_sim.accounts import Transfer

PREFIX: Final = "btcbot-"
#: The database of another bot that trades with the same key: its orders carry the prefix, and are none of ours.
OTHER_BOOK: Final = "0ddb00c5"
_OF_OTHER_BOOK: Final = f"{PREFIX}{OTHER_BOOK}-"
ZERO: Final = Decimal(0)
#: Between the last look at the market and the moment at which an order is written down; where the process stood still
#: in the cycle, the age of the stamp protects and nothing else.
LOOK_MARGIN_MS: Final = 250
PAUSED_MARGIN_MS: Final = 5_000
BALANCES_PATH: Final = "/api/v1/users/balances"
BOOK_PATH: Final = "/api/v2/orderbook"
TIME_PATH: Final = "/api/v2/server/time"
ORDER_PATH: Final = "/api/v1/order"
#: Closed statuses that say: the venue has no such order.
NEVER_PLACED: Final = ("DENIED", "NOT_PLACED", "REJECTED")


class Violated(BaseException):
    """An invariant does not hold. No code of the bot may catch it."""

    def __init__(self, invariant: str, text: str) -> None:
        super().__init__(f"{invariant}: {text}")
        self.invariant = invariant
        self.text = text


class Stage(Protocol):
    """What watchers have to be told of the story: the world, or whoever tells a shorter one."""

    @property
    def rig(self) -> Rig: ...
    @property
    def limits(self) -> Limits: ...
    @property
    def skew_ms(self) -> int: ...
    @property
    def paused_ms(self) -> int: ...
    @property
    def kill_since(self) -> int | None: ...
    @property
    def points_passed(self) -> int: ...
    @property
    def safe_mode_left(self) -> int: ...
    @property
    def is_healing(self) -> bool: ...
    @property
    def eye(self) -> FeedEye | None:
        """What the feed told, in a story that has one."""
        ...

    @property
    def has_restarted_lately(self) -> bool: ...
    def minimum_lately(self, symbol: str) -> Decimal: ...
    @staticmethod
    def transfer_name(transfer: Transfer) -> str: ...


def is_ours(client_order_id: str) -> bool:
    """Whether an order was sent by the bot of this story."""
    return client_order_id.startswith(PREFIX) and not client_order_id.startswith(_OF_OTHER_BOOK)


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A new order on its way: what its body says, the stamp in its header, and its row (None when there is none)."""

    client: str
    symbol: str
    side: str
    price: Decimal
    quantity: Decimal
    stamp: int
    row: tuple[Any, ...] | None  # intent_id, status, stamp_ms, price, quantity

    @property
    def value(self) -> Decimal:
        return self.price * self.quantity


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `orders` as it was committed. `before`: status and filled quantity until now, None for a new row."""

    client: str
    status: str
    filled: Decimal
    before: tuple[str, Decimal] | None
    at_venue: Order | None


class Holding:
    """One symbol of ours at the venue: what we own and what it cost, by average cost."""

    __slots__ = ("cost", "quantity")

    def __init__(self) -> None:
        self.quantity = ZERO
        self.cost = ZERO

    @exact
    def add(self, fill: Fill) -> None:
        if fill.side is Side.BUY:
            self.quantity += fill.quantity
            self.cost += fill.quantity * fill.price + fill.fee + fill.tax
        else:
            left = self.quantity - fill.quantity
            # To the disadvantage of the check: cost that is too low can only let an order pass.
            self.cost = self.cost * left // self.quantity if left > 0 else ZERO
            self.quantity = left


class Scene:
    """What is known by now."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.rig = stage.rig
        engine = self.rig.venue.simulator.engine
        self.account = engine.books.accounts[self.rig.venue.key]
        self.pairs = engine.pairs
        #: Our orders at the venue by client order id, what the venue says we traded, and what it filled in part.
        self.ours: dict[str, Order] = {}
        self.fills: dict[int, Fill] = {}
        self.partial: set[int] = set()
        self.holdings: dict[str, Holding] = {}
        #: What was committed: status and filled quantity of each order, ids of entries, trade ids of fills.
        self.statuses: dict[str, tuple[str, Decimal]] = {}
        self.entries: set[str] = set()
        self.booked: set[int] = set()
        #: How many cycles in a row nothing has disturbed.
        self.calm_cycles = 0
        #: Best bid, best ask and the moment of each book that the bot was told by REST in this cycle.
        self.told: dict[str, tuple[Decimal, Decimal, int]] = {}
        #: With a feed REST may tell a pair twice in a cycle, for a quote and for a comparison: what it told before.
        self.told_before: dict[str, list[tuple[Decimal, Decimal, int]]] = {}
        self.eye = stage.eye
        #: Whether the cycle under way was woken by the feed, when it began, and how long the process had stood still.
        self.is_woken = False
        self.began_ms = self.paused_before_ms = 0
        #: Since when the venue is being asked for its time, and nothing else: the stamp of an order may wait for it.
        self.measuring_since_ms: int | None = None
        #: When each order was written down first.
        self.written_ms: dict[str, int] = {}
        #: Free balances as the venue told them last, and the orders that have left since; None: nobody can say.
        self.free_told: dict[str, Decimal] | None = None
        self._unit: Unit | None = None
        self._closing: Closing | None = None
        self.sent_since: list[Sent] = []

    def begin(self, *, is_woken: bool) -> None:
        """A cycle begins, and has been told nothing yet."""
        self.told, self.told_before = {}, {}
        self.is_woken, self.began_ms, self.paused_before_ms = is_woken, self.now_ms(), self.stage.paused_ms

    def since_last_look_ms(self, client: str) -> int:
        """How long ago the bot may have looked at the market for the last time before this order left."""
        looked_ms = self.written_ms.get(client, self.now_ms())
        if self.measuring_since_ms is not None:
            looked_ms = min(looked_ms, self.measuring_since_ms)
        return (
            self.now_ms()
            - looked_ms
            + (PAUSED_MARGIN_MS if self.stage.paused_ms != self.paused_before_ms else LOOK_MARGIN_MS)
        )

    def asks(self, path: str) -> None:
        """A request is about to leave; one that looks for symbols to choose is none that anybody trades on."""
        if self.rig.is_looking:
            return
        if path == TIME_PATH:
            self.measuring_since_ms = self.measuring_since_ms or self.now_ms()
        elif path != ORDER_PATH:
            self.measuring_since_ms = None
        if self.eye is not None:
            self.eye.asks(path == BOOK_PATH, self.now_ms())

    def catch_up(self) -> None:
        """Take in what was committed although the bot was told that it failed, and so nobody heard of it."""
        (count,) = self.sql("SELECT coalesce(max(sequence), 0) FROM entries")[0]
        if count != len(self.entries):
            self.entries = {entry_id for (entry_id,) in self.sql("SELECT entry_id FROM entries")}
            self.booked = {int(trade_id) for (trade_id,) in self.sql("SELECT trade_id FROM fills")}

    @property
    def is_dry(self) -> bool:
        return self.rig.environment["DRY_RUN"] == "true"

    def now_ms(self) -> int:
        return self.rig.clock.true_ms()

    def closing(self, unit: Unit) -> Closing | None:
        """What the unit says that closes a cycle, None for any other; read once for all who ask."""
        if unit is not self._unit:
            self._unit, self._closing = unit, closing_of(unit)
        return self._closing

    def not_booked(self) -> list[Fill]:
        """Trades that are in no book although the venue's list shows them by now: it lags by less than the horizon."""
        long_ago_ms = self.now_ms() - 1_000 * int(self.rig.environment["SETTLE_HORIZON_SECONDS"])
        return [
            fill
            for fill in self.fills.values()
            if fill.time_ms < long_ago_ms and fill.id not in self.booked and f"foreign:{fill.id}" not in self.entries
        ]

    def working(self) -> list[Order]:
        """Our open orders at the venue."""
        return [one for one in self.account.open_orders.values() if is_ours(one.client_id)]

    def sql(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self.rig.disk.execute(statement, parameters).fetchall()
        return rows

    def sent(self, request: Request) -> Sent:
        body = json.loads(request.body, parse_float=Decimal)
        client = body["newOrderClientId"]
        rows = self.sql(
            "SELECT intent_id, status, stamp_ms, price, quantity FROM orders WHERE client_order_id = ?", client
        )
        return Sent(
            client=client,
            symbol=body["pairSymbol"],
            side=body["orderType"],
            price=Decimal(body["price"]),
            quantity=Decimal(body["quantity"]),
            stamp=int(request.stamp or 0),
            row=rows[0] if rows else None,
        )

    def balances_told(self, answer: Response) -> None:
        self.free_told, self.sent_since = None, []
        if answer.status == 200 and answer.fault is None:
            self.free_told = {row.asset: row.free for row in _balances.decode(answer.body).data}

    def book_told(self, request: Request, answer: Response) -> None:
        """For trading; what a look over the market is told is nothing to trade on, nor to compare a feed with."""
        if self.rig.is_looking:
            return
        symbol = request.query.partition("pairSymbol=")[2].partition("&")[0]
        try:
            is_whole, best_bid, best_ask = _best_of(answer.body)
            bid, ask = Decimal(best_bid[0]), Decimal(best_ask[0])
        except (ValueError, LookupError, TypeError, ArithmeticError):
            # Nobody can read it, so it says nothing: what a ticker has told in this cycle stands.
            if self.eye is not None:
                self.eye.failed()
            return
        if not is_whole:
            self.told.pop(symbol, None)  # nothing that anybody could trade on
            if self.eye is not None:
                self.eye.failed()
            return
        if self.eye is not None and symbol in self.told:
            self.told_before.setdefault(symbol, []).append(self.told[symbol])
        self.told[symbol] = (bid, ask, self.now_ms())
        if self.eye is not None and len(best_bid) > 1:  # a ticker has no quantities, and is nothing to compare with
            now_ms = self.now_ms()
            made_ms = now_ms - answer.transport.delay_ms
            self.eye.told(symbol, bid, ask, made_ms, now_ms, is_clean=answer.fault is None)


class _Balance(msgspec.Struct):
    asset: str
    free: Decimal


class _Balances(msgspec.Struct):
    data: list[_Balance]


class _Sides(msgspec.Struct):
    bids: list[msgspec.Raw]
    asks: list[msgspec.Raw]


class _Told(msgspec.Struct):
    data: _Sides


_balances: Final = msgspec.json.Decoder(_Balances)
_book: Final = msgspec.json.Decoder(_Told)
_level: Final = msgspec.json.Decoder(list[Decimal])


def _best_of(body: bytes) -> tuple[bool, Sequence[Any], Sequence[Any]]:
    """Whether both sides of a book have anything, and their first levels; raise what reading nonsense raises."""
    try:
        book = _book.decode(body).data
        if book.bids and book.asks:
            return True, _level.decode(book.bids[0]), _level.decode(book.asks[0])
        return False, (0,), (0,)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        pass  # somebody has been at it: what can be read of it is read with more patience
    if body.startswith(BOM_UTF8):
        raise ValueError("no JSON begins with a byte order mark, and the bot reads none that does")
    data = json.loads(body, parse_float=Decimal)["data"]
    is_whole = bool(data["bids"]) and bool(data["asks"])
    return (True, data["bids"][0], data["asks"][0]) if is_whole else (False, (0,), (0,))


class Invariant:
    """Watches one promise. A subclass takes the moments that concern it; those it leaves out cost nothing."""

    name: ClassVar[str]

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def violated(self, text: str) -> NoReturn:
        raise Violated(self.name, text)

    def new_life(self) -> None:
        """Another process runs now: what it was told and refused is its own."""

    def cycle_begins(self) -> None: ...

    def cycle_ended(self) -> None:
        """However it ended, its pause included."""

    def woken_begins(self) -> None:
        """The feed has woken a cycle in the pause after a whole one."""

    def woken_ended(self) -> None:
        """It came to its end."""

    def placed(self, order: Order) -> None:
        """The venue has taken one of our orders."""

    def request_leaves(self, request: Request) -> None: ...

    def order_leaves(self, sent: Sent) -> None: ...

    def cancel_leaves(self, venue_order_id: int) -> None: ...

    def answer_arrives(self, name: str, request: Request, answer: Response) -> None:
        """As it left the hands of everybody on the way."""

    def order_written(self, written: Written) -> None: ...

    def fill_written(self, row: Mapping[str, Any]) -> None: ...

    def unit_committed(self, unit: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """`unit`: each statement with what it wrote; fills and orders of it were told one by one before."""

    def at_rest(self) -> None:
        """Nothing is under way: everything has to be equal, not only explained."""
