"""The env file: one `NAME=VALUE` a line, read strictly.

    # a comment
    DRY_RUN=true
    SYMBOLS=BTCTRY,ETHTRY        # a comment after a space
    STATE_DB_PATH='/srv/my bot/state.db'

Nothing is expanded: `${HOME}` and `$(date)` stay text, because a secret may hold a dollar sign. There are no escapes
and no values over several lines. What is not clearly one of these forms is refused with file and line, and so are a
name given twice and a file that others can read. Lines are never quoted in messages: they may hold a secret.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

from btcbot.config.secrets import read_private_file

__all__ = ["ENV_FILE_BYTES_MAX", "PROBLEMS_TOLD_MAX", "EnvFile", "parse_env_file", "read_env_file"]

ENV_FILE_BYTES_MAX: Final = 64 * 1024
#: Of so many problems of one kind each is told, of more the first ones and how many there are besides: a file that is
#: no env file, or another program's, has one in every line.
PROBLEMS_TOLD_MAX: Final = 20
_ASSIGNMENT: Final = re.compile(r"(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)[ \t]*=(?P<value>.*)", re.ASCII)
#: A line that is not a setting may be a secret pasted into the wrong place: odd names are not repeated.
_SHOWABLE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,39}|[a-z][a-z0-9_]{0,39}", re.ASCII)
_QUOTED: Final = re.compile(r"(?P<quote>['\"])(?P<value>.*?)(?P=quote)[ \t]*(#.*)?")
_COMMENT: Final = re.compile(r"(^|[ \t])#.*")
_FORBIDDEN: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


class EnvFile(NamedTuple):
    """What an env file says: the value and the line of each name, and one line for each problem found."""

    values: dict[str, str]
    line_of: dict[str, int]
    problems: list[str]


def read_env_file(path: Path) -> EnvFile:
    """Read and parse `path`. A file that is missing or open to others is one problem and no values."""
    try:
        content = read_private_file(path, ENV_FILE_BYTES_MAX, symlink_allowed=True)
    except ValueError as error:
        return EnvFile({}, {}, [f"env file: {error}"])
    try:
        return parse_env_file(content.decode("utf-8"), str(path))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return EnvFile({}, {}, [f"{path}:{line}: is not UTF-8 text; write the line again"])


def parse_env_file(text: str, name: str) -> EnvFile:
    """Parse the text of the env file called `name`. Never raises: problems are part of the answer."""
    found = EnvFile({}, {}, [])
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.removesuffix("\r").strip(" \t")
        if not stripped or stripped.startswith("#"):
            continue
        try:
            setting, value = _assignment(stripped)
            if setting in found.values:
                shown = setting if _SHOWABLE.fullmatch(setting) else "a name"
                raise ValueError(f"{shown} is set in line {found.line_of[setting]} already; remove one")
        except ValueError as error:
            found.problems.append(f"{name}:{number}: {error}")
            continue
        found.values[setting] = value
        found.line_of[setting] = number
    if untold := len(found.problems[PROBLEMS_TOLD_MAX:]):
        more = f"{untold} more lines are" if untold > 1 else "one more line is"
        found.problems[PROBLEMS_TOLD_MAX:] = [f"{name}: {more} wrong in such ways; is it an env file?"]
    return found


def _assignment(line: str) -> tuple[str, str]:
    if _FORBIDDEN.search(line):
        raise ValueError("holds a control character; write the line again")
    match = _ASSIGNMENT.fullmatch(line)
    if match is None:
        raise ValueError("is not NAME=VALUE; write one setting a line, comments begin with #")
    value = match["value"].strip(" \t")
    if not value.startswith(("'", '"')):
        return match["name"], _COMMENT.sub("", value)
    quoted = _QUOTED.fullmatch(value)
    if quoted is None:
        raise ValueError("has a quotation mark that does not close, or text after it; close it on the same line")
    if quoted["quote"] == '"' and "\\" in quoted["value"]:
        raise ValueError(
            "has a backslash between double quotes, which programs read in different ways; use single quotes"
        )
    return match["name"], quoted["value"]
