"""Which pairs a bot may choose among is asked at its start, and holds until the next: a list that fails once is asked
for again."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from tests.builders import an_instrument

from btcbot.adapters.stop import StopFlag
from btcbot.adapters.store.memory import MemoryStore
from btcbot.bootstrap.universe import CANDIDATES_TRIES, with_candidates
from btcbot.config.loading import load_settings
from btcbot.domain.instrument import Instrument
from btcbot.domain.scan import TickerRow
from btcbot.errors import VenueUnavailable
from btcbot.profiles import STAGE4
from btcbot.testing.list_log import ListLog
from btcbot.testing.manual_clock import ManualClock

SETTINGS = {
    "DRY_RUN": "true",
    "SYMBOLS": "BTCTRY",
    "DYNAMIC_UNIVERSE_ENABLED": "true",
    "UNIVERSE_CANDIDATES": "listed",
}


class Venue:
    """Its list of all pairs does not come for the first `failures` times."""

    def __init__(self, failures: int) -> None:
        self.failures = failures

    def instruments(self) -> Mapping[str, Instrument]:
        return {symbol: an_instrument(symbol) for symbol in ("BTCTRY", "ETHTRY")}

    def look_at_tickers(self) -> Mapping[str, TickerRow]:
        if self.failures:
            self.failures -= 1
            raise VenueUnavailable("ticker: no whole answer")
        return {
            symbol: TickerRow(
                symbol=symbol, bid=Decimal(99), ask=Decimal(100), last=None, quote_volume_24h=volume, venue_time_ms=1
            )
            for symbol, volume in (("BTCTRY", Decimal(2_000_000)), ("ETHTRY", Decimal(9_000_000)))
        }


def candidates(failures: int, *, is_stopping: bool = False) -> tuple[tuple[str, ...], int]:
    """Among which pairs it may choose, and how often it told that the list did not come."""
    log, stop, client = ListLog(), StopFlag(), Venue(failures)
    asked: Any = client  # of the client it uses these two reads alone
    if is_stopping:
        stop.set()
    settings = with_candidates(
        STAGE4, load_settings(SETTINGS, None, {}).settings, asked, MemoryStore(), log, ManualClock(), stop
    )
    return settings.symbols, len(log.events("candidates_not_read"))


@pytest.mark.parametrize("failures", range(CANDIDATES_TRIES))
def test_a_list_that_fails_once_or_twice_costs_no_candidate(failures: int) -> None:
    assert candidates(failures) == (("BTCTRY", "ETHTRY"), failures)


def test_a_venue_that_goes_on_failing_leaves_the_configured_pairs() -> None:
    assert candidates(CANDIDATES_TRIES) == (("BTCTRY",), CANDIDATES_TRIES)


def test_who_is_to_stop_does_not_wait_for_it() -> None:
    assert candidates(CANDIDATES_TRIES, is_stopping=True) == (("BTCTRY",), 1)
