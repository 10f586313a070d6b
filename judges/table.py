"""The table of calls: one line for each, with what the exchange saw and whether the judge was content.

A pytest plugin. The module of a judge names its client in `CLIENT`; a test's line is its docstring's first one, and
tests whose names begin with test_mistake_ show mistakes of the client that are known and stay visible.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import pytest

CLIENT_PROPERTY: Final = "client"
CALL_PROPERTY: Final = "call"
SEEN_PROPERTY: Final = "seen"
MISTAKE_PREFIX: Final = "test_mistake_"
_MISTAKE_MARK: Final = "mistake: "
_SEEN_MAX: Final = 3


class Judged(Protocol):
    """What the exchange saw of one request; its text is `METHOD path status`."""

    def __str__(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Line:
    client: str
    call: str
    seen: str
    outcome: str


def call_of(name: str, docstring: str | None) -> str:
    """How a test is called in the table. ValueError when it says nothing of itself."""
    first = (docstring or "").strip().partition("\n")[0].strip().rstrip(".")
    if not first:
        raise ValueError(f"{name} has no docstring: its first line stands in the table of calls")
    return _MISTAKE_MARK + first if name.startswith(MISTAKE_PREFIX) else first


def shortened(seen: Iterable[Judged]) -> str:
    """`GET /api/v2/ticker 200`, or the first few of many."""
    texts = [str(one) for one in seen]
    shown = ", ".join(texts[:_SEEN_MAX])
    return shown + (f" and {len(texts) - _SEEN_MAX} more" if len(texts) > _SEEN_MAX else "")


def rows(lines: Iterable[Line]) -> list[str]:
    """The table, client by client in the order given."""
    listed = list(lines)
    width = max((len(line.call) for line in listed), default=0)
    shown: list[str] = []
    for client in dict.fromkeys(line.client for line in listed):
        own = [line for line in listed if line.client == client]
        failed = sum(line.outcome != "ok" for line in own)
        count = f"{len(own)} call" + ("s" if len(own) > 1 else "")
        shown += ["", f"{client}: {count}, {f'{failed} failed' if failed else 'all ok'}"]
        shown += [f"  {line.outcome:<7}{line.call:<{width}}  {line.seen}".rstrip() for line in own]
    return shown


class Table:
    """Collects what pytest reports and prints it at the end."""

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            assert isinstance(item, pytest.Function), f"{item.nodeid} is no test function"
            name = item.originalname
            variant = item.name.removeprefix(name)
            item.user_properties += [
                (CLIENT_PROPERTY, item.module.CLIENT),
                (CALL_PROPERTY, call_of(name, item.function.__doc__) + (f" {variant}" if variant else "")),
            ]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        known: dict[str, Any] = dict(report.user_properties)
        before = self._lines.get(report.nodeid)
        is_ok = report.passed and (before is None or before.outcome == "ok")
        outcome = "ok" if is_ok else "FAILED"
        self._lines[report.nodeid] = Line(
            known[CLIENT_PROPERTY], known[CALL_PROPERTY], known.get(SEEN_PROPERTY, ""), outcome
        )

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for row in rows(self._lines.values()):
            terminalreporter.write_line(row)
        terminalreporter.write_line("")
