"""Alerts in a bot that runs: from what the one pipeline really records, to a note in the database and a line of log."""

from __future__ import annotations

import socket

import pytest
from tests.scenario.overseen import WIDE

from btcbot.decisions.freeze import FreezeRecord, Unexplained, UnexplainedKind
from btcbot.domain.alerts import Alert
from btcbot.domain.cycles import CycleOutcome
from btcbot.domain.notes import NoteKind
from btcbot.domain.reasons import ReasonCode
from btcbot.profiles import RUN, STAGE4
from btcbot.reporting.report import make_report
from btcbot.services.alerts import ALERT_MEMORY, read_alert
from btcbot.services.freeze_record import ORDER_FREEZE, encoded


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


def told_first(rig, rule: str) -> Alert:
    return next(alert for note in rig.store.notes(NoteKind.ALERT) if (alert := read_alert(note)).rule == rule)


class TestABrakeThatDoesItsWork:
    """It is told as what it is, and never as trouble with the exchange."""

    def lost(self, make_rig, **limits) -> Watched:
        watched = Watched(make_rig, TTL_SECONDS="3600", NOTIONAL_CAP_TRY_PER_CYCLE="2000", **limits)
        watched.cycle()
        watched.rig.wish("buy", "0.0009", "1000500")
        watched.cycle(2)
        watched.rig.venue.price("BTCTRY", "950000")
        return watched

    def test_the_loss_of_the_day_is_not_told_as_trouble_with_the_exchange(self, make_rig):
        """«exchange_degraded» every five minutes, «wait when it is the venue», then «stuck_cycles» until midnight."""
        watched = self.lost(make_rig, RISK_MAX_DAILY_DRAWDOWN_TRY="20", MAX_DAILY_LOSS_TRY="400")
        watched.cycle(120)
        assert watched.rig.store.cycles(1)[0].outcome is CycleOutcome.OBSERVE_ONLY
        alerts = watched.alerts()
        assert set(alerts) == {"daily_loss_stop"}
        assert 1 <= alerts.count("daily_loss_stop") <= 4, "twenty minutes, told every five"
        assert "midnight in Istanbul" in told_first(watched.rig, "daily_loss_stop").todo

    def test_a_level_that_orders_nothing_is_told_as_a_level(self, make_rig):
        watched = Watched(make_rig)
        watched.cycle()
        asked = {"mode": "OBSERVE_ONLY", "seconds": "3600", "reason": "thin books"}
        assert watched.rig.ask("degrade_override", **asked).done
        watched.cycle(70)
        assert watched.rig.store.cycles(1)[0].outcome is CycleOutcome.OBSERVE_ONLY
        assert set(watched.alerts()) == {"degraded_mode_stuck"}

    def test_a_venue_that_fails_on_such_a_day_is_still_told(self, make_rig):
        watched = self.lost(make_rig, RISK_MAX_DAILY_DRAWDOWN_TRY="20", MAX_DAILY_LOSS_TRY="400")
        watched.cycle(10)
        watched.rig.venue.fault("raw_body", "GET", "/api/v1/users/balances", count=None, body="{}", status=502)
        watched.cycle(80)
        assert {"exchange_degraded", "stuck_cycles"} <= set(watched.alerts())

    def test_a_drawdown_tells_the_owner_that_only_a_command_ends_it(self, make_rig):
        """An unattended bot stopped buying for good, its cycles completed, and nobody was told."""
        watched = self.lost(make_rig, RISK_MAX_DRAWDOWN_TRY="30")
        watched.cycle(5)
        assert watched.alerts() == [], "one minute has to pass"
        watched.cycle(8)
        assert watched.alerts() == ["drawdown_breach"]
        assert watched.rig.store.cycles(1)[0].outcome is CycleOutcome.COMPLETED
        assert "«btcbot budget reset --reason …»" in told_first(watched.rig, "drawdown_breach").todo
        metrics = watched.rig.metrics
        assert metrics.value("btcbot_budget_mode", mode="REDUCE_RISK_ONLY") == 1
        assert metrics.value("btcbot_budget_mode", mode="NORMAL") == 0
        assert metrics.value("btcbot_budget_limit_reached", limit="drawdown") == 1
        assert metrics.value("btcbot_budget_limit_reached", limit="exposure") == 0
        assert watched.rig.ask("budget_reset", reason="looked at it").done
        told = watched.alerts()
        watched.cycle(30)
        assert watched.alerts() == told, "the reset ends it"
        assert metrics.value("btcbot_budget_mode", mode="NORMAL") == 1

    def test_a_fall_that_reaches_several_limits_is_told_as_one_trouble_by_the_worst(self, make_rig):
        watched = self.lost(
            make_rig, MAX_DAILY_LOSS_TRY="20", RISK_MAX_DAILY_DRAWDOWN_TRY="30", RISK_MAX_DRAWDOWN_TRY="40"
        )
        watched.cycle(90)
        assert set(watched.alerts()) == {"drawdown_breach"}

    def test_a_limit_that_stops_buys_for_long_is_told(self, make_rig):
        watched = self.lost(make_rig, RISK_MAX_GROSS_EXPOSURE_TRY="920")
        watched.rig.venue.price("BTCTRY", "1050000")  # a position of 900 is worth 945
        watched.cycle(55)
        assert watched.alerts() == []
        watched.cycle(8)
        assert watched.alerts() == ["budget_stops_buys"]

    @pytest.mark.parametrize("profile", [RUN, STAGE4], ids=lambda profile: profile.name)
    def test_the_loss_that_stops_buys_is_told_under_every_profile(self, make_rig, profile):
        """The first brake of all: every buy was refused, and nothing but single verdicts told it."""
        watched = self.lost(make_rig, profile=profile, MAX_DAILY_LOSS_TRY="20")
        watched.rig.wish("buy", "0.0002", "950500")
        watched.cycle()
        assert watched.rig.verdicts() == [ReasonCode.DAILY_LOSS.value]
        watched.cycle(10)
        assert watched.alerts() == ["daily_loss_no_buys"]
        watched.rig.venue.price("BTCTRY", "1000000")
        watched.cycle(90)
        assert watched.alerts() == ["daily_loss_no_buys"], "less is lost now"
        assert watched.rig.metrics.value("btcbot_daily_loss_reached") == 0


@pytest.mark.parametrize("profile", [RUN, STAGE4], ids=lambda profile: profile.name)
def test_orders_that_nobody_can_explain_are_told_under_every_profile(make_rig, profile):
    """The gate is closed under `run` too, which has nobody who sets the freeze's own gauge."""
    watched = Watched(make_rig, profile=profile)
    watched.cycle()
    order = Unexplained(key="venue:1", kind=UnexplainedKind.OTHER_BOOK, symbol="BTCTRY", detail="of another bot")
    record = FreezeRecord(since_ms=watched.rig.clock.now_ms(), cycle_id="c00000001", orders=(order,))
    with watched.rig.store.transaction() as tx:
        tx.put_value(ORDER_FREEZE, encoded(record))
    watched.cycle(5)
    assert watched.alerts() == [], "one minute has to pass"
    watched.cycle(4)
    assert watched.alerts() == ["orders_frozen"]


def test_an_agent_that_gives_no_answer_is_told(make_rig):
    """Nobody listens at its address: every buy is refused, and the cycles say why."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    agent = {"AGENT_POLICY_ENABLED": "true", "AGENT_POLICY_PROVIDER": "llm", "AGENT_LLM_MODEL": "guard-1",
             "AGENT_LLM_URL": f"http://127.0.0.1:{port}/v1/chat/completions"}  # fmt: skip
    watched = Watched(make_rig, **agent)
    watched.cycle()
    for number in range(3):
        assert watched.alerts() == [], number
        watched.rig.wish("buy", "0.0005", "1000500")
        report = watched.rig.cycle()
        assert watched.rig.verdicts() == [ReasonCode.AGENT_FAILED.value]
        assert report.outcome is CycleOutcome.COMPLETED
        assert report.reasons[0].startswith("draft_block:agent_failed: unreachable: ")
    assert watched.alerts() == ["agent_failing"]


def test_a_strategy_that_keeps_raising_is_told_as_that(make_rig):
    class Broken:
        name = "broken"

        def generate(self, context):
            raise ZeroDivisionError("a moving average of nothing")

    watched = Watched(make_rig, profile=RUN)
    watched.cycle()
    watched.rig.strategy.inner = Broken()
    watched.cycle(5)
    assert watched.alerts()[:1] == ["strategy_failed"]
    assert "exchange_degraded" not in watched.alerts()


def test_where_they_are_not_wanted_nothing_is_told(make_rig):
    watched = Watched(make_rig, ALERTS_ENABLED="false")
    watched.rig.kill_switch().turn_on("for a test", watched.rig.clock.now_ms())
    watched.cycle(80)
    assert watched.alerts() == []
