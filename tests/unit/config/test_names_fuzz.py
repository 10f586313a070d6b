"""A slip of the finger in a setting's name is refused with the name that was meant, and never silently a default."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from operator import ne
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.counting import calls_of

from btcbot.config.env_file import ENV_FILE_BYTES_MAX, PROBLEMS_TOLD_MAX
from btcbot.config.loading import load_settings
from btcbot.config.settings import SETTING_NAMES
from btcbot.errors import ConfigurationError
from proof import fuzz

NAMES = (*SETTING_NAMES, "UNIVERSE_SYMBOLS")
#: Names so near to each other that one slip may be as near to either.
TWINS = {
    name: {other for other in NAMES if len(other) == len(name) and sum(map(ne, name, other)) <= 2} for name in NAMES
}
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@st.composite
def slips(draw: st.DrawFn) -> tuple[str, str]:
    """A name and one slip of it: a letter lost, doubled, changed, put in, or swapped with its neighbour."""
    name = draw(st.sampled_from(NAMES))
    at = draw(st.integers(0, len(name) - 1))
    letter = draw(st.sampled_from(LETTERS))
    written = draw(
        st.sampled_from(
            [
                name[:at] + name[at + 1 :],
                name[:at] + name[at] + name[at:],
                name[:at] + letter + name[at + 1 :],
                name[:at] + letter + name[at:],
                name[:at] + name[at + 1 : at + 2] + name[at] + name[at + 2 :],
                name.lower(),
                name.capitalize(),
            ]
        )
    )
    return name, written


def refusal(environ: dict[str, str], env_file: Path | None = None) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(environ, env_file, default_env_file=None)
    return list(caught.value.lines)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def file(folder: Path, text: str) -> Path:
    path = folder / "fuzz.env"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


@settings(max_examples=250, deadline=None)
@given(slip=slips())
def test_one_slip_is_refused_from_both_sources_and_the_right_name_is_given(folder: Path, slip: tuple[str, str]) -> None:
    meant, written = slip
    if written in NAMES or written.startswith("_"):
        return  # it became another setting's name, or its first letter was lost before an underscore
    for lines in (refusal({written: "1"}), refusal({}, file(folder, f"{written}=1\n"))):
        (line,) = [each for each in lines if "is not a setting" in each]
        assert line.startswith((f"{written}: is not a setting", "a name: is not a setting"))
        names = TWINS.get(meant, {meant})  # of two that are as near, either is right
        assert line.endswith(
            tuple(
                f"; {words}" for name in names for words in (f"write it in capitals, {name}", f"did you mean {name}?")
            )
        )


@pytest.mark.parametrize(
    "look_alike", ["DRY_RUΝ", "DRУ_RUN", "ＤＲＹ_ＲＵＮ", "DRY\u200b_RUN", "DRY_RUN\u00a0", "\ufeffDRY_RUN"]
)
def test_letters_of_other_alphabets_are_no_settings(folder: Path, look_alike: str) -> None:
    assert refusal({}, file(folder, f"{look_alike}=false\n"))


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"BTCTURK_API_SECRT_{number}=1" for number in range(2_500)),
        "A" * (ENV_FILE_BYTES_MAX - 2) + "=1",
        "DRY_RUN=" + "'" * (ENV_FILE_BYTES_MAX - 10),
        "=\n" * (ENV_FILE_BYTES_MAX // 2),
        "SYMBOLS=" + "[" * 60_000,
        "SYMBOLS=" + "A," * 30_000,
        "TTL_SECONDS=" + "9" * 60_000,
        "FEE_BPS_TAKER=0." + "9" * 60_000,
    ],
    ids=["near misses", "one name", "quotes", "no names", "brackets", "symbols", "digits", "decimals"],
)
def test_the_largest_file_is_refused_with_little_work_and_a_page_of_lines(folder: Path, text: str) -> None:
    path = file(folder, text)
    told: list[str] = []
    assert calls_of(lambda: told.extend(refusal({}, path))) < 1_000_000
    assert 1 <= len(told) <= 2 * (PROBLEMS_TOLD_MAX + 1)
    assert all("\n" not in line and len(line) < 300 for line in told)


def test_a_slice_of_the_proofs_inputs_for_settings() -> None:
    """The proof's own fuzzer, the numbers that go to settings, env files and an operator's amounts."""
    for period in range(40):
        for at in range(1, 60, 4):
            number = 50_000_000 + period * 400 + at
            told = fuzz.replay(number)
            assert not told, (number, told)
