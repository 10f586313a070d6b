"""A look over the market on the tape: what a replay is told is what was seen, and the same set comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from tests.builders import NOW_MS
from tests.unit.decisions.universe_market import FIVE, HOUR_MS, a_row, listed, rules

from btcbot.adapters.journal import facts
from btcbot.adapters.journal.facts import Asked, Reader, Writer
from btcbot.adapters.journal.lines import Event
from btcbot.adapters.journal.scanner import TapedScanner
from btcbot.adapters.metrics import MemoryMetrics
from btcbot.adapters.store import SqliteStore
from btcbot.decisions import universe as decisions
from btcbot.decisions.universe import MomentumWeights
from btcbot.domain.scan import ScanRow
from btcbot.domain.universe import Watched
from btcbot.errors import VenueUnavailable
from btcbot.ports import MarketScanner
from btcbot.services.universe import SelectingUniverse
from btcbot.testing.in_process_rig import ListLog

NAME = "scanner.scan"


class Tape:
    """Records; or, given what was recorded, answers from that alone."""

    def __init__(self, recorded: list[bytes] | None = None) -> None:
        self.lines: list[bytes] = []
        self._recorded = None if recorded is None else list(recorded)
        self._writer, self._reader = Writer(), Reader()

    def ask(self, name: str, method: Any, *arguments: Any) -> Any:
        if self._recorded is None:
            try:
                asked = Asked(name, arguments, method(*arguments))
            except VenueUnavailable as error:
                asked = Asked(name, arguments, None, error)
            self.lines.append(msgspec.json.encode(self._writer.event(asked), enc_hook=facts.plain))
            if asked.error is not None:
                raise asked.error
            return asked.answer
        event = Event(msgspec.Raw(self._recorded.pop(0)))
        assert event.name == name
        assert event.arguments == msgspec.json.decode(msgspec.json.encode(list(arguments)))
        if event.error is not None:
            raise facts.raised(event.error)
        return self._reader.answer(event)

    @property
    def is_over(self) -> bool:
        return not self._recorded


class Market:
    """Prices that turn around each hour; the venue is gone at times, and is never reached whole."""

    def scan(self, symbols: Sequence[str], now_ms: int) -> Mapping[str, ScanRow]:
        hour = (now_ms - NOW_MS) // HOUR_MS
        if hour % 3 == 2 and now_ms % HOUR_MS < 60_000:
            raise VenueUnavailable("no route to the venue", 1.5)
        rows = [
            a_row(symbol, risen=str((at * 7 + hour * 3) % 5), now_ms=now_ms)
            for at, symbol in enumerate(FIVE)
            if symbol in symbols
        ]
        return {row.symbol: row for row in rows[:2]}


class Nobody:
    def scan(self, symbols: Sequence[str], now_ms: int) -> Mapping[str, ScanRow]:
        raise AssertionError("a replay asked the world")


def play(folder: Path, tape: Tape, scanner: MarketScanner) -> list[Watched]:
    store = SqliteStore.open(folder / "universe.db")
    universe = SelectingUniverse(
        partial(decisions.momentum, weights=MomentumWeights()),
        rules(size=2, cooldown_ms=0),
        candidates=FIVE,
        configured=FIVE[:1],
        scanner=TapedScanner(tape, scanner),  # type: ignore[arg-type]
        store=store,
        metrics=MemoryMetrics(),
        log=ListLog(),
        refresh_ms=HOUR_MS,
        requests_per_cycle=3,
    )
    chosen = [universe.select(NOW_MS + cycle * 10_000, listed(*FIVE), ()) for cycle in range(8 * 360)]
    store.close()
    return chosen


def test_a_recorded_look_is_played_again_to_the_same_set_and_asks_nobody(tmp_path: Path) -> None:
    for name in ("then", "now"):
        (tmp_path / name).mkdir()
    recording = Tape()
    then = play(tmp_path / "then", recording, Market())
    replaying = Tape(recording.lines)
    assert play(tmp_path / "now", replaying, Nobody()) == then
    assert replaying.is_over
    assert len(set(then)) > 3, "the set changed on the way"


def test_rows_come_back_to_the_last_digit() -> None:
    told = {symbol: a_row(symbol, risen="0.123456789", volume=None) for symbol in FIVE[:2]}
    told["XRPTRY"] = ScanRow(symbol="XRPTRY", at_ms=NOW_MS)
    event = Event(msgspec.Raw(msgspec.json.encode(Writer().event(Asked(NAME, (FIVE, NOW_MS), told)))))
    assert Reader().answer(event) == told


def test_a_tape_is_asked_by_the_name_of_the_port() -> None:
    """`ANSWERS` of the journal has to say what the answer is."""
    tape = Tape()
    assert TapedScanner(tape, Market()).scan(FIVE, NOW_MS)  # type: ignore[arg-type]
    assert Event(msgspec.Raw(tape.lines[0])).name == NAME
    assert {f"scanner.{name}" for name in vars(MarketScanner) if not name.startswith("_")} == {NAME}
