"""Replacing an order, told with everything that can come between: one order in its place, or none, never two."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from btcbot.decisions import replacement
from btcbot.decisions.upkeep import Upkeep
from btcbot.domain.cycles import CycleOutcome
from btcbot.domain.notes import NoteKind
from btcbot.domain.orders import CONFIRMED_BY_LISTS, OrderStatus
from btcbot.domain.replacements import OPEN_REPLACEMENTS, ReplacementState, replaces_another
from btcbot.services import replacement_record
from btcbot.services.execution import ExecutionService
from btcbot.services.replacement import ReplacementService
from btcbot.testing.stories import STORIES
from btcbot.testing.stories.harm import Crashes
from btcbot.testing.stories.performance import Performance
from btcbot.testing.stories.placement import told
from btcbot.testing.stories.replacements import REPLACEMENTS, REPLACING
from btcbot.testing.stories.story import Act, Story, fault, human_cancels, once, price, stranger, wait, wish
from btcturk_sim.engine import EngineOptions

RESTING = ("buy", "0.0005", "1000000")
MORE = ("buy", "0.0007", "1000000")
AT_REST = "an order at rest is replaced where the market went"
FILLING = "an order is replaced while it fills"


@pytest.fixture
def folder() -> Iterator[Path]:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="replaced-", dir=memory if memory.is_dir() else None) as made:
        yield Path(made)


@pytest.fixture
def replacing(make_rig):
    """A rig whose orders make room for what is wished; one cycle has run, and 0.0005 BTC rest at 1,000,000."""

    def make(**options):
        rig = make_rig(
            **{
                "profile": REPLACING,
                "TTL_SECONDS": "30",
                "REPLACE_MIN_AGE_SECONDS": "0",
                "MAX_INTENT_NOTIONAL_TRY": "5000",
                **options,
            }
        )
        rig.cycle()
        rig.wish(*RESTING)
        rig.cycle()
        return rig

    return make


def ends(rig):
    return [json.loads(note.body) for note in rig.store.notes(NoteKind.REPLACEMENT)]


def states(rig):
    return [record["state"] for record in json.loads(rig.store.value(OPEN_REPLACEMENTS) or "[]")]


# -- as a trader sees it -----------------------------------------------------------------------------------------------


def test_the_old_order_goes_first_and_the_new_one_comes_when_it_is_proved_gone(replacing):
    rig = replacing()
    rig.wait(30)
    rig.wish(*MORE)
    rig.cycle()
    assert rig.statuses() == [OrderStatus.PENDING_CANCEL]
    assert states(rig) == [ReplacementState.CANCELING]
    rig.cycle()
    old, new = rig.orders()
    assert (old.status, new.status) == (OrderStatus.CANCELED, OrderStatus.ACCEPTED)
    assert (new.price, new.quantity) == (Decimal(1_000_000), Decimal("0.0007"))
    assert states(rig) == [ReplacementState.SUBMITTED]
    rig.wish(*MORE)
    rig.cycle()
    assert states(rig) == []
    [end] = ends(rig)
    assert (end["outcome"], end["old_client_order_id"], end["new_client_order_id"]) == (
        "DONE", old.client_order_id, new.client_order_id,
    )  # fmt: skip
    assert (end["price"], end["quantity"]) == ("1000000", "0.0007")
    assert (end["begin_reason"], end["reason"]) == ("order:stale_and_replaced", "replacement:done")
    [told_of] = rig.log.events("replacement_ended")
    assert (told_of["begin_reason"], told_of["reason"]) == ("order:stale_and_replaced", "replacement:done")
    assert old.reason == f"order:stale_and_replaced{CONFIRMED_BY_LISTS}"
    assert rig.metrics.value("btcbot_replacements_total", outcome="BEGUN", reason="order:stale_and_replaced") == 1
    assert rig.metrics.value("btcbot_replacements_total", outcome="DONE", reason="replacement:done") == 1
    rig.heal()
    assert rig.faults() == []


def test_a_resting_order_that_is_still_wished_is_never_touched(replacing):
    """What strategies that decide anew in every cycle wish most of the time."""
    rig = replacing()
    for _ in range(12):
        rig.wish(*RESTING)
        rig.cycle()
        assert rig.verdicts() == ["draft_block:order_already_works"]
    assert rig.statuses() == [OrderStatus.ACCEPTED]
    assert not rig.venue.requests("DELETE")


def test_an_order_is_not_replaced_at_every_tick(replacing):
    """Ten ticks of ten seconds, each with another wish: the minimum age and the cooldown leave two replacements."""
    rig = replacing(REPLACE_MIN_AGE_SECONDS="20", REPLACE_COOLDOWN_SECONDS="50", TTL_SECONDS="3600")
    for number in range(10):
        rig.wish("buy", "0.0005", str(996_000 if number % 2 else 1_000_000))
        rig.cycle()
    assert len(ends(rig)) + len(states(rig)) == 2


def test_what_the_cooldown_would_refuse_is_not_taken_out(replacing):
    """Otherwise the old order would be gone and the new one refused."""
    rig = replacing(COOLDOWN_SECONDS="60")
    rig.wait(30)
    rig.wish(*MORE)
    rig.cycle()
    assert rig.verdicts() == ["draft_block:order_too_young_to_replace"]
    rig.wait(10)
    rig.wish(*MORE)
    rig.cycle(2)
    assert rig.statuses() == [OrderStatus.CANCELED, OrderStatus.ACCEPTED]


def test_without_market_data_a_stale_order_still_goes(replacing):
    rig = replacing()
    rig.venue.fault("status_before", "GET", "/api/v2/orderbook", count=None, status=503)
    rig.wait(40)
    rig.cycle(2)
    assert len(rig.venue.requests("DELETE")) == 1
    assert states(rig) == []


def test_a_dry_run_replaces_nothing_and_nothing_leaves(replacing):
    rig = replacing(DRY_RUN="true", LIVE_TRADING="false")
    rig.wait(40)
    rig.wish(*MORE)
    rig.cycle(2)
    assert set(rig.statuses()) == {OrderStatus.SIMULATED}
    assert states(rig) == ends(rig) == []
    assert not rig.venue.requests("POST")
    assert not rig.venue.requests("DELETE")


def test_a_cancel_that_never_left_gives_the_order_back(replacing):
    """The venue has no room for the request: nothing was taken from the market, and the next cycle decides anew."""
    rig = replacing()
    rig.wait(30)
    rig.wish(*MORE)
    rig.venue.fault("rate_limited", "DELETE", retry_after=1)
    rig.cycle()
    assert rig.statuses() == [OrderStatus.ACCEPTED]
    rig.wish(*MORE)
    rig.cycle(2)
    assert [end["reason"] for end in ends(rig)] == ["replacement:cancel_never_left"]
    assert rig.statuses() == [OrderStatus.CANCELED, OrderStatus.ACCEPTED]
    rig.heal()
    assert rig.faults() == []


def test_funds_that_the_balances_did_not_show_yet_do_not_end_a_replacement(replacing):
    """All cash is in the old order. It goes when the balances of the cycle were read, and its list was not."""
    rig = replacing(balances={"TRY": "810"}, TRY_CASH_TARGET="300")
    rig.wait(30)
    rig.wish("buy", "0.00049", "999000")
    rig.venue.fault("cancel_lost", "DELETE")
    rig.cycle()

    def goes(name):
        if name.startswith("after GET /api/v1/users/balances") and rig.venue.working():
            rig.venue.cancel(rig.venue.working()[0].id)
            rig.wait(1)

    rig.points.watch = goes
    rig.cycle()
    assert rig.verdicts() == ["draft_block:no_investable_cash"]
    assert rig.statuses() == [OrderStatus.CANCELED]
    assert states(rig) == [ReplacementState.CANCELING]
    rig.points.watch = None
    rig.cycle()
    assert rig.statuses() == [OrderStatus.CANCELED, OrderStatus.ACCEPTED]


def test_orders_of_other_hands_are_never_replaced(replacing):
    rig = replacing()
    rig.venue.human_orders("buy", "BTCTRY", "0.0002", "990000")
    rig.wait(300)
    rig.wish(*MORE)
    rig.cycle(3)
    assert [order.client_id for order in rig.venue.working()].count("") <= 1
    deleted = len(rig.venue.requests("DELETE"))
    assert deleted == 1
    assert len(rig.venue.working()) == 2


# -- crashes at every place, and whatever else can happen --------------------------------------------------------------


@pytest.mark.parametrize("story", REPLACEMENTS, ids=lambda story: story.name)
def test_a_story_of_a_replacement_survives_two_crashes_in_a_row(folder, story):
    """`tests/scenario/test_crashes.py` and the proof place single crashes; here the recovery from one dies as well."""
    points = len(told(story, folder).points)
    for first in range(5, points, 11):
        harm = Crashes(first, 1 + first % 17, 3)
        performance = Performance(story, folder, harm)
        assert performance.play() == []
        assert harm.struck


_wishes = st.builds(
    wish,
    st.sampled_from(("buy", "buy", "buy", "sell")),
    st.sampled_from(("0.0003", "0.0005", "0.0007")),
    st.sampled_from(("996000", "999900", "1000000", "1000500", "1003000")),
)
_strangers = st.builds(
    stranger, st.sampled_from(("sell", "buy")), st.sampled_from(("0.0001", "0.0002", "0.0005")), st.just("1000000")
)
_points = st.sampled_from(("after DELETE", "before DELETE", "after POST", "before GET /api/v1/openOrders"))
_happenings = st.one_of(
    _strangers,
    st.builds(once, _points, _strangers),
    st.builds(once, _points, st.just(human_cancels)),
    st.builds(wait, st.sampled_from((1, 5, 30, 60))),
    st.builds(price, st.sampled_from(("997000", "1000000", "1004000"))),
    st.builds(fault, st.sampled_from(("lost_after", "lost_before", "cancel_lost", "rate_limited")), st.just("DELETE")),
    st.builds(fault, st.sampled_from(("lost_after", "lost_before")), st.just("POST")),
    st.just(human_cancels),
)
_acts: st.SearchStrategy[list[Act]] = st.builds(
    lambda wishes, others: [*others, *wishes], st.lists(_wishes, max_size=2), st.lists(_happenings, max_size=3)
)


@settings(max_examples=60, deadline=None)
@given(
    acts=st.lists(_acts, min_size=3, max_size=8),
    crashes=st.lists(st.integers(1, 90), max_size=3),
    engine=st.builds(
        EngineOptions, cancel_lag_ms=st.sampled_from((0, 3_000)), transactions_lag_ms=st.sampled_from((0, 4_000))
    ),
    ttl=st.sampled_from(("8", "20", "35")),
)
def test_whatever_fills_cancels_and_crashes_one_replacement_is_one_order_and_buys_no_more_than_was_wished(
    acts, crashes, engine, ttl
):
    """The watchers of `btcbot.testing.checkers` look on: I5 counts at the venue, I1 counts orders for each intent."""
    story = Story(
        name="whatever happens",
        acts=dict(enumerate([[wish(*RESTING)], *acts])),
        cycles=len(acts) + 2,
        lives=[],
        profile=REPLACING,
        engine=engine,
        settings={
            "REPLACE_MIN_AGE_SECONDS": "5",
            "REPLACE_COOLDOWN_SECONDS": "5",
            "TTL_SECONDS": ttl,
            "MAX_INTENT_NOTIONAL_TRY": "5000",
        },
        always=STORIES[AT_REST].always,
    )
    with tempfile.TemporaryDirectory(prefix="replaced-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as made:
        assert Performance(story, Path(made), Crashes(*crashes)).play() == []


# -- the judges can see ------------------------------------------------------------------------------------------------


FORGOTTEN = "a replacement's cancellation is confirmed and forgotten"


@pytest.fixture
def hasty(monkeypatch):
    """Decision, upkeep and caps all let a new order pass while the cancellation of the old one is under way."""
    monkeypatch.setattr(
        replacement, "PROVED_CLOSED", frozenset({*replacement.PROVED_CLOSED, OrderStatus.PENDING_CANCEL})
    )
    decide, shape = replacement.decide, Upkeep.shape
    monkeypatch.setattr(
        replacement, "decide", lambda record, facts: decide(record, msgspec.structs.replace(facts, open_orders=()))
    )

    def pass_due(self, draft, facts):
        due = [intent for intent in draft.intents if replaces_another(intent.intent_id)]
        rest = [intent for intent in draft.intents if intent not in due]
        shaped = shape(self, msgspec.structs.replace(draft, intents=rest), facts)
        return msgspec.structs.replace(shaped, intents=[*due, *shaped.intents])

    monkeypatch.setattr(Upkeep, "shape", pass_due)
    story = STORIES[FORGOTTEN]
    return msgspec.structs.replace(story, settings={**story.settings, "MAX_OPEN_ORDERS_PER_SYMBOL": "2"})


def test_a_new_order_beside_the_old_one_is_found(folder, monkeypatch, hasty):
    """Sending before the old order is proved gone would double the budget."""
    monkeypatch.setattr("btcbot.services.replacement.PROVED_CLOSED", replacement.PROVED_CLOSED)
    assert "works at the venue" in " ".join(told(hasty, folder).wrong)


def test_the_service_itself_halts_rather_than_order_beside_an_order_that_works(folder, hasty):
    """Were decision, upkeep and caps wrong one day, the unit that reserves the new order still refuses it."""
    performance = Performance(hasty, folder)
    assert "I5_REPLACEMENT" in " ".join(performance.play())
    assert performance.posts == 1


def test_buying_again_what_the_old_order_filled_is_found(folder, monkeypatch):
    real = replacement.decide

    def decide(record, facts):
        unfilled = facts.old and msgspec.structs.replace(facts.old, filled_quantity=record.filled_before)
        return real(record, msgspec.structs.replace(facts, old=unfilled))

    monkeypatch.setattr(replacement, "decide", decide)
    assert "of the wish is left" in " ".join(told(STORIES[FILLING], folder).wrong)


def test_a_step_that_is_not_in_the_unit_of_its_order_is_found(folder, monkeypatch):
    """With the record told of its order one unit later, a crash in between orders twice."""
    real = ExecutionService.submit

    def submit(self, intent, instrument, summary, beside=None):
        order = real(self, intent, instrument, summary)
        if beside is not None and order is not None:
            with self._store.transaction() as tx:
                beside(tx, order)
        return order

    monkeypatch.setattr(ExecutionService, "submit", submit)
    real_decide = replacement.decide
    monkeypatch.setattr(
        replacement,
        "decide",
        lambda record, facts: real_decide(record, msgspec.structs.replace(facts, last_order_ms=None)),
    )
    story = msgspec.structs.replace(STORIES[AT_REST], settings={**STORIES[AT_REST].settings, "TTL_SECONDS": "300"})
    points = told(story, folder).points
    sent = max(number for number, name in enumerate(points, start=1) if name == "after POST /api/v1/order")
    wrong = [line for number in range(sent - 3, sent + 6) for line in told(story, folder, Crashes(number)).wrong]
    assert any("second order" in line or "replaced again" in line or "not true" in line for line in wrong)


def test_a_replacement_that_forgets_its_end_is_found(folder, monkeypatch):
    monkeypatch.setattr(ReplacementService, "settle", lambda self, decisions: None)
    wrong = Performance(STORIES[AT_REST], folder, Crashes()).play()
    assert any("no replacement is left open" in line for line in wrong)


def test_a_list_that_cannot_be_read_halts_and_a_human_finds_the_way_back(replacing):
    """It halted the bot at each start, and no command cleared it."""
    rig = replacing()
    with rig.store.transaction() as tx:
        tx.put_value(OPEN_REPLACEMENTS, '[{"old_client_order_id": "btcb')
    rig.wish(*MORE)
    assert rig.cycle().outcome is CycleOutcome.HALTED
    assert "btcbot replacements status" in rig.store.trading_state()[1]
    seen = replacement_record.read_kept(rig.store)
    assert (seen.records, seen.in_the_way) == ((), [])
    assert rig.ask("replacements_clear", shown=seen.sha256, reason="looked at the venue's page").done
    assert rig.ask("resume", reason="the list was put aside").done
    rig.restart()
    rig.wait(30)
    for _ in range(3):
        rig.wish(*MORE)
        assert rig.cycle().outcome is CycleOutcome.COMPLETED
    assert [end["outcome"] for end in ends(rig)] == ["DONE"], "what works is replaced again"
    ((aside),) = replacement_record.read_put_aside(rig.store)
    assert (aside.reason, aside.text) == ("looked at the venue's page", seen.text)
