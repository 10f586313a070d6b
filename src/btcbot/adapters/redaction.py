"""Takes secrets out of whatever is about to be written, by value and by name.

By value: every known spelling of a secret (raw, base64, hexadecimal, quoted) is found anywhere in a text, and so is any
beginning of it from eight characters on, because messages are often cut off. By name: the value under an *exact*
sensitive name goes, whatever it is. Names that merely contain such a word (`api_key_present`, `token_bucket`) stay: a
log without its facts is of no use.

The result is plain data of limited depth and size, so that no object can bring its own way of showing itself.
"""

from __future__ import annotations

import dataclasses
import enum
import re
import reprlib
import traceback
from collections.abc import Iterable, Mapping
from datetime import date, time
from decimal import Decimal
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

import msgspec

from btcbot.config.secrets import Secret, known_secret_forms, secrets_alive
from btcbot.domain.money import plain

__all__ = ["REDACTED", "Redactor", "is_sensitive_name", "traceback_without_secrets"]

REDACTED: Final = "[REDACTED]"
PREFIX_CHARACTERS_MIN: Final = 8
FORM_CHARACTERS_MIN: Final = 4  # a shorter "secret" would blot out ordinary words
DEPTH_MAX: Final = 8
ITEMS_MAX: Final = 1000
TEXT_CHARACTERS_MAX: Final = 16 * 1024

_SENSITIVE: Final = {  # compared without case and punctuation: X-PCK, x_pck and xPck are one name
    *("apikey", "apisecret", "btcturkapikey", "btcturkapisecret", "secret", "secretkey", "privatekey", "publickey"),
    *("authorization", "proxyauthorization", "xpck", "xstamp", "xsignature", "xnonce", "xapikey", "signature"),
    *("token", "accesstoken", "refreshtoken", "password", "passphrase", "cookie", "setcookie"),
}
_HEADERS: Final = re.compile(
    r"(?P<name>\b(?:proxy-)?authorization|\bx[-_](?:pck|stamp|signature|nonce|api-key))"
    r"(?P<between>['\"]?\s*[:=,]\s*b?['\"]?)(?P<value>(?:bearer\s+|basic\s+)?[^\s'\",;&}\])]+)",
    re.IGNORECASE,
)
_PARAMETERS: Final = re.compile(
    r"(?P<name>\b(?:api_?key|api_?secret|signature|token|password)=)[^\s&'\"]+", re.IGNORECASE
)
#: In JSON, also where it was quoted once or twice more. The feed's login never changes: whoever has it has the login.
_JSON_VALUES: Final = re.compile(
    r"(?P<name>\b(?:signature|public_?key))(?P<between>\\*['\"]\s*:\s*\\*['\"])(?:\\+/|[^\s'\",;&}\])\\])+",
    re.IGNORECASE,
)
_REST: Final = re.compile(r"[A-Za-z0-9+/=_\\%-]*")
_NOT_ALPHANUMERIC: Final = re.compile(r"[^a-z0-9]")

_cautious = reprlib.Repr()  # survives objects whose own repr fails
_cautious.maxother = _cautious.maxstring = 1_000_000  # cutting comes after redaction, never before


def is_sensitive_name(name: str) -> bool:
    """Whether a field of this name is never shown."""
    return _NOT_ALPHANUMERIC.sub("", name.lower()) in _SENSITIVE


class Redactor:
    """Removes the given secrets. Immutable; cheap when there is nothing to remove."""

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        self._forms_by_start: dict[str, list[str]] = {}
        for secret in secrets:
            for form in known_secret_forms(secret):
                # Escaped slashes are found however often they were escaped: without them it is the same form.
                if len(form) >= FORM_CHARACTERS_MIN and "\\" not in form:
                    self._forms_by_start.setdefault(form[:PREFIX_CHARACTERS_MIN], []).append(form)
        starts = sorted(self._forms_by_start, key=len, reverse=True)
        self._start = re.compile("|".join(map(_escapable, starts))) if starts else None

    def text(self, text: str) -> str:
        """`text` without secrets, encodable as UTF-8, of limited length."""
        if not text.isascii():
            text = text.encode("utf-8", "backslashreplace").decode()
        text = self._without_known_values(text)
        if "=" in text or ":" in text or "," in text:
            text = _HEADERS.sub(rf"\g<name>\g<between>{REDACTED}", text)
            text = _PARAMETERS.sub(rf"\g<name>{REDACTED}", text)
            text = _JSON_VALUES.sub(rf"\g<name>\g<between>{REDACTED}", text)
        if len(text) > TEXT_CHARACTERS_MAX:
            text = text[:TEXT_CHARACTERS_MAX] + f"… ({len(text)} characters)"
        return text

    def _without_known_values(self, text: str) -> str:
        if self._start is None:
            return text
        parts: list[str] = []
        at = 0
        while (match := self._start.search(text, at)) is not None:
            parts += (text[at : match.start()], REDACTED)
            at = match.start()
            forms = self._forms_by_start[match[0].replace("\\", "")]
            length, is_whole = max(_shared(form, text, at) for form in forms)
            if not is_whole:
                # Cut off, or written in a way that nobody foresaw: then its rest is what follows.
                rest = _REST.match(text, at + length)
                length += len(rest[0]) if rest else 0
            at += length
        return "".join((*parts, text[at:])) if parts else text

    def fields(self, fields: Mapping[Any, object], depth: int = 0) -> dict[str, object]:
        """A mapping with plain values; what stands under a sensitive name is gone, None stays None."""
        clean: dict[str, object] = {}
        for key, value in fields.items():
            if len(clean) == ITEMS_MAX:
                clean["…"] = f"{len(fields)} fields"
                break
            name = key if isinstance(key, str) else str(self.value(key, depth + 1))
            hidden = value is not None and is_sensitive_name(name)
            clean[self.text(name)] = REDACTED if hidden else self.value(value, depth + 1)
        return clean

    def value(self, value: object, depth: int = 0) -> object:
        """Any value as plain data: numbers, texts, lists, mappings."""
        if value is None or type(value) in (bool, int, float):
            return value
        if type(value) is Decimal:
            return plain(value) if value.is_finite() else str(value)
        if type(value) is str:
            return self.text(value)
        if depth > DEPTH_MAX:
            return "… (nested too deeply)"
        match value:
            case Secret():
                return REDACTED
            case enum.Enum():
                return self.value(value.value, depth)
            case str():
                return self.text(str.__str__(value))
            case bytes() | bytearray():
                return self.text(bytes(value).decode("utf-8", "backslashreplace"))
            case Mapping():
                return self.fields(value, depth)
            case list() | tuple() | set() | frozenset():
                items = [self.value(item, depth + 1) for item in list(value)[:ITEMS_MAX]]
                return items if len(value) <= ITEMS_MAX else [*items, f"… ({len(value)} items)"]
            case msgspec.Struct():
                return self.fields(msgspec.structs.asdict(value), depth)
            case BaseException():
                return self.text(f"{type(value).__name__}: {value}")
            case date() | time() | UUID() | PurePath():
                return self.text(str(value))
            case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
                names = (field.name for field in dataclasses.fields(value))
                # Not `asdict`: that copies what lies below, and may fail at it.
                return self.fields({name: getattr(value, name) for name in names}, depth)
            case _:
                return self.text(_cautious.repr(value))


def traceback_without_secrets(error: BaseException) -> str:
    """The traceback of an error that nobody foresaw; its texts may quote whatever was at hand. Ends with a line break.

    Line by line: no secret goes over two, and the limit of a text would cost the last line, which says the most.
    """
    redactor = Redactor(secrets_alive())
    lines = "".join(traceback.format_exception(error)).splitlines()
    return "".join(f"{redactor.text(line)}\n" for line in lines)


def _escapable(start: str) -> str:
    """A pattern for `start` in which slashes may be escaped: JSON may write one as `\\/`, `repr` doubles that again."""
    return "".join(r"\\*/" if character == "/" else re.escape(character) for character in start)


def _shared(form: str, text: str, start: int) -> tuple[int, bool]:
    """How many characters of `text` from `start` on are those of `form`, and whether all of it stands there."""
    at = start
    for expected in form:
        while expected == "/" and text[at : at + 1] == "\\":
            at += 1
        if text[at : at + 1] != expected:
            return at - start, False
        at += 1
    return at - start, True
