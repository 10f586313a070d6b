"""Every command line that the docs, the help and the files we write show to a reader is one that the program takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from btcbot.adapters.replay import starter
from btcbot.cli import COMMANDS, root
from btcturk_sim.cli import cli as local_exchange

PROJECT = Path(__file__).parent.parent.parent
PAGES = [PROJECT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES += sorted(page for page in (PROJECT / "docs").rglob("*.md") if page.parent.name != "decisions")
FENCED = re.compile(r"^```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`(btcbot [^`]+|btcturk-sim [^`]+)`")
PROGRAMS = {"btcbot": root, "btcturk-sim": local_exchange}
#: Where a line of a shell goes on to another program.
ENDS = {"|", ">", ">>", "&&", "||", ";", "&", "2>&1", "<"}


def command_lines(text: str) -> Iterator[str]:
    """Lines of a shell that begin with one of our programs, with what they go on with on the next line."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        line = re.sub(r"^\s*(\$ )?(\S*/bin/)?", "", line)
        # What stands behind a gap is said about the line.
        line = re.split(r"\s{2,}", line.rstrip())[0]
        if line.split(" ")[0] in PROGRAMS and " · " not in line:
            yield line


def documented() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        text, name = page.read_text(encoding="utf-8"), str(page.relative_to(PROJECT))
        for block in FENCED.findall(text):
            yield from ((name, line) for line in command_lines(block))
        yield from ((name, " ".join(line.split())) for line in INLINE.findall(FENCED.sub("", text)))
    yield from (("the README of a starter set", line) for line in command_lines(starter._README))
    yield from (("the README of an empty dataset", line) for line in command_lines(starter._EMPTY_README))
    for name in COMMANDS:
        command = root.get_command(click.Context(root), name)
        assert command is not None
        yield from ((f"btcbot {name} --help", line) for line in command_lines(command.help or ""))


DOCUMENTED = sorted(set(documented()))


def taken(line: str) -> None:
    """Raise what the program would say of the words of a line; values are not converted, nothing runs."""
    words = shlex.split(line, comments=True)
    program, *words = words[: next((at for at, word in enumerate(words) if word in ENDS), len(words))]
    command: click.Command = PROGRAMS[program]
    context = click.Context(command, info_name=program)
    words = [word.strip("[]") for word in words]  # what may be left out
    while isinstance(command, click.Group) and words and words[0] != "COMMAND" and not words[0].startswith("-"):
        _, found, words = command.resolve_command(context, words)
        assert found is not None, f"no command «{words[0]}»"
        command, context = found, click.Context(found, parent=context, info_name=found.name)
    if words[:1] == ["COMMAND"]:
        return
    _, left, _ = command.make_parser(context).parse_args(list(words))
    assert not set(left) - {"…"}, f"too many words: {' '.join(left)}"


@pytest.mark.parametrize(("where", "line"), DOCUMENTED, ids=[f"{where}: {line}" for where, line in DOCUMENTED])
def test_a_documented_command_line_is_taken_by_the_program(where: str, line: str):
    try:
        taken(line)
    except click.ClickException as refused:
        pytest.fail(f"{where} shows «{line}»: {refused.format_message()}")


def test_enough_lines_were_found_for_this_to_mean_something():
    assert len(DOCUMENTED) > 150
    assert len({line.split()[1] for _, line in DOCUMENTED if line.startswith("btcbot ")}) > 30


def test_a_wrong_option_and_a_wrong_command_would_be_noticed():
    with pytest.raises(click.NoSuchOption):
        taken("btcbot backtest --data DIR")
    with pytest.raises(click.UsageError):
        taken("btcbot backtset DIR")
