"""Lets an agent look at the wishes of a cycle, and writes down what came of it.

Rules are asked first, whoever else is; what they leave is shown to the policy, where there is one. Its answer passes
`decisions.agent.narrow` and nothing else, so it can take away and never give. A cycle that the feed woke asks nobody:
the last answer stands for as long as it is young, and buys that it knew nothing of are left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

import msgspec

from btcbot.decisions import agent
from btcbot.decisions import results as folding
from btcbot.decisions.agent import AgentRules, Change, Standing
from btcbot.decisions.draft import Draft, DraftFacts
from btcbot.domain import money
from btcbot.domain.agent import (
    AgentAnswer,
    AgentFailure,
    AgentQuestion,
    AgentReply,
    AskedPosition,
    AskedWish,
)
from btcbot.domain.intents import Intent
from btcbot.domain.market import Quote
from btcbot.domain.notes import Note, NoteKind
from btcbot.ports import AgentPolicy, Clock, Log, Metrics, StateStore, Transaction
from btcbot.services import named_values
from btcbot.services.snapshots import read_results
from btcbot.services.watching import CycleEnd

#: The named value with the last result, for the drawdown that the rules look at.
AGENT_RESULT: Final = "agent_result"
#: The gates that a rule calls brakes: everything else is not the agent's business.
BRAKES: Final = (
    "safe_mode",
    "kill_switch",
    "kill_file",
    "halted",
    "frozen_by_suspense",
    "frozen_by_unexplained_orders",
)
#: Result of a question that was answered; the others are kinds of failure.
ANSWERED: Final = "answered"
#: A note is never longer than this.
NOTE_CHARACTERS_MAX: Final = 4_000
#: What is left of captured texts, and of lists, the more a note has to be cut.
_CUTS: Final = ((None, None), (1_500, 20), (700, 10), (200, 5), (0, 3), (0, 0))


class AgentNote(msgspec.Struct, frozen=True, kw_only=True):
    """Body of a note AGENT. `question` is the hash of what was to be decided; `asked` whether anybody was asked for it.

    `prompt` and `text` are what went out and came back, where they are kept; `left_out` how much was cut away.
    """

    policy: str
    question: str
    asked: bool
    latency_ms: int
    wishes: int
    changes: tuple[Change, ...]
    answer: AgentAnswer | None = None
    failure: AgentFailure | None = None
    prompt: str = ""
    text: str = ""
    left_out: int = 0


class _Result(msgspec.Struct, frozen=True, kw_only=True):
    """Realised plus unrealised profit of the last cycle that could tell it, in TRY."""

    last: Decimal


_decode_result: Final = named_values.decoder(_Result)


class AgentService:
    """A `Shaper` and a `CycleWatcher`.

    `policy` None: the rules alone. `gates` gives every gate by name, True where open. `capture_characters_max` is how
    much of prompt and answer a note keeps.
    """

    def __init__(
        self,
        rules: AgentRules,
        policy: AgentPolicy | None,
        store: StateStore,
        clock: Clock,
        metrics: Metrics,
        log: Log,
        gates: Callable[[], Mapping[str, bool]],
        *,
        falls_back_to_rules: bool,
        answer_age_ms_max: int,
        capture_characters_max: int,
    ) -> None:
        self._rules = rules
        self._policy = policy
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._gates = gates
        self._falls_back_to_rules = falls_back_to_rules
        self._answer_age_ms_max = answer_age_ms_max
        self._capture_characters_max = capture_characters_max
        self._standing: Standing | None = None
        self._told: tuple[str, AgentNote] | None = None

    @property
    def name(self) -> str:
        return "agent"

    def shape(self, draft: Draft, facts: DraftFacts) -> Draft:
        self._told = None
        wishes = len(agent.wishes_of(draft))
        if not wishes:
            return draft
        ruled = self._question(draft, facts)
        rules_answer = agent.by_rules(ruled, self._rules)
        by_rules = agent.narrow(draft, rules_answer, facts.instruments)
        if self._policy is None or not agent.wishes_of(by_rules.draft):
            self._note(facts, "rule", ruled, wishes, by_rules.changes, answer=rules_answer)
            return by_rules.draft
        question = self._question(by_rules.draft, facts)
        started_ns = self._clock.monotonic_ns()
        reply = self._policy.decide(question) if facts.may_read else AgentReply()
        latency_ms = (self._clock.monotonic_ns() - started_ns) // 1_000_000
        answer = self._answer_that_counts(question, reply)
        narrowed = agent.narrow(by_rules.draft, answer, facts.instruments)
        self._note(
            facts,
            "llm",
            question,
            wishes,
            (*by_rules.changes, *narrowed.changes),
            answer=answer,
            failure=reply.failure,
            asked=facts.may_read,
            latency_ms=latency_ms,
            prompt=reply.prompt[: self._capture_characters_max],
            text=reply.text[: self._capture_characters_max],
        )
        if reply.failure is None:
            return narrowed.draft
        why = agent.told_of_failure(reply.failure, falls_back_to_rules=self._falls_back_to_rules)
        return msgspec.structs.replace(narrowed.draft, reasons=(*narrowed.draft.reasons, why))

    def cycle_ended(self, end: CycleEnd, tx: Transaction) -> None:
        report = end.report
        if report.equity_try is not None:  # else it did not come so far, or a held pair shows no price: no result
            self._keep_result(report.realized_pnl_try + report.unrealized_pnl_try, tx)
        told, self._told = self._told, None
        # A woken cycle that came to nothing has no report, and its number goes to the next one: which may not have come
        # as far as a draft.
        if told is None or end.draft is None or told[0] != report.cycle_id:
            return
        tx.insert_note(
            Note(
                kind=NoteKind.AGENT,
                cycle_id=report.cycle_id,
                at_ms=report.ended_at_ms,
                body=_cut(told[1]),
            )
        )

    # -- asking --------------------------------------------------------------------------------------------------------

    def _answer_that_counts(self, question: AgentQuestion, reply: AgentReply) -> AgentAnswer:
        """The answer; what stands in for it after a failure; or the last one, where nobody was asked."""
        if reply.answer is not None:
            self._metrics.count("btcbot_agent_answers_total", result=ANSWERED)
            self._standing = Standing(question=question, answer=reply.answer)
            return reply.answer
        if reply.failure is not None:
            self._standing = None
            self._metrics.count("btcbot_agent_answers_total", result=reply.failure.kind.value)
            self._log.warning("agent_failed", kind=reply.failure.kind.value, why=reply.failure.detail)
            return agent.after_failure(reply.failure, falls_back_to_rules=self._falls_back_to_rules)
        return agent.repeated(question, self._standing, self._answer_age_ms_max)

    def _question(self, draft: Draft, facts: DraftFacts) -> AgentQuestion:
        gates = self._gates()
        watched = facts.universe.watched
        return AgentQuestion(
            cycle_id=facts.cycle_id,
            now_ms=facts.now_ms,
            local_ms=facts.local_ms,
            quote_asset=facts.quote_asset,
            mode=facts.stance.mode,
            free_cash=facts.free_cash,
            equity=facts.equity,
            drawdown=self._drawdown(),
            brakes=tuple(name for name in BRAKES if not gates.get(name, True)),
            unquoted=tuple(symbol for symbol in watched if symbol not in facts.quotes),
            last_order_ms=max(self._store.last_order_times_ms().values(), default=None),
            wishes=tuple(
                _asked(number, intent, facts.quotes.get(intent.symbol))
                for number, intent in enumerate(agent.wishes_of(draft), start=1)
            ),
            positions=tuple(
                AskedPosition(symbol=symbol, quantity=position.quantity, cost=position.cost)
                for symbol, position in sorted(facts.positions.items())
                if position.quantity
            ),
        )

    # -- keeping -------------------------------------------------------------------------------------------------------

    def _drawdown(self) -> Decimal:
        """How far the last result lies below the peak that the risk budget measures from: what moves that one (coins
        handed over, a human's reset) moves this too, for there is one drawdown and not two."""
        result = self._result()
        return money.ZERO if result is None else folding.drawdown(read_results(self._store), result.last)

    def _result(self) -> _Result | None:
        return named_values.decoded(self._store, AGENT_RESULT, _decode_result)

    def _keep_result(self, now: Decimal, tx: Transaction) -> None:
        result = _Result(last=now)
        if result != self._result():
            tx.put_value(AGENT_RESULT, msgspec.json.encode(result).decode())

    def _note(
        self,
        facts: DraftFacts,
        policy: str,
        question: AgentQuestion,
        wishes: int,
        changes: tuple[Change, ...],
        *,
        answer: AgentAnswer | None,
        failure: AgentFailure | None = None,
        asked: bool = False,
        latency_ms: int = 0,
        prompt: str = "",
        text: str = "",
    ) -> None:
        note = AgentNote(
            policy=policy,
            question=hashlib.sha256(msgspec.json.encode(question)).hexdigest(),
            asked=asked,
            latency_ms=latency_ms,
            wishes=wishes,
            changes=changes,
            answer=answer,
            failure=failure,
            prompt=prompt,
            text=text,
        )
        self._told = facts.cycle_id, note
        self._log.info(
            "agent_decision",
            policy=policy,
            asked=asked,
            action=None if answer is None else answer.action.value,
            wishes=wishes,
            changed=len(changes),
            latency_ms=latency_ms,
        )


def _asked(number: int, intent: Intent, quote: Quote | None) -> AskedWish:
    return AskedWish(
        number=number,
        symbol=intent.symbol,
        side=intent.side,
        price=intent.price,
        quantity=intent.quantity,
        spread_bps=None if quote is None else quote.spread_bps,
        why=intent.why,
    )


def _cut(note: AgentNote) -> str:
    """The note as JSON of at most NOTE_CHARACTERS_MAX characters: captured texts go first, then the ends of lists."""
    for characters_max, entries_max in _CUTS:
        text = msgspec.json.encode(_shortened(note, characters_max, entries_max)).decode()
        if len(text) <= NOTE_CHARACTERS_MAX:
            return text
    raise AssertionError("a note without texts and lists is short")


def _shortened(note: AgentNote, characters_max: int | None, entries_max: int | None) -> AgentNote:
    if characters_max is None or entries_max is None:
        return note
    answer, failure = note.answer, note.failure
    cut = len(note.changes[entries_max:])
    if answer is not None:
        cut += len(answer.taken_out[entries_max:]) + len(answer.smaller[entries_max:])
        answer = msgspec.structs.replace(
            answer,
            taken_out=answer.taken_out[:entries_max],
            smaller=answer.smaller[:entries_max],
            rationale=answer.rationale[: max(characters_max, 100)],
        )
    if failure is not None:
        failure = msgspec.structs.replace(failure, detail=failure.detail[: max(characters_max, 100)])
    return msgspec.structs.replace(
        note,
        changes=note.changes[:entries_max],
        answer=answer,
        failure=failure,
        prompt=note.prompt[:characters_max],
        text=note.text[:characters_max],
        left_out=cut,
    )
