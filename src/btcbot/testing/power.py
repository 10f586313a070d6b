"""Power loss: a tape of what reached the disk's cache, and what the platter may hold when the power goes at any cut.

What a file system promises, and no more:

- what was written to a file is on the platter once that file was synced afterwards; until then each sector of 512
  bytes holds either what it held or any later state of it, each sector by itself (*torn*), and the length of the file
  is any that it had since;
- where a file grew and the content did not arrive there are zeros, or what somebody else left there;
- a name (made, renamed, removed) is on the platter once its folder was synced; until then each such step may be lost;
- shared memory (`-shm`) is no file to rely on: nothing of it is kept, or rubbish.

    with watched(folder, Tape()) as tape:
        ...                          # work, and tape.acknowledge() whenever something was reported as done
    for cut in tape.cuts():
        files = tape.lose_power(cut, Loss.TORN, random.Random(cut))
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

import msgspec

from btcbot.testing.operations import Failure, Kind, Operation

__all__ = ["Loss", "Tape"]

SECTOR_BYTES: Final = 512
_RUBBISH: Final = bytes(range(1, 256)) * 3
_ZEROS: Final = bytes(SECTOR_BYTES)


class Loss(StrEnum):
    """What becomes of operations that were not synced."""

    ALL = "all lost"
    NOTHING = "all kept"  # what a killed process leaves behind
    SOME = "each lost or kept"
    TORN = "each sector lost or kept"


class _Change(msgspec.Struct, frozen=True):
    """A WRITE or TRUNCATE of one file; `data` None truncates to `offset`."""

    offset: int
    data: bytes | None

    def apply(self, content: bytearray) -> None:
        if self.data is None:
            if self.offset < len(content):
                del content[self.offset :]
            else:
                content.extend(bytes(self.offset - len(content)))
            return
        if self.offset > len(content):
            content.extend(bytes(self.offset - len(content)))
        content[self.offset : self.offset + len(self.data)] = self.data

    def sectors(self, length: int) -> range:
        """The sectors that it changes in a file of this length before or after it, whichever is more."""
        end = length if self.data is None else self.offset + len(self.data)
        return range(self.offset // SECTOR_BYTES, -(-end // SECTOR_BYTES))


class _Content:
    """One file's content, whatever its names: what is on the platter, and what came since, in order."""

    def __init__(self, synced: bytes = b"") -> None:
        self.synced = bytearray(synced)
        self.pending: list[_Change] = []

    def sync(self) -> None:
        for change in self.pending:
            change.apply(self.synced)
        self.pending = []

    def lost(self, loss: Loss, rng: random.Random) -> bytes:
        if loss is Loss.TORN:
            return self._torn(rng)
        share = {Loss.ALL: 0.0, Loss.NOTHING: 1.0}.get(loss)
        if share is None:
            share = rng.choice((0.1, 0.5, 0.9))
        content = bytearray(self.synced)
        for change in self.pending:
            if rng.random() < share:
                change.apply(content)
        return bytes(content)

    def _torn(self, rng: random.Random) -> bytes:
        if not self.pending:
            return bytes(self.synced)
        content = bytearray(self.synced)
        lengths = [len(content)]
        states: dict[int, list[bytes]] = {}
        for change in self.pending:
            reached = change.sectors(len(content))
            for sector in reached:
                at = sector * SECTOR_BYTES
                states.setdefault(sector, [bytes(content[at : at + SECTOR_BYTES])])
            change.apply(content)
            for sector in reached:
                at = sector * SECTOR_BYTES
                states[sector].append(bytes(content[at : at + SECTOR_BYTES]))
            lengths.append(len(content))
        length = rng.choice(lengths) if rng.random() < 0.5 else lengths[-1]
        filler = rng.choice((_ZEROS, _RUBBISH[:SECTOR_BYTES]))
        torn = bytearray(self.synced)
        if len(torn) < length:
            torn.extend((filler * (length // SECTOR_BYTES + 1))[len(torn) % SECTOR_BYTES :][: length - len(torn)])
        del torn[length:]
        share = rng.choice((0.1, 0.5, 0.9))
        for sector, versions in states.items():
            at = sector * SECTOR_BYTES
            if at < length and rng.random() < share:
                state = rng.choice(versions[1:])[: length - at]
                torn[at : at + len(state)] = state
        return bytes(torn)


class _Step(msgspec.Struct, frozen=True):
    """A change of names: `name` now stands for `content` (None: for nothing), and `gone` for nothing."""

    name: str
    content: int | None
    gone: str = ""

    def apply(self, names: dict[str, int]) -> None:
        if self.gone and self.gone in names:
            del names[self.gone]
        if self.content is not None:
            names[self.name] = self.content
        else:
            names.pop(self.name, None)


class _Disk:
    """The folder and its files as the tape runs past."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._contents = {number: _Content(content) for number, content in enumerate(files.values())}
        self._names = {name: number for number, name in enumerate(files)}
        self._synced_names = dict(self._names)
        self._steps: list[_Step] = []
        self._handles: dict[int, int] = {}

    def play(self, operation: Operation) -> None:
        kind, name = operation.kind, operation.name
        if kind is Kind.OPEN:
            if name not in self._names:
                self._contents[len(self._contents)] = _Content()
                self._step(_Step(name, len(self._contents) - 1))
            if operation.handle:
                self._handles[operation.handle] = self._names[name]
        elif kind in (Kind.WRITE, Kind.TRUNCATE):
            change = _Change(operation.offset, operation.data) if kind is Kind.WRITE else _Change(operation.size, None)
            self._contents[self._handles[operation.handle]].pending.append(change)
        elif kind is Kind.SYNC:
            number = self._handles[operation.handle] if operation.handle else self._names[name]
            self._contents[number].sync()
        elif kind is Kind.DELETE:
            self._step(_Step(name, None))
        elif kind is Kind.RENAME:
            self._step(_Step(operation.data.decode(), self._names[name], gone=name))
        elif kind is Kind.SYNC_FOLDER:
            self._synced_names, self._steps = dict(self._names), []

    def lose_power(self, loss: Loss, rng: random.Random) -> dict[str, bytes]:
        names = dict(self._synced_names)
        share = {Loss.ALL: 0.0, Loss.NOTHING: 1.0}.get(loss)
        if share is None:
            share = rng.choice((0.1, 0.5, 0.9))
        for step in self._steps:
            if rng.random() < share:
                step.apply(names)
        return {name: self._contents[number].lost(loss, rng) for name, number in names.items()}

    def _step(self, step: _Step) -> None:
        step.apply(self._names)
        self._steps.append(step)


class Tape:
    """A watcher that records what changes the disk. `files` is what lies in the folder at its beginning, durably."""

    _KEPT: Final = frozenset(Kind) - {Kind.READ, Kind.LOCK, Kind.SHARE}

    def __init__(self, files: Mapping[str, bytes] | None = None) -> None:
        self._files = dict(files or {})
        self._operations: list[Operation] = []
        #: After how many operations each acknowledgement came.
        self._acknowledged: list[int] = []
        #: The disk as far as the last cut, to go on from when the next one lies behind it.
        self._played: tuple[int, _Disk] | None = None

    def asks(self, operation: Operation) -> Failure | None:
        return None

    def done(self, operation: Operation) -> None:
        if operation.kind in self._KEPT:
            self._operations.append(operation)

    def acknowledge(self) -> None:
        """What was done so far was reported as done."""
        self._acknowledged.append(len(self._operations))

    def __len__(self) -> int:
        return len(self._operations)

    @property
    def acknowledgements(self) -> int:
        return len(self._acknowledged)

    def cuts(self) -> Iterator[int]:
        """Every moment at which the power can go: before the first operation, and after each."""
        yield from range(len(self._operations) + 1)

    def acknowledged_at(self, cut: int) -> int:
        """How many acknowledgements were out before the power went."""
        return sum(position <= cut for position in self._acknowledged)

    def lose_power(self, cut: int, loss: Loss, rng: random.Random) -> dict[str, bytes]:
        """The files on the platter after the first `cut` operations; fastest when cuts rise."""
        if self._played is None or self._played[0] > cut:
            self._played = 0, _Disk(self._files)
        reached, disk = self._played
        for operation in self._operations[reached:cut]:
            disk.play(operation)
        self._played = cut, disk
        return disk.lose_power(loss, rng)
