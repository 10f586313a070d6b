"""What nobody needs for ever does not grow for ever."""

from __future__ import annotations

from btcbot.services import values


def test_old_cycle_reports_are_forgotten_and_the_books_are_not(make_rig):
    rig = make_rig(CYCLES_KEPT="1000")
    rig.cycle()
    rig.wish("buy", "0.0005", "1000500")
    rig.cycle(2)
    with rig.store.transaction() as tx:
        tx.put_value(values.CYCLE_NUMBER, "1998")
    rig.cycle()
    assert len(rig.store.cycles(10)) == 4
    rig.cycle()  # number 2000
    assert [report.number for report in rig.store.cycles(10)] == [2000, 1999]
    assert rig.store.fill_count() == 1
    assert rig.faults() == []
