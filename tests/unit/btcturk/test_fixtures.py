"""Every recorded answer that lies beside the repository is read; skipped where the recordings are not there."""

import json
from pathlib import Path

import pytest
from tests.unit.btcturk.support import ok

from btcbot.adapters.btcturk import outcome, wire
from btcbot.adapters.btcturk.outcome import Answer
from btcbot.domain.outcomes import Accepted, CancelRequested, InDoubt, Refused

RECORDINGS = Path(__file__).parents[4] / "shared" / "btcturk" / "fixtures" / "rest"

pytestmark = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="no recordings beside the repository")

SUBMITTED = {
    "order_submit_limit_buy_2021": ("15566", Accepted(venue_order_id="1048728402")),
    "order_submit_limit_sell_2024": ("Sat", Accepted(venue_order_id="21770789256")),
    "order_submit_market_sell_2020": ("BtcTurk Python API Test", Accepted(venue_order_id="198008190")),
    "order_submit_error_1055": ("", Refused(code="BALANCE_NOT_ENOUGH", message="BALANCE_NOT_ENOUGH")),
    "order_submit_error_1118": ("", Refused(code="FAILED_MARKET_ORDER", message="FAILED_MARKET_ORDER")),
    "order_submit_error_1122": (
        "",
        Refused(code="FAILED_ORDER_WITH_OPEN_ORDERS", message="FAILED_ORDER_WITH_OPEN_ORDERS"),
    ),
    "error_invalid_nonce_401": ("", Refused(code="UNAUTHORIZED", message="Unauthorized - Invalid Nonce")),
}


def read(name: str) -> bytes:
    return (RECORDINGS / f"{name}.json").read_bytes()


def enveloped(name: str) -> bytes:
    """Recordings whose envelope the poster cut off, put back."""
    value = json.loads(read(name), parse_float=str)
    return json.dumps(ok(value["data"] if isinstance(value, dict) else value)).encode()


@pytest.mark.parametrize("name", sorted(SUBMITTED))
def test_answers_to_orders(name: str) -> None:
    client_order_id, expected = SUBMITTED[name]
    status = 200 if isinstance(expected, Accepted) else 401 if "401" in name else 400
    assert outcome.of_submit(Answer(status, read(name)), client_order_id) == expected


@pytest.mark.parametrize("name", ["error_internal_500_2019", "error_internal_string_code_2021"])
def test_an_internal_error_proves_nothing(name: str) -> None:
    assert isinstance(outcome.of_submit(Answer(500, read(name)), "x"), InDoubt)


def test_answers_to_cancellations() -> None:
    assert outcome.of_cancel(Answer(200, read("cancel_ok_2025"))) == CancelRequested()
    refused = outcome.of_cancel(Answer(400, read("cancel_error_1052_2020")))
    assert isinstance(refused, Refused)
    assert refused.code == outcome.NO_SUCH_ORDER


def test_the_limiter() -> None:
    refused = outcome.of_submit(Answer(429, read("error_429_ip"), 30.0), "x")
    assert refused == Refused(code="RATE", message="TOO_MANY_REQUESTS", retry_after_s=30.0)


def test_lists() -> None:
    listing = wire.instruments(read("exchangeinfo_2026-08"))
    assert listing.skipped == 0
    assert {s: i.price_scale for s, i in listing.instruments.items()} == {"BTCTRY": 0, "USDTTRY": 3, "ETHUSDT": 1}
    symbols = json.loads(read("exchangeinfo_symbols_ccxt_2026-09"))
    assert wire.instruments(json.dumps(ok({"symbols": symbols})).encode()).skipped == 0
    assert set(wire.balances(read("balances_shape"))) == {"TRY", "BTC"}
    assert len(wire.open_orders(read("open_orders_docs_2020"))) == 3
    assert wire.open_orders(read("open_orders_stoplimit_2020"))[0].method == "stoplimit"
    assert wire.order(read("single_order_docs")).venue_order_id == "61912740"
    assert [row.order.status for row in wire.all_orders(enveloped("all_orders_triggered_stop_2025"))] == [
        "Closed",
        "Canceled",
    ]
    assert len(wire.all_orders(enveloped("all_orders_untouched_ccxt_2021"))) == 1
    assert len(wire.trades(read("user_trades_docs_2021"))) == 3
    assert len(wire.trades(read("user_trades_docs_2022-09"))) == 1
    both = json.loads(read("user_trades_crypto_fiat_2021"))
    for source in ("crypto", "fiat"):
        assert len(wire.transfers(json.dumps(ok(both[source])).encode(), source)) == 1


def test_market_data() -> None:
    quote = wire.order_book(read("orderbook_btctry_2026-08"), "BTCTRY", 1)
    assert quote is not None
    assert quote.is_sane
    assert wire.tickers(read("ticker_btctry_2026-08"), 1)["BTCTRY"].is_sane
    assert wire.tickers(read("ticker_btcusdt_2026-09"), 1)["BTCUSDT"].is_sane
    assert wire.tickers(read("ticker_unknown_pair"), 1) == {}
    assert wire.server_time_ms(read("server_time")) == 1790133600027
    for name in ("error_orderbook_missing_pair_400", "error_orderbook_unknown_pair_400"):
        with pytest.raises(wire.VenueSaidNo):
            wire.order_book(read(name), "BTCTRY", 1)
