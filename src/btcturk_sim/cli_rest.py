"""The part of `btcturk-sim serve` about keys, listed pairs, commissions and what is not known of the exchange."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, TypeVar

import click

from btcturk_sim.errors import ConfigurationError

if TYPE_CHECKING:
    from btcturk_sim.accounts import Account
    from btcturk_sim.fees import FeeSchedule

#: Two years of minutes.
HISTORY_BARS_MAX: Final = 1_051_200
_F = TypeVar("_F", bound=Callable[..., object])
_FLAGS = (
    click.option("--pairs", type=click.IntRange(1), help="List this many built-in pairs; the exchange has 379."),
    click.option(
        "--history-bars",
        type=click.IntRange(0, HISTORY_BARS_MAX),
        help="Charts know this many bars from before the market opened: of a folder's bars the first ones, which are "
        "then not played.  [default: 1440 generated ones, 0 with --pairs or --market]",
    ),
    click.option(
        "--assume",
        "assumed",
        multiple=True,
        metavar="NAME=ANSWER",
        help="Settle what is not known of the exchange; «btcturk-sim assumptions» lists the questions.",
    ),
    click.option(
        "--permissions",
        "permission_texts",
        multiple=True,
        metavar="KEY=NAME,…",
        help="What a key may do: funds, trade, account, websocket; all of it unless told here.",
    ),
    click.option(
        "--addresses", "address_texts", multiple=True, metavar="KEY=IP,…", help="Addresses a key is bound to."
    ),
    click.option("--fee-level", type=click.IntRange(1, 8), default=1, show_default=True, help="Level of commission."),
    click.option("--free-pairs", default="", help="Pairs without commission, comma-separated."),
)


def rest_flags(command: _F) -> _F:
    """Add the options to a command; `pairs`, `history_bars`, `assumed` and so on arrive as keywords."""
    for flag in reversed(_FLAGS):
        command = flag(command)
    return command


def bind_keys(accounts: Iterable[Account], permission_texts: Iterable[str], address_texts: Iterable[str]) -> None:
    """Give keys the permissions and addresses of KEY=A,B texts; ConfigurationError names what is wrong."""
    from btcturk_sim.permissions import permissions

    by_key = {account.key: account for account in accounts}
    for text in permission_texts:
        account, names = _of_key("--permissions", text, by_key)
        account.permissions = permissions(names)
    for text in address_texts:
        account, names = _of_key("--addresses", text, by_key)
        account.addresses = frozenset(_address(text, name) for name in names)


def _of_key(option: str, text: str, by_key: dict[str, Account]) -> tuple[Account, list[str]]:
    key, equals, names = text.partition("=")
    if not equals:
        raise ConfigurationError(f"{option} {text}: write KEY=NAME,NAME")
    if key not in by_key:
        raise ConfigurationError(f"{option} {text}: there is no account {key}; give it with --account")
    named = [name.strip() for name in names.split(",") if name.strip()]
    if not named:
        raise ConfigurationError(f"{option} {text}: name at least one; without the option {key} has them all")
    return by_key[key], named


def _address(text: str, name: str) -> str:
    """As a client's address is compared with it."""
    try:
        return str(ip_address(name))
    except ValueError:
        raise ConfigurationError(f"--addresses {text}: {name!r} is no address; write it like 127.0.0.1") from None


def commissions(free_pairs: Iterable[str]) -> dict[str, FeeSchedule] | None:
    """Commission by pair, where it is not the published one."""
    from btcturk_sim.fees import FREE

    return dict.fromkeys(free_pairs, FREE) or None


def questions() -> str:
    """The open questions as a table for people: name, answers (the assumed one first), what it is about."""
    from btcturk_sim.api import ApiOptions
    from btcturk_sim.assumptions import QUESTIONS
    from btcturk_sim.engine import EngineOptions
    from btcturk_sim.feed import FeedOptions

    options: dict[str, EngineOptions | ApiOptions | FeedOptions]
    options, rows = {"engine": EngineOptions(), "api": ApiOptions(), "feed": FeedOptions()}, []
    for one in QUESTIONS.values():
        held = one.show(options[one.part])
        others = [answer for answer in one.answers if answer != held] or [f"{one.least}…"]
        rows.append(f"{one.name}={held} ({', '.join(others)})\n    {one.about}")
    return "\n".join(rows)
