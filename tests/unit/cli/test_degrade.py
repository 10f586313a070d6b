"""`btcbot degrade`: what it tells, and what it asks for."""

from __future__ import annotations

import socket
from pathlib import Path

import msgspec
import pytest
from tests.unit.cli.books import FakeBot, Run, refused

from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.cli import reading
from btcbot.decisions.anomalies import Anomaly, AnomalyCode, Severity
from btcbot.decisions.degrade import DegradeRules, DegradeState
from btcbot.domain.money import ONE
from btcbot.services.degrade_record import DEGRADE, Kept, encoded, put_anomaly, put_change

RULES = DegradeRules(
    warn_codes=frozenset({AnomalyCode.FEED_STALLED}),
    warn_threshold=3,
    cooldown_ms=900_000,
    quiet_cycles=4,
    buy_share=ONE,
    symbols_max=8,
)


@pytest.fixture
def degraded(book: Path) -> Path:
    """A bot at level 1 for a minute, after a feed that stalled with a red word in its cause."""
    now_ms = reading.now_ms()
    machine = DegradeState(
        level=1, since_ms=now_ms - 60_000, cooldown_from_ms=now_ms - 60_000, why="FEED_STALLED: 31 s", codes=()
    )
    store = SqliteStore.open(book)
    with store.transaction() as tx:
        tx.put_value(DEGRADE, encoded(Kept(machine=machine, rules=RULES)))
        for number in range(12):
            anomaly = Anomaly(AnomalyCode.FEED_STALLED, Severity.WARN, f"silent\x1b[31m for {number} s")
            put_anomaly(tx, anomaly, "c00000007", 1_000 + number)
        put_change(tx, "raised", 0, 1, "FEED_STALLED: 31 s", "c00000007", 1_011)
    store.close()
    return book


def kept(book: Path) -> Kept:
    store = SqliteStore.open(book, read_only=True)
    try:
        return msgspec.json.decode(store.value(DEGRADE) or "{}", type=Kept)
    finally:
        store.close()


def test_a_book_that_never_degraded(run: Run, book: Path) -> None:
    told = run("degrade", "status", "--json", "--db", book).json
    assert (told["level"], told["mode"], told["why"], told["override"]) == (0, "NORMAL", "", None)
    assert (told["anomalies"], told["changes"]) == ([], [])
    shown = run("degrade", "status", "--db", book).out
    assert "nothing unusual" in shown
    assert "kept for      nothing to keep" in shown


def test_it_tells_level_cause_cooldown_and_the_last_ten_anomalies(run: Run, degraded: Path) -> None:
    told = run("degrade", "status", "--json", "--db", degraded).json
    assert (told["level"], told["mode"], told["why"]) == (1, "NORMAL", "FEED_STALLED: 31 s")
    by = told["by_anomalies"]
    assert by["level"] == 1
    assert 830 <= by["cooldown_left_s"] <= 840
    assert [one["at_ms"] for one in told["anomalies"]] == list(range(1_002, 1_012))
    assert (told["anomalies"][0]["code"], told["anomalies"][0]["severity"]) == ("FEED_STALLED", "WARN")
    assert [(one["what"], one["before"], one["after"]) for one in told["changes"]] == [("raised", 0, 1)]
    shown = run("degrade", "status", "--db", degraded)
    assert "level 1, NORMAL - FEED_STALLED: 31 s" in shown.out
    assert f"s more, then until {RULES.quiet_cycles * 2} cycles in a row are quiet (0 so far)" in shown.out
    assert "\x1b" not in shown.out


def test_no_command_asks_the_exchange(run: Run, degraded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """mistake 27: with no network at all they do what they are for."""

    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("a command opened a connection")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "create_connection", no_network)
    assert run("degrade", "status", "--db", degraded).status == 0
    assert run("degrade", "override", "--mode", "OBSERVE_ONLY", "--reason", "maintenance", "--db", degraded).status == 0
    assert run("degrade", "clear", "--db", degraded).status == 0


def test_override_and_clear_without_a_running_bot(run: Run, degraded: Path) -> None:
    arguments = ("degrade", "override", "--mode", "observe_only", "--cooldown-seconds", "60", "--reason", "thin books")
    said = run(*arguments, "--json", "--db", degraded)
    assert said.json["by"] == "this command"
    assert "level 3 (OBSERVE_ONLY) is in force for 60 s" in said.json["text"]
    told = run("degrade", "status", "--json", "--db", degraded).json
    assert (told["level"], told["mode"]) == (3, "OBSERVE_ONLY")
    assert told["override"]["reason"] == "thin books"
    assert 50 <= told["override"]["left_s"] <= 60
    assert told["by_anomalies"]["level"] == 1
    assert run("degrade", "clear", "--reason", "the feed is back", "--db", degraded).status == 0
    told = run("degrade", "status", "--json", "--db", degraded).json
    assert (told["level"], told["override"]) == (0, None)
    assert [one["what"] for one in told["changes"]] == ["raised", "overridden", "cleared"]
    assert told["changes"][-1]["why"] == "the feed is back"
    assert kept(degraded).machine.warnings_in_a_row == 0


def test_normal_lasts_no_time_unless_it_is_said(run: Run, degraded: Path) -> None:
    assert run("degrade", "override", "--mode", "NORMAL", "--reason", "looked", "--db", degraded).status == 0
    assert kept(degraded).machine.override is None
    assert run("degrade", "status", "--json", "--db", degraded).json["level"] == 0
    asked = ("degrade", "override", "--mode", "NORMAL", "--cooldown-seconds", "30", "--reason", "looked")
    assert run(*asked, "--db", degraded).status == 0
    assert kept(degraded).machine.override is not None


@pytest.mark.parametrize(
    ("arguments", "kind", "wanted"),
    [
        (
            ("override", "--mode", "REDUCE_RISK_ONLY", "--reason", "x"),
            "degrade_override",
            {"mode": "REDUCE_RISK_ONLY", "seconds": "900", "reason": "x"},
        ),
        (("clear",), "degrade_clear", {"reason": "by the operator"}),
    ],
)
def test_a_running_bot_is_asked(
    run: Run, book: Path, arguments: tuple[str, ...], kind: str, wanted: dict[str, str]
) -> None:
    with FakeBot(book, answers=True) as bot:
        said = run("degrade", *arguments, "--json", "--db", book)
    (asked,) = bot.requests
    assert (asked.kind, dict(asked.arguments)) == (kind, wanted)
    assert said.json["done"] is True


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((), "status, clear or override"),
        (("stats",), "stats"),
        (("override", "--reason", "x"), "--mode"),
        (("override", "--mode", "OBSERVE_ONLY"), "--reason"),
        (("override", "--mode", "OBSERVE", "--reason", "x"), "did you mean OBSERVE_ONLY?"),
        (("override", "--mode", "12345", "--reason", "x"), "NORMAL, REDUCE_RISK_ONLY, OBSERVE_ONLY"),
        (("override", "--mode", "OBSERVE_ONLY", "--reason", "  "), "why"),
        (("override", "--mode", "OBSERVE_ONLY", "--cooldown-seconds", "0", "--reason", "x"), "no time"),
        (("override", "--mode", "OBSERVE_ONLY", "--cooldown-seconds", "1e9", "--reason", "x"), "--cooldown-seconds"),
        (("status",), "no database"),
        (("clear",), "no database"),
    ],
)
def test_a_wrong_call_is_one_line(run: Run, tmp_path: Path, arguments: tuple[str, ...], word: str) -> None:
    refused(run("degrade", *arguments), word)
    assert list(tmp_path.iterdir()) == []
