"""Commands that go on until they are told to stop: which signals tell them, and what is left of it afterwards."""

from __future__ import annotations

import signal

import pytest

from btcbot.adapters.stop import StopFlag
from btcbot.cli.stopping import ENDING, ended_by_signals


@pytest.mark.parametrize("number", ENDING)
def test_ctrl_c_a_service_manager_and_a_closed_terminal_end_it_in_good_order(number: signal.Signals) -> None:
    stop, before = StopFlag(), signal.getsignal(number)
    with ended_by_signals(stop):
        signal.raise_signal(number)
        assert stop.is_set()
    assert signal.getsignal(number) == before


def test_a_signal_that_is_not_named_keeps_its_meaning() -> None:
    stop, before = StopFlag(), signal.getsignal(signal.SIGHUP)
    with ended_by_signals(stop, (signal.SIGINT, signal.SIGTERM)):
        assert signal.getsignal(signal.SIGHUP) == before
        assert not stop.is_set()
