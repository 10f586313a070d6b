"""A local BtcTurk: the exchange's rules, its wire and its moods, on loopback.

It is written from the public description of the API alone and never imports the trading client, so that
client and simulator are two independent readings of the same wire: where they disagree, one of them is wrong
and a test says so.

Reading order: `engine` (the rules) → `market` and `book` (whom clients trade with) → `api` (the wire) →
`faults`, `spoils` and `limits` (the moods) → `operations` (what the exchange does to an open market) → `server` and
`control` (the shell around it).
"""

__version__ = "0.1.0"
