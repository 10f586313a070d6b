"""The kinds of values that settings hold: each a type, its name in words, and how it is read from text.

`btcbot.config.values` turns the text of one value into what it means and refuses what it cannot; this module ties those
readers to types that pydantic understands. A reader's ValueError is the reason that the user sees.
"""

from __future__ import annotations

import base64
import binascii
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Annotated, Final, NamedTuple

from pydantic import AfterValidator, BeforeValidator, PlainSerializer

from btcbot.config import values
from btcbot.config.secrets import MASK, Secret

__all__ = [
    "BAR_SECONDS",
    "BPS_MAX",
    "EXPORTERS",
    "TRY_MAX",
    "ApiKey",
    "ApiSecret",
    "BarSeconds",
    "BaseUrl",
    "Exact",
    "Exporter",
    "FilePath",
    "GraphUrl",
    "Kind",
    "LogLevel",
    "OptionalDay",
    "OptionalEndpoint",
    "OptionalPath",
    "OptionalText",
    "Scopes",
    "Switch",
    "Symbols",
    "TargetWeights",
    "UsageModeName",
    "Whole",
]

LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
MARKET_DATA_MODES: Final = ("auto", "ws", "rest")
USAGE_MODES: Final = ("use_all", "fraction", "cap")
EXPORTERS: Final = ("none", "prometheus", "otlp")
#: Lengths of the bars that the venue draws, in seconds.
BAR_SECONDS: Final = (60, 300, 900, 1_800, 3_600, 14_400, 86_400)


class Kind(NamedTuple):
    """What a setting's value is, in words; for the reference."""

    words: str


def _secret(value: object) -> object:
    return Secret(value) if isinstance(value, str) else value


def _base64(value: Secret | None) -> Secret | None:
    if value is not None:
        try:
            base64.b64decode(value.reveal(), validate=True)
        except binascii.Error:
            raise ValueError("is not base64; copy the secret again, whole, as the venue shows it") from None
    return value


def _scopes(value: tuple[str, ...]) -> tuple[str, ...]:
    if "withdraw" in value:
        raise ValueError("allows withdrawals, which the bot never needs; make a key without that permission")
    if "read" not in value:
        raise ValueError("lacks read; the bot cannot reconcile without it")
    if unknown := set(value) - {"read", "trade"}:
        raise ValueError(f"holds {len(unknown)} unknown scope(s); read and trade are known")
    return value


def _bar_seconds(value: int) -> int:
    if value not in BAR_SECONDS:
        raise ValueError(f"is no length of the venue's bars; write one of {', '.join(map(str, BAR_SECONDS))}")
    return value


_masked = PlainSerializer(lambda secret: None if secret is None else MASK)

Switch = Annotated[bool, Kind("true or false"), BeforeValidator(values.switch)]
Whole = Annotated[int, Kind("whole number"), BeforeValidator(values.whole)]
Exact = Annotated[Decimal, Kind("number"), BeforeValidator(values.decimal)]
Scopes = Annotated[tuple[str, ...], Kind("list"), BeforeValidator(values.names), AfterValidator(_scopes)]
Symbols = Annotated[tuple[str, ...], Kind("list of pairs"), BeforeValidator(values.symbols)]
TargetWeights = Annotated[
    values.Targets, Kind("shares of pairs"), BeforeValidator(values.targets), PlainSerializer(str)
]
UsageModeName = Annotated[
    str,
    Kind(", ".join(USAGE_MODES)),
    BeforeValidator(partial(values.choice, allowed=USAGE_MODES, upper=False)),
]
FilePath = Annotated[Path, Kind("path"), BeforeValidator(values.path)]
OptionalPath = Annotated[Path | None, Kind("path"), BeforeValidator(values.path)]
OptionalDay = Annotated[date | None, Kind("day, YYYY-MM-DD"), BeforeValidator(values.iso_date)]
OptionalText = Annotated[str | None, Kind("text")]
OptionalEndpoint = Annotated[str | None, Kind("address"), BeforeValidator(values.endpoint)]
ApiKey = Annotated[Secret | None, Kind("secret"), BeforeValidator(_secret), _masked]
ApiSecret = Annotated[Secret | None, Kind("secret, base64"), BeforeValidator(_secret), AfterValidator(_base64), _masked]
BaseUrl = Annotated[str, Kind("address"), BeforeValidator(values.base_url)]
WsUrl = Annotated[str | None, Kind("address"), BeforeValidator(values.ws_url)]
GraphUrl = Annotated[str | None, Kind("address"), BeforeValidator(values.graph_url)]
BarSeconds = Annotated[
    int, Kind(", ".join(map(str, BAR_SECONDS))), BeforeValidator(values.whole), AfterValidator(_bar_seconds)
]
MarketDataMode = Annotated[
    str,
    Kind(", ".join(MARKET_DATA_MODES)),
    BeforeValidator(partial(values.choice, allowed=MARKET_DATA_MODES, upper=False)),
]
LogLevel = Annotated[
    str, Kind(", ".join(LOG_LEVELS)), BeforeValidator(partial(values.choice, allowed=LOG_LEVELS, upper=True))
]
Exporter = Annotated[
    str, Kind(", ".join(EXPORTERS)), BeforeValidator(partial(values.choice, allowed=EXPORTERS, upper=False))
]

TRY_MAX: Final = Decimal(1_000_000_000)
BPS_MAX: Final = Decimal(10_000)
