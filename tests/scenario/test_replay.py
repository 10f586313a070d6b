"""What a bot recorded is played again: the same decisions, or the first one that is not."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from btcbot import bootstrap
from btcbot.adapters.journal.files import folder_of
from btcbot.adapters.journal.recorder import BYTES, IS_ON
from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.bootstrap.replay import Replayed, replay
from btcbot.bootstrap.runs import decided_in
from btcbot.cli import main
from btcbot.cycle import Cycle
from btcbot.decisions.parity import fingerprint
from btcbot.domain.cycles import CycleOutcome, CycleReport
from btcbot.domain.intents import Intent, Side
from btcbot.domain.orders import OrderStatus
from btcbot.errors import Refused, StoreFailed
from btcbot.profiles import RUN
from btcbot.services.cycle_records import CycleRecords
from btcbot.services.operator import REQUEST, Request
from btcbot.services.portfolio import PortfolioService
from btcbot.strategies.base import StrategyContext
from btcbot.strategies.profit_v1 import ProfitAwareStrategyV1
from btcbot.testing.in_process_rig import Rig
from btcbot.testing.scripted_strategy import ScriptedStrategy
from btcbot.testing.stories import STORIES
from btcbot.testing.stories.placement import told


class Steady:
    """Wishes the same buy again and again; from `above` on at the ask, below it a resting one."""

    name = ScriptedStrategy.name

    def __init__(self, quantity: str = "0.0005", above: str = "0") -> None:
        self._quantity = Decimal(quantity)
        self._above = Decimal(above)

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        return [
            Intent(
                intent_id=f"{context.cycle_id}:{symbol}",
                cycle_id=context.cycle_id,
                strategy=self.name,
                symbol=symbol,
                side=Side.BUY,
                price=quote.ask,
                quantity=self._quantity,
                why="steady",
            )
            for symbol, quote in context.quotes.items()
            if quote.ask > self._above and symbol not in context.symbols_with_open_orders
        ]


@pytest.fixture
def make_recorded(make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Rig]:
    """A rig whose bots keep a journal, and whose strategy is steady."""
    monkeypatch.setattr(bootstrap, "build", partial(bootstrap.build, with_journal=True))
    return partial(make_rig, strategy=lambda _: Steady())


@pytest.fixture
def rig(make_recorded: Callable[..., Rig]) -> Rig:
    return make_recorded(has_feed=True)


def played(rig: Rig, strategy: Steady | None = None) -> Replayed:
    """End the bot and play what it recorded."""
    rig.crash()
    return replay(rig.database, lambda _: strategy or Steady())


def journals(rig: Rig) -> list[Path]:
    return sorted(folder_of(rig.database).glob("*.jsonl.gz"))


class TestTheSame:
    def test_a_day_like_any_other(self, rig: Rig) -> None:
        rig.cycle(6)
        orders, verdicts = len(rig.orders()), sum(len(rig.store.verdicts(c.cycle_id)) for c in rig.store.cycles(99))
        assert orders > 1

        same = played(rig)

        assert same.difference is None
        assert (same.runs, same.cycles, same.decisions, same.orders) == (1, 6, verdicts, orders)

    def test_cycles_that_the_market_woke_with_an_order_and_without(self, make_recorded: Callable[..., Rig]) -> None:
        rig = make_recorded(has_feed=True, strategy=lambda _: Steady(above="1005000"))
        rig.cycle(2)
        assert rig.feed is not None
        rig.feed.at(2_000, lambda: rig.venue.price("BTCTRY", "1001000"))
        rig.feed.at(4_000, lambda: rig.venue.price("BTCTRY", "1010000"))
        rig.pause(10)
        assert rig.store.cycles(1)[0].counts["woken_by_feed"] == 1
        assert rig.order().status is OrderStatus.ACCEPTED
        reported = rig.store.cycle_count()

        same = played(rig, Steady(above="1005000"))

        assert same.difference is None
        assert same.orders == 1
        assert same.cycles > reported, (
            "a woken cycle that came to nothing leaves no report, and is recorded all the same"
        )

    def test_lost_answers_and_a_venue_in_trouble(self, rig: Rig) -> None:
        rig.cycle()
        rig.venue.fault("lost_after", "POST")
        rig.cycle()
        assert OrderStatus.UNKNOWN in rig.statuses()
        rig.venue.fault("status_before", "GET", "/api/v1/users/balances", count=None, status=503)
        assert rig.cycle().outcome is CycleOutcome.OBSERVE_ONLY
        rig.venue.clear_faults()
        rig.cycle(3)
        assert OrderStatus.UNKNOWN not in rig.statuses()

        assert played(rig).difference is None

    def test_the_kill_file_and_a_bot_that_is_told_to_stop(self, rig: Rig) -> None:
        rig.kill_switch().turn_on("enough", rig.clock.now_ms())
        assert rig.cycle().counts["intents"] == 0
        rig.kill_switch().turn_off()
        rig.stop.set()
        assert rig.cycle().counts["allowed"] == 1
        assert rig.orders() == []
        rig.stop.clear()
        rig.cycle()
        assert len(rig.orders()) == 1

        assert played(rig).difference is None

    def test_what_an_operator_asked_for_meanwhile(self, rig: Rig) -> None:
        rig.cycle(2)
        request = Request(
            request_id="r1",
            kind="adopt",
            arguments={"symbol": "BTCTRY", "quantity": "99", "cost": "1"},
            made_at_ms=rig.clock.now_ms(),
            wait_ms=60_000,
        )
        command = SqliteStore.open(rig.database)  # as «btcbot position adopt» does beside a running bot
        with command.transaction() as tx:
            tx.put_value(REQUEST, msgspec.json.encode(request).decode())
        command.close()
        rig.cycle()
        assert rig.log.events("operator_request")[-1]["done"] is False
        rig.cycle()

        assert played(rig).difference is None

    def test_a_crash_between_two_cycles_and_one_in_the_middle_of_an_order(self, rig: Rig) -> None:
        rig.cycle(2)
        rig.restart()
        rig.cycle()
        rig.points.crash_when(lambda name: name.startswith("after POST"))
        rig.crashing_cycle()
        rig.start()
        rig.cycle(3)

        same = played(rig)

        assert same.difference is None
        assert (same.runs, same.cycles) == (3, 6), "the cycle that crashed has no line"
        assert len(journals(rig)) == 3

    def test_a_cycle_that_died_of_a_full_database_is_told_and_left_out(self, rig: Rig) -> None:
        rig.cycle(2)
        rig.disk_is_full = True
        with pytest.raises(StoreFailed):
            rig.cycle()
        rig.mend_disk()

        same = played(rig)

        assert (same.difference, same.cycles) == (None, 2)
        assert len(same.notes) == 1
        assert same.notes[0].startswith("0001.jsonl.gz ends with a cycle that died (StoreFailed: ")

    def test_a_dry_run(self, make_recorded: Callable[..., Rig]) -> None:
        rig = make_recorded(DRY_RUN="true", LIVE_TRADING="false")
        rig.cycle(3)
        assert set(rig.statuses()) == {OrderStatus.SIMULATED}

        same = played(rig)

        assert (same.difference, same.orders) == (None, len(rig_orders(rig)))


def rig_orders(rig: Rig) -> Sequence[object]:
    books = SqliteStore.open(rig.database, read_only=True)
    try:
        return books.recent_orders(99)
    finally:
        books.close()


class Remembered:
    """The strategy of a story: its wishes come from the outside, so they are remembered, by cycle."""

    name = ScriptedStrategy.name

    def __init__(self) -> None:
        self.wished: dict[str, list[Sequence[Intent]]] = {}

    def listen(self, monkeypatch: pytest.MonkeyPatch) -> None:
        original = ScriptedStrategy.generate

        def generate(strategy: ScriptedStrategy, context: StrategyContext) -> Sequence[Intent]:
            intents = original(strategy, context)
            self.wished.setdefault(context.cycle_id, []).append(list(intents))
            return intents

        monkeypatch.setattr(ScriptedStrategy, "generate", generate)

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        return self.wished[context.cycle_id].pop(0)


@pytest.mark.parametrize("name", STORIES)
def test_every_story_of_harm_is_decided_the_same_again(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "build", partial(bootstrap.build, with_journal=True))
    wishes = Remembered()
    wishes.listen(monkeypatch)

    performance = told(STORIES[name], tmp_path)

    assert performance.wrong == []
    recorded = list(tmp_path.rglob("*.journal"))
    assert len(recorded) == 1
    same = replay(recorded[0], lambda _: wishes)
    assert same.difference is None
    assert same.cycles > 0


class TestDifferences:
    def test_a_strategy_that_was_changed_afterwards(self, rig: Rig) -> None:
        rig.cycle(4)

        difference = played(rig, Steady("0.0006")).difference

        assert difference is not None
        assert (difference.cycle, difference.what) == ("c00000001", "not the same intents")
        assert difference.recorded == {
            "symbol": "BTCTRY",
            "side": "buy",
            "intent_id": "c00000001:BTCTRY",
            "quantity": "0.0005",
        }
        assert isinstance(difference.now, dict)
        assert difference.now["quantity"] == "0.0006"

    def test_one_that_changed_only_for_a_market_that_came_later(self, rig: Rig) -> None:
        rig.cycle(3)
        rig.venue.price("BTCTRY", "1010000")
        rig.wait(1)
        rig.cycle(3)
        ordered_later = [order.cycle_id for order in rig.orders() if order.price > Decimal(1_005_000)]

        stopped = played(rig, Steady(above="1005000"))
        later = played(rig, Later())

        assert stopped.difference is not None
        assert (stopped.cycles, stopped.difference.cycle) == (0, "c00000001")
        assert later.difference is not None
        assert (later.cycles, later.difference.cycle) == (int(ordered_later[0][1:]) - 1, ordered_later[0])
        assert later.cycles >= 3

    @pytest.mark.parametrize("error", [ZeroDivisionError("division by zero"), SystemExit("leaving")], ids=repr)
    def test_one_that_raises_now(self, rig: Rig, error: BaseException) -> None:
        rig.cycle()

        difference = played(rig, Broken(error)).difference

        assert difference is not None
        assert difference.what == "something else comes out"
        assert difference.now == f"raised: {type(error).__name__}: {error}"

    def test_code_that_asks_the_venue_for_something_else(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        rig.cycle()
        original = PortfolioService.get_balances

        def asks_first(service: PortfolioService) -> object:
            service._exchange.open_orders()
            return original(service)

        monkeypatch.setattr(PortfolioService, "get_balances", asks_first)
        difference = played(rig).difference

        assert difference is not None
        assert difference.what == "something else is asked"
        assert (difference.recorded, difference.now) == ("asks exchange.balances()", "asks exchange.open_orders()")

    def test_code_that_asks_for_another_time(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        rig.cycle()
        monkeypatch.setattr("btcbot.services.accounting.TRANSFERS_LOOKBACK_MS", 1)
        monkeypatch.setattr("btcbot.services.accounting.TRADES_LOOKBACK_MS", 1)
        rig.cycle()

        monkeypatch.setattr("btcbot.services.accounting.TRADES_LOOKBACK_MS", 2)
        difference = played(rig).difference

        assert difference is not None
        assert difference.what == "exchange.trades is asked for something else"
        assert difference.recorded != difference.now

    @pytest.mark.parametrize("recorded_with_it", [True, False])
    def test_code_that_reads_the_clock_once_less_or_once_more(
        self, rig: Rig, monkeypatch: pytest.MonkeyPatch, recorded_with_it: bool
    ) -> None:
        original = Cycle._report

        def reads(cycle: Cycle, *arguments: Any, **words: Any) -> CycleReport:
            cycle._clock.monotonic_ns()
            return original(cycle, *arguments, **words)

        monkeypatch.setattr(Cycle, "_report", reads if recorded_with_it else original)
        rig.cycle()
        monkeypatch.setattr(Cycle, "_report", original if recorded_with_it else reads)
        difference = played(rig).difference

        assert difference is not None
        often = "less" if recorded_with_it else "more"
        assert difference.what == f"the clock (monotonic_ns) is read {often} often"

    def test_code_that_leaves_something_out(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        rig.cycle()
        monkeypatch.setattr(CycleRecords, "keep", lambda *_, **__: None)

        difference = played(rig).difference

        assert difference is not None
        assert difference.what == "the cycle is over earlier"
        assert str(difference.recorded).startswith("report: outcome=completed")

    def test_code_that_asks_no_more(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        rig.cycle()
        monkeypatch.setattr("btcbot.services.startup_recovery.StartupRecoveryService.run", lambda _: 1 / 0)

        difference = played(rig).difference

        assert difference is not None
        assert difference.now == "ZeroDivisionError: division by zero"


class Later(Steady):
    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        return [] if context.quotes["BTCTRY"].ask > 1_005_000 else super().generate(context)


class Broken(Steady):
    def __init__(self, error: BaseException) -> None:
        self._error = error

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        raise self._error


class TestTheJournalNeverHarms:
    def test_a_full_disk_ends_the_journal_and_not_the_bot(self, rig: Rig) -> None:
        rig.cycle(2)
        written = rig.bot._recorder._file._file  # type: ignore[attr-defined]
        with Path("/dev/full").open("wb", buffering=0) as full:
            os.dup2(full.fileno(), written.fileno())
            rig.cycle()
        assert not rig.bot._recorder.is_on  # type: ignore[attr-defined]
        assert rig.cycle().outcome is CycleOutcome.COMPLETED
        assert [fields["why"] for fields in rig.log.events("journal_off")] == ["OSError: No space left on device"]
        assert rig.metrics.gauges[IS_ON,] == 0

        same = played(rig)

        assert (same.difference, same.cycles) == (None, 2), "what was written before is of use"
        assert any("without a farewell" in note for note in same.notes)

    def test_a_folder_that_cannot_be_written(self, make_recorded: Callable[..., Rig]) -> None:
        rig = make_recorded()
        rig.crash()
        folder = folder_of(rig.database)
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        folder.write_text("in the way")

        rig.start()

        assert rig.cycle().outcome is CycleOutcome.COMPLETED
        assert len(rig.log.events("journal_off")) == 1

    def test_without_the_setting_there_is_none(self, make_recorded: Callable[..., Rig]) -> None:
        rig = make_recorded(JOURNAL="false")
        rig.cycle()
        assert not folder_of(rig.database).exists()

    def test_its_size_is_told(self, rig: Rig) -> None:
        rig.cycle()
        first = rig.metrics.gauges[BYTES,]
        rig.cycle()
        assert rig.metrics.gauges[IS_ON,] == 1
        assert rig.metrics.gauges[BYTES,] > first
        assert rig.metrics.gauges[BYTES,] == sum(path.stat().st_size for path in folder_of(rig.database).iterdir())


class TestWhatCannotBeReplayed:
    """One line each, and exit status 2; the file is named."""

    @pytest.fixture
    def recorded(self, rig: Rig) -> Path:
        rig.cycle(4)
        rig.crash()
        return journals(rig)[0]

    def refused(self, recorded: Path) -> str:
        with pytest.raises(Refused) as refused:
            replay(recorded, lambda _: Steady())
        line = str(refused.value)
        assert str(recorded.parent) in line
        assert "\n" not in line
        return line

    def rewrite(self, recorded: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
        lines = gzip.decompress(recorded.read_bytes()).splitlines(keepends=True)
        recorded.write_bytes(gzip.compress(b"".join(change(lines))))

    def test_a_figure_that_was_changed_by_hand(self, recorded: Path) -> None:
        self.rewrite(recorded, lambda lines: [line.replace(b'"0.0005"', b'"0.0006"') for line in lines])
        assert "line 3: it does not belong behind the line before it, or was changed" in self.refused(recorded)

    def test_a_cycle_that_was_taken_out(self, recorded: Path) -> None:
        self.rewrite(recorded, lambda lines: [*lines[:3], *lines[4:]])
        assert "line 4" in self.refused(recorded)

    def test_a_file_that_is_damaged_in_the_middle(self, recorded: Path) -> None:
        content = bytearray(recorded.read_bytes())
        content[len(content) // 2] ^= 0xFF
        recorded.write_bytes(content)
        assert "line" in self.refused(recorded)

    def test_another_schema(self, recorded: Path) -> None:
        self.rewrite(recorded, lambda lines: [lines[0].replace(b'"schema":1', b'"schema":2'), *lines[1:]])
        assert "has the journal schema 2, and this btcbot reads 1" in self.refused(recorded)

    def test_no_journal_at_all(self, recorded: Path) -> None:
        recorded.write_bytes(gzip.compress(b'{"kind":"market"}\n'))
        assert "this is no journal of a btcbot" in self.refused(recorded)

    def test_the_database_of_the_beginning_is_gone(self, recorded: Path) -> None:
        state = recorded.with_name("0001.db")
        state.unlink()
        assert f"{state} cannot be read" in self.refused(recorded)

    def test_the_database_of_the_beginning_is_another(self, recorded: Path) -> None:
        state = recorded.with_name("0001.db")
        state.write_bytes(state.read_bytes() + b"\0")
        assert "is not the database with which the run began" in self.refused(recorded)

    def test_a_folder_without_a_recording(self, tmp_path: Path) -> None:
        with pytest.raises(Refused, match="holds no recorded run"):
            replay(tmp_path)
        with pytest.raises(Refused, match="there is nothing at"):
            replay(tmp_path / "books.db")
        SqliteStore.open(tmp_path / "books.db").close()
        with pytest.raises(Refused, match=r"books.db has no recording beside it, books.db.journal; a loop run"):
            replay(tmp_path / "books.db")

    def test_a_recording_of_another_strategy(self, recorded: Path) -> None:
        with pytest.raises(Refused, match="recorded with the strategy «script», and these settings give «profit_v1»"):
            replay(recorded)

    def test_a_tail_that_was_cut_off_is_a_crash_and_costs_one_cycle(self, recorded: Path) -> None:
        content = recorded.read_bytes()
        whole = replay(recorded, lambda _: Steady())
        recorded.write_bytes(content[:-60])

        cut = replay(recorded, lambda _: Steady())

        assert (whole.cycles, cut.cycles) == (4, 3)
        assert cut.difference is None
        assert any("in the middle of a line" in note for note in cut.notes)


@pytest.fixture
def traded(make_recorded: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch) -> Rig:
    """The shipped strategy has traded, and its bot has ended."""
    monkeypatch.setattr(ScriptedStrategy, "name", "profit_v1")
    rig = make_recorded(strategy=lambda settings: bootstrap.strategy_of(RUN, settings))
    rig.cycle(2)
    rig.venue.price("BTCTRY", "1050000")
    rig.cycle(4)
    assert {order.side for order in rig.orders()} == {Side.BUY, Side.SELL}
    rig.crash()
    return rig


class TestTheCommands:
    def told(self, capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out + said.err

    def test_a_replay_in_one_line(self, traded: Rig, capsys: pytest.CaptureFixture[str]) -> None:
        status, said = self.told(capsys, "replay", traded.database)
        assert (status, said.count("\n")) == (0, 1)
        assert said.startswith("6 cycles, 5 verdicts, 5 orders: the same")
        assert said.endswith(" orders: the same\n")

    def test_a_replay_as_json(self, traded: Rig, capsys: pytest.CaptureFixture[str]) -> None:
        status, said = self.told(capsys, "replay", folder_of(traded.database), "--json")
        told = msgspec.json.decode(said)
        assert (status, told["same"], told["cycles"], told["difference"]) == (0, True, 6, None)

    def test_a_difference_is_named(
        self, traded: Rig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The strategy takes profit earlier than it did."""
        original = ProfitAwareStrategyV1.generate
        monkeypatch.setattr(
            ProfitAwareStrategyV1,
            "generate",
            lambda strategy, context: [
                msgspec.structs.replace(one, price=one.price + 1) for one in original(strategy, context)
            ],
        )
        status, said = self.told(capsys, "replay", journals(traded)[0])
        assert status == 1
        first, recorded, now = said.splitlines()
        assert first.startswith("0001.jsonl.gz, cycle c00000001: not the same intents")
        assert recorded.endswith("price 1000500")
        assert now.endswith("price 1000501")
        assert self.told(capsys, "replay", journals(traded)[0], "--json")[0] == 1

    def test_what_cannot_be_replayed(self, traded: Rig, capsys: pytest.CaptureFixture[str]) -> None:
        folder_of(traded.database).joinpath("0001.db").unlink()
        status, said = self.told(capsys, "replay", traded.database)
        assert (status, said.count("\n")) == (2, 1)
        assert said.startswith("btcbot: ")

    def test_a_database_and_its_journal_tell_the_same(self, traded: Rig, capsys: pytest.CaptureFixture[str]) -> None:
        status, said = self.told(capsys, "parity", traded.database, folder_of(traded.database), "--json")
        told = msgspec.json.decode(said)
        assert (status, told["match"]) == (0, True)
        assert told["fingerprint_a"] == told["fingerprint_b"] == fingerprint(decided_in(traded.database))
        _, said, *_ = self.told(capsys, "parity", traded.database, journals(traded)[0])
        assert said.startswith("6 cycles with a report, 5 verdicts, 5 orders: the same")

    def test_two_runs_on_the_same_market_are_at_parity_and_a_third_is_not(
        self, make_recorded: Callable[..., Rig], capsys: pytest.CaptureFixture[str]
    ) -> None:
        first, second, third = make_recorded(), make_recorded(), make_recorded(strategy=lambda _: Steady("0.0006"))
        for rig in (first, second, third):
            rig.cycle(3)
            rig.crash()

        assert self.told(capsys, "parity", first.database, second.database)[0] == 0
        status, said = self.told(capsys, "parity", first.database, third.database)
        assert status == 1
        assert said.splitlines() == [
            "cycle 1: decision 1",
            "  A: verdict buy 0.0005 BTCTRY at 1000500 (allowed)",
            "  B: verdict buy 0.0006 BTCTRY at 1000500 (allowed)",
        ]
        told = msgspec.json.decode(self.told(capsys, "parity", first.database, third.database, "--json")[1])
        assert told["match"] is False
        assert told["fingerprint_a"] != told["fingerprint_b"]

    def test_the_tables_of_a_backtest_are_a_run_too(
        self, traded: Rig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Its folder holds the same cycles, verdicts and orders as CSV."""
        books = SqliteStore.open(traded.database, read_only=True)
        cycles, orders = list(reversed(books.cycles(99))), list(reversed(books.recent_orders(99)))
        verdicts = [verdict for cycle in cycles for verdict in books.verdicts(cycle.cycle_id)]
        books.close()
        folder = tmp_path / "backtest"
        folder.mkdir()
        ended = [f"{one.number},{one.cycle_id},{one.outcome},{'; '.join(one.reasons)}" for one in cycles]
        said = [f"{v.cycle_id},{v.symbol},{v.side},{v.price:.8f},{v.quantity:.18f},{v.code}" for v in verdicts]
        made = [f"{o.cycle_id},{o.symbol},{o.side},{o.price:.8f},{o.quantity:.18f}" for o in orders]
        (folder / "cycles.csv").write_text("\n".join(["number,cycle_id,outcome,reasons", *ended]) + "\n")
        (folder / "decisions.csv").write_text("\n".join(["cycle_id,symbol,side,price,quantity,code", *said]) + "\n")
        (folder / "orders.csv").write_text("\n".join(["cycle_id,symbol,side,price,quantity", *made]) + "\n")
        assert self.told(capsys, "parity", traded.database, folder)[0] == 0

        (folder / "orders.csv").write_text("\n".join(["cycle_id,symbol,side,price,quantity", *made[1:]]) + "\n")
        assert self.told(capsys, "parity", traded.database, folder)[0] == 1

        (folder / "orders.csv").write_text("cycle_id,symbol,side,price\n")
        status, line = self.told(capsys, "parity", traded.database, folder)
        assert (status, line.count("\n")) == (2, 1)
        assert "orders.csv lacks the column quantity" in line
