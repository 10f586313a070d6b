"""Unique secrets are looked for wherever they could have leaked; and the search is shown to find what is there."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from proof.canaries import PREFIX_BYTES_MIN, Canary, Places, Search, planted, run, spellings

from btcbot.adapters.redaction import Redactor
from btcbot.config.secrets import Secret, known_secret_forms


@pytest.fixture
def canary(tmp_path: Path) -> Canary:
    return Canary(tmp_path / "keys")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_leaks_from_trading_refusals_failures_and_crashes() -> None:
    result = run()

    assert result.failures == []
    assert result.counts["hits"] == 0
    assert result.counts["places"] >= 100
    assert result.counts["signatures"] >= 20  # requests were signed, and none of the signatures stands anywhere
    assert result.counts["bytes"] > 1_000_000


# -- whether it would notice ------------------------------------------------------------------------------------------


def test_every_spelling_is_found_when_it_is_there(canary: Canary) -> None:
    count, missed = planted(Search([canary]))

    assert missed == []
    assert count >= 30


def test_the_spellings_of_the_redaction_are_all_looked_for(canary: Canary) -> None:
    """The product's own list, made apart from the search's, brings nothing that the search does not see."""
    search = Search([canary])
    for text in (canary.key, canary.secret):
        for form in known_secret_forms(Secret(text)):
            assert search.hits("there", f"before {form} after".encode()), form


@pytest.mark.parametrize("cut", [PREFIX_BYTES_MIN, 10, 20])
def test_a_beginning_is_a_leak_already(canary: Canary, cut: int) -> None:
    search = Search([canary])
    assert search.hits("cut off", f"…{canary.key[:cut]}…".encode())
    assert search.hits("from the middle", f"…{canary.secret[5:17]}…".encode())
    assert search.hits("seven", canary.key[:7].encode()) == []


def test_a_leak_in_a_database_is_found_in_its_file_and_in_its_log(canary: Canary, tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "books.db")
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE notes (text TEXT)")
    database.execute("INSERT INTO notes VALUES (?)", (f"key {canary.key}",))
    database.commit()
    places, search = Places(), Search([canary])
    places.add_files(tmp_path, frozenset({canary.key_file, canary.secret_file}), "while open")
    database.close()
    places.add_files(tmp_path, frozenset({canary.key_file, canary.secret_file}), "closed")

    found = {hit.place for place, content in places.contents.items() for hit in search.hits(place, content)}

    assert found == {"while open: books.db-wal", "closed: books.db"}


def test_a_signature_in_a_log_is_found(canary: Canary) -> None:
    search = Search([canary])
    assert search.look_for_signatures(canary, ["1790133600027", "1790133600028"]) == 2
    assert search.hits("log", f'"X-Signature":"{canary.signature("1790133600028")}"'.encode())
    assert not search.hits("log", canary.signature("1790133600029").encode())


def test_without_redaction_a_log_line_would_leak(canary: Canary) -> None:
    line = f"sending failed: (b'X-PCK', b'{canary.key}') and {canary.secret}"
    search = Search([canary])
    with_values_known = Redactor([Secret(canary.key), Secret(canary.secret)])
    assert search.hits("by name alone", Redactor().text(line).encode())
    assert search.hits("by value", with_values_known.text(line).encode()) == []


def test_two_canaries_share_no_spelling(canary: Canary, tmp_path: Path) -> None:
    other = Canary(tmp_path / "other")
    for text in (other.key, other.secret):
        for form in spellings(text).values():
            assert Search([canary]).hits("other", form) == []
