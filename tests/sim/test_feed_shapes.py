"""Every frame of the feed beside recorded ones: the same names, the same JSON types.

Not all are recorded: of 201, 422, 428, 453 and of a refused login nothing was at hand, so these are compared with the
frames they are variants of.
"""

import json
from decimal import Decimal

import pytest
from tests.sim.bench import SECRET, T0, Bench, ScriptedBars
from tests.sim.feed_client import FeedClient

from btcturk_sim.api import ApiOptions
from btcturk_sim.feed import frames
from btcturk_sim.feed.options import USER_EVENTS, FeedOptions
from btcturk_sim.limits import LimitsMode
from btcturk_sim.simulator import Simulator, SimulatorOptions, account

MOVING = {"BTCTRY": [("1000000", "1010000", "990000", "1005000", "8")] * 3}


@pytest.fixture
def recorded(recordings):
    """The recorded frames of a file, as a list; skips where the recordings are not at hand."""

    def read(name):
        payload = json.loads(
            (recordings.parent / "ws" / f"{name}.json").read_text(encoding="utf-8"), parse_float=Decimal
        )
        if isinstance(payload, dict):  # by year
            return [frame for year, frame in payload.items() if "old" not in year]
        return payload if isinstance(payload[0], list) else [payload]

    return read


@pytest.fixture(scope="module")
def played():
    """{(type, channel): [frames]} of a session in which everything was asked for and happened."""
    limits, feed = ApiOptions(limits=LimitsMode.parse("off")), FeedOptions(user_events=USER_EVENTS)
    accounts = [account("ALICE", SECRET, {"TRY": "100000", "BTC": "1"})]
    options = SimulatorOptions(api=limits, feed=feed)
    bench = Bench(Simulator(accounts=accounts, source=ScriptedBars(MOVING), now_ms=T0, options=options))
    client = FeedClient(bench)
    for channel, event in (("obdiff", "BTCTRY"), ("orderbook", "BTCTRY"), ("ticker", "BTCTRY"), ("ticker", "all"),
                           ("trade", "BTCTRY"), ("tradeview", "BTCTRY_60")):  # fmt: skip
        client.ask(151, channel=channel, event=event, join=True)
    client.ask(151, channel="obdiff", event="BTCTRY", join=True)
    client.ask(151, channel="obdiff", event="BTCTRY", join=False)
    client.ask(151, channel="obdiff", event="BTCTRY", join=True)
    answers = [client.log_in(), client.log_in(timestamp=None)]
    order = bench.place("buy", "0.01", "1000400")
    bench.order("sell", "0.004")
    bench.place("buy", "0.001", "990000")
    bench.cancel(order)
    client.wait(30_000)
    bench.simulator.feed.say("bakım", bench.now_ms)
    client.read()
    assert client.odd == []
    found = {(114, ""): [[114, body] for body in answers]}
    for kind, body, _ in client.inbox:
        assert body.get("type", kind) == kind
        found.setdefault((kind, body.get("channel", "")), []).append([kind, body])
    return found


def kind_of(value):
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return type(value).__name__
    if isinstance(value, int | Decimal):
        return "number"
    return type(value).__name__


def shape(value, path="$"):
    """{path: set of JSON types}; all rows of a list are taken together, a frame's two members are not."""
    found = {path: {kind_of(value)}}
    if isinstance(value, dict):
        children = [(f"{path}.{name}", child) for name, child in value.items()]
    elif isinstance(value, list):
        whole = path == "$"
        children = [(f"{path}[{place if whole else ''}]", child) for place, child in enumerate(value)]
    else:
        children = []
    for where, child in children:
        for deeper, kinds in shape(child, where).items():
            found.setdefault(deeper, set()).update(kinds)
    return found


def merged(frames_of_one_type):
    whole = {}
    for one in frames_of_one_type:
        for path, kinds in shape(one).items():
            whole.setdefault(path, set()).update(kinds)
    return whole


RECORDED = [
    ((991, ""), "991_welcome"),
    ((100, ""), "100_join_ok"),
    ((100, ""), "100_join_duplicate"),
    ((100, ""), "100_leave_ok"),
    ((401, "ticker"), "401_ticker_all_first_item"),
    ((402, "ticker"), "402_ticker_btctry_2026-08"),
    ((402, "ticker"), "402_ticker_btcusdt_2026-09"),
    ((402, "ticker"), "402_ticker_adatry_2025"),
    ((421, "trade"), "421_trade_list_2026-08"),
    ((431, "orderbook"), "431_orderbook_btctry_2026-08"),
    ((431, "obdiff"), "431_obdiff_snapshot_btcusdt_2026-09_top3"),
    ((432, "obdiff"), "432_obdiff_delta_ethusdt_2026-09"),
    ((423, ""), "423_user_trade_2024-10"),
    ((441, ""), "441_user_order_match_2022-04"),
    ((441, ""), "441_user_order_match_2021-10_market"),
    ((451, ""), "451_order_insert"),
    ((452, ""), "452_order_delete"),
]


@pytest.mark.parametrize(("ours", "name"), RECORDED, ids=[name for _, name in RECORDED])
def test_recorded_frames(played, recorded, ours, name):
    mine, theirs = merged(played[ours]), merged(recorded(name))
    assert mine == theirs


def test_answers_to_logins(played, recorded):
    accepted, refused = played[114, ""]
    assert shape(accepted) == merged(recorded("114_login_ok_2023"))
    assert shape(refused) == shape(accepted) | {"$[1].message": {"str"}}


@pytest.mark.parametrize("message", ["join", "leave"])
def test_answers_to_joins_word_for_word(recorded, message):
    for name, ok in ((f"100_{message}_ok", True), ("100_join_duplicate", False)):
        (theirs,) = recorded(name)
        assert json.loads(frames.result(theirs[1]["message"], ok=ok)) == theirs


def test_the_greeting_word_for_word(recorded):
    assert [json.loads(frames.WELCOME_TEXT)] == recorded("991_welcome")


def test_frames_that_were_never_recorded(played):
    """They have the names of the lists they belong to, and what the documents add."""
    (trade, *_), (listed, *_) = played[422, "trade"], played[421, "trade"]
    assert trade[1].keys() == {*listed[1]["items"][0], "PS", "channel", "event", "type"}
    (update, *_), (insert, *_) = played[453, ""], played[451, ""]
    assert update[1].keys() == insert[1].keys() - {"newOrderClientId"}
    assert set(played[428, "tradeview"][0][1]) == {*"DPROHLCV", "channel", "event", "type"}
    assert set(played[201, ""][0][1]) == {"type", "userId", "payload"}
    assert set(played[801, ""][0][1]) == {"type", "id", "ok", "message"}


def test_every_type_that_can_be_sent_was_played(played):
    """802, the end of a login, has the form of 801 and a test of its own."""
    assert {kind for kind, _ in played} == {100, 114, 201, 401, 402, 421, 422, 423, 428, 431, 432, 441, 451, 452, 453,
                                            801, 991}  # fmt: skip


def test_requests_as_they_were_recorded_are_understood(bench, recorded):
    client = FeedClient(bench)
    ((kind, body),) = recorded("151_join_request")
    client.ask(kind, **{name: value for name, value in body.items() if name != "type"} | {"event": "BTCTRY"})
    assert client.pop(100)[0]["ok"] is True
    ((kind, body),) = recorded("114_login_request_shape")
    client.ask(kind, **{name: value for name, value in body.items() if name != "type"})
    assert client.pop(114)[0]["ok"] is False
    assert client.session.tally.ignored == 0
