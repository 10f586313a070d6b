"""One stable code for each refusal, block and repair. Logs, reports, metrics and tests all read these words."""

from __future__ import annotations

from enum import StrEnum


class ReasonCode(StrEnum):
    # risk: why an intent may not become an order
    MAX_ORDERS_PER_CYCLE = "risk_block:max_orders_per_cycle"
    MAX_OPEN_ORDERS_PER_SYMBOL = "risk_block:max_open_orders_per_symbol"
    COOLDOWN = "risk_block:cooldown"
    RULES_UNAVAILABLE = "risk_block:rules_unavailable"
    NOT_TRADING = "risk_block:instrument_not_trading"
    NON_POSITIVE = "risk_block:non_positive_after_quantize"
    MIN_NOTIONAL = "risk_block:min_notional"
    CASH_RESERVE = "risk_block:cash_reserve_target"
    NOTIONAL_CAP = "risk_block:notional_cap"
    NOTIONAL_PER_ORDER = "risk_block:max_notional_per_order"
    POSITION_CAP = "risk_block:max_position_per_symbol"
    EXPOSURE_CAP = "risk_block:max_total_exposure"
    DAILY_LOSS = "risk_block:max_daily_loss"
    PRICE_COLLAR = "risk_block:price_collar"
    PRICE_BAND = "risk_block:venue_price_band"
    NO_INVENTORY = "risk_block:sell_requires_inventory"
    STALE_QUOTE = "risk_block:stale_market_data"
    BOOK_UNTRUSTED = "risk_block:book_not_trusted"
    CROSSED_QUOTE = "risk_block:crossed_or_empty_book"
    ORDER_IN_DOUBT = "risk_block:order_in_doubt"
    # gates: why nothing may be written at all
    DRY_RUN = "gate_closed:dry_run"
    SAFE_MODE = "gate_closed:safe_mode"
    KILL_SWITCH = "gate_closed:kill_switch"
    KILL_FILE = "gate_closed:kill_file"
    NOT_ARMED = "gate_closed:live_trading_not_set"
    ACK_MISSING = "gate_closed:acknowledgement_missing"
    DATABASE_NOT_LIVE = "gate_closed:database_not_live"
    KEY_MISMATCH = "gate_closed:database_of_another_key"
    LOCK_LOST = "gate_closed:writer_lock_not_held"
    CLOCK_SKEW = "gate_closed:clock_skew"
    SELF_CHECK = "gate_closed:self_check_failed"
    HALTED = "gate_closed:halted"
    FROZEN = "gate_closed:frozen_by_suspense"
    # cycle: why it only observes
    VENUE_UNAVAILABLE = "observe_only:venue_unavailable"
    STRATEGY_FAILED = "observe_only:strategy_failed"
    BALANCE_UNEXPLAINED = "observe_only:balance_not_yet_explained"
    # orders: what happened to them
    NOT_SENT = "order:not_sent"
    CANCEL_STALE = "order:stale"
    CANCEL_OPERATOR = "order:cancelled_by_operator"
    CANCEL_ON_EXIT = "order:cancel_on_exit"
    ADOPTED = "order:adopted_on_sight"
    ABSENCE_PROVED = "order:absence_proved"
    REFUSAL_CONFIRMED = "order:refusal_confirmed_by_two_listings"
    RESOLVED_BY_OPERATOR = "order:resolved_by_operator"
    LATE_FILL = "order:late_fill"
    CANCELED_AT_VENUE = "order:cancelled_at_venue"


class TradingState(StrEnum):
    """What the bot may do, kept in the database. Only a human reopens HALTED."""

    ACTIVE = "ACTIVE"
    OBSERVE_ONLY = "OBSERVE_ONLY"
    FROZEN = "FROZEN"
    HALTED = "HALTED"
