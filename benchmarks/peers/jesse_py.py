"""The rule `ema` of `benchmarks.backtest` on jesse: python jesse_py.py ema BARS.npz → one line of JSON."""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

rule, file = sys.argv[1], Path(sys.argv[2]).resolve()
assert rule == "ema", "jesse plays the rule of market orders alone"
os.chdir(tempfile.mkdtemp())  # it leaves folders where it is started

import jesse.helpers as names  # noqa: E402
from jesse import research  # noqa: E402
from jesse.strategies import Strategy  # noqa: E402

QUANTITY, FEE, CASH, START_MS = 0.001, 0.0015, 10_000_000, 1_735_689_600_000
EXCHANGE, SYMBOL = "Binance Spot", "BTC-USDT"


class Ema(Strategy):
    def __init__(self):
        super().__init__()
        self.fast = self.slow = None
        self.seen = 0

    def before(self):
        if self.fast is None:
            self.fast = self.slow = self.close
        self.fast += 2 / 21 * (self.close - self.fast)
        self.slow += 2 / 101 * (self.close - self.slow)
        self.seen += 1

    def wants(self):
        return self.seen > 100 and self.fast > self.slow

    def should_long(self):
        return self.wants()

    def should_short(self):
        return False

    def should_cancel_entry(self):
        return False

    def go_long(self):
        self.buy = QUANTITY, self.price

    def go_short(self):
        pass

    def update_position(self):
        if not self.wants():
            self.liquidate()


bars = np.load(file)
times = START_MS + np.arange(len(bars["close"])) * 60_000.0
candles = np.stack([times, *(bars[name] for name in ("open", "close", "high", "low", "volume"))], axis=1)
config = {
    "starting_balance": CASH,
    "fee": FEE,
    "type": "spot",
    "simulation_model": "spot",
    "annualization": 365,
    "exchange": EXCHANGE,
    "warm_up_candles": 0,
}
route = {"exchange": EXCHANGE, "strategy": Ema, "symbol": SYMBOL, "timeframe": "1m"}
data = {names.key(EXCHANGE, SYMBOL): {"exchange": EXCHANGE, "symbol": SYMBOL, "candles": candles}}
began = time.process_time()
ran = research.backtest(config, [route], [], data)["metrics"]
took = time.process_time() - began
equity = float(ran.get("finishing_balance", 0))
print(json.dumps({"cpu_s": took, "fills": 2 * int(ran.get("total", 0)), "equity": equity}))
