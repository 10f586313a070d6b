"""What reports write: exact money, nothing that a terminal would obey."""

from __future__ import annotations

from decimal import Decimal

import pytest

from btcbot.cli import output
from btcbot.domain.intents import Side


def test_control_characters_are_shown_not_obeyed() -> None:
    assert output.clean("a\x1b[31mred\nb\u202e ğ") == "a\\x1b[31mred\\nb\\u202e ğ"


def test_money_is_text_wherever_it_lies() -> None:
    shaped = output.shaped({"a": [Decimal("1E-8"), (Decimal("2.50"), Side.BUY)], "b": None, "c": True})
    assert shaped == {"a": ["0.00000001", ["2.5", "buy"]], "b": None, "c": True}


@pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (600, "10 min"), (10_000, "3 h"), (400_000, "5 d")], ids=str)
def test_durations(seconds: int, text: str) -> None:
    assert output.duration(seconds) == text


def test_moments_are_utc() -> None:
    assert output.moment(1_767_225_600_000) == "2026-01-01 00:00:00Z"
    assert output.moment(None) == output.NOTHING
