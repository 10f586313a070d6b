"""One stable code for each refusal, block and repair. Logs, reports, metrics and tests all read these words.

A reason is a code, and after it what is to be told of this one time: `code: detail`, or `code; confirmed by …`. Whoever
counts or compares reasons counts and compares codes, by `code_of`, and by nothing else.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final


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
    QUOTE_GONE = "risk_block:quote_no_longer_holds"  # it moved, aged or could not be confirmed since the decision
    CROSSED_QUOTE = "risk_block:crossed_or_empty_book"
    ORDER_IN_DOUBT = "risk_block:order_in_doubt"
    # draft: why a wish does not come as far as risk
    NOT_SELECTED = "draft_block:symbol_not_selected"
    REDUCE_ONLY = "draft_block:reduce_risk_only"
    OBSERVING = "draft_block:observe_only"
    SYMBOLS_CAP = "draft_block:max_symbols"
    BARRED = "draft_block:symbol_barred"
    NO_BUYS = "draft_block:no_buys_of_symbol"
    # draft: allocation
    CONTRADICTED = "draft_block:contradicts_a_larger_wish"
    REPEATED = "draft_block:repeats_an_earlier_wish"
    ALLOCATION_CASH = "draft_block:no_investable_cash"
    ALLOCATION_CYCLE_CAP = "draft_block:cycle_cap"
    ALLOCATION_INTENT_CAP = "draft_block:intent_cap"
    ALLOCATION_POSITION = "draft_block:position_room"
    ALLOCATION_MINIMUM = "draft_block:below_minimum"
    NOTHING_TO_SELL = "draft_block:nothing_to_sell"
    SELL_FLOOR = "draft_block:below_sell_floor"
    DEFERRED = "draft_block:deferred_by_larger_orders"
    # draft: upkeep
    ORDER_WORKS = "draft_block:order_already_works"
    SUPERSEDED = "draft_block:superseded_by_a_later_wish"
    REPLACES = "draft_block:ordered_as_a_replacement"
    REPLACE_TOO_SOON = "draft_block:order_too_young_to_replace"
    REPLACE_UNDER_WAY = "draft_block:cancellation_under_way"
    REPLACE_DRIFTED = "draft_block:replacement_off_the_market"
    # draft: agent
    AGENT_OBSERVES = "draft_block:agent_observe_only"
    AGENT_TOOK_OUT = "draft_block:agent_took_out"
    AGENT_MADE_SMALLER = "draft_block:agent_left_nothing"
    AGENT_FAILED = "draft_block:agent_failed"
    AGENT_NOT_ASKED = "draft_block:agent_not_asked"
    AGENT_SYMBOL = "draft_block:agent_symbol_not_allowed"
    AGENT_SPREAD = "draft_block:agent_spread_too_wide"
    AGENT_VALUE = "draft_block:agent_order_value"
    # risk budget, capital, refusals: why a cycle is narrowed
    BUDGET_DAILY_LOSS = "budget:daily_loss"
    BUDGET_DRAWDOWN = "budget:drawdown"
    BUDGET_DRAWDOWN_SHARE = "budget:drawdown_share"
    BUDGET_EXPOSURE = "budget:exposure"
    BUDGET_POSITION_SHARE = "budget:position_share"
    BUDGET_FEES = "budget:fees_of_the_day"
    BUDGET_UNMARKED = "budget:missing_mark"
    BUDGET_LOSS_STREAK = "budget:loss_streak"
    BUDGET_VOLATILITY = "budget:volatility"
    BUDGET_BUY_STOP = "budget:no_buys_after_losses"
    TREASURY_KEPT = "capital:treasury_kept"
    BARRED_REFUSALS = "barred:repeated_refusals"
    BUYS_BARRED_REFUSALS = "barred:buys_after_refusals"
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
    UNEXPLAINED_ORDERS = "gate_closed:frozen_by_unexplained_orders"
    # cycle: why it only observes
    VENUE_UNAVAILABLE = "observe_only:venue_unavailable"
    STRATEGY_FAILED = "observe_only:strategy_failed"
    BALANCE_UNEXPLAINED = "observe_only:balance_not_yet_explained"
    DEGRADED = "narrowed:degraded"
    # orders: what happened to them
    NOT_SENT = "order:not_sent"
    CANCEL_STALE = "order:stale"
    CANCEL_NARROWED = "order:trading_narrowed"
    CANCEL_DRIFTED = "order:drifted"
    CANCEL_SURPLUS = "order:second_of_its_side"
    REPLACED_STALE = "order:stale_and_replaced"
    REPLACED_DRIFTED = "order:drifted_and_replaced"
    CANCEL_OPERATOR = "order:cancelled_by_operator"
    CANCEL_ON_EXIT = "order:cancel_on_exit"
    ADOPTED = "order:adopted_on_sight"
    ABSENCE_PROVED = "order:absence_proved"
    REFUSAL_CONFIRMED = "order:refusal_confirmed_by_two_listings"
    RESOLVED_BY_OPERATOR = "order:resolved_by_operator"
    LATE_FILL = "order:late_fill"
    CANCELED_AT_VENUE = "order:cancelled_at_venue"
    # replacements: how they ended
    REPLACEMENT_DONE = "replacement:done"
    REPLACEMENT_FILLED = "replacement:old_order_filled"
    REPLACEMENT_LATE = "replacement:too_late"
    REPLACEMENT_LOST = "replacement:order_not_in_the_books"
    REPLACEMENT_NOT_CANCELED = "replacement:cancel_never_left"
    REPLACEMENT_NOT_PLACED = "replacement:new_order_not_placed"
    REPLACEMENT_OVERTAKEN = "replacement:another_order_was_placed"


#: What ends a code.
_END: Final = re.compile(r": |; ")
_PAIR: Final = "[A-Z0-9]{2,20}"
_FAMILIES: Final = "|".join(sorted({code.value.partition(":")[0] for code in ReasonCode}))
#: Reasons about one pair began with its name once; databases of that time still hold them.
_PAIR_FIRST: Final = re.compile(rf"({_PAIR}): (?=(?:{_FAMILIES}):[a-z])")
_BETWEEN: Final = re.compile(rf"; (?=(?:{_PAIR}: )?(?:{_FAMILIES}):[a-z]|I[0-9]+_)")
#: Codes of which a cycle may have one reason for each pair, and what stands after such a code.
_OF_ONE_PAIR: Final = ("barred:", ReasonCode.BUDGET_POSITION_SHARE.value, "risk_block:")
_PAIR_AFTER_CODE: Final = re.compile(rf"({_PAIR})(?![^\s:,;])")


def code_of(reason: str) -> str:
    """The code of a reason, without what follows it; a text that has no code is its own.

    observe_only:venue_unavailable: balances: HTTP 502         observe_only:venue_unavailable
    order:drifted; confirmed by the venue's lists              order:drifted
    FAILED_LIMIT_ORDER: the pair is closed                     FAILED_LIMIT_ORDER
    BTCTRY: budget:position_share: it is 45 %                  budget:position_share (of an old database)
    gate_closed:kill_file                                      gate_closed:kill_file
    """
    before = _PAIR_FIRST.match(reason)
    return _END.split(reason if before is None else reason[before.end() :], maxsplit=1)[0]


def reasons_in(joined: str) -> tuple[str, ...]:
    """The reasons that were joined by `; `. A detail may hold that as well: the next one begins where a code does."""
    return tuple(_BETWEEN.split(joined)) if joined else ()


def pair_of(reason: str) -> str | None:
    """The pair that a reason is about, None where it is about none: `barred:repeated_refusals: BTCTRY: …` → BTCTRY."""
    before = _PAIR_FIRST.match(reason)
    if before is not None:
        return before[1]
    code = code_of(reason)
    after = _PAIR_AFTER_CODE.match(reason, len(code) + 2) if code.startswith(_OF_ONE_PAIR) else None
    return None if after is None else after[1]


class TradingState(StrEnum):
    """What the bot may do, kept in the database. Only a human reopens HALTED."""

    ACTIVE = "ACTIVE"
    OBSERVE_ONLY = "OBSERVE_ONLY"
    FROZEN = "FROZEN"
    HALTED = "HALTED"
