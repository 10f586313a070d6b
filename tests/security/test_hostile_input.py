"""What the fuzzer of the proof has found, told as examples: each was an error that nobody foresaw, or took seconds."""

from __future__ import annotations

import time

import httpx2
import pytest
from tests.unit.btcturk.support import Rig, no

from btcbot.adapters.btcturk.breaker import retry_after_s
from btcbot.config import values
from btcbot.config.env_file import parse_env_file
from btcbot.config.loading import load_settings
from btcbot.domain.outcomes import Refused
from btcbot.errors import ConfigurationError, VenueUnavailable


@pytest.mark.parametrize("space", ["\x1c", "\x1d", "\x1e", "\x1f", "\x85", "\xa0", " ", "\t"])
def test_a_retry_after_with_odd_space_around_it_is_read_or_not_and_never_an_error(space: str) -> None:
    """`str.strip` takes for space what `float` does not: the error came out of `submit`, which never raises."""
    for text in (f"5{space}", f"{space}5", f"{space}5{space}"):
        assert retry_after_s(text) in (5.0, None)


def test_a_write_survives_such_a_header() -> None:
    rig = Rig(
        lambda call: httpx2.Response(429, headers=[(b"Retry-After", b"5\x1e")], json=no("TOO_MANY_REQUESTS", 429))
    )

    assert isinstance(rig.submit(), Refused)
    with pytest.raises(VenueUnavailable):
        rig.client.balances()


@pytest.mark.parametrize("text", ["A" * 60_000 + "!", "A" * 30_000 + "_" + "A" * 30_000 + "!", "A_" * 30_000])
def test_a_symbol_without_end_is_refused_at_once(text: str) -> None:
    started = time.thread_time()
    with pytest.raises(ValueError, match="2 to 20 letters"):
        values.symbols(text)
    assert time.thread_time() - started < 0.05


def test_a_secret_pasted_twice_as_a_line_of_its_own_is_not_repeated() -> None:
    """Base64 that ends with `=` reads like a name without a value."""
    pasted = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"
    problems = parse_env_file(f"{pasted}==\n{pasted}==\n", "f").problems

    assert problems
    assert all(pasted[:8] not in line and len(line) < 200 for line in problems)


def test_a_name_without_end_given_twice_is_told_in_a_line_of_ordinary_length() -> None:
    (line,) = parse_env_file("B" * 60_000 + "=1\n" + "B" * 60_000 + "=2\n", "f").problems
    assert len(line) < 200


@pytest.mark.parametrize("name", ["BTCTURK_API_KEY_FILE", "BTCTURK_API_SECRET_FILE"])
def test_a_secret_in_place_of_its_files_name_is_refused_without_showing_it(name: str) -> None:
    """Too long for a name, the system's own error would have shown it in a traceback."""
    for text in ("canary" * 10, "canary" * 100, "canary/" * 1_000):
        with pytest.raises(ConfigurationError) as caught:
            load_settings({name: text}, default_env_file=None)
        assert "canary" not in str(caught.value)


def test_a_credentials_folder_with_an_impossible_name_is_no_error() -> None:
    load_settings({"CREDENTIALS_DIRECTORY": "x" * 5_000}, default_env_file=None)
