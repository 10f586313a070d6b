"""Bodies that change on their way: what is broken, and what must stay as the venue said it."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from btcbot.testing import bodies

ORDER = (
    b'{"data":{"id":21771006216,"price":"1000000","amount":"0.0005","pairSymbol":"BTCTRY","type":"buy",'
    b'"method":"limit","orderClientId":"btcbot-5eed5eed-1-1","status":"Untouched","leftAmount":"0.0005000000000000"},'
    b'"success":true,"message":null,"code":0}'
)
TRADES = (
    b'{"data":[{"id":3,"amount":"0.0005","preciseAmount":0.0005000000000000,"price":"1"},'
    b'{"id":2,"amount":"0.1","preciseAmount":0.1,"price":"1"},{"id":1,"amount":"7","preciseAmount":7,"price":"1"}],'
    b'"success":true,"message":"SUCCESS","code":0}'
)
BOOK = b'{"data":{"timestamp":1,"bids":[["10","1"],["9","2"]],"asks":[["11","1"],["12","2"]]},"success":true,"code":0}'
EVERY = [(which, how) for which in range(15) for how in range(6)]


def read(body: bytes) -> Any:
    return json.loads(body, parse_float=Decimal)


@pytest.mark.parametrize("numbers", EVERY)
def test_of_two_values_under_one_name_the_last_is_the_venues(numbers: tuple[int, int]) -> None:
    body = bodies.twice_keyed(ORDER, numbers)

    assert len(body) > len(ORDER)
    assert read(body) == read(ORDER)


@pytest.mark.parametrize("numbers", EVERY)
def test_scientific_notation_is_the_same_amount(numbers: tuple[int, int]) -> None:
    body = bodies.exponent(ORDER, numbers)

    before, after = read(ORDER)["data"], read(body)["data"]
    assert b"E" in body
    assert {name: Decimal(after[name]) for name in ("price", "amount", "leftAmount")} == {
        name: Decimal(before[name]) for name in ("price", "amount", "leftAmount")
    }


@pytest.mark.parametrize("numbers", EVERY)
def test_a_wrong_type_is_a_wrong_type(numbers: tuple[int, int]) -> None:
    before, after = read(ORDER), read(bodies.wrong_type(ORDER, numbers))

    pairs = [(before[n], after[n]) for n in ("success", "message", "code")]
    pairs += [(before["data"][n], after["data"][n]) for n in before["data"]]
    (changed,) = [(one, other) for one, other in pairs if one != other or type(one) is not type(other)]
    assert type(changed[0]) is not type(changed[1])


def test_a_word_that_nobody_knows() -> None:
    words = {read(bodies.unknown_word(ORDER, numbers))["data"]["status"] for numbers in EVERY}

    assert {"Untouched", "SUSPENDED", "Expired", ""} <= words


@pytest.mark.parametrize(("which", "is_readable"), [(0, True), (1, False)])
def test_a_field_too_deep_to_be_read(which: int, *, is_readable: bool) -> None:
    body = bodies.deep(ORDER, (which,))

    if is_readable:
        assert read(body)["data"] == read(ORDER)["data"]
    else:
        with pytest.raises(RecursionError):
            read(body)


def test_rows_are_reordered_repeated_and_left_out() -> None:
    def ids(body: bytes) -> list[int]:
        return [row["id"] for row in read(body)["data"]]

    assert ids(bodies.shuffled(TRADES, (4,))) != [3, 2, 1]
    assert sorted(ids(bodies.shuffled(TRADES, (4,)))) == [1, 2, 3]
    assert ids(bodies.doubled(TRADES, (1,))) == [3, 2, 1, 3, 2]
    assert ids(bodies.part_missing(TRADES, (0, 0))) == [2, 1]
    assert ids(bodies.part_missing(TRADES, (1, 5))) == [3]
    rounded = read(bodies.without_precise_amount(TRADES, ()))["data"]
    assert [set(row) for row in rounded] == [{"id", "amount", "price"}] * 3


def test_our_order_becomes_somebody_elses_and_only_ours() -> None:
    told = [read(bodies.of_another_order(ORDER, (which,)))["data"] for which in (0, 1)]

    assert [(one["id"], one["status"], one["leftAmount"]) for one in told] == [
        (21771006216, "Canceled", "0.0005000000000000"),
        (21771006216, "Closed", "0"),
    ]
    assert not any(one["orderClientId"].startswith("btcbot-") for one in told)
    assert bodies.of_another_order(ORDER.replace(b"btcbot-", b"human-"), (0,)) == ORDER.replace(b"btcbot-", b"human-")


def test_books_that_cannot_be() -> None:
    crossed, empty, free = bodies.crossed(BOOK, ()), bodies.one_sided(BOOK, (0,)), bodies.without_price(BOOK, (1,))

    assert read(crossed)["data"]["bids"][0] == ["11", "1"]
    assert read(empty)["data"]["bids"] == []
    assert [price for price, _ in read(free)["data"]["asks"]] == ["0", "0"]
    assert read(free)["data"]["bids"] == read(BOOK)["data"]["bids"]


def test_what_finds_nothing_to_change_changes_nothing() -> None:
    nothing = b"[]"

    for remake in (bodies.twice_keyed, bodies.wrong_type, bodies.unknown_word, bodies.exponent, bodies.shuffled,
                   bodies.part_missing, bodies.of_another_order, bodies.one_sided, bodies.without_price):  # fmt: skip
        assert remake(nothing, (0, 0)) == nothing
