"""Who is asking: X-PCK, X-Stamp, X-Signature.

The signature is base64(HMAC-SHA256(base64-decoded secret, key + stamp)) and covers nothing else. A stamp is
milliseconds within 5 s of the exchange's clock. Whether stamps must rise, or differ, or neither is not known of the
real exchange, so all three worlds exist: `windowed` refuses a stamp seen before, `strict` also one below the last, and
either can be switched off. What a used stamp is told is not known either.
"""

from __future__ import annotations

import base64
import hmac
from collections import deque
from enum import StrEnum
from typing import Final

from btcturk_sim.accounts import Account
from btcturk_sim.wire import Request

STAMP_TOLERANCE_MS: Final = 5_000
INVALID_NONCE: Final = "Unauthorized - Invalid Nonce"
INVALID_SIGNATURE: Final = "Unauthorized - Invalid Signature"
#: Said where the key is good but not for this: the text for a missing permission or a foreign address is not known.
NOT_PERMITTED: Final = "Unauthorized - Invalid Request"


class NonceRule(StrEnum):
    WINDOWED = "windowed"
    STRICT = "strict"


def signature(secret: bytes, key: str, stamp: str) -> str:
    """What a client must send for this stamp."""
    return base64.b64encode(hmac.digest(secret, (key + stamp).encode(), "sha256")).decode()


class Authenticator:
    def __init__(self, accounts: dict[str, Account], rule: NonceRule = NonceRule.WINDOWED) -> None:
        self.rule = rule
        #: The text that a stamp gets which was used before; None: it is as good as another.
        self.reused_text: str | None = INVALID_NONCE
        self._accounts = accounts
        self._last: dict[str, int] = {}
        self._seen: dict[str, set[int]] = {}
        self._order: dict[str, deque[int]] = {}

    def authenticate(self, request: Request, venue_ms: int) -> Account | str:
        """The account, or the text of the refusal."""
        key, stamp, signed = request.key, request.stamp, request.headers.get("x-signature")
        if not key or not stamp or not signed:
            return "Unauthorized - Headers are missing"
        account = self._accounts.get(key)
        if account is None or account.revoked:
            return "Unauthorized - Invalid Public/Private key"
        if not hmac.compare_digest(signature(account.secret, key, stamp).encode(), signed.encode()):
            return INVALID_SIGNATURE
        if not stamp.isascii() or not stamp.isdigit() or len(stamp) > 15:
            return INVALID_NONCE
        nonce = int(stamp)
        if abs(nonce - venue_ms) > STAMP_TOLERANCE_MS:
            return INVALID_NONCE
        if self.reused_text is None or self._is_new(key, nonce, venue_ms):
            return account
        return self.reused_text

    def _is_new(self, key: str, nonce: int, venue_ms: int) -> bool:
        if self.rule is NonceRule.STRICT:
            if nonce <= self._last.get(key, 0):
                return False
            self._last[key] = nonce
            return True
        seen, order = self._seen.setdefault(key, set()), self._order.setdefault(key, deque())
        # A stamp that has left the window is refused for its age, so it need not be remembered. The order is
        # that of arrival, not of value: one stamp from the future may shelter a few old ones a little longer.
        while order and order[0] < venue_ms - 2 * STAMP_TOLERANCE_MS:
            seen.discard(order.popleft())
        if nonce in seen:
            return False
        seen.add(nonce)
        order.append(nonce)
        return True
