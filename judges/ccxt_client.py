"""ccxt's `btcturk`, unmodified: only its three base addresses are ours."""

from __future__ import annotations

from typing import Any, Final

import ccxt

from judges.venue import Venue

NAME: Final = f"ccxt {ccxt.__version__}"


def connected(venue: Venue) -> Any:
    """A client of this exchange. `number: str` is ccxt's own option to keep amounts as the exchange wrote them."""
    client = ccxt.btcturk({"apiKey": venue.key, "secret": venue.secret, "number": str})
    at_home = dict(client.urls["api"])
    moved = {
        "public": f"{venue.rest_url}/api/v2",
        "private": f"{venue.rest_url}/api/v1",
        "graph": f"{venue.graph_url}/v1",
    }
    assert set(at_home) == set(moved), f"ccxt has other groups of addresses now: {sorted(at_home)}"
    client.urls["api"].update(moved)
    return client
