"""Signing of private requests: the only place where an API secret is revealed.

BtcTurk documents: signature = base64(HMAC-SHA256(key = base64-decoded secret, message = public key + stamp)). It
covers neither method nor path nor body, so whoever holds the headers can send anything for five seconds: they are made
anew for each request, handed to the transport and never logged or kept.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from typing import Final, NoReturn, Protocol

from btcbot.errors import ConfigurationError

Header = tuple[bytes, bytes]

#: The feed's message type for logins, and the nonce that is signed for it.
LOGIN: Final = 114
LOGIN_NONCE: Final = 3_000


class SecretText(Protocol):
    """What `config.secrets.Secret` gives: a text that only `reveal()` shows."""

    def reveal(self) -> str: ...


class Signer:
    """Signs for one API key. Holds a keyed hash, not the secret, and shows neither.

    Raises ConfigurationError when the secret is not base64, as BtcTurk issues it.
    """

    __slots__ = ("_keyed", "_public_key")

    def __init__(self, key: SecretText, secret: SecretText) -> None:
        self._public_key = key.reveal()
        try:
            raw = base64.b64decode(secret.reveal(), validate=True)
        except (binascii.Error, ValueError):
            # `from None`: the original error could carry part of the secret into a traceback.
            raise ConfigurationError("BTCTURK_API_SECRET is not base64; copy it again from BtcTurk") from None
        if not raw:
            raise ConfigurationError("BTCTURK_API_SECRET is empty")
        # The message always begins with the public key: hash that part once, copy the state for each stamp.
        self._keyed = hmac.new(raw, self._public_key.encode("ascii"), hashlib.sha256)

    def signature(self, nonce: int) -> str:
        """Base64 text for public key + `nonce` (REST: the stamp in ms; WebSocket login: its nonce)."""
        keyed = self._keyed.copy()
        keyed.update(str(nonce).encode("ascii"))
        return base64.b64encode(keyed.digest()).decode("ascii")

    def headers(self, stamp_ms: int) -> list[Header]:
        """The four headers of a private REST request, for one use."""
        return [
            (b"X-PCK", self._public_key.encode("ascii")),
            (b"X-Stamp", str(stamp_ms).encode("ascii")),
            (b"X-Signature", self.signature(stamp_ms).encode("ascii")),
            (b"Content-Type", b"application/json"),
        ]

    def login(self, timestamp_ms: int) -> str:
        """The frame that logs the feed in. BtcTurk's example signs this nonce, which looks like a window of validity in
        ms, and the time is not signed at all: so this signature never changes, and belongs in no log or file."""
        body = {
            "type": LOGIN,
            "publicKey": self._public_key,
            "timestamp": timestamp_ms,
            "nonce": LOGIN_NONCE,
            "signature": self.signature(LOGIN_NONCE),
        }
        return json.dumps([LOGIN, body], separators=(",", ":"))

    def __repr__(self) -> str:
        return "Signer(**********)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Signer is not pickled")
