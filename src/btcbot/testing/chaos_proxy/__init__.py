"""A network that fails, between a bot and its venue: a TCP proxy on this machine that a test steers while it runs.

It understands just enough HTTP to know where a request and an answer begin and end, and can then delay, drop, reset,
cut, drip, repeat or swallow them, or let the whole network be gone. What it was given by the bot, it remembers: the
bot's own side of the story, before the network had its way with it.

    with ChaosProxy(venue.rest_url) as proxy:
        proxy.cause(Trouble.HALF_OPEN, method="POST", count=1)
        ...                                    # the bot at `proxy.url` sends an order and never hears of it
        proxy.heal()

A WebSocket begins as a request, which troubles befall like any other; once the venue has agreed to it, its bytes pass
both ways as they are, until one side closes, the network is cut, or `hush` leaves it standing without a sound.

It lives in a thread of its own and serves loopback only. Methods may be called from any other thread.
"""

from __future__ import annotations

from btcbot.testing.chaos_proxy.proxy import ChaosProxy
from btcbot.testing.chaos_proxy.troubles import Cut, Passed, Trouble

__all__ = ["ChaosProxy", "Cut", "Passed", "Trouble"]
