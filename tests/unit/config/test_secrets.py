"""A secret shows itself to nobody who does not ask."""

from __future__ import annotations

import base64
import copy
import hashlib
import pickle
from datetime import date

import pytest

from btcbot.config.secrets import RotationState, Secret, key_fingerprint, known_secret_forms, rotation

TEXT = "c2VjcmV0+with/odd=="


def test_it_prints_as_a_mask() -> None:
    secret = Secret(TEXT)

    for shown in (
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret!r:>30}",
        f"{secret}",
        repr([secret, {"a": secret}]),
    ):
        assert TEXT not in shown and "**********" in shown
    assert secret.reveal() == TEXT


def test_it_is_neither_pickled_nor_copied_nor_dumped() -> None:
    secret = Secret(TEXT)

    for leak in (pickle.dumps, copy.copy, copy.deepcopy, vars):
        with pytest.raises(TypeError):
            leak(secret)


def test_equality_by_value() -> None:
    assert Secret(TEXT) == Secret(TEXT) != Secret(TEXT + "x")
    assert Secret(TEXT) != TEXT
    assert len({Secret(TEXT), Secret(TEXT)}) == 1


@pytest.mark.parametrize("text", ["", " ", "a b", "a\n", "é", "a\x00"])
def test_it_fits_into_a_header(text: str) -> None:
    with pytest.raises(ValueError, match="copy it again"):
        Secret(text)


def test_a_fingerprint_names_a_key_and_does_not_hold_it() -> None:
    assert key_fingerprint(Secret(TEXT)) == hashlib.sha256(TEXT.encode()).hexdigest()[:16]


def test_all_spellings_are_known() -> None:
    content = b"\x01\x02 raw bytes of a key \xff\xfe"
    raw = base64.b64encode(content).decode()

    forms = known_secret_forms(Secret(raw))

    assert {
        raw,
        raw.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D"),
        raw.encode().hex(),
        base64.b64encode(raw.encode()).decode(),
        content.hex(),
        content.hex().upper(),
        raw.rstrip("="),
    } <= forms


@pytest.mark.parametrize(
    ("rotated_at", "state", "word"),
    [
        (date(2026, 6, 30), RotationState.FRESH, ""),
        (date(2026, 6, 2), RotationState.FRESH, ""),
        (date(2026, 6, 1), RotationState.WARN, "30 days old"),
        (date(2026, 4, 2), RotationState.WARN, "90 days old"),
        (date(2026, 4, 1), RotationState.EXPIRED, "91 days old, at most 90"),
        (date(2026, 7, 2), RotationState.WARN, "in the future"),
        (None, RotationState.WARN, "not set"),
    ],
)
def test_an_old_key_is_warned_about_then_refused(rotated_at: date | None, state: RotationState, word: str) -> None:
    verdict = rotation(rotated_at, today=date(2026, 7, 1), warn_days=30, age_days_max=90)

    assert verdict.state is state
    assert word in verdict.line
