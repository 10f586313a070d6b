"""Whoever watches a feed client in a test: what it was told, and waiting for what has to come."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import structlog

from btcbot.adapters.btcturk.feed import BtcturkWsClient
from btcbot.adapters.clock import SystemClock
from btcbot.adapters.metrics import MemoryMetrics
from btcbot.domain.feed import AccountEvent, FeedView


class FeedWatcher:
    """A client on a venue, what it logged and measured, and every event that it told."""

    def __init__(self, url: str, symbols: tuple[str, ...], *, log: Any = None, **options: Any) -> None:
        self.metrics = MemoryMetrics()
        self.log = log or structlog.testing.CapturingLogger()
        self.feed = BtcturkWsClient(
            url, symbols, clock=SystemClock(), metrics=self.metrics, log=self.log, **{"random": lambda: 0.0, **options}
        )
        self.events: list[AccountEvent] = []
        self.lost = 0

    def view(self) -> FeedView:
        view = self.feed.view()
        self.events += view.events
        self.lost += view.has_lost_events
        return view

    def until(self, holds: Callable[[FeedView], object], seconds: float = 15.0) -> FeedView:
        """The first view for which this holds; AssertionError says what stood there instead when it never comes."""
        over_at = time.monotonic() + seconds
        while True:
            view = self.view()
            if holds(view):
                return view
            assert time.monotonic() < over_at, f"it did not come to pass: {view} {self.log.calls[-5:]}"
            time.sleep(0.005)
