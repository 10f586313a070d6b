"""The composition root: the only package that knows ports and adapters.

`build(…)` turns settings into a `Bot`, and `paper.build(…)` into one that trades on paper. What differs between a live
run, a dry run, paper and the demo is decided here and in the gates, nowhere else: which exchange is plugged in, and
what the database is allowed to be used for.
"""

from btcbot.bootstrap.assembly import assemble as assemble
from btcbot.bootstrap.bot import Bot as Bot
from btcbot.bootstrap.connect import live_bars as live_bars
from btcbot.bootstrap.live import build as build
from btcbot.bootstrap.live import live_feed as live_feed
from btcbot.bootstrap.live import public_exchange as public_exchange
from btcbot.bootstrap.meaning import cycle_seconds_min as cycle_seconds_min
from btcbot.bootstrap.meaning import feed_url as feed_url
from btcbot.bootstrap.meaning import gate_policy as gate_policy
from btcbot.bootstrap.meaning import graph_url as graph_url
from btcbot.bootstrap.meaning import mode_of as mode_of
from btcbot.bootstrap.meaning import signer_of as signer_of
from btcbot.bootstrap.meaning import timing as timing
from btcbot.bootstrap.meaning import venue_host as venue_host
from btcbot.bootstrap.purpose import FREE_BYTES_MIN as FREE_BYTES_MIN
from btcbot.bootstrap.purpose import NonceMark as NonceMark
from btcbot.bootstrap.purpose import bind as bind
from btcbot.bootstrap.room import demand_tradable as demand_tradable
from btcbot.bootstrap.sockets import Sockets as Sockets
from btcbot.bootstrap.strategies import strategy_of as strategy_of
