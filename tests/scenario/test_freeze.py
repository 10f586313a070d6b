"""Orders that nobody can explain stop new ones, and nothing else; what a human has looked at stays explained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from tests.scenario.overseen import OverseenRig

from btcbot import bootstrap
from btcbot.bootstrap.replay import replay
from btcbot.domain.cycles import CycleOutcome
from btcbot.domain.intents import Intent, Side
from btcbot.domain.notes import NoteKind
from btcbot.domain.orders import OrderStatus, make_client_order_id
from btcbot.domain.permit import WriteKind
from btcbot.domain.reasons import ReasonCode, TradingState
from btcbot.services.freeze_record import ORDER_FREEZE, is_frozen, read_freeze, read_watched
from btcbot.strategies.base import StrategyContext
from btcbot.testing.scripted_strategy import ScriptedStrategy

TAKING = ("buy", "0.0005", "1000500")
RESTING = ("buy", "0.0005", "999000")
FROZEN = ReasonCode.UNEXPLAINED_ORDERS


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[OverseenRig]:
    rig = OverseenRig(tmp_path)
    rig.cycle()
    yield rig
    rig.close()


def of_another_bot(rig: OverseenRig, price: str = "990000", number: int = 1) -> str:
    """A resting order of a second btcbot that trades with the same key out of another database."""
    placed = rig.venue.human_orders("buy", "BTCTRY", "0.001", price)
    order = next(one for one in rig.venue.working() if one.id == placed)
    order.client_id = make_client_order_id("zzzz", rig.clock.now_ms(), number)
    return f"venue:{placed}"


def clear(rig: OverseenRig) -> None:
    record = read_freeze(rig.store)
    assert record is not None
    assert rig.ask("freeze_clear", orders=",".join(order.key for order in record.orders)).done


def test_our_own_resting_orders_never_freeze_us(rig: OverseenRig) -> None:
    """Mistake 5: known by the client id that was sent, through restart, partial fill, cancel and doubt."""
    rig.wish(*RESTING)
    rig.cycle(5)
    rig.venue.fault("lost_after", "POST")
    rig.restart()
    rig.cycle(10)
    rig.wish("buy", "0.0004", "998000")
    rig.cycle(20)
    assert not is_frozen(rig.store)
    assert rig.notes(NoteKind.FREEZE) == []
    rig.heal()
    assert rig.faults() == []


def test_a_humans_own_orders_do_not_freeze_by_default(rig: OverseenRig) -> None:
    rig.venue.human_orders("buy", "BTCTRY", "0.001", "990000")
    rig.cycle(20)
    rig.wish(*TAKING)
    rig.cycle()
    assert rig.order().status is OrderStatus.ACCEPTED
    assert not is_frozen(rig.store)
    assert rig.venue.requests("DELETE") == []


def test_they_do_where_somebody_wants_it_and_are_left_alone(tmp_path: Path) -> None:
    rig = OverseenRig(tmp_path, STAGE4_UNKNOWN_FREEZE_THRESHOLD="1")
    rig.cycle()
    placed = rig.venue.human_orders("buy", "BTCTRY", "0.001", "990000")
    rig.cycle(4)
    assert is_frozen(rig.store)
    assert rig.venue.requests("DELETE") == []
    assert [row["status"] for row in rig.venue.orders() if row["id"] == placed] == ["Untouched"]
    clear(rig)
    rig.cycle(20)
    assert not is_frozen(rig.store)
    rig.close()


def test_another_bot_with_our_key_freezes_new_orders_and_lets_cancels_through(rig: OverseenRig) -> None:
    """Also one that was wished in the very cycle that froze: the gate is asked anew before each write."""
    rig.wish(*RESTING)
    rig.cycle()
    of_another_bot(rig)
    rig.cycle(2)
    assert not is_frozen(rig.store)
    rig.wish(*TAKING)
    report = rig.cycle()
    assert report.outcome is CycleOutcome.OBSERVE_ONLY
    assert any(reason.startswith(FROZEN.value) for reason in report.reasons)
    assert len(rig.orders()) == 1
    assert rig.bot.services.gatekeeper.closed(WriteKind.SUBMIT) == (FROZEN,)
    assert rig.bot.services.gatekeeper.closed(WriteKind.CANCEL) == ()
    rig.cycle(8)
    assert rig.order().status is OrderStatus.CANCELED  # past its time
    assert len(rig.venue.working()) == 1  # the other bot's order is left alone
    assert rig.metrics.value("btcbot_orders_frozen") == 1


def test_a_freeze_holds_across_restarts_and_profiles_until_a_human_clears_it(rig: OverseenRig) -> None:
    key = of_another_bot(rig)
    rig.cycle(3)
    assert is_frozen(rig.store)
    placed = int(key.removeprefix("venue:"))
    rig.venue.cancel(placed)
    rig.restart()
    rig.wish(*TAKING)
    rig.cycle(20)
    assert is_frozen(rig.store)  # the cause is gone, the question who it was is not
    assert rig.orders() == []
    assert rig.state() is not TradingState.FROZEN  # that word is for money in suspense
    clear(rig)
    rig.cycle()
    assert rig.order().status is OrderStatus.ACCEPTED
    assert [note["what"] for note in rig.notes(NoteKind.FREEZE)] == ["frozen", "cleared"]


def test_what_was_acknowledged_never_freezes_again_and_the_next_one_does(rig: OverseenRig) -> None:
    of_another_bot(rig)
    rig.cycle(3)
    clear(rig)
    rig.cycle(10)
    rig.restart()
    rig.cycle(10)
    assert not is_frozen(rig.store)
    second = of_another_bot(rig, "980000", 2)
    rig.cycle(3)
    record = read_freeze(rig.store)
    assert record is not None
    assert [order.key for order in record.orders] == [second]


def test_what_came_after_the_look_is_not_acknowledged_with_it(rig: OverseenRig) -> None:
    first = of_another_bot(rig)
    rig.cycle(3)
    of_another_bot(rig, "980000", 2)
    rig.cycle(3)
    answer = rig.ask("freeze_clear", orders=first)
    assert not answer.done
    assert "1 more order(s) froze since you looked" in answer.text
    assert is_frozen(rig.store)
    clear(rig)
    assert not rig.ask("freeze_clear", orders=first).done
    assert [note["what"] for note in rig.notes(NoteKind.FREEZE)] == ["frozen", "extended", "cleared"]


def test_the_count_begins_by_itself_and_goes_on_across_a_restart(rig: OverseenRig) -> None:
    """Mistake 19c: the counter was only kept while a freeze was active, so it never started one."""
    of_another_bot(rig)
    rig.cycle(2)
    assert [one.cycles for one in read_watched(rig.store).values()] == [2]
    rig.restart()
    rig.cycle()
    assert is_frozen(rig.store)


def test_an_order_of_ours_that_the_venue_does_not_show_freezes_when_its_proof_is_overdue(rig: OverseenRig) -> None:
    """The venue shows it neither as open nor by its id, and tells no trade of it."""
    rig.wish(*RESTING)
    rig.cycle()
    hide(rig)
    rig.cycle(4)
    assert not is_frozen(rig.store)
    rig.cycle(3)
    record = read_freeze(rig.store)
    assert record is not None
    assert [order.kind.value for order in record.orders] == ["missing"]
    rig.venue.clear_faults()
    clear(rig)
    rig.heal()
    assert rig.faults() == []


def test_a_filled_order_whose_trades_come_late_freezes_nothing(rig: OverseenRig) -> None:
    """What used to happen: the venue told it as filled by its id, and the bot stood still until a human came."""
    rig.venue.fault("hide_new", "GET", "/api/v1/users/transactions", count=None, lag_ms=300_000)
    rig.wish(*TAKING)
    rig.cycle(30)
    assert rig.order().status is OrderStatus.ACCEPTED
    assert rig.notes(NoteKind.FREEZE) == []
    rig.cycle(5)
    rig.venue.clear_faults()
    rig.heal()
    assert rig.order().status is OrderStatus.FILLED
    assert not is_frozen(rig.store)
    assert rig.faults() == []


def hide(rig: OverseenRig) -> None:
    """From now on the venue knows nothing of any order."""
    rig.venue.answer("/api/v1/openOrders", {"data": {"asks": [], "bids": []}, "success": True}, count=None)
    forgotten = '{"data":null,"success":false,"message":"NO_ORDER_MATCHES_YOUR_REQUEST","code":1052}'
    rig.venue.fault("raw_body", "GET", "/api/v1/order/", count=None, status=400, body=forgotten)


def test_a_freeze_on_a_missing_order_ends_by_itself_when_the_books_have_closed_it(tmp_path: Path) -> None:
    rig = OverseenRig(tmp_path, TTL_SECONDS="3600")
    rig.cycle()
    rig.wish(*TAKING)
    rig.cycle(2)
    rig.wish("sell", "0.0005", "1001000")
    rig.cycle()
    hide(rig)
    rig.cycle(7)
    assert is_frozen(rig.store)
    rig.venue.clear_faults()
    rig.restart()
    rig.cycle(5)
    assert rig.order().is_open
    assert is_frozen(rig.store), "it is shown again, and not yet closed"
    assert rig.ask("cancel", client_order_id="all").done
    rig.cycle(2)
    assert rig.order().status is OrderStatus.CANCELED
    assert not is_frozen(rig.store)
    frozen, explained = rig.notes(NoteKind.FREEZE)
    assert (frozen["what"], explained["what"]) == ("frozen", "explained")
    assert explained["orders"] == frozen["orders"]
    assert explained["lasted_ms"] >= 10_000
    assert rig.metrics.value("btcbot_orders_frozen") == 0
    rig.wish(*TAKING)
    rig.cycle()
    assert rig.order().status is OrderStatus.ACCEPTED
    rig.heal()
    assert rig.faults() == []
    rig.close()


class Rests:
    """Wishes a buy a little below the market, where none of ours is open."""

    name = ScriptedStrategy.name

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        return [
            Intent(
                intent_id=f"{context.cycle_id}:{symbol}",
                cycle_id=context.cycle_id,
                strategy=self.name,
                symbol=symbol,
                side=Side.BUY,
                price=quote.bid - 100,
                quantity=Decimal("0.0005"),
                why="it rests",
            )
            for symbol, quote in context.quotes.items()
            if symbol not in context.symbols_with_open_orders
        ]


def test_a_freeze_that_ended_by_itself_comes_out_again_when_it_is_played_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "build", partial(bootstrap.build, with_journal=True))
    rig = OverseenRig(tmp_path, strategy=lambda _: Rests())
    rig.cycle(3)
    hide(rig)
    rig.cycle(8)
    rig.venue.clear_faults()
    rig.restart()
    rig.cycle(4)
    assert [note["what"] for note in rig.notes(NoteKind.FREEZE)] == ["frozen", "explained"]
    rig.crash()
    same = replay(rig.database, lambda _: Rests())
    assert (same.difference, same.cycles) == (None, 15)


def test_with_another_bots_order_beside_it_a_human_has_to_look(rig: OverseenRig) -> None:
    rig.wish(*RESTING)
    rig.cycle()
    hide(rig)
    rig.cycle(7)
    rig.venue.clear_faults()
    key = of_another_bot(rig)
    rig.cycle(10)
    assert not rig.order().is_open
    rig.venue.cancel(int(key.removeprefix("venue:")))
    rig.cycle(10)
    assert is_frozen(rig.store)
    assert [note["what"] for note in rig.notes(NoteKind.FREEZE)] == ["frozen", "extended"]


def test_a_lagging_list_freezes_nothing(rig: OverseenRig) -> None:
    rig.venue.fault("lag", "GET", "/api/v1/openOrders", count=None, lag_ms=15_000)
    rig.wish(*RESTING)
    rig.cycle(12)
    assert not is_frozen(rig.store)
    rig.heal()
    assert rig.faults() == []


def test_a_disowned_order_counts_as_somebodys_own(rig: OverseenRig) -> None:
    key = of_another_bot(rig)
    assert rig.ask("disown", venue_order_id=key.removeprefix("venue:"), reason="an old copy of this database").done
    rig.cycle(10)
    assert not is_frozen(rig.store)


def test_without_the_setting_nothing_freezes_by_itself(tmp_path: Path) -> None:
    rig = OverseenRig(tmp_path, STAGE4_UNKNOWN_FREEZE_ENABLED="false")
    of_another_bot(rig)
    rig.cycle(10)
    assert not is_frozen(rig.store)
    rig.close()


def test_a_freeze_that_cannot_be_read_holds_and_can_be_cleared(rig: OverseenRig) -> None:
    with rig.store.transaction() as tx:
        tx.put_value(ORDER_FREEZE, "{damaged")
    rig.wish(*TAKING)
    rig.cycle(2)
    assert rig.orders() == []
    clear(rig)
    rig.cycle()
    assert rig.order().status is OrderStatus.ACCEPTED
