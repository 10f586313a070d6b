"""The question to a language model, in at most 3,500 characters: in full, shorter, or in the fewest words.

Wishes are named by their numbers, so that the model can name nothing else. A question that does not fit even in the
fewest words is not asked.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from btcbot.domain.agent import AgentQuestion, AskedPosition, AskedWish
from btcbot.domain.money import plain

PROMPT_CHARACTERS_MAX: Final = 3_500
#: A strategy may say much about a wish.
WHY_CHARACTERS_MAX: Final = 80

SYSTEM: Final = (
    "You guard a spot trading bot. It shows the orders it wishes to send; you may only take away. "
    "Reply with one JSON object and nothing else:\n"
    '{"action":"no_change|narrow|no_buys|observe_only","buy_share":"0.5",'
    '"take_out":[{"wish":1,"reason":"..."}],"smaller":[{"wish":2,"quantity":"0.1"}],"rationale":"..."}\n'
    "Only action is needed. buy_share is text from 0 to 1: the part of each buy that may be ordered. A smaller "
    "quantity is text and less than the one wished for. Use narrow exactly when buy_share, take_out or smaller "
    "narrows something; name no wish twice and none that is not listed."
)


def prompt_of(question: AgentQuestion) -> str | None:
    """The user's part beside SYSTEM, the fullest of three that fits; None where none does."""
    for words in (_full, _short, _minimal):
        text = words(question)
        if len(SYSTEM) + len(text) <= PROMPT_CHARACTERS_MAX:
            return text
    return None


def _full(question: AgentQuestion) -> str:
    held = [_position(one) for one in question.positions]
    wishes = [f"{_wish(one)} why: {one.why[:WHY_CHARACTERS_MAX]}" for one in question.wishes]
    return "\n".join([_account(question), "held:", *(held or ["nothing"]), "wishes:", *wishes])


def _short(question: AgentQuestion) -> str:
    return "\n".join([_account(question), "wishes:", *(_wish(one) for one in question.wishes)])


def _minimal(question: AgentQuestion) -> str:
    return "\n".join(
        f"{one.number} {one.side.value} {one.symbol} {plain(one.quantity)}@{plain(one.price)}"
        for one in question.wishes
    )


def _account(question: AgentQuestion) -> str:
    quote = question.quote_asset
    return (
        f"mode {question.mode.value}; free cash {plain(question.free_cash)} {quote}; equity "
        f"{_or_unknown(question.equity)} {quote}; drawdown {plain(question.drawdown)} {quote}; without a quote: "
        f"{', '.join(question.unquoted) or 'none'}"
    )


def _position(one: AskedPosition) -> str:
    return f"{one.symbol} {plain(one.quantity)}, cost {plain(one.cost)}"


def _wish(one: AskedWish) -> str:
    return (
        f"{one.number}: {one.side.value} {plain(one.quantity)} {one.symbol} at {plain(one.price)} "
        f"(value {plain(one.value)}, spread {_or_unknown(one.spread_bps)} bps)"
    )


def _or_unknown(value: Decimal | None) -> str:
    return "unknown" if value is None else plain(value)
