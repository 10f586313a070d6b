"""Message 114: who is at the other end of a connection.

The signature is base64(HMAC-SHA256(base64-decoded secret, key + nonce)): the timestamp is not signed. The nonce that
the documentation shows, 3000, looks like the number of milliseconds for which the timestamp is good; `LoginWindow.NONE`
takes it for a number without meaning. A login without a timestamp was seen to be refused with "Invalid Nonce". What a
key without the WebSocket permission, or from a foreign address, is told is not known.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Final

import msgspec

from btcturk_sim.accounts import Account
from btcturk_sim.auth import signature
from btcturk_sim.feed.options import LoginWindow
from btcturk_sim.permissions import Permission

INVALID_KEY: Final = "Invalid Public/Private key"
INVALID_SIGNATURE: Final = "Invalid Signature"
INVALID_NONCE: Final = "Invalid Nonce"
NOT_PERMITTED: Final = "Invalid Request"
_NONCE_DIGITS_MAX: Final = 15


class LoginForm(msgspec.Struct, rename={"key": "publicKey"}):
    """What a client sends; whole numbers may also come as text."""

    type: int
    key: str = ""
    signature: str = ""
    nonce: int | str | None = None
    timestamp: int | str | None = None


def check_login(
    form: LoginForm, accounts: Mapping[str, Account], venue_ms: int, window: LoginWindow, client_ip: str
) -> Account | str:
    """The account, or the text of the refusal."""
    account = accounts.get(form.key)
    if account is None or account.revoked:
        return INVALID_KEY
    nonce, timestamp = _whole(form.nonce), _whole(form.timestamp)
    if nonce is None or nonce <= 0 or timestamp is None:
        return INVALID_NONCE
    expected = signature(account.secret, form.key, str(form.nonce))
    if not hmac.compare_digest(expected.encode(), form.signature.encode()):
        return INVALID_SIGNATURE
    if window is LoginWindow.NONCE and abs(venue_ms - timestamp) > nonce:
        return INVALID_NONCE
    return account if account.may(Permission.WEBSOCKET, client_ip) else NOT_PERMITTED


def _whole(value: int | str | None) -> int | None:
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) <= _NONCE_DIGITS_MAX else None
    return value
