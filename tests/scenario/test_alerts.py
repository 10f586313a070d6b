"""Alerts in a bot that runs: from what the one pipeline really records, to a note in the database and a line of log."""

from __future__ import annotations

import pytest
from tests.scenario.overseen import WIDE

from btcbot.domain.notes import NoteKind
from btcbot.profiles import STAGE4
from btcbot.reporting.report import make_report
from btcbot.services.alerts import ALERT_MEMORY, read_alert


class Watched:
    """A rig under `stage4-run`; ten seconds lie between two of its cycles."""

    def __init__(self, make_rig, **options) -> None:
        self.rig = make_rig(**{"profile": STAGE4, **WIDE, **options})

    def cycle(self, times: int = 1) -> None:
        self.rig.cycle(times)

    def restart(self) -> None:
        self.rig.restart()

    def alerts(self) -> list[str]:
        return [read_alert(note).rule for note in self.rig.store.notes(NoteKind.ALERT)]


@pytest.fixture
def watched(make_rig) -> Watched:
    return Watched(make_rig, TTL_SECONDS="3600")


def test_an_hour_of_a_quiet_market_wakes_nobody(watched):
    watched.cycle(360)
    assert watched.alerts() == []


def test_a_venue_in_trouble_is_told_with_what_to_do(watched):
    watched.cycle(2)
    watched.rig.venue.fault("raw_body", "GET", "/api/v1/users/balances", count=None, body="{}", status=502)
    watched.cycle(80)
    alerts = watched.alerts()
    assert {"exchange_degraded", "stuck_cycles"} <= set(alerts)
    note = watched.rig.store.notes(NoteKind.ALERT)[0]
    assert (read_alert(note).meaning, read_alert(note).todo) != ("", "")
    assert watched.rig.store.cycle(note.cycle_id) is not None
    lines = watched.rig.log.events("alert")
    assert [line["rule"] for line in lines] == alerts
    assert alerts.count("stuck_cycles") <= 4, "the same trouble is not told in every cycle"


def test_a_kill_switch_that_was_forgotten_is_told_after_ten_minutes(watched):
    watched.cycle()
    watched.rig.kill_switch().turn_on("for a test", watched.rig.clock.now_ms())
    watched.cycle(55)
    assert "killswitch_stuck_enabled" not in watched.alerts()
    watched.cycle(12)
    assert "killswitch_stuck_enabled" in watched.alerts()


def test_a_restart_goes_on_with_the_windows_and_repeats_nothing(watched):
    watched.rig.kill_switch().turn_on("for a test", watched.rig.clock.now_ms())
    watched.cycle(64)
    told = watched.alerts()
    assert told.count("killswitch_stuck_enabled") == 1
    watched.restart()
    watched.cycle(2)
    assert watched.alerts() == told, "within the pause of a minute"
    watched.cycle(4)
    assert watched.alerts() == [*told, "killswitch_stuck_enabled"]


def test_a_memory_that_cannot_be_read_is_begun_anew(watched):
    watched.cycle()
    with watched.rig.store.transaction() as tx:
        tx.put_value(ALERT_MEMORY, '{"steps": 7}')
    watched.restart()
    watched.cycle(3)
    assert watched.alerts() == []


def test_the_report_on_such_a_life_agrees_to_the_last_digit(make_rig):
    """A bot with trades, deposits, other hands and a crash between them, reported on from its real database."""
    rig = make_rig(symbols=("BTCTRY", "ETHTRY"), TTL_SECONDS="3600")
    rig.cycle()
    for number in range(6):
        rig.wish("buy" if number % 3 else "sell", "0.0009", "1001000" if number % 3 else "999000")
        rig.cycle(2)
        rig.venue.deposit("TRY", f"{100 + number}.25")
        rig.venue.human_orders("buy", "BTCTRY", "0.0002", "1001000")
        rig.wait(5)
        rig.cycle()
        if number == 3:
            rig.crash()
            rig.wait(60)
            rig.start()
    rig.wait(5)
    rig.cycle(4)
    report = make_report(rig.store)
    assert report.findings == []
    assert report.traded.fills >= 4
    assert report.result.identity_holds
    assert report.result.put_in != 10_000


def test_where_they_are_not_wanted_nothing_is_told(make_rig):
    watched = Watched(make_rig, ALERTS_ENABLED="false")
    watched.rig.kill_switch().turn_on("for a test", watched.rig.clock.now_ms())
    watched.cycle(80)
    assert watched.alerts() == []
