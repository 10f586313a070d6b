"""The settings of a portfolio: targets in words, and settings that cannot be meant together."""

from __future__ import annotations

from decimal import Decimal

import pytest

from btcbot.config.loading import load_settings
from btcbot.config.settings import Settings
from btcbot.errors import ConfigurationError


def settings(**given: str) -> Settings:
    return load_settings({"SYMBOLS": "BTCTRY,ETHTRY,SOLTRY", **given}, default_env_file=None).settings


def refusal(**given: str) -> str:
    with pytest.raises(ConfigurationError) as refused:
        settings(**given)
    (line,) = refused.value.lines
    return line


@pytest.mark.parametrize(
    "text",
    [
        "BTCTRY:0.6,ETHTRY:0.4",
        " btc_try : .6 , ETHTRY:0.40",
        '{"BTCTRY":0.6,"ETHTRY":0.4}',
        '{"BTCTRY":"0.6", "ETH_TRY":"0.4"}',
    ],
)
def test_targets_are_read_as_json_or_with_commas(text: str) -> None:
    targets = settings(PORTFOLIO_TARGETS=text).portfolio_targets

    assert dict(targets.weights) == {"BTCTRY": Decimal("0.6"), "ETHTRY": Decimal("0.4")}
    assert not targets.warning


def test_without_targets_all_are_alike() -> None:
    assert not settings().portfolio_targets.weights
    assert not settings(PORTFOLIO_TARGETS="").portfolio_targets.weights


def test_targets_are_shown_as_they_would_be_written() -> None:
    loaded = load_settings({"PORTFOLIO_TARGETS": '{"BTCTRY":0.6,"ETHTRY":0.4}'}, default_env_file=None)
    assert {row.name: row.value for row in loaded.rows()}["PORTFOLIO_TARGETS"] == "BTCTRY:0.6,ETHTRY:0.4"


def test_a_sum_that_is_nearly_one_is_scaled_and_told() -> None:
    targets = settings(PORTFOLIO_TARGETS="BTCTRY:0.6,ETHTRY:0.37").portfolio_targets

    assert dict(targets.weights) == {"BTCTRY": Decimal("0.618556701031"), "ETHTRY": Decimal("0.381443298969")}
    assert targets.warning == "PORTFOLIO_TARGETS adds up to 0.97 and was scaled to 1"


def test_a_sum_off_by_a_rounding_is_taken_as_it_is() -> None:
    targets = settings(PORTFOLIO_TARGETS="BTCTRY:0.333333,ETHTRY:0.333333,SOLTRY:0.333333").portfolio_targets
    assert set(targets.weights.values()) == {Decimal("0.333333")} and not targets.warning


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("BTCTRY:0.6,ETHTRY:0.3", "adds up to 0.9 (environment); write shares that add up to 1"),
        ("BTCTRY:0.6,ETHTRY:0.46", "adds up to 1.06 (environment); write shares that add up to 1"),
        ("{}", "adds up to 0 (environment); write shares that add up to 1"),
        ("BTCTRY:1,ETHTRY:0", "gives a pair a share of 0 (environment); leave it out, it is then sold"),
        ("BTCTRY:0.5,btc_try:0.5", "names a pair twice (environment); write each pair once"),
        ('{"BTCTRY":0.5,"BTCTRY":0.5}', "names a pair twice (environment); write each pair once"),
        (
            "BTCTRY:0.6,ADATRY:0.4",
            "names ADATRY, which SYMBOLS does not (environment); it is one of BTCTRY, ETHTRY, SOLTRY",
        ),
        ('{"BTCTRY":{"a":1}}', "holds something that is no share (environment); write such as BTCTRY:0.6,ETHTRY:0.4"),
        ("{" * 5_000, "is not a JSON object (environment); write such as BTCTRY:0.6,ETHTRY:0.4"),
        *(
            (
                f"BTCTRY:{share}",
                "gives a pair a share that is not a number from 0 to 1 with at most 12 decimals (environment); "
                "write such as BTCTRY:0.6,ETHTRY:0.4",
            )
            for share in ("", "-1", "1e0", "NaN", "٠.٥", "0.1234567890123", "50%")
        ),
    ],
)
def test_targets_that_cannot_be_meant_are_refused_in_one_line(text: str, said: str) -> None:
    assert refusal(PORTFOLIO_TARGETS=text) == f"PORTFOLIO_TARGETS: {said}"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"TRY_CASH_MAX": "200"},
            "TRY_CASH_MAX: is below TRY_CASH_TARGET, which is 300 (environment); raise the one or lower the other",
        ),
        (
            {"INVESTABLE_USAGE_MODE": "cap"},
            "MAX_TRY_PER_CYCLE: is 0 while INVESTABLE_USAGE_MODE is cap, so nothing is ever bought (default); "
            "give it an amount",
        ),
        (
            {"MAX_TRY_PER_CYCLE": "500"},
            "MAX_TRY_PER_CYCLE: has no effect while INVESTABLE_USAGE_MODE is use_all (environment); "
            "set that to cap, or remove it",
        ),
        (
            {"INVESTABLE_USAGE_MODE": "cap", "MAX_TRY_PER_CYCLE": "500", "INVESTABLE_USAGE_FRACTION": "0.5"},
            "INVESTABLE_USAGE_FRACTION: has no effect while INVESTABLE_USAGE_MODE is cap (environment); "
            "set that to fraction, or remove it",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(given: dict[str, str], said: str) -> None:
    assert refusal(**given) == said


def test_a_higher_cash_target_needs_no_word_on_its_bound() -> None:
    assert settings(TRY_CASH_TARGET="5000").try_cash_target == 5_000
