"""The options that commands share, said once: which database, which env file, JSON or text.

A group may be given them before its subcommand (`btcbot orders --db X show ID`) or after it; both mean the same.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import click

#: How many rows to list; more than the database driver can count to is refused here.
COUNT: Final = click.IntRange(min=1, max=1_000_000_000)
COUNT_OR_NONE: Final = click.IntRange(min=0, max=1_000_000_000)

F = TypeVar("F", bound=Callable[..., Any])


class Where(NamedTuple):
    """Where the operator points: `--db` and `--env-file`, None where not given."""

    db: Path | None
    env_file: Path | None


def _or_the_groups(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """The option of the group, where the subcommand was not given its own."""
    if not value and context.parent is not None and parameter.name is not None:
        return context.parent.params.get(parameter.name) or value
    return value


_DB: Final = click.option(
    "--db",
    type=click.Path(path_type=Path),
    metavar="PATH",
    callback=_or_the_groups,
    help="The state database, instead of STATE_DB_PATH.",
)
env_file_option: Final = click.option(
    "--env-file",
    type=click.Path(path_type=Path),
    metavar="PATH",
    callback=_or_the_groups,
    help="Read settings from this file, instead of .env.live.",
)
_JSON: Final = click.option(
    "--json", "as_json", is_flag=True, callback=_or_the_groups, help="Print one line of JSON; money is text."
)
_WAIT: Final = click.option(
    "--wait",
    type=click.FloatRange(min=0.1, max=3600),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a running bot to do it.",
)
reason_option: Final = click.option(
    "--reason", required=True, metavar="TEXT", help="Why; it is kept in the books.", callback=lambda _, __, v: _said(v)
)


def _said(text: str) -> str:
    shown = " ".join(text.split())
    if not shown or not shown.isprintable():
        raise click.BadParameter("say in a few words why")
    return shown


class Family(click.Group):
    """Commands of one kind; a misspelt one is answered with the nearest."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in self.commands:
            from difflib import get_close_matches

            near = get_close_matches(name, self.commands, n=1)
            hint = f"did you mean «{near[0]}»?" if near else f"say {' or '.join(self.commands)}"
            raise click.UsageError(f"there is no command «{ctx.command_path} {name}»; {hint}", ctx)
        return super().resolve_command(ctx, args)


def places(command: F) -> F:
    """`--db` and `--env-file`."""
    return _DB(env_file_option(command))


def report(command: F) -> F:
    """`--db`, `--env-file` and `--json`, for a command that only reads."""
    return places(_JSON(command))


def asks_the_bot(command: F) -> F:
    """`report` and `--wait`, for a command that the writer carries out."""
    return report(_WAIT(command))


class Amount(click.ParamType[Decimal]):
    """Plain digits with at most one point: what a person would write, and nothing that a float would round."""

    name = "amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        if isinstance(value, Decimal):
            return value
        text = str(value)
        try:
            if not text.isascii() or not text.replace(".", "", 1).isdigit():
                raise InvalidOperation
            return Decimal(text)
        except InvalidOperation:
            self.fail(f"«{text}» is not an amount; write digits with at most one point, such as 0.015", param, ctx)
