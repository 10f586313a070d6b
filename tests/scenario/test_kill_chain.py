"""Failures in a row pull the operator's own brake; who let it go is known, and its time is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.scenario.overseen import OverseenRig

from btcbot.domain.orders import OrderStatus
from btcbot.domain.permit import WriteKind
from btcbot.domain.reasons import ReasonCode

TAKING = ("buy", "0.0005", "1000500")
SYMBOLS = ("BTCTRY", "ETHTRY", "SOLTRY")


@pytest.fixture
def rigs(tmp_path: Path) -> Iterator[Any]:
    made: list[OverseenRig] = []

    def make(**settings: str) -> OverseenRig:
        # What is counted here is the kill chain: refusals must not narrow trading before it trips.
        rig = OverseenRig(
            tmp_path,
            symbols=SYMBOLS,
            **{"REJECT_SPIKE_THRESHOLD": "100", "KILL_CHAIN_MAX_CONSECUTIVE_ERRORS": "3", **settings},
        )
        made.append(rig)
        rig.cycle()
        return rig

    yield make
    for rig in made:
        rig.close()


def refuse(rig: OverseenRig, *symbols: str) -> None:
    for symbol in symbols:
        rig.venue.change_minimum(symbol, "5000")
        rig.wish(*TAKING, symbol)
        rig.cycle()
    assert rig.order().status in {OrderStatus.REFUSED_PROVISIONAL, OrderStatus.REJECTED}


def is_on(rig: OverseenRig) -> bool:
    return rig.kill_switch().is_on()[0]


def test_refused_orders_in_a_row_turn_the_kill_switch_on(rigs: Any) -> None:
    """Mistake 29: the automatic kill switch works in every profile that plugs it in."""
    rig = rigs()
    refuse(rig, "BTCTRY", "ETHTRY")
    rig.cycle(3)
    assert not is_on(rig)
    refuse(rig, "SOLTRY")
    assert is_on(rig)
    assert "kill chain: 3 failed cycles in a row" in rig.kill_switch().is_on()[1]
    assert rig.bot.services.gatekeeper.closed(WriteKind.SUBMIT) == (ReasonCode.KILL_FILE,)
    assert rig.bot.services.gatekeeper.closed(WriteKind.CANCEL) == ()
    sent = len(rig.orders())
    rig.wish(*TAKING)
    rig.cycle(50)
    assert len(rig.orders()) == sent
    assert is_on(rig)


def test_the_row_goes_on_across_a_restart(rigs: Any) -> None:
    rig = rigs()
    refuse(rig, "BTCTRY", "ETHTRY")
    rig.restart()
    rig.cycle()
    refuse(rig, "SOLTRY")
    assert is_on(rig)


def test_an_order_that_is_taken_in_between_ends_the_row(rigs: Any) -> None:
    rig = rigs()
    refuse(rig, "BTCTRY", "ETHTRY")
    rig.wish(*TAKING, "SOLTRY")
    rig.cycle(2)
    refuse(rig, "SOLTRY")
    assert not is_on(rig)


def test_its_expiry_is_enforced_even_across_a_restart(rigs: Any) -> None:
    """Mistake 29: the expiry was stored and never looked at."""
    rig = rigs(KILL_CHAIN_COOLDOWN_SECONDS="120")
    refuse(rig, *SYMBOLS)
    rig.cycle(8)
    assert is_on(rig)
    rig.restart()
    rig.cycle(6)
    assert not is_on(rig)
    assert not rig.kill_switch().path.exists()


def test_a_humans_brake_is_never_let_go(rigs: Any) -> None:
    rig = rigs(KILL_CHAIN_COOLDOWN_SECONDS="30")
    refuse(rig, *SYMBOLS)
    rig.kill_switch().turn_on("leave it on", rig.clock.now_ms())
    rig.cycle(50)
    assert rig.kill_switch().is_on() == (True, "leave it on")


def test_a_human_lets_it_go_and_trading_goes_on(rigs: Any) -> None:
    rig = rigs(KILL_CHAIN_MAX_CONSECUTIVE_ERRORS="2")
    refuse(rig, "BTCTRY", "ETHTRY")
    assert is_on(rig)
    rig.kill_switch().turn_off()
    rig.cycle(2)
    rig.wish(*TAKING, "SOLTRY")
    rig.cycle()
    assert rig.order().status is OrderStatus.ACCEPTED
    assert not is_on(rig)


def test_a_strategy_that_raises_every_time_is_stopped(rigs: Any) -> None:
    rig = rigs()

    class Broken:
        name = "broken"

        def generate(self, context: object) -> Any:
            raise ZeroDivisionError("no trend in an empty window")

    rig.strategy.inner = Broken()
    rig.cycle(3)
    assert is_on(rig)
    assert "strategy_failed" in rig.kill_switch().is_on()[1]


def test_a_day_without_the_venue_turns_nothing_on(rigs: Any) -> None:
    rig = rigs()
    rig.venue.transport.is_up = False
    rig.cycle(30)
    assert not is_on(rig)


def test_without_the_setting_nothing_is_turned_on(rigs: Any) -> None:
    rig = rigs(ENABLE_AUTO_KILL_SWITCH="false")
    refuse(rig, *SYMBOLS)
    assert not is_on(rig)
