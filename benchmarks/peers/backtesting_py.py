"""The two rules of `benchmarks.backtest` on backtesting.py: python backtesting_py.py RULE BARS.npz → one line of JSON.

Prices are divided by a thousand, so that one unit, its least position, is the quantity of the rules.
"""

import json
import sys
import time
import warnings

import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy

warnings.filterwarnings("ignore")
SCALE, FEE, AWAY = 1_000.0, 0.0015, 0.0015


def average(values, span):
    return pd.Series(values).ewm(span=span, adjust=False).mean().to_numpy()


class Ema(Strategy):
    def init(self):
        self.fast = self.I(average, self.data.Close, 20)
        self.slow = self.I(average, self.data.Close, 100)

    def next(self):
        if len(self.data) <= 100:
            return
        if self.fast[-1] > self.slow[-1]:
            if not self.position:
                self.buy(size=1)
        elif self.position:
            self.position.close()


class Limit(Strategy):
    def init(self):
        pass

    def next(self):
        for order in self.orders:
            order.cancel()
        close = self.data.Close[-1] * SCALE
        if self.position:
            self.sell(size=1, limit=round(close * (1 + AWAY), 2) / SCALE)
        else:
            self.buy(size=1, limit=round(close * (1 - AWAY), 2) / SCALE)


rule, bars = sys.argv[1], np.load(sys.argv[2])
table = pd.DataFrame({name.capitalize(): bars[name] / SCALE for name in ("open", "high", "low", "close")})
table["Volume"] = bars["volume"]
table.index = pd.date_range("2025-01-01", periods=len(table), freq="min")
engine = Backtest(table, Ema if rule == "ema" else Limit, cash=10_000_000, commission=FEE, finalize_trades=False)
began = time.process_time()
result = engine.run()
took = time.process_time() - began
print(json.dumps({"cpu_s": took, "fills": 2 * len(result["_trades"]), "equity": float(result["Equity Final [$]"])}))
