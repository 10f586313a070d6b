"""The rule `ema` of `benchmarks.backtest` on freqtrade: python freqtrade_py.py ema BARS.npz → one line of JSON.

Freqtrade sizes by stake and not by quantity, so its trades are at the same times and its equity is another. Its markets
are given by hand: nothing is asked of an exchange.
"""

import contextlib
import io
import json
import logging
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

logging.disable(logging.WARNING)

from freqtrade.commands.optimize_commands import setup_optimize_configuration  # noqa: E402
from freqtrade.data.history import get_datahandler  # noqa: E402
from freqtrade.enums import CandleType, RunMode  # noqa: E402
from freqtrade.exchange.exchange import Exchange  # noqa: E402
from freqtrade.optimize.backtesting import Backtesting  # noqa: E402

PAIR, FEE, CASH, STAKE, START_MS = "BTC/TRY", 0.0015, 10_000_000, 3_000, 1_735_689_600_000
STRATEGY = """
from freqtrade.strategy import IStrategy


class Ema(IStrategy):
    INTERFACE_VERSION = 3
    timeframe = "1m"
    minimal_roi = {"0": 100}
    stoploss = -0.99
    startup_candle_count = 0
    order_types = {"entry": "market", "exit": "market", "stoploss": "market", "stoploss_on_exchange": False}

    def populate_indicators(self, frame, metadata):
        frame["fast"] = frame["close"].ewm(span=20, adjust=False).mean()
        frame["slow"] = frame["close"].ewm(span=100, adjust=False).mean()
        return frame

    def populate_entry_trend(self, frame, metadata):
        frame.loc[(frame.index >= 100) & (frame["fast"] > frame["slow"]), "enter_long"] = 1
        return frame

    def populate_exit_trend(self, frame, metadata):
        frame.loc[(frame.index >= 100) & (frame["fast"] <= frame["slow"]), "exit_long"] = 1
        return frame
"""


def market():
    base, quote = PAIR.split("/")
    none = {"min": None, "max": None}
    return {
        "id": base + quote, "symbol": PAIR, "base": base, "quote": quote, "baseId": base, "quoteId": quote,
        "type": "spot", "spot": True, "active": True, "contract": False, "swap": False, "future": False,
        "option": False, "margin": False, "settle": None, "linear": None, "inverse": None, "taker": FEE, "maker": FEE,
        "precision": {"amount": 1e-6, "price": 0.01}, "info": {}, "contractSize": None, "expiry": None,
        "expiryDatetime": None, "strike": None, "optionType": None, "lowercaseId": None, "created": None,
        "tierBased": False, "percentage": True, "feeSide": "get", "subType": None,
        "limits": {"amount": {"min": 1e-6, "max": None}, "price": {"min": 0.01, "max": None},
                   "cost": {"min": 10, "max": None}, "leverage": none},
    }  # fmt: skip


def given_markets(self, force=False, *, load_leverage_tiers=True):
    self._api_async.set_markets([market()])
    self._markets = self._api_async.markets
    self._api.set_markets([market()])
    self._last_markets_refresh = int(time.time() * 1000)


rule, file = sys.argv[1], sys.argv[2]
assert rule == "ema", "freqtrade plays the rule of market orders alone"
Exchange.reload_markets = given_markets
bars = np.load(file)
with tempfile.TemporaryDirectory() as place:
    folder = Path(place)
    (folder / "strategies").mkdir()
    (folder / "data").mkdir()
    (folder / "strategies" / "Ema.py").write_text(STRATEGY)
    times = pd.to_datetime(START_MS + np.arange(len(bars["close"])) * 60_000, unit="ms", utc=True)
    table = pd.DataFrame({"date": times} | {name: bars[name] for name in ("open", "high", "low", "close", "volume")})
    get_datahandler(folder / "data", "feather").ohlcv_store(PAIR, "1m", table, CandleType.SPOT)
    pricing = {"price_side": "other", "use_order_book": False, "order_book_top": 1}
    settings = {
        "max_open_trades": 1, "stake_currency": "TRY", "stake_amount": STAKE, "dry_run": True,
        "dry_run_wallet": CASH, "trading_mode": "spot", "timeframe": "1m", "fee": FEE, "strategy": "Ema",
        "strategy_path": str(folder / "strategies"), "user_data_dir": place, "datadir": str(folder / "data"),
        "dataformat_ohlcv": "feather", "pairlists": [{"method": "StaticPairList"}], "entry_pricing": pricing,
        "exit_pricing": pricing, "export": "none", "backtest_cache": "none", "internals": {}, "minimal_roi": {},
        "stoploss": -0.99,
        "exchange": {"name": "binance", "key": "", "secret": "", "pair_whitelist": [PAIR], "pair_blacklist": [],
                     "enable_ws": False},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(settings))
    given = {"config": [str(folder / "config.json")], "backtest_cache": "none", "export": "none"}
    configuration = setup_optimize_configuration(given, RunMode.BACKTEST)
    configuration.update(user_data_dir=folder, datadir=folder / "data", exportdirectory=folder)
    with contextlib.redirect_stdout(io.StringIO()):
        backtest = Backtesting(configuration)
        data, span = backtest.load_bt_data()
        began = time.process_time()
        backtest.backtest_one_strategy(backtest.strategylist[0], data, span)
        took = time.process_time() - began
    ran = backtest.all_bt_content["Ema"]
    backtest.cleanup()
print(json.dumps({"cpu_s": took, "fills": 2 * len(ran["results"]), "equity": float(ran["final_balance"])}))
