"""The report: every sum once, to the last digit, and the row that breaks one named."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.unit.reporting.ledgers import HOUR_MS, NOON_MS, Life

from btcbot.domain.book import Discrepancy
from btcbot.domain.cycles import CycleOutcome
from btcbot.domain.orders import OrderStatus
from btcbot.domain.positions import Position
from btcbot.reporting.findings import Code
from btcbot.reporting.report import make_report

D = Decimal


def codes(report):
    return [one.code for one in report.findings]


def test_a_round_trip_adds_up():
    """2 ADA bought at 100, one sold at 110, the other worth 105."""
    life = Life().open("1000").cycle("100", "101").buy("2", "100", fee="0.4", tax="0.08")
    life.wait(1).cycle("110", "111").sell("1", "110", fee="0.2", tax="0.04").wait(1).cycle("105", "106")
    report = make_report(life.store)
    assert report.findings == []
    assert report.result.identity_holds
    assert report.result.put_in == 1000
    assert report.result.realized == D("110") - D("0.24") - D("100.24")
    assert report.result.unrealized == D("105") - D("100.24")
    assert report.result.equity == D("1000") - D("200.48") + D("109.76") + 105
    assert report.result.profit_here == report.result.profit == D("9.52") + D("4.76")
    assert (report.traded.bought, report.traded.sold, report.traded.turnover) == (200, 110, 310)
    assert (report.traded.fees, report.traded.taxes) == (D("0.6"), D("0.12"))
    assert [(held.symbol, held.quantity, held.bid) for held in report.positions] == [("ADATRY", 1, 105)]


def test_slippage_is_measured_once_and_never_taken_off_the_result_again():
    """mistake 3. Decided at a mid of 100, bought at 100.5: the half lira is in the cost of the position already."""
    life = Life().open("1000").cycle("99.9", "100.1").buy("2", "100.5").cycle("100.5")
    report = make_report(life.store)
    assert report.traded.slippage == 1
    assert report.result.profit == 0, "worth what was paid; the slippage is no second loss"
    assert report.result.equity == 1000


def test_a_better_price_than_decided_is_a_gain_of_slippage():
    life = Life().open("1000").cycle("99", "101").buy("2", "99.5").sell("1", "100.25").cycle("99")
    assert make_report(life.store).traded.slippage == D("-1") - D("0.25")


def test_slippage_is_not_guessed_where_the_decision_is_not_on_record():
    life = Life().open("1000").buy("2", "100").cycle("100")
    traded = make_report(life.store).traded
    assert (traded.slippage, traded.unmeasured, traded.fills) == (0, 1, 1)


def test_fees_of_a_day_are_those_of_the_day():
    """mistake 3: fee «today» and loss «today» are not lifetime totals."""
    life = Life().open("1000").cycle("100").buy("1", "100", fee="1").cycle("100")
    life.wait(24).cycle("90").buy("1", "90", fee="2").cycle("90")
    first, second = make_report(life.store).days
    assert (first.name, second.name) == ("2026-11-07", "2026-11-08")
    assert (first.traded.fees, second.traded.fees) == (1, 2)
    assert (first.profit, second.profit) == (-1, -12)


def test_days_are_those_of_istanbul_and_weeks_begin_on_monday():
    """Sunday 8 November 2026, 23:30 and, an hour later, Monday in Istanbul; in London it is Sunday still."""
    life = Life().open("1000").wait(35.5).cycle("100").wait(1).cycle("100")
    report = make_report(life.store)
    assert [day.name for day in report.days] == ["2026-11-08", "2026-11-09"]
    assert [week.name for week in report.weeks] == ["2026-W45", "2026-W46"]


def test_the_results_of_days_add_up_to_the_whole():
    life = Life().open("1000").cycle("100").buy("3", "100", fee="0.3")
    for bid in ("97", "104.5", "101.25", "110"):
        life.wait(20).cycle(bid)
    report = make_report(life.store)
    assert len(report.days) == 4
    assert sum(day.profit for day in report.days) == report.result.profit == D("29.7")


def test_drawdown_is_a_real_one():
    """mistake 2: from a high of 1100 down to 1040, whatever came after."""
    life = Life().open("1000").buy("10", "50")
    for bid in ("50", "60", "54", "59"):
        life.wait(1).cycle(bid)
    fall = make_report(life.store).drawdown
    assert (fall.amount, fall.ratio) == (60, D("0.0545454545"))
    assert (fall.high_cycle, fall.low_cycle) == ("c00000002", "c00000003")


def test_a_withdrawal_is_no_drawdown_and_a_deposit_no_profit():
    life = Life().open("1000").cycle().wait(1).transfer("-600").cycle().wait(1).transfer("5000", 2).cycle()
    report = make_report(life.store)
    assert report.findings == []
    assert (report.drawdown.amount, report.result.profit, report.result.put_in) == (0, 0, 5400)


def test_adopted_and_released_coins_keep_the_identity():
    life = Life().open("1000").cycle().wait(1).adopt("4", "400").cycle("110").wait(1).release("1").cycle("110")
    report = make_report(life.store)
    assert report.findings == []
    assert (report.result.put_in, report.result.profit) == (1300, 30)


def test_a_deposit_that_is_booked_later_than_it_is_seen_breaks_nothing():
    life = Life().open("1000").cycle().wait(0.1).cycle(balance_off="250")
    life.wait(0.01).transfer("250").cycle()
    report = make_report(life.store)
    assert report.findings == []
    assert report.result.put_in == 1250


def test_an_old_balance_beside_a_new_trade_breaks_nothing():
    """The trade is booked; the balance that this cycle had read does not show what it cost yet."""
    life = Life().open("1000").cycle("100").buy("1", "100", fee="0.2").cycle("100", balance_off="100.2")
    report = make_report(life.store)
    assert report.findings == []
    assert report.result.under_way == D("100.2")
    assert make_report(life.cycle("100").store).result.under_way == 0


def test_many_trades_of_a_moment_do_not_hide_the_two_that_the_balance_shows_early():
    """More trades lie about than any choice among them can be searched for: two of them were seen a cycle too early."""
    life = Life().open("10000").cycle("100")
    for number in range(24):
        life.buy("1", f"99.{number:02}", fee="0.1")
    life.cycle("100", balance_off="-203.7").wait(0.0005).buy("1", "101.5", fee="0.1").buy("1", "102", fee="0.1")
    report = make_report(life.cycle("100").store)
    assert (report.findings, report.result.under_way) == ([], 0)


def test_what_no_moment_and_no_booking_explains_is_found_among_many_trades():
    life = Life().open("10000").cycle("100")
    for number in range(24):
        life.buy("1", f"99.{number:02}", fee="0.1")
    assert codes(make_report(life.cycle("100", balance_off="-203.70000001").store)) == [Code.IDENTITY]


def test_a_deposit_on_its_way_and_an_old_balance_at_once_break_nothing():
    life = Life().open("1000").cycle("100").buy("1", "100", fee="0.2").cycle("100", balance_off="350.2")
    report = make_report(life.wait(0.01).transfer("250").cycle("100").store)
    assert report.findings == []
    assert (report.result.put_in, report.result.under_way) == (1250, 0)


def test_a_balance_from_before_a_deposit_that_was_seen_breaks_nothing():
    life = Life().open("1000").cycle().wait(0.1).transfer("250").cycle().cycle(balance_off="-250")
    report = make_report(life.store)
    assert (report.findings, report.result.under_way) == ([], -250)


def test_a_difference_that_the_bot_is_watching_is_told_and_breaks_nothing():
    life = Life().open("1000").cycle().cycle(balance_off="12.5")
    with life.store.transaction() as tx:
        tx.put_discrepancies([Discrepancy(asset="TRY", amount=D("12.5"), first_seen_ms=life.at_ms, seen_count=1)])
    report = make_report(life.store)
    assert (report.findings, report.result.under_way) == ([], D("12.5"))


def test_a_clock_that_was_set_back_hides_no_trade():
    """An hour back: the trades of a moment ago seem to lie ahead."""
    life = Life().open("1000").cycle("100").buy("1", "100", fee="0.2").wait(-1).cycle("100", balance_off="100.2")
    assert codes(make_report(life.store)) == [Code.ORDER]


def test_a_clock_that_was_set_back_is_told_from_a_row_that_was_altered():
    """The person who reads it is to know whether to mend the time service or to look for who touched the database."""
    life = Life().open("1000").cycle().wait(-1).cycle()
    [told] = make_report(life.store).findings
    assert "3600000 ms before cycle c00000001" in told.what
    assert told.what.endswith("the clock was set back, or a row was altered: the next cycle will tell")
    [told] = make_report(life.wait(0.1).cycle().store).findings
    assert told.what.endswith("the clock was set back, which is no fault of the books")

    life = Life().open("1000").cycle().cycle(started_at_ms=NOON_MS - HOUR_MS).wait(0.1).cycle()
    [told] = make_report(life.store).findings
    assert told.what.endswith("goes on as before: this row was altered, or the clock was wrong in it alone")

    life = Life().open("1000").cycle().wait(0.1).cycle(started_at_ms=NOON_MS + HOUR_MS, ended_at_ms=NOON_MS + HOUR_MS)
    [told] = make_report(life.wait(0.1).cycle().wait(0.1).cycle().store).findings
    assert told.where == "cycle c00000003"
    assert "cycle c00000002 stands alone ahead of the others: its row was altered" in told.what


@pytest.mark.parametrize("off", ["0.00000001", "-37"])
def test_the_cycle_at_which_the_identity_breaks_is_named_once(off):
    life = Life().open("1000").cycle("100").buy("1", "100").cycle("100")
    life.cycle("100", balance_off=off).cycle("100", balance_off=off).cycle("101", balance_off=off)
    report = make_report(life.store)
    assert codes(report) == [Code.IDENTITY]
    assert report.findings[0].where == "cycle c00000003"
    assert not report.result.identity_holds


def test_a_position_that_the_ledger_does_not_come_to_is_found():
    life = Life().open("1000").cycle("100").buy("1", "100").cycle("100")
    with life.store.transaction() as tx:
        tx.put_position(Position(symbol="ADATRY", quantity=D(1), cost=D("99.99999999")))
    found = make_report(life.store).findings
    assert [(one.code, one.where) for one in found] == [(Code.IDENTITY, "position ADATRY")]
    assert "kept as 99.99999999, the ledger comes to 100" in found[0].what


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"profile": ""}, Code.MISSING),
        ({"gates": {}}, Code.MISSING),
        ({"started_at_ms": 0}, Code.TIME),
        ({"ended_at_ms": 5_000_000_000_000}, Code.TIME),
        ({"ended_at_ms": 1_794_000_000_000}, Code.TIME),
        ({"started_at_ms": 1_794_000_000_000}, Code.ORDER),
    ],
)
def test_a_corrupt_row_is_named_with_its_code(changes, code):
    life = Life().open("1000").cycle().wait(1).cycle(**changes).wait(1).cycle()
    (found,) = make_report(life.store).findings
    assert (found.code, found.where) == (code, "cycle c00000002")
    assert "\n" not in found.line


def test_a_loss_of_more_than_everything_is_out_of_range():
    life = Life().open("100").buy("1", "100").cycle("100")
    life.wait(1).cycle("100", equity_try=D(-50), unrealized_pnl_try=D(-150))
    assert codes(make_report(life.store)) == [Code.DRAWDOWN]


def test_reasons_for_not_trading_are_counted_by_their_codes():
    life = Life().open("1000").cycle(refused=("risk_block:cooldown", "risk_block:cooldown", "allowed")).cycle()
    life.cycle(reasons=("observe_only:venue_unavailable: balances: HTTP 502",), outcome=CycleOutcome.OBSERVE_ONLY)
    life.cycle(reasons=("observe_only:venue_unavailable: trades: HTTP 500",), outcome=CycleOutcome.OBSERVE_ONLY)
    report = make_report(life.store)
    assert report.reasons == {"risk_block:cooldown": 2, "observe_only:venue_unavailable": 2, "nothing_wished": 1}
    assert report.outcomes == {"completed": 2, "observe_only": 2}


def test_why_nothing_was_traded_names_no_pair_as_a_reason():
    life = Life().open("1000")
    for at in range(3):
        life.cycle(
            reasons=(
                f"BTCTRY: barred:repeated_refusals: the venue refused {at} sells",
                f"budget:position_share: ETHTRY: it is {40 + at} %",
                f"barred:repeated_refusals: XRPTRY: the venue refused {at} sells",
            )
        )
    assert make_report(life.store).reasons == {"barred:repeated_refusals": 3, "budget:position_share": 3}


def test_the_fill_rate_counts_orders_that_reached_the_venue():
    life = Life().open("1000").cycle("100").buy("1", "100").buy("1", "100").cycle("100")
    life.order(OrderStatus.CANCELED, 10).order(OrderStatus.DENIED, 11).order(OrderStatus.SIMULATED, 12)
    orders = make_report(life.store).orders
    assert (orders.sent, orders.touched, orders.never_sent, orders.fill_rate) == (3, 2, 2, D("0.666667"))


def test_each_trade_counts_once_for_its_symbol_and_its_strategy():
    life = Life().open("10000").cycle("100").buy("1", "100", strategy="one").buy("2", "10", symbol="TRXTRY")
    life.cycle("9", symbol="TRXTRY").sell("1", "120", strategy="two", fee="1").cycle("9", symbol="TRXTRY")
    report = make_report(life.store)
    assert {name: t.gain for name, t in report.strategies.items()} == {"example": 0, "one": 0, "two": 19}
    assert {name: (t.fills, t.gain) for name, t in report.symbols.items()} == {"ADATRY": (2, 19), "TRXTRY": (1, 0)}


def test_the_newest_cycles_begin_with_the_profit_that_there_was():
    life = Life().open("1000").cycle("100").buy("1", "100").wait(1).cycle("100").wait(1).cycle("107")
    life.wait(1).cycle("109")
    report = make_report(life.store, last=1)
    assert (report.cycles, report.cycles_total) == (1, 4)
    assert (report.result.profit, report.result.profit_here, report.traded.fills) == (9, 2, 0)
    assert report.findings == []


def test_a_new_database_is_reported_as_empty():
    report = make_report(Life().store)
    assert (report.cycles, report.result.equity, report.result.identity_holds) == (0, None, True)
    assert report.days == []
