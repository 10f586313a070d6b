"""Orders that nobody can explain: which they are, how long it takes, and which never freeze."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.builders import NOW_MS, a_venue_order, an_order, client_id

from btcbot.decisions import freeze
from btcbot.decisions.freeze import FreezeRecord, FreezeRules, Sighting, Unexplained, UnexplainedKind
from btcbot.domain.orders import OrderStatus
from btcbot.domain.venue import VenueOrder

RULES = FreezeRules(is_enabled=True, foreign_max=0, cycles=3, lasting_ms=30_000, missing_ms=60_000)
OURS = an_order(1)


def shown(number: int, client_order_id: str | None) -> VenueOrder:
    return a_venue_order(OURS, venue_order_id=f"v{number}", client_order_id=client_order_id)


def look(
    venue_open: Sequence[VenueOrder] = (), known: set[str] | None = None, own_open: Any = (), shown_by_id: Any = ()
) -> Sequence[Unexplained]:
    return freeze.unexplained(venue_open, known or set(), own_open, shown_by_id)


class Looks:
    """Looks ten seconds apart."""

    def __init__(self, rules: FreezeRules = RULES) -> None:
        self.rules, self.now_ms = rules, NOW_MS
        self.watched: dict[str, Sighting] = {}

    def see(
        self, found: Sequence[Unexplained], times: int = 1, seconds: float = 10, acknowledged: Any = ()
    ) -> list[str]:
        """The keys that freeze after so many looks."""
        for _ in range(times):
            self.now_ms += round(seconds * 1000)
            self.watched = dict(freeze.watch(self.watched, found, self.now_ms, self.rules))
        return [order.key for order in freeze.proved(self.watched, acknowledged, self.now_ms, self.rules)]


STRANGERS = look([shown(1, client_id(9, book_id="zzzz"))])
FOREIGN = look([shown(2, "by-hand"), shown(3, None)])
MISSING = look(own_open=[an_order(4, status=OrderStatus.UNKNOWN)])


def test_a_foreign_order_never_freezes_because_our_own_id_was_not_known() -> None:
    """mistake 5: our own resting order is known by the client order id that was sent, in whatever state it is."""
    resting = a_venue_order(OURS)
    assert look([resting], known={OURS.client_order_id}, own_open=[OURS]) == []


def test_an_order_with_our_prefix_that_no_row_of_ours_has_is_of_another_database() -> None:
    (found,) = STRANGERS
    assert (found.key, found.kind, found.symbol) == ("venue:v1", UnexplainedKind.OTHER_BOOK, "ADATRY")
    assert found.detail == f"buy 2 at 100, venue order v1 ({client_id(9, book_id='zzzz')})"


def test_one_of_this_database_that_it_lost_is_unexplained_too() -> None:
    """Recovery adopts it on sight; where it cannot, somebody has to look."""
    (found,) = look([shown(1, client_id(7))])
    assert found.kind is UnexplainedKind.OTHER_BOOK


def test_an_order_without_our_prefix_is_somebodys_own() -> None:
    assert [order.kind for order in FOREIGN] == [UnexplainedKind.FOREIGN] * 2


def test_an_order_of_ours_is_missing_when_no_id_of_it_is_shown() -> None:
    (found,) = MISSING
    assert (found.key, found.kind) == (f"own:{client_id(4)}", UnexplainedKind.MISSING)
    assert "our buy 2 at 100" in found.detail
    assert "is UNKNOWN and the venue does not show it" in found.detail
    assert look([a_venue_order(OURS)], known={OURS.client_order_id}, own_open=[OURS]) == []
    by_venue_id = replace(a_venue_order(OURS), client_order_id=None)
    assert [one.kind for one in look([by_venue_id], own_open=[OURS])] == [UnexplainedKind.FOREIGN]


def test_an_order_that_the_venue_tells_by_its_id_is_not_missing_because_its_trades_are_late() -> None:
    filled, lost = an_order(4), an_order(5)
    found = look(own_open=[filled, lost], shown_by_id={filled.client_order_id})
    assert [order.key for order in found] == [f"own:{lost.client_order_id}"]


def test_so_many_looks_in_a_row() -> None:
    looks = Looks()
    assert [looks.see(STRANGERS) for _ in range(3)] == [[], [], ["venue:v1"]]


def test_or_so_much_time_from_one_look_to_another() -> None:
    looks = Looks()
    assert looks.see(STRANGERS, seconds=3_600) == []
    assert looks.see(STRANGERS, seconds=30) == ["venue:v1"]


def test_a_look_without_it_begins_anew() -> None:
    looks = Looks()
    for _ in range(10):
        assert looks.see(STRANGERS, times=2) == []
        assert looks.see([]) == []
    assert looks.watched == {}


def test_foreign_orders_never_freeze_unless_somebody_wants_it() -> None:
    assert Looks().see(FOREIGN, times=1_000) == []
    wanted = Looks(replace(RULES, foreign_max=2))
    assert wanted.see(FOREIGN[:1], times=10) == []
    assert wanted.see(FOREIGN, times=2) == []
    assert wanted.see(FOREIGN) == ["venue:v2", "venue:v3"]


def test_an_order_of_ours_is_given_time_before_it_counts_as_missing() -> None:
    """The count begins by itself, with nothing frozen yet: mistake 19c."""
    looks = Looks()
    assert looks.see(MISSING, times=8) == []
    assert looks.watched[MISSING[0].key].cycles == 2
    assert looks.see(MISSING) == [MISSING[0].key]


def test_an_order_of_ours_that_turns_up_again_was_only_late() -> None:
    looks = Looks()
    for _ in range(5):
        looks.see(MISSING, times=8)
        looks.see([])
    assert looks.see(MISSING, times=8) == []


def test_what_was_acknowledged_does_not_freeze_and_others_still_do() -> None:
    looks = Looks()
    assert looks.see(STRANGERS, times=100, acknowledged={"venue:v1"}) == []
    other = look([shown(8, client_id(3, book_id="zzzz"))])
    assert looks.see([*STRANGERS, *other], times=3, acknowledged={"venue:v1"}) == ["venue:v8"]
    wanted = Looks(replace(RULES, foreign_max=2))
    assert wanted.see(FOREIGN, times=50, acknowledged={"venue:v2"}) == []  # one is left, and one is not two


def test_a_clock_that_is_set_back_does_not_stop_the_count() -> None:
    looks = Looks()
    looks.see(MISSING, times=3)
    looks.now_ms -= 3_600_000
    assert looks.see(MISSING, times=6) == []
    assert looks.see(MISSING, times=3) == [MISSING[0].key]


class TestTheEndByItself:
    """A freeze ends when what it was about is closed in the books, and nobody else is left to be asked about."""

    CLOSED = frozenset({client_id(4)})

    def is_explained(self, *orders: Unexplained, seen: Sequence[Unexplained] = (), **options: Any) -> bool:
        rules = options.get("rules", RULES)
        watched = freeze.watch({}, seen, NOW_MS, rules)
        record = FreezeRecord(since_ms=NOW_MS, cycle_id="c00000001", orders=orders)
        closed = options.get("closed", self.CLOSED)
        return freeze.is_explained(record, lambda name: name in closed, watched, options.get("acknowledged", ()), rules)

    def test_a_missing_order_that_the_books_have_closed_is_explained(self) -> None:
        assert self.is_explained(*MISSING)
        assert not self.is_explained(*MISSING, closed=())

    def test_orders_of_another_database_and_foreign_ones_never_end_by_themselves(self) -> None:
        closed = {*self.CLOSED, "venue:v1", "venue:v2", "venue:v3"}
        assert not self.is_explained(*STRANGERS, closed=closed)
        assert not self.is_explained(*MISSING, *STRANGERS, closed=closed)
        assert not self.is_explained(*MISSING, *FOREIGN, closed=closed)
        assert not self.is_explained(), "what nobody remembers the cause of, nobody explains"

    def test_somebody_seen_now_keeps_it_up_before_he_is_proved(self) -> None:
        assert not self.is_explained(*MISSING, seen=STRANGERS)
        assert self.is_explained(*MISSING, seen=STRANGERS, acknowledged={"venue:v1"})

    def test_foreign_orders_keep_it_up_only_where_they_would_freeze(self) -> None:
        assert self.is_explained(*MISSING, seen=FOREIGN)
        assert self.is_explained(*MISSING, seen=FOREIGN, rules=replace(RULES, foreign_max=3))
        assert not self.is_explained(*MISSING, seen=FOREIGN, rules=replace(RULES, foreign_max=2))

    @given(
        st.lists(st.sampled_from([*STRANGERS, *FOREIGN, *MISSING]), unique=True),
        st.lists(st.sampled_from([*STRANGERS, *FOREIGN, *MISSING]), unique=True),
        st.booleans(),
        st.integers(0, 3),
    )
    def test_what_ends_was_ours_is_closed_and_would_not_freeze_again(
        self, frozen: list[Unexplained], seen: list[Unexplained], is_closed: bool, foreign_max: int
    ) -> None:
        rules = replace(RULES, foreign_max=foreign_max)
        closed = self.CLOSED if is_closed else ()
        if not self.is_explained(*frozen, seen=seen, rules=rules, closed=closed):
            return
        assert frozen == [*MISSING]
        assert is_closed
        looks = Looks(rules)
        assert looks.see([one for one in seen if one not in MISSING], times=100) == []


ROUNDS = st.lists(
    st.tuples(st.lists(st.sampled_from([*STRANGERS, *FOREIGN, *MISSING]), unique=True), st.integers(0, 60)), max_size=40
)


@given(ROUNDS, st.sets(st.sampled_from(["venue:v1", "venue:v2", "venue:v3", MISSING[0].key])), st.integers(0, 3))
def test_nothing_freezes_that_is_not_seen_now_twice_in_a_row_or_that_was_acknowledged(
    rounds: Any, acknowledged: set[str], foreign_max: int
) -> None:
    looks = Looks(replace(RULES, foreign_max=foreign_max))
    before: list[Unexplained] = []
    for found, seconds in rounds:
        frozen = looks.see(found, seconds=seconds, acknowledged=acknowledged)
        assert set(frozen) <= {one.key for one in found} & {one.key for one in before}
        assert not set(frozen) & acknowledged
        if not foreign_max:
            assert not set(frozen) & {one.key for one in FOREIGN}
        before = found
