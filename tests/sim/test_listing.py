"""The exchange's 379 pairs: how many of each kind, and that every one of them can be traded."""

import json
from decimal import Decimal
from fractions import Fraction

import pytest
from tests.counting import calls_of
from tests.sim.bench import SECRET, T0, Bench

from btcturk_sim.errors import ConfigurationError
from btcturk_sim.generator import GeneratedBars
from btcturk_sim.instruments import split_symbol
from btcturk_sim.limits import LimitsMode
from btcturk_sim.listing import listings, pairs_max
from btcturk_sim.options import ApiOptions
from btcturk_sim.simulator import Simulator, SimulatorOptions, account


@pytest.fixture(scope="module")
def whole():
    accounts = [account("ALICE", SECRET, {"TRY": "100000000", "USDT": "10000000"})]
    options = SimulatorOptions(
        speed=Fraction(1), api=ApiOptions(exchangeinfo_age_ms=30_000, limits=LimitsMode(enabled=False))
    )
    source = GeneratedBars(seed=5, listed=listings(379))
    return Bench(Simulator(accounts=accounts, source=source, now_ms=T0, options=options))


@pytest.fixture(scope="module")
def symbols(whole):
    return whole.get("/api/v2/server/exchangeinfo")["symbols"]


def test_190_against_try_and_189_against_usdt(symbols):
    assert len(symbols) == pairs_max() == 379
    assert sum(row["denominator"] == "TRY" for row in symbols) == 190
    assert sum(row["denominator"] == "USDT" for row in symbols) == 189
    assert sum(not row["hasFraction"] for row in symbols) == 4
    assert sum(row["orderMethods"] == ["LIMIT", "STOP_LIMIT"] for row in symbols) == 25
    assert {row["status"] for row in symbols} == {"TRADING"}


def test_ids_and_names_are_unique_and_the_recorded_ones_as_recorded(symbols):
    ids = {row["name"]: row["id"] for row in symbols}
    assert len(ids) == len(set(ids.values())) == 379
    assert {name: ids[name] for name in ("BTCTRY", "USDTTRY", "BTCUSDT", "ETHUSDT", "XRPUSDT")} == {
        "BTCTRY": 1, "USDTTRY": 18, "BTCUSDT": 19, "ETHUSDT": 20, "XRPUSDT": 21}  # fmt: skip
    for row in symbols:
        assert split_symbol(row["name"]) == (row["numerator"], row["denominator"])


def test_prices_have_five_digits_and_a_lot_is_worth_little(whole, symbols):
    for row in symbols:
        pair = whole.engine.pairs[row["name"]]
        assert 0 <= row["numeratorScale"] <= 8
        assert 0 <= row["denominatorScale"] <= 8
        if row["denominatorScale"] not in (0, 8):
            assert len(pair.price.as_tuple().digits) in (4, 5, 6)
        lot = Decimal(1).scaleb(-row["numeratorScale"]) * pair.price
        assert lot < Decimal(row["filters"][0]["minExchangeValue"])


def test_every_pair_has_a_book_a_ticker_and_takes_an_order(whole, symbols):
    tickers = {row["pair"]: row for row in whole.get("/api/v2/ticker")}
    assert len(tickers) == 379
    for row in symbols:
        name = row["name"]
        assert 0 < tickers[name]["bid"] < tickers[name]["ask"]
        step = Decimal(1).scaleb(-row["numeratorScale"])
        price = Decimal(tickers[name]["ask"])
        quantity = (Decimal(row["filters"][0]["minExchangeValue"]) * 2 / price).quantize(step) + step
        order_id = whole.place("buy", format(quantity, "f"), format(price, "f"), symbol=name)
        assert whole.status(order_id) == "Closed", name
    whole.engine.audit()


def test_the_market_of_all_pairs_moves_and_balances_have_a_row_for_each_currency(whole):
    before = {symbol: pair.price for symbol, pair in whole.engine.pairs.items()}
    whole.wait(120_000)
    moved = sum(pair.price != before[symbol] for symbol, pair in whole.engine.pairs.items())
    assert moved > 350
    assert len(whole.get("/api/v1/users/balances")) == 191


def test_exchangeinfo_is_as_long_as_the_real_one_and_kept_for_a_while(whole):
    whole.wait(60_000)
    path = "/api/v2/server/exchangeinfo"
    body = whole.send(whole.request("GET", path)).body
    assert 200_000 < len(body) < 400_000
    assert len(json.loads(body)["data"]["currencies"]) == 191
    assert calls_of(lambda: whole.send(whole.request("GET", path))) < 200
    assert whole.send(whole.request("GET", path)).body == body


def test_the_first_so_many_are_the_best_known():
    assert [one.instrument.symbol for one in listings(4)] == ["BTCTRY", "BTCUSDT", "USDTTRY", "ETHTRY"]
    with pytest.raises(ConfigurationError, match="--pairs 380: give a number from 1 to 379"):
        listings(380)
