"""Inputs that come from the venue: answers, outcomes of writes, frames of the feed, and when to come again."""

from __future__ import annotations

import json
from random import Random
from typing import Final

from btcbot.adapters.btcturk import outcome
from btcbot.adapters.btcturk.breaker import RETRY_AFTER_S_MAX, retry_after_s
from btcbot.adapters.btcturk.feed_actions import Close, Note
from btcbot.adapters.btcturk.outcome import Answer
from proof.fuzzing.answers import DECODERS, OUTCOMES, STATUSES
from proof.fuzzing.demands import Case, demand, demand_exact, demand_proof, demand_words, read
from proof.fuzzing.feed import FRAMES, talk
from proof.fuzzing.spoil import body

_GOOD: Final = {name: json.dumps(good).encode() for name, (_, good) in DECODERS.items()}
_GOOD_OUTCOMES: Final = [json.dumps(value).encode() for value in OUTCOMES]


def of_wire(name: str, random: Random) -> Case:
    raw = body(random, _GOOD[name])
    return Case(f"wire.{name}", len(raw), lambda: read(DECODERS[name][0], raw))


def of_outcome(random: Random) -> Case:
    raw, status = body(random, random.choice(_GOOD_OUTCOMES)), random.choice(STATUSES)
    if random.random() < 0.5:
        return Case(
            "outcome.submit",
            len(raw),
            lambda: demand_proof(outcome.of_submit(Answer(status, raw), "mine"), status, raw),
        )
    return Case("outcome.cancel", len(raw), lambda: demand_proof(outcome.of_cancel(Answer(status, raw)), status, raw))


def of_feed(random: Random) -> Case:
    """A handful of frames into one conversation."""
    raws = [body(random, _GOOD[random.choice(_FRAME_NAMES)]) for _ in range(random.choice((1, 2, 5)))]

    def check() -> None:
        told = talk(raws)
        demand_exact([told.view, told.trades, told.depth])
        for action in told.actions:
            if isinstance(action, Close):
                demand_words(action.why)
            if isinstance(action, Note):
                for value in action.fields.values():
                    demand_words(str(value))
        book = told.view.books.get("BTCTRY")
        demand((book is None) is (told.depth is None), "a book half shown")
        if book is None:
            demand_words(told.view.without_book["BTCTRY"])
        else:
            demand(all(0 < top.bid < top.ask for top in book.tops), "a book that cannot be")

    return Case("feed.receive", sum(map(len, raws)), check)


_FRAME_NAMES: Final = sorted(FRAMES)

_HEADERS: Final = ("5", "0", "-1", "1e9", "99999999999999999999", "1.5", "", " 7 ", "\u0665", "NaN", "inf", "5;6")
_DATES: Final = ("Wed, 21 Oct 2015 07:28:00 GMT", "tomorrow", "9" * 9, "0." + "9" * 3, "1." + "9" * 9)


def of_retry_after(random: Random) -> Case:
    text = random.choice((*_HEADERS, *_DATES)) + random.choice(("", "", chr(random.randrange(0x3000))))

    def check() -> None:
        seconds = retry_after_s(text)
        demand(seconds is None or 0 <= seconds <= RETRY_AFTER_S_MAX, "a time to wait out of range")

    return Case("retry_after", len(text), check)
