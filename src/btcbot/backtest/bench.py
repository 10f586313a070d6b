"""The bot of a backtest: the same service graph, with recorded bars for a venue and a store that keeps columns."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final, Protocol

import msgspec

from btcbot.adapters.replay.bar_venue import BarVenue
from btcbot.adapters.replay.clock import ReplayClock
from btcbot.adapters.replay.fills import FillRules
from btcbot.adapters.replay.scanner import ReplayScanner
from btcbot.adapters.store.recording import RecordingStore
from btcbot.backtest.events import Event
from btcbot.backtest.plan import BacktestPlan, book_id_of
from btcbot.backtest.records import Records
from btcbot.backtest.signals import ColumnPrices, ColumnSignals
from btcbot.bootstrap.assembly import assemble
from btcbot.bootstrap.room import demand_room_for_orders
from btcbot.bootstrap.sockets import Sockets
from btcbot.bootstrap.universe import bar_interval_ms, chooses, history_ms
from btcbot.cycle import Cycle
from btcbot.decisions.gates import ACKNOWLEDGEMENT
from btcbot.domain import money
from btcbot.domain.book import BookIdentity
from btcbot.domain.cycles import CycleReport
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Intent
from btcbot.ports import Exchange
from btcbot.services.gatekeeper import GatePolicy
from btcbot.strategies.base import Strategy, StrategyContext, UsesSignals

MODE: Final = "backtest"
VENUE_HOST: Final = "recorded"


class RecordedVenue(Exchange, Protocol):
    """A venue that an engine plays: nothing moves but by `play_to`."""

    @property
    def fees(self) -> Decimal:
        """Charged in all, tax included."""
        ...

    def play_to(self, now_ms: int) -> None: ...
    def next_fill_ms(self) -> int: ...


class NoMetrics:
    """`Metrics` of a run that nobody watches."""

    def count(self, name: str, amount: int | Decimal = 1, **labels: str) -> None:
        """Nothing is kept."""

    def gauge(self, name: str, value: Decimal | int | float, **labels: str) -> None:
        """Nothing is kept."""

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Nothing is kept."""

    def flush(self, timeout_s: float) -> None:
        """Nothing waits."""


#: What the log alone is told, and a backtest has to tell as well.
_KEPT_OF_LOG: Final = frozenset({"parameters_proved_good", "kill_chain_tripped", "kill_chain_let_go"})


class EventLog:
    """`Log` of a run whose records tell everything; what they would miss becomes an event."""

    def __init__(self, clock: ReplayClock, keep: Callable[[Event], None]) -> None:
        self._clock = clock
        self._keep = keep

    def debug(self, event: str, **fields: object) -> None:
        if event in _KEPT_OF_LOG:
            self._keep(Event(event, "", self._clock.now_ms(), msgspec.json.encode(fields).decode()))

    info = warning = error = debug


class Brake:
    """`KillSwitch` and `WriterLock` of a venue that exists in this process alone."""

    def __init__(self) -> None:
        self._reason: str | None = None

    def is_on(self) -> tuple[bool, str]:
        return self._reason is not None, self._reason or ""

    def turn_on(self, reason: str, at_ms: int) -> None:
        """The kill chain does it; nobody else is there."""
        self._reason = reason

    def turn_off(self) -> None:
        self._reason = None

    def is_held(self) -> bool:
        return True

    def release(self) -> None:
        """Nothing is held against others."""


class _Heard:
    """The strategy, with an ear on what it was asked last."""

    def __init__(self, strategy: Strategy, bench: Bench) -> None:
        self.name = strategy.name
        self._generate = strategy.generate
        self._bench = bench

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        self._bench.context = context
        return self._generate(context)


class Bench:
    """The parts that an engine turns: clock, venue, store and the one cycle."""

    clock: ReplayClock
    venue: RecordedVenue
    store: RecordingStore
    cycle: Cycle
    signals: ColumnSignals
    prices: ColumnPrices
    quote_asset: str
    #: What the strategy was asked in the latest cycle; None where it was not asked.
    context: StrategyContext | None = None
    last_report: CycleReport | None = None


def _venue(
    plan: BacktestPlan, clock: ReplayClock, instruments: Mapping[str, Instrument], opening: Mapping[str, Decimal]
) -> RecordedVenue:
    """Bars, or the quotes and trades of a tape."""
    maker, taker = plan.settings.fee_bps_maker * money.BPS, plan.settings.fee_bps_taker * money.BPS
    if plan.tape is not None:
        from btcbot.adapters.paper.replay import ReplayQuoteVenue
        from btcbot.adapters.paper.venue import QuoteFillRules

        shares = QuoteFillRules(maker=maker, taker=taker, trade_share=plan.volume_share)
        return ReplayQuoteVenue(clock, plan.tape.quotes, plan.tape.trades, instruments, opening, shares)
    rules = FillRules(
        maker=maker,
        taker=taker,
        half_spread=plan.half_spread_bps * money.BPS,
        volume_share=plan.volume_share,
        fills_at_touch=plan.fills_at_touch,
    )
    return BarVenue(clock, plan.bars, instruments, opening, rules)


def _scanner(plan: BacktestPlan, instruments: Mapping[str, Instrument]) -> ReplayScanner | None:
    """What looks over the recorded market for a profile that chooses its symbols."""
    if not chooses(plan.profile, plan.settings):
        return None
    return ReplayScanner(
        plan.bars,
        instruments,
        half_spread=plan.half_spread_bps * money.BPS,
        depth_share=plan.volume_share,
        interval_ms=bar_interval_ms(plan.settings),
        history_ms=history_ms(plan.settings, plan.profile.universe),
    )


def build_bench(
    plan: BacktestPlan, *, instruments: Mapping[str, Instrument], quote_asset: str, start_ms: int, records: Records
) -> Bench:
    """Connect the one pipeline to recorded bars. Raises Refused for caps within which no order fits."""
    money.arm()
    settings, bench = plan.settings, Bench()
    bench.quote_asset = quote_asset
    bench.clock = clock = ReplayClock(start_ms)
    bench.store = store = RecordingStore(records)
    bench.venue = venue = _venue(plan, clock, instruments, {quote_asset: plan.opening})
    wanted = plan.strategy.signals() if isinstance(plan.strategy, UsesSignals) else None
    bench.prices = ColumnPrices(plan.bars)
    bench.signals = ColumnSignals(wanted or {}, plan.bars)
    if plan.profile.is_overseen:
        demand_room_for_orders(settings, instruments)
    brake = Brake()
    book_id = book_id_of(plan)
    with store.transaction() as tx:
        tx.put_identity(
            BookIdentity(
                book_id=book_id, mode=MODE, venue_host=VENUE_HOST, key_fingerprint=None, created_at_ms=start_ms
            )
        )
    sockets = Sockets(
        store=store,
        exchange=venue,
        clock=clock,
        metrics=NoMetrics(),
        log=EventLog(clock, records.event),
        stop=threading.Event(),
        gate_policy=GatePolicy(
            dry_run=False,
            safe_mode=settings.safe_mode,
            kill_switch=settings.kill_switch,
            live_trading=True,
            acknowledgement=ACKNOWLEDGEMENT,
            database_armable=True,
            key_matches=True,
            clock_skew_ms_max=1,
        ),
        kill_switch=brake,
        lock=brake,
        checks={},
        signals=bench.signals if wanted is not None else None,
        scanner=_scanner(plan, instruments),
        is_heard=False,
    )
    bot = assemble(
        settings,
        plan.profile,
        _Heard(plan.strategy, bench),
        mode=MODE,
        book_id=book_id,
        sockets=sockets,
        symbols=tuple(plan.bars),
        quote_asset=quote_asset,
    )
    bench.cycle = bot.cycle
    return bench
