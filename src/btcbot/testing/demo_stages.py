"""What a demo is staged with: for each profile the symbols, the money, the settings, and what happens to the venue."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from btcbot.domain.notes import NoteKind
from btcbot.domain.replacements import ReplacementEnd, ReplacementOutcome
from btcbot.ports import StateStore
from btcbot.profiles import RUN, STAGE4
from btcbot.services.degrade_record import DegradeNote


class Stall(msgspec.Struct, frozen=True, kw_only=True):
    """The live feed breaks when this share of the demo is over, and nothing connects to it for so many seconds."""

    at_share: float
    seconds: float


class Staging(msgspec.Struct, frozen=True, kw_only=True):
    """`recorded` and `seeded` are the symbols where the demo chooses them; `settings` are not the defaults, so it
    prints them. `needs_market`: a made market has nothing to show to it. `pairs_min`, `replacements_min`: what a full
    demo of this profile shows at least."""

    command: str
    recorded: tuple[str, ...]
    seeded: tuple[str, ...]
    cash_try: Decimal
    cycle_seconds: float
    settings: Mapping[str, str]
    stall: Stall | None = None
    needs_market: bool = False
    pairs_min: int = 1
    replacements_min: int = 0


_RUN: Final = Staging(
    command=RUN.name,
    recorded=("ADATRY", "BNBTRY", "CHZTRY", "DOGETRY", "TRXTRY"),
    seeded=("BTCTRY", "ETHTRY", "XRPTRY"),
    cash_try=Decimal(20_000),
    cycle_seconds=2.0,
    settings={
        "COOLDOWN_SECONDS": "2",
        "TTL_SECONDS": "4",
        "MAX_ORDERS_PER_CYCLE": "5",
        "NOTIONAL_CAP_TRY_PER_CYCLE": "2500",
        "SETTLE_HORIZON_SECONDS": "2",
    },
)
_STAGE4: Final = Staging(
    command=STAGE4.name,
    recorded=(
        "ADATRY", "AVAXTRY", "BNBTRY", "BTCTRY", "CHZTRY", "DOGETRY", "ETHTRY", "SHIBTRY", "SOLTRY", "TRXTRY", "XRPTRY",
    ),
    seeded=("ADATRY", "AVAXTRY", "BNBTRY", "BTCTRY", "DOGETRY", "ETHTRY", "SOLTRY", "XRPTRY"),
    cash_try=Decimal(50_000),
    cycle_seconds=2.0,
    settings={
        "COOLDOWN_SECONDS": "1",
        "TTL_SECONDS": "6",
        "SETTLE_HORIZON_SECONDS": "2",
        "MAX_ORDERS_PER_CYCLE": "8",
        "NOTIONAL_CAP_TRY_PER_CYCLE": "8000",
        "MAX_INTENT_NOTIONAL_TRY": "1000",
        "TRY_CASH_TARGET": "10000",
        "TRY_CASH_MAX": "10000",
        "PORTFOLIO_DRIFT": "0.04",
        "REPLACE_MIN_AGE_SECONDS": "2",
        "REPLACE_COOLDOWN_SECONDS": "4",
        "MAX_TOTAL_EXPOSURE_TRY": "50000",
        "RISK_MAX_GROSS_EXPOSURE_TRY": "50000",
        "MAX_DAILY_LOSS_TRY": "15000",
        "RISK_MAX_DAILY_DRAWDOWN_TRY": "15000",
        "RISK_MAX_DRAWDOWN_TRY": "15000",
        "MAX_DRAWDOWN_PCT": "30",
        "RISK_BUY_STOP_DAILY_LOSS_PCT": "30",
        "RISK_BUY_STOP_DRAWDOWN_PCT": "30",
        "FEED_STALL_SECONDS": "2",
        "DEGRADE_WARN_THRESHOLD": "2",
        "DEGRADE_QUIET_CYCLES": "2",
        "DEGRADE_COOLDOWN_SECONDS": "10",
    },
    stall=Stall(at_share=0.35, seconds=8.0),
    needs_market=True,
    pairs_min=8,
    replacements_min=1,
)  # fmt: skip
STAGINGS: Final[Mapping[str, Staging]] = {"run": _RUN, "stage4": _STAGE4}


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What a profile's own parts did. `level_max` is the highest degrade level, `level_last` the one of the end."""

    pairs: int
    replaced: int
    given_up: int
    level_max: int
    level_last: int

    def missing(self, staging: Staging) -> list[str]:
        """What a full demo shows and this one did not, one line each."""
        found = []
        if self.pairs < staging.pairs_min:
            found.append(f"{self.pairs} pairs were traded; a full demo trades {staging.pairs_min}")
        if self.replaced < staging.replacements_min:
            found.append(f"{self.replaced} orders were replaced; a full demo replaces {staging.replacements_min}")
        if staging.stall is not None and not self.level_max:
            found.append("the feed stalled and trading was not narrowed")
        if staging.stall is not None and self.level_last:
            found.append(f"trading is still narrowed: degrade level {self.level_last}")
        return found


def shown_by(store: StateStore, pairs: int) -> Shown:
    """Read from the notes of the database."""
    ends = [msgspec.json.decode(note.body, type=ReplacementEnd) for note in store.notes(NoteKind.REPLACEMENT)]
    levels = [msgspec.json.decode(note.body, type=DegradeNote).after for note in store.notes(NoteKind.DEGRADE)]
    replaced = sum(end.outcome is ReplacementOutcome.DONE for end in ends)
    return Shown(
        pairs=pairs,
        replaced=replaced,
        given_up=len(ends) - replaced,
        level_max=max(levels, default=0),
        level_last=levels[-1] if levels else 0,
    )
