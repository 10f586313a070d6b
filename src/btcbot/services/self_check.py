"""SelfCheckService: is this process fit to write? Run by the loop itself, at start and every few minutes.

The checks are handed in by name; one that fails closes the gate until a later run passes. The last result is kept in
the database, so that `status` and `doctor` can tell it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from btcbot.ports import Clock, Log, StateStore
from btcbot.services import named_values, values

INTERVAL_MS: Final = 600_000

#: Says nothing when all is well, else one line that says what is wrong and how to mend it.
Check = Callable[[], str | None]


class SelfCheckResult(msgspec.Struct, frozen=True, kw_only=True):
    at_ms: int
    problems: Mapping[str, str]

    @property
    def passed(self) -> bool:
        return not self.problems


_decode: Final = msgspec.json.Decoder(SelfCheckResult).decode


class SelfCheckService:
    def __init__(self, checks: Mapping[str, Check], store: StateStore, clock: Clock, log: Log) -> None:
        self._checks = checks
        self._store = store
        self._clock = clock
        self._log = log
        self._last: SelfCheckResult | None = None

    def run_if_due(self) -> SelfCheckResult:
        """The last result, or a new one when it is older than the interval or had failed. Of nothing to check, as on
        recorded time, the first result holds."""
        last, now_ms = self._last, self._clock.now_ms()
        if last is not None and last.passed and (0 <= now_ms - last.at_ms < INTERVAL_MS or not self._checks):
            return last
        problems = {name: problem for name, check in self._checks.items() if (problem := check()) is not None}
        result = SelfCheckResult(at_ms=now_ms, problems=problems)
        if last is None or last.problems != problems or problems == {}:
            with self._store.transaction() as tx:
                tx.put_value(values.SELF_CHECK, msgspec.json.encode(result).decode())
        if problems:
            self._log.error("self_check_failed", problems=dict(problems))
        self._last = result
        return result


def read_self_check(store: StateStore) -> SelfCheckResult | None:
    """The last recorded result."""
    return named_values.decoded(store, values.SELF_CHECK, _decode, "restore a backup; the next run writes it anew")
