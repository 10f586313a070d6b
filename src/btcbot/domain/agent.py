"""What a policy agent is asked about a cycle's wishes, and what it may answer.

An answer can only take away: it names wishes that are to be left out, quantities that are to be smaller, or says that
nothing (or nothing but sells) is to be ordered. It has no word for a new wish, a price, a limit or a gate.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from btcbot.domain import money
from btcbot.domain.intents import Side
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.stance import TradingMode


class AgentAction(StrEnum):
    """From the freest to the strictest; NARROW is what the rest of the answer says."""

    NO_CHANGE = "no_change"
    NARROW = "narrow"
    NO_BUYS = "no_buys"
    OBSERVE_ONLY = "observe_only"


class FailureKind(StrEnum):
    """Why an agent gave no answer that can be used."""

    UNREACHABLE = "unreachable"
    LATE = "late"
    REFUSED = "refused"
    TOO_LARGE = "too_large"
    NONSENSE = "nonsense"


class AskedWish(msgspec.Struct, frozen=True, kw_only=True):
    """One wish of the draft, numbered from 1. `spread_bps` None: the symbol has no usable quote."""

    number: int
    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    spread_bps: Decimal | None
    why: str

    @property
    def value(self) -> Decimal:
        """In the quote asset, without fee."""
        return self.price * self.quantity


class AskedPosition(msgspec.Struct, frozen=True, kw_only=True):
    """What is held; `cost` in the quote asset, fees included."""

    symbol: str
    quantity: Decimal
    cost: Decimal


class AgentQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a policy may look at. Amounts in the quote asset; times in Unix ms, `local_ms` by our own clock.

    `brakes` names the brakes that are on, `unquoted` watched symbols without a usable quote, `drawdown` is the fall of
    realised plus unrealised profit from its highest as the risk budget measures it, zero or more; `last_order_ms` our
    clock's time of the last order.
    """

    cycle_id: str
    now_ms: int
    local_ms: int
    quote_asset: str
    mode: TradingMode
    free_cash: Decimal
    equity: Decimal | None
    drawdown: Decimal
    brakes: tuple[str, ...]
    unquoted: tuple[str, ...]
    last_order_ms: int | None
    wishes: tuple[AskedWish, ...]
    positions: tuple[AskedPosition, ...]


class TakenOut(msgspec.Struct, frozen=True, kw_only=True):
    """The wish of this number is not to be ordered."""

    wish: int
    reason: str
    code: ReasonCode = ReasonCode.AGENT_TOOK_OUT


class Smaller(msgspec.Struct, frozen=True, kw_only=True):
    """Of the wish of this number, at most `quantity` is to be ordered."""

    wish: int
    quantity: Decimal


class AgentAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`buy_share`, 0 to 1, is the part of each buy that may be ordered. `code` is told with an action that stops."""

    action: AgentAction = AgentAction.NO_CHANGE
    buy_share: Decimal = money.ONE
    taken_out: tuple[TakenOut, ...] = ()
    smaller: tuple[Smaller, ...] = ()
    rationale: str = ""
    code: ReasonCode = ReasonCode.AGENT_OBSERVES


class AgentFailure(msgspec.Struct, frozen=True, kw_only=True):
    """No answer that can be used. `detail` is for people, without secrets."""

    kind: FailureKind
    detail: str


class AgentReply(msgspec.Struct, frozen=True, kw_only=True):
    """What came of asking: exactly one of `answer` and `failure`. `prompt` and `text` are what was sent and what came
    back, where they are to be kept, else empty."""

    answer: AgentAnswer | None = None
    failure: AgentFailure | None = None
    prompt: str = ""
    text: str = ""
