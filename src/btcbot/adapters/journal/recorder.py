"""The tape that records: keeps what a cycle was told and what came of it, and writes one line when it is over.

On the way of an order nothing is encoded, written or waited for: a note is a tuple in a list. Whatever goes wrong with
the journal ends the journal, with a warning, and never the bot. What happens between two cycles is no part of any: the
loop's waiting changes nothing but when the next one begins.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar

import msgspec

from btcbot.adapters.journal import facts, lines
from btcbot.adapters.journal.facts import Asked, Told
from btcbot.adapters.journal.files import JournalFile, JournalFull
from btcbot.adapters.journal.lines import End, Start
from btcbot.adapters.redaction import PREFIX_CHARACTERS_MIN, Redactor
from btcbot.config.secrets import Secret, known_secret_forms
from btcbot.domain.feed import Wake
from btcbot.errors import InvariantBroken, StoreFailed, VenueUnavailable
from btcbot.ports import Clock, Log, Metrics

P = ParamSpec("P")
T = TypeVar("T")

IS_ON: Final = "btcbot_journal_on"
BYTES: Final = "btcbot_journal_bytes"


class Recorder:
    """`Tape` that passes every question on. One for each life of a bot; `file` is where its lines go."""

    def __init__(self, file: JournalFile, secrets: tuple[Secret, ...], metrics: Metrics, log: Log) -> None:
        self._file: JournalFile | None = file
        self._metrics = metrics
        self._log = log
        self._crc = 0
        self._writer = facts.Writer()
        self._encode = msgspec.json.Encoder(enc_hook=facts.plain).encode
        self._redactor = Redactor(secrets)
        self._beginnings = tuple(
            {form[:PREFIX_CHARACTERS_MIN].encode() for secret in secrets for form in known_secret_forms(secret)}
        )
        self._after = ""
        self._forget()
        #: Until the first cycle: what the parts ask for while they are put together.
        self._is_noting = True

    def _forget(self) -> None:
        self._notes: list[Asked | Told] = []
        self._now_ms: list[int] = []
        self._monotonic_ns: list[int] = []

    # -- the tape ----------------------------------------------------------------------------------------------------

    def ask(self, name: str, method: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        if not self._is_noting:
            return method(*arguments, **named)
        try:
            answer = method(*arguments, **named)
        except (VenueUnavailable, InvariantBroken, StoreFailed) as error:
            self._notes.append(Asked(name, arguments, None, error))
            raise
        self._notes.append(Asked(name, arguments, answer))
        return answer

    def now_ms(self, clock: Clock) -> int:
        now = clock.now_ms()
        if self._is_noting:
            self._now_ms.append(now)
        return now

    def monotonic_ns(self, clock: Clock) -> int:
        now = clock.monotonic_ns()
        if self._is_noting:
            self._monotonic_ns.append(now)
        return now

    def tell(self, kind: str, value: object) -> None:
        if self._is_noting:
            self._notes.append(Told(kind, value))

    def woken(self, wake: Wake) -> None:
        self._after = wake.value

    # -- lines -------------------------------------------------------------------------------------------------------

    @property
    def is_on(self) -> bool:
        return self._file is not None

    def start(self, start: Start) -> None:
        """The first line, and what was asked while the bot was built."""
        self._is_noting = False
        self._write_safely(lambda: (self._encode(start), self._line("built")))

    def begin(self) -> None:
        """A cycle begins."""
        self._forget()
        self._is_noting = self.is_on

    def end(self, cycle_id: str, wake: Wake, outcome: str | None, broken: str | None = None) -> None:
        """It is over, and so is its line. `outcome` None where it died, of `broken`."""
        self._is_noting = False
        after, self._after = self._after, ""
        if self._file is not None:
            head = {"cycle_id": cycle_id, "wake": wake.value, "after": after, "outcome": outcome, "broken": broken}
            self._write_safely(lambda: (self._line("cycle", head),))
        self._forget()

    def close(self, why: str = "closed") -> None:
        """The last line. Harmless to repeat."""
        self._is_noting = False
        self._write_safely(lambda: (self._encode(End(why=why)),))
        self._drop()

    def _line(self, kind: str, head: dict[str, Any] | None = None) -> bytes:
        return self._encode(
            {
                "kind": kind,
                **(head or {}),
                "events": [self._writer.event(note) for note in self._notes],
                "now_ms": lines.steps(self._now_ms),
                "monotonic_ns": lines.steps(self._monotonic_ns),
            }
        )

    def _write_safely(self, payloads: Callable[[], tuple[bytes, ...]]) -> None:
        if self._file is None:
            return
        try:
            for payload in payloads():
                line, self._crc = lines.sealed(self._without_secrets(payload), self._crc)
                self._file.write(line)
            self._file.flush()
            self._metrics.gauge(BYTES, self._file.size)
            self._metrics.gauge(IS_ON, 1)
        except JournalFull as full:
            self._log.warning("journal_full", why=str(full))
            with contextlib.suppress(OSError):
                self._file.write(lines.sealed(self._encode(End(why=str(full))), self._crc)[0])
            self._drop()
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the bot
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            self._log.warning("journal_off", why=f"{type(error).__name__}: {why}", path=str(self._file.path))
            self._drop()

    def _without_secrets(self, payload: bytes) -> bytes:
        """None belongs in here; should the venue echo one in a refusal, it is taken out."""
        if not any(beginning in payload for beginning in self._beginnings):
            return payload
        return msgspec.json.encode(self._clean(msgspec.json.decode(payload)))

    def _clean(self, value: object) -> object:
        match value:
            case str():
                return self._redactor.text(value)
            case list():
                return [self._clean(one) for one in value]
            case dict():
                return {key: self._clean(one) for key, one in value.items()}
            case _:
                return value

    def _drop(self) -> None:
        """Record nothing more."""
        file, self._file = self._file, None
        self._is_noting = False
        self._forget()
        self._metrics.gauge(IS_ON, 0)
        if file is not None:
            file.close()
