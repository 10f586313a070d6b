"""Parameters: declared with the field, read from text, refused with what would mend it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, ClassVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcbot.domain.intents import Intent
from btcbot.errors import ConfigurationError
from btcbot.strategies.base import StrategyContext
from btcbot.strategies.parameters import Kind, Meaning, OneOf, Parameter, Within, spec_of
from btcbot.strategies.shipped import shipped


class Quiet(msgspec.Struct, frozen=True, kw_only=True):
    """Wishes nothing,
    ever.

    It has one parameter of each kind.
    """

    name: ClassVar[str] = "quiet"

    bars: Annotated[int, Within(2, 500, "How many bars.", step=2, log=True)] = 20
    share: Annotated[Decimal, Within("0.05", 1, "Which share.", step="0.05")] = Decimal("0.5")
    eager: Annotated[bool, Meaning("Whether it hurries.")] = False
    mood: Annotated[str, OneOf(("calm", "wild"), "How it feels.")] = "calm"
    note: Annotated[str, Meaning("What it says.")] = ""

    def __post_init__(self) -> None:
        if self.eager and self.mood == "calm":
            raise ValueError("eager=true does not go with mood=calm")
        if self.bars == 13:
            raise ZeroDivisionError("thirteen")
        if self.bars == 17:
            raise SystemExit("seventeen")

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        return []


QUIET = spec_of(Quiet, "here")


def refusal(**given: str) -> str:
    with pytest.raises(ConfigurationError) as refused:
        QUIET.make(given)
    return str(refused.value)


def test_a_class_says_all_about_itself() -> None:
    assert (QUIET.name, QUIET.summary, QUIET.origin) == ("quiet", "Wishes nothing, ever.", "here")
    assert QUIET.parameters == (
        Parameter(
            name="bars", kind=Kind.WHOLE, default=20, meaning="How many bars.", low=2, high=500, step=2, log=True
        ),
        Parameter(
            name="share", kind=Kind.NUMBER, default=Decimal("0.5"), meaning="Which share.",
            low=Decimal("0.05"), high=Decimal(1), step=Decimal("0.05"),
        ),
        Parameter(name="eager", kind=Kind.SWITCH, default=False, meaning="Whether it hurries."),
        Parameter(name="mood", kind=Kind.CHOICE, default="calm", meaning="How it feels.", choices=("calm", "wild")),
        Parameter(name="note", kind=Kind.TEXT, default="", meaning="What it says."),
    )  # fmt: skip
    assert not (QUIET.uses_signals or QUIET.has_wakes)


def test_what_is_not_given_has_its_default() -> None:
    assert QUIET.make({}) == Quiet()
    assert QUIET.make({"bars": "8", "share": "0.30", "mood": "wild", "eager": "yes"}) == Quiet(
        bars=8, share=Decimal("0.3"), mood="wild", eager=True
    )


def test_other_defaults_can_be_set_beforehand() -> None:
    other = QUIET.with_defaults({"bars": 40, "unheard_of": 1})

    assert other.make({}) == Quiet(bars=40)
    assert other.make({"bars": "8"}) == Quiet(bars=8)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("bars", "1", "quiet: bars=1 is outside its range; choose from 2 to 500"),
        ("bars", "501", "quiet: bars=501 is outside its range; choose from 2 to 500"),
        ("bars", "2.5", "quiet: bars=2.5 is not a whole number; write digits only, such as 30"),
        ("bars", "٢٠", "quiet: bars=٢٠ is not a whole number; write digits only, such as 30"),
        ("share", "0.04", "quiet: share=0.04 is outside its range; choose from 0.05 to 1"),
        ("share", "nan", "quiet: share=nan is not a number; write it with digits and at most one point, such as 12.5"),
        (
            "share",
            "1e-1",
            "quiet: share=1e-1 is not a number; write it with digits and at most one point, such as 12.5",
        ),
        ("eager", "", "quiet: eager= is neither true nor false; write true or false"),
        ("mood", "Calm", "quiet: mood=Calm is none of calm, wild; write one of them"),
        ("shrae", "1", "quiet: has no parameter shrae; did you mean share?"),
        ("zzz", "1", "quiet: has no parameter zzz; it has bars, share, eager, mood, note"),
        ("bars", "9\x1b[31m", "quiet: bars=9?[31m is not a whole number; write digits only, such as 30"),
        ("bars", "13", "quiet: cannot be made of these parameters: ZeroDivisionError: thirteen"),
        ("bars", "17", "quiet: cannot be made of these parameters: SystemExit: seventeen"),
    ],
)
def test_a_value_that_cannot_be_is_refused_in_one_line(name: str, text: str, said: str) -> None:
    assert refusal(**{name: text}) == said


def test_all_that_is_wrong_is_said_at_once() -> None:
    assert refusal(bars="0", mood="", nope="1").splitlines() == [
        "quiet: bars=0 is outside its range; choose from 2 to 500",
        "quiet: mood= is none of calm, wild; write one of them",
        "quiet: has no parameter nope; did you mean note?",
    ]


def test_parameters_that_do_not_go_together_are_refused_by_the_strategy() -> None:
    assert refusal(eager="true") == "quiet: eager=true does not go with mood=calm"


@given(
    bars=st.integers(min_value=2, max_value=500).filter(lambda bars: bars not in (13, 17)),
    share=st.decimals(min_value="0.05", max_value=1, places=6),
    eager=st.booleans(),
    note=st.text(),
)
def test_what_a_strategy_runs_with_makes_it_again(bars: int, share: Decimal, eager: bool, note: str) -> None:
    strategy = Quiet(bars=bars, share=share, eager=eager, mood="wild", note=note)

    assert QUIET.make(QUIET.texts(strategy)) == strategy


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_parameter_says_what_it_means_and_holds_its_own_limits(name: str) -> None:
    spec = shipped()[name]
    assert spec.summary.endswith(".")
    assert spec.make(spec.texts(spec.make({}))) == spec.make({})
    for parameter in spec.parameters:
        assert parameter.meaning.endswith(".") and parameter.meaning[0].isupper()
        if parameter.kind in (Kind.WHOLE, Kind.NUMBER):
            assert parameter.low is not None and parameter.high is not None
            assert parameter.low <= Decimal(parameter.text(parameter.default)) <= parameter.high
            assert parameter.read(parameter.text(parameter.low)) == parameter.low
            assert not parameter.log or parameter.low > 0, "a logarithm needs a positive start"


# -- classes that cannot be ------------------------------------------------------------------------------------------


class Mutable(msgspec.Struct):
    name: ClassVar[str] = "mutable"

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        return []


class Plain:
    name = "plain"


class Silent(msgspec.Struct, frozen=True):
    name: ClassVar[str] = "silent"


class Nameless(msgspec.Struct, frozen=True):
    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        return []


class Shouting(Nameless, frozen=True):
    name: ClassVar[str] = "LOUD!"


class Unmarked(Nameless, frozen=True):
    name: ClassVar[str] = "unmarked"
    bars: int = 3


class Floating(Nameless, frozen=True):
    name: ClassVar[str] = "floating"
    share: Annotated[float, Within(0, 1, "Which share.")] = 0.5


class Undecided(Nameless, frozen=True, kw_only=True):
    name: ClassVar[str] = "undecided"
    bars: Annotated[int, Within(1, 9, "How many.")]


class Outside(Nameless, frozen=True):
    name: ClassVar[str] = "outside"
    bars: Annotated[int, Within(1, 9, "How many.")] = 10


class Confused(Nameless, frozen=True):
    name: ClassVar[str] = "confused"
    share: Annotated[Decimal, Within(0, 1, "Which share.")] = 1  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("strategy_class", "said"),
    [
        (Mutable, r"Mutable can be changed after it was made.*frozen=True"),
        (Plain, r"Plain can be changed after it was made"),
        (Silent, r"Silent has no method generate\(self, context\)"),
        (Nameless, r"Nameless has no usable name; write «name: ClassVar"),
        (Shouting, r"Shouting has no usable name"),
        (Unmarked, r"Unmarked.bars does not say what it is; write «bars: Annotated\[int, Within"),
        (Floating, r"Floating.share does not say what it is; .* Decimal for exact numbers"),
        (Undecided, r"Undecided.bars has no default"),
        (Outside, r"Outside.bars: its default 10 is outside its range; choose from 1 to 9"),
        (Confused, r"Confused.share: its default 1 is of another type than it says"),
    ],
)
def test_a_class_that_is_no_strategy_is_told_what_it_lacks(strategy_class: type, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        spec_of(strategy_class, "here")
