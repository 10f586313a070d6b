"""btcturk-api, unmodified: only its base address is ours.

Its stamps are whole seconds, and the exchange takes no stamp twice: whoever calls it more than once a second is
refused. So its judge waits for the next second before each call that is signed.
"""

from __future__ import annotations

import importlib.metadata
import time
from typing import Any, Final

from btcturk_api.client import Client

from judges.venue import Venue

NAME: Final = f"btcturk-api {importlib.metadata.version('btcturk-api')}"


def connected(venue: Venue, *, signed: bool = True) -> Any:
    """A client of this exchange; `signed` proves its key at once, which is a call of its own."""

    class Here(Client):  # type: ignore[misc]
        API_BASE = venue.rest_url

    if not signed:
        return Here()
    next_second()
    return Here(venue.key, venue.secret)


def next_second() -> None:
    """Wait until the wall clock shows another second."""
    now = int(time.time())
    while int(time.time()) == now:
        time.sleep(0.001)
