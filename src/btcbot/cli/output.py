"""How reports leave: one line of JSON, a table on a terminal, aligned plain text into a pipe.

Texts in the database may come from the venue or a person; control characters in them are shown, never obeyed.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import Enum
from typing import NoReturn

import click

NOTHING = "–"


def shaped(value: object) -> object:
    """A domain value as JSON has it: money as plain text, structs as objects."""
    import msgspec

    from btcbot.domain import money

    match value:
        case Decimal():
            return money.plain(value)
        case Enum():
            return value.value
        case msgspec.Struct():
            return {name: shaped(one) for name, one in msgspec.structs.asdict(value).items()}
        case Mapping():
            return {str(key): shaped(one) for key, one in value.items()}
        case list() | tuple() | set() | frozenset():
            return [shaped(one) for one in value]
        case _:
            return value


def json_line(report: Mapping[str, object]) -> None:
    """The report on one line of stdout."""
    import msgspec

    click.echo(msgspec.json.encode(shaped(report)).decode())


def leave(status: int) -> NoReturn:
    """End with an exit status that is not an error's."""
    sys.exit(status)


def clean(text: object) -> str:
    """Without control characters: a terminal obeys those."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in str(text))


def amount(value: Decimal | None) -> str:
    from btcbot.domain import money

    return NOTHING if value is None else money.plain(value)


def moment(at_ms: int | None) -> str:
    """`2026-01-31 12:00:00Z`."""
    from datetime import UTC, datetime

    if at_ms is None:
        return NOTHING
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def duration(seconds: float) -> str:
    """`12 s`, `3 min`, `5 h`, `4 d`: as exact as anyone needs."""
    for limit, divisor, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if abs(seconds) < limit:
            return f"{seconds / divisor:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def line(text: str = "") -> None:
    click.echo("\n".join(clean(one) for one in text.split("\n")))


def facts(pairs: Sequence[tuple[str, object]]) -> None:
    """Names and values below each other."""
    width = max((len(name) for name, _ in pairs), default=0)
    for name, value in pairs:
        click.echo(f"{clean(name):<{width}}  {clean(value)}")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, numbers: Sequence[str] = ()) -> None:
    """Rows under a title. `numbers` names the columns that are set to the right.

    A table that the terminal is too narrow for is plain text: folded ids could not be copied.
    """
    cells = [[clean(cell) for cell in row] for row in rows]
    widths = [max(len(row[at]) for row in (list(columns), *cells)) for at in range(len(columns))]
    if not cells:
        click.echo(f"{title}: none")
    elif (
        sys.stdout is not None
        and sys.stdout.isatty()
        and sum(widths) + 3 * len(widths) < shutil.get_terminal_size().columns
    ):
        _rich_table(title, columns, cells, numbers)
    else:
        _plain_table(title, columns, cells, widths, numbers)


def _rich_table(title: str, columns: Sequence[str], cells: Sequence[Sequence[str]], numbers: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for name in columns:
        shown.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    for row in cells:
        shown.add_row(*(Text(cell) for cell in row))
    Console().print(shown)


def _plain_table(
    title: str, columns: Sequence[str], cells: Sequence[Sequence[str]], widths: Sequence[int], numbers: Sequence[str]
) -> None:
    click.echo(f"{title}:")
    for row in (list(columns), *cells):
        padded = [
            cell.rjust(width) if name in numbers else cell.ljust(width)
            for cell, width, name in zip(row, widths, columns, strict=True)
        ]
        click.echo("  " + "  ".join(padded).rstrip())
