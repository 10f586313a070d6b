"""Frames as they were seen on the wire, and what is refused."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.unit.btcturk.feed_support import answer, diff, fill, frame, match, one_trade, snapshot, trades
from tests.unit.btcturk.support import NOW_MS, SECRET, signer

from btcbot.adapters.btcturk.feed_frames import (
    AccountFrame,
    Answer,
    BookDiff,
    BookSnapshot,
    Candle,
    Change,
    ChangeKind,
    Level,
    LoginAnswer,
    PublicTrade,
    SystemMessage,
    Ticker,
    Tickers,
    TradeList,
    Unknown,
    Welcome,
)
from btcbot.adapters.btcturk.feed_wire import FRAME_BYTES_MAX, FrameError, decode, join
from btcbot.domain.feed import AccountEventKind

RECORDINGS = Path(__file__).parents[4] / "shared" / "btcturk" / "fixtures" / "ws"


def refused(data: bytes | str) -> FrameError:
    with pytest.raises(FrameError) as caught:
        decode(data)
    assert str(caught.value).isprintable()
    return caught.value


# -- recordings --------------------------------------------------------------------------------------------------------


def recorded(name: str) -> list[bytes]:
    """The frames of one recording: one frame, a list of them, or some under names."""
    value = json.loads((RECORDINGS / f"{name}.json").read_text())
    frames = list(value.values()) if isinstance(value, dict) else [value] if isinstance(value[0], int) else value
    return [json.dumps(each).encode() for each in frames]


RECORDED: dict[str, list[Any]] = {
    "100_join_ok": [Answer(True, "join|obdiff:BTCUSDT")],
    "100_join_duplicate": [Answer(False, "join|obdiff:BTCUSDT")],
    "100_leave_ok": [Answer(True, "leave|obdiff:BTCUSDT")],
    "114_login_ok_2023": [LoginAnswer(True, "")],
    "401_ticker_all_first_item": [Tickers((Ticker("BTCTRY", Decimal(3913991), Decimal(3917599)),))],
    "402_ticker_adatry_2025": [Tickers((Ticker("ADATRY", Decimal("34.706"), Decimal("34.738")),))],
    "402_ticker_btctry_2026-08": [Tickers((Ticker("BTCTRY", Decimal(3779950), Decimal(3781912)),))],
    "402_ticker_btcusdt_2026-09": [Tickers((Ticker("BTCUSDT", Decimal(86689), Decimal(86699)),))],
    "421_trade_list_2026-08": [
        TradeList(
            "BTCTRY",
            (
                PublicTrade("100163842129199947", 1787692476996, Decimal(3765490), Decimal("0.01273188"), is_buy=False),
                PublicTrade(
                    "100163842129199948", 1787692476997, Decimal(3766459), Decimal("0.0061489328"), is_buy=True
                ),
            ),
            is_whole=True,
        )
    ],
    "423_user_trade_2024-10": [
        AccountFrame(423, AccountEventKind.FILL, "APEUSDT", "25327923517", "xxxxxx", "1149163839863900657")
    ],
    "431_obdiff_snapshot_btcusdt_2026-09_top3": [
        BookSnapshot(
            "BTCUSDT",
            3999242,
            (
                Level(Decimal(86699), Decimal("0.00288357")),
                Level(Decimal(86718), Decimal("0.06358459")),
                Level(Decimal(86719), Decimal("0.0092056")),
            ),
            (
                Level(Decimal(86689), Decimal("0.00863785")),
                Level(Decimal(86688), Decimal("0.02307124")),
                Level(Decimal(86684), Decimal("0.0230723")),
            ),
        )
    ],
    "431_orderbook_btctry_2026-08": [Unknown(431)],  # the other channel: its count is another one
    "441_user_order_match_2021-10_market": [
        AccountFrame(441, AccountEventKind.MATCH, "XLMTRY", "4957199062", "752529b2-b2fe-4e10-9c49-44380b871e51_2")
    ],
    "441_user_order_match_2022-04": [
        AccountFrame(441, AccountEventKind.MATCH, "DOTUSDT", "7968322274", "e3670027-694c-4318-abb8-74112b3bfe7c"),
        AccountFrame(441, AccountEventKind.MATCH, "DOTUSDT", "7968322274", "e3670027-694c-4318-abb8-74112b3bfe7c"),
    ],
    "451_order_insert": [
        AccountFrame(451, AccountEventKind.INSERTED, "DOTUSDT", "7968322274", "e3670027-694c-4318-abb8-74112b3bfe7c"),
        AccountFrame(451, AccountEventKind.INSERTED, "ARPAUSDT", "25338392433", "xxxxx"),
        AccountFrame(451, AccountEventKind.INSERTED, "HNTUSDT", "26947521557", "******"),
        AccountFrame(451, AccountEventKind.INSERTED, "XRPUSDT", "1048728402", None),
    ],
    "452_order_delete": [
        AccountFrame(452, AccountEventKind.DELETED, "ARPAUSDT", "25338392433", "xxxxx"),
        AccountFrame(452, AccountEventKind.DELETED, "HNTUSDT", "26947521557", "******"),
    ],
    "991_welcome": [Welcome("6.0.0", "2.3.0")],
}
#: What we send is compared below; the changes of 432 are compared with the recording's own text.
OTHERS = {"114_login_request_shape", "151_join_request", "432_obdiff_delta_ethusdt_2026-09"}

needs_recordings = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="no recordings beside the repository")


@needs_recordings
def test_every_recording_is_compared() -> None:
    assert {path.stem for path in RECORDINGS.glob("*.json")} == set(RECORDED) | OTHERS


@needs_recordings
@pytest.mark.parametrize("name", sorted(RECORDED))
def test_recordings(name: str) -> None:
    assert [decode(each) for each in recorded(name)] == RECORDED[name]


@needs_recordings
def test_recorded_changes_of_a_book() -> None:
    kinds = {0: ChangeKind.UPDATE, 1: ChangeKind.INSERT, 3: ChangeKind.DELETE}
    for each in recorded("432_obdiff_delta_ethusdt_2026-09"):
        body = json.loads(each)[1]
        sides = [
            tuple(Change(kinds[row["CP"]], Decimal(row["P"]), Decimal(row["A"])) for row in body[name])
            for name in ("AO", "BO")
        ]
        assert sum(map(len, sides)) >= 3
        assert decode(each) == BookDiff("ETHUSDT", body["CS"], *sides)


@needs_recordings
def test_what_is_sent_looks_as_recorded() -> None:
    (asked,) = recorded("151_join_request")
    assert json.loads(join("obdiff", "BTCUSDT", is_join=True)) == json.loads(asked)

    (shape,) = recorded("114_login_request_shape")
    number, body = json.loads(shape)
    made_number, made = json.loads(signer().login(1787692476996))
    assert made_number == number
    assert {**made, "publicKey": body["publicKey"], "signature": body["signature"]} == body
    assert list(made) == list(body)
    # The published vector for the key and secret of these tests and the nonce 3000.
    assert made["publicKey"] == "test-public-key"
    assert made["signature"] == "uLpuzhycwQqE+aC+WnmBoPSIyBrCPo4I0pyJyq6uF98="
    assert SECRET not in signer().login(NOW_MS)


# -- kinds without a recording -----------------------------------------------------------------------------------------


def test_what_was_never_recorded_is_read_as_documented() -> None:
    trade = PublicTrade("100000000000000007", NOW_MS + 7, Decimal(101), Decimal("0.01"), is_buy=True)
    assert decode(one_trade("BTCTRY", 7)) == TradeList("BTCTRY", (trade,), is_whole=False)
    as_number = json.loads(one_trade("BTCTRY", 7))
    as_number[1]["D"] = NOW_MS + 7
    assert decode(json.dumps(as_number)) == TradeList("BTCTRY", (trade,), is_whole=False)

    candle = {"D": 1787692440, "P": "BTCTRY", "R": 60, "O": "1", "H": "4", "L": "0.5", "C": "2", "V": "0"}
    made = decode(frame(428, candle))
    assert isinstance(made, Candle)
    assert (made.symbol, made.resolution, made.high, made.volume) == ("BTCTRY", "60", Decimal(4), Decimal(0))

    assert decode(frame(201, {"userId": 1, "payload": {"a": [1]}})) == AccountFrame(201, AccountEventKind.BALANCE)
    order = {"pairId": 1, "symbol": "BTCTRY", "id": 5, "method": 0, "userId": 1, "orderType": 0, "price": "1"}
    assert decode(frame(453, order)) == AccountFrame(453, AccountEventKind.UPDATED, "BTCTRY", "5")
    assert decode(frame(801, {"id": 1, "ok": True, "message": "a\nb"})) == SystemMessage(801, '"a\\nb"')
    assert decode(frame(114, {"ok": False, "message": "Invalid\nNonce"})) == LoginAnswer(False, "Invalid Nonce")


@pytest.mark.parametrize("number", [0, 2, 101, 111, 424, 999, 10**30])
def test_unknown_types_are_left_alone(number: int) -> None:
    assert decode(frame(number, {"CS": "whatever"})) == Unknown(number)


def test_unknown_fields_are_left_alone() -> None:
    value = json.loads(diff("BTCTRY", 5, asks=[(1, "101", "2")]))
    value[1]["checksum"] = "abc"
    value[1]["AO"][0]["N"] = {"deep": [1]}
    assert decode(json.dumps(value)) == BookDiff(
        "BTCTRY", 5, (Change(ChangeKind.INSERT, Decimal(101), Decimal(2)),), ()
    )


def test_prices_keep_every_digit() -> None:
    made = decode(snapshot("BTCTRY", 1, asks=[("0.1000000000000000055511", "12345678901234567890.123")]))
    assert isinstance(made, BookSnapshot)
    assert (str(made.asks[0].price), str(made.asks[0].quantity)) == (
        "0.1000000000000000055511",
        "12345678901234567890.123",
    )


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        *("NaN", "sNaN", "Infinity", "-Infinity", "1e5", "1E2", "", " 1", "1 ", "+1", "-1", ".5", "1.", "1_000", "0x1"),
        *("1,5", "1,2.5", "0", "0.000", "1.2.3", "\u0661", "\uff11", "9" * 26, "1." + "1" * 25, "1" + "0" * 24 + "1"),
    ],
)
@pytest.mark.parametrize("where", ["price", "amount"])
def test_what_is_not_plainly_a_positive_number_is_refused(text: str, where: str) -> None:
    pair = (text, "1") if where == "price" else ("1", text)
    for side in ({"asks": [(1, *pair)]}, {"bids": [(0, "7", "7"), (3, *pair)]}):
        error = refused(diff("BTCTRY", 5, **side))
        assert error.symbols == ("BTCTRY",)
        assert error.may_be_book
    refused(snapshot("BTCTRY", 5, asks=[("1", "1"), pair]))


@pytest.mark.parametrize(
    "changes",
    [
        {"CS": -1},
        {"CS": "5"},
        {"CS": 5.0},
        {"CS": True},
        {"CS": None},
        {"CS": 2**70},
        {"AO": None},
        {"AO": {}},
        {"AO": [[]]},
        {"AO": [{"CP": 2, "P": "1", "A": "1"}]},
        {"AO": [{"CP": "1", "P": "1", "A": "1"}]},
        {"AO": [{"CP": True, "P": "1", "A": "1"}]},
        {"AO": [{"CP": 1, "P": 1, "A": "1"}]},
        {"AO": [{"CP": 1, "P": "1"}]},
        {"AO": [{"CP": 1, "P": "1", "A": "1"}] * 2_001},
        {"channel": "orderbook"},
        {"event": "ETHTRY"},
    ],
)
def test_changes_of_a_book_that_are_not_such(changes: dict[str, object]) -> None:
    value = json.loads(diff("BTCTRY", 5, asks=[(1, "101", "2")]))
    value[1].update(changes)
    error = refused(json.dumps(value))
    assert error.may_be_book
    assert error.type == 432
    assert "BTCTRY" in error.symbols


@pytest.mark.parametrize(
    ("data", "number", "may_be_book"),
    [
        (b"", None, True),
        (b"{}", None, True),
        (b"[]", None, True),
        (b"[432]", None, True),
        (b'["432",{}]', None, True),
        (b"not json", None, True),
        (b'[432,{"CS":5,"PS":"BTC', 432, True),
        (b' [ 431 , {"CS":', 431, True),
        (b'[402,{"B":"1"', 402, False),
        (b"[441,[]]", 441, False),
        (b'[441,{"id":0,"symbol":"BTCTRY"}]', 441, False),
        (b'[441,{"id":5}]', 441, False),
        (b'[423,{"id":5,"orderId":6}]', 423, False),
        (b'[100,{"ok":"yes"}]', 100, False),
        (b'[991,{"current":"6 0","min":"x y"}]', 991, False),
        (b"[432,{}][432,{}]", 432, True),
        (b"\xff\xfe", None, True),
        (b"[" * 100_000, None, True),
        (b"[402," + b'{"a":' * 100_000, 402, False),
        (b"[432," + b" " * FRAME_BYTES_MAX + b"{}]", 432, True),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_frames_that_are_none(data: bytes | str, number: int | None, may_be_book: bool) -> None:
    error = refused(data)
    assert (error.type, error.may_be_book) == (number, may_be_book)


def test_a_frame_has_an_end() -> None:
    good = snapshot("BTCTRY", 1)
    assert isinstance(decode(good + b" " * (FRAME_BYTES_MAX - len(good))), BookSnapshot)
    assert refused(good + b" " * FRAME_BYTES_MAX).type == 431


def test_text_that_is_none_is_refused() -> None:
    assert refused("\ud800").may_be_book
    assert refused('[402,{"PS":"\ud800"}]').type == 402
    assert refused('[432,{"PS":"\ud800"}]').may_be_book


def test_the_pairs_that_a_broken_frame_names_are_told() -> None:
    assert refused(b'[432,{"PS":"BTCTRY","event":"ETHTRY","CS":1}]').symbols == ("BTCTRY", "ETHTRY")
    assert refused(b'[432,{"PS":"BTC TRY"}]').symbols == ()
    assert refused(b'[432,{"PS":5}]').symbols == ()


def test_a_client_id_that_cannot_be_ours_is_no_client_id() -> None:
    for odd in ("x" * 500, "a\nb"):
        made = decode(match(client_id=odd))
        assert isinstance(made, AccountFrame)
        assert (made.client_order_id, made.venue_order_id) == (None, "7968322274")


def test_text_and_bytes_are_the_same() -> None:
    for data in (snapshot("BTCTRY", 1), diff("BTCTRY", 2), answer("join|a:b"), fill(), trades("BTCTRY", [1, 2])):
        assert decode(data) == decode(data.decode())
