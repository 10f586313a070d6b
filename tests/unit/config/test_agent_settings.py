"""Settings of the agent: what is refused one by one, and what cannot be meant together."""

from __future__ import annotations

from decimal import Decimal

import pytest

from btcbot.adapters.metrics import MemoryMetrics
from btcbot.bootstrap.agents import agent_key, agent_policy, agent_rules, agent_service
from btcbot.config.groups.agent import AgentSettings, agent_problems
from btcbot.config.loading import load_settings
from btcbot.config.settings import Settings
from btcbot.errors import ConfigurationError
from btcbot.services.agent import AgentService
from btcbot.testing.in_process_rig import ListLog
from btcbot.testing.manual_clock import ManualClock

LLM = {
    "AGENT_POLICY_ENABLED": "true",
    "AGENT_POLICY_PROVIDER": "llm",
    "AGENT_LLM_URL": "http://127.0.0.1:9/v1/chat/completions",
    "AGENT_LLM_MODEL": "guard-1",
}


def load(**texts: str) -> Settings:
    return load_settings(texts, default_env_file=None).settings


@pytest.mark.parametrize(
    "url",
    [
        "https://models.example/v1/chat/completions",
        "http://127.0.0.1:8080/v1/chat/completions",
        "http://localhost/",
        "http://[::1]:8080/v1",
    ],
)
def test_addresses_that_are_taken(url: str) -> None:
    assert load(**{**LLM, "AGENT_LLM_URL": url}).agent_llm_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://models.example/v1/chat/completions",
        "http://10.0.0.1/v1",
        "http://127.0.0.1.models.example/",
        "http://localhost.models.example/",
        "https://user:password@models.example/",
        "https://models.example/?key=1",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "https://models.example:99999/",
        "https://models.example/\nHost: other",
    ],
)
def test_addresses_that_are_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(**{**LLM, "AGENT_LLM_URL": url})
    assert "AGENT_LLM_URL" in str(refused.value)
    assert url not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"agent_llm_url": None}, "AGENT_LLM_URL"),
        ({"agent_llm_model": None}, "AGENT_LLM_MODEL"),
        ({"agent_policy_enabled": False}, "AGENT_POLICY_PROVIDER"),
        (
            {"agent_min_order_notional_try": Decimal(200), "agent_max_order_notional_try": Decimal(100)},
            "AGENT_MAX_ORDER_NOTIONAL_TRY",
        ),
    ],
)
def test_what_cannot_be_meant_together(change: dict[str, object], name: str) -> None:
    whole = {
        "agent_policy_enabled": True,
        "agent_policy_provider": "llm",
        "agent_llm_url": LLM["AGENT_LLM_URL"],
        "agent_llm_model": "guard-1",
    }
    assert agent_problems(AgentSettings(**whole)) == []  # type: ignore[arg-type]
    (line,) = agent_problems(AgentSettings(**{**whole, **change}))  # type: ignore[arg-type]
    assert line.startswith(f"{name}: ")


def test_it_is_off_by_default() -> None:
    settings = load()
    assert agent_problems(settings) == []
    assert agent_policy(settings, agent_key(settings)) is None
    assert agent_service(settings, None, None, ManualClock(), MemoryMetrics(), ListLog(), dict) is None  # type: ignore[arg-type]


def test_with_rules_alone_nobody_is_asked() -> None:
    settings = load(AGENT_POLICY_ENABLED="true", AGENT_SYMBOL_ALLOWLIST="btc_try", AGENT_COOLDOWN_SECONDS="5")
    assert agent_policy(settings, agent_key(settings)) is None
    rules = agent_rules(settings)
    assert (rules.symbols, rules.cooldown_ms) == ({"BTCTRY"}, 5_000)
    made = agent_service(settings, None, None, ManualClock(), MemoryMetrics(), ListLog(), dict)  # type: ignore[arg-type]
    assert isinstance(made, AgentService)
