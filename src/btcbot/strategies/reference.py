"""The page on the shipped strategies, from their own words: `python -m btcbot.strategies.reference > PAGE`.

A test compares the committed page, `docs/reference/strategies.md`, with what this module would write.
"""

from __future__ import annotations

import sys
from inspect import getdoc
from typing import Final

from btcbot.strategies import signals
from btcbot.strategies.parameters import StrategySpec
from btcbot.strategies.shipped import shipped

_HEAD: Final = """# Strategies

<!-- Written by `python -m btcbot.strategies.reference`; edit the modules in `src/btcbot/strategies/`. -->

What comes with btcbot. `btcbot strategy list` and `btcbot strategy show NAME` tell the same, and installed ones too;
[how to write one](../how-to/strategy.md). Choose with `STRATEGY` and `STRATEGY_PARAMS`, or for a backtest with
`--strategy` and `--param`. Parameters that a setting speaks of (`ENTRY_BUDGET_TRY`, `MIN_PROFIT_BPS`,
`TAKE_PROFIT_FRACTION`, `ENTRY_SPREAD_BPS_MAX`, `MIN_ORDER_NOTIONAL_TRY`; for portfolios `PORTFOLIO_TARGETS`,
`PORTFOLIO_DRIFT`, `PORTFOLIO_ORDER_OFFSET_BPS`, `REVERSION_…`, `TRY_CASH_TARGET`, `MAX_POSITION_TRY_PER_SYMBOL`,
`RISK_MAX_POSITION_PCT`) take their default from it.

They are examples of rules, not advice: none of them is known to earn anything. What a strategy wishes goes through
[the limits of risk](settings.md) like everything else.
"""

_SIGNALS_HEAD: Final = """
## Signals

What a strategy may have computed over closed bars (`btcbot.strategies.signals`). `of` is a field of the bar (open,
high, low, close, volume) or the name of another signal.

| signal | from bar | meaning |
| --- | --- | --- |
"""

_KINDS: Final = (
    (signals.Close(), "Close(of=close)"),
    (signals.Ema(20), "Ema(period, of=close)"),
    (signals.Sma(20), "Sma(period, of=close)"),
    (signals.Stdev(20), "Stdev(period, of=close)"),
    (signals.ZScore(20), "ZScore(period, of=close)"),
    (signals.Rsi(20), "Rsi(period, of=close)"),
    (signals.Highest(20), "Highest(period, of=high)"),
    (signals.Lowest(20), "Lowest(period, of=low)"),
    (signals.Above("a", "b"), "Above(a, b)"),
    (signals.AtLeast("a", 1), "AtLeast(of, level)"),
    (signals.AtMost("a", 1), "AtMost(of, level)"),
    (signals.Changed("a"), "Changed(of)"),
)


def page() -> str:
    """`docs/reference/strategies.md` as text."""
    parts = [_HEAD, *(_section(spec) for spec in shipped().values()), _SIGNALS_HEAD]
    for signal, written in _KINDS:
        first = {19: "period - 1", 20: "period"}.get(signal.warm_up, "0")
        parts.append(f"| `{written}` | {first} | {' '.join((getdoc(type(signal)) or '').split())} |\n")
    parts.append("\nBars are counted from 0; a signal of signals warms up after them.\n")
    return "".join(parts)


def _section(spec: StrategySpec) -> str:
    told = (sys.modules[spec.strategy_class.__module__].__doc__ or "").strip()
    asked = "when something it waits for comes true" if spec.has_wakes else "at every bar"
    reads = "closed bars and quotes" if spec.uses_signals else "quotes"
    rows = "".join(
        f"| `{one.name}` | {one.kind.value} | {f'`{one.text(one.default)}`' if one.text(one.default) else '–'} "
        f"| {one.range or '–'} | {one.meaning} |\n"
        for one in spec.parameters
    )
    return (
        f"\n## {spec.name}\n\n{told}\n\nReads {reads}; is asked {asked}.\n\n"
        f"| parameter | kind | default | range | meaning |\n| --- | --- | --- | --- | --- |\n{rows}"
    )


if __name__ == "__main__":
    sys.stdout.write(page())
