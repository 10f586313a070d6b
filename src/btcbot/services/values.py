"""Names of the marks and controls that services keep in the database beside orders and books."""

from __future__ import annotations

from typing import Final

TRADING_STATE: Final = "trading_state"
TRADING_STATE_REASON: Final = "trading_state_reason"
#: Venue time of the opening balances. Trades before it are history that the opening already contains.
OPENING_AT_MS: Final = "opening_at_ms"
#: Venue time up to which the trade list has been read.
TRADES_CURSOR_MS: Final = "trades_cursor_ms"
#: The day (Istanbul) whose loss is being counted, and the total result with which it began.
PNL_DAY: Final = "pnl_day"
PNL_DAY_START: Final = "pnl_day_start"
#: MAX_DAILY_LOSS_TRY as it was in force in the last cycle.
DAILY_LOSS_MAX: Final = "daily_loss_max"
#: The last bid of each symbol that was ever seen: a position without a quote today is still worth something.
MARKS: Final = "marks"
CYCLE_NUMBER: Final = "cycle_number"
NONCE_MARK_MS: Final = "nonce_mark_ms"
SELF_CHECK: Final = "self_check"


def disowned(venue_order_id: str) -> str:
    """The mark of a venue order that carries our client id and that a human declared foreign; its value is why."""
    return f"disowned:{venue_order_id}"


def explained_transfer(transfer_id: str) -> str:
    """The mark of a listed transfer that a human's explanation stands for already; it is not looked at again."""
    return f"explained_transfer:{transfer_id}"
