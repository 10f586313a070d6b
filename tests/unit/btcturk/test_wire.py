"""Answers as they were seen on the wire, and what is refused."""

import json
from decimal import Decimal

import msgspec
import pytest
from tests.unit.btcturk.support import make_order, no, ok, order_row, trade_row

from btcbot.adapters.btcturk import wire
from btcbot.adapters.btcturk.wire import values
from btcbot.adapters.btcturk.wire.values import WireError
from btcbot.domain.intents import Side
from btcbot.domain.venue import TransferKind, VenueOrderStatus


def body(value: object) -> bytes:
    return json.dumps(value).encode()


# -- numbers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'"27223.7283250757643288"', "27223.7283250757643288"),
        (b"-0.33840811", "-0.33840811"),
        (b"12345678901234567890.1234567890123456", "12345678901234567890.1234567890123456"),
        (b'"0.0000000000001288"', "0.0000000000001288"),
        (b"5e-06", "0.000005"),
        (b"1E+3", "1000"),
        (b'"-0"', "0"),
        (b"0", "0"),
        (b'"1000000000000000000000000"', "1000000000000000000000000"),
    ],
)
def test_numbers_are_exact(raw: bytes, expected: str) -> None:
    assert values.decimal(msgspec.Raw(raw), "x") == Decimal(expected)


@pytest.mark.parametrize(
    "raw",
    [
        *(b'"NaN"', b'"Infinity"', b'"-Infinity"', b'"1e5"', b'""', b'" 1"', b'"1 "', b'"+1"', b'".5"', b'"1."'),
        *(b'"1,5"', b'"1_000"', b'"0x1"', b'"\xd9\xa1"', b"null", b"true", b"[1]", b"{}", b"1e400", b"1e25", b"1e-25"),
        *(b"1" * 26, b'"' + b"1" * 26 + b'"', b'"0.' + b"1" * 25 + b'"', b'"1000000000000000000000001"', b"1e-99"),
    ],
)
def test_what_is_not_plainly_a_number_in_range_is_refused(raw: bytes) -> None:
    with pytest.raises(WireError):
        values.decimal(msgspec.Raw(raw), "x")


def test_a_decimal_comma_is_read_in_balances_only() -> None:
    assert values.decimal(msgspec.Raw(b'"27223,728"'), "x", takes_comma=True) == Decimal("27223.728")
    with pytest.raises(WireError):
        values.decimal(msgspec.Raw(b'"1,234.5"'), "x", takes_comma=True)


def test_symbols() -> None:
    assert values.symbol("btc_try") == "BTCTRY"
    for wrong in ("B", "", "BTC TRY", "BTC__TRY", "ΒTCTRY", "BTCTRY\n", "A" * 21):
        with pytest.raises(WireError):
            values.symbol(wrong)


def test_text_for_people_is_one_short_line() -> None:
    assert values.for_people("a\nb\x1b[31m\u2028c" + "x" * 500).isprintable()
    assert len(values.for_people("x" * 500)) == 200


# -- envelope ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, "0", "SUCCESS", ""])
@pytest.mark.parametrize("message", [None, "", "SUCCESS", "OK"])
def test_every_way_of_saying_yes(code: object, message: object) -> None:
    assert wire.balances(body({"success": True, "message": message, "code": code, "data": []})) == {}


@pytest.mark.parametrize(
    "envelope",
    [
        no("BALANCE_NOT_ENOUGH", 1055),
        {"success": True, "message": "Unauthorized - Invalid Nonce", "code": 1037},
        {"success": True, "message": "x", "code": "INTERNAL_ERROR", "data": []},
        {"success": False, "message": None, "code": 0, "data": []},
    ],
)
def test_every_way_of_saying_no(envelope: object) -> None:
    with pytest.raises(wire.VenueSaidNo):
        wire.balances(body(envelope))


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"null", b"[]", b"{}", b"<html>502</html>", b'{"success":true', b"\xef\xbb\xbf" + body(ok([]))),
        *(body(ok(None)), body({"data": []}), body({**ok([]), "code": 0.5}), body({**ok([]), "success": "true"})),
        *(body(ok([])) + b"x", body(ok({})), b'{"a":' * 5000, b"\xff\xfe", body({**ok([]), "code": [0]})),
    ],
)
def test_what_is_no_answer_at_all(raw: bytes) -> None:
    with pytest.raises(WireError) as caught:
        wire.balances(raw)
    assert not isinstance(caught.value, wire.VenueSaidNo)


def test_the_size_is_bounded() -> None:
    with pytest.raises(WireError, match="beyond the limit"):
        wire.balances(b" " * (wire.BODY_BYTES_MAX + 1))
    with pytest.raises(WireError, match="beyond the limit"):
        wire.server_time_ms(b" " * (wire.BODY_BYTES_MAX + 1))


# -- each endpoint -----------------------------------------------------------------------------------------------------


def test_server_time() -> None:
    assert wire.server_time_ms(b'{"serverTime":1790133600027,"serverTime2":"2026-09-23T03:20:00.0268053+00:00"}') == (
        1790133600027
    )
    for wrong in (b'{"serverTime":0}', b'{"serverTime":null}', b'{"serverTime":99999999999999}', b"{}", b"[]"):
        with pytest.raises(WireError):
            wire.server_time_ms(wrong)


PAIR = {
    "id": 1,
    "name": "BTCTRY",
    "nameNormalized": "BTC_TRY",
    "status": "TRADING",
    "numerator": "BTC",
    "denominator": "TRY",
    "numeratorScale": 8,
    "denominatorScale": 2,
    "hasFraction": False,
    "filters": [{"filterType": "PRICE_FILTER", "tickSize": "10", "minExchangeValue": "99.91", "minAmount": None}],
    "orderMethods": ["MARKET", "LIMIT"],
    "maximumLimitOrderPrice": 37541350,
    "minimumLimitOrderPrice": 375413.5,
    "maximumOrderAmount": None,
}


def test_a_pair_without_fraction_takes_whole_prices_whatever_its_scale() -> None:
    made = wire.instruments(
        body(ok({"symbols": [PAIR, {**PAIR, "name": "ETHTRY", "numerator": "ETH", "hasFraction": True}]}))
    )
    assert made.skipped == 0
    btc, eth = made.instruments["BTCTRY"], made.instruments["ETHTRY"]
    assert (btc.price_scale, btc.quantity_scale, btc.value_min) == (0, 8, Decimal("99.91"))
    assert (btc.price_min, btc.price_max) == (Decimal("375413.5"), Decimal("37541350"))
    assert btc.is_trading
    assert btc.takes_limit_orders
    assert eth.price_scale == 2


def test_pairs_that_cannot_be_read_are_left_out_and_counted() -> None:
    bad = [
        {**PAIR, "name": "XXXTRY"},
        {**PAIR, "numeratorScale": -1},
        {**PAIR, "denominatorScale": 25},
        {**PAIR, "filters": []},
        {**PAIR, "maximumLimitOrderPrice": "NaN"},
        {**PAIR, "numeratorScale": "8"},
        17,
    ]
    made = wire.instruments(body(ok({"symbols": [*bad, PAIR, PAIR]})))
    assert list(made.instruments) == ["BTCTRY"]
    assert made.skipped == len(bad) + 1
    with pytest.raises(WireError, match="none of 7 pairs"):
        wire.instruments(body(ok({"symbols": bad})))


def test_status_and_methods_of_a_pair() -> None:
    made = wire.instruments(body(ok({"symbols": [{**PAIR, "status": "HALT", "orderMethods": ["MARKET"]}]})))
    assert not made.instruments["BTCTRY"].is_trading
    assert not made.instruments["BTCTRY"].takes_limit_orders


def book(bids: object, asks: object) -> bytes:
    return body({**ok({"timestamp": 1787525059089.0, "bids": bids, "asks": asks}), "code": "SUCCESS"})


def test_the_best_of_a_book_wherever_it_stands() -> None:
    quote = wire.order_book(
        book([["3712280", "0.03"], ["3712281", "0.038"]], [["3716002", "1"], ["3715990", "0.01663000"]]), "BTCTRY", 7
    )
    assert quote is not None
    assert (quote.bid, quote.bid_quantity) == (Decimal("3712281"), Decimal("0.038"))
    assert (quote.ask, quote.ask_quantity) == (Decimal("3715990"), Decimal("0.01663000"))
    assert (quote.venue_time_ms, quote.received_at_ms) == (1787525059089, 7)
    assert quote.is_sane


def test_crossed_and_negative_books_are_typed_but_not_sane() -> None:
    for bids, asks in (([["10", "1"]], [["9", "1"]]), ([["-1", "1"]], [["9", "1"]]), ([["0", "1"]], [["9", "1"]])):
        quote = wire.order_book(book(bids, asks), "BTCTRY", 7)
        assert quote is not None
        assert not quote.is_sane


def test_a_book_with_an_empty_side_is_no_quote() -> None:
    assert wire.order_book(book([], [["9", "1"]]), "BTCTRY", 7) is None
    assert wire.order_book(book([["9", "1"]], []), "BTCTRY", 7) is None


def test_tickers_by_symbol_with_unreadable_rows_left_out() -> None:
    row = {"pair": "BTCTRY", "timestamp": 1787525058187, "bid": 3712281, "ask": 3715990.5, "last": 1}
    made = wire.tickers(body(ok([row, {**row, "pair": "ETHTRY", "bid": None}, 3])), 7)
    assert list(made) == ["BTCTRY"]
    assert made["BTCTRY"].ask == Decimal("3715990.5")
    assert wire.tickers(body(ok([])), 7) == {}


def test_balances_with_dot_or_comma() -> None:
    row = {
        "asset": "TRY",
        "assetname": "Türk Lirası",
        "balance": "1",
        "locked": "4874,36",
        "free": "22349.3654565035348765",
    }
    held = wire.balances(body(ok([row, {"asset": "BTC", "free": "0", "locked": 0}])))
    assert held["TRY"].free == Decimal("22349.3654565035348765")
    assert held["TRY"].locked == Decimal("4874.36")
    assert held["BTC"].total == 0
    for bad in ([row, row], [{**row, "free": "-1"}], [{**row, "free": None}], [{"asset": "TRY", "free": "1"}]):
        with pytest.raises(WireError):
            wire.balances(body(ok(bad)))


def test_open_orders_on_both_sides_with_time_zero() -> None:
    sell = order_row(16060237, type="sell", time=0, status="Partial", leftAmount="0.4", orderClientId=None)
    buy = order_row(16071095, pairsymbol="btc_try", type="Buy", method="Limit", id="16071095")
    del buy["pairSymbol"]
    first, second = wire.open_orders(body(ok({"asks": [sell], "bids": [buy]})))
    assert (first.side, first.status, first.executed_quantity) == (Side.SELL, VenueOrderStatus.PARTIAL, Decimal("0.1"))
    assert first.client_order_id is None
    assert first.updated_at_ms == sell["updateTime"]
    assert (second.venue_order_id, second.symbol, second.side, second.method) == (
        "16071095",
        "BTCTRY",
        Side.BUY,
        "limit",
    )


@pytest.mark.parametrize(
    "change",
    [
        {"type": "sell"},
        {"type": "hold"},
        {"id": None},
        {"id": 0},
        {"id": "true"},
        {"leftAmount": None},
        {"leftAmount": "0.6"},
        {"amount": "-1"},
        {"pairSymbol": ""},
        {"price": "1e3"},
        {"updateTime": -1},
    ],
)
def test_one_unreadable_order_refuses_the_list(change: dict[str, object]) -> None:
    with pytest.raises(WireError):
        wire.open_orders(body(ok({"asks": [], "bids": [order_row(1), order_row(2, **change)]})))


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Closed", "Closed"),
        ("Filled", "Closed"),
        ("canceled", "Canceled"),
        ("PARTIAL", "Partial"),
        ("Rejected", "Other"),
    ],
)
def test_status_words(text: str, status: str) -> None:
    assert wire.all_orders(body(ok([order_row(1, status=text)])))[0].order.status == VenueOrderStatus(status)


def test_a_market_order_keeps_what_was_ordered() -> None:
    row = order_row(123, method="market", amount="0.1997491904775655", quantity="0.0000000000001288", leftAmount="0")
    listed = wire.all_orders(body(ok([row])))[0]
    assert listed.order.quantity == listed.order.executed_quantity == Decimal("0.1997491904775655")
    assert listed.placed_at_ms == row["time"]


def test_a_trade_is_exact_and_without_signs() -> None:
    raw = (
        b'{"success":true,"message":"SUCCESS","code":0,"data":[{"id":1181163798924649598,"timestamp":1663848223334,'
        b'"amount":"-0.3384","preciseAmount":-0.3384081100000001,"fee":"-0.06297817","tax":"-0.01133607",'
        b'"price":"122.00","numeratorSymbol":"ETHW","denominatorSymbol":"TRY","orderType":"sell",'
        b'"orderId":10938696222,"orderClientId":null}]}'
    )
    (trade,) = wire.trades(raw)
    assert trade.trade_id == "1181163798924649598"
    assert trade.quantity == Decimal("0.3384081100000001")
    assert (trade.fee, trade.tax) == (Decimal("0.06297817"), Decimal("0.01133607"))
    assert (trade.symbol, trade.side, trade.venue_order_id) == ("ETHWTRY", Side.SELL, "10938696222")


def test_a_trade_of_before_2022_has_only_the_rounded_amount() -> None:
    (trade,) = wire.trades(body(ok([trade_row(1, 1628690323897, orderType="sell", amount="-0.00040000")])))
    assert trade.quantity == Decimal("0.0004")


@pytest.mark.parametrize(
    "change",
    [
        {"amount": "0"},
        {"amount": "-1"},
        {"price": "0"},
        {"fee": None},
        {"id": ""},
        {"id": "a7"},
        {"orderType": "x"},
        {"timestamp": "x"},
    ],
)
def test_one_unreadable_trade_refuses_the_list(change: dict[str, object]) -> None:
    with pytest.raises(WireError):
        wire.trades(body(ok([trade_row(1, 5), trade_row(2, 6, **change)])))


def test_transfers_are_signed_and_numbered_by_list() -> None:
    out = {"balanceType": "withdrawal", "currencySymbol": "XLM", "id": 10279218, "timestamp": 1635329695617}
    (crypto,) = wire.transfers(body(ok([{**out, "amount": "-146.7576", "fee": "-0.02", "tax": "-0.01"}])), "crypto")
    assert (crypto.transfer_id, crypto.kind, crypto.amount) == (
        "crypto:10279218",
        TransferKind.WITHDRAWAL,
        Decimal("-146.7576"),
    )
    assert crypto.fee == Decimal("0.03")
    (fiat,) = wire.transfers(
        body(ok([{**out, "balanceType": "Deposit", "currencySymbol": "TRY", "amount": "480", "fee": None}])), "fiat"
    )
    assert (fiat.transfer_id, fiat.amount, fiat.fee) == ("fiat:10279218", Decimal(480), Decimal(0))


# -- the order body ----------------------------------------------------------------------------------------------------


def test_the_order_body_names_our_id_as_the_venue_reads_it() -> None:
    assert json.loads(wire.order_body(make_order(quantity=Decimal("1E-8"), price=Decimal("3712281.50")))) == {
        "quantity": "0.00000001",
        "price": "3712281.5",
        "newOrderClientId": "btcbot-test-19a-1",
        "orderMethod": "limit",
        "orderType": "buy",
        "pairSymbol": "BTCTRY",
    }


@pytest.mark.parametrize(
    "change",
    [
        {"quantity": Decimal("0")},
        {"quantity": Decimal("-1")},
        {"price": Decimal("NaN")},
        {"price": Decimal("1234567890123")},
        {"quantity": Decimal("0.00000000000000001")},
        {"client_order_id": "x" * 51},
        {"client_order_id": ""},
    ],
)
def test_an_order_that_the_venue_could_not_read_is_not_written(change: dict[str, object]) -> None:
    with pytest.raises(WireError):
        wire.order_body(make_order(**change))
