"""What a story is: a bot and its venue, what happens before each cycle, and how the lives of its orders must read.

A story is data, so that it can be told thousands of times, each time with a crash or a broken disk at another place.
Hence acts, what happens before a cycle, never lean on what the bot has done so far: a crash may have kept it from it.
They move the venue, other people, the clock, files and the database; whoever is dead meanwhile finds it so later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from btcbot.profiles import RUN, Profile
from btcturk_sim.auth import NonceRule
from btcturk_sim.engine import EngineOptions

if TYPE_CHECKING:
    from btcbot.testing.stories.performance import Performance

Act = Callable[["Performance"], object]

#: At a market of 999,500 / 1,000,500.
RESTING: Final = ("buy", "0.0005", "1000000")
TAKING: Final = ("buy", "0.0005", "1000500")
SELLING: Final = ("sell", "0.0005", "999500")

OPEN_ORDERS: Final = "/api/v1/openOrders"
ALL_ORDERS: Final = "/api/v1/allOrders"
SINGLE_ORDER: Final = "/api/v1/order/"
TRADES: Final = "/api/v1/users/transactions/trade"
BALANCES: Final = "/api/v1/users/balances"
BOOK: Final = "/api/v2/orderbook"


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """`acts` are by number of the cycle that they come before; those below 0 belong to the prelude.

    Told without harm, a story is what its name says: `lives` are the statuses of its orders after SUBMITTED, oldest
    order first, when the last cycle has ended; `struck` the faults of the venue that hit at least so often; `shows`
    what else is true then, each with its sentence.
    """

    name: str
    acts: Mapping[int, Sequence[Act]]
    cycles: int
    lives: Sequence[str]
    struck: Mapping[str, int] = {}
    shows: Callable[[Performance], Mapping[str, bool]] = lambda performance: {}
    #: What is true at the end whatever struck, beyond what holds in every story.
    always: Callable[[Performance], Mapping[str, bool]] = lambda performance: {}
    #: Cycles before anything counts as a point: the books are opened in peace, and what the story needs is there.
    prelude: int = 1
    #: It has the live feed: then the pause after a cycle is the loop's, in which the feed may wake others.
    has_feed: bool = False
    #: The real strategy wishes; otherwise only the acts do.
    is_traded: bool = False
    symbols: tuple[str, ...] = ("BTCTRY",)
    prices: Mapping[str, str] | None = None
    balances: Mapping[str, str] = msgspec.field(default_factory=lambda: {"TRY": "10000"})
    settings: Mapping[str, str] = {}
    cycle_seconds: float = 10.0
    nonce: NonceRule = NonceRule.STRICT
    engine: EngineOptions | None = None
    skew_seconds: float = 0.0
    #: Invariants that are not promised while this story lasts, each with the reason; at rest all of them hold again.
    not_promised: Mapping[str, str] = {}
    #: It ends in a halt, which a human lifts.
    halts: bool = False
    #: It puts brakes on and takes them off itself.
    has_brakes: bool = False
    #: Short enough for every pair of crashes.
    is_short: bool = False
    #: Which parts the cycle has.
    profile: Profile = RUN
    #: What a human does while everything settles, before each cycle.
    mends: Act | None = None


# -- acts: the venue and other people ----------------------------------------------------------------------------------


def fault(kind: str, method: str | None = None, path: str = "/api/v1", *, count: int | None = 1, **params: Any) -> Act:
    """Spoil the next `count` requests (None: all) that fit; the kinds stand in `btcturk_sim.faults`."""
    return lambda it: it.rig.venue.fault(kind, method, path, count=count, **params)


def answer(path: str, payload: object, count: int | None = 1) -> Act:
    return lambda it: it.rig.venue.answer(path, payload, count=count)


def price(value: str, symbol: str = "BTCTRY") -> Act:
    return lambda it: it.rig.venue.price(symbol, value)


def stranger(side: str, quantity: str, at: str = "1000000", symbol: str = "BTCTRY") -> Act:
    """Somebody trades, perhaps with us."""
    return lambda it: it.rig.venue.stranger_orders(side, symbol, quantity, at)


def later(seconds: float, *acts: Act) -> Act:
    """These happen so long after the cycle began: in the pause after it, or while it is still under way."""

    def plan(it: Performance) -> None:
        for act in acts:
            it.agenda.at(round(seconds * 1_000), partial(act, it))

    return plan


def feed_breaks(it: Performance) -> None:
    """The connection of the live feed breaks."""
    it.rig.venue.simulator.feed.strike("socket_aborted", it.rig.clock.true_ms())


def feed_fault(kind: str, **options: Any) -> Act:
    """Spoil frames of the feed from now on; the kinds stand in `btcturk_sim.feed.faults`."""
    return lambda it: it.rig.venue.simulator.feed.faults.add(kind, **options)


def human(side: str, quantity: str, at: str, symbol: str = "BTCTRY") -> Act:
    """Somebody trades by hand on the bot's account."""
    return lambda it: it.rig.venue.human_orders(side, symbol, quantity, at)


def human_cancels(it: Performance) -> None:
    """Somebody cancels by hand whatever works on the bot's account."""
    for order in it.rig.venue.working():
        it.rig.venue.cancel(order.id)


def deposit(amount: str, asset: str = "TRY") -> Act:
    return lambda it: it.rig.venue.deposit(asset, amount)


def withdrawal(amount: str, fee: str, asset: str = "TRY") -> Act:
    return lambda it: it.rig.venue.withdraw(asset, amount, fee)


def unseen(amount: str, asset: str = "TRY") -> Act:
    """Money goes, and no list of the venue ever tells why."""
    return lambda it: it.rig.venue.take_unseen(asset, amount)


def fine(it: Performance) -> None:
    """The venue behaves again."""
    it.rig.venue.clear_faults()


# -- acts: the bot's own side ------------------------------------------------------------------------------------------


def wish(side: str, quantity: str, at: str, symbol: str = "") -> Act:
    """What the strategy wants in the next cycle that asks it."""
    return lambda it: it.rig.wish(side, quantity, at, symbol)


def wait(seconds: float) -> Act:
    return lambda it: it.rig.wait(seconds)


def night(seconds: float) -> Act:
    """Time passes, and the market sleeps too: its steps would cost more than all the rest of a story."""

    def pass_time(it: Performance) -> None:
        market = it.rig.venue.simulator.engine.market
        market.pause(it.rig.clock.true_ms())
        it.rig.wait(seconds)
        market.resume(it.rig.clock.true_ms())

    return pass_time


def clock(seconds: float) -> Act:
    """Our wall clock is set forward, or back."""
    return lambda it: it.rig.clock.step(seconds)


def kill(is_on: bool) -> Act:
    return lambda it: it.kill(is_on=is_on)


def reborn(**settings: str) -> Act:
    """The process ends and another one starts, with other settings."""
    return lambda it: it.end(settings)


def request(kind: str, **arguments: str) -> Act:
    """What an operator's command leaves in the database for the bot."""
    return lambda it: it.request(kind, **arguments)


def once(point: str, act: Act) -> Act:
    """`act` happens at the next point whose name begins so."""
    return lambda it: it.once.append((point, act))
