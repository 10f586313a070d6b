"""What every `Exchange` promises, as tests: subclass `ExchangeContract` and give `make`.

class TestSimulated(ExchangeContract):
    def make(self) -> ExchangeRig: ...
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise

import pytest

from btcbot.domain.account import AccountSnapshot
from btcbot.domain.fills import VenueTrade
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Side
from btcbot.domain.market import Quote
from btcbot.domain.orders import Order, OrderStatus
from btcbot.domain.outcomes import Accepted, Canceled, CancelRequested, InDoubt, NotSent, Refused, Simulated
from btcbot.domain.permit import Permit, PermitScope, WriteKind
from btcbot.domain.venue import Transfer, VenueOrder
from btcbot.errors import InvariantBroken
from btcbot.ports import Exchange, VenueHealth

CLIENT_ID = "btcbot-contract-19a-1"


@dataclass
class ExchangeRig:
    """An exchange that lists `symbol`, with an order that it would take, and a count of the writes that got out.

    `takes_orders` False: it only records the wish for them, as a dry run does.
    """

    exchange: Exchange
    scope: PermitScope
    symbol: str
    price: Decimal
    quantity: Decimal
    writes_seen: Callable[[], int]
    takes_orders: bool = True
    monotonic_ms: Callable[[], int] = field(default=lambda: time.monotonic_ns() // 1_000_000)
    close: Callable[[], None] = field(default=lambda: None)

    def order(self, **changes: object) -> Order:
        now_ms = time.time_ns() // 1_000_000
        fields: dict[str, object] = {
            "client_order_id": CLIENT_ID,
            "intent_id": "intent",
            "cycle_id": "cycle",
            "strategy": "contract",
            "symbol": self.symbol,
            "side": Side.BUY,
            "price": self.price,
            "quantity": self.quantity,
            "status": OrderStatus.SUBMITTED,
            "created_at_ms": now_ms,
            "updated_at_ms": now_ms,
        }
        return Order(**{**fields, **changes})  # type: ignore[arg-type]

    def permit(self, asked: WriteKind, **changes: object) -> Permit:
        fields: dict[str, object] = {
            "kind": asked,
            "scope": self.scope,
            "client_order_id": CLIENT_ID,
            "issued_at_ms": self.monotonic_ms(),
        }
        return Permit(**{**fields, **changes})  # type: ignore[arg-type]


class ExchangeContract(ABC):
    """The suite. Each test gets a rig of its own."""

    @abstractmethod
    def make(self) -> ExchangeRig:
        """An implementation to be tried, with what it stands on."""

    @pytest.fixture
    def rig(self) -> Iterator[ExchangeRig]:
        rig = self.make()
        yield rig
        rig.exchange.close()
        rig.close()

    def test_venue_time_does_not_stand_far_from_ours(self, rig: ExchangeRig) -> None:
        first = rig.exchange.venue_time_ms()
        assert isinstance(first, int)
        assert rig.exchange.venue_time_ms() >= first

    def test_instruments_are_listed_by_symbol(self, rig: ExchangeRig) -> None:
        listed = rig.exchange.instruments()
        assert isinstance(listed, Mapping)
        assert all(isinstance(each, Instrument) and each.symbol == symbol for symbol, each in listed.items())
        instrument = listed[rig.symbol]
        assert instrument.is_on_tick(rig.price)
        assert instrument.is_on_lot(rig.quantity)
        assert rig.price * rig.quantity >= instrument.value_min

    def test_quotes_of_what_was_asked_and_no_other(self, rig: ExchangeRig) -> None:
        quotes = rig.exchange.quotes([rig.symbol])
        assert set(quotes) == {rig.symbol}
        assert all(isinstance(quote, Quote) for quote in quotes.values())
        assert set(rig.exchange.quotes([rig.symbol, "A1", "A2", "A3", "A4", "A5"])) == {rig.symbol}
        assert rig.exchange.quotes([]) == {}

    def test_the_account_is_told_in_exact_numbers(self, rig: ExchangeRig) -> None:
        snapshot = rig.exchange.balances()
        assert isinstance(snapshot, AccountSnapshot)
        assert snapshot.asked_at_ms <= snapshot.received_at_ms
        assert all(isinstance(each.total, Decimal) for each in snapshot.balances.values())
        assert snapshot.free("TRY") > 0

    def test_lists_are_lists_of_their_kind(self, rig: ExchangeRig) -> None:
        since_ms = rig.exchange.venue_time_ms() - 60_000
        exchange = rig.exchange
        for listed in (
            exchange.open_orders(),
            exchange.open_orders(rig.symbol),
            exchange.all_orders(rig.symbol, since_ms),
        ):
            assert all(isinstance(each, VenueOrder) for each in listed)
        for trades in (exchange.trades(since_ms), exchange.trades_of("987654321")):
            assert all(isinstance(each, VenueTrade) for each in trades)
        assert all(isinstance(each, Transfer) for each in exchange.transfers(since_ms))

    def test_an_unknown_order_is_none(self, rig: ExchangeRig) -> None:
        assert rig.exchange.order("987654321") is None

    def test_stamps_strictly_increase(self, rig: ExchangeRig) -> None:
        stamps = [rig.exchange.take_stamp() for _ in range(50)]
        assert all(a < b for a, b in pairwise(stamps))
        assert abs(stamps[0] - rig.exchange.venue_time_ms()) < 3_000

    def test_a_submit_is_one_write_at_most_and_an_outcome(self, rig: ExchangeRig) -> None:
        stamp_ms = rig.exchange.take_stamp()
        made = rig.exchange.submit(rig.order(stamp_ms=stamp_ms), rig.permit(WriteKind.SUBMIT))
        if not rig.takes_orders:
            assert made == Simulated()
            assert rig.writes_seen() == 0
        else:
            assert isinstance(made, (Accepted, Refused, InDoubt, NotSent))
            assert rig.writes_seen() <= 1
            assert isinstance(made, Accepted), f"the rig's order should have been taken: {made}"

    def test_a_cancel_is_an_outcome_and_harmless_to_repeat(self, rig: ExchangeRig) -> None:
        stamp_ms = rig.exchange.take_stamp()
        placed = rig.exchange.submit(rig.order(stamp_ms=stamp_ms), rig.permit(WriteKind.SUBMIT))
        venue_order_id = placed.venue_order_id if isinstance(placed, Accepted) else "1"
        for _ in range(2):
            order = rig.order(venue_order_id=venue_order_id)
            made = rig.exchange.cancel(order, rig.permit(WriteKind.CANCEL))
            if not rig.takes_orders:
                assert made == Simulated()
            else:
                assert isinstance(made, (CancelRequested, Canceled, Refused))
        if not rig.takes_orders:
            assert rig.writes_seen() == 0

    @pytest.mark.parametrize(
        "wrong",
        [{"kind": WriteKind.CANCEL}, {"client_order_id": "btcbot-other-1-1"}, {"scope": None}],
        ids=["kind", "order", "world"],
    )
    def test_a_write_without_its_permit_is_a_broken_invariant(self, rig: ExchangeRig, wrong: dict[str, object]) -> None:
        if "scope" in wrong:
            other = {PermitScope.VENUE: PermitScope.SIMULATION, PermitScope.SIMULATION: PermitScope.VENUE}
            wrong = {"scope": other[rig.scope]}
        stamp_ms = rig.exchange.take_stamp()
        with pytest.raises(InvariantBroken, match="I6"):
            rig.exchange.submit(rig.order(stamp_ms=stamp_ms), rig.permit(WriteKind.SUBMIT, **wrong))
        if "kind" in wrong:
            wrong = {"kind": WriteKind.SUBMIT}
        with pytest.raises(InvariantBroken, match="I6"):
            rig.exchange.cancel(rig.order(venue_order_id="1"), rig.permit(WriteKind.CANCEL, **wrong))
        assert rig.writes_seen() == 0

    def test_a_write_with_an_old_permit_never_leaves(self, rig: ExchangeRig) -> None:
        """A machine may pause between the gates and the write; that is nobody's fault, so nothing is broken."""
        too_old_ms = rig.monotonic_ms() - 1_001
        stamp_ms = rig.exchange.take_stamp()
        submit = rig.permit(WriteKind.SUBMIT, issued_at_ms=too_old_ms)
        cancel = rig.permit(WriteKind.CANCEL, issued_at_ms=too_old_ms)
        made = [
            rig.exchange.submit(rig.order(stamp_ms=stamp_ms), submit),
            rig.exchange.cancel(rig.order(venue_order_id="1"), cancel),
        ]
        if rig.takes_orders:
            assert [type(outcome) for outcome in made] == [NotSent, NotSent]
        assert rig.writes_seen() == 0

    def test_health_is_told_at_any_time(self, rig: ExchangeRig) -> None:
        assert isinstance(rig.exchange.health(), VenueHealth)
        rig.exchange.venue_time_ms()
        health = rig.exchange.health()
        assert health.unauthorized_in_a_row == 0
        assert health.endpoints_closed == ()

    def test_closing_twice_harms_nothing(self, rig: ExchangeRig) -> None:
        rig.exchange.close()
        rig.exchange.close()
