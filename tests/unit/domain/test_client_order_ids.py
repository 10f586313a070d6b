"""Client order ids: unique for ever, short enough for the venue, and telling whose they are."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import NOW_MS

from btcbot.domain.orders import CLIENT_ORDER_ID_LENGTH_MAX, book_of, is_ours, make_client_order_id

book_ids = st.text("0123456789abcdef", min_size=8, max_size=8)
times = st.integers(0, 2**43)
numbers = st.integers(1, 2**31)


def test_an_id_names_its_database_its_time_and_its_number() -> None:
    made = make_client_order_id("k7f3", 1_700_000_000_000, 26)

    assert made == "btcbot-k7f3-18bcfe56800-1a"
    assert is_ours(made)
    assert book_of(made) == "k7f3"


def test_two_orders_of_one_millisecond_and_two_runs_of_one_number_differ() -> None:
    ids = {make_client_order_id("k7f3", at_ms, number) for at_ms in (NOW_MS, NOW_MS + 1) for number in (1, 2)}

    assert len(ids) == 4


@pytest.mark.parametrize("foreign", [None, "", "meva2-BTCTRY-b-0011", "BTCBOT-k7f3-1-1", "xbtcbot-k7f3-1-1"])
def test_what_does_not_begin_like_ours_is_foreign(foreign: str | None) -> None:
    assert not is_ours(foreign)
    assert foreign is None or book_of(foreign) is None


@pytest.mark.parametrize("odd", ["btcbot-", "btcbot-k7f3", "btcbot-k7f3-1", "btcbot-k7f3-1-1-1"])
def test_an_id_of_another_shape_belongs_to_no_database(odd: str) -> None:
    assert is_ours(odd)
    assert book_of(odd) is None


def test_an_id_that_the_venue_would_cut_is_never_made() -> None:
    with pytest.raises(ValueError, match="longer than 50"):
        make_client_order_id("k" * 40, NOW_MS, 1)


def test_fifty_characters_are_not_too_many() -> None:
    """`btcbot-`, a name of 29, `-18bcfe56800-` and one digit: 7 + 29 + 13 + 1."""
    assert len(make_client_order_id("k" * 29, NOW_MS, 1)) == CLIENT_ORDER_ID_LENGTH_MAX == 50
    with pytest.raises(ValueError, match="longer than 50"):
        make_client_order_id("k" * 30, NOW_MS, 1)


@settings(deadline=None)
@given(one=st.tuples(book_ids, times, numbers), other=st.tuples(book_ids, times, numbers))
def test_ids_are_equal_only_when_everything_is(one: tuple[str, int, int], other: tuple[str, int, int]) -> None:
    made, made_other = make_client_order_id(*one), make_client_order_id(*other)

    assert (made == made_other) == (one == other)
    assert book_of(made) == one[0]
    assert len(made) <= CLIENT_ORDER_ID_LENGTH_MAX
