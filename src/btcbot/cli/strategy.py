"""`btcbot strategy`: which strategies there are, what their parameters mean, and the skeleton of a new one."""

from __future__ import annotations

import keyword
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from btcbot.cli import options, output
from btcbot.errors import Refused

if TYPE_CHECKING:
    from btcbot.strategies.parameters import Parameter, StrategySpec

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)


@click.group(cls=options.Family, short_help="List strategies and their parameters; write the skeleton of a new one.")
def command() -> None:
    """List strategies and their parameters; write the skeleton of a new one.

    \b
    Examples:  btcbot strategy list
               btcbot strategy show ema_cross
               btcbot strategy new dip_buyer --into strategies
               STRATEGY=strategies/dip_buyer.py btcbot run
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def list_(*, as_json: bool) -> None:
    """Every strategy that can be named: those that come with btcbot, and installed ones.

    A strategy in a file of your own is named by its path: «btcbot strategy show strategies/mine.py».
    """
    from btcbot.adapters.strategy_plugins import Broken, listing

    found = list(listing())
    if as_json:
        usable = [_as_json(one) for one in found if not isinstance(one, Broken)]
        broken = [{"name": one.name, "problem": one.problem} for one in found if isinstance(one, Broken)]
        output.json_line({"strategies": usable, "broken": broken})
        return
    rows = [
        (one.name, "cannot be used", one.problem) if isinstance(one, Broken) else (one.name, one.origin, one.summary)
        for one in found
    ]
    output.table("strategies", ("name", "from", "what it does"), rows)


@command.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def show(name: str, *, as_json: bool) -> None:
    """The parameters of the strategy NAME, which is a name of «strategy list» or the path of a file."""
    from btcbot.adapters.strategy_plugins import find

    spec = find(name)
    if as_json:
        output.json_line(_as_json(spec))
        return
    output.facts(
        [
            ("name", spec.name),
            ("from", spec.origin),
            ("what it does", spec.summary),
            ("reads", "closed bars and quotes" if spec.uses_signals else "quotes"),
            ("is asked", "when something it waits for comes true" if spec.has_wakes else "at every bar"),
        ]
    )
    output.line()
    rows = [(one.name, one.kind.value, one.text(one.default) or output.NOTHING, _range(one), one.meaning)
            for one in spec.parameters]  # fmt: skip
    output.table("parameters", ("name", "kind", "default", "range", "meaning"), rows)


@command.command()
@click.argument("name")
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    default=Path(),
    metavar="DIR",
    help="The folder to write to, made if it is not there; the one you are in, without it.",
)
def new(name: str, into: Path) -> None:
    """Write a strategy that works, NAME.py, and its tests, test_NAME.py: the place to start from.

    NAME is of small letters, digits and _. A file that is there already is left alone, and nothing is written.
    """
    from btcbot.cli.strategy_skeleton import written
    from btcbot.strategies.shipped import shipped

    if keyword.iskeyword(name):
        raise Refused(f"{name} is a word of Python's own, and no name; choose another, such as dip_buyer")
    if name.startswith("test_"):
        raise Refused(f"{output.clean(name)}.py would be taken for tests; choose a name that does not begin with test_")
    if not _NAME.fullmatch(name):
        raise Refused(
            f"«{output.clean(name)}» cannot be a strategy's name; take small letters, digits and _, such as dip_buyer"
        )
    if name in shipped():
        raise Refused(f"a strategy {name} comes with btcbot; choose another name")
    if name in sys.stdlib_module_names:
        raise Refused(f"{name}.py would stand before Python's own {name}; choose another name")
    texts = dict(zip((into / f"{name}.py", into / f"test_{name}.py"), written(name, str(into)), strict=True))
    for path in texts:
        if path.is_symlink() or path.exists():
            raise Refused(f"{path} is there already; choose another name, or another folder with --into")
    try:
        into.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
            output.line(f"written: {path}")
    except OSError as error:
        raise Refused(
            f"{output.clean(str(into))} cannot be written to ({error.strerror}); name another folder with --into"
        ) from error
    strategy, tests = texts
    output.line(f"try it: python -m pytest {tests}")
    output.line(f"use it: btcbot backtest DATA --strategy {strategy}, or STRATEGY={strategy} for «btcbot run»")


def _range(parameter: Parameter) -> str:
    return parameter.range or output.NOTHING


def _as_json(spec: StrategySpec) -> dict[str, object]:
    return {
        "name": spec.name,
        "origin": spec.origin,
        "summary": spec.summary,
        "uses_signals": spec.uses_signals,
        "has_wakes": spec.has_wakes,
        "parameters": [
            {
                "name": one.name,
                "kind": one.kind,
                "default": one.text(one.default),
                "low": None if one.low is None else one.text(one.low),
                "high": None if one.high is None else one.text(one.high),
                "step": None if one.step is None else one.text(one.step),
                "log": one.log,
                "choices": one.choices,
                "meaning": one.meaning,
            }
            for one in spec.parameters
        ],
    }
