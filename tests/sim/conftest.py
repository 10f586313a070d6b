"""Benches to order, and the recorded payloads."""

from __future__ import annotations

import decimal
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from tests.sim.bench import SECRET, T0, Bench, ScriptedBars

from btcturk_sim.api import ApiOptions
from btcturk_sim.engine import EngineOptions
from btcturk_sim.instruments import without_market_orders
from btcturk_sim.limits import LimitsMode
from btcturk_sim.market import AtEnd
from btcturk_sim.simulator import Simulator, SimulatorOptions, account

FIXTURES = Path(os.environ.get("BTCTURK_FIXTURES", Path(__file__).parent / "../../../shared/btcturk/fixtures"))


@pytest.fixture(autouse=True)
def plain_arithmetic() -> Iterator[None]:
    """These tests reckon with ordinary decimals, whatever context other tests of the same process have set."""
    with decimal.localcontext(decimal.Context(prec=28)):
        yield


FLAT = [("1000000", "1000000", "1000000", "1000000", "0")] * 3


@pytest.fixture
def make_bench():
    """Build a bench; by default BTCTRY stands still at 1,000,000 and nothing lags."""
    made: list[Bench] = []

    def make(
        bars: Mapping[str, Sequence[tuple[str, str, str, str, str]]] | None = None,
        balances: Mapping[str, str] | None = None,
        others: Mapping[str, Mapping[str, str]] | None = None,
        *,
        limits: str = "off",
        speed: int = 1,
        at_end: AtEnd = AtEnd.HOLD,
        api: ApiOptions | None = None,
        record: Path | None = None,
        limit_only: bool = False,
        **engine: object,
    ) -> Bench:
        lags = {"cancel_lag_ms": 0, "transactions_lag_ms": 0} | engine
        accounts = [account("ALICE", SECRET, balances or {"TRY": "100000", "BTC": "1"})]
        for ordinal, (key, held) in enumerate((others or {}).items(), start=1):
            accounts.append(account(key, SECRET, held, ordinal))
        options = SimulatorOptions(
            engine=EngineOptions(**lags),
            api=replace(api or ApiOptions(), limits=LimitsMode.parse(limits)),
            speed=Fraction(speed),
            at_end=at_end,
            record=record,
        )
        source = ScriptedBars(bars or {"BTCTRY": FLAT})
        if limit_only:
            source.instruments = tuple(map(without_market_orders, source.instruments))
        bench = Bench(Simulator(accounts=accounts, source=source, now_ms=T0, options=options))
        made.append(bench)
        return bench

    yield make
    for bench in made:
        bench.engine.audit()
        bench.simulator.close()


@pytest.fixture
def bench(make_bench) -> Bench:
    return make_bench()


@pytest.fixture
def recordings() -> Path:
    """The folder of recorded REST payloads; skips where they are not at hand."""
    folder = FIXTURES / "rest"
    if not folder.is_dir():
        pytest.skip(f"recorded payloads are not at {FIXTURES}")
    return folder


@pytest.fixture
def fixture_json(recordings: Path):
    """A recorded payload by name."""

    def read(name: str) -> object:
        return json.loads((recordings / f"{name}.json").read_text(encoding="utf-8"), parse_float=Decimal)

    return read
