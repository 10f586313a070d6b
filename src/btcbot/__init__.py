"""btcbot: an unattended spot trading bot for BtcTurk.

Facts are gathered by a thin shell, decisions are values computed from facts, and the shell carries a decision out only
with a permit, writing to the database before and after each act. `cycle.py` is the file to open first.
"""

__version__ = "0.1.0"
