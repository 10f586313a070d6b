"""Against a venue that is simple and right, through a line that loses, doubles, swaps and cuts: what is shown is true.

The venue keeps a book and counts its changes for one subscription, as BtcTurk does. Whatever the line does, a book that
is shown equals the venue's book at the newest frame that arrived; and when the line heals, a book is shown again.
"""

from __future__ import annotations

from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.unit.btcturk.feed_support import Talk, answer, diff, sent, snapshot

PRICES = range(90, 111)  # bids below 100, asks above


class FeedMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.talk = Talk()
        self.is_connected = False
        self.is_joined = False
        self.sequence = 0
        self.book: dict[int, int] = {}
        self.version = 0
        #: Frames under way; those of a book with its version and the venue's book at it.
        self.line: list[tuple[bytes, int, dict[int, int] | None]] = []
        self.old_snapshot: bytes = b""
        #: The newest version that came through, and the venue's book at it; None where it came in pieces.
        self.newest = 0
        self.arrived: dict[int, int] | None = None

    @initialize()
    def connect(self) -> None:
        self.book = dict.fromkeys((*range(95, 100), *range(101, 106)), 1)
        self.reconnect()

    # -- the venue -----------------------------------------------------------------------------------------------------

    def say(self, data: bytes) -> None:
        self.version += 1
        self.line.append((data, self.version, dict(self.book)))

    def heed(self, words: list[str]) -> None:
        for word in words:
            verb, place = word.split(" ")
            if place != "obdiff:BTCTRY":
                continue
            if verb == "leave":
                self.line.append((answer(f"leave|{place}"), 0, None))
                self.is_joined = False
            elif not self.is_joined:
                self.is_joined = True
                self.sequence = 7 * self.sequence % 1000 + 3
                rows = [
                    [(str(p), str(q)) for p, q in self.book.items() if (p > 100) is is_ask] for is_ask in (True, False)
                ]
                self.line.append((answer(f"join|{place}"), 0, None))
                self.old_snapshot = snapshot("BTCTRY", self.sequence, *rows)
                self.say(self.old_snapshot)
            else:
                self.line.append((answer(f"join|{place}", ok=False), 0, None))

    @precondition(lambda self: self.is_connected)
    @rule(changes=st.dictionaries(st.sampled_from([p for p in PRICES if p != 100]), st.integers(0, 9), max_size=5))
    def trade(self, changes: dict[int, int]) -> None:
        sides: tuple[list[tuple[int, str, str]], list[tuple[int, str, str]]] = ([], [])
        for price, quantity in changes.items():
            side = sides[0] if price > 100 else sides[1]
            if quantity:
                side.append((0 if price in self.book else 1, str(price), str(quantity)))
                self.book[price] = quantity
            elif price in self.book and sum((p > 100) is (price > 100) for p in self.book) > 1:
                side.append((3, str(price), "5"))
                del self.book[price]
        if self.is_joined:
            self.sequence += 1
            self.say(diff("BTCTRY", self.sequence, *sides))

    # -- the line ------------------------------------------------------------------------------------------------------

    def arrive(self, at: int = 0) -> None:
        data, version, book = self.line.pop(at)
        if version > self.newest:
            self.newest, self.arrived = version, book
        self.heed(sent(self.talk.hear(data)))

    @precondition(lambda self: self.line)
    @rule()
    def deliver(self) -> None:
        self.arrive()

    @precondition(lambda self: self.line)
    @rule()
    def deliver_all(self) -> None:
        while self.line:
            self.arrive()

    @precondition(lambda self: self.line)
    @rule()
    def lose(self) -> None:
        self.line.pop(0)

    @precondition(lambda self: self.line)
    @rule()
    def double(self) -> None:
        self.line.insert(0, self.line[0])

    @precondition(lambda self: len(self.line) > 1)
    @rule()
    def swap(self) -> None:
        self.line[0], self.line[1] = self.line[1], self.line[0]

    @precondition(lambda self: self.line)
    @rule(at=st.integers(0, 200))
    def cut(self, at: int) -> None:
        data, version, _ = self.line.pop(0)
        if version > self.newest:
            self.newest, self.arrived = version, None
        self.heed(sent(self.talk.hear(data[: at % len(data)])))

    @precondition(lambda self: self.is_connected and self.talk.protocol.depth("BTCTRY", 1))
    @rule()
    def repeat_an_old_snapshot(self) -> None:
        self.heed(sent(self.talk.hear(self.old_snapshot)))

    @precondition(lambda self: self.is_connected)
    @rule(ms=st.sampled_from([10, 400, 2_500, 70_000]))
    def pass_time(self, ms: int) -> None:
        self.heed(sent(self.talk.pass_quietly(ms, step_ms=min(ms, 500))))

    @precondition(lambda self: self.is_connected)
    @rule()
    def doubt(self) -> None:
        self.heed(sent(self.talk.protocol.resync("BTCTRY", self.talk.now_ms)))

    @rule()
    def reconnect(self) -> None:
        self.talk.lose()
        self.line.clear()
        self.is_joined, self.arrived, self.is_connected = False, None, True
        self.heed(sent(self.talk.connect()))

    @precondition(lambda self: self.is_connected)
    @rule()
    def heal(self) -> None:
        """The line does all that it should for some minutes: then the venue's book is shown."""
        for _ in range(300):
            while self.line:
                self.arrive()
            self.heed(sent(self.talk.pass_quietly(500, step_ms=500)))
            if self.is_joined and not self.line:
                self.trade({101: 3 + self.sequence % 2})
        while self.line:
            self.arrive()
        assert self.shown() == self.book

    # -- what must hold ------------------------------------------------------------------------------------------------

    def shown(self) -> dict[int, int] | None:
        depth = self.talk.protocol.depth("BTCTRY", 1_000)
        if depth is None:
            assert self.talk.best() is None
            assert self.talk.view().without_book["BTCTRY"]
            return None
        assert self.talk.best() == (str(depth.bids[0].price), str(depth.asks[0].price))
        levels = {int(level.price): int(level.quantity) for level in (*depth.asks, *depth.bids)}
        assert list(depth.asks) == sorted(depth.asks, key=lambda level: level.price)
        assert list(depth.bids) == sorted(depth.bids, key=lambda level: -level.price)
        assert all(level.price < Decimal(100) for level in depth.bids)
        return levels

    @invariant()
    def what_is_shown_is_what_arrived(self) -> None:
        shown = self.shown() if self.is_connected else None
        assert shown is None or shown == self.arrived, "neither old nor with a change missing"


TestFeedMachine = FeedMachine.TestCase
TestFeedMachine.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
