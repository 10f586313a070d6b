"""The catalogue of faults against what is built: nothing that the bot does to the world is without its faults."""

from __future__ import annotations

import importlib.util
from importlib import import_module
from pathlib import Path

import pytest

from btcbot.adapters.btcturk.limits import Endpoint
from btcbot.testing.absent import ABSENT, Absent
from btcbot.testing.chance import place_of
from btcbot.testing.effects import Effects
from btcbot.testing.faults import FAULTS
from btcbot.testing.feed_effects import FeedEffects
from btcbot.testing.in_process_rig import Rig

ROOT = Path(__file__).parents[2]
#: Where each endpoint of the client stands on the wire.
PLACES = {
    Endpoint.BALANCES: "GET /api/v1/users/balances",
    Endpoint.SUBMIT: "POST /api/v1/order",
    Endpoint.CANCEL: "DELETE /api/v1/order",
    Endpoint.ORDER: "GET /api/v1/order/N",
    Endpoint.OPEN_ORDERS: "GET /api/v1/openOrders",
    Endpoint.ALL_ORDERS: "GET /api/v1/allOrders",
    Endpoint.TRADES: "GET /api/v1/users/transactions/trade",
    Endpoint.TRANSFERS_CRYPTO: "GET /api/v1/users/transactions/crypto",
    Endpoint.TRANSFERS_FIAT: "GET /api/v1/users/transactions/fiat",
    Endpoint.TICKER: "GET /api/v2/ticker",
    Endpoint.ORDER_BOOK: "GET /api/v2/orderbook",
    Endpoint.EXCHANGE_INFO: "GET /api/v2/server/exchangeinfo",
    Endpoint.SERVER_TIME: "GET /api/v2/server/time",
    Endpoint.PUBLIC_TRADES: "GET /api/v2/trades",
    Endpoint.CHARTS: "GET /v1/klines/history",
}


def faults_at(place: str, site: str) -> list[str]:
    return [fault.name for fault in FAULTS.values() if fault.site == site and fault.at(place)]


def test_each_fault_says_what_it_is_and_can_strike() -> None:
    for name, fault in FAULTS.items():
        assert fault.name == name
        assert fault.what
        assert fault.ppm[0] <= fault.ppm[1] <= 1_000_000
        if fault.site == "wire":
            assert not (fault.rule and fault.remake), "the venue or the way, not both"
        elif name not in ("crash", "venue_skew"):
            effects = FeedEffects if fault.site == "feed" else Effects
            assert callable(getattr(effects, name)), "what it does to a world has its name"


#: What the plan asks of the live feed, and the faults that do it.
OF_THE_FEED = {
    "disconnects": {"feed_closed", "feed_aborted", "feed_refused", "feed_cut"},
    "half-open silence": {"feed_half_open"},
    "duplicated": {"feed_frame_doubled", "feed_events_doubled"},
    "out of order": {"feed_frames_swapped", "feed_change_first", "feed_frames_late"},
    "missing, sequence gap": {"feed_frames_lost", "feed_snapshot_lost", "feed_books_stop"},
    "stale snapshot": {"feed_snapshot_stale"},
    "wrong symbol": {"feed_wrong_symbol"},
    "flood": {"feed_flood"},
    "crossed book": {"feed_crossed"},
    "zero or negative price": {"feed_no_price"},
    "100-fold spike": {"feed_price_spike"},
    "heartbeat loss": {"feed_heartbeat_lost"},
    "time going back": {"feed_time_back"},
    "loss of the login": {"feed_login_lost", "feed_login_refused"},
    "what cannot be read": {"feed_wrong_type", "feed_garbage", "feed_frame_cut_off", "feed_huge", "feed_deep"},
    "news of our account": {
        "feed_events_stop", "feed_events_lost", "feed_events_late", "feed_events_early", "feed_events_untrue",
    },
}  # fmt: skip


def test_all_that_the_plan_fears_of_a_feed_is_in_the_catalogue() -> None:
    in_group = {name for name, fault in FAULTS.items() if fault.group == "feed"}

    assert set().union(*OF_THE_FEED.values()) == in_group


@pytest.mark.parametrize("endpoint", Endpoint)
def test_each_endpoint_can_be_lost_refused_and_answered_with_nonsense(endpoint: Endpoint) -> None:
    place = PLACES[endpoint]

    there = faults_at(place, "wire")

    assert {"lost_before", "lost_after", "connect_failure", "slow_beyond"} <= set(there)
    assert {"status_before", "status_after", "html_after", "rate_limited"} <= set(there)
    assert {"empty_body", "wrong_shape", "wrong_type", "deep_json", "duplicate_key"} <= set(there)
    if "/api/v1/" in place:
        assert {"unauthorized", "yes_and_no", "not_a_number"} <= set(there)


def test_all_that_a_bot_does_on_its_way_has_a_place_with_faults(tmp_path: Path) -> None:
    """A real bot trades and cancels; each point that it passes is one where a crash and more can strike."""
    rig = Rig(tmp_path, TTL_SECONDS="15")
    rig.cycle()
    rig.wish("buy", "0.0005", "999000")
    rig.cycle(4)
    rig.venue.deposit("TRY", "10")
    rig.cycle(6)
    passed = {place_of(name) for name in rig.points.passed}
    rig.close()

    asked = {name.removeprefix("before ") for name in passed if name.startswith("before ") and "/" in name}
    assert {"POST /api/v1/order", "DELETE /api/v1/order", "GET /api/v1/users/transactions/fiat"} <= asked
    assert asked <= set(PLACES.values()), "an endpoint that no fault knows by name"
    for place in passed:
        assert {"crash", "sigterm", "kill_flip", "process_paused"} <= set(faults_at(place, "point")), place
    assert {"before unit", "before commit", "after commit"} <= passed
    assert "disk_busy" in faults_at("before unit", "point")
    assert {"disk_full", "disk_error", "disk_error_after"} <= set(faults_at("before commit", "point"))


# -- what is absent ----------------------------------------------------------------------------------------------------


def exists(feature: str) -> bool:
    """`module` or `module:name`."""
    module, _, name = feature.partition(":")
    if importlib.util.find_spec(module) is None:
        return False
    return not name or hasattr(import_module(module), name)


@pytest.mark.parametrize("name", ABSENT)
def test_what_is_absent_waits_for_something_or_is_proved_elsewhere(name: str) -> None:
    absent: Absent = ABSENT[name]

    assert absent.why
    assert name not in FAULTS
    assert bool(absent.until) is not bool(absent.proved_by)
    landed = [feature for feature in absent.until if exists(feature)]
    assert not landed, f"{landed[0]} is there: bring its faults in ({name})"
    missing = [path for path in absent.proved_by if not (ROOT / path).is_file()]
    assert not missing, f"nothing proves «{name}»: there is no {missing[0]}"


def test_a_feature_that_lands_is_noticed() -> None:
    assert exists("btcbot.adapters.btcturk.feed_protocol")
    assert exists("btcbot.profiles:RUN")
    assert not exists("btcbot.profiles:NOTHING_OF_THIS_NAME")
    assert not exists("btcbot.adapters.btcturk.nothing_of_this_name")
