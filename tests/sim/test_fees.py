"""Commission against trades the real exchange has shown, to the last digit."""

from decimal import Decimal

import pytest

from btcturk_sim.fees import TRY_LEVEL_1, Rate
from btcturk_sim.money import divide_down, exact


@pytest.mark.parametrize(
    ("total", "tax_rate", "quantity", "price", "fee", "tax"),
    [
        pytest.param("0.0018", "0.18", "0.00040000", "313000", "0.19098258", "0.03437687", id="BTCTRY 2021 sell"),
        pytest.param("0.0018", "0.18", "0.33840811", "122.00", "0.06297817", "0.01133607", id="ETHWTRY 2022 sell"),
        pytest.param("0.0006", "0.20", "205.24", "1.020", "0.10467240", "0.02093448", id="APEUSDT 2024 sell"),
    ],
)
def test_recorded_trades(total, tax_rate, quantity, price, fee, tax):
    rate = Rate.published(Decimal(total), Decimal(tax_rate))
    commission = rate.commission(Decimal(quantity) * Decimal(price))
    assert (str(commission.fee), str(commission.tax)) == (fee, tax)


def test_market_buy_of_100_lira_includes_its_commission():
    """Recorded 2021: 100 TRY at 0.18 % gave fee 0.15226792 and tax 0.02740823."""
    rate = Rate.published(Decimal("0.0018"), Decimal("0.18"))
    commission = rate.commission(divide_down(Decimal(100), Decimal("1.0018"), 16))
    assert (str(commission.fee), str(commission.tax)) == ("0.15226792", "0.02740823")


def test_level_1_splits_the_published_total_into_fee_and_a_fifth_of_tax():
    assert TRY_LEVEL_1.taker.fee_rate == Decimal("0.002")
    assert TRY_LEVEL_1.maker.fee_rate == Decimal("0.001")
    assert TRY_LEVEL_1.taker.commission(Decimal(50_000)).total == Decimal(120)


@exact
def test_funds_are_never_held_at_less_than_fee_and_tax_come_to():
    for percent in ("0.14", "0.13", "0.11", "0.09", "0.07", "0.05"):
        rate = Rate.published(Decimal(percent) / 100, Decimal("0.20"))
        assert rate.hold_rate >= rate.total
        assert rate.hold_rate >= rate.fee_rate * Decimal("1.2")
