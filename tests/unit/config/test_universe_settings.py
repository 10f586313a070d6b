"""The settings of the choice of symbols: what they refuse, each in one line that says how to mend it."""

from __future__ import annotations

import pytest

from btcbot.bootstrap.universe import history_ms, universe_rules
from btcbot.config.loading import load_settings
from btcbot.config.settings import Settings
from btcbot.errors import ConfigurationError
from btcbot.profiles import UniverseKind


def load(**given: str) -> Settings:
    return load_settings(given, default_env_file=None).settings


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"UNIVERSE_TOP_N": "51", "UNIVERSE_SCAN_BUDGET_SYMBOLS": "60"}, "UNIVERSE_TOP_N: is outside its range"),
        ({"UNIVERSE_TOP_N": "20", "UNIVERSE_SCAN_BUDGET_SYMBOLS": "19"}, "is less than UNIVERSE_TOP_N"),
        ({"UNIVERSE_HISTORY_BUCKET_MINUTES": "7"}, "write one of 1, 5, 15, 30, 60, 240, 1440"),
        ({"UNIVERSE_HISTORY_BUCKET_MINUTES": "60"}, "is less than UNIVERSE_HISTORY_BUCKET_MINUTES"),
        ({"UNIVERSE_MOMENTUM_LOOKBACK_MINUTES": "30"}, "is not less than UNIVERSE_MOMENTUM_LOOKBACK_MINUTES"),
        ({"UNIVERSE_MOMENTUM_LOOKBACK_MINUTES": "5000"}, "hold more than 1000 bars"),
        (
            {f"UNIVERSE_SCORE_WEIGHT_{one}": "0" for one in ("MOMENTUM", "SPREAD", "DEPTH")},
            "UNIVERSE_SCORE_WEIGHT_… are all 0",
        ),
        (
            {f"STAGE7_SCORE_WEIGHT_{one}": "0" for one in ("LIQUIDITY", "SPREAD", "VOLATILITY")},
            "STAGE7_SCORE_WEIGHT_… are all 0",
        ),
        ({"UNIVERSE_CANDIDATES": "all"}, "is not one of configured, listed"),
        ({"SYMBOLS": " "}, "SYMBOLS: is empty (environment); name pairs such as BTCTRY,ETHTRY, or leave it out"),
        ({"UNIVERSE_EXCLUDE_SYMBOLS": "ADATRY,,"}, "holds a pair that is not 2 to 20 letters and digits"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_way_out(given: dict[str, str], line: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(**given)
    assert len(refused.value.lines) == 1
    assert line in refused.value.lines[0]


def test_a_longer_look_back_takes_longer_bars() -> None:
    settings = load(UNIVERSE_MOMENTUM_LOOKBACK_MINUTES="10080", UNIVERSE_HISTORY_BUCKET_MINUTES="15")
    assert history_ms(settings, UniverseKind.MOMENTUM) == (10_080 + 30) * 60_000


def test_excluded_pairs_may_be_none_one_or_a_list() -> None:
    assert load().universe_exclude_symbols == ()
    assert load(UNIVERSE_EXCLUDE_SYMBOLS="").universe_exclude_symbols == ()
    assert load(UNIVERSE_EXCLUDE_SYMBOLS='["ada_try","XRPTRY"]').universe_exclude_symbols == ("ADATRY", "XRPTRY")


def test_only_momentum_demands_depth_and_history() -> None:
    settings = load()
    momentum, scored = (universe_rules(settings, kind, "TRY") for kind in (UniverseKind.MOMENTUM, UniverseKind.SCORED))
    assert (momentum.depth_min, momentum.lookback_ms) == (50_000, 24 * 3_600_000)
    assert (scored.depth_min, scored.lookback_ms) == (0, None)
    assert history_ms(settings, UniverseKind.SCORED) == 21 * 300_000
