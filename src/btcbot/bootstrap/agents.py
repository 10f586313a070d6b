"""The agent that the settings name: whom to ask, and the service that lets it look at wishes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from btcbot.config.agent_key import read_agent_key
from btcbot.decisions.agent import AgentRules
from btcbot.ports import AgentPolicy, Clock, Log, Metrics, StateStore
from btcbot.services.agent import AgentService

if TYPE_CHECKING:
    from btcbot.config.secrets import Secret
    from btcbot.config.settings import Settings


def asks_an_agent(settings: Settings) -> bool:
    """Whether somebody beside the rules is asked."""
    return settings.agent_policy_enabled and settings.agent_policy_provider == "llm"


def agent_key(settings: Settings) -> Secret | None:
    """The endpoint's key, for the redaction of logs and journal as well. Raise ConfigurationError with one line."""
    return read_agent_key(settings.agent_llm_key_file) if asks_an_agent(settings) else None


def agent_policy(settings: Settings, key: Secret | None) -> AgentPolicy | None:
    """Whom to ask; None where the rules alone decide, or nobody."""
    if not asks_an_agent(settings):
        return None
    from btcbot.adapters.agent.llm import LlmPolicy

    assert settings.agent_llm_url and settings.agent_llm_model, "checked with the settings"
    return LlmPolicy(
        settings.agent_llm_url,
        settings.agent_llm_model,
        key,
        timeout_s=float(settings.agent_llm_timeout_seconds),
        captures=settings.agent_prompt_capture_enabled,
    )


def agent_rules(settings: Settings) -> AgentRules:
    return AgentRules(
        observe_only=settings.agent_observe_only,
        symbols=frozenset(settings.agent_symbol_allowlist),
        order_value_min=settings.agent_min_order_notional_try,
        order_value_max=settings.agent_max_order_notional_try,
        spread_bps_max=settings.agent_max_spread_bps,
        drawdown_max=settings.agent_max_drawdown_try,
        cooldown_ms=settings.agent_cooldown_seconds * 1000,
        unquoted_max=settings.agent_unquoted_symbols_max,
    )


def agent_service(
    settings: Settings,
    policy: AgentPolicy | None,
    store: StateStore,
    clock: Clock,
    metrics: Metrics,
    log: Log,
    gates: Callable[[], Mapping[str, bool]],
) -> AgentService | None:
    """The shaper and watcher of a run; None where the settings want no agent. `gates`: see `Gatekeeper.states`."""
    if not settings.agent_policy_enabled:
        return None
    return AgentService(
        agent_rules(settings),
        policy,
        store,
        clock,
        metrics,
        log,
        gates,
        falls_back_to_rules=settings.agent_on_failure == "rules",
        answer_age_ms_max=settings.agent_answer_max_age_seconds * 1000,
        capture_characters_max=(
            settings.agent_prompt_capture_max_chars if settings.agent_prompt_capture_enabled else 0
        ),
    )
