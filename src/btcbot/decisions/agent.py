"""The guard around a policy agent: what its words may do to a draft, and the rules that hold whoever is asked.

`narrow` is the only way from an answer to a draft. Whatever the answer says, what is left is a part of what was there:
no wish is added, none grows, no price moves, and cancels pass untouched. `check` reads a text that came from outside
against a strict schema: what does not fit in every detail is nonsense, and nonsense narrows to safety.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Final

import msgspec

from btcbot.decisions.draft import Draft, ReplaceWish
from btcbot.decisions.risk import RefusedIntent
from btcbot.domain import money
from btcbot.domain.agent import (
    AgentAction,
    AgentAnswer,
    AgentFailure,
    AgentQuestion,
    AgentReply,
    AskedWish,
    Smaller,
    TakenOut,
)
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Intent, Side
from btcbot.domain.money import plain
from btcbot.domain.reasons import ReasonCode

#: A text that is longer is not read at all.
REPLY_CHARACTERS_MAX: Final = 6_000
ENTRIES_MAX: Final = 200
REASON_CHARACTERS_MAX: Final = 200
RATIONALE_CHARACTERS_MAX: Final = 1_000
#: A share is told with this many decimals at most, so that its product with any quantity is exact.
_SHARE_PLACES: Final = 4
_SHARE: Final = r"\A(0(\.[0-9]{1,4})?|1(\.0{1,4})?)\Z"
_QUANTITY: Final = r"\A[0-9]{1,18}(\.[0-9]{1,18})?\Z"
#: A quantity of a symbol whose rules are not known; risk refuses it anyway.
_PLACES_UNKNOWN: Final = 8


class AgentRules(msgspec.Struct, frozen=True, kw_only=True):
    """From settings. Amounts in the quote asset; zero sets no limit. `symbols` empty: every one is allowed."""

    observe_only: bool
    symbols: frozenset[str]
    order_value_min: Decimal
    order_value_max: Decimal
    spread_bps_max: Decimal
    drawdown_max: Decimal
    cooldown_ms: int
    unquoted_max: int


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer did to one wish; `left` zero: it is taken out."""

    symbol: str
    side: Side
    asked: Decimal
    left: Decimal
    code: ReasonCode
    reason: str


class Narrowed(msgspec.Struct, frozen=True, kw_only=True):
    """The draft that is left, and what was changed on the way."""

    draft: Draft
    changes: tuple[Change, ...] = ()


class Nonsense(msgspec.Struct, frozen=True):
    """Not an answer, and why not; for people."""

    reason: str


# -- from an answer to a draft -----------------------------------------------------------------------------------------


def wishes_of(draft: Draft) -> Sequence[Intent]:
    """Everything that wants to become an order, in the order in which wishes are numbered from 1."""
    return [*draft.intents, *(replace.intent for replace in draft.replaces)]


def narrow(draft: Draft, answer: AgentAnswer, instruments: Mapping[str, Instrument]) -> Narrowed:
    """The draft, less what the answer takes away. A wish that loses its replacement leaves the old order alone."""
    taken_out = {one.wish: one for one in answer.taken_out}
    most: dict[int, Decimal] = {}
    for one in answer.smaller:
        most[one.wish] = min(_sane(one.quantity), most.get(one.wish, _sane(one.quantity)))
    share = min(money.round_down(_sane(answer.buy_share), _SHARE_PLACES), money.ONE)
    intents: list[Intent] = []
    replaces: list[ReplaceWish] = []
    refused = list(draft.refused)
    changes: list[Change] = []
    for number, intent in enumerate(wishes_of(draft), start=1):
        left, code, reason = _left_of(
            intent, answer, taken_out.get(number), most.get(number), share, instruments.get(intent.symbol)
        )
        if left != intent.quantity:
            changes.append(
                Change(
                    symbol=intent.symbol,
                    side=intent.side,
                    asked=intent.quantity,
                    left=left,
                    code=code,
                    reason=reason,
                )
            )
        if left <= 0:
            refused.append(RefusedIntent(intent, code, reason))
            continue
        kept = intent if left == intent.quantity else msgspec.structs.replace(intent, quantity=left)
        if number <= len(draft.intents):
            intents.append(kept)
        else:
            was = draft.replaces[number - len(draft.intents) - 1]
            replaces.append(was if kept is intent else msgspec.structs.replace(was, intent=kept))
    if not changes:
        return Narrowed(draft=draft)
    return Narrowed(
        draft=Draft(
            intents=intents,
            refused=refused,
            cancels=draft.cancels,
            replaces=replaces,
            cut=draft.cut | {kept.intent_id for kept in intents if kept not in draft.intents},
            reasons=draft.reasons,
        ),
        changes=tuple(changes),
    )


def _left_of(
    intent: Intent,
    answer: AgentAnswer,
    taken_out: TakenOut | None,
    most: Decimal | None,
    share: Decimal,
    instrument: Instrument | None,
) -> tuple[Decimal, ReasonCode, str]:
    """The quantity that is left of a wish, never more than was wished; and why."""
    is_buy = intent.side is Side.BUY
    if answer.action is AgentAction.OBSERVE_ONLY or (answer.action is AgentAction.NO_BUYS and is_buy):
        return money.ZERO, answer.code, _said(answer.rationale)
    if taken_out is not None:
        return money.ZERO, taken_out.code, _said(taken_out.reason)
    left = intent.quantity
    if most is not None and most < left:
        left = most
    if is_buy and share < money.ONE:
        places = _PLACES_UNKNOWN if instrument is None else instrument.quantity_scale
        left = min(left, money.round_down(intent.quantity * share, places))
    return max(left, money.ZERO), ReasonCode.AGENT_MADE_SMALLER, _said(answer.rationale)


def _sane(value: Decimal) -> Decimal:
    """Zero for what is no amount: an answer that cannot be meant takes the most away."""
    if not value.is_finite() or value < 0:
        return money.ZERO
    return value if value <= money.MAGNITUDE_MAX else money.MAGNITUDE_MAX


def _said(text: str) -> str:
    """A text of others as a part of our verdict: one line, not longer than a line."""
    shown = "".join(one if one.isprintable() else " " for one in text[: REASON_CHARACTERS_MAX + 1])
    return shown if len(shown) <= REASON_CHARACTERS_MAX else f"{shown[: REASON_CHARACTERS_MAX - 1]}…"


# -- rules -------------------------------------------------------------------------------------------------------------


class RulePolicy(msgspec.Struct, frozen=True):
    """The policy that asks nobody. It also stands guard beside any other one."""

    rules: AgentRules

    def decide(self, question: AgentQuestion) -> AgentReply:
        return AgentReply(answer=by_rules(question, self.rules))

    def close(self) -> None:
        """Nothing is open."""


def by_rules(question: AgentQuestion, rules: AgentRules) -> AgentAnswer:
    """Observe while something is wrong with everything; else leave out the wishes that break a rule."""
    if why := _why_observe(question, rules):
        return AgentAnswer(action=AgentAction.OBSERVE_ONLY, rationale=why)
    taken_out = [broken for wish in question.wishes if (broken := _broken_rule(wish, question, rules)) is not None]
    if not taken_out:
        return AgentAnswer()
    return AgentAnswer(action=AgentAction.NARROW, taken_out=tuple(taken_out))


def _why_observe(question: AgentQuestion, rules: AgentRules) -> str:
    if rules.observe_only:
        return "AGENT_OBSERVE_ONLY is set"
    if question.brakes:
        return f"a brake is on: {', '.join(question.brakes)}"
    if len(question.unquoted) > rules.unquoted_max:
        return f"no usable quote of {', '.join(question.unquoted)}"
    if rules.drawdown_max and question.drawdown >= rules.drawdown_max:
        return (
            f"{plain(question.drawdown)} TRY below the highest profit, AGENT_MAX_DRAWDOWN_TRY is "
            f"{plain(rules.drawdown_max)}; or measure from now on: «btcbot budget reset --reason …»"
        )
    if question.last_order_ms is not None and question.local_ms - question.last_order_ms < rules.cooldown_ms:
        waited = question.local_ms - question.last_order_ms
        return f"{waited} ms since the last order, {rules.cooldown_ms} ms wanted"
    return ""


def _broken_rule(wish: AskedWish, question: AgentQuestion, rules: AgentRules) -> TakenOut | None:
    def broken(code: ReasonCode, reason: str) -> TakenOut:
        return TakenOut(wish=wish.number, reason=reason, code=code)

    if rules.symbols and wish.symbol not in rules.symbols:
        return broken(ReasonCode.AGENT_SYMBOL, f"{wish.symbol} is not in AGENT_SYMBOL_ALLOWLIST")
    if wish.spread_bps is None:
        return broken(ReasonCode.AGENT_SPREAD, f"no usable quote of {wish.symbol}")
    if wish.spread_bps > rules.spread_bps_max:
        spread = f"{plain(wish.spread_bps)} bps of spread, at most {plain(rules.spread_bps_max)}"
        return broken(ReasonCode.AGENT_SPREAD, spread)
    if rules.order_value_max and wish.value > rules.order_value_max:
        return broken(ReasonCode.AGENT_VALUE, f"{plain(wish.value)} is above {plain(rules.order_value_max)}")
    if wish.value < rules.order_value_min:
        return broken(ReasonCode.AGENT_VALUE, f"{plain(wish.value)} is below {plain(rules.order_value_min)}")
    return None


def after_failure(failure: AgentFailure, *, falls_back_to_rules: bool) -> AgentAnswer:
    """What counts when nobody answered: the rules alone, which have spoken already, or no buys."""
    if falls_back_to_rules:
        return AgentAnswer(rationale=f"{failure.kind.value}: {failure.detail}")
    return AgentAnswer(
        action=AgentAction.NO_BUYS,
        rationale=f"{failure.kind.value}: {failure.detail}",
        code=ReasonCode.AGENT_FAILED,
    )


def told_of_failure(failure: AgentFailure, *, falls_back_to_rules: bool) -> str:
    """A failure as a reason of the cycle: without it a cycle whose buys were refused looks like a quiet one."""
    then = "the rules alone decide" if falls_back_to_rules else "nothing is bought"
    return f"{ReasonCode.AGENT_FAILED.value}: {failure.kind.value}: {_said(failure.detail)}; {then}"


# -- an answer that counts for a while ---------------------------------------------------------------------------------


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """The last answer, and the question that it answers."""

    question: AgentQuestion
    answer: AgentAnswer


def repeated(question: AgentQuestion, standing: Standing | None, age_ms_max: int) -> AgentAnswer:
    """What the last answer says to wishes that nobody is asked about: the same to the same symbol and side.

    A buy of which that answer knew nothing is left out, and every buy where there is none that is young enough.
    """
    if standing is None or not 0 <= question.local_ms - standing.question.local_ms <= age_ms_max:
        return AgentAnswer(
            action=AgentAction.NO_BUYS, rationale="no answer that is young enough", code=ReasonCode.AGENT_NOT_ASKED
        )
    before, last = {wish.number: wish for wish in standing.question.wishes}, standing.answer
    asked = {(wish.symbol, wish.side) for wish in before.values()}
    out = {(before[one.wish].symbol, before[one.wish].side): one for one in last.taken_out if one.wish in before}
    most: dict[tuple[str, Side], Decimal] = {}
    for one in last.smaller:
        if one.wish in before:
            pair = before[one.wish].symbol, before[one.wish].side
            most[pair] = min(one.quantity, most.get(pair, one.quantity))
    taken_out: list[TakenOut] = []
    smaller: list[Smaller] = []
    for wish in question.wishes:
        pair = wish.symbol, wish.side
        if pair in out:
            taken_out.append(msgspec.structs.replace(out[pair], wish=wish.number))
        elif pair in most:
            smaller.append(Smaller(wish=wish.number, quantity=most[pair]))
        elif pair not in asked and wish.side is Side.BUY:
            why = "nobody was asked about this buy"
            taken_out.append(TakenOut(wish=wish.number, reason=why, code=ReasonCode.AGENT_NOT_ASKED))
    return msgspec.structs.replace(last, taken_out=tuple(taken_out), smaller=tuple(smaller))


# -- from a text to an answer ------------------------------------------------------------------------------------------


class _TakeOutText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    wish: Annotated[int, msgspec.Meta(ge=1, le=ENTRIES_MAX)]
    reason: Annotated[str, msgspec.Meta(max_length=REASON_CHARACTERS_MAX)] = ""


class _SmallerText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    wish: Annotated[int, msgspec.Meta(ge=1, le=ENTRIES_MAX)]
    quantity: Annotated[str, msgspec.Meta(pattern=_QUANTITY)]


class _AnswerText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    action: AgentAction
    buy_share: Annotated[str, msgspec.Meta(pattern=_SHARE)] = "1"
    take_out: Annotated[list[_TakeOutText], msgspec.Meta(max_length=ENTRIES_MAX)] = []
    smaller: Annotated[list[_SmallerText], msgspec.Meta(max_length=ENTRIES_MAX)] = []
    rationale: Annotated[str, msgspec.Meta(max_length=RATIONALE_CHARACTERS_MAX)] = ""


_decode: Final = msgspec.json.Decoder(_AnswerText).decode


def check(text: str, question: AgentQuestion) -> AgentAnswer | Nonsense:
    """The answer that `text` is, if it is one to this question, down to the last detail."""
    if len(text) > REPLY_CHARACTERS_MAX:
        return Nonsense(f"{len(text)} characters, at most {REPLY_CHARACTERS_MAX}")
    try:
        found = _decode(text.encode())
    except (msgspec.MsgspecError, UnicodeEncodeError) as error:
        return Nonsense(_said(f"not of the form that was asked for: {error}"))
    wishes = {wish.number: wish for wish in question.wishes}
    named = [*(one.wish for one in found.take_out), *(one.wish for one in found.smaller)]
    if unknown := [number for number in named if number not in wishes]:
        return Nonsense(f"there is no wish {unknown[0]}")
    if len(set(named)) != len(named):
        return Nonsense("it names a wish twice")
    is_narrowing = bool(named) or Decimal(found.buy_share) < money.ONE
    if (found.action is AgentAction.NARROW) != is_narrowing and found.action in (
        AgentAction.NARROW,
        AgentAction.NO_CHANGE,
    ):
        return Nonsense(f"it says {found.action.value} and {'narrows' if is_narrowing else 'narrows nothing'}")
    smaller = tuple(Smaller(wish=one.wish, quantity=Decimal(one.quantity)) for one in found.smaller)
    for one in smaller:
        if not 0 < one.quantity < wishes[one.wish].quantity:
            wished = plain(wishes[one.wish].quantity)
            return Nonsense(f"{plain(one.quantity)} of wish {one.wish} is not less than the {wished} wished for")
    return AgentAnswer(
        action=found.action,
        buy_share=Decimal(found.buy_share),
        taken_out=tuple(TakenOut(wish=one.wish, reason=one.reason) for one in found.take_out),
        smaller=smaller,
        rationale=found.rationale,
    )
