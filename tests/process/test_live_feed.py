"""The live feed's client on the local BtcTurk: real sockets, and everything that can go wrong on them.

Both sides are independent readings of one document. After each trouble the client's book must be the venue's again, as
REST tells it, level by level; what happened to our account must be told, or said to be missed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from tests.feed_watcher import FeedWatcher

from btcbot.adapters.btcturk.feed_actions import FeedTiming
from btcbot.adapters.btcturk.feed_wire import FRAME_BYTES_MAX
from btcbot.adapters.btcturk.signing import Signer
from btcbot.config.secrets import Secret
from btcbot.domain.feed import AccountEventKind, FeedView
from btcbot.testing.rig import Credentials, Simulator, write_private

SYMBOLS = ("BTCTRY", "ETHTRY")
#: Quicker than in earnest, so that a story takes seconds.
QUICK = FeedTiming(
    ping_interval_s=0.2,
    pong_s=1.5,
    silence_ms_max=4_000,
    first_frame_ms_max=1_000,
    leave_ms_max=500,
    renew_ms_min=100,
    login_again_ms_min=500,
)
OF_A_BOOK = {"channel": "obdiff", "event": "BTCTRY", "types": [432]}


class Venue:
    """A local BtcTurk in a process of its own, with one account."""

    def __init__(self, folder: Path) -> None:
        self.credentials = Credentials(folder)
        accounts = write_private(
            folder / "accounts", self.credentials.account_line({"TRY": Decimal(1_000_000), "BTC": Decimal(1)})
        )
        arguments = ["--accounts", str(accounts), "--symbols", ",".join(SYMBOLS), "--limits", "off", "--seed", "7"]
        self.simulator = Simulator(folder, [*arguments, "--speed", "600"])
        secret = self.credentials.secret_file.read_text().strip()
        self.signer = Signer(Secret(self.credentials.key), Secret(secret))
        self._stamp_ms = 0
        self._rest = httpx2.Client(base_url=self.simulator.rest_url, trust_env=False, timeout=10.0)

    def book(self, symbol: str) -> tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]:
        """Asks and bids as REST tells them, best first."""
        data = self._rest.get("/api/v2/orderbook", params={"pairSymbol": symbol, "limit": 100}).json()["data"]
        asks, bids = ([(Decimal(p), Decimal(q)) for p, q in data[side]] for side in ("asks", "bids"))
        return sorted(asks), sorted(bids, reverse=True)

    def _headers(self) -> list[tuple[bytes, bytes]]:
        self._stamp_ms = max(time.time_ns() // 1_000_000, self._stamp_ms + 1)  # never one twice
        return self.signer.headers(self._stamp_ms)

    def order(self, side: str, quantity: str, price: str, client_id: str) -> str:
        form = {"pairSymbol": "BTCTRY", "orderType": side, "orderMethod": "limit", "newOrderClientId": client_id}
        headers = self._headers()
        body = msgspec.json.encode({**form, "quantity": quantity, "price": price})
        answer = self._rest.post("/api/v1/order", content=body, headers=headers).json()
        return str(answer["data"]["id"])

    def cancel(self, order_id: str) -> None:
        headers = self._headers()
        answer = self._rest.delete("/api/v1/order", params={"id": order_id}, headers=headers).json()
        assert answer["success"], answer

    def market(self, action: str) -> None:
        self.simulator.control("/market", action=action)

    def fault(self, kind: str, *, count: int = 1, match: dict[str, Any] | None = None, **params: Any) -> None:
        self.simulator.control("/faults", kind=kind, count=count, match=match or {}, params=params)

    def close(self) -> None:
        self._rest.close()
        self.simulator.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    made = Venue(tmp_path_factory.mktemp("venue"))
    yield made
    made.close()


@pytest.fixture
def venue(running: Venue) -> Iterator[Venue]:
    running.market("resume")
    yield running
    running.simulator.clear_faults()


class Watcher(FeedWatcher):
    """A client of the feed, and all that it told."""

    def __init__(self, venue: Venue) -> None:
        super().__init__(venue.simulator.ws_url, SYMBOLS, signer=venue.signer, timing=QUICK)
        self.venue = venue

    def view(self) -> FeedView:
        view = super().view()
        for book in view.books.values():
            assert all(top.bid < top.ask for top in book.tops)
        return view

    def until_all_is_well(self) -> FeedView:
        return self.until(lambda view: len(view.books) == len(SYMBOLS) and view.is_logged_in)

    def assert_same_books(self) -> None:
        """With the market at rest, the book of each pair is REST's, level by level."""
        self.venue.market("pause")
        for symbol in SYMBOLS:

            def is_same(view: FeedView, symbol: str = symbol) -> bool:
                depth = self.feed.depth(symbol, 100)
                if depth is None:
                    return False
                sides = [[(level.price, level.quantity) for level in side] for side in (depth.asks, depth.bids)]
                return sides == list(self.venue.book(symbol))

            self.until(is_same)


@pytest.fixture
def watcher(venue: Venue) -> Iterator[Watcher]:
    made = Watcher(venue)
    made.feed.start()
    yield made
    made.feed.close()


def test_books_and_trades_are_the_venues(watcher: Watcher) -> None:
    first = watcher.until_all_is_well()
    watcher.until(lambda view: view.books and view.books["BTCTRY"].top != first.books["BTCTRY"].top)
    time.sleep(1.0)
    assert len(watcher.feed.trades("BTCTRY")) > 1
    watcher.assert_same_books()
    assert watcher.view().connection == 1
    counters = watcher.metrics.counters
    assert not [key for key in counters if key[0] in ("btcbot_feed_resyncs_total", "btcbot_feed_oddities_total")]
    assert not [key for key in counters if key[0] == "btcbot_feed_frames_ignored_total"]


def test_an_order_of_ours_is_told(watcher: Watcher) -> None:
    watcher.until_all_is_well()
    ask = watcher.venue.book("BTCTRY")[0][0][0]
    bought = watcher.venue.order("buy", "0.001", str(ask * 2), "btcbot-test-1")
    resting = watcher.venue.order("buy", "0.001", str(int(ask) // 2), "btcbot-test-2")
    watcher.venue.cancel(resting)

    watcher.until(lambda view: AccountEventKind.DELETED in {event.kind for event in watcher.events})
    told = {(event.kind, event.venue_order_id, event.client_order_id) for event in watcher.events}
    assert (AccountEventKind.MATCH, bought, "btcbot-test-1") in told
    assert (AccountEventKind.FILL, bought, "btcbot-test-1") in told
    assert (AccountEventKind.DELETED, resting, "btcbot-test-2") in told
    fills = [event for event in watcher.events if event.kind is AccountEventKind.FILL]
    assert all(event.trade_id and event.symbol == "BTCTRY" for event in fills)


@pytest.mark.parametrize(
    ("kind", "match", "params"),
    [
        ("frame_lost", OF_A_BOOK, {}),
        ("frames_swapped", OF_A_BOOK, {}),
        ("wrong_symbol", OF_A_BOOK, {"symbol": "ETHTRY"}),
        ("book_crossed", OF_A_BOOK, {}),
        ("garbage", OF_A_BOOK, {}),
        ("frame_truncated", OF_A_BOOK, {}),
        ("frame_deep", OF_A_BOOK, {}),
        ("type_changed", OF_A_BOOK, {"field": "CS"}),
        ("value_replaced", OF_A_BOOK, {"field": "P", "value": "-1"}),
        ("value_replaced", OF_A_BOOK, {"field": "A", "value": "NaN"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_book_that_was_spoilt_is_the_venues_again(
    watcher: Watcher, kind: str, match: dict[str, Any], params: dict[str, Any]
) -> None:
    watcher.until_all_is_well()
    watcher.venue.fault(kind, match=match, **params)
    watcher.until(lambda view: [key for key in watcher.metrics.counters if key[0] == "btcbot_feed_resyncs_total"])
    watcher.until_all_is_well()
    watcher.assert_same_books()
    assert watcher.view().connection == 1, "one pair's trouble is not the connection's"


def test_what_comes_twice_or_late_changes_nothing(watcher: Watcher) -> None:
    watcher.until_all_is_well()
    watcher.venue.fault("frame_doubled", count=5, match=OF_A_BOOK)
    watcher.until(lambda view: watcher.metrics.counters.get(("btcbot_feed_oddities_total", "twice"), 0) == 5)
    watcher.assert_same_books()
    assert not [key for key in watcher.metrics.counters if key[0] == "btcbot_feed_resyncs_total"]


@pytest.mark.parametrize("kind", ["socket_closed", "socket_aborted", "socket_half_open"])
def test_a_connection_that_ends_is_replaced(watcher: Watcher, kind: str) -> None:
    watcher.until_all_is_well()
    lost = watcher.lost
    watcher.venue.simulator.control("/feed", kind=kind)
    watcher.until(lambda view: view.connection == 2 and len(view.books) == len(SYMBOLS) and view.is_logged_in)
    assert watcher.lost > lost
    watcher.assert_same_books()


def test_a_huge_frame_is_not_swallowed_and_named_as_the_cause(watcher: Watcher) -> None:
    watcher.until_all_is_well()
    watcher.venue.fault("frame_huge", match=OF_A_BOOK)
    watcher.until(lambda view: view.connection == 2)
    watcher.until_all_is_well()
    watcher.assert_same_books()
    assert watcher.metrics.counters.get(("btcbot_feed_frames_ignored_total", "oversized")) == 1
    (ended,) = [call.kwargs["reason"] for call in watcher.log.calls if call.args[0] == "feed_disconnected"]
    assert ended == f"it sent a frame of more than {FRAME_BYTES_MAX} bytes"


def test_a_flood_is_survived(watcher: Watcher) -> None:
    watcher.until_all_is_well()
    watcher.venue.fault("flood", match=OF_A_BOOK, frames=20_000)
    watcher.until(lambda view: view.connection >= 2 or "BTCTRY" not in view.books)
    watcher.until_all_is_well()
    watcher.assert_same_books()


def test_doors_that_stay_shut_are_knocked_on_slowly(venue: Venue) -> None:
    venue.fault("connect_refused", count=2, status=502)
    venue.fault("login_refused", count=1, message="Invalid Nonce")
    watcher = Watcher(venue)
    watcher.feed.start()
    try:
        watcher.until(lambda view: view.why_not_logged_in == "Invalid Nonce")
        watcher.until(lambda view: len(view.books) == len(SYMBOLS))
        watcher.until_all_is_well()
        counters = watcher.metrics.counters
        assert counters["btcbot_feed_connections_total", "refused"] == 2
        assert counters["btcbot_feed_logins_total", "refused"] == 1
        assert [call.args[0] for call in watcher.log.calls].count("feed_unreachable") == 1
    finally:
        watcher.feed.close()
