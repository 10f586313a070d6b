"""How fast the trading cycle plays recorded bars, beside engines that others wrote.

    python -m benchmarks.backtest [--json]
    python -m benchmarks.backtest pairs COUNT       ten symbols against one alone

A year of one-minute bars (525,600, `benchmarks.year`), full records: orders, fills, ledger, decisions, cycles, equity
at each bar. Rule `ema`: in the market while EMA(20) is above EMA(100), decided at a close, filled at the next open.
Rule `limit`: an order at every bar, 0.15 % from the close, replaced at the next one. The fills and the equity have to
be those of a plain loop over the bars (`loop`), else there is no figure.

Each run is a process of its own. Peers take turns with them where their environments are there:

    python3.11 -m venv .venvs/peers && .venvs/peers/bin/pip install backtesting==0.6.6 backtrader==1.9.78.123
    python3.11 -m venv .venvs/nautilus && .venvs/nautilus/bin/pip install nautilus_trader==1.221.0
    python3.11 -m venv .venvs/jesse && .venvs/jesse/bin/pip install jesse==3.5.3
    python3.11 -m venv .venvs/freqtrade && .venvs/freqtrade/bin/pip install freqtrade==2026.9

The rule `limit` is played on the first 100,000 bars by the peers, which is enough to tell their speed; jesse and
freqtrade have no order that is replaced at each bar, and play `ema` alone.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks import year
from benchmarks.common import RUNS, Figure, Result, best, child_environment, run_alone
from btcbot.adapters.replay.columns import BarColumns
from btcbot.backtest.plan import BacktestPlan, settings_for
from btcbot.bootstrap.strategies import make_strategy
from btcbot.domain.instrument import Instrument

QUANTITY: Final = 0.001
FEE: Final = 0.0015
AWAY: Final = 0.0015
CASH: Final = 10_000_000.0
#: Bars of the rule `limit` that peers play.
PEERS_BARS: Final = 100_000
SYMBOLS_MANY: Final = 10
PEERS: Final = (
    ("backtesting.py 0.6.6", ".venvs/peers", "backtesting_py.py", ("ema", "limit")),
    ("nautilus_trader 1.221", ".venvs/nautilus", "nautilus.py", ("ema", "limit")),
    ("backtrader 1.9.78", ".venvs/peers", "backtrader_py.py", ("ema", "limit")),
    ("jesse 3.5.3", ".venvs/jesse", "jesse_py.py", ("ema",)),
    ("freqtrade 2026.9", ".venvs/freqtrade", "freqtrade_py.py", ("ema",)),
)
#: Slow engines are asked fewer times: their figure is a ratio of tens. So is the rule `limit`, which takes a minute.
PEER_RUNS: Final = 2
OWN_RUNS: Final = {"ema": RUNS, "limit": 2}
#: Of ten symbols, each between two of one.
MANY_RUNS: Final = 3
LIMITS: Final = {
    "FEE_BPS_TAKER": "15",
    "FEE_BPS_MAKER": "15",
    "COOLDOWN_SECONDS": "0",
    "TTL_SECONDS": "60",
    "MAX_DAILY_LOSS_TRY": "10000000",
    "NOTIONAL_CAP_TRY_PER_CYCLE": "1000000",
    "MAX_POSITION_TRY_PER_SYMBOL": "1000000",
    "MAX_TOTAL_EXPOSURE_TRY": "10000000",
    "PRICE_COLLAR_BPS": "1000",
    "MAX_ORDERS_PER_CYCLE": "50",
}
PARAMETERS: Final = {
    "ema": ("ema_cross", {"fast": "20", "slow": "100", "quantity": "0.001"}),
    "limit": ("limit_band", {"offset_bps": "15", "quantity": "0.001"}),
}


def loop(rule: str, bars: dict[str, Any]) -> tuple[int, float]:
    """Fills and equity of the rule, by the plainest loop over the bars that there is."""
    cash, held, fills, pending, limit = CASH, 0.0, 0, 0, 0.0
    columns = [bars[name].tolist() for name in ("open", "high", "low", "close")]
    fast = slow = columns[3][0]
    close = 0.0
    for at, (opened, high, low, close) in enumerate(zip(*columns, strict=True)):
        price = 0.0
        if rule == "ema" and pending:
            price = opened
        elif rule == "limit" and ((pending == 1 and low <= limit) or (pending == -1 and high >= limit)):
            price = limit
        if price:
            cash -= price * QUANTITY * (pending + FEE)
            held, fills = (QUANTITY if pending == 1 else 0.0), fills + 1
        if rule == "ema":
            fast += 2 / 21 * (close - fast)
            slow += 2 / 101 * (close - slow)
            wants = at >= 100 and (fast > slow) != bool(held)
            pending = (-1 if held else 1) if wants else 0
        else:
            pending = -1 if held else 1
            limit = round(close * (1 - pending * AWAY), 2)
    return fills, cash + held * close


def columns_of(bars: dict[str, Any], symbol: str = "BTCTRY") -> BarColumns:
    def scaled(name: str, places: int) -> Any:
        return np.round(bars[name] * 10**places).astype(np.int64)

    count = len(bars["close"])
    return BarColumns(
        symbol=symbol,
        interval_ms=60_000,
        price_scale=2,
        volume_scale=6,
        open_time_ms=year.START_MS + np.arange(count, dtype=np.int64) * 60_000,
        open=scaled("open", 2),
        high=scaled("high", 2),
        low=scaled("low", 2),
        close=scaled("close", 2),
        volume=scaled("volume", 6),
    )


def plan_of(rule: str, bars: dict[str, BarColumns]) -> BacktestPlan:
    settings = settings_for(bars, LIMITS)
    name, parameters = PARAMETERS[rule]
    instruments = {
        symbol: Instrument(
            symbol=symbol,
            base=symbol.removesuffix("TRY"),
            quote="TRY",
            price_scale=2,
            quantity_scale=8,
            value_min=Decimal("99.91"),
        )
        for symbol in bars
    }
    return BacktestPlan(
        bars=bars,
        strategy=make_strategy(name, parameters, settings),
        settings=settings,
        instruments=instruments,
        opening=Decimal(10_000_000),
        half_spread_bps=Decimal(0),
        volume_share=Decimal("0.1"),
        fills_at_touch=True,
    )


def play(rule: str, symbols: int, count: int) -> dict[str, float]:
    """One run in this process, after a short one that loads what is loaded once."""
    from btcbot.backtest.engine import run_backtest

    names = ["BTCTRY", "ETHTRY", "XRPTRY", "LTCTRY", "ADATRY", "DOTTRY", "SOLTRY", "LINKTRY", "AVAXTRY", "DOGETRY"]
    bars = {name: columns_of(year.year(year.SEED + at, count), name) for at, name in enumerate(names[:symbols])}
    short = {name: columns.between(None, year.START_MS + 2_000 * 60_000) for name, columns in bars.items()}
    run_backtest(plan_of(rule, short))
    result = run_backtest(plan_of(rule, bars))
    return {
        "cpu_s": result.cpu_s,
        "bars": result.bars_played,
        "fills": result.fill_count,
        "equity": float(result.final_equity),
        "cycles": result.cycles_run,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _own(rule: str, symbols: int = 1) -> dict[str, Any]:
    arguments = [sys.executable, "-m", "benchmarks.backtest", "play", rule, str(symbols), str(year.BARS)]
    ended = subprocess.run(arguments, stdout=subprocess.PIPE, env=child_environment(), text=True, check=True)
    told: dict[str, Any] = json.loads(ended.stdout)
    return told


def _peer(environment: str, program: str, rule: str, file: Path) -> dict[str, Any] | None:
    python = Path(environment, "bin", "python")
    if not python.exists():
        return None
    where = Path(__file__).parent / "peers" / program
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        [str(python), str(where), rule, str(file)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=clean, text=True, check=False,
    )  # fmt: skip
    if ended.returncode != 0:
        return None
    told: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return told


class Pair(NamedTuple):
    """How many times as long ten symbols took as one did just before and just after: a machine that others use changes
    its speed from minute to minute, and the best of many short runs meets better minutes than the best of few long
    ones."""

    times: float
    peak_mib: float


def pair() -> Pair:
    before, many, after = _own("ema"), _own("ema", SYMBOLS_MANY), _own("ema")
    return Pair(2 * many["cpu_s"] / (before["cpu_s"] + after["cpu_s"]), many["peak_mib"])


def _demand_same(rule: str, runs: Sequence[dict[str, Any]], bars: dict[str, Any]) -> None:
    fills, equity = loop(rule, bars)
    for run in runs:
        assert run["fills"] == fills, f"{rule}: {run['fills']} fills, the plain loop has {fills}"
        assert abs(run["equity"] - equity) < 0.01, f"{rule}: equity {run['equity']}, the plain loop has {equity}"


def measure() -> Result:
    bars = year.year()
    figures: list[Figure] = []
    notes: list[str] = []
    own: dict[str, list[dict[str, Any]]] = {"ema": [], "limit": []}
    pairs: list[Pair] = []
    peers: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        files = {"ema": Path(folder, "whole.npz"), "limit": Path(folder, "first.npz")}
        np.savez(files["ema"], allow_pickle=False, **bars)
        np.savez(files["limit"], allow_pickle=False, **{name: column[:PEERS_BARS] for name, column in bars.items()})
        for turn in range(RUNS):
            for rule, runs in own.items():
                if turn < OWN_RUNS[rule]:
                    runs.append(_own(rule))
            if turn < MANY_RUNS:
                pairs.append(pair())
            for name, environment, program, rules in PEERS if turn < PEER_RUNS else ():
                for rule in rules:
                    told = _peer(environment, program, rule, files[rule])
                    if told is not None:
                        count = year.BARS if rule == "ema" else PEERS_BARS
                        peers.setdefault((rule, f"{name}: {told['fills']:,} fills"), []).append(count / told["cpu_s"])
    for rule, floor in (("ema", 500_000), ("limit", 8_000)):
        _demand_same(rule, own[rule], bars)
        speeds = [[run["bars"] / run["cpu_s"]] for run in own[rule]]
        figures.append(best(f"{rule}: bars a CPU second", "1/s", speeds, goal=floor, at_least=True))
        peaks = [[run["peak_mib"]] for run in own[rule]]
        figures.append(best(f"{rule}: peak memory", "MiB", peaks, goal=500))
        figures += [
            best(f"{rule}, beside: {name}", "1/s", [[speed] for speed in of_peer], at_least=True)
            for (of_rule, name), of_peer in peers.items()
            if of_rule == rule
        ]
        cycles = own[rule][0]["cycles"]
        notes.append(f"{rule}: {own[rule][0]['fills']:,} fills, {cycles:,.0f} cycles, equity as the plain loop's")
    times, peak_mib = [each.times for each in pairs], max(each.peak_mib for each in pairs)
    ratio = Figure(
        what="ten symbols against one, ema: time, median",
        value=statistics.median(times),
        worst=max(times),
        unit="times",
        goal=11,
    )
    figures.append(ratio)
    figures.append(Figure(what="ten symbols, ema: peak memory", value=peak_mib, unit="MiB", goal=1_500))
    began = time.process_time()
    loop("ema", bars)
    notes.append(f"the plain loop over floats: {year.BARS / (time.process_time() - began):,.0f} bars a CPU second")
    return Result(name="backtest", figures=figures, notes=notes)


def main(words: Sequence[str]) -> None:
    match words:
        case ["play", rule, symbols, count]:
            print(json.dumps(play(rule, int(symbols), int(count))))
        case ["pairs", count] if count.isascii() and count.isdecimal() and int(count):
            found = []
            for _ in range(int(count)):
                found.append(pair().times)
                print(f"ten symbols took {found[-1]:.2f} times as long as one", flush=True)
            print(f"median {statistics.median(found):.2f}")
        case [] | ["--json"]:
            run_alone(measure)
        case _:
            print("benchmarks.backtest: give nothing, --json, or pairs and their number (pairs 5)", file=sys.stderr)
            sys.exit(2)


if __name__ == "__main__":
    main(sys.argv[1:])
