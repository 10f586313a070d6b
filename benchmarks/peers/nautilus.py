"""The two rules of `benchmarks.backtest` on nautilus_trader: python nautilus.py RULE BARS.npz → one line of JSON."""

import json
import sys
import time
from decimal import Decimal

import numpy as np
import pandas as pd
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, StrategyConfig
from nautilus_trader.indicators import ExponentialMovingAverage
from nautilus_trader.model.currencies import BTC
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Currency, Money, Price, Quantity
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.trading.strategy import Strategy

FEE, AWAY, CASH = Decimal("0.0015"), 0.0015, 10_000_000
LIRA, SIMULATED = Currency.from_str("TRY"), Venue("SIM")


class Config(StrategyConfig, frozen=True):
    bar_type: BarType


class Counting(Strategy):
    def __init__(self, config):
        super().__init__(config)
        self.fills, self.bars, self.is_long, self.order = 0, 0, False, None
        self.fast, self.slow = ExponentialMovingAverage(20), ExponentialMovingAverage(100)

    def on_start(self):
        self.pair = self.cache.instrument(self.config.bar_type.instrument_id)
        self.quantity = self.pair.make_qty(0.001)
        self.subscribe_bars(self.config.bar_type)

    def on_order_filled(self, event):
        self.fills += 1
        self.is_long = event.order_side == OrderSide.BUY


class Ema(Counting):
    def on_bar(self, bar):
        close = bar.close.as_double()
        self.fast.update_raw(close)
        self.slow.update_raw(close)
        if self.bars >= 100 and (self.fast.value > self.slow.value) != self.is_long:
            side = OrderSide.SELL if self.is_long else OrderSide.BUY
            self.submit_order(self.order_factory.market(self.pair.id, side, self.quantity))
        self.bars += 1


class Limit(Counting):
    def on_bar(self, bar):
        if self.order is not None and self.order.is_open:
            self.cancel_order(self.order)
        side = OrderSide.SELL if self.is_long else OrderSide.BUY
        away = 1 + AWAY if self.is_long else 1 - AWAY
        price = self.pair.make_price(round(bar.close.as_double() * away, 2))
        self.order = self.order_factory.limit(self.pair.id, side, self.quantity, price)
        self.submit_order(self.order)


rule, bars = sys.argv[1], np.load(sys.argv[2])
engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
engine.add_venue(
    venue=SIMULATED, oms_type=OmsType.NETTING, account_type=AccountType.CASH, base_currency=None,
    starting_balances=[Money(CASH, LIRA), Money(0, BTC)], bar_execution=True,
)  # fmt: skip
pair = CurrencyPair(
    instrument_id=InstrumentId(Symbol("BTCTRY"), SIMULATED), raw_symbol=Symbol("BTCTRY"), base_currency=BTC,
    quote_currency=LIRA, price_precision=2, size_precision=6, price_increment=Price.from_str("0.01"),
    size_increment=Quantity.from_str("0.000001"), lot_size=None, max_quantity=None, min_quantity=None,
    max_notional=None, min_notional=None, max_price=None, min_price=None, margin_init=Decimal(0),
    margin_maint=Decimal(0), maker_fee=FEE, taker_fee=FEE, ts_event=0, ts_init=0,
)  # fmt: skip
engine.add_instrument(pair)
kind = BarType.from_str(f"{pair.id}-1-MINUTE-LAST-EXTERNAL")
table = pd.DataFrame({name: bars[name] for name in ("open", "high", "low", "close", "volume")})
table.index = pd.date_range("2025-01-01 00:01", periods=len(table), freq="min", tz="UTC")
table.index.name = "timestamp"
engine.add_data(BarDataWrangler(kind, pair).process(table))
strategy = (Ema if rule == "ema" else Limit)(Config(bar_type=kind))
engine.add_strategy(strategy)
began = time.process_time()
engine.run()
took = time.process_time() - began
cash = float(engine.cache.account_for_venue(SIMULATED).balance_total(LIRA).as_decimal())
equity = cash + (0.001 * float(bars["close"][-1]) if strategy.is_long else 0.0)
print(json.dumps({"cpu_s": took, "fills": strategy.fills, "equity": equity}))
