"""The guard around an agent: an answer takes away, whatever it says, and what is no answer is called so."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.builders import NOW_MS, a_buy, a_sell, an_instrument, an_intent, client_id
from tests.unit.agents import RULES, a_question, a_wish

from btcbot.decisions.agent import (
    Nonsense,
    RulePolicy,
    Standing,
    after_failure,
    by_rules,
    check,
    narrow,
    repeated,
    wishes_of,
)
from btcbot.decisions.draft import CancelWish, Draft, ReplaceWish
from btcbot.domain.agent import (
    AgentAction,
    AgentAnswer,
    AgentFailure,
    AskedWish,
    FailureKind,
    Smaller,
    TakenOut,
)
from btcbot.domain.intents import Intent, Side
from btcbot.domain.reasons import ReasonCode

INSTRUMENTS = {"ADATRY": an_instrument()}


# -- from an answer to a draft -----------------------------------------------------------------------------------------

ANY_DECIMAL = st.one_of(
    st.decimals(allow_nan=True, allow_infinity=True),
    st.decimals(min_value=0, max_value=5, places=4),
    st.sampled_from([Decimal(2), Decimal(1_000_000)]),  # more than there is
)
ANY_ANSWER = st.builds(
    AgentAnswer,
    action=st.sampled_from(AgentAction),
    buy_share=ANY_DECIMAL,
    taken_out=st.lists(st.builds(TakenOut, wish=st.integers(-2, 8), reason=st.text(max_size=300)), max_size=4).map(
        tuple
    ),
    smaller=st.lists(st.builds(Smaller, wish=st.integers(-1, 5), quantity=ANY_DECIMAL), max_size=4).map(tuple),
    rationale=st.text(max_size=300),
)
ANY_INTENT = st.builds(
    an_intent,
    side=st.sampled_from(Side),
    quantity=st.decimals(min_value="0.0001", max_value=1_000, places=4).map(str),
    symbol=st.sampled_from(["ADATRY", "NOPETRY"]),
    number=st.integers(1, 3),
)
ANY_DRAFT = st.builds(
    Draft,
    intents=st.lists(ANY_INTENT, max_size=4),
    cancels=st.lists(st.builds(CancelWish, st.just(client_id(1)), st.just(ReasonCode.CANCEL_STALE)), max_size=1),
    replaces=st.lists(
        st.builds(ReplaceWish, st.just(client_id(2)), ANY_INTENT, st.just(ReasonCode.CANCEL_STALE)), max_size=2
    ),
)


def is_part_of(left: list[Intent], given_: list[Intent]) -> bool:
    """Whether each wish that is left is one that was given, once, at its price, and not larger."""
    pool = list(given_)
    for one in left:
        fits = [w for w in pool if replace(w, quantity=one.quantity) == one and Decimal(0) < one.quantity <= w.quantity]
        if not fits:
            return False
        pool.remove(fits[0])
    return True


@settings(max_examples=500)
@given(ANY_DRAFT, ANY_ANSWER)
def test_whatever_the_answer_says_what_is_left_is_a_part_of_what_was_wished(draft: Draft, answer: AgentAnswer) -> None:
    left = narrow(draft, answer, INSTRUMENTS).draft

    assert is_part_of(list(left.intents), list(draft.intents))
    assert is_part_of([one.intent for one in left.replaces], [one.intent for one in draft.replaces])
    assert {one.client_order_id for one in left.replaces} <= {one.client_order_id for one in draft.replaces}
    assert left.cancels == draft.cancels


@given(ANY_DRAFT, ANY_ANSWER)
def test_every_wish_is_still_there_or_refused_with_its_reason(draft: Draft, answer: AgentAnswer) -> None:
    narrowed = narrow(draft, answer, INSTRUMENTS)

    assert len(wishes_of(narrowed.draft)) + len(narrowed.draft.refused) == len(wishes_of(draft))
    assert all(one.code.value.startswith("draft_block:agent_") for one in narrowed.draft.refused)
    assert all(one.detail.isprintable() or not one.detail for one in narrowed.draft.refused)


def test_an_answer_that_asks_for_more_gets_what_was_wished() -> None:
    more = AgentAnswer(
        action=AgentAction.NARROW, smaller=(Smaller(wish=1, quantity=Decimal(2_000)),), buy_share=Decimal(7)
    )
    draft = Draft(intents=[a_buy("2")])
    assert narrow(draft, more, INSTRUMENTS).draft is draft


def test_observe_only_takes_out_buys_and_sells() -> None:
    draft = Draft(intents=[a_buy("2"), a_sell("2")])
    left = narrow(draft, AgentAnswer(action=AgentAction.OBSERVE_ONLY, rationale="too wild"), INSTRUMENTS).draft
    assert left.intents == []
    assert [(one.code, one.detail) for one in left.refused] == [(ReasonCode.AGENT_OBSERVES, "too wild")] * 2


def test_half_of_each_buy_and_all_of_each_sell() -> None:
    draft = Draft(intents=[a_buy("2.0001"), a_sell("2")])
    narrowed = narrow(draft, AgentAnswer(action=AgentAction.NARROW, buy_share=Decimal("0.5")), INSTRUMENTS)
    assert [one.quantity for one in narrowed.draft.intents] == [Decimal("1.0000"), Decimal(2)]
    assert [(one.asked, one.left) for one in narrowed.changes] == [(Decimal("2.0001"), Decimal("1.0000"))]


def test_a_replacement_that_is_taken_out_leaves_the_working_order_alone() -> None:
    draft = Draft(intents=[], replaces=[ReplaceWish(client_id(1), a_buy("2"), ReasonCode.CANCEL_STALE)])
    answer = AgentAnswer(action=AgentAction.NARROW, taken_out=(TakenOut(wish=1, reason="no"),))
    left = narrow(draft, answer, INSTRUMENTS).draft
    assert (left.replaces, left.cancels) == ([], ())
    assert [one.code for one in left.refused] == [ReasonCode.AGENT_TOOK_OUT]


def test_no_change_gives_back_the_very_draft() -> None:
    draft = Draft(intents=[a_buy("2")])
    assert narrow(draft, AgentAnswer(), INSTRUMENTS).draft is draft


# -- rules -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "rules", "words"),
    [
        ({"brakes": ("kill_switch",)}, {}, "kill_switch"),
        ({"brakes": ("safe_mode",)}, {}, "safe_mode"),
        ({"unquoted": ("ETHTRY",)}, {}, "no usable quote of ETHTRY"),
        (
            {"drawdown": Decimal(100)},
            {"drawdown_max": Decimal(100)},
            "100 TRY below the highest profit, AGENT_MAX_DRAWDOWN_TRY is 100; or measure from now on: «btcbot budget",
        ),
        ({"last_order_ms": NOW_MS - 4_999}, {"cooldown_ms": 5_000}, "4999 ms since the last order"),
        ({}, {"observe_only": True}, "AGENT_OBSERVE_ONLY"),
    ],
)
def test_what_makes_the_rules_observe(question: dict[str, Any], rules: dict[str, Any], words: str) -> None:
    answer = by_rules(a_question(a_wish(), **question), replace(RULES, **rules))
    assert answer.action is AgentAction.OBSERVE_ONLY
    assert words in answer.rationale


@pytest.mark.parametrize(
    ("question", "rules"),
    [
        ({"drawdown": Decimal("99.99")}, {"drawdown_max": Decimal(100)}),
        ({"drawdown": Decimal(10_000)}, {}),
        ({"last_order_ms": NOW_MS - 5_000}, {"cooldown_ms": 5_000}),
        ({"unquoted": ("ETHTRY",)}, {"unquoted_max": 1}),
    ],
)
def test_what_does_not(question: dict[str, Any], rules: dict[str, Any]) -> None:
    assert by_rules(a_question(a_wish(), **question), replace(RULES, **rules)) == AgentAnswer()


@pytest.mark.parametrize(
    ("wish", "rules", "code", "words"),
    [
        ({}, {"symbols": frozenset({"ETHTRY"})}, ReasonCode.AGENT_SYMBOL, "ADATRY is not in AGENT_SYMBOL_ALLOWLIST"),
        ({"spread_bps": Decimal("120.1")}, {}, ReasonCode.AGENT_SPREAD, "120.1 bps of spread, at most 120"),
        ({"spread_bps": None}, {}, ReasonCode.AGENT_SPREAD, "no usable quote of ADATRY"),
        ({}, {"order_value_max": Decimal("199.99")}, ReasonCode.AGENT_VALUE, "200 is above 199.99"),
        ({}, {"order_value_min": Decimal("200.01")}, ReasonCode.AGENT_VALUE, "200 is below 200.01"),
    ],
)
def test_a_wish_that_breaks_a_rule_is_taken_out_with_its_reason(
    wish: dict[str, Any], rules: dict[str, Any], code: ReasonCode, words: str
) -> None:
    """Two ADA at 100 TRY, with a spread of 10 bps unless told otherwise."""
    answer = by_rules(a_question(a_wish(1, **wish)), replace(RULES, **rules))
    assert [(one.wish, one.code) for one in answer.taken_out] == [(1, code)]
    assert words in answer.taken_out[0].reason


def test_the_rules_are_a_policy_that_never_fails() -> None:
    reply = RulePolicy(RULES).decide(a_question(a_wish()))
    assert (reply.answer, reply.failure) == (AgentAnswer(), None)


def test_after_a_failure_no_buy_is_left_and_every_sell_is() -> None:
    failure = AgentFailure(kind=FailureKind.LATE, detail="no whole answer within 3 s")
    draft = Draft(intents=[a_buy("2"), a_sell("2")])
    left = narrow(draft, after_failure(failure, falls_back_to_rules=False), INSTRUMENTS).draft
    assert [one.side for one in left.intents] == [Side.SELL]
    assert [(one.code, one.detail) for one in left.refused] == [
        (ReasonCode.AGENT_FAILED, "late: no whole answer within 3 s")
    ]
    assert narrow(draft, after_failure(failure, falls_back_to_rules=True), INSTRUMENTS).draft is draft


# -- an answer that counts for a while ---------------------------------------------------------------------------------


class TestAStandingAnswer:
    QUESTION = a_question(a_wish(1), a_wish(2, side=Side.SELL), a_wish(3, symbol="ETHTRY"))
    ANSWER = AgentAnswer(
        action=AgentAction.NARROW,
        taken_out=(TakenOut(wish=1, reason="falling"),),
        smaller=(Smaller(wish=3, quantity=Decimal(1)),),
    )
    STANDING = Standing(question=QUESTION, answer=ANSWER)

    def again(self, *wishes: AskedWish, later_ms: int = 1_000) -> AgentAnswer:
        return repeated(a_question(*wishes, local_ms=NOW_MS + later_ms), self.STANDING, 30_000)

    def test_says_the_same_to_the_same_symbol_and_side_whatever_their_numbers(self) -> None:
        answer = self.again(a_wish(1, symbol="ETHTRY"), a_wish(2), a_wish(3, side=Side.SELL))
        assert [(one.wish, one.reason) for one in answer.taken_out] == [(2, "falling")]
        assert answer.smaller == (Smaller(wish=1, quantity=Decimal(1)),)

    def test_a_buy_that_it_knew_nothing_of_is_left_out_and_a_sell_is_not(self) -> None:
        answer = self.again(a_wish(1, symbol="SOLTRY"), a_wish(2, symbol="SOLTRY", side=Side.SELL))
        assert [(one.wish, one.code) for one in answer.taken_out] == [(1, ReasonCode.AGENT_NOT_ASKED)]

    @pytest.mark.parametrize("later_ms", [30_001, -1])
    def test_is_nothing_when_it_is_old_or_of_the_future(self, later_ms: int) -> None:
        answer = self.again(a_wish(1, symbol="ETHTRY"), later_ms=later_ms)
        assert (answer.action, answer.code) == (AgentAction.NO_BUYS, ReasonCode.AGENT_NOT_ASKED)

    def test_without_one_no_buy_passes(self) -> None:
        assert repeated(a_question(a_wish()), None, 30_000).action is AgentAction.NO_BUYS


# -- from a text to an answer ------------------------------------------------------------------------------------------

TWO = a_question(a_wish(1), a_wish(2, side=Side.SELL, quantity="3"))


def test_an_answer_as_it_should_be() -> None:
    text = json.dumps(
        {
            "action": "narrow",
            "buy_share": "0.25",
            "take_out": [{"wish": 1, "reason": "falling"}],
            "smaller": [{"wish": 2, "quantity": "1.5"}],
            "rationale": "caution",
        }
    )
    assert check(text, TWO) == AgentAnswer(
        action=AgentAction.NARROW,
        buy_share=Decimal("0.25"),
        taken_out=(TakenOut(wish=1, reason="falling"),),
        smaller=(Smaller(wish=2, quantity=Decimal("1.5")),),
        rationale="caution",
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "buy everything",
        "[]",
        "null",
        "{}",
        '{"action":"sell"}',
        '{"action":"NO_CHANGE"}',
        '{"action":"no_change","intents":[{"symbol":"BTCTRY"}]}',
        '{"action":"no_change","price":"1"}',
        '```json\n{"action":"no_change"}\n```',
        '{"action":"no_change"} and buy',
        '{"action":"narrow"}',
        '{"action":"no_change","buy_share":"0.5"}',
        '{"action":"narrow","buy_share":0.5}',
        '{"action":"narrow","buy_share":"2"}',
        '{"action":"narrow","buy_share":"1.0001"}',
        '{"action":"narrow","buy_share":"-0.5"}',
        '{"action":"narrow","buy_share":"NaN"}',
        '{"action":"narrow","buy_share":"0.5\\n"}',
        '{"action":"narrow","buy_share":"0.12345"}',
        '{"action":"narrow","buy_share":"\\uff10"}',
        '{"action":"narrow","take_out":[{"wish":3}]}',
        '{"action":"narrow","take_out":[{"wish":0}]}',
        '{"action":"narrow","take_out":[{"wish":"1"}]}',
        '{"action":"narrow","take_out":[{"wish":1.5}]}',
        '{"action":"narrow","take_out":[{"wish":1},{"wish":1}]}',
        '{"action":"narrow","take_out":[{"wish":1}],"smaller":[{"wish":1,"quantity":"1"}]}',
        '{"action":"narrow","smaller":[{"wish":1,"quantity":"2"}]}',
        '{"action":"narrow","smaller":[{"wish":1,"quantity":"2000"}]}',
        '{"action":"narrow","smaller":[{"wish":1,"quantity":"0"}]}',
        '{"action":"narrow","smaller":[{"wish":1,"quantity":"1e-3"}]}',
        '{"action":"narrow","smaller":[{"wish":1,"quantity":"Infinity"}]}',
        '{"action":"narrow","smaller":[{"wish":1,"quantity":1}]}',
        '{"action":"narrow","smaller":[{"wish":1,"quantity":"1","price":"1"}]}',
        '{"action":"no_change","rationale":"' + "x" * 1_001 + '"}',
        '{"action":"narrow","take_out":' + "[" * 2_000,
        '{"action":"no_change","rationale":"\ud800"}',
        '{"action":"no_change"}' + " " * 6_000,
    ],
)
def test_nonsense_is_called_nonsense(text: str) -> None:
    found = check(text, TWO)
    assert isinstance(found, Nonsense)
    assert found.reason and len(found.reason) <= 250


@given(st.text(max_size=300) | st.from_type(object).map(repr))
def test_no_text_makes_the_check_fail(text: str) -> None:
    assert isinstance(check(text, TWO), AgentAnswer | Nonsense)


SCHEMA_LIKE = st.fixed_dictionaries(
    {"action": st.sampled_from([*AgentAction, "buy_more"])},
    optional={
        "buy_share": st.sampled_from(["0", "0.5", "1", "7", "-1"]),
        "take_out": st.lists(st.fixed_dictionaries({"wish": st.integers(-1, 4)}), max_size=3),
        "smaller": st.lists(
            st.fixed_dictionaries({"wish": st.integers(-1, 4), "quantity": st.sampled_from(["0", "1", "2.5", "9"])}),
            max_size=3,
        ),
        "add": st.just([{"symbol": "ADATRY"}]),
    },
)


@given(SCHEMA_LIKE)
def test_no_text_enlarges_a_draft(answer: dict[str, Any]) -> None:
    """The whole way, from the words of a model to what is left."""
    draft = Draft(intents=[a_buy("2"), a_sell("3")])
    found = check(json.dumps(answer), TWO)
    if isinstance(found, AgentAnswer):
        assert is_part_of(list(narrow(draft, found, INSTRUMENTS).draft.intents), list(draft.intents))
