"""What the venue lists about the account beside trades: orders and transfers."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from btcbot.domain.intents import Side


class VenueOrderStatus(StrEnum):
    """The four words that were seen on the wire, and the one for anything else."""

    UNTOUCHED = "Untouched"
    PARTIAL = "Partial"
    CANCELED = "Canceled"
    CLOSED = "Closed"
    OTHER = "Other"


class VenueOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An order as the venue lists it. `leaves_quantity` is what is not executed."""

    venue_order_id: str
    client_order_id: str | None
    symbol: str
    side: Side
    method: str
    price: Decimal
    quantity: Decimal
    leaves_quantity: Decimal
    status: VenueOrderStatus
    updated_at_ms: int

    @property
    def executed_quantity(self) -> Decimal:
        return self.quantity - self.leaves_quantity


class TransferKind(StrEnum):
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"


class Transfer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A deposit (positive) or withdrawal (negative `amount`); `fee` is what the venue kept, not negative.

    Whether `amount` already includes the fee is not known from the venue's documents: booking lets the balance decide.
    """

    transfer_id: str
    kind: TransferKind
    asset: str
    amount: Decimal
    fee: Decimal
    at_ms: int
