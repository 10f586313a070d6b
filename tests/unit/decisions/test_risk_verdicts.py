"""What a verdict tells: a refusal names what was asked and the limit, a cut says to what, and what fits says nothing.

A trader reads these lines to learn why an order was not placed, or why it is smaller than the strategy wished.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from tests.builders import NOW_MS, a_buy, a_position, a_quote, a_sell, an_account, an_instrument, an_order
from tests.unit.decisions.test_risk import codes, facts, holding, limits

from btcbot.decisions.risk import Allowed, RefusedIntent, RiskFacts, RiskLimits, evaluate
from btcbot.domain.intents import Intent, Side
from btcbot.domain.orders import OrderStatus
from btcbot.domain.reasons import ReasonCode


def refusal(intent: Intent, found: RiskFacts | None = None, within: RiskLimits | None = None) -> RefusedIntent:
    """The refusal of this intent, which is the very intent that was asked."""
    (decision,) = evaluate([intent], found or facts(), within or limits())
    assert isinstance(decision, RefusedIntent), decision
    assert decision.intent == intent
    return decision


def allowance(intent: Intent, found: RiskFacts | None = None, within: RiskLimits | None = None) -> Allowed:
    (decision,) = evaluate([intent], found or facts(), within or limits())
    assert isinstance(decision, Allowed), decision
    return decision


def in_doubt() -> RiskFacts:
    return facts(open_orders=[an_order(status=OrderStatus.UNKNOWN)])


def banded() -> RiskFacts:
    return facts(instruments={"ADATRY": an_instrument(price_max=Decimal(101))})


def whole_lots() -> RiskFacts:
    """Only whole ADA are traded."""
    return facts(instruments={"ADATRY": an_instrument(quantity_scale=0)})


#: An intent, what else is true, the rule that refuses it, and the figures (or names) that the refusal has to tell.
REFUSALS: list[tuple[str, Intent, RiskFacts, RiskLimits, ReasonCode, list[str]]] = [
    (
        "a pair without rules",
        a_buy("2", symbol="XRPTRY"),
        facts(),
        limits(),
        ReasonCode.RULES_UNAVAILABLE,
        ["XRPTRY"],
    ),
    (
        "a pair that is halted",
        a_buy("2"),
        facts(instruments={"ADATRY": an_instrument(is_trading=False)}),
        limits(),
        ReasonCode.NOT_TRADING,
        ["ADATRY"],
    ),
    ("no quote", a_buy("2"), facts(quotes={}), limits(), ReasonCode.STALE_QUOTE, ["ADATRY"]),
    ("an order in doubt", a_buy("2"), in_doubt(), limits(), ReasonCode.ORDER_IN_DOUBT, ["ADATRY"]),
    (
        "three orders open, two allowed",
        a_buy("2"),
        facts(open_orders=[an_order(1), an_order(2), an_order(3)]),
        limits(open_orders_per_symbol_max=2),
        ReasonCode.MAX_OPEN_ORDERS_PER_SYMBOL,
        ["3 open", "at most 2"],
    ),
    (
        "20 s after the last buy, 60 s wanted",
        a_buy("2"),
        facts(last_order_times_ms={("ADATRY", "buy"): NOW_MS - 20_000}),
        limits(),
        ReasonCode.COOLDOWN,
        ["20000 ms since the last buy", "60000 ms"],
    ),
    (
        "less than a lot at less than a tick",
        a_buy("0.00009", price="0.009"),
        facts(),
        limits(),
        ReasonCode.NON_POSITIVE,
        ["0.00009", "0.009"],
    ),
    ("300 bps from the mid", a_buy("2", "103"), facts(), limits(), ReasonCode.PRICE_COLLAR, ["300 bps", "at most 200"]),
    (
        "a thirtieth above a mid of 3, told with four decimals",
        a_buy("60", "3.10"),
        facts(quotes={"ADATRY": a_quote(bid="2.99", ask="3.01")}),
        limits(),
        ReasonCode.PRICE_COLLAR,
        ["333.3333 bps from"],
    ),
    ("outside the venue's band", a_buy("2", "101.5"), banded(), limits(), ReasonCode.PRICE_BAND, ["101.5"]),
    (
        "one whole ADA costs more than an order may",
        a_buy("2"),
        whole_lots(),
        limits(notional_per_order_max="99"),
        ReasonCode.NOTIONAL_PER_ORDER,
        ["above 99"],
    ),
    ("nothing to sell", a_sell("2"), facts(), limits(), ReasonCode.NO_INVENTORY, ["ADA"]),
    ("below the minimum", a_buy("0.5"), facts(), limits(), ReasonCode.MIN_NOTIONAL, ["50 is", "of 99.91"]),
    (
        "too much in one cycle",
        a_buy("10"),
        facts(),
        limits(notional_per_cycle_max="500"),
        ReasonCode.NOTIONAL_CAP,
        ["1000 in this cycle", "at most 500"],
    ),
    (
        "no order at all in a cycle",
        a_buy("2"),
        facts(),
        limits(orders_per_cycle_max=0),
        ReasonCode.MAX_ORDERS_PER_CYCLE,
        ["at most 0"],
    ),
    (
        "600 lost today",
        a_buy("2"),
        facts(daily_pnl=Decimal(-600)),
        limits(),
        ReasonCode.DAILY_LOSS,
        ["600 lost", "at most 500"],
    ),
    (
        "the loss of the day is not known",
        a_buy("2"),
        facts(daily_pnl=None),
        limits(),
        ReasonCode.DAILY_LOSS,
        ["a held symbol has no price", "unknown"],
    ),
    (
        "300 in ADA already",
        a_buy("2"),
        holding("2", cost="300"),
        limits(position_per_symbol_max="450"),
        ReasonCode.POSITION_CAP,
        ["500.48 in ADATRY", "at most 450"],
    ),
    (
        "300 in ADA, and no room for ETH",
        a_buy("2", symbol="ETHTRY"),
        holding("2", cost="300"),
        limits(exposure_max="450"),
        ReasonCode.EXPOSURE_CAP,
        ["500.48 in all", "at most 450"],
    ),
    (
        "200 TRY above the reserve",
        a_buy("2"),
        facts(account=an_account(TRY="500")),
        limits(),
        ReasonCode.CASH_RESERVE,
        ["needs 200.48 TRY", "200 is free", "reserve of 300"],
    ),
    (
        "less than the reserve: nothing is free above it, which is told as 0",
        a_buy("2"),
        facts(account=an_account(TRY="250")),
        limits(),
        ReasonCode.CASH_RESERVE,
        ["0 is free", "reserve of 300"],
    ),
]


@pytest.mark.parametrize(
    ("intent", "found", "within", "code", "told"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS]
)
def test_a_refusal_tells_its_rule_what_was_asked_and_the_limit(
    intent: Intent, found: RiskFacts, within: RiskLimits, code: ReasonCode, told: list[str]
) -> None:
    refused = refusal(intent, found, within)

    assert refused.code is code
    for part in told:
        assert f" {part}" in f" {refused.detail}"  # whole words, so that 600 is not -600


def test_a_loss_that_is_not_known_stops_buys_and_lets_sells_through() -> None:
    assert codes([a_buy("2"), a_sell("2")], holding("2", daily_pnl=None)) == [ReasonCode.DAILY_LOSS, None]


class TestExactlyAtALimit:
    """What meets a limit to the last digit fits: nothing is refused, nothing is cut, and no note is made."""

    @pytest.mark.parametrize(
        ("intent", "within"),
        [
            (a_buy("2"), limits(notional_per_order_max="200")),
            (a_sell("2"), limits(notional_per_order_max="200")),
            (a_sell("2"), limits(notional_per_cycle_max="200")),
            (a_buy("2"), limits(notional_per_cycle_max="200")),
            (a_buy("2"), limits(order_notional_min="200")),
        ],
        ids=["a buy of one order", "a sell of one order", "a sell of a cycle", "a buy of a cycle", "the minimum"],
    )
    def test_an_order_of_exactly_200(self, intent: Intent, within: RiskLimits) -> None:
        assert allowance(intent, holding("5"), within) == Allowed(intent, "")

    def test_a_sell_of_exactly_what_is_held(self) -> None:
        assert allowance(a_sell("2"), holding("2")) == Allowed(a_sell("2"), "")

    def test_cash_that_just_pays_for_value_and_fee_above_the_reserve(self) -> None:
        """2 ADA at 100 cost 200.48 with 24 bps; the reserve is 300."""
        assert allowance(a_buy("2"), facts(account=an_account(TRY="500.48"))).intent == a_buy("2")
        assert refusal(a_buy("2"), facts(account=an_account(TRY="500.47"))).code is ReasonCode.CASH_RESERVE


class TestCuts:
    def test_to_the_limit_of_one_order(self) -> None:
        cut = allowance(a_buy("2"), within=limits(notional_per_order_max="150"))

        assert (cut.intent.quantity, cut.detail) == (Decimal("1.5"), "cut to 150 per order")

    def test_a_sell_to_what_the_cycle_has_left_and_down_to_the_lot(self) -> None:
        """200 of 350 TRY are bought; 150 leave 1.4998 at 100.01, for 1.4999 would be 150.004999."""
        decisions = evaluate(
            [a_buy("2", symbol="BTCTRY"), a_sell("5", "100.01")],
            holding("5"),
            limits(notional_per_cycle_max="350"),
        )

        assert decisions == [
            Allowed(a_buy("2", symbol="BTCTRY"), ""),
            Allowed(a_sell("1.4998", "100.01"), "cut to the 150 left of this cycle's cap"),
        ]

    def test_a_buy_is_never_cut_to_what_the_cycle_has_left(self) -> None:
        assert refusal(a_buy("5"), within=limits(notional_per_cycle_max="350")).code is ReasonCode.NOTIONAL_CAP

    def test_an_order_that_is_cut_twice_tells_both(self) -> None:
        cut = allowance(a_sell("9"), holding("2"), limits(notional_per_order_max="300"))

        assert cut == Allowed(a_sell("2"), "cut to 300 per order; cut to the 2 that can be sold")

    @pytest.mark.parametrize(
        ("cap", "code", "told"),
        [
            ("200", ReasonCode.NOTIONAL_CAP, "400 in this cycle, at most 200"),
            (
                "201",
                ReasonCode.MIN_NOTIONAL,
                "cut to the 1 left of this cycle's cap; 1 is below the minimum of 99.91",
            ),
            (
                "299.90",
                ReasonCode.MIN_NOTIONAL,
                "cut to the 99.9 left of this cycle's cap; 99.9 is below the minimum of 99.91",
            ),
        ],
        ids=["nothing is left", "1 TRY is left", "99.90 TRY are left"],
    )
    def test_a_sell_of_which_the_cycle_leaves_too_little_is_none(self, cap: str, code: ReasonCode, told: str) -> None:
        """200 TRY are used up by a buy before it."""
        _, refused = evaluate(
            [a_buy("2", symbol="BTCTRY"), a_sell("2")], holding("2"), limits(notional_per_cycle_max=cap)
        )

        assert refused == RefusedIntent(a_sell("2"), code, told)

    def test_a_sell_of_which_less_than_a_lira_is_left_is_cut_as_well(self) -> None:
        _, refused = evaluate(
            [a_buy("2", symbol="BTCTRY"), a_sell("2")], holding("2"), limits(notional_per_cycle_max="200.50")
        )

        told = "cut to the 0.5 left of this cycle's cap; 0.5 is below the minimum of 99.91"
        assert refused == RefusedIntent(a_sell("2"), ReasonCode.MIN_NOTIONAL, told)


class TestCheapCoins:
    """A coin of half a lira is a coin like any other."""

    def cheap(self, **changes: Any) -> RiskFacts:
        return facts(quotes={"ADATRY": a_quote(bid="0.49", ask="0.51")}, **changes)

    def test_it_is_bought(self) -> None:
        assert allowance(a_buy("400", "0.50"), self.cheap()).intent == a_buy("400", "0.50")

    def test_it_is_sold(self) -> None:
        held = self.cheap(
            positions={"ADATRY": a_position(quantity="400", cost="200")}, account=an_account(TRY="0", ADA="400")
        )

        assert allowance(a_sell("400", "0.50"), held).intent == a_sell("400", "0.50")


class TestSeveralInOneCycle:
    """Each allowed intent counts once, beside those of its own symbol that stand already."""

    def test_open_orders_are_counted_one_by_one(self) -> None:
        within = limits(open_orders_per_symbol_max=3)

        assert codes([a_buy("1")] * 4, within=within) == [None, None, None, ReasonCode.MAX_OPEN_ORDERS_PER_SYMBOL]
        assert codes([a_buy("1")] * 3, facts(open_orders=[an_order()]), within) == [
            None,
            None,
            ReasonCode.MAX_OPEN_ORDERS_PER_SYMBOL,
        ]

    def test_open_buys_of_one_symbol_add_up(self) -> None:
        """Two open buys of 200 each; a third of 200 makes 600 and three fees."""
        found = facts(open_orders=[an_order(1), an_order(2)])

        assert codes([a_buy("2")], found, limits(position_per_symbol_max="601.44")) == [None]
        assert refusal(a_buy("2"), found, limits(position_per_symbol_max="601.43")).code is ReasonCode.POSITION_CAP

    def test_buys_of_the_cycle_add_up(self) -> None:
        within = limits(position_per_symbol_max="350")

        assert codes([a_buy("1")] * 4, within=within) == [None, None, None, ReasonCode.POSITION_CAP]

    def test_open_sells_of_one_symbol_add_up(self) -> None:
        """5 ADA held, sells of 1 and 2 stand: 2 are left, however much a human holds beside them."""
        standing = [an_order(1, side=Side.SELL, quantity="1"), an_order(2, side=Side.SELL, quantity="2")]

        assert allowance(a_sell("5"), holding("5", free="50", open_orders=standing)).intent.quantity == 2

    def test_sells_of_the_cycle_add_up_to_the_position(self) -> None:
        decisions = evaluate([a_sell("2")] * 4, holding("5", free="50"), limits())

        assert [each.intent.quantity if isinstance(each, Allowed) else each.code for each in decisions] == [
            2,
            2,
            1,
            ReasonCode.NO_INVENTORY,
        ]

    def test_sells_of_the_cycle_use_up_what_is_free_at_the_venue(self) -> None:
        """5 ADA are ours, 3 of them free: the second sell finds 1, not the 3 of the position that are left."""
        decisions = evaluate([a_sell("2"), a_sell("2")], holding("5", free="3"), limits())

        assert [each.intent.quantity for each in decisions if isinstance(each, Allowed)] == [2, 1]

    def test_a_sell_uses_up_no_cash(self) -> None:
        """200.48 TRY above the reserve pay for 2 BTC, whatever was sold before."""
        within = limits(cash_reserve="9799.52")

        assert codes([a_sell("3"), a_buy("2", symbol="BTCTRY")], holding("5"), within) == [None, None]
