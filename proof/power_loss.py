"""G8, I22: the power goes at any write or sync, and nothing that was acknowledged is lost, nothing is half.

Lives of a database (lives.py) are recorded below SQLite with everything that the store does to its disk. For each
power loss the tape is cut at a random operation, what was not synced is lost, kept or torn (btcbot.testing.power), and
the store opens what is left, as it opens it at every start. Then

- its content is that of the last acknowledged unit, or of the one that was under way: to the last row;
- `verify()` finds nothing: the file is sound, and the books are;
- an upgrade is done or not begun, and the copy from before it is there, whole;
- a further unit can be written.
"""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from btcbot.adapters.store import SqliteStore
from btcbot.errors import BtcbotError
from btcbot.testing.power import Loss
from proof.lives import DATABASE, LIVES, Life, digest, scratch, write_unit
from proof.next_revision import NEXT
from proof.result import Result

#: Power losses for each recorded life: recording takes as long as some forty of them.
PER_LIFE: Final = 50
FAILURES_MAX: Final = 20


class Verdict(msgspec.Struct, kw_only=True):
    """What power losses did to a life. `lost` counts those after which an acknowledged unit was gone."""

    losses: int = 0
    lost: int = 0
    unacknowledged_kept: int = 0
    operations: int = 0
    acknowledged: int = 0
    failures: list[str] = msgspec.field(default_factory=list)


def run(first: int = 1, count: int = 2_000) -> Result:
    """Power losses number `first` to `first + count - 1`; each number means the same on every machine."""
    began_s = time.process_time()
    counts: Counter[str] = Counter({"power_losses": 0, "lost": 0})
    failures: list[str] = []
    number = first
    while number < first + count:
        group, at = divmod(number - 1, PER_LIFE)
        until = min(PER_LIFE, at + first + count - number)
        with scratch() as folder:
            life = LIVES[group % len(LIVES)](_made(folder / "life"), group)
            seen = judge(life, chosen(life, group)[at:until], folder / "after")
        counts["power_losses"] += seen.losses
        counts["lost"] += seen.lost
        counts["unacknowledged_kept"] += seen.unacknowledged_kept
        counts["operations_recorded"] += seen.operations
        counts["commits_acknowledged"] += seen.acknowledged
        failures += seen.failures
        number += until - at
    spent_s = time.process_time() - began_s
    rate = f"{counts['power_losses'] / spent_s:.0f} a CPU-second" if spent_s else "too few to time"
    return Result(
        goal="G8",
        part="power_loss",
        counts=dict(counts),
        failures=failures[:FAILURES_MAX],
        notes={"rate": rate},
    )


def chosen(life: Life, seed: int) -> list[tuple[int, Loss]]:
    """Cuts of this life in rising order, and what becomes of the cache at each."""
    rng = random.Random(seed)
    losses = tuple(Loss)
    cuts = sorted(rng.randrange(len(life.tape) + 1) for _ in range(PER_LIFE))
    return [(cut, rng.choice((*losses, Loss.TORN))) for cut in cuts]


def judge(life: Life, cuts: Iterable[tuple[int, Loss]], folder: Path) -> Verdict:
    """Lose power at each cut and look at what is left; rising cuts are fastest."""
    verdict = Verdict(operations=len(life.tape), acknowledged=life.tape.acknowledgements)
    with life.release():
        for cut, loss in cuts:
            rng = random.Random(f"{life.name} {cut} {loss}")
            files = life.tape.lose_power(cut, loss, rng)
            verdict.losses += 1
            _lay_out(files, folder, rng)
            for line in _after(life, cut, folder, rng, verdict):
                verdict.failures.append(f"{life.name}, cut {cut} of {len(life.tape)}, {loss}: {line}")
    return verdict


def _after(life: Life, cut: int, folder: Path, rng: random.Random, verdict: Verdict) -> list[str]:
    """What is wrong with the disk after the power came back."""
    acknowledged = life.tape.acknowledged_at(cut)
    path = folder / DATABASE
    if acknowledged and not path.exists():
        verdict.lost += 1
        return ["the database is gone"]
    found = [] if life.migrations is None else _upgrade_is_whole(life, folder)
    try:
        store = SqliteStore.open(path, library=life.library)
    except BtcbotError as error:
        verdict.lost += 1
        return [*found, f"it cannot be opened: {error}"]
    with closing(store):
        state = digest(store._connection)
        expected = life.allowed_after(acknowledged)
        if state not in expected:
            is_older = state in (life.before, *life.states[:acknowledged])
            verdict.lost += is_older
            found.append("an acknowledged unit is lost" if is_older else "its content is that of no moment")
        elif state == expected[-1] != expected[0]:
            verdict.unacknowledged_kept += 1
        found += store.verify()
        if not found:
            write_unit(store, 1_000_000, rng)
            found += store.verify()
    return found


def _upgrade_is_whole(life: Life, folder: Path) -> list[str]:
    """Looked at by SQLite alone, before the store has a chance to mend anything."""
    with closing(life.library.module.connect(folder / DATABASE)) as raw:
        (revision,) = raw.execute("SELECT version_num FROM alembic_version").fetchone()
        state = digest(raw)
    copies = [path for path in folder.glob(f"{DATABASE}.before-{NEXT}*") if path.name.endswith((NEXT, "-2"))]
    if revision == NEXT:
        found = [] if copies else ["it is migrated, and no copy from before is there"]
        found += [] if state in life.states else ["it is half migrated"]
    else:
        found = [] if state == life.before else ["it is not migrated, and yet changed"]
    for copy in copies:
        with closing(life.library.module.connect(copy)) as raw:
            if digest(raw) != life.before:
                found.append(f"the copy {copy.name} is not the database as it was")
    return found


def _lay_out(files: dict[str, bytes], folder: Path, rng: random.Random) -> None:
    """Put the files of the platter into a folder. Shared memory may be there, with rubbish in it."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        (_made(folder) / name).write_bytes(content)
    if DATABASE in files and rng.random() < 0.3:
        (folder / f"{DATABASE}-shm").write_bytes(rng.randbytes(32_768))
    _made(folder)


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def worst(life: Life, folder: Path, losses: Callable[[int], Loss] = lambda cut: Loss.ALL) -> Verdict:
    """Lose power at every cut of a life."""
    return judge(life, ((cut, losses(cut)) for cut in life.tape.cuts()), folder)
