"""The universe of a cycle: which symbols may be bought, and which must be watched all the same.

A chosen universe is remembered as a `UniverseState`: the set, when it was chosen, and how each symbol stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """`active` may be traded both ways. `watched` holds these and every other symbol that has a position or an open
    order of ours: such a symbol is quoted, kept in order and sold, but not bought. Those of them that are `only_marked`
    are quoted so that their worth is known, no more: no strategy has them among its symbols. All sorted as chosen."""

    active: tuple[str, ...]
    watched: tuple[str, ...]
    only_marked: tuple[str, ...] = ()

    @property
    def winding_down(self) -> frozenset[str]:
        """Watched, not to be bought, and to be sold."""
        return frozenset(self.watched).difference(self.active, self.only_marked)


class Exclusion(StrEnum):
    """Why a candidate is not in the set; the one vocabulary of every selection."""

    # known without a look at the market
    NOT_A_CANDIDATE = "not_a_candidate"
    NOT_LISTED = "not_listed"
    NOT_TRADING = "not_trading"
    WRONG_QUOTE = "wrong_quote_asset"
    EXCLUDED = "excluded_symbol"
    STABLE = "stable_symbol"
    REFUSALS = "repeated_refusals"
    COOLDOWN = "cooldown"
    SCAN_BUDGET = "scan_budget_exhausted"
    # seen in the market
    NOT_SCANNED = "not_scanned_in_time"
    NO_BOOK = "orderbook_unavailable"
    STALE_BOOK = "stale_orderbook"
    NO_DEPTH = "depth_unavailable"
    SPREAD = "spread_too_wide"
    DEPTH = "insufficient_depth"
    VOLUME = "insufficient_volume"
    HISTORY = "insufficient_history"
    # good enough, and still not in
    PROBATION = "probation"
    OUTRANKED = "outranked"
    CHURN = "churn_guard"


class Freeze(StrEnum):
    """Why a set stays as it is although a look was due."""

    STALE_DATA = "STALE_DATA"
    EXCHANGE_DEGRADED = "EXCHANGE_DEGRADED"
    OBSERVE_ONLY = "OBSERVE_ONLY"


class Standing(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """How a symbol stands between two looks, times in venue ms.

    `passing_since_ms`: it has passed every filter at each look since then, None: it did not pass the last one.
    `cooldown_until_ms`: it left the set, or was refused too often, and does not come back before.
    """

    passing_since_ms: int | None = None
    cooldown_until_ms: int = 0


class Refusal(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The venue refused an order of this symbol, for a cause that lies with the symbol."""

    symbol: str
    at_ms: int


class UniverseState(msgspec.Struct, frozen=True, kw_only=True):
    """What the next look has to know of the earlier ones, times in venue ms.

    `symbols` are those that were chosen, best first; `fallback` stand in for them while nothing was worth choosing.
    `refreshed_at_ms` is the last look that came to a decision, 0 before the first. `additions_ms`: when symbols were
    added in exchange for others or beside them.
    """

    symbols: tuple[str, ...] = ()
    fallback: tuple[str, ...] = ()
    refreshed_at_ms: int = 0
    additions_ms: tuple[int, ...] = ()
    standings: Mapping[str, Standing] = {}
    refusals: tuple[Refusal, ...] = ()

    @property
    def active(self) -> tuple[str, ...]:
        return self.symbols or self.fallback
