"""A client of the feed in process: it joins, logs in, answers pings, and keeps what it was sent."""

from __future__ import annotations

import json
from decimal import Decimal

from tests.sim.bench import T0

from btcturk_sim.auth import signature
from btcturk_sim.feed import Refusal, SendPing, SendText

_STEP_MS = 5_000


class FeedClient:
    def __init__(self, bench, *, ip="127.0.0.1", pongs=True):
        self.bench = bench
        self.pongs = pongs
        self.session = bench.simulator.feed.connect(bench.now_ms, ip)
        assert not isinstance(self.session, Refusal), self.session
        #: (type, body, milliseconds since the bench began) of every frame, oldest first.
        self.inbox = []
        #: Frames that were no `[type, {…}]`.
        self.odd = []
        #: Whatever else was to be done with the socket.
        self.others = []
        self.read()

    # --- asking -----------------------------------------------------------------------------------------------

    def send(self, text):
        self.session.receive(text, self.bench.now_ms)
        self.read()

    def ask(self, kind, **body):
        self.send(json.dumps([kind, {"type": kind, **body}]))

    def join(self, channel, event="BTCTRY", *, join=True):
        """The answer (100); what else came stays in the inbox."""
        self.ask(151, channel=channel, event=event, join=join)
        return self.pop(100)[0]

    def leave(self, channel, event="BTCTRY"):
        return self.join(channel, event, join=False)

    def log_in(self, key="ALICE", **changes):
        """The answer (114)."""
        nonce = changes.pop("nonce", 3000)
        body = {"publicKey": key, "timestamp": self.bench.now_ms + self.bench.api.skew_ms, "nonce": nonce,
                "signature": signature(b"bench secret", key, str(nonce))}  # fmt: skip
        body = {name: value for name, value in (body | changes).items() if value is not None}
        self.ask(114, **body)
        return self.pop(114)[0]

    # --- listening --------------------------------------------------------------------------------------------

    def wait(self, milliseconds):
        end_ms = self.bench.now_ms + milliseconds
        while self.bench.now_ms < end_ms:
            self.bench.wait(min(_STEP_MS, end_ms - self.bench.now_ms))
            self.read()

    def read(self):
        for out in self.session.take(self.bench.now_ms):
            if isinstance(out, SendText):
                self._keep(out)
            elif isinstance(out, SendPing) and self.pongs:
                self.session.pong(self.bench.now_ms)
            else:
                self.others.append(out)

    def _keep(self, out):
        try:
            kind, body = json.loads(out.text, parse_float=Decimal)
            self.inbox.append((kind, body, out.due_ms - T0))
        except (ValueError, TypeError, RecursionError):
            self.odd.append(out.text)

    def pop(self, *kinds):
        """The bodies of these types, taken out of the inbox."""
        found = [body for kind, body, _ in self.inbox if kind in kinds]
        self.inbox = [row for row in self.inbox if row[0] not in kinds]
        return found

    def kinds(self):
        """The types of everything in the inbox, in order; it is empty then."""
        kinds = [kind for kind, _, _ in self.inbox]
        self.inbox.clear()
        return kinds


class NaiveBook:
    """A book that believes every delta: CP 0 replaces, 1 inserts, 3 deletes."""

    def __init__(self, snapshot):
        self.counter = snapshot["CS"]
        self.sides = {side: {row["P"]: row["A"] for row in snapshot[side]} for side in ("AO", "BO")}

    def apply(self, delta):
        """Asserts that the delta is the next one and says nothing that cannot be."""
        assert delta["CS"] == self.counter + 1
        self.counter += 1
        for name, rows in self.sides.items():
            for row in delta[name]:
                known = row["P"] in rows
                assert known == (row["CP"] != 1), f"{row} of {'a known' if known else 'an unknown'} level"
                assert Decimal(row["A"]) > 0
                if row["CP"] == 3:
                    del rows[row["P"]]
                else:
                    rows[row["P"]] = row["A"]

    def rows(self, side):
        """[(price, amount)], best first."""
        best_last = sorted(self.sides[side].items(), key=lambda row: Decimal(row[0]))
        return best_last if side == "AO" else best_last[::-1]


def rows_of(book, side):
    return [(row["P"], row["A"]) for row in book[side]]
