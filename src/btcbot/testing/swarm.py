"""What a seed decides before anything happens: a random subset of the faults with random rates, and the kind of world.

Testing with a random *subset* (a swarm) finds more than testing with everything at once: faults that hide each other
are sometimes apart.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Final, Protocol

import msgspec

from btcbot.domain import money
from btcbot.domain.intents import Intent, Side
from btcbot.profiles import RUN, Profile
from btcbot.strategies.base import Signal, Strategy, StrategyContext, UsesSignals
from btcbot.testing.fault import Knowing
from btcbot.testing.faults import FAULTS
from btcbot.testing.profiles_played import LONGER_PERCENT, PLAYED, draw_beside, draw_profile
from btcturk_sim.auth import NonceRule
from btcturk_sim.book import BookOptions
from btcturk_sim.engine import EngineOptions
from btcturk_sim.feed.options import ORDER_UPDATE, USER_EVENTS, FeedOptions, LoginWindow

PRICES: Final[Mapping[str, str]] = {
    "BTCTRY": "1000000", "ETHTRY": "100000", "SOLTRY": "5000.5", "AVAXTRY": "900.25", "XRPTRY": "40.123",
    "ADATRY": "25.471",
}  # fmt: skip
#: In so many worlds of a hundred all of these pairs are traded: beyond five, one ticker takes the place of the books.
ALL_PAIRS_PERCENT: Final = 6

#: Rows of a trade list, as the venue has them, and so few that a simulated day does not fit.
PAGES_MAX: Final = (200, 200, 200, 12, 12)
#: Settings and what a world draws for each.
CHOICES: Final[Mapping[str, tuple[int, ...]]] = {
    "TTL_SECONDS": (8, 25, 60),
    "COOLDOWN_SECONDS": (0, 0, 0, 15),
    "MAX_ORDERS_PER_CYCLE": (1, 2, 5),
    "MAX_OPEN_ORDERS_PER_SYMBOL": (1, 2, 3),
    "NOTIONAL_CAP_TRY_PER_CYCLE": (600, 1_200, 3_000),
    "MAX_NOTIONAL_PER_ORDER_TRY": (0, 550, 800),
    "MAX_POSITION_TRY_PER_SYMBOL": (900, 2_000, 6_000),
    "MAX_TOTAL_EXPOSURE_TRY": (1_500, 5_000, 20_000),
    "MAX_DAILY_LOSS_TRY": (100, 500, 5_000),
    "PRICE_COLLAR_BPS": (50, 200, 500),
    "MIN_PROFIT_BPS": (0, 30),
}
#: In so many worlds of a hundred the bot has a live feed, and what such a world draws for the settings of it.
FEED_PERCENT: Final = 65
FEED_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "MARKET_DATA_MODE": ("auto", "auto", "auto", "auto", "ws"),
    "FEED_WAKE_MS": ("50", "250", "250", "1000", "0"),
    "BOOK_CHECK_SECONDS": ("15", "30", "60", "60"),
}
#: Levels of a book that a feed keeps: enough, and a frame stays small.
FEED_LEVELS: Final = 5
#: What a restart finds is the heart of it: crashes belong to more worlds than any other fault.
CRASH_SHARE_MIN: Final = 0.6
#: And what only some profiles know, to more of their worlds than other faults.
KNOWING_SHARE_MIN: Final = 0.4
#: Those that an operator changes from one life of the process to the next.
LIMITED: Final = tuple(CHOICES)


class Now(Protocol):
    """Where a story stands."""

    @property
    def seed(self) -> int: ...
    @property
    def cycle(self) -> int: ...


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The caps of this world's bot, for those who check them."""

    orders_per_cycle: int
    open_per_symbol: int
    per_order: Decimal
    per_cycle: Decimal
    position: Decimal
    exposure: Decimal
    collar_bps: Decimal
    quote_age_ms: int


class FeedSwarm(msgspec.Struct, frozen=True, kw_only=True):
    """How this world's feed behaves where that is a choice."""

    options: FeedOptions
    #: Whether the library below the client breaks a connection without pongs before the client does it.
    watches_pongs: bool
    #: How often the market moves, and other people trade, in the pause between two cycles, at most.
    moves_max: int


class Swarm(msgspec.Struct, frozen=True, kw_only=True):
    """What a seed decides before anything happens."""

    symbols: tuple[str, ...]
    settings: Mapping[str, str]
    balances: Mapping[str, str]
    cycles: int
    cycle_seconds: float
    restart_seconds: float  # until a process that ended is started again, at most
    wishes: str  # random; those of a strategy: profit_v1, or the one of profile and settings; or both in turns
    nonce: NonceRule
    engine: EngineOptions
    skew_ms: int
    lag_ms_max: int
    volatility_bps: int
    packs: bool
    trades_max: int  # rows of a trade list at most
    rates: Mapping[str, int]  # ppm of each fault that this world knows
    feed: FeedSwarm | None = None
    #: A story that was kept before there were others is one of `run`.
    profile: str = RUN.name

    def described(self) -> str:
        profile = "" if self.profile == RUN.name else f"{self.profile} "
        return (
            f"{profile}{','.join(self.symbols)} {self.wishes} {self.cycles}x{self.cycle_seconds:g}s {self.nonce.value} "
            f"skew {self.skew_ms} pages {self.trades_max} lag {self.lag_ms_max} "
            f"{dict(sorted(self.settings.items()))} {len(self.rates)} faults{'' if self.feed is None else ' feed'}"
        )


def limits_of(settings: Mapping[str, str]) -> Limits:
    return Limits(
        orders_per_cycle=int(settings["MAX_ORDERS_PER_CYCLE"]),
        open_per_symbol=int(settings["MAX_OPEN_ORDERS_PER_SYMBOL"]),
        per_order=Decimal(settings["MAX_NOTIONAL_PER_ORDER_TRY"]),
        per_cycle=Decimal(settings["NOTIONAL_CAP_TRY_PER_CYCLE"]),
        position=Decimal(settings["MAX_POSITION_TRY_PER_SYMBOL"]),
        exposure=Decimal(settings["MAX_TOTAL_EXPOSURE_TRY"]),
        collar_bps=Decimal(settings["PRICE_COLLAR_BPS"]),
        quote_age_ms=15_000,
    )


def draw_swarm(seed: int, cycles: int | None, names: Collection[str], profile: str | None = None) -> Swarm:
    """The world of a seed, with only these faults. `profile` None is drawn as well."""
    random = Random(f"{seed}/swarm")  # noqa: S311 (no secret)
    pairs = len(PRICES) if random.randrange(100) < ALL_PAIRS_PERCENT else random.choice((2, 2, 3))
    symbols = tuple(sorted(random.sample(sorted(PRICES), pairs)))
    horizon_s = random.choice((5, 10, 30))
    settings = {name: str(random.choice(choices)) for name, choices in CHOICES.items()}
    settings["SETTLE_HORIZON_SECONDS"] = str(horizon_s)
    engine = EngineOptions(
        cancel_lag_ms=random.choice((0, 50, 700, 3_000)),
        transactions_lag_ms=random.choice((0, 150, 2_000)),
        just_filled_ms=random.choice((0, 0, 150)),
        unique_client_ids=random.random() < 0.5,
        book=BookOptions(depth_try=Decimal(random.choice((120, 300, 20_000))), levels=12),
    )
    share = random.choice((0.15, 0.3, 0.5, 1.0))
    mildness = random.choice((1, 1, 2, 3))
    rates = {}
    for name, fault in FAULTS.items():
        if fault.site == "feed" or fault.knowing is not Knowing.EVERY:
            continue
        least = CRASH_SHARE_MIN if name == "crash" else 0.0
        is_in, ppm = random.random() < max(share, least), random.randint(*fault.ppm)
        if is_in and name in names and ppm:
            rates[name] = max(ppm // mildness, 1)
    skewed = random.random() < share and "venue_skew" in names
    feed = _draw_feed(seed, share, mildness, names, settings, rates)
    if feed is not None:
        engine = replace(engine, book=replace(engine.book, levels=FEED_LEVELS))
        if pairs == len(PRICES):
            settings["BOOK_CHECK_SECONDS"] = "60"  # a shorter time asks for more comparisons than are allowed
    swarm = Swarm(
        symbols=symbols,
        settings=settings,
        balances={"TRY": str(random.choice((2_500, 6_000, 20_000))), symbols[0].removesuffix("TRY"): "0.003"},
        cycles=cycles or (random.randint(15, 35) if feed is None else random.randint(14, 30)),  # it wakes others
        cycle_seconds=random.choice((2.0, 4.0, 10.0)),
        restart_seconds=random.choice((0.05, 0.05, 2.0, 10.0)),
        wishes=random.choice(("random", "random", "both", "both", "profit_v1")),
        nonce=random.choice(tuple(NonceRule)),
        engine=engine,
        skew_ms=random.choice((-1_500, -700, 400, 1_500)) if skewed else 0,
        lag_ms_max=horizon_s * 700,
        volatility_bps=random.choice((5, 40, 150)),
        packs=random.random() < 0.1,
        # A dozen orders may trade within one millisecond, with several trades each, and no page may cut that.
        trades_max=max(random.choice(PAGES_MAX), 30),
        rates=rates,
        feed=feed,
    )
    return _with_profile(seed, swarm, PLAYED[profile or draw_profile(seed)], share, mildness, names,
                         has_length=cycles is not None)  # fmt: skip


def _with_profile(
    seed: int,
    swarm: Swarm,
    profile: Profile,
    share: float,
    mildness: int,
    names: Collection[str],
    *,
    has_length: bool,
) -> Swarm:
    """The same world, played with this profile; with settings and rates of its own."""
    settings = dict(swarm.settings)
    wishes = draw_beside(seed, profile, settings)
    known = {
        Knowing.OVERSEEN: profile.is_overseen,
        Knowing.ADAPTIVE: profile.adapts,
        Knowing.CHARTS: "BTCTURK_GRAPH_URL" in settings,
    }
    random = Random(f"{seed}/profile faults")  # noqa: S311 (no secret)
    rates = dict(swarm.rates)
    for name, fault in FAULTS.items():
        if fault.knowing is not Knowing.EVERY:
            # They have few worlds to strike in, and fewer places than others: they are more often in.
            is_in, ppm = random.random() < max(share, KNOWING_SHARE_MIN), random.randint(*fault.ppm)
            if is_in and name in names and known[fault.knowing]:
                rates[name] = max(ppm // mildness, 1)
    is_longer = profile.is_overseen and not has_length
    return msgspec.structs.replace(
        swarm,
        profile=profile.name,
        settings=settings,
        rates=rates,
        wishes=wishes or swarm.wishes,
        cycles=swarm.cycles * LONGER_PERCENT // 100 if is_longer else swarm.cycles,
    )


def _draw_feed(
    seed: int, share: float, mildness: int, names: Collection[str], settings: dict[str, str], rates: dict[str, int]
) -> FeedSwarm | None:
    """The feed of this world, if it has one; with settings and rates of its own. All else stays as it is without."""
    random = Random(f"{seed}/feed swarm")  # noqa: S311 (no secret)
    if random.randrange(100) >= FEED_PERCENT:
        return None
    settings.update({name: random.choice(choices) for name, choices in FEED_CHOICES.items()})
    for name, fault in FAULTS.items():
        if fault.site == "feed":
            # Less often than others: a feed that is never in order is never traded on.
            is_in, ppm = random.random() < share / 2, random.randint(*fault.ppm)
            if is_in and name in names:
                rates[name] = max(ppm // mildness, 1)
    return FeedSwarm(
        options=FeedOptions(
            batch_ms=random.choice((760, 760, 380, 1_000)),
            lifetime_ms=random.choice((0, 0, 0, 90_000)),
            login_window=random.choice(tuple(LoginWindow)),
            one_login_per_key=random.random() < 0.3,
            user_events=USER_EVENTS - random.choice((frozenset({ORDER_UPDATE}), frozenset())),
            user_events_lag_ms=random.choice((0, 5, 5, 300, 2_000)),
            delete_when_filled=random.random() < 0.5,
            match_has_timestamp=random.random() < 0.5,
            user_trade_has_type=random.random() < 0.5,
        ),
        watches_pongs=random.random() < 0.7,
        moves_max=random.choice((1, 2, 4)),
    )


class RandomWishes:
    """Wishes that make sense and wishes that do not, from the number of the cycle, and how often it has been asked."""

    name = "random"

    def __init__(self, now: Now) -> None:
        self._now = now
        self._moment = (-1, 0)

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        now, (cycle, nth) = self._now, self._moment
        self._moment = _, nth = now.cycle, nth + 1 if now.cycle == cycle else 0
        moment = f"{now.cycle}/{nth}" if nth else f"{now.cycle}"  # the feed may have woken this one
        random = Random(f"{now.seed}/wishes/{moment}")  # noqa: S311 (no secret)
        wishes: list[Intent] = []
        for number in range(random.choice((1, 2, 2, 3, 4))):
            symbol = random.choice(context.symbols)
            side = random.choice((Side.BUY, Side.BUY, Side.SELL))
            offset_bps, value = (
                random.choice((-400, -60, -30, -6, -5, -5, 0, 0, 5, 5, 6, 30, 60, 2_000)),
                random.randint(50, 900),
            )
            crumbs = random.choice((0, 0, 0, 1))
            quote, instrument = context.quotes.get(symbol), context.instruments.get(symbol)
            if quote is None or instrument is None:
                continue
            price = money.round_down(quote.mid * (10_000 + offset_bps) / 10_000, instrument.price_scale + crumbs)
            if price <= 0:
                continue
            quantity = money.divide_down(Decimal(value), price, instrument.quantity_scale + crumbs)
            wishes.append(
                Intent(
                    intent_id=f"{context.cycle_id}:{self.name}:{number}",
                    cycle_id=context.cycle_id,
                    strategy=self.name,
                    symbol=symbol,
                    side=side,
                    price=price,
                    quantity=quantity,
                    why="chance",
                )
            )
        return wishes


def both_wishes(now: Now, one: Strategy, other: Strategy) -> Strategy:
    """Takes turns; asks for the signals that the other one asks for."""
    return BothWithSignals(now, one, other) if isinstance(other, UsesSignals) else BothWishes(now, one, other)


class BothWishes:
    """Takes turns."""

    name = "both"

    def __init__(self, now: Now, one: Strategy, other: Strategy) -> None:
        self._now = now
        self._parts = (one, other)

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        return self._parts[self._now.cycle % 2].generate(context)


class BothWithSignals(BothWishes):
    """Takes turns, and the other one asks for signals."""

    def signals(self) -> Mapping[str, Signal]:
        other = self._parts[1]
        assert isinstance(other, UsesSignals), "made for such a one"
        return other.signals()
