"""Alerts that the bot itself raises."""

from __future__ import annotations

from pydantic import Field

from btcbot.config.groups.base import Group
from btcbot.config.kinds import Switch

__all__ = ["AlertSettings"]


class AlertSettings(Group):
    """Fields of `Settings`; see there."""

    alerts_enabled: Switch = Field(
        default=True, description="Hold the metrics of each cycle against the alert rules, and write down what fires."
    )
