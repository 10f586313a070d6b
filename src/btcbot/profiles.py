"""The named profiles of the one pipeline, as data: which strategy, which universe, who narrows, who looks after orders.

A profile is only names. What each of them is, `bootstrap.parts` knows; that they meet in one cycle, `cycle` shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec


class UniverseKind(StrEnum):
    """How the symbols of a cycle are chosen."""

    CONFIGURED = "configured"  # as SYMBOLS names them
    MOMENTUM = "momentum"  # the strongest of them, where DYNAMIC_UNIVERSE_ENABLED wants it
    SCORED = "scored"  # by liquidity, spread and volatility


class UpkeepKind(StrEnum):
    """What becomes of working orders."""

    CANCEL = "cancel"  # cancelled when stale
    REPLACE = "replace"  # kept, cancelled or replaced, by what is wished now


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """`name` is also the command; `strategy` is what runs without STRATEGY.

    `is_overseen`: sizes are allocated, and the risk budget, anomalies, the freeze on unexplained orders and the kill
    chain narrow what a cycle may do. `adapts`: parameters may change within bounds. `is_on_paper_only`: it never runs
    against the venue itself.
    """

    name: str
    universe: UniverseKind
    strategy: str
    upkeep: UpkeepKind = UpkeepKind.CANCEL
    is_overseen: bool = False
    adapts: bool = False
    is_on_paper_only: bool = False


RUN: Final = Profile(name="run", universe=UniverseKind.CONFIGURED, strategy="profit_v1")
STAGE4: Final = Profile(
    name="stage4-run",
    universe=UniverseKind.MOMENTUM,
    strategy="tilted_portfolio",
    upkeep=UpkeepKind.REPLACE,
    is_overseen=True,
)
STAGE7: Final = Profile(
    name="stage7-run",
    universe=UniverseKind.SCORED,
    strategy="portfolio",
    upkeep=UpkeepKind.REPLACE,
    is_overseen=True,
    adapts=True,
    is_on_paper_only=True,
)
PROFILES: Final[Mapping[str, Profile]] = {profile.name: profile for profile in (RUN, STAGE4, STAGE7)}
