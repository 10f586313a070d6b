"""The format of a journal: lines that hold together, and facts that come back as they were."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcbot import ports
from btcbot.adapters.journal import facts, lines
from btcbot.adapters.journal.facts import ANSWERS, Asked, Reader, Writer
from btcbot.adapters.journal.lines import Damaged, End, Event
from btcbot.adapters.journal.views import ViewChange, ViewReader, ViewWriter
from btcbot.bootstrap import Sockets
from btcbot.domain.feed import AccountEvent, AccountEventKind, FeedBook, FeedView, Top
from btcbot.domain.instrument import Instrument
from btcbot.domain.outcomes import Accepted, Canceled, CancelRequested, InDoubt, NotSent, Refused, Simulated
from btcbot.errors import InvariantBroken, VenueUnavailable
from btcbot.ports import VenueHealth
from btcbot.services.alerts import Samples

BTC = Instrument(symbol="BTCTRY", base="BTC", quote="TRY", price_scale=0, quantity_scale=8, value_min=Decimal("99.91"))


def through_the_file(*notes: Asked) -> list[object]:
    """What a replay gives for each of these: an answer, or the error that it raises."""
    writer, reader = Writer(), Reader()
    given: list[object] = []
    for note in notes:
        event = Event(msgspec.Raw(msgspec.json.encode(writer.event(note), enc_hook=facts.plain)))
        assert event.name == note.name
        assert event.arguments == facts.arguments_of(note.name, note.arguments)
        given.append(facts.raised(event.error) if event.error is not None else reader.answer(event))
    return given


class TestLines:
    def test_a_line_opens_behind_the_one_before_it_and_nowhere_else(self) -> None:
        first, crc = lines.sealed(msgspec.json.encode(End(why="one")), 0)
        second, _ = lines.sealed(msgspec.json.encode(End(why="two")), crc)
        assert first.endswith(b'"}\n')
        assert msgspec.json.decode(first)["why"] == "one", "each line is JSON by itself"

        opened, after = lines.opened(first[:-1], 0)

        assert (opened, after) == (End(why="one"), crc)
        assert lines.opened(second[:-1], crc)[0] == End(why="two")
        with pytest.raises(Damaged, match="does not belong behind the line before it"):
            lines.opened(second[:-1], 0)

    @given(st.integers(0, 200), st.integers(1, 255))
    def test_no_byte_of_a_line_changes_unseen(self, at: int, flip: int) -> None:
        line = bytearray(lines.sealed(msgspec.json.encode(End(why="enough is enough")), 7)[0][:-1])
        line[at % len(line)] ^= flip
        with pytest.raises(Damaged):
            lines.opened(bytes(line), 7)

    @given(st.lists(st.integers(-(10**18), 10**18)))
    def test_readings_of_a_clock_come_back(self, readings: list[int]) -> None:
        assert lines.readings(lines.steps(readings)) == readings


class TestFacts:
    @pytest.mark.parametrize(
        ("port", "name", "not_told"),
        [
            (ports.Exchange, "exchange", {"close"}),
            (ports.MarketFeed, "feed", {"start", "close", "wait"}),
            (ports.BarSource, "bars", {"close"}),
            (ports.MarketScanner, "scanner", set()),
            (ports.AgentPolicy, "agent", {"close"}),
            (Samples, "samples", set()),
            (ports.KillSwitch, "kill_switch", set()),
            (ports.WriterLock, "lock", set()),
            (ports.StopSignal, "stop", {"wait"}),
        ],
    )
    def test_every_question_to_a_port_is_told(self, port: type, name: str, not_told: set[str]) -> None:
        questions = {method for method in vars(port) if not method.startswith("_")}
        told = {known.removeprefix(f"{name}.") for known in ANSWERS if known.startswith(f"{name}.")}
        assert told == questions - not_told

    def test_every_socket_is_on_the_tape_or_known_not_to_be(self) -> None:
        """Something new that a cycle can ask has to be recorded, or a replay would ask the world."""
        on_tape = {
            "store",
            "exchange",
            "clock",
            "stop",
            "kill_switch",
            "lock",
            "checks",
            "feed",
            "bars",
            "scanner",
            "agent",
            "samples",
        }
        beside = {"metrics", "log", "is_heard", "gate_policy", "signals", "candidates"}
        assert set(Sockets.__struct_fields__) == on_tape | beside

    def test_answers_come_back_as_they_were(self) -> None:
        rules = {"BTCTRY": BTC}
        health = VenueHealth(clock_skew_ms=-3, endpoints_closed=("submit",))
        order = msgspec.defstruct("OrderLike", [("client_order_id", str)])("btcbot-1")
        told: list[tuple[str, tuple[Any, ...], list[Any]]] = [
            ("exchange.instruments", (), [rules, rules, {"BTCTRY": BTC}, {}, rules]),
            ("exchange.health", (), [health, health, VenueHealth(), health]),
            ("exchange.open_orders", (None,), [[], [], []]),
            ("exchange.estimated_time_ms", (), [None, 5, 5]),
            ("kill_switch.is_on", (), [(False, ""), (True, "«enough»")]),
            ("check.space", (), [None, "only 3 KiB are free"]),
            ("feed.resync", ("BTCTRY",), [None]),
            ("exchange.submit", (order, "leave"), [Accepted(venue_order_id="7"), Refused(code="X"), Simulated()]),
            ("exchange.cancel", (order, "leave"), [CancelRequested(), NotSent(why="no"), InDoubt(why="?")]),
            ("exchange.cancel", (order, "leave"), [Canceled(executed_quantity=Decimal("0.10"))]),
        ]
        for name, arguments, answers in told:
            assert through_the_file(*(Asked(name, arguments, answer) for answer in answers)) == answers

    def test_rules_that_are_as_before_cost_a_word(self) -> None:
        writer, rules = Writer(), MappingProxyType({"BTCTRY": BTC})
        writer.event(Asked("exchange.instruments", (), rules))
        assert writer.event(Asked("exchange.instruments", (), rules)) == ("=exchange.instruments",)

    def test_what_was_raised_is_raised_again(self) -> None:
        errors = [VenueUnavailable("no answer within 4 s", 1.5), InvariantBroken("I6_PERMIT", "used twice")]
        again = through_the_file(*(Asked("exchange.balances", (), None, error) for error in errors))
        assert [(type(one), vars(one)) for one in again] == [(type(one), vars(one)) for one in errors]

    @given(st.decimals(allow_nan=False, allow_infinity=False))
    def test_amounts_keep_every_digit(self, amount: Decimal) -> None:
        canceled = Canceled(executed_quantity=amount)
        order = msgspec.defstruct("OrderLike", [("client_order_id", str)])("btcbot-1")
        (again,) = through_the_file(Asked("exchange.cancel", (order, "leave"), canceled))
        assert isinstance(again, Canceled)
        assert str(again.executed_quantity) == str(amount)


class Books:
    """Books as the feed keeps them: a queue of tops each, of which the oldest go; shown anew only when changed."""

    def __init__(self) -> None:
        self.tops = {symbol: deque([self.top(0, 100)]) for symbol in ("BTCTRY", "ETHTRY")}
        self.shown: dict[str, FeedBook] = {}
        self.at_ms = 0

    @staticmethod
    def top(at_ms: int, bid: int) -> Top:
        return Top(at_ms, Decimal(bid), Decimal("0.5"), Decimal(bid + 1), Decimal("1.50"))

    def act(self, symbol: str, what: str) -> None:
        self.at_ms += 1
        tops = self.tops[symbol]
        if what == "new":
            tops.append(self.top(self.at_ms, 100 + self.at_ms))
        elif what == "forget" and len(tops) > 1:
            tops.popleft()
        elif what == "gone":
            self.shown.pop(symbol, None)
            self.tops[symbol] = deque([self.top(self.at_ms, 7)])
            return
        if what != "same" or symbol not in self.shown:
            self.shown[symbol] = FeedBook(symbol=symbol, tops=tuple(tops), snapshot_at_ms=1, changed_at_ms=self.at_ms)

    def view(self, number: int) -> FeedView:
        event = AccountEvent(kind=AccountEventKind.FILL, received_at_ms=self.at_ms, trade_id="1")
        return FeedView(
            connection=number // 3,
            alive_at_ms=self.at_ms or None,
            why_down="" if self.at_ms else "not yet",
            is_logged_in=bool(number % 2),
            books=dict(self.shown),
            without_book={s: "no snapshot yet" for s in self.tops if s not in self.shown},
            events=(event,) * (number % 3),
            has_lost_events=number == 0,
        )


class TestViews:
    @given(
        st.lists(st.tuples(st.sampled_from(["BTCTRY", "ETHTRY"]), st.sampled_from(["new", "forget", "gone", "same"])))
    )
    def test_views_come_back_one_after_the_other(self, acts: list[tuple[str, str]]) -> None:
        books, writer, reader = Books(), ViewWriter(), ViewReader()
        for number, (symbol, what) in enumerate(acts):
            books.act(symbol, what)
            view = books.view(number)
            told = msgspec.json.decode(msgspec.json.encode(writer.change(view)), type=ViewChange)
            again = reader.view(told)
            assert again == view
            assert list(again.books) == list(view.books)

    def test_only_what_is_new_is_written(self) -> None:
        books, writer = Books(), ViewWriter()
        for _ in range(50):
            books.act("BTCTRY", "new")
        first = writer.change(books.view(1))
        books.act("BTCTRY", "new")
        second = writer.change(books.view(2))
        third = writer.change(books.view(3))
        assert [len(change.tops) for change in first.books if not isinstance(change, str)] == [51]
        assert [len(change.tops) for change in second.books if not isinstance(change, str)] == [1]
        assert third.books == ["BTCTRY"]

    def test_a_view_that_does_not_follow_is_refused(self) -> None:
        books, writer = Books(), ViewWriter()
        books.act("BTCTRY", "new")
        writer.change(books.view(1))
        books.act("BTCTRY", "new")
        change = writer.change(books.view(2))
        with pytest.raises(LookupError):
            ViewReader().view(change)
