"""A bot with one deliberate mistake, for tests of what happens when a seed fails."""

from __future__ import annotations

import pytest

from btcbot.adapters.btcturk.outcome import Answer
from btcbot.adapters.btcturk.requester import Requester


@pytest.fixture
def sends_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """An order is sent again when its answer is lost: what I1 forbids."""
    write = Requester.write

    def again(self, endpoint, method, target, stamp_ms, body):
        result = write(self, endpoint, method, target, stamp_ms, body)
        if method == "POST" and not isinstance(result, Answer):
            result = write(self, endpoint, method, target, self.fresh_stamp(), body)
        return result

    monkeypatch.setattr(Requester, "write", again)
