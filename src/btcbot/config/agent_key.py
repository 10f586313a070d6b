"""The key of an agent's endpoint: by file only, and revealed in one header.

It is no setting and has no environment name: what is in no variable cannot be printed with the others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from btcbot.config.secrets import SECRET_BYTES_MAX, Secret, known_secret_forms, read_private_file
from btcbot.errors import ConfigurationError

__all__ = ["authorization", "holds_secret", "read_agent_key"]

_SETTING: Final = "AGENT_LLM_KEY_FILE"
#: Anything shorter could not be told apart from ordinary words when answers are searched for it.
CHARACTERS_MIN: Final = 8


def read_agent_key(path: Path | None) -> Secret | None:
    """The key in the file at `path`, None where none is named. Raise ConfigurationError with one line."""
    if path is None:
        return None
    try:
        text = read_private_file(path, SECRET_BYTES_MAX, symlink_allowed=False).decode("ascii").strip()
        if 0 < len(text) < CHARACTERS_MIN:
            raise ValueError(f"{path} holds fewer than {CHARACTERS_MIN} characters; is this the right file?")
        return Secret(text)
    except UnicodeDecodeError:
        raise ConfigurationError(f"{_SETTING}: {path} holds non-ASCII characters; write the key again") from None
    except ValueError as error:
        raise ConfigurationError(f"{_SETTING}: {error}") from None


def authorization(key: Secret) -> tuple[bytes, bytes]:
    """The header that shows the key to the endpoint."""
    return b"Authorization", b"Bearer " + key.reveal().encode("ascii")


def holds_secret(text: str, key: Secret | None) -> bool:
    """Whether `text` repeats the key in any spelling."""
    return key is not None and any(form in text for form in known_secret_forms(key))
