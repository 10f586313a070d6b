"""Reads queries.sql: a name line, an English sentence, a statement.

The statements are written once, with `:named` parameters, and prepared once for the driver in use: SQLite takes them as
they are, psycopg wants `%(named)s`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

_FILE: Final = Path(__file__).with_name("queries.sql")
_NAME: Final = re.compile(r"^-- (\w+) --$", re.MULTILINE)
_PARAMETER: Final = re.compile(r"(?<!:):([a-z]\w*)")


class Dialect(StrEnum):
    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


@cache
def load(dialect: Dialect) -> Mapping[str, str]:
    """Statement by name."""
    # What stands before the first name is the introduction; then names and bodies take turns.
    _, *parts = _NAME.split(_FILE.read_text(encoding="utf-8"))
    names, bodies = parts[0::2], parts[1::2]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"queries.sql names twice: {', '.join(sorted(twice))}")
    return MappingProxyType({name: _prepare(body, dialect) for name, body in zip(names, bodies, strict=True)})


def _prepare(body: str, dialect: Dialect) -> str:
    statement = "\n".join(line for line in body.splitlines() if line and not line.startswith("--"))
    if dialect is Dialect.POSTGRESQL:
        return _PARAMETER.sub(r"%(\1)s", statement)
    return statement
