"""The report on worlds of faults: whatever befell the bot, its cycles agree with its ledger to the last digit."""

from __future__ import annotations

import pytest

from btcbot.reporting.figures import Report
from btcbot.reporting.findings import Code
from btcbot.reporting.report import make_report
from btcbot.testing.world import World

#: Worlds whose balances and lists were read so far apart, with so many trades between, that the report saw an error.
SEEDS = (5158, 5370, 5450, 5614, 5665)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_cycle_that_read_balance_and_lists_at_two_moments_is_no_error(seed: int) -> None:
    world = World(seed)
    told: list[Report] = []
    close = world.rig.close

    def read_and_close() -> None:
        told.append(make_report(world.rig.store))
        close()

    world.rig.close = read_and_close  # type: ignore[method-assign]
    assert world.run().violation is None
    [report] = told
    assert report.cycles > 5
    assert [one.line for one in report.findings if one.code in (Code.IDENTITY, Code.MISSING)] == []
