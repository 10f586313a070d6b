"""A log that a test can read."""

from __future__ import annotations

from collections.abc import Mapping


class ListLog:
    """`Log` that remembers: (event, fields)."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, Mapping[str, object]]] = []

    def debug(self, event: str, **fields: object) -> None:
        self.lines.append((event, fields))

    info = warning = error = debug

    def events(self, name: str) -> list[Mapping[str, object]]:
        return [fields for event, fields in self.lines if event == name]
