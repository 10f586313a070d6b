"""Our signing against theirs: the published vectors, the golden ones, and whatever comes to mind."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from btcbot.adapters.btcturk.signing import Signer
from btcbot.config.secrets import Secret
from judges.signatures import (
    BTCTURK_API,
    CCXT,
    GOLDEN_VECTORS,
    PUBLISHED,
    Question,
    headers_by_ccxt,
    questions,
    signature_by_btcturk_api,
    signed,
)

CLIENT = f"signing, against {CCXT} and {BTCTURK_API}"

KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64)
SECRETS = st.binary(min_size=1, max_size=130).map(lambda raw: base64.b64encode(raw).decode("ascii"))
NONCES = st.integers(min_value=1, max_value=9_999_999_999_999)


def signed_by_us(question: Question) -> str:
    return Signer(Secret(question.key), Secret(question.secret)).signature(question.nonce)


@pytest.mark.parametrize("question", PUBLISHED, ids=lambda question: str(question.nonce))
def test_published_vectors(question: Question) -> None:
    """the published vectors, by all three"""
    wanted = PUBLISHED[question]
    assert signed_by_us(question) == wanted
    assert headers_by_ccxt(question)["X-Signature"] == wanted
    assert signature_by_btcturk_api(question) == wanted


@settings(max_examples=200, deadline=None, derandomize=True)
@given(key=KEYS, secret=SECRETS, nonce=NONCES)
def test_headers_like_ccxt(key: str, secret: str, nonce: int) -> None:
    """all four headers of a request, as ccxt makes them"""
    ours = Signer(Secret(key), Secret(secret)).headers(nonce)
    theirs = headers_by_ccxt(Question(key, secret, nonce))
    assert {name.decode(): value.decode() for name, value in ours} == theirs


@settings(max_examples=200, deadline=None, derandomize=True)
@given(key=KEYS, secret=SECRETS, second=st.integers(min_value=1, max_value=9_999_999_999))
def test_signature_like_btcturk_api(key: str, secret: str, second: int) -> None:
    """a signature, as btcturk-api makes it"""
    question = Question(key, secret, second * 1000)
    assert signed_by_us(question) == signature_by_btcturk_api(question)


def test_golden_vectors() -> None:
    """the golden vectors are what the clients sign today"""
    held: list[dict[str, Any]] = json.loads(GOLDEN_VECTORS.read_text(encoding="utf-8"))
    assert held == [signed(question) for question in questions()]
    assert [signed_by_us(question) for question in questions()] == [vector["signature"] for vector in held]
