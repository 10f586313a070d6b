"""What a parameter may be in a search: `fast=1..50`, `band=0.001..0.01:log`, `side=buy|sell`, `slow=26`.

A value is handed to the strategy as text, and that very text is what reports show: whole numbers exactly, numbers with
a step exactly on it, other numbers rounded to six digits that matter. So every row of a report can be run again.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from btcbot.errors import Refused

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

DIGITS: Final = 6
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_RANGE: Final = re.compile(r"(?P<low>[^:|]+?)\.\.(?P<high>[^:|]+)(:(?P<how>[^:|]*))?")
_FORMS: Final = "write NAME=1..50, NAME=0.001..0.01:log, NAME=5..50:5 (step), NAME=x|y or NAME=VALUE"

Kind = Literal["whole", "number", "word"]


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """What the strategy says of a parameter. `choices` bind a word; `low` and `high` bind a number, inclusive."""

    name: str
    kind: Kind
    low: Decimal | None = None
    high: Decimal | None = None
    choices: tuple[str, ...] = ()


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter of a search. A range with `choices` takes one of them; else from `low` to `high`, inclusive, in
    steps of `step` where there is one."""

    name: str
    kind: Kind
    low: Decimal = Decimal(0)
    high: Decimal = Decimal(0)
    step: Decimal | None = None
    is_log: bool = False
    choices: tuple[str, ...] = ()

    def __str__(self) -> str:
        """As it would be written, in its one shape: equal ranges have equal texts."""
        if self.choices:
            return "|".join(self.choices)
        text = f"{_plain(self.low)}..{_plain(self.high)}"
        if self.is_log:
            return f"{text}:log"
        is_told = self.step is not None and not (self.kind == "whole" and self.step == 1)
        return f"{text}:{_plain(self.step)}" if is_told and self.step is not None else text

    @property
    def is_fixed(self) -> bool:
        return len(self.choices) == 1 or (not self.choices and self.low == self.high)

    @property
    def size(self) -> int | None:
        """How many values there are; None where there is no end of them."""
        if self.choices:
            return len(self.choices)
        if self.is_fixed:
            return 1
        return None if self.step is None else int((self.high - self.low) / self.step) + 1

    def at(self, index: int) -> str:
        """The value of that number, from 0 to `size` - 1, ascending."""
        if self.choices:
            return self.choices[index]
        return _plain(self.low + index * (self.step or Decimal(0)))

    def text(self, value: object) -> str:
        """What the strategy is given for what the sampler said."""
        if self.choices:
            return str(value)
        assert isinstance(value, int | float), f"a sampler gives numbers for «{self.name}»"
        if self.kind == "whole":
            return str(int(value))
        if self.step is not None:
            return self.at(round((value - float(self.low)) / float(self.step)))
        rounded = Decimal(f"{value:.{DIGITS}g}")
        return _plain(min(max(rounded, self.low), self.high))

    def internal(self, text: str) -> object:
        """The other way round: what a sampler would have said for this text."""
        if self.choices:
            return text
        return int(text) if self.kind == "whole" else float(text)

    def distribution(self) -> BaseDistribution:
        """As the sampler knows it."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.choices:
            return CategoricalDistribution(self.choices)
        if self.kind == "whole":
            return IntDistribution(int(self.low), int(self.high), log=self.is_log, step=int(self.step or 1))
        step = None if self.step is None else float(self.step)
        return FloatDistribution(float(self.low), float(self.high), log=self.is_log, step=step)


def parse_ranges(texts: Sequence[str], declared: Sequence[Declared], strategy: str) -> tuple[Range, ...]:
    """The ranges of `--param` options, in their order. Refused tells the first that cannot be used, in one line."""
    known = {one.name: one for one in declared}
    found: dict[str, Range] = {}
    for text in texts:
        name, sign, rest = (part.strip() for part in text.partition("="))
        if not name or not sign or not rest:
            raise Refused(f"--param {text}: this is no range; {_FORMS}")
        if name not in known:
            raise Refused(f"--param {text}: {strategy} has no parameter «{name}»{_nearest(name, known)}")
        if name in found:
            raise Refused(f"--param {text}: «{name}» is given twice; keep one of them")
        found[name] = _parse(text, rest, known[name])
    if not found:
        offered = f"{strategy} has {', '.join(known)}" if known else f"{strategy} has no parameters"
        raise Refused(f"there is nothing to search: give --param NAME=LOW..HIGH; {offered}")
    if all(one.is_fixed for one in found.values()):
        raise Refused("there is nothing to search: every --param is one value; give one a range, NAME=LOW..HIGH")
    return tuple(found.values())


def _parse(text: str, rest: str, declared: Declared) -> Range:
    if declared.kind == "word":
        return _words(text, rest, declared)
    if ".." not in rest:
        if "|" in rest:
            numbers = [_number(text, one.strip(), declared) for one in rest.split("|")]
            if len(set(numbers)) != len(numbers):
                raise Refused(f"--param {text}: a value stands there twice; keep one of them")
            return Range(name=declared.name, kind=declared.kind, choices=tuple(_plain(one) for one in numbers))
        value = _number(text, rest, declared)
        return Range(name=declared.name, kind=declared.kind, choices=(_plain(value),))
    parts = _RANGE.fullmatch(rest)
    if parts is None:
        raise Refused(f"--param {text}: this is no range; {_FORMS}")
    low, high = (_number(text, parts[one].strip(), declared) for one in ("low", "high"))
    if low > high:
        raise Refused(f"--param {text}: it begins above its end; write {declared.name}={_plain(high)}..{_plain(low)}")
    if parts["how"] == "log":
        if low <= 0:
            raise Refused(f"--param {text}: a logarithmic range begins above 0; raise its beginning or drop «:log»")
        return Range(name=declared.name, kind=declared.kind, low=low, high=high, is_log=True)
    step = Decimal(1) if declared.kind == "whole" else None
    if parts["how"] is not None:
        step = _step(text, parts["how"].strip(), declared)
        high = low + (high - low) // step * step  # the last value that the steps reach
    return Range(name=declared.name, kind=declared.kind, low=low, high=high, step=step)


def _words(text: str, rest: str, declared: Declared) -> Range:
    words = tuple(word.strip() for word in rest.split("|"))
    if not all(words):
        raise Refused(f"--param {text}: an empty word; {_FORMS}")
    if len(set(words)) != len(words):
        raise Refused(f"--param {text}: a value stands there twice; keep one of them")
    for word in words:
        if declared.choices and word not in declared.choices:
            near = _nearest(word, dict.fromkeys(declared.choices))
            raise Refused(f"--param {text}: «{word}» is none of {', '.join(declared.choices)}{near}")
    return Range(name=declared.name, kind="word", choices=words)


def _number(text: str, written: str, declared: Declared) -> Decimal:
    """A number within what the strategy declares."""
    if not _NUMBER.fullmatch(written):
        raise Refused(f"--param {text}: «{written}» is no number; {_FORMS}")
    number = Decimal(written)
    if declared.kind == "whole" and number != number.to_integral_value():
        raise Refused(f"--param {text}: «{declared.name}» is a whole number, {written} is none")
    below = declared.low is not None and number < declared.low
    above = declared.high is not None and number > declared.high
    if below or above:
        allowed = f"{_end(declared.low)}..{_end(declared.high)}"
        raise Refused(f"--param {text}: {written} lies outside what the strategy allows, {allowed}")
    return number


def _step(text: str, written: str, declared: Declared) -> Decimal:
    if not _NUMBER.fullmatch(written) or Decimal(written) <= 0:
        raise Refused(f"--param {text}: «:{written}» is neither «:log» nor a step above 0")
    step = Decimal(written)
    if declared.kind == "whole" and step != step.to_integral_value():
        raise Refused(f"--param {text}: «{declared.name}» is a whole number, a step of {written} would leave them")
    return step


def _nearest(name: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"; did you mean «{near[0]}»?"
    return f"; it has {', '.join(known)}" if known else ""


def _end(bound: Decimal | None) -> str:
    return "" if bound is None else _plain(bound)


def _plain(number: Decimal) -> str:
    """Digits without an exponent or trailing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
