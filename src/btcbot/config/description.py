"""The settings in words, read from the model itself: kind, default, range and meaning of each.

The generated reference, `btcbot config` and the lines on refused values all tell a setting with these words.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from btcbot.config.kinds import Kind
from btcbot.config.secrets import MASK, Secret
from btcbot.config.settings import SETTING_NAMES, Settings

__all__ = ["SettingDescription", "describe_settings", "description_of", "range_of", "shown", "shown_setting"]


class SettingDescription(NamedTuple):
    """One setting in words, for the generated reference."""

    name: str
    kind: str
    default: str
    range: str
    description: str


def describe_settings() -> tuple[SettingDescription, ...]:
    """Every setting in order, read from the model itself."""
    return tuple(
        SettingDescription(name, _kind_of(name), shown(_field(name).default), range_of(name), description_of(name))
        for name in SETTING_NAMES
    )


def description_of(name: str) -> str:
    """The meaning of the setting `name`, one sentence."""
    description = _field(name).description
    assert description, f"{name} has no description"
    return description


def range_of(name: str) -> str:
    """Such as `from 1 to 100` or `above 0, at most 1`; empty when any value will do."""
    low = high = ""
    for mark in _field(name).metadata:
        match mark:
            case Ge(ge=limit):
                low = f"from {limit}"
            case Gt(gt=limit):
                low = f"above {limit},"
            case Le(le=limit):
                high = f"to {limit}" if low.startswith("from") else f"at most {limit}"
            case Lt(lt=limit):
                high = f"below {limit}"
    return f"{low} {high}".strip()


def shown_setting(settings: Settings, name: str) -> str:
    """The value of the setting `name`, as `shown` writes it."""
    return shown(getattr(settings, name.lower()))  # its fields are called as the names are, in small letters


def shown(value: object) -> str:
    """A setting's value as a person would write it: a secret masked, an absent one empty, a Decimal in plain digits."""
    match value:
        case None:
            return ""
        case Secret():
            return MASK
        case bool():
            return str(value).lower()
        case tuple():
            return ",".join(str(item) for item in value)
        case Decimal():
            return f"{value:f}"
        case _:
            return str(value)


def _field(name: str) -> FieldInfo:
    return Settings.model_fields[name.lower()]


def _kind_of(name: str) -> str:
    return next(mark.words for mark in _field(name).metadata if isinstance(mark, Kind))
