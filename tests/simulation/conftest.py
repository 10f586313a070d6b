"""A bot with one deliberate mistake, for tests of what happens when a seed fails."""

from __future__ import annotations

import pytest

from btcbot.adapters.btcturk.outcome import Answer
from btcbot.adapters.btcturk.rest import BtcturkHttpClient


@pytest.fixture
def sends_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """An order is sent again when its answer is lost: what I1 forbids."""
    send = BtcturkHttpClient._send

    def again(self, endpoint, method, target, headers, body, timeout_s):
        result = send(self, endpoint, method, target, headers, body, timeout_s)
        if method == "POST" and not isinstance(result, Answer):
            fresh = self._signer.headers(self._nonce.take())
            result = send(self, endpoint, method, target, fresh, body, timeout_s)
        return result

    monkeypatch.setattr(BtcturkHttpClient, "_send", again)
