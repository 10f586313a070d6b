"""The feed: what the exchange says by itself over a WebSocket, still without a socket.

Reading order: `hub` (who is connected and when something is said) → `session` (one connection: what it asks, what it
is sent) → `frames` and `window` (how things are written) → `private` (what an account is told) → `faults` and
`spoil` (what can go wrong). `outputs` are the values that a shell carries out; `btcturk_sim.ws` is that shell.
"""

from btcturk_sim.feed.hub import Feed
from btcturk_sim.feed.options import FeedOptions
from btcturk_sim.feed.outputs import Abort, CloseSocket, Out, Refusal, SendPing, SendPong, SendText
from btcturk_sim.feed.session import Session

__all__ = [
    "Abort",
    "CloseSocket",
    "Feed",
    "FeedOptions",
    "Out",
    "Refusal",
    "SendPing",
    "SendPong",
    "SendText",
    "Session",
]
