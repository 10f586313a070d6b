"""A command by another name: the same in everything but how its examples call it."""

from __future__ import annotations

import copy

import click


def renamed(command: click.Command, old: str, new: str) -> click.Command:
    """`command`, whose help says `btcbot new` where it said `btcbot old`."""
    same = copy.copy(command)
    same.name = new
    same.help = (command.help or "").replace(f"btcbot {old}", f"btcbot {new}")
    return same
