"""The parameters that may change while a run goes on, within bounds, and that a rollback puts back."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """One set of them. Amounts in TRY; `version` counts upwards, 0 for the settings as first given."""

    version: int
    universe_size: int
    order_offset_bps: Decimal
    turnover_per_cycle_max: Decimal
    orders_per_cycle_max: int
    spread_bps_max: Decimal
    quote_volume_min: Decimal
    cash_target: Decimal


#: The parameters by name: all but the version.
TUNED: Final = tuple(name for name in Tuning.__struct_fields__ if name != "version")
_WHOLE: Final = frozenset({"universe_size", "orders_per_cycle_max"})


def amount_of(tuning: Tuning, field: str) -> Decimal:
    """The value of one of `TUNED`, counts as decimals too."""
    return Decimal(getattr(tuning, field))  # by name, as changes are kept, told and put back


def with_amount(tuning: Tuning, field: str, value: Decimal) -> Tuning:
    """The same set with another value for one of `TUNED`."""
    return msgspec.structs.replace(tuning, **{field: int(value) if field in _WHOLE else value})
