"""Accounts and the books of the whole exchange, kept so that money can neither appear nor vanish.

Every movement is posted through `Books`. Within one step of the engine the posted amounts must cancel out per
asset: what leaves an account arrives at the market's counterparty, in fees or in taxes, or came from outside.
`settle_step` asserts that, cheaply; `audit` recomputes everything from the trades and transfers themselves.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from btcturk_sim.errors import ConservationError
from btcturk_sim.money import ZERO, plain
from btcturk_sim.orders import Fill, Order, Side
from btcturk_sim.permissions import ALL_PERMISSIONS, Permission

BALANCE_HISTORY_MAX: Final = 4096
FILLS_KEPT_MAX: Final = 50_000
ENDED_ORDERS_KEPT_MAX: Final = 20_000


@dataclass(slots=True)
class Balance:
    free: Decimal = ZERO
    locked: Decimal = ZERO

    @property
    def total(self) -> Decimal:
        return self.free + self.locked


@dataclass(frozen=True, slots=True)
class Transfer:
    """A deposit (positive amount) or withdrawal (negative amount, fee on top)."""

    id: int
    asset: str
    amount: Decimal
    fee: Decimal
    time_ms: int

    @property
    def is_deposit(self) -> bool:
        return self.amount > 0


@dataclass(slots=True, eq=False)
class Account:
    key: str
    secret: bytes = field(repr=False)
    user_id: int
    #: What the key may do, from which addresses (None: any), and whether it is valid at all.
    permissions: frozenset[Permission] = ALL_PERMISSIONS
    addresses: frozenset[str] | None = None
    revoked: bool = False
    balances: dict[str, Balance] = field(default_factory=dict)
    #: Opening balance, plus the effect of fills too old to be kept.
    opening: dict[str, Decimal] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    open_orders: dict[int, Order] = field(default_factory=dict)
    client_ids: set[str] = field(default_factory=set)
    fills: deque[Fill] = field(default_factory=deque)
    fills_by_order: dict[int, list[Fill]] = field(default_factory=dict)
    transfers: list[Transfer] = field(default_factory=list)
    #: (time, asset, free, locked) before each change, newest last.
    history: deque[tuple[int, str, Decimal, Decimal]] = field(default_factory=lambda: deque(maxlen=BALANCE_HISTORY_MAX))
    #: (time, asset, amount) of what fills brought in, kept only while it may still be unusable.
    just_filled: deque[tuple[int, str, Decimal]] = field(default_factory=deque)
    #: Wire ids that were given a second time, and the order each of them names now.
    reused: dict[int, Order] = field(default_factory=dict)
    _ended: deque[int] = field(default_factory=deque)

    def may(self, permission: Permission, client_ip: str) -> bool:
        """Whether the key opens this to somebody at this address."""
        return permission in self.permissions and (self.addresses is None or client_ip in self.addresses)

    def balance(self, asset: str) -> Balance:
        found = self.balances.get(asset)
        if found is None:
            found = self.balances[asset] = Balance()
        return found

    def balances_as_of(self, now_ms: int) -> dict[str, tuple[Decimal, Decimal]]:
        """(free, locked) per asset as they stood then, as far back as the history reaches."""
        shown = {asset: (held.free, held.locked) for asset, held in self.balances.items()}
        for time_ms, asset, free, locked in reversed(self.history):
            if time_ms <= now_ms:
                break
            shown[asset] = (free, locked)
        return shown

    def remember_fill(self, fill: Fill) -> None:
        self.fills.append(fill)
        self.fills_by_order.setdefault(fill.order_id, []).append(fill)
        if len(self.fills) > FILLS_KEPT_MAX:
            oldest = self.fills.popleft()
            for asset, change in changes_of(oldest):
                self.opening[asset] = self.opening.get(asset, ZERO) + change
            kept = [row for row in self.fills_by_order[oldest.order_id] if row is not oldest]
            if kept:
                self.fills_by_order[oldest.order_id] = kept
            else:
                del self.fills_by_order[oldest.order_id]

    def forget_fill(self, fill: Fill) -> None:
        """The trade was never made."""
        self.fills.remove(fill)
        rows = self.fills_by_order[fill.order_id]
        rows.remove(fill)
        if not rows:
            del self.fills_by_order[fill.order_id]

    def collect_client_ids(self) -> None:
        """Know all client ids in use, for a rule that forbids using one again."""
        self.client_ids.update(order.client_id for order in self.orders.values())

    def remember_ended(self, order: Order) -> None:
        self.open_orders.pop(order.id, None)
        self._ended.append(order.id)
        if len(self._ended) > ENDED_ORDERS_KEPT_MAX:
            gone = self.orders.pop(self._ended.popleft(), None)
            if gone is not None and self.reused.get(gone.wire_id) is gone:
                del self.reused[gone.wire_id]

    def find(self, wire_id: int) -> Order | None:
        """The order that this id names on the wire; of two with one id, the newer."""
        order = self.reused.get(wire_id) or self.orders.get(wire_id)
        return order if order is not None and order.wire_id == wire_id else None

    def id_to_reuse(self, before_ms: int) -> int | None:
        """The id of the order that ended longest ago, at `before_ms` at the latest, and was not reused yet."""
        ended = [
            (order.ended_ms, order.id)
            for order in self.orders.values()
            if order.ended_ms is not None
            and order.ended_ms <= before_ms
            and order.wire_id == order.id
            and order.id not in self.reused
        ]
        return min(ended)[1] if ended else None


def changes_of(fill: Fill) -> tuple[tuple[str, Decimal], tuple[str, Decimal]]:
    """What one fill does to its account's two balances."""
    gross = fill.quantity * fill.price
    commission = fill.fee + fill.tax
    if fill.side is Side.BUY:
        return (fill.instrument.base, fill.quantity), (fill.instrument.quote, -gross - commission)
    return (fill.instrument.base, -fill.quantity), (fill.instrument.quote, gross - commission)


class Books:
    """Sums per asset of everything that is not in an account, and the check that it all adds up."""

    def __init__(self, accounts: Iterable[Account]) -> None:
        self.accounts = {account.key: account for account in accounts}
        self.fees: dict[str, Decimal] = {}
        self.taxes: dict[str, Decimal] = {}
        self.counterparty: dict[str, Decimal] = {}
        self.outside: dict[str, Decimal] = {}
        self._imbalance: dict[str, Decimal] = {}
        self._touched: list[tuple[Account, Balance, str]] = []

    def post(self, account: Account, asset: str, free: Decimal, locked: Decimal, now_ms: int) -> None:
        """Change one balance by the two amounts."""
        held = account.balance(asset)
        account.history.append((now_ms, asset, held.free, held.locked))
        held.free += free
        held.locked += locked
        self._touched.append((account, held, asset))
        self._owe(asset, free + locked)

    def post_counterparty(self, asset: str, amount: Decimal) -> None:
        self.counterparty[asset] = self.counterparty.get(asset, ZERO) + amount
        self._owe(asset, amount)

    def post_commission(self, asset: str, fee: Decimal, tax: Decimal) -> None:
        self.fees[asset] = self.fees.get(asset, ZERO) + fee
        self.taxes[asset] = self.taxes.get(asset, ZERO) + tax
        self._owe(asset, fee + tax)

    def post_outside(self, asset: str, amount: Decimal) -> None:
        """Money that came into the exchange (positive) or left it (negative)."""
        self.outside[asset] = self.outside.get(asset, ZERO) + amount
        self._owe(asset, -amount)

    def _owe(self, asset: str, amount: Decimal) -> None:
        self._imbalance[asset] = self._imbalance.get(asset, ZERO) + amount

    def settle_step(self) -> None:
        """Assert that what was posted since the last call cancels out and overdrew nobody."""
        for asset, amount in self._imbalance.items():
            if amount != 0:
                raise ConservationError(f"{asset}: a step made {plain(amount)} out of nothing")
        for account, held, asset in self._touched:
            if held.free < 0 or held.locked < 0:
                raise ConservationError(f"{account.key} {asset}: free {plain(held.free)}, locked {plain(held.locked)}")
        self._imbalance.clear()
        self._touched.clear()

    def totals(self) -> dict[str, dict[str, Decimal]]:
        """Per asset: accounts, fees, taxes, counterparty, outside."""
        assets = set(self.fees) | set(self.counterparty) | set(self.outside)
        for account in self.accounts.values():
            assets |= set(account.balances)
        return {
            asset: {
                "accounts": sum((a.balances[asset].total for a in self.accounts.values() if asset in a.balances), ZERO),
                "fees": self.fees.get(asset, ZERO),
                "taxes": self.taxes.get(asset, ZERO),
                "counterparty": self.counterparty.get(asset, ZERO),
                "outside": self.outside.get(asset, ZERO),
            }
            for asset in sorted(assets)
        }

    def audit(self) -> None:
        """Recompute every balance and every lock from first facts; raise on any difference."""
        for asset, total in self.totals().items():
            inside = total["accounts"] + total["fees"] + total["taxes"] + total["counterparty"]
            if inside != total["outside"]:
                raise ConservationError(f"{asset}: {plain(inside)} inside, {plain(total['outside'])} ever brought in")
        for account in self.accounts.values():
            self._audit_account(account)

    def _audit_account(self, account: Account) -> None:
        expected = dict(account.opening)
        for transfer in account.transfers:
            expected[transfer.asset] = expected.get(transfer.asset, ZERO) + transfer.amount - transfer.fee
        for fill in account.fills:
            for asset, change in changes_of(fill):
                expected[asset] = expected.get(asset, ZERO) + change
        holds: dict[str, Decimal] = {}
        for order in account.open_orders.values():
            holds[order.hold_asset] = holds.get(order.hold_asset, ZERO) + order.hold
        for asset, held in account.balances.items():
            if held.total != expected.get(asset, ZERO):
                raise ConservationError(
                    f"{account.key} {asset}: balance {plain(held.total)}, its trades and transfers give "
                    f"{plain(expected.get(asset, ZERO))}"
                )
            if held.locked != holds.get(asset, ZERO):
                raise ConservationError(
                    f"{account.key} {asset}: locked {plain(held.locked)}, "
                    f"open orders hold {plain(holds.get(asset, ZERO))}"
                )
            if held.free < 0 or held.locked < 0:
                raise ConservationError(f"{account.key} {asset}: free {plain(held.free)}, locked {plain(held.locked)}")
