"""The contract of `MarketFeed`, kept by BtcTurk's client over real sockets and by the simulation's without any.

The feed of paper is around the client's, and keeps it too.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import ClassVar

import pytest
import structlog
from tests.contract.market_feed import NOWHERE, SYMBOL, FeedContract, FeedRig
from tests.contract.test_exchanges import on_paper
from tests.unit.btcturk.support import signer

from btcbot.adapters.btcturk.feed import BtcturkWsClient
from btcbot.adapters.clock import SystemClock
from btcbot.adapters.metrics import MemoryMetrics
from btcbot.adapters.paper.feed import PaperFeed, TapeFeed
from btcbot.testing.in_process_feed import InProcessFeed
from btcbot.testing.manual_clock import ManualClock
from btcbot.testing.points import Points
from btcbot.testing.rig import Credentials, Simulator, write_private
from btcbot.testing.venue import Venue

KEY = "contract"


class TestInProcess(FeedContract):
    def make(self) -> FeedRig:
        clock = ManualClock()
        venue = Venue(clock, Points(), KEY, {SYMBOL: "1000000"}, {"TRY": "10000"})
        feed = InProcessFeed(
            venue.simulator.feed,
            clock,
            [SYMBOL, NOWHERE],
            random=Random(1).random,
            signer=signer(KEY, base64.b64encode(venue.simulator.engine.books.accounts[KEY].secret).decode()),
        )
        return FeedRig(
            feed=feed,
            price=lambda price: venue.price(SYMBOL, price),
            order=lambda: venue.human_orders("buy", SYMBOL, "0.0002", "990000") and None,
            abort=lambda: venue.simulator.feed.strike("socket_aborted", clock.true_ms()) and None,
            pause=clock.advance,
            close=lambda: None,
        )


@pytest.fixture(scope="module", autouse=True)
def venue_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One local BtcTurk for every test over sockets: they come after each other, and nothing of one matters later."""
    folder = tmp_path_factory.mktemp("venue")
    TestOverSockets.credentials = credentials = Credentials(folder)
    accounts = write_private(folder / "accounts", credentials.account_line({"TRY": Decimal(10_000)}))
    with Simulator(folder, ["--accounts", str(accounts), "--symbols", SYMBOL, "--limits", "off"]) as venue:
        TestOverSockets.venue = venue
        yield


class TestOverSockets(FeedContract):
    venue: ClassVar[Simulator]
    credentials: ClassVar[Credentials]

    def make(self) -> FeedRig:
        venue, credentials = self.venue, self.credentials
        venue.control("/market", symbol=SYMBOL, price="1000000")
        feed = BtcturkWsClient(
            venue.ws_url,
            [SYMBOL, NOWHERE],
            clock=SystemClock(),
            metrics=MemoryMetrics(),
            log=structlog.wrap_logger(None, processors=[structlog.testing.LogCapture()]),
            signer=signer(credentials.key, credentials.secret_file.read_text().strip()),
        )

        return FeedRig(
            feed=feed,
            price=lambda price: venue.control("/market", symbol=SYMBOL, price=price),
            order=lambda: venue.control(
                "/foreign-order",
                key=credentials.key,
                pairSymbol=SYMBOL,
                orderType="buy",
                orderMethod="limit",
                quantity="0.0002",
                price="990000",
            ),
            abort=lambda: venue.control("/feed", kind="socket_aborted"),
            pause=time.sleep,
            close=lambda: None,
        )


class TestPaperOverSockets(TestOverSockets):
    """What the venue tells of a real account passes through, should there ever be one."""

    def make(self) -> FeedRig:
        rig = super().make()
        assert isinstance(rig.feed, TapeFeed)
        exchange, _, _ = on_paper()
        return replace(rig, feed=PaperFeed(rig.feed, exchange, SystemClock()))
