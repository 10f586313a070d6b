"""Upkeep of working orders: when one is kept, taken out, or replaced."""

from __future__ import annotations

from decimal import Decimal

from pydantic import Field

from btcbot.config.groups.base import Group
from btcbot.config.kinds import BPS_MAX, Exact, Whole

__all__ = ["UpkeepSettings"]


class UpkeepSettings(Group):
    """Fields of `Settings`; see there."""

    replace_drift_bps: Exact = Field(
        default=Decimal(25),
        gt=0,
        le=BPS_MAX,
        description="Distance of an order's price from what is wished, or else from the mid, at which it has to go.",
    )
    replace_min_age_seconds: Whole = Field(
        default=10,
        ge=0,
        le=86_400,
        description="Age in seconds below which a working order is not replaced; COOLDOWN_SECONDS holds as well.",
    )
    replace_cooldown_seconds: Whole = Field(
        default=60,
        ge=0,
        le=86_400,
        description="Age in seconds below which an order that replaced another one is not replaced in turn.",
    )
    replace_max_seconds: Whole = Field(
        default=120,
        ge=1,
        le=86_400,
        description="Seconds after which a replacement is given up when the old order is not gone by then.",
    )
