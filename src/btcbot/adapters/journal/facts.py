"""How the answer of each port becomes an event of a journal, and an answer again.

A port that is asked something new needs a line in `ANSWERS`; a test compares it with the ports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple, get_args

import msgspec

from btcbot.adapters.journal.lines import OUT, SAME, Event
from btcbot.adapters.journal.views import ViewChange, ViewReader, ViewWriter
from btcbot.domain.account import AccountSnapshot
from btcbot.domain.agent import AgentReply
from btcbot.domain.alerts import Sample
from btcbot.domain.bars import Bar
from btcbot.domain.cycles import CycleReport, Verdict
from btcbot.domain.fills import Fill, VenueTrade
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Intent
from btcbot.domain.ledger import Entry
from btcbot.domain.market import Quote
from btcbot.domain.notes import Note
from btcbot.domain.orders import Order
from btcbot.domain.outcomes import CancelOutcome, SubmitOutcome
from btcbot.domain.scan import ScanRow
from btcbot.domain.venue import Transfer, VenueOrder
from btcbot.errors import InvariantBroken, StoreFailed, VenueUnavailable
from btcbot.ports import VenueHealth

VIEW: Final = "feed.view"
CHECK: Final = "check."
#: What a port's answer is, by its name.
ANSWERS: Final[Mapping[str, Any]] = {
    "exchange.venue_time_ms": int,
    "exchange.estimated_time_ms": int | None,
    "exchange.instruments": dict[str, Instrument],
    "exchange.quotes": dict[str, Quote],
    "exchange.balances": AccountSnapshot,
    "exchange.open_orders": list[VenueOrder],
    "exchange.all_orders": list[VenueOrder],
    "exchange.order": VenueOrder | None,
    "exchange.trades": list[VenueTrade],
    "exchange.trades_of": list[VenueTrade],
    "exchange.transfers": list[Transfer],
    "exchange.submit": SubmitOutcome,
    "exchange.cancel": CancelOutcome,
    "exchange.take_stamp": int,
    "exchange.health": VenueHealth,
    VIEW: ViewChange,
    "feed.resync": None,
    "bars.bars": list[Bar],
    "scanner.scan": dict[str, ScanRow],
    "agent.decide": AgentReply,
    "samples.take": Sample,
    "kill_switch.is_on": tuple[bool, str],
    "kill_switch.turn_on": None,
    "kill_switch.turn_off": None,
    "lock.is_held": bool,
    "stop.is_set": bool,
    "store.value": str | None,
    "store.values": dict[str, str],
}
#: What comes out of a cycle, by its kind.
OUTCOMES: Final[Mapping[str, Any]] = {
    "intents": list[Intent | str],
    "raised": str,
    "verdict": Verdict,
    "order": Order,
    "order_changed": Order,
    "fill": Fill,
    "entry": Entry,
    "report": CycleReport,
    "note": Note,
}
#: Long answers that mostly are what they were the time before.
_REPEATED: Final = frozenset(
    {"exchange.instruments", "exchange.open_orders", "exchange.trades", "exchange.transfers", "exchange.health"}
)
#: An order was told when it was written down; here its name is enough, and a permit is no fact.
_BY_NAME: Final = frozenset({"exchange.submit", "exchange.cancel"})
#: A union of plain structs is told with the name of the one that it is.
_NAMED: Final = {
    name: {one.__name__: one for one in get_args(ANSWERS[name])} for name in ("exchange.submit", "exchange.cancel")
}
_NEVER: Final = object()


class Asked(NamedTuple):
    """A question to a port, and what came back: an answer, or what was raised."""

    name: str
    arguments: tuple[Any, ...]
    answer: Any
    error: Exception | None = None


class Told(NamedTuple):
    """What came out."""

    kind: str
    value: Any


def arguments_of(name: str, arguments: Sequence[Any]) -> list[Any]:
    """Those that matter, as a journal has them."""
    if name in _BY_NAME:
        return [arguments[0].client_order_id]
    return [one for one in arguments if one is not None]


def error_of(error: Exception) -> list[Any]:
    """An error of a port, as a journal has it."""
    match error:
        case VenueUnavailable(reason=reason, retry_after_s=retry_after_s):
            return ["VenueUnavailable", reason, retry_after_s]
        case InvariantBroken(code=code, evidence=evidence):
            return ["InvariantBroken", code, evidence]
        case _:
            return [type(error).__name__, str(error)]


def raised(told: Sequence[Any]) -> Exception:
    """That error again."""
    kinds: Mapping[str, type[Exception]] = {
        "VenueUnavailable": VenueUnavailable,
        "InvariantBroken": InvariantBroken,
        "StoreFailed": StoreFailed,
    }
    kind, *parts = told
    return kinds.get(kind, RuntimeError)(*parts)


def plain(value: object) -> object:
    """For the encoder: what it does not know by itself."""
    if isinstance(value, MappingProxyType):
        return dict(value)
    raise TypeError(f"a journal cannot hold {type(value).__name__}")


class Writer:
    """Turns what happened into events, in its order; remembers what was answered last."""

    def __init__(self) -> None:
        self._last: dict[str, Any] = {}
        self._views = ViewWriter()

    def event(self, what: Asked | Told) -> tuple[Any, ...]:
        if isinstance(what, Told):
            return (OUT + what.kind, what.value)
        name, arguments = what.name, arguments_of(what.name, what.arguments)
        if what.error is not None:
            return (name, None, arguments, error_of(what.error))
        answer = what.answer
        if name in _REPEATED:
            before, self._last[name] = self._last.get(name, _NEVER), answer
            if answer is before or answer == before:
                return (SAME + name, arguments) if arguments else (SAME + name,)
        if name == VIEW:
            answer = self._views.change(answer)
        elif name in _NAMED:
            answer = (type(answer).__name__, answer)
        return (name, answer, arguments) if arguments else (name, answer)


class Reader:
    """Turns events into answers again; remembers what was answered last."""

    def __init__(self) -> None:
        self._last: dict[str, Any] = {}
        self._views = ViewReader()

    def answer(self, event: Event) -> Any:
        """Raises MsgspecError, LookupError or TypeError for one that is none."""
        name = event.name
        if event.is_same:
            return self._last[name]
        raw = event.parts[0]
        if name == VIEW:
            return self._views.view(msgspec.json.decode(raw, type=ViewChange))
        if name in _NAMED:
            which, told = msgspec.json.decode(raw, type=tuple[str, msgspec.Raw])
            return msgspec.json.decode(told, type=_NAMED[name][which])
        answer = msgspec.json.decode(raw, type=str | None if name.startswith(CHECK) else ANSWERS[name])
        if name in _REPEATED:
            self._last[name] = answer
        return answer
