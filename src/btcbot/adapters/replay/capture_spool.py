"""Rows on their way into a dataset, safe from a crash: a line of JSON for each, handed to the system at once.

A dataset's files are rewritten whole, so rows go there in batches. Until then they stand here as well. A process that
is killed leaves the spool behind, and the next one begins by storing it. Rows that are stored twice are known to the
dataset and are not doubled; a last line that was cut off in the middle is the one row that is lost.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from btcbot.adapters.btcturk.feed_frames import PublicTrade
from btcbot.adapters.replay.capture_lines import Gap, QuoteRow
from btcbot.domain.bars import Bar

SPOOL_FILE: Final = "capture.spool"
GAPS_FILE: Final = "gaps.jsonl"

_ENCODER: Final = msgspec.json.Encoder(decimal_format="string")
_LINE: Final = msgspec.json.Decoder(tuple[str, str, msgspec.Raw])
_DECODERS: Final[Mapping[str, msgspec.json.Decoder[Bar | QuoteRow | PublicTrade | Gap]]] = {
    "bars": msgspec.json.Decoder(Bar),
    "quotes": msgspec.json.Decoder(QuoteRow),
    "trades": msgspec.json.Decoder(PublicTrade),
    "gap": msgspec.json.Decoder(Gap),
}
_GAP: Final = msgspec.json.Decoder(dict[str, str | int])

Row = Bar | QuoteRow | PublicTrade | Gap


class Batch(NamedTuple):
    """Rows by symbol, and holes."""

    bars: dict[str, list[Bar]]
    quotes: dict[str, list[QuoteRow]]
    trades: dict[str, list[PublicTrade]]
    gaps: list[Gap]

    @classmethod
    def empty(cls) -> Batch:
        return cls({}, {}, {}, [])

    def add(self, symbol: str, row: Row) -> str:
        """Put the row where it belongs; the word for it in the spool."""
        match row:
            case Gap():
                self.gaps.append(row)
                return "gap"
            case Bar():
                self.bars.setdefault(symbol, []).append(row)
                return "bars"
            case QuoteRow():
                self.quotes.setdefault(symbol, []).append(row)
                return "quotes"
            case PublicTrade():
                self.trades.setdefault(symbol, []).append(row)
                return "trades"

    def __bool__(self) -> bool:
        return bool(self.bars or self.quotes or self.trades or self.gaps)


class Spool:
    """The file in `folder`, opened for appending. One process at a time: its owner holds the dataset's lock."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / SPOOL_FILE
        self.left_behind = self._read()
        self._file = self._path.open("ab")

    def write(self, kind: str, symbol: str, row: Row) -> None:
        self._file.write(_ENCODER.encode((kind, symbol, row)) + b"\n")

    def hand_over(self) -> None:
        """From here on what was written outlives this process, though not yet the machine."""
        self._file.flush()

    def clear(self) -> None:
        """Everything in it is stored."""
        self._file.flush()
        self._file.truncate(0)

    def close(self) -> None:
        self._file.close()
        if self._path.exists() and not self._path.stat().st_size:
            self._path.unlink()

    def _read(self) -> Batch:
        batch = Batch.empty()
        if not self._path.exists():
            return batch
        for line in self._path.read_bytes().splitlines():
            try:
                kind, symbol, raw = _LINE.decode(line)
                batch.add(symbol, _DECODERS[kind].decode(raw))
            except (msgspec.MsgspecError, KeyError, UnicodeDecodeError):
                continue  # cut off in the middle
        return batch


def note_gaps(folder: Path, gaps: list[Gap]) -> None:
    """Add holes to the dataset's list of them, each once, and have the disk keep it."""
    path = folder / GAPS_FILE
    known = set(path.read_bytes().splitlines()) if path.exists() else set()
    new = [line for line in dict.fromkeys(_ENCODER.encode(gap._asdict()) for gap in gaps) if line not in known]
    if not new:
        return
    with path.open("ab") as file:
        file.write(b"".join(line + b"\n" for line in new))
        file.flush()
        os.fsync(file.fileno())


def read_gaps(folder: Path) -> list[Gap]:
    """The holes of a captured dataset, in the order in which they were noted."""
    path = folder / GAPS_FILE
    if not path.exists():
        return []
    rows = (_GAP.decode(line) for line in path.read_bytes().splitlines())
    return [msgspec.convert([row[name] for name in Gap._fields], Gap) for row in rows]
