"""An agent at work in cycles: rules first, then whoever is asked; what stands between two questions; what is noted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from tests.builders import (
    NOW_MS,
    a_buy,
    a_position,
    a_report,
    a_sell,
    an_order,
    draft_facts,
)
from tests.unit.agents import RULES

from btcbot.adapters.metrics import MemoryMetrics
from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.decisions.draft import Draft
from btcbot.domain.agent import (
    AgentAction,
    AgentAnswer,
    AgentFailure,
    AgentQuestion,
    AgentReply,
    FailureKind,
    Smaller,
    TakenOut,
)
from btcbot.domain.intents import Intent, Side
from btcbot.domain.notes import NoteKind
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.stance import FREE
from btcbot.domain.universe import Watched
from btcbot.services import budget_record
from btcbot.services.agent import ANSWERED, NOTE_CHARACTERS_MAX, AgentNote, AgentService
from btcbot.services.days import day
from btcbot.services.execution import ExecutionSummary
from btcbot.services.snapshots import SnapshotRecorder
from btcbot.services.watching import CycleEnd
from btcbot.testing.in_process_rig import ListLog
from btcbot.testing.manual_clock import ManualClock

NO_CHANGE = AgentReply(answer=AgentAnswer())
LATE = AgentReply(failure=AgentFailure(kind=FailureKind.LATE, detail="no whole answer within 3 s"))


class Scripted:
    """Answers from a list, and remembers what it was asked."""

    def __init__(self, *replies: AgentReply) -> None:
        self.replies = list(replies)
        self.asked: list[AgentQuestion] = []

    def decide(self, question: AgentQuestion) -> AgentReply:
        self.asked.append(question)
        return self.replies.pop(0)


class Bench:
    """One agent, its database, and cycles."""

    def __init__(self, folder: Path) -> None:
        self.store = SqliteStore.open(folder / "agent.db")
        self.snapshots = SnapshotRecorder(self.store, day, points_kept=1)
        self.clock = ManualClock()
        self.metrics = MemoryMetrics()
        self.log = ListLog()
        self.gates: dict[str, bool] = {"dry_run": False, "kill_switch": True, "safe_mode": True}
        self.number = 0

    def agent(self, policy: Scripted | None, *, captures: int = 0, on_failure: str = "observe_only",
              **rules: Any) -> AgentService:  # fmt: skip
        return AgentService(
            replace(RULES, **rules),
            policy,
            self.store,
            self.clock,
            self.metrics,
            self.log,
            lambda: self.gates,
            falls_back_to_rules=on_failure == "rules",
            answer_age_ms_max=30_000,
            capture_characters_max=captures,
        )

    def cycle(
        self,
        agent: AgentService,
        *intents: Intent,
        may_read: bool = True,
        later_ms: int = 0,
        result: str | None = "0",
        **changes: Any,
    ) -> Draft:
        """One cycle that shapes these wishes, and ends."""
        self.number += 1
        plain = {
            "cycle_id": f"c{self.number:08d}",
            "now_ms": NOW_MS + later_ms,
            "local_ms": NOW_MS + later_ms,
            "equity": Decimal(1_000),
            "universe": Watched(active=("ADATRY",), watched=("ADATRY",)),
            "may_read": may_read,
        }
        facts = draft_facts("ADATRY", "XRPTRY", **(plain | changes))
        draft = agent.shape(Draft(intents=list(intents)), facts)
        self.end(agent, facts.cycle_id, draft, result)
        return draft

    def end(self, agent: AgentService, cycle_id: str, draft: Draft | None, result: str | None = "0") -> None:
        report = a_report(
            self.number,
            cycle_id=cycle_id,
            mode="dry_run",
            ended_at_ms=NOW_MS + 1,
            equity_try=None if result is None else Decimal(1_000) + Decimal(result),
            realized_pnl_try=Decimal(result or 0),
        )
        with self.store.transaction() as tx:
            end = CycleEnd(report=report, seconds=0, summary=ExecutionSummary(), stance=FREE, draft=draft)
            self.snapshots.cycle_ended(end, tx)
            agent.cycle_ended(end, tx)

    def notes(self) -> Sequence[AgentNote]:
        return [msgspec.json.decode(note.body, type=AgentNote) for note in self.store.notes(NoteKind.AGENT)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.store.close()


def sides(draft: Draft) -> list[Side]:
    return [one.side for one in draft.intents]


def test_rules_alone_ask_nobody_and_leave_a_note(bench: Bench) -> None:
    agent = bench.agent(None, order_value_max=Decimal(150))
    draft = bench.cycle(agent, a_buy("2"), a_buy("1"))
    assert [one.quantity for one in draft.intents] == [Decimal(1)]
    (note,) = bench.notes()
    assert (note.policy, note.asked, note.wishes, len(note.question)) == ("rule", False, 2, 64)
    assert [(one.code, one.left) for one in note.changes] == [(ReasonCode.AGENT_VALUE, Decimal(0))]


def test_a_cycle_without_wishes_asks_nobody_and_notes_nothing(bench: Bench) -> None:
    policy = Scripted()
    bench.cycle(bench.agent(policy))
    assert (policy.asked, bench.notes()) == ([], [])


def test_a_brake_that_is_on_takes_everything_out_before_anybody_is_asked(bench: Bench) -> None:
    policy = Scripted()
    bench.gates["kill_switch"] = False
    draft = bench.cycle(bench.agent(policy), a_buy("2"), a_sell("2"))
    assert (list(draft.intents), policy.asked) == ([], [])
    assert {one.code for one in draft.refused} == {ReasonCode.AGENT_OBSERVES}
    assert "kill_switch" in draft.refused[0].detail


def test_a_gate_that_is_no_brake_is_not_the_agents_business(bench: Bench) -> None:
    """A dry run's own gate is closed for as long as it runs."""
    draft = bench.cycle(bench.agent(None), a_buy("2"))
    assert sides(draft) == [Side.BUY]


def test_the_policy_sees_what_the_rules_left_numbered_anew(bench: Bench) -> None:
    policy = Scripted(AgentReply(answer=AgentAnswer(
        action=AgentAction.NARROW, taken_out=(TakenOut(wish=1, reason="falling"),)
    )))  # fmt: skip
    draft = bench.cycle(bench.agent(policy, symbols=frozenset({"XRPTRY"})), a_buy("2"), a_buy("3", symbol="XRPTRY"))
    assert [(one.number, one.symbol) for one in policy.asked[0].wishes] == [(1, "XRPTRY")]
    assert [(one.intent.symbol, one.code) for one in draft.refused] == [
        ("ADATRY", ReasonCode.AGENT_SYMBOL),
        ("XRPTRY", ReasonCode.AGENT_TOOK_OUT),
    ]


def test_a_late_answer_leaves_no_buy_and_its_reason_on_record(bench: Bench) -> None:
    draft = bench.cycle(bench.agent(Scripted(LATE)), a_buy("2"), a_sell("2"))
    assert sides(draft) == [Side.SELL]
    (note,) = bench.notes()
    assert note.failure == LATE.failure
    assert [one.reason for one in note.changes] == ["late: no whole answer within 3 s"]
    assert bench.log.events("agent_failed") == [{"kind": "late", "why": "no whole answer within 3 s"}]


@pytest.mark.parametrize("kind", FailureKind)
def test_an_agent_that_fails_is_told_in_the_cycles_reasons_and_counted(bench: Bench, kind: FailureKind) -> None:
    """Every buy was refused for it, and the cycle had no reason, no metric and no alert."""
    failed = AgentReply(failure=AgentFailure(kind=kind, detail="HTTP 500"))
    draft = bench.cycle(bench.agent(Scripted(failed)), a_buy("2"))
    assert draft.reasons == (f"draft_block:agent_failed: {kind.value}: HTTP 500; nothing is bought",)
    assert bench.metrics.value("btcbot_agent_answers_total", result=kind.value) == 1
    assert bench.metrics.value("btcbot_agent_answers_total", result=ANSWERED) is None
    by_rules = bench.cycle(bench.agent(Scripted(failed), on_failure="rules"), a_buy("2"))
    assert by_rules.reasons == (f"draft_block:agent_failed: {kind.value}: HTTP 500; the rules alone decide",)


def test_an_agent_that_answers_gives_the_cycle_no_reason(bench: Bench) -> None:
    agent = bench.agent(Scripted(NO_CHANGE))
    assert bench.cycle(agent, a_buy("2")).reasons == ()
    assert bench.cycle(agent, a_buy("2"), may_read=False, later_ms=1_000).reasons == (), "nobody was asked"
    assert bench.metrics.value("btcbot_agent_answers_total", result=ANSWERED) == 1


def test_after_a_failure_the_rules_count_alone_where_that_is_chosen(bench: Bench) -> None:
    draft = bench.cycle(bench.agent(Scripted(LATE), on_failure="rules"), a_buy("2"))
    assert sides(draft) == [Side.BUY]
    assert bench.notes()[0].failure == LATE.failure


class TestACycleThatTheFeedWoke:
    def test_asks_nobody_and_repeats_a_young_answer(self, bench: Bench) -> None:
        policy = Scripted(AgentReply(answer=AgentAnswer(
            action=AgentAction.NARROW, smaller=(Smaller(wish=1, quantity=Decimal(1)),)
        )))  # fmt: skip
        agent = bench.agent(policy)
        bench.cycle(agent, a_buy("2"))
        draft = bench.cycle(agent, a_buy("4"), may_read=False, later_ms=30_000)
        assert [one.quantity for one in draft.intents] == [Decimal(1)]
        assert len(policy.asked) == 1
        assert [note.asked for note in bench.notes()] == [True, False]

    def test_leaves_buys_out_when_the_last_answer_is_old(self, bench: Bench) -> None:
        agent = bench.agent(Scripted(NO_CHANGE))
        bench.cycle(agent, a_buy("2"))
        draft = bench.cycle(agent, a_buy("2"), a_sell("2"), may_read=False, later_ms=30_001)
        assert sides(draft) == [Side.SELL]
        assert [one.code for one in draft.refused] == [ReasonCode.AGENT_NOT_ASKED]

    def test_leaves_buys_out_that_nobody_was_asked_about(self, bench: Bench) -> None:
        agent = bench.agent(Scripted(NO_CHANGE))
        bench.cycle(agent, a_buy("2"))
        draft = bench.cycle(agent, a_buy("2"), a_buy("2", symbol="XRPTRY"), may_read=False, later_ms=1)
        assert [one.symbol for one in draft.intents] == ["ADATRY"]

    def test_leaves_buys_out_after_a_failure(self, bench: Bench) -> None:
        agent = bench.agent(Scripted(NO_CHANGE, LATE))
        bench.cycle(agent, a_buy("2"))
        bench.cycle(agent, a_buy("2"))
        assert sides(bench.cycle(agent, a_buy("2"), may_read=False)) == []

    def test_leaves_buys_out_before_the_first_answer(self, bench: Bench) -> None:
        assert sides(bench.cycle(bench.agent(Scripted()), a_buy("2"), may_read=False)) == []


def test_the_drawdown_is_that_of_all_cycles_and_outlives_a_restart(bench: Bench) -> None:
    first = bench.agent(None, drawdown_max=Decimal(100))
    bench.cycle(first, result="500")
    bench.cycle(first, result="400.01")
    assert sides(bench.cycle(bench.agent(None, drawdown_max=Decimal(100)), a_buy("2"), result="400")) == [Side.BUY]
    draft = bench.cycle(bench.agent(None, drawdown_max=Decimal(100)), a_buy("2"))
    assert [one.detail for one in draft.refused] == [
        "100 TRY below the highest profit, AGENT_MAX_DRAWDOWN_TRY is 100; or measure from now on: "
        "«btcbot budget reset --reason …»"
    ]


def test_a_reset_of_the_budget_measures_the_agents_drawdown_anew_as_well(bench: Bench) -> None:
    """The agent kept a peak of its own, and went on taking out every wish after the operator had decided to go on."""
    agent = bench.agent(None, drawdown_max=Decimal(100))
    bench.cycle(agent, result="500")
    with bench.store.transaction() as tx:
        tx.put_position(a_position(quantity="0", cost="0", realized_pnl=Decimal(300)))
    bench.cycle(agent, result="300")
    assert sides(bench.cycle(agent, a_buy("2"), result="300")) == []
    budget_record.reset(bench.store, NOW_MS, "looked at it")
    assert sides(bench.cycle(agent, a_buy("2"), result="200")) == [Side.BUY]
    draft = bench.cycle(bench.agent(None, drawdown_max=Decimal(100)), a_buy("2"))
    assert draft.refused[0].detail.startswith("100 TRY below the highest profit"), "and it counts on from there"


def test_a_cycle_that_came_to_no_result_makes_no_drawdown(bench: Bench) -> None:
    """A venue that is down for a cycle tells no result; the zero in its report is none."""
    agent = bench.agent(None, drawdown_max=Decimal(20))
    bench.cycle(agent, result="-33")
    bench.cycle(agent, result=None)
    assert sides(bench.cycle(agent, a_buy("2"), result="-33")) == [Side.BUY]
    assert sides(bench.cycle(agent, a_buy("2"), result="-33")) == [Side.BUY]


def test_the_cooldown_counts_from_the_last_order_of_any_symbol(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        tx.insert_order(an_order(symbol="XRPTRY"))
    agent = bench.agent(None, cooldown_ms=5_000)
    assert sides(bench.cycle(agent, a_buy("2"), later_ms=4_999)) == []
    assert sides(bench.cycle(agent, a_buy("2"), later_ms=5_000)) == [Side.BUY]


def test_a_note_is_never_longer_than_4000_characters_and_says_what_it_left_out(bench: Bench) -> None:
    wishes = [a_buy("2") for _ in range(150)]
    taken = tuple(TakenOut(wish=number, reason="\n" * 200) for number in range(1, 151))
    answer = AgentAnswer(action=AgentAction.NARROW, taken_out=taken, rationale='"' * 1_000)
    reply = AgentReply(answer=answer, prompt="\x00" * 4_000, text='"' * 4_000)
    bench.cycle(bench.agent(Scripted(reply), captures=4_000), *wishes)
    (kept,) = bench.store.notes(NoteKind.AGENT)
    assert len(kept.body) <= NOTE_CHARACTERS_MAX
    (note,) = bench.notes()
    assert note.wishes == 150
    assert note.left_out >= 2 * 130


def test_prompts_are_kept_as_far_as_the_setting_says(bench: Bench) -> None:
    reply = AgentReply(answer=AgentAnswer(), prompt="p" * 500, text="t" * 500)
    bench.cycle(bench.agent(Scripted(reply), captures=100), a_buy("2"))
    assert [(note.prompt, note.text) for note in bench.notes()] == [("p" * 100, "t" * 100)]


def test_a_woken_cycle_that_came_to_nothing_leaves_no_note_to_the_next_one(bench: Bench) -> None:
    """It has no report, and the next tick of the timer takes its number, but may not come as far as a draft."""
    agent = bench.agent(None)
    facts = draft_facts(
        cycle_id="c00000001",
        instruments={},
        free_cash=Decimal(0),
        universe=Watched(active=(), watched=()),
        may_read=False,
    )
    for cycle_id in ("c00000001", "c00000002"):
        agent.shape(Draft(intents=[a_buy("2")]), facts)
        bench.end(agent, cycle_id, None)
    agent.shape(Draft(intents=[a_buy("2")]), facts)
    bench.end(agent, "c00000002", Draft(intents=[]))
    assert bench.notes() == []
