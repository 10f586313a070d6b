"""What a backtest and a search of backtests are told alike: the stretch that is played, its venue, its settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from btcbot.cli import output
from btcbot.cli.options import Amount
from btcbot.domain import money
from btcbot.errors import Refused

F = TypeVar("F", bound=Callable[..., Any])

#: What the columns of the records hold to the last digit, with room for whatever the run makes of it.
CASH_MAX: Final = Decimal(10**12)
CASH_PLACES_MAX: Final = 8


class Moment(click.ParamType[int]):
    """A day or a moment, in UTC where no zone is said, as Unix milliseconds."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(
                f"«{output.clean(value)}» is no day; write one such as 2022-11-08 or 2022-11-08T22:33", param, ctx
            )
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000)


def pairs_of(option: str, given: Sequence[str]) -> dict[str, str]:
    """`NAME=VALUE`, given several times. Raises Refused for one that is not, or that is given twice."""
    found: dict[str, str] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name.strip():
            raise Refused(f"{option}: «{output.clean(one)}» is not NAME=VALUE")
        if name.strip() in found:
            raise Refused(f"{option}: {output.clean(name.strip())} is given twice")
        found[name.strip()] = value.strip()
    return found


_OPTIONS: Final = (
    click.option(
        "--symbols", metavar="A,B", help="Only these pairs; without it SYMBOLS of the settings given, else all."
    ),
    click.option("--start", type=Moment(), metavar="DAY", help="First day or moment, in UTC."),
    click.option("--end", type=Moment(), metavar="DAY", help="Day or moment before which it ends."),
    click.option("--cash", type=Amount(), default="100000", show_default=True, help="What the account begins with."),
    click.option(
        "--half-spread-bps", type=Amount(), default="5", show_default=True, help="From the close to either side."
    ),
    click.option("--volume-share", type=Amount(), default="0.1", show_default=True, help="Most of a bar that is ours."),
    click.option("--fills-at-touch", is_flag=True, help="A resting order fills where a bar only touches its price."),
    click.option(
        "--set", "changes", multiple=True, metavar="NAME=VALUE", help="A setting, as in an env file; repeat it."
    ),
    click.option(
        "--env-file",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="Settings, such as those of the live bot.",
    ),
)


def played(command: F) -> F:
    """The options that say what is played, in this order in the help."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def named_in(symbols: str | None) -> list[str] | None:
    """The pairs of `--symbols`, None where it is not given. Raises Refused where it names none: a variable that a
    script has left empty would else mean all of them."""
    if symbols is None:
        return None
    named = [one.strip().upper().replace("_", "") for one in symbols.split(",") if one.strip()]
    if not named:
        raise Refused("--symbols: names no pair; write such as BTCTRY,ETHTRY, or leave it out for all")
    return named


def demand_playable(*, cash: Decimal, half_spread_bps: Decimal, volume_share: Decimal) -> None:
    """Raises Refused for amounts that no venue on bars could be made of."""
    if not 0 < volume_share <= 1:
        raise Refused("--volume-share: give a share above 0, at most 1")
    if not half_spread_bps < 5_000:
        raise Refused("--half-spread-bps: give less than 5000")
    if cash <= 0:
        raise Refused("--cash: give an amount above 0")
    if cash > CASH_MAX or money.round_down(cash, CASH_PLACES_MAX) != cash:
        raise Refused(f"--cash: give at most {money.plain(CASH_MAX)}, with at most {CASH_PLACES_MAX} decimals")
