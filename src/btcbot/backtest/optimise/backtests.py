"""The backtest that a worker runs: the engine over one stretch of bars, with the parameters of a trial."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path

import msgspec

from btcbot.adapters.replay.columns import BarColumns
from btcbot.adapters.replay.load import load_bars
from btcbot.backtest.engine import run_backtest
from btcbot.backtest.optimise.evaluation import Evaluate, Scores, Unfit
from btcbot.backtest.plan import HALF_SPREAD_BPS, OPENING, VOLUME_SHARE, BacktestPlan, instruments_of, settings_for
from btcbot.backtest.statistics import measure
from btcbot.bootstrap.room import demand_room
from btcbot.bootstrap.strategies import make_strategy, own_parameters
from btcbot.config.settings import Settings
from btcbot.errors import BtcbotError, ConfigurationError, Refused
from btcbot.profiles import RUN


class Backtests(msgspec.Struct, frozen=True, kw_only=True):
    """What every backtest of a search has in common. `settings` are texts by setting name, `fixed` parameters that are
    not searched; `fingerprint` is of the data as the search began with them."""

    data: str
    symbols: tuple[str, ...]
    start_ms: int | None = None
    end_ms: int | None = None
    strategy: str
    fixed: Mapping[str, str] = {}
    settings: Mapping[str, str] = {}
    env_file: str | None = None
    opening: Decimal = OPENING
    half_spread_bps: Decimal = HALF_SPREAD_BPS
    volume_share: Decimal = VOLUME_SHARE
    fills_at_touch: bool = False
    fingerprint: str = ""

    def open(self) -> Evaluate:
        """Load the bars; Refused where they are no longer what the search began with."""
        bars = self.load()
        if self.fingerprint and fingerprint_of(bars) != self.fingerprint:
            raise Refused(f"{self.data} has changed since the search began: search again, as another --study")
        return _Played(self, bars, self.settings_of(bars)).evaluate

    def load(self, warn: Callable[[str], None] | None = None) -> dict[str, BarColumns]:
        """The bars of the whole range; `warn` is given a line for each warning."""
        return load_bars(Path(self.data), self.symbols or None, self.start_ms, self.end_ms, warn)

    def settings_of(self, bars: Mapping[str, BarColumns]) -> Settings:
        """As a backtest has them: the defaults, an env file's and those given."""
        return settings_for(bars, self.settings, Path(self.env_file) if self.env_file is not None else None)


class _Played:
    """The bars in memory, and everything that does not change from trial to trial."""

    def __init__(self, given: Backtests, bars: Mapping[str, BarColumns], settings: Settings) -> None:
        self._given = given
        self._bars = bars
        self._settings = settings
        self._instruments = instruments_of(bars)

    def evaluate(self, parameters: Mapping[str, str], start_ms: int, end_ms: int) -> Scores:
        given = self._given
        texts = {**given.fixed, **parameters}
        try:
            strategy = make_strategy(given.strategy, texts, self._settings)
            demand_room(self._settings, self._instruments, RUN, own_parameters(given.strategy, strategy))
        except ConfigurationError as error:
            raise Unfit(" ".join(str(error).split())) from None
        cut = {symbol: columns.between(start_ms, end_ms) for symbol, columns in self._bars.items()}
        plan = BacktestPlan(
            bars={symbol: columns for symbol, columns in cut.items() if len(columns)},
            strategy=strategy,
            settings=self._settings,
            parameters=texts,
            opening=given.opening,
            half_spread_bps=given.half_spread_bps,
            volume_share=given.volume_share,
            fills_at_touch=given.fills_at_touch,
        )
        result = run_backtest(plan)
        statistics, _ = measure(result)
        undefined = dict(statistics.undefined)
        depth, growth = statistics.drawdown.depth, statistics.cagr
        calmar = growth / depth if growth is not None and depth > 0 else None
        if calmar is None:
            undefined["calmar"] = "equity never fell" if growth is not None else undefined.get("cagr", "")
        metrics = {
            "return": statistics.total_return,
            "sharpe": statistics.sharpe,
            "sortino": statistics.sortino,
            "calmar": calmar,
            "max_drawdown": depth,
            "exposure": statistics.exposure,
            "turnover": statistics.turnover,
            "fills": float(result.fill_count),
            "round_trips": float(statistics.trips.count),
            "hold_return": statistics.hold_return,
        }
        return Scores(metrics, undefined)


def fingerprint_of(bars: Mapping[str, BarColumns]) -> str:
    """16 hexadecimal digits that differ when any bar differs."""
    digest = hashlib.sha256()
    for symbol, columns in sorted(bars.items()):
        told = f"{symbol} {columns.interval_ms} {columns.price_scale} {columns.volume_scale} {len(columns)}\n"
        digest.update(told.encode())
        for column in (columns.open_time_ms, columns.open, columns.high, columns.low, columns.close, columns.volume):
            digest.update(column.astype("<i8", copy=False).tobytes())
    return digest.hexdigest()[:16]


def code_of(origin: str) -> str:
    """What tells one version of a strategy's own file from another; empty for one that comes with a package."""
    path = Path(origin)
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.suffix == ".py" else ""
    except OSError as error:
        raise BtcbotError(f"{origin}: cannot be read ({error.strerror})") from None
