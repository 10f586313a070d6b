"""Signals of a live run: when candles are asked for, what is made of them, and when there are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import pytest

from btcbot.adapters.metrics import MemoryMetrics
from btcbot.domain.account import AccountSnapshot
from btcbot.domain.bars import Bar
from btcbot.domain.intents import Intent
from btcbot.domain.universe import Watched
from btcbot.errors import StrategyFailed, VenueUnavailable
from btcbot.services.signals import ASKING_MS_MAX, HISTORY_EXTRA, HISTORY_FACTOR, SignalService
from btcbot.services.strategy import StrategyService
from btcbot.strategies.base import StrategyContext
from btcbot.strategies.signals import Ema, RunningSignals, Sma
from btcbot.testing.in_process_rig import ListLog
from btcbot.testing.manual_clock import ManualClock

MINUTE: Final = 60_000
NOON: Final = 1_790_164_800_000
SMA3: Final = {"mean": Sma(3)}
UNIVERSE: Final = Watched(active=("BTCTRY",), watched=("BTCTRY",))
HISTORY: Final = 3 * HISTORY_FACTOR + HISTORY_EXTRA


def bar(symbol: str, open_time_ms: int, close: int | str = 0) -> Bar:
    """By default minute n after noon closes at 100 + n."""
    price = Decimal(close) if close else Decimal(100 + (open_time_ms - NOON) // MINUTE)
    return Bar(
        symbol=symbol,
        interval_ms=MINUTE,
        open_time_ms=open_time_ms,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=Decimal(1),
    )


class Chart:
    """The venue's candles: every minute is drawn unless it is `missing`; what `changed` says was closed otherwise."""

    def __init__(self) -> None:
        self.now_ms = NOON
        self.asked: list[tuple[str, int]] = []
        self.missing: set[int] = set()
        self.changed: dict[int, str] = {}
        self.fails: dict[str, VenueUnavailable] = {}
        self.begins_ms = 0
        self.clock = ManualClock()
        self.takes_ms = 0

    def bars(self, symbol: str, interval_ms: int, since_ms: int) -> Sequence[Bar]:
        self.asked.append((symbol, since_ms))
        self.clock.advance(self.takes_ms / 1_000)
        if symbol in self.fails:
            raise self.fails[symbol]
        times = range(max(since_ms, self.begins_ms), self.now_ms - MINUTE + 1, MINUTE)
        return [bar(symbol, at, self.changed.get(at, 0)) for at in times if at not in self.missing]

    def close(self) -> None:
        pass


class Live:
    """A service and its chart; `at(seconds)` is a cycle so long after noon."""

    def __init__(self, symbols: Sequence[str] = ("BTCTRY",)) -> None:
        self.chart = Chart()
        self.metrics = MemoryMetrics()
        self.log = ListLog()
        self.service = SignalService(self.chart, SMA3, symbols, MINUTE, self.chart.clock, self.metrics, self.log)

    def at(self, seconds: float, *, woken: bool = False) -> Mapping[str, Mapping[str, float]]:
        now_ms = self.chart.now_ms = NOON + round(seconds * 1_000)
        bars, signals = self.service.at(now_ms, may_read=not woken)
        assert bars.keys() == signals.keys()
        for symbol, last in bars.items():
            assert last.symbol == symbol
            assert last.close_time_ms <= now_ms
        return signals

    def mean(self, seconds: float, *, woken: bool = False) -> float | None:
        found = self.at(seconds, woken=woken).get("BTCTRY")
        return None if found is None else found["mean"]

    @property
    def requests(self) -> int:
        return len(self.chart.asked)


def test_a_start_warms_up_with_one_request() -> None:
    live = Live()
    # At 12:00:05 the minutes 11:57, 11:58 and 11:59 are the last three, and closed at 97, 98 and 99.
    assert live.mean(5) == pytest.approx(98)
    assert live.chart.asked == [("BTCTRY", NOON - HISTORY * MINUTE)]


def test_a_bar_is_asked_for_once_and_only_when_it_should_have_closed() -> None:
    live = Live()
    live.at(5)
    for second in range(6, 62):
        assert live.mean(second) == pytest.approx(98)
    assert live.requests == 1
    # 12:01:02: the minute of noon is over and has settled. It closed at 100.
    assert live.mean(62) == pytest.approx(99)
    assert live.chart.asked[1:] == [("BTCTRY", NOON - MINUTE)], "from the last one known on"
    for second in range(63, 120):
        live.at(second)
    assert live.requests == 2


def test_a_bar_is_left_to_settle_before_it_is_believed() -> None:
    live = Live()
    live.at(5)
    live.at(61)
    assert live.requests == 1, "trades of its last second may still be on their way"
    # Cycles that always fall into the first second of a minute see each bar a cycle later, but see it.
    assert live.mean(121) == pytest.approx(99)
    assert live.mean(181) == pytest.approx(100)


def test_signals_carried_on_are_those_computed_anew() -> None:
    live, later = Live(), Live()
    for minute in range(60):
        carried = live.mean(60 * minute + 5)
    assert carried == later.mean(60 * 59 + 5)


def test_several_bars_at_once_after_a_long_cycle() -> None:
    live = Live()
    live.at(5)
    assert live.mean(305) == pytest.approx(103)
    assert live.requests == 2


# -- woken cycles ------------------------------------------------------------------------------------------------------


def test_a_woken_cycle_asks_nothing_and_takes_the_last_bar_known() -> None:
    live = Live()
    assert live.mean(5, woken=True) is None, "nothing is known yet"
    live.at(6)
    for second in (20, 61, 70, 100):
        assert live.mean(second, woken=True) == pytest.approx(98)
    assert live.requests == 1


def test_but_not_one_that_is_older_than_a_bar() -> None:
    live = Live()
    live.at(5)
    assert live.mean(121, woken=True) == pytest.approx(98)
    assert live.mean(122, woken=True) is None, "two bars have closed since, and settled"


def test_nor_one_whose_successor_was_asked_for_in_vain() -> None:
    live = Live()
    live.at(5)
    live.chart.missing.add(NOON)
    assert live.mean(62) is None
    assert live.mean(63, woken=True) is None


# -- late, missing, unreachable ----------------------------------------------------------------------------------------


def test_a_late_bar_takes_the_symbol_away_until_it_comes() -> None:
    live = Live()
    live.at(5)
    live.chart.missing.add(NOON)
    assert live.mean(62) is None
    live.chart.missing.clear()
    assert live.mean(64) == pytest.approx(99)
    assert live.metrics.value("btcbot_bar_requests_total", result="late") == 1
    assert live.metrics.value("btcbot_bar_requests_total", result="taken") == 2


def test_it_is_asked_for_again_less_and_less_often() -> None:
    live = Live()
    live.at(5)
    live.chart.missing.add(NOON)
    asked_at = []
    for second in range(62, 121):
        before = live.requests
        assert live.mean(second) is None
        if live.requests > before:
            asked_at.append(second)
    assert asked_at == [62, 64, 68, 76, 92]
    # The next bar comes, and the one after it is late: patience begins anew.
    assert live.mean(122) is not None
    live.chart.missing.add(NOON + 2 * MINUTE)
    before = live.requests
    live.at(182)
    live.at(184)
    assert live.requests == before + 2


def test_a_minute_in_which_nothing_was_traded_is_left_out_as_in_recorded_bars() -> None:
    live = Live()
    live.at(5)
    live.chart.missing.add(NOON)
    assert live.mean(62) is None
    # 12:01 closed at 101: the mean of 98, 99 and 101.
    assert live.mean(125) == pytest.approx((98 + 99 + 101) / 3)


def test_what_is_missing_is_told_once_and_what_is_back_too() -> None:
    live = Live()
    live.at(5)
    live.chart.missing.add(NOON)
    for second in range(62, 90):
        live.at(second)
    assert live.metrics.value("btcbot_signals_ready", symbol="BTCTRY") == 0
    live.chart.missing.clear()
    for second in range(93, 110):
        live.at(second)
    assert live.metrics.value("btcbot_signals_ready", symbol="BTCTRY") == 1
    assert [event for event, _ in live.log.lines] == ["signals_ready", "signals_missing", "signals_ready"]
    assert live.log.events("signals_missing") == [{"symbol": "BTCTRY", "reason": "its last bar is late or missing"}]


def test_a_venue_in_trouble_leaves_the_symbol_without_signals_and_says_why() -> None:
    live = Live()
    live.at(5)
    live.chart.fails["BTCTRY"] = VenueUnavailable("charts: HTTP 502")
    assert live.mean(62) is None
    assert live.log.events("signals_missing") == [{"symbol": "BTCTRY", "reason": "charts: HTTP 502"}]
    live.chart.fails.clear()
    assert live.mean(64) == pytest.approx(99)


def test_two_failures_are_enough_for_one_cycle() -> None:
    symbols = [f"P{number}TRY" for number in range(10)]
    live = Live(symbols)
    live.chart.fails = {symbol: VenueUnavailable("no route") for symbol in symbols}
    live.at(5)
    assert live.requests == 2
    live.at(8)
    assert [symbol for symbol, _ in live.chart.asked] == symbols[:4], "the next ones, although the first may be again"


def test_a_pause_that_the_venue_asks_for_holds_for_all() -> None:
    live = Live(["BTCTRY", "ETHTRY"])
    live.chart.fails["BTCTRY"] = VenueUnavailable("charts: rate limit", retry_after_s=30)
    live.at(5)
    live.chart.fails.clear()
    before = live.requests
    for second in range(6, 35):
        live.at(second)
    assert live.requests == before
    assert live.at(36).keys() == {"BTCTRY", "ETHTRY"}


def test_a_cycle_does_not_wait_long_for_bars() -> None:
    symbols = [f"P{number}TRY" for number in range(10)]
    live = Live(symbols)
    live.chart.takes_ms = 1_000
    assert len(live.at(5)) == -(-ASKING_MS_MAX // 1_000)
    assert live.at(8).keys() == set(symbols[:6]), "who is left comes next"
    live.at(11)
    assert live.at(14).keys() == set(symbols)
    # A bar later: whose bar was not asked for in this cycle has none, for it should have closed.
    assert len(live.at(62)) == 3


def test_a_bar_that_the_venue_remembers_otherwise_is_not_built_upon() -> None:
    live = Live()
    live.at(5)
    live.chart.changed[NOON - MINUTE] = "500"
    assert live.mean(62) is None
    assert live.log.events("bar_revised") == [{"symbol": "BTCTRY", "open_time_ms": NOON - MINUTE}]
    # Computed anew over what the venue says now: 98, 500 and 100.
    assert live.mean(64) == pytest.approx((98 + 500 + 100) / 3)


def test_too_short_a_history_is_waited_for() -> None:
    live = Live()
    live.chart.begins_ms = NOON - 2 * MINUTE
    assert live.mean(5) is None
    (told,) = live.log.events("signals_missing")
    assert told["reason"] == "the venue has not yet drawn the 3 bars that the signals need"
    assert live.mean(62) == pytest.approx(99)


def test_each_symbol_has_its_own_bars() -> None:
    live = Live(["BTCTRY", "ETHTRY"])
    live.chart.fails["ETHTRY"] = VenueUnavailable("charts: HTTP 400: Pair ETHTRY does not exists.")
    assert live.at(5).keys() == {"BTCTRY"}


def test_ema_has_forgotten_its_beginning() -> None:
    """A restart must not trade otherwise than the process before it."""
    chart = Chart()
    chart.now_ms = NOON
    rising = {"fast": Ema(20)}
    service = SignalService(chart, rising, ["BTCTRY"], MINUTE, chart.clock, MemoryMetrics(), ListLog())
    _, signals = service.at(NOON + 5_000, may_read=True)
    whole = RunningSignals(rising)
    for minute in range(-2_000, 0):
        values = whole.update(bar("BTCTRY", NOON + minute * MINUTE, 10_000 + minute % 7))
    restarted = RunningSignals(rising)
    for minute in range(-(21 * HISTORY_FACTOR + HISTORY_EXTRA), 0):
        again = restarted.update(bar("BTCTRY", NOON + minute * MINUTE, 10_000 + minute % 7))
    assert values is not None
    assert again is not None
    assert again["fast"] == pytest.approx(values["fast"], rel=1e-6)
    assert chart.asked == [("BTCTRY", NOON - (21 * HISTORY_FACTOR + HISTORY_EXTRA) * MINUTE)]
    assert signals.keys() == {"BTCTRY"}


# -- what the strategy is given ----------------------------------------------------------------------------------------


class Noted:
    """A strategy that keeps what it was asked with."""

    name = "noted"

    def __init__(self) -> None:
        self.seen: list[StrategyContext] = []

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        self.seen.append(context)
        return ()


def ask(service: StrategyService, now_ms: int, *, may_read: bool) -> None:
    account = AccountSnapshot(balances={}, asked_at_ms=now_ms, received_at_ms=now_ms)
    service.generate(
        "c1", {}, {}, account, {}, (), Decimal(0), UNIVERSE, now_ms=now_ms, busy=frozenset(), may_read=may_read
    )


def test_the_strategy_is_given_time_bars_and_signals() -> None:
    live, strategy = Live(), Noted()
    service = StrategyService(strategy, "TRY", Decimal(0), live.service)
    ask(service, NOON + 5_000, may_read=True)
    live.chart.now_ms = NOON + 70_000
    ask(service, NOON + 70_000, may_read=False)
    first, woken = strategy.seen
    assert (first.now_ms, woken.now_ms) == (NOON + 5_000, NOON + 70_000)
    assert first.bars["BTCTRY"] == bar("BTCTRY", NOON - MINUTE)
    assert first.signals["BTCTRY"]["mean"] == pytest.approx(98)
    assert woken.signals == first.signals
    assert live.requests == 1


class Faulty:
    """A signal of somebody's own that cannot bear one price."""

    inputs = ("close",)
    warm_up = 0

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def start(self) -> Faulty:
        return self

    def update(self, *values: float) -> float:
        if values == (100,):
            raise self._error
        return values[0]


@pytest.mark.parametrize("error", [ZeroDivisionError("division by zero"), SystemExit("leaving")], ids=repr)
def test_a_signal_that_raises_is_the_strategys_failure_and_the_symbol_begins_anew(error: BaseException) -> None:
    chart, strategy = Chart(), Noted()
    signals = SignalService(
        chart, {"mean": Sma(3), "own": Faulty(error)}, ["BTCTRY"], MINUTE, chart.clock, MemoryMetrics(), ListLog()
    )
    service = StrategyService(strategy, "TRY", Decimal(0), signals)
    ask(service, NOON + 5_000, may_read=True)
    chart.now_ms = NOON + 65_000
    with pytest.raises(StrategyFailed, match=f"a signal of noted raised {type(error).__name__}: {error}"):
        ask(service, NOON + 65_000, may_read=True)
    chart.changed[NOON] = "100.5"
    ask(service, NOON + 70_000, may_read=True)
    assert strategy.seen[-1].signals["BTCTRY"]["mean"] == pytest.approx((98 + 99 + 100.5) / 3)


def test_without_a_source_there_is_only_the_time() -> None:
    strategy = Noted()
    ask(StrategyService(strategy, "TRY", Decimal(0)), NOON, may_read=True)
    (context,) = strategy.seen
    assert (context.now_ms, dict(context.bars), dict(context.signals)) == (NOON, {}, {})
