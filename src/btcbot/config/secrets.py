"""Secrets: the value that does not leak, where it may come from, how old it may be.

A `Secret` prints as a mask, cannot be pickled or copied, and compares in constant time; `reveal()` is for the signing
function and for the redaction of logs and tracebacks. A secret never enters `os.environ`, which every child process
inherits and `/proc` shows. A secret given by file (a `*_FILE` setting, or systemd's credentials) never was in there to
begin with.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import enum
import errno
import hashlib
import hmac
import os
import stat
import weakref
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Final, NamedTuple, NoReturn, Protocol
from urllib.parse import quote, quote_plus

__all__ = [
    "CredentialsDirectoryProvider",
    "EnvironmentProvider",
    "FileProvider",
    "Rotation",
    "RotationState",
    "Secret",
    "SecretProvider",
    "key_fingerprint",
    "known_secret_forms",
    "read_private_file",
    "rotation",
    "secrets_alive",
]

MASK: Final = "**********"
SECRET_BYTES_MAX: Final = 4096
_ACCEPTED_MODES: Final = (0o600, 0o400)


class Secret:
    """One secret text. It shows itself to nobody who does not ask with `reveal()`."""

    __slots__ = ("__value", "__weakref__")

    def __init__(self, value: str) -> None:
        """Raise ValueError unless `value` is printable ASCII without spaces: it ends up in a request header."""
        if not value or not all("!" <= character <= "~" for character in value):
            raise ValueError("is empty or holds spaces, line breaks or non-ASCII characters; copy it again")
        self.__value = value
        _alive[id(self)] = self

    def reveal(self) -> str:
        """The text itself. Only for signing and for the redaction of logs."""
        return self.__value

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.__value.encode(), other.__value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self.__value))

    def __copy__(self) -> NoReturn:
        raise TypeError("a Secret is not copied; pass it on")

    def __deepcopy__(self, memo: object) -> NoReturn:
        raise TypeError("a Secret is not copied; pass it on")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret is not pickled")


#: By identity: two equal secrets are two, and either may outlive the other.
_alive: Final[weakref.WeakValueDictionary[int, Secret]] = weakref.WeakValueDictionary()


def secrets_alive() -> tuple[Secret, ...]:
    """Every secret that this process still holds, for the redaction of what nobody foresaw."""
    return tuple(_alive.values())


def key_fingerprint(key: Secret) -> str:
    """16 hexadecimal digits that name an API key without giving it away."""
    return hashlib.sha256(key.reveal().encode()).hexdigest()[:16]


def known_secret_forms(secret: Secret) -> frozenset[str]:
    """Every spelling in which this secret may turn up in a text: raw, base64, hexadecimal, quoted for a URL or JSON.

    A secret that is base64 itself also counts in its decoded bytes: those are what signs.
    """
    raw = secret.reveal()
    forms = {raw, quote(raw, safe=""), quote(raw), quote_plus(raw)}
    forms |= {raw.replace("/", "\\/"), raw.replace("/", "\\\\/")}  # as JSON may write it, and such JSON shown by `repr`
    contents = [raw.encode()]
    with contextlib.suppress(binascii.Error):  # not base64: then there are no decoded bytes to hide
        contents.append(base64.b64decode(raw, validate=True))
    for content in contents:
        forms |= {content.hex(), content.hex().upper()}
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            encoded = encode(content).decode()
            forms |= {encoded, encoded.rstrip("=")}
    return frozenset(form for form in forms if form)


# --- where secrets come from -----------------------------------------------------------------------------------------


class SecretProvider(Protocol):
    """A place that may know a secret."""

    def get(self, name: str) -> Secret | None:
        """The secret of the setting `name`, or None when this place does not have it.

        Raise ValueError, with a line for the operator and without the value, when it is there but cannot be used.
        """
        ...


class EnvironmentProvider:
    """Secrets in a mapping of environment names: the process environment or the parsed env file."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def get(self, name: str) -> Secret | None:
        return Secret(self._environ[name]) if name in self._environ else None


class FileProvider:
    """Secrets in files of their own, one for each setting name; each 0600 or 0400, no symlink."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files

    def get(self, name: str) -> Secret | None:
        return _secret_in(self._files[name]) if name in self._files else None


class CredentialsDirectoryProvider:
    """Secrets that systemd hands over (`LoadCredential=btcturk_api_key:…`) in `$CREDENTIALS_DIRECTORY`.

    systemd owns that folder and sets access by ACL, which shows as mode 0440: so only access for others is refused.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def get(self, name: str) -> Secret | None:
        if self._directory is None:
            return None
        for spelling in (name.lower(), name):
            path = self._directory / spelling
            if os.path.lexists(path):  # unlike Path's own, it raises for no name
                return _secret_in(path, set_up_by_systemd=True)
        return None


def _secret_in(path: Path, *, set_up_by_systemd: bool = False) -> Secret:
    content = read_private_file(path, SECRET_BYTES_MAX, symlink_allowed=False, set_up_by_systemd=set_up_by_systemd)
    try:
        return Secret(content.decode("ascii").strip())
    except UnicodeDecodeError:
        raise ValueError(f"{path} holds non-ASCII characters; write the secret again, one line") from None
    except ValueError as error:
        raise ValueError(f"{path} {error}") from None


def read_private_file(path: Path, bytes_max: int, *, symlink_allowed: bool, set_up_by_systemd: bool = False) -> bytes:
    """The content of a file that only its owner can read.

    What is checked is the open file, not its name, so that nobody can swap it in between. Raise ValueError with a line
    for the operator: missing, not a regular file, a symlink, readable by others, owned by somebody else, too long.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # without NONBLOCK a FIFO would wait for a writer for ever
    try:
        descriptor = os.open(path, flags if symlink_allowed else flags | os.O_NOFOLLOW)
    except FileNotFoundError:
        # The path of a secret's file is not repeated: it may be the secret itself, in the wrong setting.
        shown = path if symlink_allowed else "the file"
        raise ValueError(f"{shown} does not exist; create it or correct the path") from None
    except (OSError, ValueError) as error:
        if not symlink_allowed and isinstance(error, OSError) and error.errno == errno.ELOOP:
            raise ValueError(f"{path} is a symbolic link; name the file itself") from None
        reason = error.strerror if isinstance(error, OSError) else "the path holds a NUL character"
        shown = path if symlink_allowed else "the file"
        raise ValueError(f"{shown} cannot be read ({reason}); correct the path or its access rights") from None
    try:
        facts = os.fstat(descriptor)
        mode = stat.S_IMODE(facts.st_mode)
        if not stat.S_ISREG(facts.st_mode):
            raise ValueError(f"{path} is not a regular file; name a file")
        if set_up_by_systemd:
            if mode & 0o007:
                raise ValueError(f"{path} is open to everybody (mode {mode:04o}); let systemd set its access")
        elif mode not in _ACCEPTED_MODES:
            raise ValueError(f"{path} has mode {mode:04o}, it must be 0600 or 0400; run: chmod 600 {path}")
        elif facts.st_uid not in (os.geteuid(), 0):
            raise ValueError(f"{path} belongs to another user (id {facts.st_uid}); make it your own")
        if facts.st_size > bytes_max:
            raise ValueError(f"{path} is longer than {bytes_max} bytes; is this the right file?")
        return os.read(descriptor, bytes_max)
    finally:
        os.close(descriptor)


# --- how old a secret may be -----------------------------------------------------------------------------------------


class RotationState(enum.Enum):
    FRESH = "fresh"
    WARN = "warn"
    EXPIRED = "expired"


class Rotation(NamedTuple):
    """The verdict on the key's age. `line` is for the operator, empty when all is well."""

    state: RotationState
    line: str


def rotation(rotated_at: date | None, today: date, warn_days: int, age_days_max: int) -> Rotation:
    """Judge the age of the API key: WARN is said once a start, EXPIRED refuses the start of live trading."""
    name = "BTCTURK_SECRET_ROTATED_AT"
    if rotated_at is None:
        return Rotation(RotationState.WARN, f"{name}: not set, so the key's age is unknown; set the day it was made")
    age_days = (today - rotated_at).days
    if age_days < 0:
        return Rotation(RotationState.WARN, f"{name}: {rotated_at} lies in the future; set the day the key was made")
    if age_days > age_days_max:
        return Rotation(
            RotationState.EXPIRED,
            f"{name}: the key is {age_days} days old, at most {age_days_max} are allowed "
            "(BTCTURK_SECRET_MAX_AGE_DAYS); make a new key at the venue and set its date",
        )
    if age_days >= warn_days:
        return Rotation(
            RotationState.WARN,
            f"{name}: the key is {age_days} days old and is refused after {age_days_max}; make a new one soon",
        )
    return Rotation(RotationState.FRESH, "")
