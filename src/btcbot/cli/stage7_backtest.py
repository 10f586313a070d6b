"""`btcbot stage7-backtest`: `backtest --profile stage7` by the name that other tools gave it."""

from __future__ import annotations

import copy

import click

from btcbot.cli.alias import renamed
from btcbot.cli.backtest import command as original


def _of_stage7(command: click.Command) -> click.Command:
    """The profile is no choice any more."""
    options: list[click.Parameter] = []
    for option in command.params:
        if isinstance(option, click.Option) and option.name == "profile_name":
            option = copy.copy(option)
            option.default, option.type, option.hidden = "stage7", click.Choice(("stage7",)), True
        options.append(option)
    command.params = options
    command.help = (command.help or "").replace(" --profile stage7", "")
    return command


command = _of_stage7(renamed(original, "backtest", "stage7-backtest"))
