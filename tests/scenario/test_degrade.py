"""Anomalies narrow trading, level by level, across cycles and restarts; and it comes back."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.scenario.overseen import OverseenRig

from btcbot.domain.cycles import CycleOutcome
from btcbot.domain.ledger import EntryKind
from btcbot.domain.notes import NoteKind
from btcbot.domain.orders import OrderStatus
from btcbot.domain.reasons import ReasonCode
from btcbot.services.degrade_record import DEGRADE

TAKING = ("buy", "0.0005", "1000500")
#: Short, so that a story of a few minutes is enough.
SETTINGS = {"DEGRADE_COOLDOWN_SECONDS": "30", "REJECT_SPIKE_WINDOW_CYCLES": "3"}


@pytest.fixture
def rigs(tmp_path: Path) -> Iterator[Any]:
    made: list[OverseenRig] = []

    def make(**options: Any) -> OverseenRig:
        rig = OverseenRig(tmp_path, **{**SETTINGS, **options})
        made.append(rig)
        rig.cycle(3)
        return rig

    yield make
    for rig in made:
        rig.close()


@pytest.fixture
def rig(rigs: Any) -> OverseenRig:
    made: OverseenRig = rigs()
    return made


def refuse_an_order(rig: OverseenRig, symbol: str) -> None:
    """The venue has just raised its minimum, and the bot does not know yet."""
    rig.venue.change_minimum(symbol, "5000")
    rig.wish(*TAKING, symbol)
    rig.cycle()


def close_an_endpoint(rig: OverseenRig) -> None:
    """As often as a read is tried the venue answers that it is asked too much."""
    rig.venue.fault("rate_limited", "GET", "/api/v1/users/balances", count=3)


def test_a_quiet_market_is_not_a_stuck_bot(rig: OverseenRig) -> None:
    """Mistake 19: hours without a wish, a trade or a change of price."""
    rig.cycle(300)
    assert rig.anomalies() == []
    assert rig.level() == 0
    assert rig.metrics.value("btcbot_degrade_level") == 0


def test_orders_that_the_venue_keeps_refusing_make_the_bot_smaller(rigs: Any) -> None:
    """And they are counted over cycles, and over a restart in their middle: mistake 19."""
    symbols = ("BTCTRY", "ETHTRY", "SOLTRY", "ADATRY")
    rig = rigs(symbols=symbols, DEGRADE_WARN_THRESHOLD="1", REJECT_SPIKE_WINDOW_CYCLES="4")
    refuse_an_order(rig, "BTCTRY")
    refuse_an_order(rig, "ETHTRY")
    rig.restart()
    rig.cycle()
    refuse_an_order(rig, "SOLTRY")
    assert len(rig.orders()) == 3
    assert rig.anomalies() == []
    rig.wish("buy", "0.0010", "1000500", "ADATRY")
    rig.cycle()
    assert rig.anomalies() == ["ORDER_REJECT_SPIKE"]
    assert rig.level() == 1
    assert rig.order().quantity == Decimal("0.0005")  # half of what was wished
    rig.heal()
    assert rig.faults() == []


def test_a_slow_cycle_is_held_against_the_next_one(rigs: Any) -> None:
    rig = rigs(LATENCY_SPIKE_MS="500", DEGRADE_WARN_CODES="EXCHANGE_LATENCY_SPIKE", DEGRADE_WARN_THRESHOLD="1")
    rig.venue.fault("delay_after", "GET", "/api/v1/users/balances", delay_ms=600)
    rig.cycle()
    rig.wish("buy", "0.0010", "1000500")
    rig.cycle()
    assert rig.level() == 1
    assert rig.order().quantity == Decimal("0.0005")


def test_an_open_breaker_leads_to_level_3_and_is_seen_although_the_cycle_saw_no_market(rig: OverseenRig) -> None:
    """Mistake 19b: the breaker was never seen, because an empty snapshot was read."""
    close_an_endpoint(rig)
    report = rig.cycle()
    assert report.outcome is CycleOutcome.OBSERVE_ONLY
    assert rig.anomalies() == ["BREAKER_OPEN"]
    assert rig.level() == 3
    rig.wish(*TAKING)
    report = rig.cycle(3)
    assert rig.orders() == []
    assert any(reason.startswith(f"{ReasonCode.DEGRADED.value}: level 3: BREAKER_OPEN") for reason in report.reasons)
    rig.cycle(40)
    assert rig.level() == 0
    rig.wish(*TAKING)
    rig.cycle()
    changes = [(note["what"], note["before"], note["after"]) for note in rig.notes(NoteKind.DEGRADE)]
    assert changes == [("raised", 0, 3), ("lowered", 3, 2), ("lowered", 2, 1), ("lowered", 1, 0)]
    assert rig.order().status is OrderStatus.ACCEPTED
    rig.heal()
    assert rig.faults() == []


def test_a_level_and_its_cooldown_live_through_a_restart(rigs: Any) -> None:
    rig = rigs(DEGRADE_COOLDOWN_SECONDS="300")
    close_an_endpoint(rig)
    rig.cycle(3)
    assert rig.level() == 3
    rig.restart()
    rig.wish(*TAKING)
    rig.cycle(10)
    assert rig.level() == 3
    assert rig.orders() == []


def test_a_trade_list_that_never_answers_while_the_rest_does_is_a_stalled_cursor(rigs: Any) -> None:
    rig = rigs(CURSOR_STALL_CYCLES="3")
    rig.venue.fault("status_before", "GET", "/api/v1/users/transactions/trade", count=None, status=500)
    rig.cycle(3)
    assert rig.anomalies() == []
    rig.cycle()
    assert rig.anomalies() == ["CURSOR_STALL"]


def test_a_venue_that_is_down_stalls_no_cursor_and_is_no_quiet_time_either(rigs: Any) -> None:
    rig = rigs(CURSOR_STALL_CYCLES="3")
    close_an_endpoint(rig)
    rig.cycle()
    rig.venue.transport.is_up = False
    rig.cycle(40)
    assert rig.anomalies()[0] == "BREAKER_OPEN"
    assert "CURSOR_STALL" not in rig.anomalies()
    assert rig.level() == 3
    rig.heal()


def test_money_that_nobody_explains_is_an_anomaly_and_a_deposit_is_none(rig: OverseenRig) -> None:
    rig.venue.deposit("TRY", "5000")
    rig.cycle(10)
    rig.venue.human_orders("buy", "BTCTRY", "0.002", "1000500")
    rig.wait(1)
    rig.cycle(10)
    rig.wish(*TAKING)
    rig.cycle(3)
    rig.venue.price("BTCTRY", "700000")
    rig.cycle(3)
    assert rig.anomalies() == []
    rig.venue.take_unseen("TRY", "250")
    rig.cycle(8)
    assert rig.anomalies() == ["PNL_DIVERGENCE"]
    assert "250 TRY less" in rig.notes(NoteKind.ANOMALY)[0]["detail"]
    assert rig.level() == 3
    entry = next(entry for entry in rig.store.entries() if entry.kind is EntryKind.SUSPENSE)
    assert rig.ask("explain", entry_id=entry.entry_id, meaning="withdrawal", reason="the venue's mail").done
    rig.cycle(40)
    assert rig.level() == 0
    assert rig.anomalies() == ["PNL_DIVERGENCE"]
    assert rig.faults() == []


def test_a_feed_that_stalls_narrows_and_recovers_while_rest_goes_on(rigs: Any) -> None:
    rig = rigs(has_feed=True, FEED_STALL_SECONDS="20")
    rig.pause(30)
    rig.cycle(5)
    assert rig.anomalies() == []
    rig.cut_feed(is_cut=True)
    for _ in range(20):
        rig.cycle()
        rig.pause(1)
    assert rig.anomalies() == ["FEED_STALLED"]
    assert rig.level() >= 1
    rig.cut_feed(is_cut=False)
    for _ in range(40):
        rig.cycle()
        rig.pause(1)
    assert rig.level() == 0


def test_a_human_overrides_and_clears(rig: OverseenRig) -> None:
    """A running bot is asked by request."""
    assert rig.ask("degrade_override", mode="OBSERVE_ONLY", seconds="60", reason="maintenance").done
    rig.wish(*TAKING)
    rig.cycle(5)
    assert rig.orders() == []
    assert rig.metrics.value("btcbot_degrade_level") == 3
    rig.cycle(2)
    assert rig.level() == 0
    assert rig.order().status is OrderStatus.ACCEPTED
    assert rig.ask("degrade_override", mode="REDUCE_RISK_ONLY", seconds="600", reason="thin books").done
    rig.wish("sell", "0.0005", "999500")
    rig.cycle()
    assert rig.order().side == "sell"
    rig.wish(*TAKING)
    rig.cycle()
    assert len(rig.orders()) == 2
    assert rig.ask("degrade_clear", reason="done").done
    rig.wish(*TAKING)
    rig.cycle()
    assert len(rig.orders()) == 3
    assert [(note["what"], note["after"]) for note in rig.notes(NoteKind.DEGRADE)] == [
        ("overridden", 3), ("override_ended", 0), ("overridden", 2), ("cleared", 0)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "seconds", "word"),
    [
        ("SLEEP", "60", "no mode"), ("OBSERVE_ONLY", "0", "no time"), ("OBSERVE_ONLY", "abc", "seconds"),
        ("OBSERVE_ONLY", "-5", "seconds"), ("NORMAL", "9" * 30, "seconds"),
    ],
)  # fmt: skip
def test_an_override_that_makes_no_sense_is_refused(rig: OverseenRig, mode: str, seconds: str, word: str) -> None:
    answer = rig.ask("degrade_override", mode=mode, seconds=seconds, reason="x")
    assert not answer.done
    assert word in answer.text
    assert rig.level() == 0


def test_a_state_that_cannot_be_read_is_the_strictest(rig: OverseenRig) -> None:
    with rig.store.transaction() as tx:
        tx.put_value(DEGRADE, "{damaged")
    rig.wish(*TAKING)
    report = rig.cycle(2)
    assert rig.orders() == []
    assert any("cannot be read" in reason for reason in report.reasons)
    assert rig.ask("degrade_clear", reason="looked").done
    rig.cycle()
    assert rig.order().status is OrderStatus.ACCEPTED


def test_orders_that_are_frozen_count_for_the_level(rig: OverseenRig) -> None:
    """Mistake 20: the freeze is a real input."""
    from tests.scenario.test_freeze import clear, of_another_bot

    of_another_bot(rig)
    rig.cycle(3)
    assert rig.level() == 2
    assert rig.notes(NoteKind.DEGRADE)[-1]["why"].startswith("orders are frozen")
    clear(rig)
    rig.cycle()
    assert rig.level() == 0
