"""The client against a venue that is a function: what is sent, how often, and what becomes of each answer."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from tests.unit.btcturk.support import (
    CLIENT_ID,
    KEY,
    NOW_MS,
    SECRET,
    Call,
    Rig,
    make_order,
    make_permit,
    no,
    ok,
    order_row,
    signer,
    trade_row,
)
from tests.unit.btcturk.test_wire import PAIR

from btcbot.adapters.btcturk import wire
from btcbot.adapters.btcturk.requester import Timing
from btcbot.adapters.btcturk.rest import BtcturkHttpClient
from btcbot.adapters.btcturk.transport import BodyUnreadable, read_body
from btcbot.domain.intents import Side
from btcbot.domain.outcomes import Accepted, CancelRequested, InDoubt, NotSent, Refused
from btcbot.domain.permit import PermitScope, WriteKind
from btcbot.errors import ConfigurationError, InvariantBroken, StoreFailed, VenueUnavailable

PLACED = ok({"id": 77, "newOrderClientId": CLIENT_ID}, httpStatusCode=200)
CANCELLED = {"success": True, "message": "SUCCESS", "code": 0}
RATE = (429, no("TOO_MANY_REQUESTS", 429))
NONCE = (401, {"success": True, "message": "Unauthorized - Invalid Nonce", "code": 1037})


def after(*answers: Any) -> Callable[[Call], Any]:
    """Give these one after the other, the last one for ever."""
    left = list(answers)

    def reply(call: Call) -> Any:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return reply


# -- what is sent ------------------------------------------------------------------------------------------------------


def test_a_private_read_is_signed_with_venue_time() -> None:
    rig = Rig(lambda call: ok([{"asset": "TRY", "free": "1", "locked": "0"}]))
    rig.venue.skew_ms = 1_234
    snapshot = rig.client.balances()
    assert snapshot.free("TRY") == 1
    assert (snapshot.asked_at_ms, snapshot.received_at_ms) == (NOW_MS, NOW_MS)
    (call,) = rig.calls
    stamp = call.headers["x-stamp"]
    assert int(stamp) == NOW_MS + 1_234
    assert call.headers["x-pck"] == KEY
    assert call.headers["x-signature"] == signer().signature(int(stamp))
    assert call.headers["content-type"] == "application/json"
    assert call.headers["accept-encoding"] == "gzip"
    assert rig.client.health().clock_skew_ms == 1_234
    assert rig.metrics.gauges


def test_public_reads_carry_no_key_and_need_none() -> None:
    rig = Rig(
        lambda call: {**ok({"timestamp": NOW_MS, "bids": [["1", "2"]], "asks": [["3", "4"]]}), "code": "SUCCESS"},
        has_key=False,
    )
    assert rig.client.quotes(["BTCTRY"])["BTCTRY"].bid == 1
    assert "x-pck" not in rig.calls[0].headers
    assert rig.calls[0].params == {"pairSymbol": "BTCTRY", "limit": "5"}


def test_without_a_key_nothing_private_is_asked() -> None:
    rig = Rig(has_key=False)
    for ask in (
        rig.client.balances,
        rig.client.open_orders,
        rig.client.take_stamp,
        lambda: rig.client.trades(0),
        lambda: rig.client.all_orders("BTCTRY", 0),
    ):
        with pytest.raises(VenueUnavailable, match="no API key"):
            ask()
    assert rig.cancel() == NotSent(why="there is no API key")
    assert rig.calls == []


def test_every_request_has_its_own_stamp_greater_than_the_last() -> None:
    rig = Rig(after(httpx2.ReadTimeout("x"), (502, "no"), ok([])))
    rig.client.balances()
    rig.client.balances()
    stamps = [int(call.headers["x-stamp"]) for call in rig.calls]
    assert len(stamps) == 4
    assert sorted(set(stamps)) == stamps
    assert rig.marks[-1] >= stamps[-1]


def test_an_order_is_sent_once_as_documented() -> None:
    rig = Rig(lambda call: PLACED)
    assert rig.submit() == Accepted(venue_order_id="77")
    (call,) = rig.calls
    assert (call.method, call.path, call.params) == ("POST", "/api/v1/order", {})
    assert json.loads(call.body) == {
        "quantity": "0.0001",
        "price": "3712281",
        "newOrderClientId": CLIENT_ID,
        "orderMethod": "limit",
        "orderType": "buy",
        "pairSymbol": "BTCTRY",
    }
    assert call.headers["content-type"] == "application/json"
    assert int(call.headers["x-stamp"]) == NOW_MS
    assert rig.metrics.counters


def test_a_cancellation_names_the_venues_id_in_the_query() -> None:
    rig = Rig(lambda call: CANCELLED)
    assert rig.cancel() == CancelRequested()
    (call,) = rig.calls
    assert (call.method, call.path, call.params, call.body) == ("DELETE", "/api/v1/order", {"id": "77"}, b"")


def test_a_cancellation_without_the_venues_id_looks_it_up() -> None:
    row = order_row(5, orderClientId=CLIENT_ID)
    others = [order_row(6), order_row(7, orderClientId=CLIENT_ID, type="sell")]

    def reply(call: Call) -> Any:
        return CANCELLED if call.method == "DELETE" else ok({"asks": others[1:], "bids": [row, others[0]]})

    rig = Rig(reply)
    assert rig.cancel(venue_order_id=None) == CancelRequested()
    assert [(call.method, call.params) for call in rig.calls] == [
        ("GET", {"pairSymbol": "BTCTRY"}),
        ("DELETE", {"id": "5"}),
    ]
    missing = Rig(lambda call: ok({"asks": [], "bids": []}))
    assert isinstance(missing.cancel(venue_order_id=None), NotSent)
    double = Rig(lambda call: ok({"asks": [], "bids": [row, {**row, "id": 8}]}))
    assert isinstance(double.cancel(venue_order_id=None), NotSent)
    failing = Rig(lambda call: (503, "x"))
    assert isinstance(failing.cancel(venue_order_id=None), NotSent)
    assert all(call.method == "GET" for each in (missing, double, failing) for call in each.calls)


def test_a_permit_that_ran_out_during_the_look_up_is_not_used() -> None:
    rig = Rig()

    def reply(call: Call) -> Any:
        rig.clock.pass_ms(1_500)
        return ok({"asks": [], "bids": [order_row(5, orderClientId=CLIENT_ID)]})

    rig.venue.reply = reply
    assert isinstance(rig.cancel(venue_order_id=None), NotSent)
    assert [call.method for call in rig.calls] == ["GET"]


# -- writes: once, and never an exception ------------------------------------------------------------------------------

ANSWERS: list[tuple[Any, type]] = [
    (httpx2.ConnectError("refused"), NotSent),
    (httpx2.ConnectTimeout("slow"), NotSent),
    (httpx2.ReadTimeout("slow"), InDoubt),
    (httpx2.WriteTimeout("slow"), InDoubt),
    (httpx2.ReadError("reset"), InDoubt),
    (httpx2.WriteError("reset"), InDoubt),
    (httpx2.RemoteProtocolError("closed"), InDoubt),
    (httpx2.PoolTimeout("?"), InDoubt),
    ((500, no("INTERNAL_ERROR", 500)), InDoubt),
    ((503, "x"), InDoubt),
    (httpx2.Response(502, text="<html>"), InDoubt),
    (httpx2.Response(302, headers={"location": "https://elsewhere.example/"}), InDoubt),
    (httpx2.Response(200, content=b"x" * (wire.BODY_BYTES_MAX + 1)), InDoubt),
    (httpx2.Response(200, content=b"\x1f\x8b rubbish"), InDoubt),
    (httpx2.Response(200, text=""), InDoubt),
    (NONCE, Refused),
    (RATE, Refused),
]


@pytest.mark.parametrize(("answer", "expected"), [*ANSWERS, ((400, no("BALANCE_NOT_ENOUGH", 1055)), Refused)])
def test_a_submit_is_one_request_whatever_comes_back(answer: Any, expected: type) -> None:
    rig = Rig(after(answer))
    assert isinstance(rig.submit(), expected)
    assert len(rig.calls) == 1


@pytest.mark.parametrize(("answer", "expected"), [*ANSWERS, ((400, no("ORDER_CANCEL_BLOCKED", 9)), Refused)])
def test_a_cancel_is_one_request_whatever_comes_back(answer: Any, expected: type) -> None:
    rig = Rig(after(answer))
    assert isinstance(rig.cancel(), expected)
    assert len(rig.calls) == 1


@pytest.mark.parametrize("age_ms", [1_001, -1])
def test_a_permit_that_is_not_for_now_sends_nothing_and_is_no_fault(age_ms: int) -> None:
    """A machine that slept between the gates and the request: ask again, do not halt."""
    rig = Rig(lambda call: PLACED)
    stamp_ms = rig.client.take_stamp()
    asked = len(rig.calls)
    permit = make_permit(WriteKind.SUBMIT, CLIENT_ID, rig.clock.mono_ns // 1_000_000 - age_ms)
    made = rig.client.submit(make_order(stamp_ms=stamp_ms), permit)
    assert isinstance(made, NotSent)
    assert len(rig.calls) == asked


def test_a_write_needs_its_permit() -> None:
    rig = Rig(lambda call: PLACED)
    now_ms = rig.clock.mono_ns // 1_000_000
    wrong = [
        make_permit(WriteKind.CANCEL, CLIENT_ID, now_ms),
        make_permit(WriteKind.SUBMIT, "btcbot-other-1-1", now_ms),
        make_permit(WriteKind.SUBMIT, CLIENT_ID, now_ms, PermitScope.SIMULATION),
    ]
    for permit in wrong:
        stamp_ms = rig.client.take_stamp()
        with pytest.raises(InvariantBroken, match="I6"):
            rig.client.submit(make_order(stamp_ms=stamp_ms), permit)
    with pytest.raises(InvariantBroken, match="I6"):
        rig.client.cancel(make_order(venue_order_id="7"), rig.permit(WriteKind.SUBMIT))
    assert rig.calls == []


def test_a_foreign_order_is_never_written() -> None:
    rig = Rig(lambda call: CANCELLED)
    with pytest.raises(InvariantBroken, match="I16"):
        rig.client.cancel(
            make_order(client_order_id="theirs", venue_order_id="7"), rig.permit(WriteKind.CANCEL, "theirs")
        )
    assert rig.calls == []


def test_a_submit_demands_the_stamp_taken_last_and_only_once() -> None:
    rig = Rig(lambda call: PLACED if call.method == "POST" else ok([]))
    first = rig.client.take_stamp()
    second = rig.client.take_stamp()
    with pytest.raises(InvariantBroken, match="I11"):
        rig.client.submit(make_order(stamp_ms=first), rig.permit())
    third = rig.client.take_stamp()
    assert first < second < third
    order = make_order(stamp_ms=third)
    assert isinstance(rig.client.submit(order, rig.permit()), Accepted)
    with pytest.raises(InvariantBroken, match="I11"):  # the same row again
        rig.client.submit(order, rig.permit())
    fourth = rig.client.take_stamp()
    rig.client.balances()  # signs with a greater stamp
    with pytest.raises(InvariantBroken, match="I11"):
        rig.client.submit(make_order(stamp_ms=fourth), rig.permit())
    assert [call.method for call in rig.calls] == ["POST", "GET"]


def test_an_old_stamp_and_an_order_that_cannot_be_written_are_not_sent() -> None:
    rig = Rig(lambda call: PLACED)
    stamp_ms = rig.client.take_stamp()
    rig.clock.pass_ms(2_500)
    assert isinstance(rig.client.submit(make_order(stamp_ms=stamp_ms), rig.permit()), NotSent)
    assert isinstance(rig.submit(quantity=Decimal("1E-17")), NotSent)
    assert rig.calls == []


def test_a_failing_store_keeps_a_cancellation_back() -> None:
    def fail(mark: int) -> None:
        raise StoreFailed("disk full")

    rig = Rig(lambda call: CANCELLED, save_mark=fail)
    assert rig.cancel() == NotSent(why="before it could be sent: disk full")
    with pytest.raises(StoreFailed):
        rig.client.take_stamp()
    assert rig.calls == []


def test_writes_keep_to_our_own_limits_without_waiting() -> None:
    rig = Rig(lambda call: PLACED)
    made = [rig.submit() for _ in range(12)]
    assert [type(each) for each in made] == [Accepted] * 9 + [NotSent] * 3
    assert len(rig.calls) == 9
    assert rig.clock.slept == []
    rig.clock.pass_ms(1_100)
    assert isinstance(rig.submit(), Accepted)


def test_a_limiters_no_closes_the_endpoint_for_writes_too() -> None:
    rig = Rig(after(httpx2.Response(429, json=RATE[1], headers={"retry-after": "30"}), PLACED))
    refused = rig.submit()
    assert isinstance(refused, Refused)
    assert refused.retry_after_s == 30
    assert isinstance(rig.submit(), NotSent)
    assert rig.client.health().endpoints_closed == ("submit",)
    rig.clock.pass_ms(30_000)
    assert isinstance(rig.submit(), Accepted)
    assert rig.client.health().endpoints_closed == ()
    assert len(rig.calls) == 2


def test_an_endpoint_that_nobody_asks_again_is_not_told_as_closed_for_ever() -> None:
    """What used to happen: one 429 to the last order of the day, and an alert called again and again all night."""
    rig = Rig(after(httpx2.Response(429, json=RATE[1], headers={"retry-after": "30"}), PLACED))
    rig.submit()

    def told() -> float:
        rig.client.health()
        return rig.metrics.value("btcbot_breaker_open", endpoint="submit")

    assert told() == 1
    rig.clock.pass_ms(60_000)
    assert told() == 1  # a venue that goes on refusing is asked again within a minute, and goes on being told
    rig.clock.pass_ms(30_000)
    assert told() == 0


# -- reads: repeated within bounds -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble",
    [
        httpx2.ConnectError("x"),
        httpx2.ReadTimeout("x"),
        httpx2.RemoteProtocolError("x"),
        (500, no("INTERNAL_ERROR", "INTERNAL_ERROR")),
        httpx2.Response(502, text="<html>"),
        httpx2.Response(200, text="<html>"),
        httpx2.Response(200, content=b"\xef\xbb\xbf{}"),
        (200, ok(None)),
    ],
)
def test_trouble_is_tried_again_and_then_told(trouble: Any) -> None:
    rig = Rig(after(trouble, trouble, ok([])))
    assert rig.client.balances().balances == {}
    assert len(rig.calls) == 3
    rig = Rig(after(trouble))
    with pytest.raises(VenueUnavailable):
        rig.client.balances()
    assert len(rig.calls) == 3
    assert rig.clock.slept == [0.25, 0.5]


@pytest.mark.parametrize(
    "refusal",
    [
        (400, no("INVALID_REQUEST_ERROR", 1037)),
        (200, no("INVALID_REQUEST_ERROR", 1037)),
        (404, "x"),
        httpx2.Response(302, headers={"location": "https://elsewhere.example/"}),
        NONCE,
    ],
)
def test_a_refusal_is_not_tried_again(refusal: Any) -> None:
    rig = Rig(after(refusal))
    with pytest.raises(VenueUnavailable):
        rig.client.balances()
    assert len(rig.calls) == 1
    assert {call.host for call in rig.calls} == {"api.btcturk.com"}


def test_a_short_retry_after_is_waited_for_and_a_long_one_closes() -> None:
    rig = Rig(after(httpx2.Response(429, json=RATE[1], headers={"retry-after": "2"}), ok([])))
    rig.client.balances()
    assert sum(rig.clock.slept) >= 2
    rig = Rig(after(httpx2.Response(429, json=RATE[1], headers={"retry-after": "30"}), ok([])))
    for _ in range(2):
        with pytest.raises(VenueUnavailable) as caught:
            rig.client.balances()
        assert caught.value.retry_after_s == 30
    assert len(rig.calls) == 1
    assert rig.clock.slept == []
    assert rig.client.health().endpoints_closed == ("balances",)
    rig.clock.pass_ms(30_000)
    rig.client.balances()


def test_maintenance_with_a_time_is_left_alone() -> None:
    rig = Rig(after(httpx2.Response(503, text="maintenance", headers={"retry-after": "600"})))
    for _ in range(3):
        with pytest.raises(VenueUnavailable):
            rig.client.balances()
    assert len(rig.calls) == 1


def test_our_own_limit_is_waited_for_a_little_and_told_beyond() -> None:
    rig = Rig(lambda call: ok([]))
    for _ in range(108):
        rig.client.balances()
    with pytest.raises(VenueUnavailable, match=r"in 60\.\d s") as caught:
        rig.client.balances()
    assert caught.value.retry_after_s is not None
    rig.clock.pass_ms(57_000)
    rig.client.balances()
    assert 0 < sum(rig.clock.slept) <= 3.1
    assert len(rig.calls) == 109


def test_asked_to_stop_it_waits_no_more() -> None:
    rig = Rig(after(httpx2.ReadTimeout("x"), ok([])))
    rig.stop.set()
    with pytest.raises(VenueUnavailable):
        rig.client.balances()
    assert len(rig.calls) == 1
    assert rig.client.balances().balances == {}  # one that needs no waiting still works, to clean up


def test_after_five_unauthorised_answers_no_private_request_leaves() -> None:
    rig = Rig(lambda call: NONCE if call.path.startswith("/api/v1") else ok([]))
    for _ in range(9):
        with pytest.raises(VenueUnavailable):
            rig.client.balances()
    assert len(rig.calls) == 5
    assert rig.client.health().unauthorized_in_a_row > 5
    with pytest.raises(VenueUnavailable, match="5 times in a row"):
        rig.client.take_stamp()
    assert isinstance(rig.cancel(), NotSent)
    assert len(rig.calls) == 5
    assert rig.client.quotes(["A1", "A2", "A3", "A4", "A5", "A6"]) == {}  # public data still flows


def test_an_accepted_request_ends_the_row() -> None:
    answers: list[Any] = [NONCE] * 4 + [(400, no("NO_ORDER_MATCHES_YOUR_REQUEST", 1052))] + [NONCE] * 4 + [ok([])]
    rig = Rig(after(*answers))
    for each in answers:
        if each is answers[4]:
            assert rig.client.order("5") is None
        elif each is NONCE:
            with pytest.raises(VenueUnavailable):
                rig.client.balances()
        else:
            rig.client.balances()
    assert rig.client.health().unauthorized_in_a_row == 0
    assert len(rig.calls) == 10


def test_a_stamp_out_of_time_has_the_clock_measured_again() -> None:
    rig = Rig(after(NONCE, ok([])))
    with pytest.raises(VenueUnavailable):
        rig.client.balances()
    before = rig.venue.time_calls
    rig.client.balances()
    assert rig.venue.time_calls > before


def test_no_private_request_without_the_venues_time() -> None:
    rig = Rig()
    rig.venue.reply_time = lambda call: httpx2.Response(200, text="soon")
    for ask in (rig.client.balances, rig.client.take_stamp, rig.client.venue_time_ms):
        with pytest.raises(VenueUnavailable):
            ask()
    assert rig.calls == []
    assert rig.client.health().clock_skew_ms is None


# -- each read ---------------------------------------------------------------------------------------------------------


def test_pairs_are_kept_for_their_time() -> None:
    rig = Rig(lambda call: ok({"symbols": [PAIR, 5]}))
    assert list(rig.client.instruments()) == ["BTCTRY"]
    rig.client.instruments()
    assert len(rig.calls) == 1
    assert rig.log.entries[0]["event"] == "pairs_unreadable"
    rig.clock.pass_ms(300_000)
    rig.client.instruments()
    assert len(rig.calls) == 2


def test_books_for_few_symbols_one_ticker_for_many() -> None:
    def reply(call: Call) -> Any:
        if call.path == "/api/v2/ticker":
            return ok([{"pair": f"A{n}TRY", "timestamp": NOW_MS, "bid": 1, "ask": 2} for n in range(9)])
        if call.params["pairSymbol"] == "A1TRY":
            return 400, no("Pair A1TRY does not exists.", 1037)
        return ok(
            {"timestamp": NOW_MS, "bids": [["1", "2"]], "asks": [["3", "4"]] * (call.params["pairSymbol"] != "A2TRY")}
        )

    rig = Rig(reply)
    assert list(rig.client.quotes(["A0TRY", "A1TRY", "A2TRY"])) == ["A0TRY"]
    assert len(rig.calls) == 3
    assert list(rig.client.quotes([f"A{n}TRY" for n in range(6)])) == [f"A{n}TRY" for n in range(6)]
    assert len(rig.calls) == 4
    with pytest.raises(VenueUnavailable):  # not one readable: that is trouble, not an empty market
        rig.client.quotes(["A1TRY"])


def test_when_the_network_is_gone_the_other_books_are_not_asked() -> None:
    rig = Rig(after(httpx2.ReadTimeout("x")))
    with pytest.raises(VenueUnavailable):
        rig.client.quotes(["A0TRY", "A1TRY", "A2TRY"])
    assert {call.params["pairSymbol"] for call in rig.calls} == {"A0TRY"}


def test_open_orders_of_the_account_or_pair_by_pair() -> None:
    rows = ok({"asks": [], "bids": [order_row(1)]})
    rig = Rig(lambda call: rows, symbols=lambda: ["BTCTRY", "ETHTRY"])
    assert len(rig.client.open_orders()) == 1
    assert rig.calls[0].params == {}

    def reply(call: Call) -> Any:
        return rows if call.params else (400, no("INVALID_REQUEST_ERROR", 1037))

    rig = Rig(reply, symbols=lambda: ["BTCTRY", "ETHTRY"])
    rig.client.open_orders()
    rig.client.open_orders()
    assert [call.params.get("pairSymbol") for call in rig.calls] == [None, "BTCTRY", "ETHTRY", "BTCTRY", "ETHTRY"]


@pytest.mark.parametrize("is_listed", [False, True])
def test_pair_by_pair_a_pair_that_is_listed_no_more_has_no_open_orders(is_listed: bool) -> None:
    def reply(call: Call) -> Any:
        if call.path.endswith("exchangeinfo"):
            names = ("BTCTRY", "ETHTRY") if is_listed else ("BTCTRY",)
            return ok({"symbols": [{**PAIR, "name": name, "numerator": name[:3]} for name in names]})
        if call.params.get("pairSymbol") == "BTCTRY":
            return ok({"asks": [], "bids": [order_row(1)]})
        return 400, no("INVALID_REQUEST_ERROR", 1037)

    rig = Rig(reply, symbols=lambda: ["BTCTRY", "ETHTRY"])
    rig.client.instruments()
    if is_listed:
        with pytest.raises(VenueUnavailable):
            rig.client.open_orders()
    else:
        assert [order.symbol for order in rig.client.open_orders()] == ["BTCTRY"]


def test_all_orders_are_asked_in_seconds_and_whole() -> None:
    rows = [order_row(n + 1, time=NOW_MS - n * 1_000) for n in range(120)]

    def reply(call: Call) -> Any:
        page = int(call.params.get("page", "1"))
        until_s = int(call.params.get("endTime", "9999999999"))
        inside = [row for row in rows if int(str(row["time"])) <= until_s * 1000]
        return ok(inside[(page - 1) * 50 : page * 50])

    rig = Rig(reply)
    assert len(rig.client.all_orders("BTCTRY", NOW_MS - 86_400_000)) == 120
    assert rig.calls[0].params == {
        "pairSymbol": "BTCTRY",
        "startTime": str((NOW_MS - 86_400_000) // 1000),
        "limit": "1000",
    }
    assert len({call.headers["x-stamp"] for call in rig.calls}) == len(rig.calls)


def test_all_orders_of_a_venue_that_knows_pages_and_no_times() -> None:
    rows = [order_row(n + 1, time=NOW_MS) for n in range(120)]

    def reply(call: Call) -> Any:
        page = int(call.params.get("page", "1"))
        return ok(rows[(page - 1) * 50 : page * 50]) if page <= 3 else (400, no("INVALID_REQUEST_ERROR", 1037))

    assert len(Rig(reply).client.all_orders("BTCTRY", 0)) == 120


def test_one_order() -> None:
    rig = Rig(lambda call: ok(order_row(7)))
    found = rig.client.order("7")
    assert found is not None
    assert found.side is Side.BUY
    assert rig.calls[0].path == "/api/v1/order/7"
    with pytest.raises(VenueUnavailable, match="another order"):
        rig.client.order("8")
    assert Rig(lambda call: (400, no("NO_ORDER_MATCHES_YOUR_REQUEST", 1052))).client.order("7") is None
    for said in ((404, ""), (400, no("INVALID_REQUEST_ERROR", 1037)), (200, ok(None)), (400, no("X", 1052))):
        with pytest.raises(VenueUnavailable):
            Rig(after(said)).client.order("7")


def test_trades_beyond_the_cap_are_paged_by_time() -> None:
    rows = [trade_row(n, NOW_MS - n * 700) for n in range(450)]

    def reply(call: Call) -> Any:
        if "orderId" in call.params:
            assert set(call.params) == {"orderId"}  # it cannot be combined
            return ok(rows[:200])
        start, end = int(call.params["startDate"]), int(call.params["endDate"])
        return ok([row for row in rows if start <= int(str(row["timestamp"])) <= end][:200])

    rig = Rig(reply)
    assert len(rig.client.trades(NOW_MS - 86_400_000)) == 450
    assert len(rig.client.trades_of("9")) == 450
    assert rig.client.trades_of("10") == []


def test_an_account_where_thousands_were_traded_meanwhile_is_caught_up_with() -> None:
    """What used to happen: each cycle began anew and gave up at the same place, and nothing was traded any more."""
    since_ms = NOW_MS - 7 * 86_400_000
    rows = [trade_row(n, since_ms + n * 60_000) for n in range(8_000)]

    def reply(call: Any) -> Any:
        first, last = (int(call.params[name]) for name in ("startDate", "endDate"))
        return ok([row for row in rows if first <= row["timestamp"] <= last][-200:])

    rig = Rig(reply)
    with pytest.raises(VenueUnavailable, match=r"did not end within 60 requests; [0-9]{4} trades are read"):
        rig.client.trades(since_ms)
    rig.clock.pass_ms(61_000)
    assert len(rig.client.trades(since_ms)) == 8_000
    before = len(rig.calls)
    rig.clock.pass_ms(61_000)
    assert len(rig.client.trades(NOW_MS)) == 0  # the next list is another one
    assert len(rig.calls) == before + 1


def test_transfers_of_both_lists() -> None:
    row = {"balanceType": "deposit", "currencySymbol": "TRY", "id": 3, "timestamp": 5, "amount": "480"}
    rig = Rig(lambda call: ok([row]))
    assert [each.transfer_id for each in rig.client.transfers(NOW_MS - 5)] == ["crypto:3", "fiat:3"]
    assert [call.path.rsplit("/", 1)[1] for call in rig.calls] == ["crypto", "fiat"]
    assert rig.calls[0].params["startDate"] == str(NOW_MS - 5)


def test_gzip_is_read_and_its_bombs_are_not() -> None:
    packed = gzip.compress(json.dumps(ok([])).encode())
    gzipped = {"content-encoding": "gzip"}
    rig = Rig(lambda call: httpx2.Response(200, stream=httpx2.ByteStream(packed), headers=gzipped))
    assert rig.client.balances().balances == {}
    bomb = gzip.compress(b" " * 100_000_000)
    with pytest.raises(BodyUnreadable, match="unpacked"):
        read_body(httpx2.Response(200, stream=httpx2.ByteStream(bomb), headers=gzipped), wire.BODY_BYTES_MAX)
    for body in (bomb, packed[:-4], packed + b"x", b"plain"):
        rig = Rig(lambda call, b=body: httpx2.Response(200, stream=httpx2.ByteStream(b), headers=gzipped))
        with pytest.raises(VenueUnavailable):
            rig.client.balances()


# -- security ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "base_url",
    [
        "http://api.btcturk.com",
        "https://api.btcturk.com.evil.example",
        "https://evil.example/",
        "https://api.btcturk.com@evil.example",
        "https://user:pass@api.btcturk.com",
        "https://api.btcturk.com/path",
        "https://api.btcturk.com:8443",
        "https://api.btcturk.com?x",
        "ftp://127.0.0.1",
        "http://127.0.0.1.evil.example",
        "http://10.0.0.1",
        "http://localhost:99999",
        "",
    ],
)
def test_the_host_is_pinned(base_url: str) -> None:
    with pytest.raises(ConfigurationError):
        Rig(base_url=base_url)


@pytest.mark.parametrize(
    "base_url",
    [
        "https://api.btcturk.com",
        "https://api.btcturk.com/",
        "http://127.0.0.1:8080",
        "http://[::1]:9",
        "http://localhost",
    ],
)
def test_the_venue_and_this_machine_are_allowed(base_url: str) -> None:
    assert Rig(lambda call: ok([]), base_url=base_url).client.balances().balances == {}


def test_no_key_signature_or_secret_is_logged_or_told() -> None:
    rig = Rig(after(NONCE, httpx2.LocalProtocolError("Illegal header value"), RATE, (500, "x")))
    told: list[str] = []
    for _ in range(4):
        try:
            rig.client.balances()
        except VenueUnavailable as error:
            told.append(repr(error))
    signatures = [call.headers["x-signature"] for call in rig.calls]
    everything = repr(rig.log.entries) + repr(told) + repr(vars(rig.client))
    assert signatures
    for secret in (KEY, SECRET, *signatures):
        assert secret not in everything


def test_a_key_demands_that_its_mark_is_kept() -> None:
    with pytest.raises(AssertionError, match="mark"):
        Rig(load_mark=None)


def test_closing_twice_harms_nothing() -> None:
    rig = Rig()
    rig.client.close()
    rig.client.close()


def test_timing_is_what_was_settled() -> None:
    timing = Timing()
    assert (timing.read_s, timing.write_s) == (8.0, 4.0)
    assert BtcturkHttpClient.__doc__ is not None
