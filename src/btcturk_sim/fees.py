"""Commission and tax, to the last digit the exchange shows.

The published percentages include the tax. From the recorded samples: the fee rate is the published total
divided by (1 + tax rate), rounded half-up to 8 decimals; fee and tax are each the unrounded gross times their
rate, rounded half-up to 8 decimals; both are in the quote currency on either side.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import msgspec

from btcturk_sim.money import ONE, divide_half_up, exact, round_half_up

COMMISSION_DECIMALS: Final = 8


class Commission(msgspec.Struct, frozen=True):
    """What one fill costs: both amounts positive, in the quote currency."""

    fee: Decimal
    tax: Decimal

    @property
    def total(self) -> Decimal:
        return self.fee + self.tax


@dataclass(frozen=True, slots=True)
class Rate:
    """One published rate (`total`, tax included) and what follows from it."""

    total: Decimal
    tax_rate: Decimal
    fee_rate: Decimal
    # Rounding can lift fee + tax a little above the published total; funds are held at the larger of the two.
    hold_rate: Decimal

    @classmethod
    @exact
    def published(cls, total: Decimal, tax_rate: Decimal) -> Rate:
        fee_rate = divide_half_up(total, ONE + tax_rate, COMMISSION_DECIMALS)
        return cls(total, tax_rate, fee_rate, max(total, fee_rate * (ONE + tax_rate)))

    def commission(self, gross: Decimal) -> Commission:
        fee = gross * self.fee_rate
        return Commission(
            round_half_up(fee, COMMISSION_DECIMALS), round_half_up(fee * self.tax_rate, COMMISSION_DECIMALS)
        )


@dataclass(frozen=True, slots=True)
class FeeSchedule:
    """Maker and taker rate of one quote currency."""

    maker: Rate
    taker: Rate

    @classmethod
    def published(cls, maker: str, taker: str, tax_rate: str = "0.20") -> FeeSchedule:
        """From percentages as the exchange prints them: `published("0.12", "0.24")`."""
        tax = Decimal(tax_rate)
        return cls(Rate.published(Decimal(maker).scaleb(-2), tax), Rate.published(Decimal(taker).scaleb(-2), tax))


# Maker and taker percentages by level, 30-day volume rising; read in September 2026.
_LEVELS: Final = {
    "TRY": (("0.12", "0.24"), ("0.11", "0.21"), ("0.10", "0.19"), ("0.08", "0.17"),
            ("0.06", "0.15"), ("0.04", "0.12"), ("0.02", "0.10"), ("0.01", "0.08")),
    "USDT": (("0.10", "0.14"), ("0.08", "0.13"), ("0.06", "0.11"), ("0.05", "0.09"),
             ("0.04", "0.07"), ("0.03", "0.05"), ("0.02", "0.03"), ("0.01", "0.02")),
}  # fmt: skip
LEVEL_MAX: Final = 8
_SCHEDULES: Final = {
    quote: tuple(FeeSchedule.published(maker, taker) for maker, taker in rates) for quote, rates in _LEVELS.items()
}
TRY_LEVEL_1: Final = _SCHEDULES["TRY"][0]
USDT_LEVEL_1: Final = _SCHEDULES["USDT"][0]
#: Some pairs are traded without commission for a time.
FREE: Final = FeeSchedule.published("0", "0")


def schedule_for(quote: str, level: int = 1) -> FeeSchedule:
    """The published rates of a quote currency at a level, 1 (least volume) to 8."""
    return _SCHEDULES["USDT" if quote == "USDT" else "TRY"][level - 1]
