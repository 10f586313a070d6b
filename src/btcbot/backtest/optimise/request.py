"""From what was asked on the command line to a search that can begin: everything is checked before a worker starts."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

import btcbot
from btcbot.adapters.replay.columns import BarColumns
from btcbot.adapters.replay.load import moment
from btcbot.adapters.strategy_plugins import find
from btcbot.backtest.optimise.backtests import Backtests, code_of, fingerprint_of
from btcbot.backtest.optimise.evaluation import OBJECTIVES
from btcbot.backtest.optimise.outcome import Outcome, window_outcomes
from btcbot.backtest.optimise.ranges import Declared, Range, parse_ranges
from btcbot.backtest.optimise.samplers import RUNGS, grid_size, make_pruner, make_sampler
from btcbot.backtest.optimise.search import Ended, Order, Progress, Search, Stop
from btcbot.backtest.optimise.storage import StorageLost, StudyStorage, describe
from btcbot.backtest.optimise.storage_address import open_storage
from btcbot.backtest.optimise.study import SharedStudy
from btcbot.backtest.optimise.windows import DAY_MS, Window, split, walk_forward
from btcbot.backtest.plan import HALF_SPREAD_BPS, OPENING, VOLUME_SHARE, instruments_of
from btcbot.bootstrap.room import demand_room
from btcbot.config.description import shown_setting
from btcbot.config.settings import SETTING_NAMES, Settings
from btcbot.config.sources import SECRET_SETTINGS
from btcbot.domain import money
from btcbot.errors import ConfigurationError, Refused
from btcbot.profiles import RUN
from btcbot.strategies.parameters import Kind, Parameter, StrategySpec

SPLIT: Final = Decimal("0.7")
#: Days of a stretch that an objective needs at least, see `btcbot.backtest.statistics`.
DAYS_MIN: Final[Mapping[str, int]] = {"sharpe": 2, "sortino": 2, "calmar": 7}


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The options of one command, as typed as they can be without looking at anything. Days may have fractions."""

    data: Path
    strategy: str
    params: Sequence[str]
    trials: int
    symbols: Sequence[str] = ()
    start_ms: int | None = None
    end_ms: int | None = None
    workers: int = 1
    storage: str
    study: str | None = None
    sampler: str = "tpe"
    pruner: str = "none"
    seed: int = 1
    objective: str = "return"
    split: Decimal | None = None
    train_days: Decimal | None = None
    test_days: Decimal | None = None
    embargo_days: Decimal = Decimal(0)
    anchored: bool = False
    settings: Mapping[str, str] = {}
    env_file: Path | None = None
    opening: Decimal = OPENING
    half_spread_bps: Decimal = HALF_SPREAD_BPS
    volume_share: Decimal = VOLUME_SHARE
    fills_at_touch: bool = False


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A search that can begin. `identity` is what a study is recognised by."""

    request: Request
    study: str
    seats: int
    ranges: tuple[Range, ...]
    windows: tuple[Window, ...]
    windows_text: str
    backtests: Backtests
    identity: Mapping[str, str]
    data_text: str


def prepare(request: Request, warn: Callable[[str], None] | None = None) -> Prepared:
    """Refused or ConfigurationError, in one line, for whatever cannot be searched; `warn` is told of gaps and such."""
    spec = find(request.strategy)
    ranges, fixed = _ranges(request, spec)
    seats = request.trials
    if request.sampler == "grid" and (size := grid_size(ranges)) is not None:
        seats = min(seats, size)
    make_sampler(request.sampler, request.seed, ranges)  # refuses what it cannot sample
    make_pruner(request.pruner)
    backtests = Backtests(
        data=str(request.data),
        symbols=tuple(request.symbols),
        start_ms=request.start_ms,
        end_ms=request.end_ms,
        strategy=request.strategy,
        fixed=fixed,
        settings=request.settings,
        env_file=None if request.env_file is None else str(request.env_file),
        opening=request.opening,
        half_spread_bps=request.half_spread_bps,
        volume_share=request.volume_share,
        fills_at_touch=request.fills_at_touch,
    )
    bars = backtests.load(warn)
    fingerprint = fingerprint_of(bars)
    backtests = msgspec.structs.replace(backtests, symbols=tuple(bars), fingerprint=fingerprint)
    settings = backtests.settings_of(bars)
    demand_room(settings, instruments_of(bars), RUN, {})  # with a trial's parameters its worker asks again
    windows, windows_text = _windows(request, bars)
    _demand_bars(request, bars, windows)
    first = min(int(columns.open_time_ms[0]) for columns in bars.values())
    last = max(int(columns.open_time_ms[-1]) for columns in bars.values())
    data_text = f"{', '.join(bars)}, {moment(first)} to {moment(last)}"
    identity = _identity(request, spec, ranges, fixed, f"{data_text}, {fingerprint}", windows_text, settings)
    return Prepared(
        request=request,
        study=request.study or f"{spec.name}-{_digest(identity)}",
        seats=seats,
        ranges=ranges,
        windows=windows,
        windows_text=windows_text,
        backtests=backtests,
        identity=identity,
        data_text=data_text,
    )


def run(
    prepared: Prepared,
    stop: Stop | None = None,
    watch: Callable[[Progress], None] | None = None,
    begun: Callable[[str], None] | None = None,
) -> Outcome:
    """Search until every trial has its result or `stop` is set, and read what there is. `begun` is told the storage."""
    request = prepared.request
    with _opened(request.storage) as storage:
        studies = [
            SharedStudy(
                storage,
                prepared.study if number == 0 else f"{prepared.study} window {number + 1}",
                prepared.identity,
                prepared.ranges,
                make_sampler(request.sampler, request.seed + number, prepared.ranges),
                make_pruner(request.pruner),
            )
            for number in range(len(prepared.windows))
        ]
        if begun is not None:
            begun(storage.shown)
        order = Order(
            seats=prepared.seats,
            objective=request.objective,
            workers=request.workers,
            with_rungs=request.pruner != "none",
        )
        ended = Search(order, prepared.windows, studies, prepared.backtests).run(stop, watch)
        return _outcome(prepared, storage, studies, ended)


@contextmanager
def _opened(address: str) -> Iterator[StudyStorage]:
    """The storage, closed afterwards; whatever breaks on the way to it becomes one line without a password."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    storage = open_storage(address)
    try:
        yield storage
    except (StorageInternalError, SQLAlchemyError) as error:
        said = storage.without_secrets(describe(error))
        raise StorageLost(
            f"the storage {storage.shown} broke ({said}); what was told is kept, and the same command goes on"
        ) from None
    finally:
        with contextlib.suppress(SQLAlchemyError):
            storage.close()


def _outcome(prepared: Prepared, storage: StudyStorage, studies: Sequence[SharedStudy], ended: Ended) -> Outcome:
    request = prepared.request
    return Outcome(
        study=prepared.study,
        storage=storage.shown,
        strategy=request.strategy,
        fixed=prepared.backtests.fixed,
        symbols=prepared.backtests.symbols,
        data=prepared.data_text,
        windows_text=prepared.windows_text,
        objective=request.objective,
        sampler=request.sampler,
        pruner=request.pruner,
        seed=request.seed,
        workers=request.workers,
        seats=prepared.seats,
        ranges=prepared.ranges,
        windows=window_outcomes(prepared.windows, studies, prepared.ranges),
        ended=ended,
    )


# -- what is searched ------------------------------------------------------------------------------------------------


def _ranges(request: Request, spec: StrategySpec) -> tuple[tuple[Range, ...], dict[str, str]]:
    """What is searched, and what is one value."""
    given = parse_ranges(request.params, [_declared(one) for one in spec.parameters], spec.name)
    parameters = {one.name: one for one in spec.parameters}
    for one in given:
        if parameters[one.name].kind is Kind.TEXT and not one.is_fixed:
            raise Refused(f"--param {one.name}={one}: a text is not searched; give one value")
    fixed = {one.name: one.at(0) for one in given if one.is_fixed}
    spec.typed(fixed)
    return tuple(one for one in given if not one.is_fixed), fixed


def _declared(parameter: Parameter) -> Declared:
    match parameter.kind:
        case Kind.WHOLE | Kind.NUMBER:
            return Declared(
                name=parameter.name,
                kind="whole" if parameter.kind is Kind.WHOLE else "number",
                low=None if parameter.low is None else Decimal(parameter.low),
                high=None if parameter.high is None else Decimal(parameter.high),
            )
        case Kind.SWITCH:
            return Declared(name=parameter.name, kind="word", choices=("false", "true"))
        case _:
            return Declared(name=parameter.name, kind="word", choices=parameter.choices)


# -- windows ---------------------------------------------------------------------------------------------------------


def _windows(request: Request, bars: Mapping[str, BarColumns]) -> tuple[tuple[Window, ...], str]:
    start_ms = min(int(columns.open_time_ms[0]) for columns in bars.values())
    interval_ms = next(iter(bars.values())).interval_ms
    end_ms = max(int(columns.open_time_ms[-1]) for columns in bars.values()) + interval_ms
    embargo_ms = _whole(request.embargo_days, interval_ms)
    embargo = f", embargo {money.plain(request.embargo_days)} days" if embargo_ms else ""
    walks = request.train_days is not None or request.test_days is not None
    if walks and request.split is not None:
        raise Refused("--split and --train/--test are two ways to lay windows; give one of them")
    if not walks:
        if request.anchored:
            raise Refused("--anchored is for --train and --test; a split has one window")
        share = SPLIT if request.split is None else request.split
        return split(start_ms, end_ms, share, interval_ms, embargo_ms), f"split {money.plain(share)}{embargo}"
    if request.train_days is None or request.test_days is None:
        raise Refused("a walk forward needs both --train DAYS and --test DAYS")
    train_ms, test_ms = _whole(request.train_days, interval_ms), _whole(request.test_days, interval_ms)
    windows = walk_forward(start_ms, end_ms, train_ms, test_ms, embargo_ms=embargo_ms, anchored=request.anchored)
    kind = "anchored" if request.anchored else "rolling"
    days = f"train {_in_days(request.train_days)}, test {_in_days(request.test_days)}"
    return windows, f"{kind}, {days}{embargo}"


def _in_days(days: Decimal) -> str:
    return f"{money.plain(days)} day{'' if days == 1 else 's'}"


def _whole(days: Decimal, interval_ms: int) -> int:
    """Whole bars, in ms."""
    return int(days * DAY_MS) // interval_ms * interval_ms


def _demand_bars(request: Request, bars: Mapping[str, BarColumns], windows: Sequence[Window]) -> None:
    """Each stretch has something to play, and is long enough for the objective."""
    parts = RUNGS[-1] if request.pruner != "none" else 1
    for number, window in enumerate(windows, 1):
        stretches = (
            ("learn from", window.train_start_ms, window.train_end_ms, parts),
            ("be judged on", window.test_start_ms, window.test_end_ms, 1),
        )
        for what, start_ms, end_ms, cuts in stretches:
            cut_ms = start_ms + (end_ms - start_ms) // cuts
            if not any(len(columns.between(start_ms, cut_ms)) for columns in bars.values()):
                raise Refused(
                    f"window {number} has no bar to {what} from {moment(start_ms)} to {moment(cut_ms)}: lay them "
                    "otherwise, or bring the missing data"
                )
            days = DAYS_MIN.get(request.objective, 0)
            if end_ms - start_ms < days * DAY_MS:
                raise Refused(
                    f"--objective {request.objective} is not told of less than {days} days, and window {number} has "
                    f"{(end_ms - start_ms) / DAY_MS:.1f} to {what}: make it longer, or search for the return"
                )


# -- what a study is recognised by -----------------------------------------------------------------------------------


def _identity(
    request: Request,
    spec: StrategySpec,
    ranges: Sequence[Range],
    fixed: Mapping[str, str],
    data: str,
    windows: str,
    known: Settings,
) -> dict[str, str]:
    code = code_of(spec.origin)
    parameters = [f"{one.name}={one}" for one in sorted(ranges, key=lambda one: one.name)]
    parameters += [f"{name}={text}" for name, text in sorted(fixed.items())]
    venue = {
        "opening": request.opening,
        "half-spread": request.half_spread_bps,
        "volume share": request.volume_share,
    }
    settings = [f"{name} {money.plain(value)}" for name, value in venue.items()]
    settings += ["fills at touch"] if request.fills_at_touch else []
    settings += [f"{name}={text}" for name, text in sorted(request.settings.items())]
    settings += [f"env file {_settings_digest(known)}"] if request.env_file is not None else []
    return {
        "strategy": f"{spec.name} ({code})" if code else spec.name,
        "objective": request.objective,
        "parameters": ", ".join(parameters),
        "data": data,
        "windows": windows,
        "settings": ", ".join(settings),
        "sampler": request.sampler,
        "pruner": request.pruner,
        "seed": str(request.seed),
        "version": btcbot.__version__,
    }


def _digest(told: Mapping[str, str]) -> str:
    lines = "\n".join(f"{name}: {text}" for name, text in told.items())
    return hashlib.sha256(lines.encode()).hexdigest()[:8]


def _settings_digest(settings: Settings) -> str:
    """Tells one env file's settings from another's. No secret goes into it."""
    names = [name for name in SETTING_NAMES if name not in SECRET_SETTINGS]
    return _digest({name: shown_setting(settings, name) for name in names})


def demand_objective(name: str) -> None:
    """Refused, with the nearest, for what cannot be searched for."""
    from difflib import get_close_matches

    if name not in OBJECTIVES:
        near = get_close_matches(name, OBJECTIVES, n=1)
        hint = f"did you mean «{near[0]}»?" if near else f"there are {', '.join(OBJECTIVES)}"
        raise ConfigurationError(f"--objective {name}: there is no such objective; {hint}")
