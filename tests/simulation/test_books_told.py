"""What the checkers read of a book that REST told, when somebody on the way has been at it."""

from decimal import Decimal

import pytest

from btcbot.adapters.btcturk.wire.envelope import open_envelope
from btcbot.adapters.btcturk.wire.values import WireError
from btcbot.testing.checkers.scene import _best_of

WHOLE = b'{"data":{"timestamp":1,"bids":[["14.20","10"],["14.19","5"]],"asks":[["14.30","7.5"]]},"success":true}'


def best(body: bytes) -> tuple[bool, list[Decimal]]:
    is_whole, bid, ask = _best_of(body)
    return is_whole, [Decimal(bid[0]), Decimal(ask[0])]


def test_the_first_level_of_each_side_is_the_best_one() -> None:
    assert best(WHOLE) == (True, [Decimal("14.20"), Decimal("14.30")])


def test_behind_a_byte_order_mark_nothing_is_told_for_the_bot_reads_none_such() -> None:
    marked = b"\xef\xbb\xbf" + WHOLE
    with pytest.raises(WireError):
        open_envelope(marked)
    with pytest.raises(ValueError, match="byte order mark"):
        best(marked)


def test_numbers_in_place_of_texts_are_as_exact() -> None:
    assert best(WHOLE.replace(b'"14.20"', b"14.20000000000000000001"))[1][0] == Decimal("14.20000000000000000001")
    assert best(WHOLE.replace(b'"14.20"', b'"1.42E+1"'))[1][0] == Decimal("14.2")


def test_a_level_of_another_type_is_read_as_far_as_it_can_be() -> None:
    assert best(WHOLE.replace(b'"14.20"', b"true"))[1] == [Decimal(1), Decimal("14.30")]
    assert best(WHOLE.replace(b'["14.19","5"]', b"null")) == best(WHOLE)


@pytest.mark.parametrize("side", [b'[["14.20","10"],["14.19","5"]]', b'[["14.30","7.5"]]'])
def test_a_side_without_anything_makes_no_book(side: bytes) -> None:
    assert not best(WHOLE.replace(side, b"[]"))[0]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"<html>", b'{"data":null}', WHOLE.replace(b'"14.20"', b"null"), WHOLE[:40], b'{"data":{}}']
)
def test_what_cannot_be_read_is_told_as_it_always_was(body: bytes) -> None:
    with pytest.raises((ValueError, LookupError, TypeError, ArithmeticError)):
        best(body)
