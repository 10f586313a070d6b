"""What is wrong with data: one line for each kind of problem, with file, row and how to mend it.

An error means that the data is refused: whatever was computed from it would be wrong. A warning means that it can be
used and that the reader should know. `docs/reference/data-format.md` lists every code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec

from btcbot.errors import Refused

Level = Literal["error", "warning"]

#: So many problems are told; nobody mends more before looking again.
LINES_MAX: Final = 20
_CELL_SHOWN_MAX: Final = 40


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of problem in one file.

    `row` is the first row that has it: in a CSV the line of the file, the header being line 1; in a Parquet file
    counted from 1. `count` rows have it. `file` as the caller named it, empty where it is about the whole.
    """

    level: Level
    code: str
    said: str
    mend: str
    file: str = ""
    row: int | None = None
    count: int = 1

    @property
    def line(self) -> str:
        """`bars/BTCTRY.csv, row 17: high 5 is below low 6 (and 2 more rows); correct or delete the row`."""
        where = self.file if self.row is None else f"{self.file}, row {self.row}" if self.file else f"row {self.row}"
        more = f" (and {self.count - 1} more row{'s' if self.count > 2 else ''})" if self.count > 1 else ""
        return " ".join(f"{where}: {self.said}{more}; {self.mend}".removeprefix(": ").split())


class BadData(Refused):
    """Data that is refused; `findings` says why, the message tells them line by line."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings: tuple[Finding, ...] = tuple(findings)
        super().__init__(self.findings)

    def __str__(self) -> str:
        shown = [finding.line for finding in self.findings[:LINES_MAX]]
        left = len(self.findings) - len(shown)
        return "\n".join([*shown, *([f"and {left} more problems of this kind or another"] if left else [])])


class Findings:
    """Gathers problems of one file; the same kind is told once, with its first row and how many rows have it."""

    def __init__(self, file: str = "") -> None:
        self.file = file
        self._found: dict[tuple[str, str], Finding] = {}

    def add(
        self,
        code: str,
        said: str,
        mend: str,
        *,
        row: int | None = None,
        count: int = 1,
        about: str = "",
        level: Level = "error",
    ) -> None:
        """`about` tells kinds of the same code apart, such as the column."""
        key = (code, about)
        known = self._found.get(key)
        if known is None:
            self._found[key] = Finding(
                level=level, code=code, said=said, mend=mend, file=self.file, row=row, count=count
            )
        else:
            self._found[key] = msgspec.structs.replace(known, count=known.count + count)

    @property
    def all(self) -> tuple[Finding, ...]:
        return tuple(self._found.values())

    @property
    def has_errors(self) -> bool:
        return any(finding.level == "error" for finding in self._found.values())

    def demand(self) -> None:
        """Raise BadData with every error."""
        demand(self.all)


def demand(findings: Sequence[Finding], *, strict: bool = False) -> None:
    """Raise BadData where there is an error; `strict` counts warnings as errors."""
    refused = [finding for finding in findings if strict or finding.level == "error"]
    if refused:
        raise BadData(refused)


def refuse(code: str, said: str, mend: str, *, file: object = "", row: int | None = None) -> BadData:
    """An error by itself, to be raised."""
    return BadData([Finding(level="error", code=code, said=said, mend=mend, file=str(file), row=row)])


def shown(cell: object, length: int = _CELL_SHOWN_MAX) -> str:
    """A cell for people: short, and control characters visible."""
    text = str(cell)
    cut = text if len(text) <= length else text[:length] + "…"
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in cut)
