"""An agent that may narrow decisions; off by default."""

from __future__ import annotations

import ipaddress
from decimal import Decimal
from functools import partial
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field

from btcbot.config import values
from btcbot.config.groups.base import Group
from btcbot.config.kinds import BPS_MAX, TRY_MAX, Exact, Kind, OptionalPath, OptionalText, Switch, Whole

__all__ = ["AgentSettings", "agent_problems"]

PROVIDERS: Final = ("rule", "llm")
ON_FAILURE: Final = ("observe_only", "rules")


def _llm_url(value: object) -> object:
    """An endpoint over TLS, or one on this very machine; empty means not given."""
    if not isinstance(value, str):
        return value
    if not value:
        return None
    mend = "write such as http://127.0.0.1:8080/v1/chat/completions, with https for any other machine"
    try:
        found = str(values.endpoint(value))
    except ValueError:
        raise ValueError(f"is not the address of an endpoint; {mend}") from None
    parts = urlsplit(found)
    if parts.scheme != "https" and not _is_loopback(parts.hostname or ""):
        raise ValueError(f"would send the key in the clear to another machine; {mend}")
    return found


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _symbols_or_none(value: object) -> object:
    """A list of pairs; empty names none in particular."""
    return () if value == "" else values.symbols(value)


LlmUrl = Annotated[str | None, Kind("address"), BeforeValidator(_llm_url)]
Allowlist = Annotated[tuple[str, ...], Kind("list of pairs"), BeforeValidator(_symbols_or_none)]
Provider = Annotated[
    str, Kind(", ".join(PROVIDERS)), BeforeValidator(partial(values.choice, allowed=PROVIDERS, upper=False))
]
OnFailure = Annotated[
    str, Kind(", ".join(ON_FAILURE)), BeforeValidator(partial(values.choice, allowed=ON_FAILURE, upper=False))
]


class AgentSettings(Group):
    """Fields of `Settings`; see there."""

    agent_policy_enabled: Switch = Field(
        default=False, description="Let an agent look at the wishes of each cycle; it can only take away from them."
    )
    agent_policy_provider: Provider = Field(
        default="rule", description="Who decides: the rules below alone, or the rules and then a language model."
    )
    agent_observe_only: Switch = Field(default=False, description="The agent takes out every wish.")
    agent_symbol_allowlist: Allowlist = Field(
        default=(), description="The pairs that the agent lets through; empty: all that are traded."
    )
    agent_min_order_notional_try: Exact = Field(
        default=Decimal(0), ge=0, le=TRY_MAX, description="Value below which the agent takes a wish out."
    )
    agent_max_order_notional_try: Exact = Field(
        default=Decimal(0), ge=0, le=TRY_MAX, description="Value above which the agent takes a wish out; 0: none."
    )
    agent_max_spread_bps: Exact = Field(
        default=Decimal(120), gt=0, le=BPS_MAX, description="Spread above which the agent takes a wish out."
    )
    agent_max_drawdown_try: Exact = Field(
        default=Decimal(0),
        ge=0,
        le=TRY_MAX,
        description="Fall of the profit from its highest (as the risk budget measures it, anew after `budget reset`) "
        "at which the agent takes out every wish; 0: none.",
    )
    agent_cooldown_seconds: Whole = Field(
        default=0, ge=0, le=86_400, description="Seconds after any order in which the agent takes out every wish."
    )
    agent_unquoted_symbols_max: Whole = Field(
        default=0,
        ge=0,
        le=100,
        description="Watched pairs without a usable quote above which the agent takes out every wish.",
    )
    agent_on_failure: OnFailure = Field(
        default="observe_only",
        description="What counts when the model gives no usable answer: no buys (observe_only), or the rules alone.",
    )
    agent_answer_max_age_seconds: Whole = Field(
        default=30,
        ge=0,
        le=3_600,
        description="Age up to which the last answer counts in a cycle that the feed woke; beyond it buys are out.",
    )
    agent_prompt_capture_enabled: Switch = Field(
        default=False, description="Keep what the model was asked and what it answered in the notes."
    )
    agent_prompt_capture_max_chars: Whole = Field(
        default=4_000, ge=1, le=4_000, description="Characters of question and of answer that are kept, at most."
    )
    agent_llm_url: LlmUrl = Field(
        default=None, description="The model's endpoint for chat completions; https, or this machine."
    )
    agent_llm_model: OptionalText = Field(default=None, description="The name of the model at that endpoint.")
    agent_llm_key_file: OptionalPath = Field(
        default=None, description="A file (0600 or 0400, no symlink) with the endpoint's key, where it wants one."
    )
    agent_llm_timeout_seconds: Exact = Field(
        default=Decimal(3),
        gt=0,
        le=30,
        description="Seconds in which the model has to answer, from connecting to the last byte.",
    )


def agent_problems(settings: AgentSettings) -> list[str]:
    """What is fine one by one and cannot be meant together."""
    llm = settings.agent_policy_enabled and settings.agent_policy_provider == "llm"
    wanted = {"AGENT_LLM_URL": settings.agent_llm_url, "AGENT_LLM_MODEL": settings.agent_llm_model}
    lines = [
        f"{name}: is missing while AGENT_POLICY_PROVIDER is llm; give it, or choose rule"
        for name, value in wanted.items()
        if llm and not value
    ]
    most, least = settings.agent_max_order_notional_try, settings.agent_min_order_notional_try
    if most and most < least:
        lines.append("AGENT_MAX_ORDER_NOTIONAL_TRY: is below AGENT_MIN_ORDER_NOTIONAL_TRY, so no wish passes; raise it")
    if settings.agent_policy_provider == "llm" and not settings.agent_policy_enabled:
        lines.append(
            "AGENT_POLICY_PROVIDER: is llm while AGENT_POLICY_ENABLED is false, so nobody is asked; enable it, or "
            "choose rule"
        )
    return lines
