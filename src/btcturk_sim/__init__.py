"""A local BtcTurk: the exchange's rules, its wire and its moods, on loopback.

It is written from the public description of the API alone and never imports the trading client, so that
client and simulator are two independent readings of the same wire: where they disagree, one of them is wrong
and a test says so.

Reading order: `engine` (time and acceptance), `matching`, `clearing` and `stops` (the rules) → `market` and `book`
(whom clients trade with) → `api` and `feed` (the wire) → `faults`, `spoils` and `limits` (the moods) → `assumptions`
(what is not known) → `operations` (what the exchange does to an open market) → `server` and `control` (the shell
around it).
"""

__version__ = "0.1.0"
