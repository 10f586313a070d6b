"""The settings of those who watch over a run: each is read, and what cannot be meant together is refused."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from btcbot.bootstrap.oversight import anomaly_rules, degrade_rules, freeze_rules, kill_chain_rules
from btcbot.config.groups.oversight import OversightSettings
from btcbot.config.loading import load_settings
from btcbot.decisions.anomalies import AnomalyCode
from btcbot.errors import ConfigurationError

#: Another value than the default, for each of them.
OTHERS = {
    "STALE_DATA_SECONDS": "7",
    "STALE_DATA_SHARE": "0.9",
    "LATENCY_SPIKE_MS": "70",
    "STUCK_CYCLE_SECONDS": "77",
    "REJECT_SPIKE_THRESHOLD": "7",
    "REJECT_SPIKE_WINDOW_CYCLES": "77",
    "CURSOR_STALL_CYCLES": "7",
    "FEED_STALL_SECONDS": "7",
    "PNL_DIVERGENCE_TRY_WARN": "7.5",
    "PNL_DIVERGENCE_TRY_ERROR": "77.5",
    "DEGRADE_WARN_THRESHOLD": "7",
    "DEGRADE_WARN_CODES": "clock_skew,EXCHANGE_LATENCY_SPIKE",
    "DEGRADE_COOLDOWN_SECONDS": "10",
    "DEGRADE_QUIET_CYCLES": "7",
    "DEGRADE_BUY_SHARE": "0.7",
    "DEGRADE_SYMBOLS_MAX": "7",
    "STAGE4_UNKNOWN_FREEZE_ENABLED": "false",
    "STAGE4_UNKNOWN_FREEZE_THRESHOLD": "7",
    "STAGE4_UNKNOWN_FREEZE_PERSIST_CYCLES": "7",
    "STAGE4_UNKNOWN_FREEZE_PERSIST_SECONDS": "7",
    "ENABLE_AUTO_KILL_SWITCH": "false",
    "KILL_CHAIN_MAX_CONSECUTIVE_ERRORS": "7",
    "KILL_CHAIN_COOLDOWN_SECONDS": "7",
}


def rules(**texts: str) -> tuple[object, ...]:
    settings = load_settings(texts, default_env_file=None).settings
    made = (anomaly_rules(settings), degrade_rules(settings), freeze_rules(settings), kill_chain_rules(settings))
    return tuple(msgspec.structs.astuple(one) for one in made)


def refusal(**texts: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(texts, default_env_file=None)
    (line,) = caught.value.lines
    return line


def test_there_is_a_value_for_each_of_them() -> None:
    assert set(OTHERS) == {name.upper() for name in OversightSettings.model_fields}


@pytest.mark.parametrize("name", OTHERS)
def test_no_setting_is_without_effect(name: str) -> None:
    """mistake 29: 26 dead settings."""
    assert rules(**{name: OTHERS[name]}) != rules()


def test_they_are_read_as_they_are_meant() -> None:
    settings = load_settings(OTHERS, default_env_file=None).settings
    assert degrade_rules(settings).warn_codes == {AnomalyCode.CLOCK_SKEW, AnomalyCode.EXCHANGE_LATENCY_SPIKE}
    assert degrade_rules(settings).cooldown_ms == 10_000
    assert anomaly_rules(settings).divergence_error == Decimal("77.5")
    assert anomaly_rules(settings).clock_skew_ms == 2_000
    assert freeze_rules(settings).missing_ms == 66_000


def test_what_cannot_be_meant_together_is_refused() -> None:
    assert "PNL_DIVERGENCE_TRY_WARN" in refusal(PNL_DIVERGENCE_TRY_WARN="300")
    assert "LATENCY_SPIKE_MS" in refusal(STUCK_CYCLE_SECONDS="2")


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("DEGRADE_WARN_CODES", "STALE_DATA", "did you mean STALE_MARKET_DATA?"),
        ("DEGRADE_WARN_CODES", "12345", "known are STALE_MARKET_DATA"),
        ("STALE_DATA_SHARE", "0", "range"),
        ("DEGRADE_BUY_SHARE", "1.5", "range"),
        ("DEGRADE_COOLDOWN_SECONDS", "0", "range"),
        ("KILL_CHAIN_COOLDOWN_SECONDS", "-1", "range"),
        ("ENABLE_AUTO_KILL_SWITCH", "maybe", "true"),
    ],
)
def test_nonsense_is_one_line(name: str, text: str, word: str) -> None:
    line = refusal(**{name: text})
    assert line.startswith(f"{name}:")
    assert word in line
