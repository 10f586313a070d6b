"""What can be written after --param, what it means exactly, and what is refused in one line."""

from __future__ import annotations

import pytest
from tests.unit.backtest.optimise.hills import HILL, ranges

from btcbot.backtest.optimise.ranges import parse_ranges
from btcbot.errors import Refused


def test_whole_numbers_numbers_and_words() -> None:
    x, y, side = ranges("x=1..50", "y=0.001..0.01:log", "side=buy|sell")
    assert (str(x), x.size, x.text(7.0)) == ("1..50", 50, "7")
    assert (str(y), y.size) == ("0.001..0.01:log", None)
    assert (str(side), side.size, side.text("sell")) == ("buy|sell", 2, "sell")


def test_a_number_is_handed_over_with_six_digits_and_never_beyond_its_range() -> None:
    (y,) = ranges("y=0.1234561..9.8765439")
    assert y.text(1.23456789) == "1.23457"
    assert y.text(0.1234561) == "0.1234561"  # rounded it would lie below the beginning
    assert y.text(9.8765439) == "9.87654"


def test_steps_are_exact_and_end_where_the_last_one_falls() -> None:
    x, y = ranges("x=5..52:5", "y=0.1..0.75:0.1")
    assert [x.at(index) for index in range(x.size or 0)] == ["5", "10", "15", "20", "25", "30", "35", "40", "45", "50"]
    assert (str(x), str(y)) == ("5..50:5", "0.1..0.7:0.1")  # as if it had been written so
    # 0.1 + 2 * 0.1 is 0.30000000000000004 in floats: not here.
    assert [y.at(index) for index in range(y.size or 0)] == ["0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7"]
    assert y.text(0.30000000000000004) == "0.3"


def test_values_in_a_row_are_choices_and_one_value_is_fixed() -> None:
    (x,) = ranges("x=5|20|80")
    assert [x.at(index) for index in range(3)] == ["5", "20", "80"]
    assert ranges("x=1..2", "side=buy")[1].is_fixed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x", "this is no range"),
        ("x=", "this is no range"),
        ("=1..2", "this is no range"),
        ("x=1..", "this is no range"),
        ("x=1..2..3", "is no number"),
        ("x=1..ten", "«ten» is no number"),
        ("x=50..1", "it begins above its end; write x=1..50"),
        ("x=1..101", "101 lies outside what the strategy allows, 0..100"),
        ("x=-1..5", "-1 lies outside what the strategy allows, 0..100"),
        ("x=1..5.5", "is a whole number, 5.5 is none"),
        ("x=1..5:0", "neither «:log» nor a step above 0"),
        ("x=1..5:lag", "neither «:log» nor a step above 0"),
        ("x=1..5:0.5", "a step of 0.5 would leave them"),
        ("y=0..1:log", "a logarithmic range begins above 0"),
        ("y=1e3..2e3", "is no number"),
        ("y=nan..1", "is no number"),
        ("x=1|1", "stands there twice"),
        ("side=buy|", "an empty word"),
        ("side=buy|sel", "«sel» is none of buy, sell; did you mean «sell»?"),
        ("sid=buy", "hill has no parameter «sid»; did you mean «side»?"),
        ("zzz=1..2", "it has x, y, side"),
    ],
)
def test_what_cannot_be_meant_is_told_in_one_line(text: str, words: str) -> None:
    with pytest.raises(Refused) as refused:
        ranges(text)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ((), "there is nothing to search: give --param NAME=LOW..HIGH; hill has x, y, side"),
        (("x=1", "side=buy"), "every --param is one value"),
        (("x=1..2", "x=3..4"), "«x» is given twice"),
    ],
)
def test_a_search_needs_something_to_search(texts: tuple[str, ...], words: str) -> None:
    with pytest.raises(Refused, match=words):
        parse_ranges(texts, HILL, "hill")
