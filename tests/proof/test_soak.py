"""The soak trades, and would notice a leak."""

from __future__ import annotations

from proof import soak


def test_a_short_soak_trades_through_mild_faults_and_keeps_its_books():
    result = soak.run(first=3, count=600)
    assert result.failures == []
    assert result.counts["cycles"] == 600
    assert result.counts["fills"] > 20
