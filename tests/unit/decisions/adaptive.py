"""What the tests of adaptation share: a cycle's metrics that were healthy unless told otherwise, and common rules.

The parameters begin with 20 symbols, an offset of 5 bps, 1,000 TRY and 4 orders a cycle, spreads up to 100 bps and a
volume of at least 1,000 TRY.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from btcbot.decisions.adaptation import step
from btcbot.domain import money
from btcbot.domain.adaptation import WINDOW, Course, Range, Rules, Step
from btcbot.domain.run_metrics import AlertFlag, Quality, RunMetrics
from btcbot.domain.stance import TradingMode
from btcbot.domain.tuning import Tuning

START = Tuning(
    version=0,
    universe_size=20,
    order_offset_bps=Decimal(5),
    turnover_per_cycle_max=Decimal(1000),
    orders_per_cycle_max=4,
    spread_bps_max=Decimal(100),
    quote_volume_min=Decimal(1000),
    cash_target=Decimal(300),
)
RULES = Rules(
    bounds={
        "universe_size": Range(Decimal(5), Decimal(50)),
        "order_offset_bps": Range(Decimal(0), Decimal(50)),
        "turnover_per_cycle_max": Range(Decimal(100), Decimal(2000)),
        "orders_per_cycle_max": Range(Decimal(1), Decimal(20)),
        "spread_bps_max": Range(Decimal(10), Decimal(500)),
        "quote_volume_min": Range(Decimal(0), Decimal(1_000_000)),
        "cash_target": Range(Decimal(0), Decimal(600)),
    },
    drawdown_ratio_max=Decimal("0.25"),
)
HEALTHY: dict[str, Any] = {}
THROTTLED: dict[str, Any] = {"throttled": True, "alerts": (AlertFlag.THROTTLED,), "quality": (Quality.THROTTLED,)}
REFUSED: dict[str, Any] = {"submitted": 4, "venue_refused": 3, "alerts": (AlertFlag.REJECT_SPIKE,)}
MISSING: dict[str, Any] = {
    "missing_marks": 2,
    "alerts": (AlertFlag.MISSING_DATA,),
    "quality": (Quality.STALE_DATA, Quality.MISSING_MARK_PRICE),
}
STALE: dict[str, Any] = {"quality": (Quality.STALE_DATA,), "stale_share": Decimal("0.5")}
NEAR: dict[str, Any] = {"drawdown_ratio": Decimal("0.2")}
BREACH: dict[str, Any] = {"drawdown_ratio": Decimal("0.25"), "alerts": (AlertFlag.DRAWDOWN_BREACH,)}


def some_metrics(number: int, version: int | None, **changes: Any) -> RunMetrics:
    """Of a quiet cycle: nothing wished, 10,000 TRY there, nothing won or lost so far."""
    metrics = RunMetrics(
        cycle_id=f"c{number:08d}",
        number=number,
        at_ms=1_700_000_000_000 + number * 60_000,
        outcome="completed",
        mode=TradingMode.NORMAL,
        narrowed_by=(),
        tuning_version=version,
        wished=0,
        allowed=0,
        refused=0,
        deferred=0,
        submitted=0,
        filled=0,
        venue_refused=0,
        in_doubt=0,
        denied=0,
        simulated=0,
        cancels=0,
        reject_rate=money.ZERO,
        stale_share=money.ZERO,
        throttled=False,
        missing_marks=0,
        equity=Decimal(10_000),
        realized_pnl=money.ZERO,
        unrealized_pnl=money.ZERO,
        gross_pnl=money.ZERO,
        charges=money.ZERO,
        net_pnl=money.ZERO,
        peak_pnl=money.ZERO,
        drawdown=money.ZERO,
        drawdown_ratio=money.ZERO,
        turnover=money.ZERO,
        turnover_total=money.ZERO,
        fills_before=0,
        seconds=0.01,
        quality=(),
        alerts=(),
        no_trades_reason="nothing_wished",
        inputs_sha256="0" * 64,
        trace=(),
    )
    return replace(metrics, **changes)


class Run:
    """A market of metrics: each `cycle` is measured under the parameters in force, and adaptation is asked."""

    def __init__(self, course: Course, rules: Rules = RULES) -> None:
        self.course = course
        self.rules = rules
        self.window: list[RunMetrics] = []
        self.steps: list[Step] = []

    def cycle(self, **changes: Any) -> Step:
        number = len(self.steps) + 1
        self.window = [*self.window, some_metrics(number, self.course.tuning.version, **changes)][-WINDOW:]
        done = step(self.course, self.window, self.rules)
        self.course = done.course
        self.steps.append(done)
        return done

    def cycles(self, count: int, **changes: Any) -> None:
        for _ in range(count):
            self.cycle(**changes)

    @property
    def tuning(self) -> Tuning:
        return self.course.tuning
