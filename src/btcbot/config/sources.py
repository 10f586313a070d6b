"""Where settings come from, which source wins, and which names are refused.

Ordinarily the order is: command line, process environment, env file, default. A safety switch does not follow it: **the
closed value of any source wins**, so that no file can open what the environment closes, nor the other way round.

An unknown name is refused, because the setting that someone meant to change would silently keep its default. In the env
file that holds for every name; in the process environment, which belongs to others too, for names beginning BTCTURK_ or
BTCBOT_ and for names one slip of the finger away from a setting's.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple

from btcbot.config import values
from btcbot.config.env_file import PROBLEMS_TOLD_MAX

__all__ = [
    "ACKNOWLEDGEMENT",
    "ALIASES",
    "COMMAND_LINE",
    "DEFAULT",
    "ENVIRONMENT",
    "SAFETY_SWITCHES",
    "SECRET_SETTINGS",
    "Given",
    "Source",
    "command_line_source",
    "env_file_source",
    "environment_source",
    "is_simulation_wished",
    "line_for",
    "resolve",
]

DEFAULT: Final = "default"
ENVIRONMENT: Final = "environment"
COMMAND_LINE: Final = "command line"
ACKNOWLEDGEMENT: Final = "I_UNDERSTAND"
ALIASES: Final[Mapping[str, str]] = {
    "UNIVERSE_SYMBOLS": "SYMBOLS",
    "STAGE5_MAX_INTENT_NOTIONAL_TRY": "MAX_INTENT_NOTIONAL_TRY",
    "MAX_POSITION_NOTIONAL_TRY": "MAX_POSITION_TRY_PER_SYMBOL",
    "STAGE7_ORDER_OFFSET_BPS": "PORTFOLIO_ORDER_OFFSET_BPS",
}
SAFETY_SWITCHES: Final[Mapping[str, bool]] = {  # name → the closed value
    "DRY_RUN": True,
    "KILL_SWITCH": True,
    "SAFE_MODE": True,
    "LIVE_TRADING": False,
}
_OWN_PREFIXES: Final = ("BTCTURK_", "BTCBOT_")
SECRET_SETTINGS: Final = ("BTCTURK_API_KEY", "BTCTURK_API_SECRET")
_BLANK_MEANS_UNSET: Final = frozenset(  # templates leave these open; a blank switch or number is a mistake
    {
        *SECRET_SETTINGS,
        *(f"{name}_FILE" for name in SECRET_SETTINGS),
        "BTCTURK_SECRET_ROTATED_AT",
        "OBSERVABILITY_OTLP_ENDPOINT",
    }
)
_SHOWABLE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,39}|[a-z][a-z0-9_]{0,39}", re.ASCII)


class Source(NamedTuple):
    """One place: its origin for messages, and its texts by setting name, aliases resolved."""

    origin: str
    texts: Mapping[str, str]


class Given(NamedTuple):
    """The text that counts for a setting, and where it came from."""

    text: str
    origin: str


def line_for(name: str, error: ValueError | str, origin: str) -> str:
    """`NAME: what is wrong (origin); how to mend`."""
    what, separator, mend = str(error).partition("; ")
    return f"{name}: {what} ({origin}){separator}{mend}"


def environment_source(environ: Mapping[str, str], known: Collection[str], problems: list[str]) -> Source:
    """What the process environment says of the `known` settings."""
    texts = {name: text for name, text in environ.items() if name in known}
    meant = [name for name in sorted(environ.keys() - texts.keys()) if _may_be_meant(name.upper(), known)]
    _tell_unknown(meant, lambda name: ENVIRONMENT, ENVIRONMENT, known, problems)
    return Source(ENVIRONMENT, _resolve_aliases(texts, ENVIRONMENT, problems))


def env_file_source(
    path: str, texts: Mapping[str, str], line_of: Mapping[str, int], known: Collection[str], problems: list[str]
) -> Source:
    """What the env file at `path` says; a name that is no setting is a problem."""
    origin = f"env file {path}"
    unknown = [name for name in texts if name not in known]
    _tell_unknown(unknown, lambda name: f"{path}:{line_of[name]}", origin, known, problems)
    kept = {name: text for name, text in texts.items() if name in known}
    return Source(origin, _resolve_aliases(kept, origin, problems))


def command_line_source(overrides: Mapping[str, str], known: Collection[str], problems: list[str]) -> Source:
    """What options of the command line set. Secrets are refused there: every user of the machine can list them."""
    problems.extend(_unknown(name, COMMAND_LINE, known) for name in overrides if name not in known)
    problems.extend(
        f"{name}: is given on the command line, where everybody can read it; use {name}_FILE"
        for name in overrides
        if name in SECRET_SETTINGS
    )
    kept = {name: text for name, text in overrides.items() if name in known and name not in SECRET_SETTINGS}
    return Source(COMMAND_LINE, _resolve_aliases(kept, COMMAND_LINE, problems))


def resolve(sources: Sequence[Source], problems: list[str]) -> dict[str, Given]:
    """Choose for each setting the text that counts. `sources`: the one that ordinarily wins comes first."""
    chosen: dict[str, Given] = {}
    for source in sources:
        for name, text in source.texts.items():
            if not text and name in _BLANK_MEANS_UNSET:
                continue
            given = Given(text, source.origin)
            if not _is_switch(name):
                chosen.setdefault(name, given)
                continue
            try:
                if name not in chosen or (_closes(name, text) and not _closes(name, chosen[name].text)):
                    _closes(name, text)  # a text that is no switch must not stand
                    chosen[name] = given
            except ValueError as error:
                problems.append(line_for(name, error, source.origin))
    return chosen


def is_simulation_wished(sources: Sequence[Source]) -> bool:
    """Whether DRY_RUN is true in a source that does not say LIVE_TRADING too.

    Such a source (`--dry-run`, a variable of the shell) puts a brake on what another arms. One that says both means
    neither clearly.
    """
    return any("LIVE_TRADING" not in source.texts and _is_closed_in(source, "DRY_RUN") for source in sources)


def _is_closed_in(source: Source, name: str) -> bool:
    try:
        return name in source.texts and _closes(name, source.texts[name])
    except ValueError:
        return False  # no switch at all, which `resolve` tells


def _is_switch(name: str) -> bool:
    return name in SAFETY_SWITCHES or name == "LIVE_TRADING_ACK"


def _closes(name: str, text: str) -> bool:
    if not text:
        raise ValueError("is empty; remove it or give it a value")
    if name == "LIVE_TRADING_ACK":
        return text != ACKNOWLEDGEMENT
    return values.switch(text) is SAFETY_SWITCHES[name]


def _resolve_aliases(texts: dict[str, str], origin: str, problems: list[str]) -> dict[str, str]:
    for alias, name in ALIASES.items():
        if alias in texts:
            if name in texts:
                problems.append(f"{name}: is given twice, as {name} and as {alias} ({origin}); remove one")
            texts.setdefault(name, texts.pop(alias))
    return texts


def _may_be_meant(upper: str, known: Collection[str]) -> bool:
    return upper.startswith(_OWN_PREFIXES) or any(_one_slip_apart(upper, setting) for setting in known)


def _tell_unknown(
    names: Sequence[str],
    place_of: Callable[[str], str],
    origin: str,
    known: Collection[str],
    problems: list[str],
) -> None:
    problems.extend(_unknown(name, place_of(name), known) for name in names[:PROBLEMS_TOLD_MAX])
    if untold := len(names[PROBLEMS_TOLD_MAX:]):
        more = f"{untold} more names are not settings" if untold > 1 else "one more name is not a setting"
        problems.append(f"{more} ({origin}); was it written for another program? `btcbot config` lists all settings")


def _unknown(name: str, origin: str, known: Collection[str]) -> str:
    # A line that is not a setting may be a secret pasted into the wrong place: odd names are not repeated.
    shown = name if _SHOWABLE.fullmatch(name) else "a name"
    if name.upper() in known:
        mend = f"write it in capitals, {name.upper()}"
    else:
        nearest = difflib.get_close_matches(name.upper(), known, n=1)
        mend = f"did you mean {nearest[0]}?" if nearest else "remove it, `btcbot config` lists all settings"
    return f"{shown}: is not a setting ({origin}); {mend}"


def _one_slip_apart(written: str, meant: str) -> bool:
    """True when one letter was added, left out, changed or swapped with its neighbour, or only the case differs."""
    if abs(len(written) - len(meant)) > 1:
        return False
    start = 0
    while start < min(len(written), len(meant)) and written[start] == meant[start]:
        start += 1
    rest_written, rest_meant = written[start:], meant[start:]
    while rest_written and rest_meant and rest_written[-1] == rest_meant[-1]:
        rest_written, rest_meant = rest_written[:-1], rest_meant[:-1]
    swapped = len(rest_written) == 2 and rest_written == rest_meant[::-1]
    return swapped or (len(rest_written) <= 1 and len(rest_meant) <= 1)
