"""Commands that ask the venue: against a local BtcTurk, and against nothing."""

from __future__ import annotations

import os
import time
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.unit.cli.books import KEY, FakeBot, Run, Venue, entry, order, refused

from btcbot.adapters.process_lock import acquire
from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.cli.doctor import Finding, examine
from btcbot.cli.options import Where
from btcbot.config.secrets import Secret, key_fingerprint
from btcbot.domain.book import BookIdentity
from btcbot.domain.fills import Fill
from btcbot.domain.ledger import Account, EntryKind
from btcbot.domain.orders import OrderStatus
from btcbot.domain.reasons import TradingState
from btcbot.services import values
from btcbot.services.accounting import set_trading_state

NOWHERE = "http://127.0.0.1:9"


def found(findings: list[Finding], category: str, name: str) -> Finding:
    (finding,) = [one for one in findings if (one.category, one.name) == (category, name)]
    return finding


class TestHealth:
    def test_a_venue_that_answers(self, run: Run, venue: Venue, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BTCTURK_BASE_URL", venue.url)
        said = run("health", "--json")
        assert said.status == 0
        assert said.json["reachable"] is True
        assert abs(said.json["clock_skew_ms"]) < 1_000
        assert said.json["rules"]["BTCTRY"]["value_min"] == "99.91"
        assert "BTCTRY" in run("health").out

    def test_a_venue_that_is_down(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BTCTURK_BASE_URL", NOWHERE)
        monkeypatch.setenv("MAX_RETRY_ATTEMPTS", "1")
        said = run("health")
        assert (said.status, said.out) == (1, "")
        assert NOWHERE in said.err
        assert len(said.err.splitlines()) == 1
        said = run("health", "--json")
        assert (said.status, said.json["reachable"]) == (1, False)

    def test_wrong_settings(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BTCTURK_BASE_URL", "https://example.org")
        refused(run("health"), "BTCTURK_BASE_URL")


class TestDoctor:
    @pytest.mark.usefixtures("live")
    def test_an_armed_set_up(self, run: Run, tmp_path: Path) -> None:
        bind(tmp_path / "live.db", venue_balances=True)
        said = run("doctor", "--json", "--db", "live.db")
        checks = {(check["category"], check["name"]): check for check in said.json["checks"]}
        for name in (("venue", "reachable"), ("universe", "symbols"), ("key", "balances"), ("key", "open orders")):
            assert checks[name]["level"] == "PASS", checks[name]
        assert checks["key", "transactions"]["level"] == "PASS"
        assert "unobserved" in checks["key", "withdraw"]["message"]
        # The books are those of the old key.
        assert checks["database", "purpose"]["level"] == "FAIL"
        assert (said.status, said.json["result"]) == (2, "FAIL")

    @pytest.mark.usefixtures("live")
    def test_all_well(self, run: Run, tmp_path: Path) -> None:
        bind(tmp_path / "live.db", venue_balances=True, key=KEY)
        said = run("doctor", "--db", "live.db")
        assert said.status == 0, said
        assert said.out.splitlines()[-1].startswith("PASS: ")
        assert "PASS [key] balances - can be read" in said.out

    @pytest.mark.usefixtures("live")
    def test_a_wrong_key(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BTCTURK_API_KEY", "ANOTHER")
        findings = list(examine(Where(Path("none.db"), None)))
        assert found(findings, "key", "balances").level == "FAIL"
        assert not Path("none.db").exists()
        assert run("kill", "status", "--db", "none.db").status == 0

    @pytest.mark.usefixtures("live")
    def test_the_key_of_a_running_bot_is_not_touched(self, tmp_path: Path) -> None:
        with acquire(tmp_path / "other.db", key_fingerprint(Secret(KEY))):
            findings = list(examine(Where(Path("none.db"), None)))
        assert "not probed" in found(findings, "key", "permissions").message

    @pytest.mark.usefixtures("live")
    def test_a_bot_that_starts_next_cannot_repeat_our_stamps(self, run: Run, tmp_path: Path) -> None:
        bind(tmp_path / "live.db", venue_balances=True, key=KEY)
        store = SqliteStore.open(tmp_path / "live.db")
        with store.transaction() as tx:
            tx.put_value(values.NONCE_MARK_MS, str(now_ms() + 1_500))  # as a bot that has just ended leaves it
        store.close()
        assert run("doctor", "--db", "live.db").status == 0
        for _ in range(2):
            assert "observe_only" not in run("run", "--db", "live.db").err

    @pytest.mark.usefixtures("live")
    def test_the_feed_and_the_login_to_it(self, venue: Venue, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BTCTURK_WS_URL", venue.ws_url)
        findings = list(examine(Where(Path("none.db"), None)))
        assert found(findings, "feed", "books") == Finding(
            "PASS", "feed", "books", f"{venue.ws_url} shows BTCTRY, ETHTRY, SOLTRY"
        )
        assert found(findings, "key", "feed") == Finding("PASS", "key", "feed", "can log in")

    @pytest.mark.usefixtures("live")
    def test_a_feed_that_is_down_is_something_to_think_about(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """REST takes its place; with MARKET_DATA_MODE=ws nothing does."""
        monkeypatch.setattr("btcbot.cli.checks_venue.FEED_SECONDS_MAX", 0.5)
        monkeypatch.setenv("BTCTURK_WS_URL", "ws://127.0.0.1:9")
        down = found(list(examine(Where(Path("none.db"), None))), "feed", "reachable")
        assert (down.level, "ws://127.0.0.1:9 is down" in down.message) == ("WARN", True)
        monkeypatch.setenv("MARKET_DATA_MODE", "ws")
        assert found(list(examine(Where(Path("none.db"), None))), "feed", "reachable").level == "FAIL"

    @pytest.mark.usefixtures("live")
    def test_a_feed_of_another_venue(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BTCTURK_WS_URL", "wss://ws-feed-pro.btcturk.com")
        assert "names another venue" in run("doctor", "--db", "none.db").out
        refused(run("run", "--loop", "--max-cycles", "1", "--db", "none.db"), "BTCTURK_WS_URL", "another venue")

    @pytest.mark.usefixtures("live")
    def test_a_feed_that_serves_alone_has_time_to_compare_its_books(
        self, run: Run, venue: Venue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else a pair would lose its trust between two comparisons, again and again, and with it its turn to trade."""
        monkeypatch.setenv("BTCTURK_WS_URL", venue.ws_url)
        monkeypatch.setenv("MARKET_DATA_MODE", "ws")
        monkeypatch.setenv("BOOK_CHECK_SECONDS", "5")
        start = ("run", "--loop", "--max-cycles", "1", "--db", "none.db", "--cycle-seconds")
        refused(run(*start, "6"), "BOOK_CHECK_SECONDS", "within 5 s, at a cycle of 6 s, only 0 of 3 books")
        refused(run(*start, "5"), "BOOK_CHECK_SECONDS", "only 2 of 3 books")
        monkeypatch.setenv("BOOK_CHECK_SECONDS", "6")
        assert "BOOK_CHECK_SECONDS" not in run(*start, "6").err

    @pytest.mark.usefixtures("live")
    def test_without_a_feed_it_says_so(self) -> None:
        assert "quotes come from REST" in found(list(examine(Where(Path("none.db"), None))), "feed", "address").message

    @pytest.mark.parametrize(
        ("reason", "told"),
        [
            ("broken", "broken; then «btcbot resume --reason …»"),
            ("look, then «btcbot resume --reason …»", "look, then «btcbot resume --reason …»"),
        ],
    )
    def test_the_next_step_is_told_once(self, run: Run, book: Path, reason: str, told: str) -> None:
        store = SqliteStore.open(book)
        with store.transaction() as tx:
            set_trading_state(tx, TradingState.HALTED, reason)
        store.close()
        said = run("doctor", "--db", book)
        assert f"HALTED: {told}\n" in said.out

    def test_an_env_file_that_cannot_be_read_is_told_once(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "open.env").write_text("STATE_DB_PATH=x.db\n")
        (tmp_path / "open.env").chmod(0o644)
        said = run("doctor", "--env-file", "open.env")
        assert said.out.count("chmod 600 open.env") == 1
        assert "STATE_DB_PATH cannot be read there" in said.out

    def test_trouble_everywhere_is_told_line_by_line(
        self, run: Run, book: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BTCTURK_BASE_URL", NOWHERE)
        monkeypatch.setenv("MAX_RETRY_ATTEMPTS", "1")
        run("kill", "on", "--db", book)
        book.chmod(0o644)
        said = run("doctor", "--db", book)
        assert said.status == 2
        assert "FAIL [venue] reachable - " in said.out
        assert "WARN [paths] book.db - is open to others (mode 0644); run: chmod 600" in said.out
        assert "WARN [gates] kill file - on: by the operator" in said.out
        assert "FAIL [database] purpose - belongs to the venue api.btcturk.com" in said.out
        assert "PASS [database] books - 4 orders, 1 fills, 3 entries proved" in said.out

    def test_unusable_settings_fail_and_the_rest_is_looked_at(
        self, run: Run, book: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TTL_SECONDS", "soon")
        said = run("doctor", "--db", book)
        assert said.status == 2
        assert "FAIL [settings] values - TTL_SECONDS" in said.out
        assert "[database] books" in said.out


class TestAdopt:
    @pytest.mark.usefixtures("live")
    def test_alone(self, run: Run, tmp_path: Path) -> None:
        bind(tmp_path / "live.db", venue_balances=True, key=KEY)
        said = run("position", "adopt", "btc_try", "0.015", "60000", "--db", "live.db", "--json")
        assert said.json["text"] == "position of BTCTRY: 0.015 at 4000000"
        refused(run("position", "adopt", "BTCTRY", "0.5", "1", "--db", "live.db"), "0.485")
        refused(run("position", "adopt", "XYZTRY", "0.5", "1", "--db", "live.db"), "lists no XYZTRY")


def bind(path: Path, *, venue_balances: bool, key: str = "OLDKEY", fills: bool = False) -> None:
    """The books of an armed bot on the local BtcTurk; with `fills`, one that its venue never saw."""
    store = SqliteStore.open(path)
    with store.transaction() as tx:
        tx.put_identity(
            BookIdentity(
                book_id="test",
                mode="demo",
                venue_host="127.0.0.1",
                key_fingerprint=key_fingerprint(Secret(key)),
                created_at_ms=1,
            )
        )
        tx.put_value(values.OPENING_AT_MS, "1000")
        tx.insert_entry(entry("opening:TRY", EntryKind.OPENING, Account.OPENING, "TRY", "1000"))
        amount = "0.5" if venue_balances else "0.4"
        tx.insert_entry(entry("opening:BTC", EntryKind.OPENING, Account.OPENING, "BTC", amount))
        tx.put_value(values.TRADES_CURSOR_MS, str(now_ms()))
        if fills:
            tx.insert_order(order(1, OrderStatus.FILLED, filled_quantity=order(1, OrderStatus.FILLED).quantity))
            tx.insert_fill(a_fill())
    store.close()


def now_ms() -> int:
    return int(time.time() * 1000)


def a_fill() -> Fill:
    one = order(1, OrderStatus.FILLED)
    return Fill(
        trade_id="never-seen",
        client_order_id=one.client_order_id,
        symbol=one.symbol,
        side=one.side,
        price=one.price,
        quantity=one.quantity,
        fee=Decimal(0),
        tax=Decimal(0),
        at_ms=now_ms() - 1000,
    )


@pytest.mark.usefixtures("live")
class TestRebind:
    def fingerprint(self, path: Path) -> str | None:
        store = SqliteStore.open(path, read_only=True)
        identity = store.identity()
        store.close()
        assert identity is not None
        return identity.key_fingerprint

    def test_the_same_account(self, run: Run, tmp_path: Path) -> None:
        path = tmp_path / "live.db"
        bind(path, venue_balances=True)
        said = run("db", "rebind", "--db", path)
        assert said.status == 2
        assert "--i-understand" in said.err
        assert self.fingerprint(path) == key_fingerprint(Secret("OLDKEY"))
        told = run("db", "rebind", "--i-understand", "--json", "--db", path).json
        assert (told["bound"], told["differences"], told["fills_compared"]) == (True, {}, 0)
        assert self.fingerprint(path) == key_fingerprint(Secret(KEY))
        refused(run("db", "rebind", "--i-understand", "--db", path), "already")

    def test_balances_that_differ(self, run: Run, tmp_path: Path) -> None:
        path = tmp_path / "live.db"
        bind(path, venue_balances=False)
        said = run("db", "rebind", "--i-understand", "--db", path)
        assert said.status == 2
        assert "0.1 BTC" in said.err
        assert self.fingerprint(path) == key_fingerprint(Secret("OLDKEY"))
        assert run("db", "rebind", "--i-understand", "--accept-differences", "--db", path).status == 0
        assert self.fingerprint(path) == key_fingerprint(Secret(KEY))

    def test_another_account(self, run: Run, tmp_path: Path) -> None:
        path = tmp_path / "live.db"
        bind(path, venue_balances=True, fills=True)
        said = run("db", "rebind", "--i-understand", "--accept-differences", "--db", path)
        assert said.status == 2
        assert "another account" in said.err
        assert self.fingerprint(path) == key_fingerprint(Secret("OLDKEY"))

    def test_while_a_bot_runs(self, run: Run, tmp_path: Path) -> None:
        path = tmp_path / "live.db"
        bind(path, venue_balances=True)
        with FakeBot(path, answers=False):
            refused(run("db", "rebind", "--i-understand", "--db", path), "another btcbot", str(os.getpid()))

    def test_a_database_that_was_never_live(self, run: Run, book: Path) -> None:
        refused(run("db", "rebind", "--i-understand", "--db", book), "belongs to no key")

    def test_a_database_of_another_venue(self, run: Run, tmp_path: Path) -> None:
        path = tmp_path / "live.db"
        bind(path, venue_balances=True)
        store = SqliteStore.open(path)
        identity = store.identity()
        assert identity is not None
        with store.transaction() as tx:
            tx.put_identity(replace(identity, venue_host="api.btcturk.com"))
        store.close()
        refused(run("db", "rebind", "--i-understand", "--db", path), "api.btcturk.com")
