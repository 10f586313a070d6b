"""Typed parameters of strategies: declared once, with the field itself.

    class Breakout(msgspec.Struct, frozen=True, kw_only=True):
        name: ClassVar[str] = "breakout"
        period: Annotated[int, Within(2, 500, "Bars over which the highest close is taken.")] = 20

`spec_of(Breakout)` reads that back as a `StrategySpec`: what the command line shows, what texts are checked against and
what an optimiser may draw from. What several parameters must fulfil together, the class says in `__post_init__` with a
ValueError; its text becomes the one line that a person reads.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping
from decimal import Decimal
from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated, Final, TypeAlias, cast

import msgspec

from btcbot.domain import money
from btcbot.errors import ConfigurationError
from btcbot.strategies.base import HasWakes, Strategy, UsesSignals

Value: TypeAlias = int | Decimal | bool | str

_WHOLE: Final = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_NUMBER: Final = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", re.ASCII)
_SWITCH: Final[Mapping[str, bool]] = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)


class Kind(StrEnum):
    """What a parameter's value is."""

    WHOLE = "int"
    NUMBER = "decimal"
    SWITCH = "bool"
    CHOICE = "choice"
    TEXT = "text"


class Within(msgspec.Struct, frozen=True):
    """The marks of a number: the least and the greatest value allowed, and what it means in one sentence.

    `step`: distance of the values that an optimiser tries, None for any; `log`: it draws small values as often as large
    ones.
    """

    low: int | str
    high: int | str
    meaning: str
    step: int | str | None = None
    log: bool = False


class OneOf(msgspec.Struct, frozen=True):
    """The marks of a word out of a few."""

    choices: tuple[str, ...]
    meaning: str


class Meaning(msgspec.Struct, frozen=True):
    """The marks of a switch, or of a text that the strategy reads itself."""

    meaning: str


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter in words. `low`, `high` and `step` are of the value's own type, None where it has none."""

    name: str
    kind: Kind
    default: Value
    meaning: str
    low: int | Decimal | None = None
    high: int | Decimal | None = None
    step: int | Decimal | None = None
    log: bool = False
    choices: tuple[str, ...] = ()

    def read(self, text: str) -> Value:
        """The value that `text` means. ValueError: what is wrong, and how to mend it."""
        match self.kind:
            case Kind.WHOLE:
                if not _WHOLE.fullmatch(text):
                    raise ValueError("is not a whole number; write digits only, such as 30")
                return self._within(int(text))
            case Kind.NUMBER:
                if not _NUMBER.fullmatch(text):
                    raise ValueError("is not a number; write it with digits and at most one point, such as 12.5")
                return self._within(Decimal(text))
            case Kind.SWITCH:
                if text.lower() not in _SWITCH:
                    raise ValueError("is neither true nor false; write true or false")
                return _SWITCH[text.lower()]
            case Kind.CHOICE:
                if text not in self.choices:
                    raise ValueError(f"is none of {', '.join(self.choices)}; write one of them")
                return text
            case Kind.TEXT:
                return text

    def text(self, value: Value) -> str:
        """What `read` would make this value of."""
        match value:
            case bool():
                return "true" if value else "false"
            case Decimal():
                return money.plain(value)
            case _:
                return str(value)

    @property
    def range(self) -> str:
        """Such as `2 to 500`; empty where any value will do."""
        if self.kind is Kind.CHOICE:
            return ", ".join(self.choices)
        return (
            f"{self.text(self.low)} to {self.text(self.high)}" if self.low is not None and self.high is not None else ""
        )

    def _within(self, value: int | Decimal) -> Value:
        if (self.low is not None and value < self.low) or (self.high is not None and value > self.high):
            raise ValueError(f"is outside its range; choose from {self.range}")
        return value


class StrategySpec(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy that can be made: its name, one line on what it does, its parameters, and where it was found."""

    name: str
    summary: str
    parameters: tuple[Parameter, ...]
    origin: str
    strategy_class: type

    @property
    def uses_signals(self) -> bool:
        return issubclass(self.strategy_class, UsesSignals)

    @property
    def has_wakes(self) -> bool:
        return issubclass(self.strategy_class, HasWakes)

    def with_defaults(self, defaults: Mapping[str, Value]) -> StrategySpec:
        """The same with other defaults, for the parameters that it has; they need no checking."""
        parameters = tuple(
            msgspec.structs.replace(parameter, default=defaults.get(parameter.name, parameter.default))
            for parameter in self.parameters
        )
        return msgspec.structs.replace(self, parameters=parameters)

    def typed(self, given: Mapping[str, str]) -> dict[str, Value]:
        """The value of every parameter: the one given as text, else its default. ConfigurationError, one line for each
        name that is unknown and each value that cannot be used."""
        known = {parameter.name: parameter for parameter in self.parameters}
        problems: list[str] = []
        values: dict[str, Value] = {parameter.name: parameter.default for parameter in self.parameters}
        for name, text in given.items():
            if name not in known:
                problems.append(f"{self.name}: has no parameter {_shown(name)}; {self._nearest(name)}")
                continue
            try:
                values[name] = known[name].read(text)
            except ValueError as error:
                problems.append(f"{self.name}: {name}={_shown(text)} {error}")
        if problems:
            raise ConfigurationError(problems)
        return values

    def make(self, given: Mapping[str, str]) -> Strategy:
        """The strategy with these parameters. ConfigurationError says what is wrong with them."""
        values = self.typed(given)
        try:
            # What the class has is known since `spec_of`; what its constructor takes, only from its own fields.
            return cast(Strategy, self.strategy_class(**values))
        except ValueError as error:
            raise ConfigurationError(f"{self.name}: {error}") from None
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a strategy of the user's own may raise anything
            raise ConfigurationError(
                f"{self.name}: cannot be made of these parameters: {type(error).__name__}: {error}"
            ) from None

    def texts(self, strategy: Strategy) -> dict[str, str]:
        """What `strategy` runs with, as `make` takes it."""
        # Parameters are fields of its class, whichever that is.
        return {parameter.name: parameter.text(getattr(strategy, parameter.name)) for parameter in self.parameters}

    def _nearest(self, name: str) -> str:
        names = [parameter.name for parameter in self.parameters]
        if not names:
            return "it has none at all"
        near = get_close_matches(name, names, n=1)
        return f"did you mean {near[0]}?" if near else f"it has {', '.join(names)}"


def _shown(text: str) -> str:
    """A text of the user's in a message: nothing that a terminal obeys, and not a whole page."""
    printable = "".join(one if one.isprintable() else "?" for one in text)
    return printable if len(printable) <= 40 else f"{printable[:37]}…"


def spec_of(strategy_class: type, origin: str) -> StrategySpec:
    """What a class declares. ValueError where it is no strategy, or declares something that cannot be."""
    label = strategy_class.__name__
    if not (issubclass(strategy_class, msgspec.Struct) and strategy_class.__struct_config__.frozen):
        raise ValueError(
            f"{label} can be changed after it was made, and a strategy may remember nothing; "
            f"write «class {label}(msgspec.Struct, frozen=True, kw_only=True)»"
        )
    # The class may be anybody's: what it has is looked for, not known.
    if not callable(getattr(strategy_class, "generate", None)):
        raise ValueError(f"{label} has no method generate(self, context); see «btcbot strategy new»")
    defaults = {field.name: field for field in msgspec.structs.fields(strategy_class)}
    name = defaults["name"].default if "name" in defaults else getattr(strategy_class, "name", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f'{label} has no usable name; write «name: ClassVar[str] = "my_strategy"» with small letters, digits and _'
        )
    hints = typing.get_type_hints(strategy_class, include_extras=True)
    parameters = tuple(
        _parameter(label, field.name, hints[field.name], field.default)
        for field in defaults.values()
        if field.name != "name"
    )
    lines = (strategy_class.__doc__ or "").strip().splitlines()
    summary = " ".join(line.strip() for line in lines[: lines.index("") if "" in lines else len(lines)])
    return StrategySpec(name=name, summary=summary, parameters=parameters, origin=origin, strategy_class=strategy_class)


_KINDS: Final[Mapping[tuple[type, type], Kind]] = {
    (int, Within): Kind.WHOLE,
    (Decimal, Within): Kind.NUMBER,
    (bool, Meaning): Kind.SWITCH,
    (str, OneOf): Kind.CHOICE,
    (str, Meaning): Kind.TEXT,
}


def _parameter(label: str, name: str, hint: object, default: object) -> Parameter:
    of_type, *marks = typing.get_args(hint) if typing.get_origin(hint) is Annotated else (hint,)
    mark = next((one for one in marks if isinstance(one, Within | OneOf | Meaning)), None)
    kind = _KINDS.get((of_type, type(mark))) if mark is not None else None
    if mark is None or kind is None:
        raise ValueError(
            f'{label}.{name} does not say what it is; write «{name}: Annotated[int, Within(1, 100, "what it means")] '
            "= 10», with Decimal for exact numbers, OneOf for words, Meaning for a bool or a text"
        )
    if not isinstance(default, int | Decimal | str):
        raise ValueError(f"{label}.{name} has no default; give it one, so that the strategy runs without any parameter")
    parameter = Parameter(name=name, kind=kind, default=default, meaning=mark.meaning)
    if isinstance(mark, OneOf):
        parameter = msgspec.structs.replace(parameter, choices=mark.choices)
    elif isinstance(mark, Within):
        number = Decimal if kind is Kind.NUMBER else int
        step = None if mark.step is None else number(mark.step)
        limits = {"low": number(mark.low), "high": number(mark.high), "step": step}
        parameter = msgspec.structs.replace(parameter, **limits, log=mark.log)
    try:
        if parameter.read(parameter.text(default)) != default or type(default) is not of_type:
            raise ValueError("is of another type than it says")
    except ValueError as error:
        raise ValueError(f"{label}.{name}: its default {default} {error}") from None
    return parameter
