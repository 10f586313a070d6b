"""The two rules of `benchmarks.backtest` on backtrader: python backtrader_py.py RULE BARS.npz → one line of JSON."""

import json
import sys
import time

import backtrader as bt
import numpy as np
import pandas as pd

QUANTITY, FEE, AWAY = 0.001, 0.0015, 0.0015


class Counting(bt.Strategy):
    def __init__(self):
        self.fills, self.order, self.bars = 0, None, 0
        self.fast = self.slow = None

    def notify_order(self, order):
        self.fills += order.status == order.Completed


class Ema(Counting):
    def next(self):
        close = self.data.close[0]
        if self.fast is None:
            self.fast = self.slow = close
        self.fast += 2 / 21 * (close - self.fast)
        self.slow += 2 / 101 * (close - self.slow)
        if self.bars >= 100 and (self.fast > self.slow) != bool(self.position.size):
            (self.sell if self.position.size else self.buy)(size=QUANTITY)
        self.bars += 1


class Limit(Counting):
    def next(self):
        if self.order is not None:
            self.cancel(self.order)
        close = self.data.close[0]
        if self.position.size:
            self.order = self.sell(size=QUANTITY, exectype=bt.Order.Limit, price=round(close * (1 + AWAY), 2))
        else:
            self.order = self.buy(size=QUANTITY, exectype=bt.Order.Limit, price=round(close * (1 - AWAY), 2))


rule, bars = sys.argv[1], np.load(sys.argv[2])
table = pd.DataFrame({name: bars[name] for name in ("open", "high", "low", "close", "volume")})
table.index = pd.date_range("2025-01-01", periods=len(table), freq="min")
cerebro = bt.Cerebro(stdstats=False)
cerebro.broker.setcash(10_000_000)
cerebro.broker.setcommission(commission=FEE)
cerebro.adddata(bt.feeds.PandasData(dataname=table))
cerebro.addstrategy(Ema if rule == "ema" else Limit)
began = time.process_time()
(ran,) = cerebro.run()
took = time.process_time() - began
print(json.dumps({"cpu_s": took, "fills": ran.fills, "equity": float(cerebro.broker.getvalue())}))
