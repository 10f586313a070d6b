"""A reason begins with its code; what follows it differs from time to time, and counts for nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcbot.domain.reasons import ReasonCode, code_of, pair_of, reasons_in

CODES = st.sampled_from(list(ReasonCode))
DETAILS = st.text(max_size=40)


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("observe_only:venue_unavailable: balances: HTTP 502", "observe_only:venue_unavailable"),
        ("gate_closed:kill_file", "gate_closed:kill_file"),
        ("budget:daily_loss: 618 TRY lost today, the limit is 500", "budget:daily_loss"),
        ("budget:drawdown: 13 TRY below the highest profit; raise RISK_MAX_DRAWDOWN_TRY", "budget:drawdown"),
        ("barred:repeated_refusals: BTCTRY: the venue refused 3 sells; 5 minutes are left", "barred:repeated_refusals"),
        ("order:trading_narrowed; confirmed by the venue's lists", "order:trading_narrowed"),
        ("order:stale; asked again: order:cancelled_by_operator", "order:stale"),
        ("FAILED_LIMIT_ORDER: the pair is closed; confirmed by two listings", "FAILED_LIMIT_ORDER"),
        ("FAILED_LIMIT_ORDER; confirmed by two listings", "FAILED_LIMIT_ORDER"),
        ("I9_OVERFILL: order btcbot-a-1-1 of 2", "I9_OVERFILL"),
        ("no answer within 4 s", "no answer within 4 s"),
        ("", ""),
    ],
)
def test_the_code_stands_first(reason: str, code: str) -> None:
    assert code_of(reason) == code


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("BTCTRY: barred:repeated_refusals: the venue refused 3 sells", "barred:repeated_refusals"),
        ("1INCHTRY: barred:buys_after_refusals: the venue refused 3 orders", "barred:buys_after_refusals"),
        ("XRPTRY: budget:position_share: it is 45 %", "budget:position_share"),
    ],
)
def test_the_name_of_a_pair_is_no_reason(reason: str, code: str) -> None:
    """Databases of earlier versions: the pair stood before the code."""
    assert code_of(reason) == code


def test_a_word_of_the_venue_is_no_pair() -> None:
    """It stands where a pair once stood, and what follows is the venue's message, not one of our codes."""
    assert code_of("MINIMUM: order: the least is 100 TRY") == "MINIMUM"
    assert code_of("RATE: too many") == "RATE"


@given(CODES, DETAILS)
def test_whatever_follows_a_code_it_stays_the_code(code: ReasonCode, detail: str) -> None:
    for reason in (code.value, f"{code}: {detail}", f"{code}; {detail}", f"BTCTRY: {code}: {detail}"):
        assert code_of(reason) == code


@given(CODES, CODES, DETAILS, DETAILS)
def test_two_reasons_have_one_code_only_where_it_is_the_same(
    one: ReasonCode, other: ReasonCode, detail: str, another: str
) -> None:
    assert (code_of(f"{one}: {detail}") == code_of(f"{other}: {another}")) is (one is other)


@pytest.mark.parametrize(
    ("reason", "pair"),
    [
        ("barred:repeated_refusals: BTCTRY: the venue refused 3 sells", "BTCTRY"),
        ("BTCTRY: barred:repeated_refusals: the venue refused 3 sells", "BTCTRY"),
        ("budget:position_share: XRPTRY: it is 45 %", "XRPTRY"),
        ("risk_block:stale_market_data: ETHTRY has no usable quote", "ETHTRY"),
        ("risk_block:stale_market_data: no symbol has a usable quote", None),
        ("observe_only:venue_unavailable: HTTP 502", None),
        ("budget:missing_mark: BTCTRY, ETHTRY has never shown a price", None),
        ("barred:repeated_refusals", None),
        ("gate_closed:kill_file", None),
    ],
)
def test_a_reason_may_be_about_one_pair(reason: str, pair: str | None) -> None:
    assert pair_of(reason) == pair


def test_reasons_that_were_joined_are_told_apart_whatever_their_details_hold() -> None:
    reasons = (
        "budget:drawdown: 13 TRY below the highest profit; raise RISK_MAX_DRAWDOWN_TRY, or decide",
        "barred:repeated_refusals: BTCTRY: the venue refused 3 sells; 5 minutes are left",
        "XRPTRY: budget:position_share: it is 45 %",
        "gate_closed:kill_file",
        "I9_OVERFILL: order 7",
    )
    assert reasons_in("; ".join(reasons)) == reasons
    assert reasons_in("") == ()
