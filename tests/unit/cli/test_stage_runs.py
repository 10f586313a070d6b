"""`btcbot stage4-run` and `stage7-run` where they say no: one line that names the setting, status 2, nothing touched;
and a cycle of each that is simulated."""

from __future__ import annotations

import json
import socket
from decimal import Decimal
from pathlib import Path

import pytest
from tests.unit.cli.books import KEY, SECRET, Run, Said, Venue, refused

from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.domain.orders import OrderStatus
from btcbot.domain.positions import Position

PAIRS = "BTCTRY,ETHTRY,SOLTRY"
STAGES = ("stage4-run", "stage7-run")


@pytest.fixture
def at_venue(run: Run, venue: Venue, monkeypatch: pytest.MonkeyPatch) -> Venue:
    """Settings of a dry run against the local BtcTurk, with a strategy that needs no bars."""
    for name, text in {"BTCTURK_BASE_URL": venue.url, "SYMBOLS": PAIRS, "STRATEGY": "portfolio"}.items():
        monkeypatch.setenv(name, text)
    return venue


def demand_one_line(said: Said, *words: str) -> None:
    """Refused in one line that holds all these words, before any database was made."""
    refused(said, *words)
    assert list(Path().glob("*.db*")) == []


def refused_late(said: Said, *words: str) -> None:
    """Refused when the venue or the database had been looked at: the same line, and the log has it too."""
    assert (said.status, said.out) == (2, ""), said
    logged = [json.loads(line)["event"] for line in said.err.splitlines() if line.startswith("{")]
    assert "run_ended_by_error" in logged
    [line] = [line for line in said.err.splitlines() if not line.startswith("{")]
    assert line.startswith("btcbot: ")
    for word in words:
        assert word in line


@pytest.mark.parametrize("command", STAGES)
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"PORTFOLIO_TARGETS": "BTCTRY:0.6,ETHTRY:0.3"}, ("PORTFOLIO_TARGETS", "0.9")),
        ({"PORTFOLIO_TARGETS": "BTCTRY:0.6,ETHTRY:0.6"}, ("PORTFOLIO_TARGETS", "1.2")),
        ({"PORTFOLIO_TARGETS": "BTCTRY:1.2,ETHTRY:-0.2"}, ("PORTFOLIO_TARGETS",)),
        ({"PORTFOLIO_TARGETS": "BTCTRY:0.5,BTCTRY:0.5"}, ("PORTFOLIO_TARGETS", "twice")),
        ({"PORTFOLIO_TARGETS": "BTCTRY:0.5,DOGETRY:0.5"}, ("PORTFOLIO_TARGETS", "DOGETRY", "SYMBOLS")),
        ({"PORTFOLIO_TARGETS": "half of it"}, ("PORTFOLIO_TARGETS",)),
        ({"PORTFOLIO_TARGETS": '{"BTCTRY":'}, ("PORTFOLIO_TARGETS",)),
        ({"INVESTABLE_USAGE_MODE": "cap"}, ("MAX_TRY_PER_CYCLE",)),
        ({"INVESTABLE_USAGE_MODE": "half"}, ("INVESTABLE_USAGE_MODE",)),
        ({"INVESTABLE_USAGE_FRACTION": "0.5"}, ("INVESTABLE_USAGE_FRACTION", "use_all")),
        ({"MAX_TRY_PER_CYCLE": "500"}, ("MAX_TRY_PER_CYCLE", "use_all")),
        ({"TRY_CASH_MAX": "100"}, ("TRY_CASH_MAX", "TRY_CASH_TARGET")),
        ({"RISK_BUY_STOP_DRAWDOWN_PCT": "40"}, ("RISK_BUY_STOP_DRAWDOWN_PCT", "MAX_DRAWDOWN_PCT")),
        ({"PNL_DIVERGENCE_TRY_ERROR": "10"}, ("PNL_DIVERGENCE_TRY_ERROR", "PNL_DIVERGENCE_TRY_WARN")),
        ({"STUCK_CYCLE_SECONDS": "1"}, ("STUCK_CYCLE_SECONDS", "LATENCY_SPIKE_MS")),
        ({"DEGRADE_WARN_CODES": "FEED_STALLT"}, ("DEGRADE_WARN_CODES", "FEED_STALLED")),
        ({"KILL_CHAIN_MAX_CONSECUTIVE_ERROR": "3"}, ("KILL_CHAIN_MAX_CONSECUTIVE_ERRORS",)),
        ({"AGENT_POLICY_ENABLED": "true", "AGENT_POLICY_PROVIDER": "llm", "AGENT_LLM_MODEL": "m"}, ("AGENT_LLM_URL",)),
        ({"AGENT_POLICY_PROVIDER": "llm"}, ("AGENT_POLICY_PROVIDER", "AGENT_POLICY_ENABLED")),
        (
            {
                "AGENT_POLICY_ENABLED": "true",
                "AGENT_POLICY_PROVIDER": "llm",
                "AGENT_LLM_MODEL": "m",
                "AGENT_LLM_URL": "http://example.com/v1/chat/completions",
            },
            ("AGENT_LLM_URL", "https"),
        ),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_meant_are_refused_by_name(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: str, settings: dict[str, str], words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("SYMBOLS", PAIRS)
    for name, text in settings.items():
        monkeypatch.setenv(name, text)
    demand_one_line(run(command), *words)


@pytest.mark.parametrize(
    "settings",
    [
        {"DRY_RUN": "false"},
        {"LIVE_TRADING": "true", "DRY_RUN": "false"},
        {"LIVE_TRADING": "true"},
    ],
)
def test_stage7_outside_its_gate_is_refused_even_with_everything_that_arms(
    run: Run, monkeypatch: pytest.MonkeyPatch, venue: Venue, settings: dict[str, str]
) -> None:
    armed = {"LIVE_TRADING_ACK": "I_UNDERSTAND", "BTCTURK_API_KEY": KEY, "BTCTURK_API_SECRET": SECRET}
    for name, text in {"BTCTURK_BASE_URL": venue.url, **armed, **settings}.items():
        monkeypatch.setenv(name, text)
    said = run("stage7-run")
    assert said.status == 2
    assert "LIVE_TRADING" in said.err
    assert list(Path().glob("*.db*")) == []


def test_stage4_that_could_never_trade_is_refused_and_not_taken_for_alive(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRY_RUN", "false")
    demand_one_line(run("stage4-run"), "LIVE_TRADING", "DRY_RUN")


def test_two_ways_to_simulate_at_once_are_refused(run: Run) -> None:
    demand_one_line(run("stage4-run", "--dry-run", "--paper"), "--dry-run and --paper")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("MAX_INTENT_NOTIONAL_TRY", "50"),
        ("NOTIONAL_CAP_TRY_PER_CYCLE", "99"),
        ("MAX_POSITION_TRY_PER_SYMBOL", "100"),
        ("MAX_NOTIONAL_PER_ORDER_TRY", "80"),
        ("MAX_TOTAL_EXPOSURE_TRY", "50"),
        ("RISK_MAX_GROSS_EXPOSURE_TRY", "50"),
        ("AGENT_MAX_ORDER_NOTIONAL_TRY", "50"),
    ],
)
@pytest.mark.parametrize("command", STAGES)
def test_a_cap_below_the_venues_minimum_is_refused_with_the_number(
    run: Run, at_venue: Venue, monkeypatch: pytest.MonkeyPatch, command: str, name: str, text: str
) -> None:
    monkeypatch.setenv("ADAPTATION_ENABLED", "false")
    monkeypatch.setenv("AGENT_POLICY_ENABLED", "true")
    monkeypatch.setenv(name, text)
    said = run(command, *(["--dry-run"] if command == "stage4-run" else []))
    refused_late(said, name, f" {text} is below ")


@pytest.mark.parametrize("command", STAGES)
def test_symbols_that_the_venue_does_not_list_are_refused_with_the_nearest(
    run: Run, at_venue: Venue, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("SYMBOLS", "BTCTRY,ETHTRI")
    said = run(command)
    refused_late(said, "SYMBOLS")
    assert "did you mean ETHTRY?" in said.err


@pytest.mark.parametrize("command", STAGES)
def test_an_agent_that_lets_no_traded_pair_through_is_refused(
    run: Run, at_venue: Venue, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("AGENT_POLICY_ENABLED", "true")
    monkeypatch.setenv("SYMBOLS", "BTCTRY,ETHTRY")
    monkeypatch.setenv("AGENT_SYMBOL_ALLOWLIST", "SOLTRY")
    refused_late(run(command), "AGENT_SYMBOL_ALLOWLIST", "name one of BTCTRY, ETHTRY")


def test_a_budget_of_another_strategy_refuses_no_start(
    run: Run, at_venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENTRY_BUDGET_TRY, 500 by default, is below the least order: the portfolio never spends it."""
    monkeypatch.setenv("MIN_ORDER_NOTIONAL_TRY", "600")
    monkeypatch.setenv("MAX_INTENT_NOTIONAL_TRY", "700")
    said = run("stage4-run", "--dry-run")
    assert said.status == 0, said.err
    monkeypatch.delenv("MAX_INTENT_NOTIONAL_TRY")
    monkeypatch.setenv("STRATEGY", "profit_v1")
    refused_late(run("run"), "ENTRY_BUDGET_TRY: 500 less the fee is below the minimum of 600")


@pytest.mark.parametrize(("command", "target", "is_told"), [
    ("run", "2000", True), ("stage4-run", "2000", True), ("stage7-run", "2000", True),
    ("run", "300", False), ("stage4-run", "300", False), ("stage7-run", "300", False),
])  # fmt: skip
def test_a_start_that_can_buy_nothing_says_so_and_which_settings_to_change(
    run: Run, at_venue: Venue, monkeypatch: pytest.MonkeyPatch, command: str, target: str, is_told: bool
) -> None:
    """1,000 TRY in the account of a dry run. The cycles complete all the same."""
    monkeypatch.setenv("TRY_CASH_TARGET", target)
    monkeypatch.setenv("TRY_CASH_MAX", "2000")
    said = run(command)
    assert said.status == 0, said.err
    told = [line for line in said.err.splitlines() if line.startswith("btcbot ") and "nothing can be bought" in line]
    assert len(told) == is_told
    for line in told:
        assert line.startswith(f"btcbot {command}: nothing can be bought: 1000 TRY are there")
        assert "lower TRY_CASH_TARGET, or raise DRY_RUN_TRY_BALANCE" in line
    assert ("nothing_can_be_bought" in said.err) == is_told, "the log has it too"


def test_adaptation_that_would_begin_outside_its_bounds_is_refused(
    run: Run, at_venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADAPTATION_UNIVERSE_MIN", "9")
    monkeypatch.setenv("UNIVERSE_TOP_N", "2")
    said = run("stage7-run", "--include-adaptation")
    refused_late(said, "UNIVERSE_TOP_N", "9 to 50")
    assert run("stage7-run", "--no-include-adaptation").status == 0


def test_a_corrupt_adaptation_checkpoint_is_refused_with_what_mends_it(run: Run, at_venue: Venue) -> None:
    from btcbot.services.adaptation import STATE

    assert run("stage7-run", "--db", "adaptive.db").status == 0
    store = SqliteStore.open(Path("adaptive.db"))
    with store.transaction() as tx:
        tx.put_value(STATE, '{"format":1,"sha256":"00","course":{}}')
    store.close()
    said = run("stage7-run", "--db", "adaptive.db")
    refused_late(said, "damaged")
    assert "btcbot params reset" in said.err


@pytest.mark.parametrize("command", STAGES)
def test_one_cycle_without_keys_is_simulated_and_says_so(run: Run, at_venue: Venue, command: str) -> None:
    said = run(command, "--db", "one.db", *(["--dry-run"] if command == "stage4-run" else []))
    assert said.status == 0, said.err
    assert f"btcbot {command}: side effects BLOCKED by dry_run" in said.err
    assert "database_of_another_key" not in said.err, "it is of no key at all"
    store = SqliteStore.open(Path("one.db"), read_only=True)
    try:
        [report] = store.cycles(10)
        assert report.profile == command
        assert report.counts["intents"] >= 2
        statuses = {order.status for order in store.recent_orders(100)}
    finally:
        store.close()
    assert statuses == ({OrderStatus.SIMULATED} if command == "stage4-run" else {OrderStatus.ACCEPTED})
    status = json.loads(run("status", "--db", "one.db", "--json").out)
    assert status["mode"] == ("dry_run" if command == "stage4-run" else "paper")


@pytest.mark.parametrize(
    ("command", "settings", "told"),
    [
        ("run", {}, "nobody watches or sells it, and limits count it at the last price that was seen"),
        ("stage4-run", {}, "it counts in results and limits at its price of the day, and nobody buys or sells it"),
        ("stage4-run", {"DYNAMIC_UNIVERSE_ENABLED": "true"}, "it may only be sold unless it is chosen"),
    ],
)
def test_a_position_that_nobody_named_is_told_at_the_start(
    run: Run, at_venue: Venue, monkeypatch: pytest.MonkeyPatch, command: str, settings: dict[str, str], told: str
) -> None:
    monkeypatch.setenv("DRY_RUN", "true")
    said = run(command, "--db", "held.db")
    assert (said.status, "is held and" in said.err) == (0, False), said.err
    store = SqliteStore.open(Path("held.db"))
    with store.transaction() as tx:
        tx.put_position(Position(symbol="BTCTRY", quantity=Decimal("0.01"), cost=Decimal(30_000)))
        tx.put_position(Position(symbol="SOLTRY", quantity=Decimal(0), cost=Decimal(0)))
    store.close()
    for name, text in {"SYMBOLS": "ETHTRY", "BTCTURK_GRAPH_URL": at_venue.url, **settings}.items():
        monkeypatch.setenv(name, text)
    said = run(command, "--db", "held.db")
    [line] = [line for line in said.err.splitlines() if "is held and not in SYMBOLS" in line]
    assert line.startswith(f"btcbot {command}: BTCTRY is held and not in SYMBOLS: ")
    assert told in line
    assert line.endswith("; name it there, or sell it by hand and «btcbot position release BTCTRY …»")


def test_a_database_of_one_mode_is_not_used_for_another(run: Run, at_venue: Venue) -> None:
    assert run("stage4-run", "--dry-run", "--db", "dry.db").status == 0
    said = run("stage4-run", "--paper", "--db", "dry.db")
    refused_late(said, "made for mode dry_run and is never used for paper")
    refused_late(run("stage7-run", "--db", "dry.db"), "made for mode dry_run")


@pytest.mark.parametrize("command", STAGES)
def test_a_venue_that_cannot_be_reached_is_no_success(run: Run, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """A single cycle that only observed ends with 1, however well it did that."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    for name, text in {"BTCTURK_BASE_URL": f"http://127.0.0.1:{port}", "STRATEGY": "portfolio"}.items():
        monkeypatch.setenv(name, text)
    said = run(command, *(["--dry-run"] if command == "stage4-run" else []))
    assert said.status == 1, said.err
    [ended] = [json.loads(line) for line in said.err.splitlines() if '"cycle_ended"' in line]
    assert ended["outcome"] == "observe_only"
    assert "venue_unavailable" in " ".join(ended["reasons"])


@pytest.mark.parametrize("name", ["oliver/monitor.db", "live/canary_live.db", "state.sqlite"])
def test_the_name_of_a_database_means_nothing(run: Run, at_venue: Venue, name: str) -> None:
    """What a database is for stands in it, and not in a piece of its path."""
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    assert run("stage4-run", "--dry-run", "--db", path).status == 0
    assert json.loads(run("status", "--db", path, "--json").out)["mode"] == "dry_run"
    refused_late(run("stage7-run", "--db", path), "made for mode dry_run")
