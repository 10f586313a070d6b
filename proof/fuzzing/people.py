"""Inputs that come from people: settings, env files, amounts, and requests of the operator to a bot with books."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path
from random import Random
from typing import Final

import click

from btcbot.cli.options import Amount
from btcbot.config.env_file import parse_env_file
from btcbot.config.loading import load_settings
from btcbot.config.settings import SETTING_NAMES
from btcbot.errors import ConfigurationError
from btcbot.services import operator
from btcbot.testing.in_process_rig import Rig
from proof.fuzzing.demands import Case, demand, demand_exact, demand_line
from proof.fuzzing.spoil import leaf

#: For an operator's request, which is answered with the venue asked and the books written.
OPERATOR_SECONDS_MAX: Final = 0.5


_HOSTILE: Final = (
    *("$(id)", "${HOME}", "`id`", "%s", "{0}", "~", "\x00", "a\nDRY_RUN=false", "a\rb", "\u2028", "\x85", "\ud800"),
    *("\uff54\uff52\uff55\uff45", "\uff11", "\u0663", "true", "false", "I_UNDERSTAND", "1", "-1", "1e9", "NaN", "0.5"),
    *("'", '"', "'a' b", '"a\\nb"', "# c", "a # c", "[]", '["a"]', "[" * 3000, "BTCTRY,ETHTRY", "b\u0131tc", "\ufeff"),
    *("https://api.btcturk.com", "https://api.btcturk.com.evil", "https://\u0430pi.btcturk.com", "http://127.0.0.1:1"),
    *("9" * 5000, "/etc/passwd", "../x", "read,trade", "withdraw", "2026-01-31", "2026-13-01", "A" * 60_000),
)
_NAMES: Final = (
    *SETTING_NAMES,
    "UNIVERSE_SYMBOLS",
    "DRYRUN",
    "BTCTURK_X",
    "export DRY_RUN",
    "",
    "x",
    "\u0391",
    "B" * 60_000,
)


def _hostile(random: Random) -> str:
    kind = random.randrange(10)
    if kind < 7:
        return random.choice(_HOSTILE)
    if kind == 7:
        return "".join(chr(random.randrange(0x110000)) for _ in range(random.randrange(20)))
    return random.choice(_HOSTILE) + random.choice(_HOSTILE)


def _name(random: Random) -> str:
    name = random.choice(_NAMES)
    if name and random.random() < 0.2:  # a slip of the finger
        at = random.randrange(len(name))
        name = name[:at] + random.choice(("", "X", name[at] * 2, "_", "\u0406")) + name[at + 1 :]
    return name


def _env_text(random: Random) -> str:
    lines = [
        f"{_name(random)}{random.choice(('=', '=', '=', ' = ', ''))}{_hostile(random)}"
        for _ in range(random.randrange(5))
    ]
    return random.choice(("\n", "\n", "\r\n", "\n\n# c\n")).join(lines)


def of_env_file(random: Random) -> Case:
    text = _env_text(random)

    def check() -> None:
        found = parse_env_file(text, "f")
        for line in found.problems:
            demand_line(line)
        for value in found.values.values():
            demand("\n" not in value and "\x00" not in value, "a value that breaks a line")

    return Case("env_file", len(text), check)


def of_settings(random: Random) -> Case:
    # An environment cannot hold a NUL or a lone surrogate that is no byte; an env file can, and is parsed before.
    environ = {_name(random): _hostile(random) for _ in range(random.randrange(6))}
    file = parse_env_file(_env_text(random), "f")
    sources = [environ, file.values]

    def check() -> None:
        try:
            loaded = load_settings(
                sources[0], None, sources[1] if len(file.values) % 2 else None, default_env_file=None
            )
        except ConfigurationError as error:
            demand(error.lines, "a refusal without a word")
            for line in error.lines:
                demand_line(line)
        else:
            demand(not loaded.settings.live_trading or loaded.settings.dry_run, "armed by chance")
            demand_exact([value for value in vars(loaded.settings).values() if not isinstance(value, str)])

    return Case("settings", sum(map(len, environ.values())), check)


def of_amount(random: Random) -> Case:
    text = _hostile(random) if random.random() < 0.5 else str(leaf(random))

    def check() -> None:
        try:
            made = Amount().convert(text, None, None)
        except click.BadParameter:
            return
        demand(made.is_finite() and made >= 0, f"an amount that is none: {text[:40]!r}")
        demand(text.isascii() and "e" not in text.lower(), "an amount in another spelling")

    return Case("operator.amount", len(text), check)


@cache
def bench() -> tuple[Rig, str]:
    """A bot with a position, an order that works and one in doubt; and the folder of its books."""
    memory = Path("/dev/shm")
    folder = tempfile.mkdtemp(prefix="fuzz-", dir=memory if memory.is_dir() else None)
    rig = Rig(Path(folder))
    rig.cycle()
    rig.wish("buy", "0.0005", "1000500")
    rig.cycle()
    rig.wish("buy", "0.0005", "999000")
    rig.cycle()
    rig.venue.fault("lost_before", "POST")
    rig.wish("buy", "0.0004", "998000")
    rig.cycle()
    return rig, folder


def close_bench() -> None:
    if bench.cache_info().currsize:
        rig, folder = bench()
        rig.close()
        shutil.rmtree(folder)
        bench.cache_clear()


_KINDS: Final = ("cancel", "resolve", "disown", "explain", "adopt", "release", "resume", "", "answer", "__init__")
_NUMBERS: Final = (
    "0.001",
    "0",
    "-1",
    "1e-9",
    "1e999999999",
    "-1e999999999",
    "1e-999999999",
    "NaN",
    "sNaN",
    "Infinity",
    "9" * 40,
)


def of_operator(random: Random) -> Case:
    rig, _ = bench()
    known = [order.client_order_id for order in rig.orders()]
    texts = (
        *_HOSTILE,
        *known,
        *_NUMBERS,
        "placed",
        "not-placed",
        "closed",
        "deposit",
        "fee",
        "all",
        "BTCTRY",
        "suspense:TRY:1",
    )
    names = (
        "client_order_id",
        "outcome",
        "venue_order_id",
        "reason",
        "entry_id",
        "meaning",
        "symbol",
        "quantity",
        "cost",
    )
    fitting = {
        "client_order_id": known,
        "symbol": ["BTCTRY"],
        "quantity": _NUMBERS,
        "cost": _NUMBERS,
        "reason": ["why"],
    }
    arguments = {
        name: random.choice(fitting[name]) if name in fitting and random.random() < 0.5 else random.choice(texts)
        for name in names
        if random.random() < 0.95
    }
    request = operator.Request(
        request_id="r", kind=random.choice(_KINDS), arguments=arguments, made_at_ms=rig.clock.now_ms(), wait_ms=60_000
    )

    def check() -> None:
        before = rig.books()
        answer = rig.bot.services.operator.answer(request)
        demand(answer.text, "no answer")
        demand(answer.done or rig.books() == before, "a refused request changed the books")

    return Case("operator.request", 0, check, OPERATOR_SECONDS_MAX, is_heavy=True)
