"""`stage4-run` as it ships, with the portfolio that it is for: it comes to its targets, follows the market with its
orders, survives crashes in the middle of that, listens to an agent, and decides the same when it is played again."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import partial
from http.server import BaseHTTPRequestHandler
from random import Random
from typing import Any, Final

import msgspec
import pytest
from tests.scenario.overseen import WIDE
from tests.scenario.test_freeze import of_another_bot
from tests.unit.adapters.test_agent_llm import Endpoint

from btcbot import bootstrap
from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.bootstrap.replay import Replayed, replay
from btcbot.bootstrap.strategies import strategy_of
from btcbot.config.settings import Settings
from btcbot.domain import money
from btcbot.domain.cycles import CycleOutcome
from btcbot.domain.intents import Side
from btcbot.domain.notes import NoteKind
from btcbot.domain.orders import OrderStatus
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.replacements import OPEN_REPLACEMENTS, ReplacementEnd, ReplacementOutcome
from btcbot.profiles import RUN, STAGE4
from btcbot.services.agent import AgentNote
from btcbot.services.capital import CapitalKeeper
from btcbot.services.freeze_record import is_frozen, read_freeze
from btcbot.services.operator import REQUEST, Request
from btcbot.strategies.base import Strategy, UsesSignals
from btcbot.testing.in_process_rig import Rig
from btcbot.testing.points import Crash
from btcbot.testing.profiles_played import WithSignals
from btcbot.testing.scripted_strategy import ScriptedStrategy

#: Each with one digit more than it needs, so that the venue takes its ticks for fine.
PRICES: Final[Mapping[str, str]] = {
    "BTCTRY": "1000003", "ETHTRY": "50003", "SOLTRY": "3003", "ADATRY": "30.001",
}  # fmt: skip
TARGETS: Final[Mapping[str, Decimal]] = {
    "BTCTRY": Decimal("0.4"), "ETHTRY": Decimal("0.3"), "SOLTRY": Decimal("0.2"), "ADATRY": Decimal("0.1"),
}  # fmt: skip
CASH_TARGET: Final = Decimal(1_000)
#: Drift that is left alone, and a little for fees and ticks.
BAND: Final = Decimal("0.11")
PORTFOLIO: Final[Mapping[str, str]] = {
    "BTCTURK_GRAPH_URL": "http://127.0.0.1:2",
    "PORTFOLIO_TARGETS": ",".join(f"{symbol}:{share}" for symbol, share in TARGETS.items()),
    "TRY_CASH_TARGET": str(CASH_TARGET),
    "TRY_CASH_MAX": str(CASH_TARGET),
    "MAX_POSITION_TRY_PER_SYMBOL": "10000",
    "MAX_TOTAL_EXPOSURE_TRY": "40000",
    "RISK_MAX_GROSS_EXPOSURE_TRY": "40000",
    "RISK_MAX_POSITION_PCT": "60",
    "NOTIONAL_CAP_TRY_PER_CYCLE": "4000",
    "MAX_ORDERS_PER_CYCLE": "8",
    "MAX_INTENT_NOTIONAL_TRY": "1000",
    "REPLACE_MIN_AGE_SECONDS": "5",
    "REPLACE_COOLDOWN_SECONDS": "10",
    "TTL_SECONDS": "600",
}
#: It buys at the ask and sells at the bid.
TAKING: Final[Mapping[str, str]] = {"PORTFOLIO_ORDER_OFFSET_BPS": "0"}

MakePortfolio = Callable[..., Rig]


@pytest.fixture
def make_portfolio(make_rig: Callable[..., Rig]) -> MakePortfolio:
    """A rig under `stage4-run` with the profile's own strategy, four pairs, and 20,000 TRY."""

    def make(**options: Any) -> Rig:
        given = {
            "profile": STAGE4,
            "symbols": tuple(PRICES),
            "prices": PRICES,
            "balances": {"TRY": "20000"},
            "strategy": partial(strategy_of, STAGE4),
            **PORTFOLIO,
        }
        return make_rig(**{**given, **options})

    return make


class Market:
    """Prices that somebody moves by shares of themselves."""

    def __init__(self, rig: Rig, seed: int = 3) -> None:
        self.rig = rig
        self.now = {symbol: float(price) for symbol, price in PRICES.items()}
        self._random = Random(seed)

    def move(self, symbol: str, bps: float) -> None:
        self.now[symbol] *= 1 + bps / 10_000
        self.rig.venue.price(symbol, f"{self.now[symbol]:.3f}" if symbol == "ADATRY" else f"{self.now[symbol]:.0f}")

    def walk(self, cycles: int) -> None:
        """Each cycle finds one pair elsewhere."""
        for _ in range(cycles):
            self.move(self._random.choice(tuple(PRICES)), self._random.choice((-40, -20, 20, 40)))
            self.rig.cycle()


def shares(rig: Rig) -> dict[str, Decimal]:
    """What each pair is worth at the mid, as a share of what is invested."""
    report = rig.store.cycles(1)[0]
    assert report.equity_try is not None
    invested = report.equity_try - CASH_TARGET
    values = {symbol: rig.position(symbol).quantity * _mid(rig, symbol) for symbol in TARGETS}
    return {symbol: money.divide_half_even(value, invested, 4) for symbol, value in values.items()}


def _mid(rig: Rig, symbol: str) -> Decimal:
    return Decimal(rig.venue.simulator.engine.pairs[symbol].price)


def replaced(rig: Rig) -> list[ReplacementEnd]:
    return [msgspec.json.decode(note.body, type=ReplacementEnd) for note in rig.store.notes(NoteKind.REPLACEMENT)]


def demand_one_budget(rig: Rig) -> None:
    """At the venue, one order works for a pair at most, and what is bought and on order is within the target."""
    working = rig.venue.working()
    symbols = [order.instrument.symbol for order in working]
    assert len(set(symbols)) == len(symbols), f"two orders for one pair: {symbols}"
    for symbol, target in TARGETS.items():
        ordered = sum(o.price * o.left for o in working if o.instrument.symbol == symbol and o.side == "buy")
        held = rig.position(symbol).quantity * _mid(rig, symbol)
        most = target * 20_500  # the account, and what a rising market may add to it
        assert held + ordered <= most, f"{symbol}: {held} held and {ordered} on order, wanted {most}"


def is_replacing(rig: Rig) -> bool:
    """Whether a replacement is under way."""
    return rig.store.value(OPEN_REPLACEMENTS) not in (None, "", "[]")


class TestTargets:
    def test_it_comes_to_its_targets_over_several_pairs_and_leaves_the_cash_target(
        self, make_portfolio: MakePortfolio
    ) -> None:
        rig = make_portfolio(**TAKING)
        rig.cycle(12)
        found = shares(rig)
        assert all(abs(found[symbol] - target) <= target * BAND for symbol, target in TARGETS.items()), found
        assert rig.venue.totals()["TRY"] >= CASH_TARGET
        sent = len(rig.orders())
        rig.cycle(10)
        assert len(rig.orders()) == sent, "a portfolio at its targets is left alone"
        assert rig.faults() == []

    def test_what_rose_is_sold_and_what_fell_is_bought_until_the_shares_are_right_again(
        self, make_portfolio: MakePortfolio
    ) -> None:
        rig = make_portfolio(**TAKING)
        rig.cycle(12)
        sent = len(rig.orders())
        market = Market(rig)
        market.move("BTCTRY", 3_000)
        market.move("ETHTRY", -1_500)
        rig.cycle(12)
        sides = {(order.symbol, order.side) for order in rig.orders()[sent:]}
        assert ("BTCTRY", Side.SELL) in sides
        assert ("ETHTRY", Side.BUY) in sides
        found = shares(rig)
        assert all(abs(found[symbol] - target) <= target * BAND for symbol, target in TARGETS.items()), found
        assert rig.faults() == []

    def test_sizes_are_allotted_and_what_was_put_off_says_why(self, make_portfolio: MakePortfolio) -> None:
        rig = make_portfolio(**TAKING, NOTIONAL_CAP_TRY_PER_CYCLE="1500")
        rig.cycle()
        value = sum((order.price * order.quantity for order in rig.orders()), Decimal(0))
        assert 1_400 < value <= 1_500
        assert {"allowed", ReasonCode.ALLOCATION_CYCLE_CAP.value} == set(rig.verdicts())


class TestReplacing:
    def test_an_order_that_the_market_left_behind_is_replaced_once(self, make_portfolio: MakePortfolio) -> None:
        """All four rest below the mid; one pair rises. Then nothing moves for a quarter of an hour."""
        rig = make_portfolio(PORTFOLIO_ORDER_OFFSET_BPS="20")
        rig.cycle(2)
        before = {order.symbol: order for order in rig.orders()}
        assert set(before) == set(PRICES)
        Market(rig).move("SOLTRY", 50)
        rig.cycle(90)
        by_symbol: dict[str, list[OrderStatus]] = {}
        for order in rig.orders():
            by_symbol.setdefault(order.symbol, []).append(order.status)
        one = [OrderStatus.ACCEPTED]
        assert by_symbol == dict.fromkeys(PRICES, one) | {"SOLTRY": [OrderStatus.CANCELED, *one]}
        [end] = replaced(rig)
        assert (end.outcome, end.old_client_order_id) == (
            ReplacementOutcome.DONE, before["SOLTRY"].client_order_id,
        )  # fmt: skip
        assert max(rig.venue.posts_by_client().values()) == 1
        demand_one_budget(rig)

    @pytest.mark.parametrize(
        "place",
        [
            "before DELETE", "after DELETE", "before POST", "after POST", "before commit", "after commit",
            "after GET /api/v1/openOrders", "after GET /api/v1/users/transactions/trade",
        ],
    )  # fmt: skip
    def test_killed_at_any_place_of_its_replacements_it_doubles_no_order_and_no_budget(
        self, make_portfolio: MakePortfolio, place: str
    ) -> None:
        rig = make_portfolio(PORTFOLIO_ORDER_OFFSET_BPS="20", MAX_INTENT_NOTIONAL_TRY="5000", TTL_SECONDS="40")
        market, crashes = Market(rig), 0
        market.walk(3)
        for number in range(1, 13):
            count = itertools.count(1)
            rig.points.crash_when(lambda name, n=number, c=count: name.startswith(place) and next(c) == n % 4 + 1)
            try:
                market.walk(3)
            except Crash:
                crashes += 1
                rig.crash()
                rig.points.watch = None
                rig.wait(rig.cycle_seconds)
                demand = rig.venue.posts_by_client()
                assert not demand or max(demand.values()) == 1
                rig.start()
            rig.points.watch = None
            rig.cycle()
            demand_one_budget(rig)
        assert crashes >= 3
        assert len(replaced(rig)) >= 5
        rig.heal()
        assert rig.faults() == []

    @pytest.mark.parametrize("place", ["before DELETE", "after DELETE", "before POST", "after POST"])
    def test_another_profile_in_between_neither_orders_for_it_nor_loses_it(
        self, make_portfolio: MakePortfolio, place: str
    ) -> None:
        """On the same database: `run` knows no replacements, and a portfolio comes back to them."""
        profile = STAGE4
        rig = make_portfolio(PORTFOLIO_ORDER_OFFSET_BPS="20", strategy=lambda settings: strategy_of(profile, settings))
        market = Market(rig)
        market.walk(4)
        rig.points.crash_when(lambda name: name.startswith(place) and is_replacing(rig))
        with pytest.raises(Crash):
            market.walk(60)
        rig.crash()
        rig.points.watch = None
        rig.wait(10)
        left = None
        for profile in (RUN, STAGE4):
            rig.profile = profile
            rig.start()
            left = left or rig.store.value(OPEN_REPLACEMENTS)
            market.walk(8)
            demand_one_budget(rig)
            if profile is RUN:
                assert rig.store.value(OPEN_REPLACEMENTS) == left
                rig.crash()
        market.walk(10)
        assert rig.store.value(OPEN_REPLACEMENTS) != left
        assert max(rig.venue.posts_by_client().values()) == 1
        rig.heal()
        assert rig.faults() == []


class TestOtherHands:
    def test_a_humans_orders_stand_through_replacements_a_freeze_and_a_kill_switch(
        self, make_portfolio: MakePortfolio
    ) -> None:
        rig = make_portfolio(PORTFOLIO_ORDER_OFFSET_BPS="20")
        market = Market(rig)
        theirs = [
            rig.venue.human_orders("buy", *order) for order in (("SOLTRY", "0.1", "2000"), ("ADATRY", "10", "20.101"))
        ]
        market.walk(10)
        another = of_another_bot(rig)
        rig.cycle(4)
        assert is_frozen(rig.store)
        rig.kill_switch().turn_on("enough", rig.clock.now_ms())
        market.walk(10)
        rig.cycle(70)
        working = {order.id for order in rig.venue.working()}
        assert working == {*theirs, int(another.removeprefix("venue:"))}
        assert len(replaced(rig)) >= 1


class TestMoney:
    def test_the_treasury_is_not_spent_by_the_next_buys(self, make_rig: Callable[..., Rig]) -> None:
        """A profit of some 178 TRY: 40 % of it are kept, and of all the cash a buy gets only the rest."""
        wide = {**WIDE, "TTL_SECONDS": "3600", "NOTIONAL_CAP_TRY_PER_CYCLE": "20000", "TRY_CASH_TARGET": "0"}
        rig = make_rig(
            profile=STAGE4, MAX_POSITION_TRY_PER_SYMBOL="20000", MAX_INTENT_NOTIONAL_TRY="20000",
            RISK_MAX_POSITION_PCT="100", **{name: text for name, text in wide.items() if name[:10] != "MAX_INTENT"},
        )  # fmt: skip
        rig.cycle()
        rig.wish("buy", "0.0009", "1000500")
        rig.cycle(2)
        rig.venue.price("BTCTRY", "1200000")
        rig.wish("sell", "0.0009", "1199000")
        rig.cycle(2)
        keeper = next(one for one in rig.bot.services.overseers if isinstance(one, CapitalKeeper))
        kept = keeper.state().treasury
        assert kept > 60
        cash = rig.venue.totals()["TRY"]
        rig.wish("buy", "0.0100", "1190000")
        rig.cycle()
        order = rig.order()
        assert order.status is OrderStatus.ACCEPTED
        assert order.price * order.quantity * Decimal("1.0024") <= cash - kept
        assert order.price * order.quantity > cash * Decimal("0.95") - kept


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    yield made
    made.close()


def with_agent(endpoint: Endpoint, **more: str) -> dict[str, str]:
    return {
        "AGENT_POLICY_ENABLED": "true",
        "AGENT_POLICY_PROVIDER": "llm",
        "AGENT_LLM_URL": endpoint.url,
        "AGENT_LLM_MODEL": "guard-1",
        "AGENT_LLM_TIMEOUT_SECONDS": "0.3",
        **more,
    }


def agent_notes(rig: Rig) -> list[AgentNote]:
    return [msgspec.json.decode(note.body, type=AgentNote) for note in rig.store.notes(NoteKind.AGENT)]


class TestAgent:
    def test_it_makes_buys_smaller_and_takes_one_out_and_all_of_it_is_on_record(
        self, make_portfolio: MakePortfolio, endpoint: Endpoint
    ) -> None:
        plain = make_portfolio(**TAKING)
        plain.cycle()
        endpoint.answer = endpoint.says(
            '{"action":"narrow","buy_share":"0.5","take_out":[{"wish":1,"reason":"too much of it"}],'
            '"rationale":"thin books"}'
        )
        rig = make_portfolio(**TAKING, **with_agent(endpoint, AGENT_PROMPT_CAPTURE_ENABLED="true"))
        rig.cycle()
        [(path, _, body)] = endpoint.requests
        assert path == "/v1/chat/completions"
        assert "BTCTRY" in body.decode()
        bought = {order.symbol: order.price * order.quantity for order in plain.orders()}
        less = {order.symbol: order.price * order.quantity for order in rig.orders()}
        assert set(bought) - set(less) == {"BTCTRY"}, "the wish that it took out"
        codes = {verdict.symbol: verdict.code for verdict in rig.store.verdicts(rig.store.cycles(1)[0].cycle_id)}
        assert codes["BTCTRY"] == ReasonCode.AGENT_TOOK_OUT.value
        assert all(value <= bought[symbol] for symbol, value in less.items())
        [note] = agent_notes(rig)
        assert note.answer is not None
        assert note.answer.rationale == "thin books"
        assert note.changes
        assert "thin books" in note.text
        rig.heal()
        assert rig.faults() == []

    @pytest.mark.parametrize("answer", ["nonsense", "late", "gone", "greedy"])
    def test_an_agent_that_answers_nonsense_or_late_narrows_to_no_buys_with_the_reason_on_record(
        self, make_portfolio: MakePortfolio, endpoint: Endpoint, answer: str
    ) -> None:
        def late(request: BaseHTTPRequestHandler) -> None:
            time.sleep(0.6)
            endpoint.says('{"action":"no_change"}')(request)

        endpoint.answer = {
            "nonsense": endpoint.says("Buy everything, trust me."),
            "late": late,
            "gone": endpoint.sends(b"", 500),
            "greedy": endpoint.says('{"action":"narrow","buy_share":"7"}'),
        }[answer]
        rig = make_portfolio(**TAKING, **with_agent(endpoint))
        report = rig.cycle()
        assert report.outcome is CycleOutcome.COMPLETED
        assert rig.orders() == []
        assert set(rig.verdicts()) == {ReasonCode.AGENT_FAILED.value}
        [note] = agent_notes(rig)
        assert note.failure is not None
        kind = {"nonsense": "nonsense", "late": "late", "gone": "refused", "greedy": "nonsense"}[answer]
        assert note.failure.kind.value == kind
        endpoint.answer = endpoint.says('{"action":"no_change"}')
        rig.cycle()
        assert len(rig.orders()) == 4, "and when it answers again, trading goes on"


# -- played again ------------------------------------------------------------------------------------------------------


def leave(rig: Rig, kind: str, **arguments: str) -> None:
    """A request, as a command leaves it in the database beside a running bot."""
    request = Request(
        request_id=f"asked-{rig.clock.now_ms()}", kind=kind, arguments=arguments, made_at_ms=rig.clock.now_ms(),
        wait_ms=60_000,
    )  # fmt: skip
    command = SqliteStore.open(rig.database)
    with command.transaction() as tx:
        tx.put_value(REQUEST, msgspec.json.encode(request).decode())
    command.close()


def played(rig: Rig) -> Replayed:
    def its_own(settings: Settings) -> Strategy:
        """Under the name that strategies have in a rig."""
        own = strategy_of(STAGE4, settings)
        assert isinstance(own, UsesSignals)
        return WithSignals(ScriptedStrategy(own), own)

    rig.crash()
    return replay(rig.database, its_own)


@pytest.mark.parametrize("has_feed", [False, True], ids=["by the timer", "with the feed"])
class TestReplay:
    """Each with a restart and a crash in the middle, so that what is kept from cycle to cycle is read again."""

    @pytest.fixture
    def recorded(self, make_portfolio: MakePortfolio, monkeypatch: pytest.MonkeyPatch, has_feed: bool) -> MakePortfolio:
        monkeypatch.setattr(bootstrap, "build", partial(bootstrap.build, with_journal=True))
        return partial(make_portfolio, has_feed=has_feed, PORTFOLIO_ORDER_OFFSET_BPS="10")

    def go_on(self, market: Market, cycles: int) -> None:
        for _ in range(cycles):
            market.walk(1)
            if market.rig.feed is not None:
                market.rig.pause(2)

    def demand_the_same(self, rig: Rig, cycles: int) -> Replayed:
        verdicts = sum(len(rig.store.verdicts(report.cycle_id)) for report in rig.store.cycles(1_000))
        orders = len(rig.orders())
        same = played(rig)
        assert same.difference is None
        assert (same.runs, same.decisions, same.orders) == (2, verdicts, orders)
        assert same.cycles >= cycles
        return same

    def test_targets_and_replacements(self, recorded: MakePortfolio) -> None:
        rig = recorded()
        market = Market(rig)
        self.go_on(market, 25)
        rig.restart()
        self.go_on(market, 25)
        assert len([end for end in replaced(rig) if end.outcome is ReplacementOutcome.DONE]) >= 5
        self.demand_the_same(rig, 50)

    def test_a_crash_in_the_middle_of_a_replacement(self, recorded: MakePortfolio) -> None:
        rig = recorded()
        market = Market(rig)
        self.go_on(market, 10)
        rig.points.crash_when(lambda name: name.startswith("after DELETE"))
        with pytest.raises(Crash):
            self.go_on(market, 40)
        rig.crash()
        rig.points.watch = None
        rig.wait(10)
        rig.start()
        self.go_on(market, 15)
        assert replaced(rig)
        same = played(rig)
        assert same.difference is None
        assert same.runs == 2

    def test_an_agent_over_the_network(self, recorded: MakePortfolio, endpoint: Endpoint) -> None:
        """In the replay nobody is asked: the endpoint is gone by then."""
        endpoint.answer = endpoint.says('{"action":"narrow","buy_share":"0.5","rationale":"thin books"}')
        rig = recorded(**with_agent(endpoint))
        market = Market(rig)
        self.go_on(market, 10)
        endpoint.answer = endpoint.says("nonsense")
        self.go_on(market, 5)
        rig.restart()
        endpoint.answer = endpoint.says('{"action":"no_change"}')
        self.go_on(market, 5)
        asked = len(endpoint.requests)
        assert {note.failure is None for note in agent_notes(rig)} == {True, False}
        self.demand_the_same(rig, 20)
        assert len(endpoint.requests) == asked

    def test_a_universe_that_is_chosen(self, recorded: MakePortfolio) -> None:
        rig = recorded(
            DYNAMIC_UNIVERSE_ENABLED="true",
            PORTFOLIO_TARGETS="",
            UNIVERSE_TOP_N="2",
            UNIVERSE_MIN_DEPTH_TRY="10000",
            UNIVERSE_REFRESH_MINUTES="5",
            UNIVERSE_MOMENTUM_LOOKBACK_MINUTES="15",
            UNIVERSE_HISTORY_TOLERANCE_MINUTES="5",
        )
        market = Market(rig)
        self.go_on(market, 40)
        rig.restart()
        self.go_on(market, 30)
        assert rig.store.note_count(NoteKind.UNIVERSE) >= 3
        assert rig.orders()
        self.demand_the_same(rig, 70)

    def test_a_degrade_level_an_override_and_alerts(self, recorded: MakePortfolio) -> None:
        rig = recorded(DEGRADE_COOLDOWN_SECONDS="30")
        market = Market(rig)
        self.go_on(market, 8)
        leave(rig, "degrade_override", mode="REDUCE_RISK_ONLY", seconds="60", reason="thin books")
        self.go_on(market, 10)
        rig.venue.fault("rate_limited", "GET", "/api/v1/users/balances", count=3)
        self.go_on(market, 3)
        rig.restart()
        self.go_on(market, 30)
        whats = [msgspec.json.decode(note.body)["what"] for note in rig.store.notes(NoteKind.DEGRADE)]
        assert {"overridden", "override_ended", "raised", "lowered"} <= set(whats)
        self.demand_the_same(rig, 51)

    def test_a_freeze_and_its_end(self, recorded: MakePortfolio) -> None:
        rig = recorded()
        market = Market(rig)
        self.go_on(market, 5)
        of_another_bot(rig)
        self.go_on(market, 6)
        rig.restart()
        self.go_on(market, 3)
        record = read_freeze(rig.store)
        assert record is not None
        leave(rig, "freeze_clear", orders=",".join(order.key for order in record.orders))
        self.go_on(market, 6)
        assert not is_frozen(rig.store)
        assert rig.store.note_count(NoteKind.FREEZE) == 2
        self.demand_the_same(rig, 20)

    def test_the_kill_chain_that_pulls_the_brake_and_lets_it_go(self, recorded: MakePortfolio) -> None:
        """Neither is done in the replay: the switch is the operator's own file."""
        rig = recorded(KILL_CHAIN_MAX_CONSECUTIVE_ERRORS="2", KILL_CHAIN_COOLDOWN_SECONDS="60", TTL_SECONDS="20")
        market = Market(rig)
        self.go_on(market, 3)
        for symbol in PRICES:
            rig.venue.change_minimum(symbol, "9000")
        seen = []
        for number in range(25):
            self.go_on(market, 1)
            seen.append(rig.kill_switch().is_on()[0])
            if number == 12:
                rig.restart()
        assert True in seen
        assert False in seen[seen.index(True) :], "and it let go again"
        rig.kill_switch().turn_off()
        self.demand_the_same(rig, 28)
        assert not rig.kill_switch().is_on()[0]
