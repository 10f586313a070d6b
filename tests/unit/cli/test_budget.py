"""`btcbot budget`: what it tells, and the way out of a drawdown."""

from __future__ import annotations

import socket
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from tests.unit.cli.books import FakeBot, Run, refused
from tests.unit.decisions.test_risk_budget import LIMITS

from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.cli import reading
from btcbot.decisions.results import Holding, Results
from btcbot.domain.stance import TradingMode
from btcbot.services import values
from btcbot.services.budget_record import BUDGET, InForce
from btcbot.services.days import day
from btcbot.services.snapshots import RESULTS, plain_json

WHY = "budget:drawdown: 3100 TRY below the highest profit, the limit is 3000\x1b[31m"
REASON = "looked at the fall of March"


@pytest.fixture
def fallen(book: Path) -> Path:
    """0.0002 BTC, bought for 801.92 and worth 820; 1.5 TRY were realised before, and the peak lies 100 TRY above."""
    store = SqliteStore.open(book)
    results = Results(
        fills_counted=1,
        holdings={"BTCTRY": Holding(Decimal("0.0002"), Decimal("801.92"))},
        peak=Decimal("119.58"),
        peak_equity=Decimal(1_000),
        loss_streak=2,
    )
    in_force = InForce(
        cycle_id="c00000006",
        at_ms=1_000,
        mode=TradingMode.REDUCE_RISK_ONLY,
        buy_share=Decimal("0.50"),
        no_buys={"ETHTRY": "budget:position_share: it is 45 % of the account, at most 40 %"},
        reasons=(WHY,),
        limits=LIMITS,
    )
    with store.transaction() as tx:
        tx.put_value(values.MARKS, '{"BTCTRY":"4100000"}')
        tx.put_value(values.PNL_DAY, day(reading.now_ms()))
        tx.put_value(values.PNL_DAY_START, "25")
        tx.put_value(RESULTS, plain_json(results))
        tx.put_value(BUDGET, plain_json(in_force))
    store.close()
    return book


def test_it_tells_results_limits_and_what_is_in_force(run: Run, fallen: Path) -> None:
    told = run("budget", "status", "--json", "--db", fallen).json
    assert told["results"] == {
        "equity": "1018.83",
        "profit": "19.58",
        "realized": "1.5",
        "unrealized": "18.08",
        "daily": "-5.42",
        "peak": "119.58",
        "drawdown": "100",
        "drawdown_pct": "10",
        "fees_today": "0",
        "loss_streak": 2,
        "positions": {"BTCTRY": "820"},
        "unmarked": [],
    }
    assert (told["limits"]["drawdown_max"], told["limits"]["loss_streak_at"]) == ("3000", 3)
    assert told["limits"].keys() == set(LIMITS.__struct_fields__)
    assert told["in_force"] == {
        "mode": "REDUCE_RISK_ONLY",
        "buy_share": "0.5",
        "no_buys": {"ETHTRY": "budget:position_share: it is 45 % of the account, at most 40 %"},
        "reasons": [WHY],
        "since_ms": 1_000,
        "cycle_id": "c00000006",
    }
    assert told["resets"] == []
    assert told["daily_loss"] is None, "no cycle has kept the limit yet"
    shown = run("budget", "status", "--db", fallen).out
    assert "REDUCE_RISK_ONLY, buys at 0.5" in shown
    assert "RISK_MAX_DRAWDOWN_TRY" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("limit", "refuses", "line"),
    [
        ("5", True, "REFUSED: 5.42 lost, at most 5 (MAX_DAILY_LOSS_TRY)"),
        ("5.42", True, "REFUSED: 5.42 lost, at most 5.42 (MAX_DAILY_LOSS_TRY)"),
        ("500", False, "not refused by this limit: 5.42 lost, at most 500 (MAX_DAILY_LOSS_TRY)"),
    ],
)
def test_it_tells_whether_the_loss_of_the_day_refuses_buys(
    run: Run, fallen: Path, limit: str, refuses: bool, line: str
) -> None:
    """618 were lost with a limit of 500 and every buy was refused, and it said «NORMAL, buys whole»."""
    keep(fallen, limit)
    told = run("budget", "status", "--json", "--db", fallen).json
    assert told["daily_loss"] == {"limit": limit, "lost": "5.42", "refuses_buys": refuses}
    assert line in run("budget", "status", "--db", fallen).out


def test_a_loss_of_the_day_that_is_not_known_is_told_as_such(run: Run, book: Path, fallen: Path) -> None:
    keep(fallen, "500")
    write(fallen, values.PNL_DAY, "2026-01-31")
    told = run("budget", "status", "--json", "--db", fallen).json
    assert told["daily_loss"] == {"limit": "500", "lost": None, "refuses_buys": None}
    assert "no cycle has begun the day" in run("budget", "status", "--db", fallen).out
    write(fallen, values.MARKS, "{}")
    told = run("budget", "status", "--json", "--db", fallen).json
    assert told["daily_loss"] == {"limit": "500", "lost": None, "refuses_buys": True}
    assert "REFUSED while today's loss is unknown" in run("budget", "status", "--db", fallen).out


def keep(book: Path, limit: str) -> None:
    """What a cycle keeps of MAX_DAILY_LOSS_TRY."""
    write(book, values.DAILY_LOSS_MAX, limit)


def write(book: Path, name: str, value: str) -> None:
    store = SqliteStore.open(book)
    with store.transaction() as tx:
        tx.put_value(name, value)
    store.close()


def test_what_was_lost_on_another_day_is_no_loss_of_today(run: Run, fallen: Path) -> None:
    write(fallen, values.PNL_DAY, "2026-01-31")
    assert run("budget", "status", "--json", "--db", fallen).json["results"]["daily"] is None


def test_a_reset_without_a_running_bot_measures_from_now_on_and_keeps_why(run: Run, fallen: Path) -> None:
    said = run("budget", "reset", "--reason", REASON, "--json", "--db", fallen)
    assert said.json["by"] == "this command"
    assert said.json["text"] == ("drawdown is measured from a profit of 19.58 TRY on; it was 100 TRY, below 119.58 TRY")
    told = run("budget", "status", "--json", "--db", fallen).json
    assert (told["results"]["peak"], told["results"]["drawdown"], told["results"]["profit"]) == ("19.58", "0", "19.58")
    assert told["results"]["daily"] == "-5.42", "the day is another matter"
    (reset,) = told["resets"]
    assert {name: reset[name] for name in ("reason", "peak_before", "peak_after", "drawdown")} == {
        "reason": REASON,
        "peak_before": "119.58",
        "peak_after": "19.58",
        "drawdown": "100",
    }
    store = SqliteStore.open(fallen, read_only=True)
    kept = msgspec.json.decode(store.value(RESULTS) or "", type=Results)
    store.close()
    assert (kept.peak, kept.peak_equity, kept.fills_counted) == (Decimal("19.58"), Decimal("1018.83"), 1)
    assert REASON in run("budget", "status", "--db", fallen).out


def test_a_book_that_no_overseen_cycle_has_seen(run: Run, book: Path) -> None:
    told = run("budget", "status", "--json", "--db", book).json
    assert (told["limits"], told["in_force"]) == (None, None)
    results = told["results"]
    assert (results["unmarked"], results["profit"], results["equity"], results["drawdown"]) == (
        ["BTCTRY"],
        None,
        None,
        None,
    )
    assert results["realized"] == "1.5"
    assert "no cycle of stage4-run or stage7-run yet" in run("budget", "status", "--db", book).out
    refused(run("budget", "reset", "--reason", "x", "--db", book), "BTCTRY has never shown a price")
    store = SqliteStore.open(book)
    with store.transaction() as tx:
        tx.put_value(values.MARKS, '{"BTCTRY":"4100000"}')
    store.close()
    refused(run("budget", "reset", "--reason", "x", "--db", book), "has measured a result yet")


def test_no_command_asks_the_exchange(run: Run, fallen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """§10.2 no. 27: with no network at all they do what they are for."""

    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("a command opened a connection")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "create_connection", no_network)
    assert run("budget", "status", "--db", fallen).status == 0
    assert run("budget", "reset", "--reason", REASON, "--db", fallen).status == 0


def test_a_running_bot_is_asked(run: Run, book: Path) -> None:
    with FakeBot(book, answers=True) as bot:
        said = run("budget", "reset", "--reason", REASON, "--json", "--db", book)
    (asked,) = bot.requests
    assert (asked.kind, dict(asked.arguments)) == ("budget_reset", {"reason": REASON})
    assert said.json["done"] is True


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((), "status or reset"),
        (("resets",), "resets"),
        (("reset",), "--reason"),
        (("reset", "--reason", "  "), "why"),
        (("status",), "no database"),
        (("reset", "--reason", "x"), "no database"),
    ],
)
def test_a_wrong_call_is_one_line(run: Run, tmp_path: Path, arguments: tuple[str, ...], word: str) -> None:
    refused(run("budget", *arguments), word)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", [BUDGET, RESULTS])
def test_what_cannot_be_read_is_told_in_one_line(run: Run, fallen: Path, key: str) -> None:
    store = SqliteStore.open(fallen)
    with store.transaction() as tx:
        tx.put_value(key, "{damaged")
    store.close()
    refused(run("budget", "status", "--db", fallen), "cannot be read")
