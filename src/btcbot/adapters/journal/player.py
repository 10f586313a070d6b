"""The tape that answers from a recording. Asks nobody, and stops at the first thing that is not as it was.

What is asked and what comes out follow each other in one order. As long as the core does in it what it did then, every
answer fits; where it asks or decides otherwise, `Differs` says what was recorded and what came now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, ParamSpec, TypeVar

import msgspec

from btcbot.adapters.journal import facts, lines
from btcbot.adapters.journal.lines import Built, CycleLine, Event
from btcbot.domain.feed import Wake
from btcbot.ports import Clock

P = ParamSpec("P")
T = TypeVar("T")

NOTHING: Final = "nothing more"


class Differs(BaseException):
    """The first difference: `what` in a few words, and both sides as plain data or words.

    No code of the bot may catch it, however broadly it catches: the replay is over.
    """

    def __init__(self, what: str, recorded: object, now: object) -> None:
        super().__init__(what, recorded, now)
        self.what = what
        self.recorded = recorded
        self.now = now


class Unreadable(BaseException):
    """A recorded answer that is none: the recording was made by another version, or by hand. As fatal as `Differs`."""


class Player:
    """`Tape` of one recording. `load` the next line before the cycle that it is of runs."""

    def __init__(self) -> None:
        self._reader = facts.Reader()
        self._events: Sequence[Event] = ()
        self._at = 0
        self._clock: dict[str, list[int]] = {}
        self.told: dict[str, int] = {}

    def load(self, line: Built | CycleLine) -> None:
        self._events = [Event(raw) for raw in line.events]
        self._at = 0
        self._clock = {
            "now_ms": lines.readings(line.now_ms)[::-1],
            "monotonic_ns": lines.readings(line.monotonic_ns)[::-1],
        }

    def finish(self) -> None:
        """The cycle is over. Raises Differs where the recording goes on."""
        if self._at < len(self._events):
            event = self._events[self._at]
            raise Differs("the cycle is over earlier", _words(event), NOTHING)
        for name, left in self._clock.items():
            if left:
                raise Differs(f"the clock ({name}) is read less often", f"{len(left)} readings more", NOTHING)

    # -- the tape ----------------------------------------------------------------------------------------------------

    def ask(self, name: str, method: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        asked = _plain(facts.arguments_of(name, arguments))
        event = self._next(f"asks {name}({_listed(asked)})")
        if event.is_out or event.name != name:
            raise Differs("something else is asked", _words(event), f"asks {name}({_listed(asked)})")
        if event.arguments != asked:
            raise Differs(f"{name} is asked for something else", _listed(event.arguments), _listed(asked))
        if event.error is not None:
            raise facts.raised(event.error)
        try:
            answer: T = self._reader.answer(event)
        except (msgspec.MsgspecError, LookupError, TypeError) as error:
            raise Unreadable(f"the recorded answer of {name} cannot be read ({error})") from None
        return answer

    def now_ms(self, clock: Clock) -> int:
        return self._reading("now_ms")

    def monotonic_ns(self, clock: Clock) -> int:
        return self._reading("monotonic_ns")

    def tell(self, kind: str, value: object) -> None:
        now = _plain(value)
        event = self._next(f"{kind}: {_short(now)}")
        if not event.is_out or event.name != kind:
            raise Differs("something else comes out", _words(event), f"{kind}: {_short(now)}")
        recorded = msgspec.json.decode(event.parts[0])
        if recorded != now and not _same_value(kind, event.parts[0], value):
            raise Differs(f"not the same {kind}", *_narrowed(recorded, now))
        self.told[kind] = self.told.get(kind, 0) + 1

    def woken(self, wake: Wake) -> None:
        """Nobody waits in a replay."""

    def _next(self, now: str) -> Event:
        if self._at == len(self._events):
            raise Differs("the recording of this cycle holds nothing more", NOTHING, now)
        self._at += 1
        return self._events[self._at - 1]

    def _reading(self, name: str) -> int:
        left = self._clock[name]
        if not left:
            raise Differs(f"the clock ({name}) is read more often", NOTHING, "one reading more")
        return left.pop()


def _plain(value: object) -> Any:
    """As it would be read from a journal."""
    return msgspec.json.decode(msgspec.json.encode(value, enc_hook=facts.plain))


def _same_value(kind: str, recorded: msgspec.Raw, value: object) -> bool:
    """Whether only the spelling differs, as of 1.0 and 1.00."""
    try:
        return bool(msgspec.json.decode(recorded, type=facts.OUTCOMES[kind]) == value)
    except msgspec.MsgspecError:
        return False


def _narrowed(recorded: object, now: object) -> tuple[object, object]:
    """Of two values the part in which they differ."""
    if isinstance(recorded, list) and isinstance(now, list):
        for one, other in zip(recorded, now, strict=False):
            if one != other:
                return _narrowed(one, other)
        longer = recorded[len(now) :] or now[len(recorded) :]
        missing = f"{len(longer)} fewer"
        return (longer[0], missing) if len(recorded) > len(now) else (missing, longer[0])
    if isinstance(recorded, dict) and isinstance(now, dict):
        names = [name for name in {**recorded, **now} if recorded.get(name) != now.get(name)]
        kept = [name for name in ("symbol", "side", "intent_id", "client_order_id") if name in recorded]
        shown = dict.fromkeys([*kept, *names])
        return {n: recorded.get(n) for n in shown}, {n: now.get(n) for n in shown}
    return recorded, now


def _words(event: Event) -> str:
    if event.is_out:
        return f"{event.name}: {_short(msgspec.json.decode(event.parts[0]))}"
    return f"asks {event.name}({_listed(event.arguments)})"


def _listed(arguments: Sequence[object]) -> str:
    return ", ".join(str(one) for one in arguments)


def _short(value: object) -> str:
    """A value in a line."""
    if isinstance(value, Mapping):
        told = ("symbol", "side", "quantity", "price", "allowed", "code", "status", "outcome", "client_order_id")
        return " ".join(f"{name}={value[name]}" for name in told if value.get(name) is not None)
    if isinstance(value, list):
        return "; ".join(_short(one) for one in value) or "none"
    return str(value)
