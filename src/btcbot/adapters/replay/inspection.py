"""Looks at recorded data as a whole: what is there (`info`), and everything that is wrong with it (`validate`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from btcbot.adapters.replay import checks, csv_files, parquet, sources
from btcbot.adapters.replay.csv_files import Options, Progress
from btcbot.adapters.replay.dataset import Dataset, is_dataset
from btcbot.adapters.replay.findings import BadData, Finding
from btcbot.adapters.replay.tables import Recording, Table


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """One recording. Times in Unix ms, UTC; gaps, missing bars and the interval are those of bars, else None."""

    symbol: str
    table: Table
    rows: int
    first_ms: int | None
    last_ms: int | None
    interval_ms: int | None
    gaps: int | None
    missing_bars: int | None
    price_scale: int
    quantity_scale: int
    bytes: int
    schema_version: int
    sources: tuple[str, ...]


def info(path: Path, progress: Progress | None = None) -> list[Facts]:
    """What a dataset holds, by symbol and table. Raises BadData for one that cannot be read."""
    dataset = Dataset.open(path)
    told = []
    for done, ((symbol, table), file) in enumerate(sorted(dataset.files.items())):
        if progress is not None:
            progress(file.name, done, len(dataset.files))
        recording = dataset.unchecked(table, symbol)
        told.append(_facts(recording, file))
    return told


def _facts(recording: Recording, file: Path) -> Facts:
    times = recording.times
    counted: tuple[int | None, int | None] = (None, None)
    if recording.interval_ms is not None:
        counted = checks.gaps(times, recording.interval_ms)
    return Facts(
        symbol=recording.symbol,
        table=recording.table,
        rows=len(recording),
        first_ms=int(times[0]) if len(times) else None,
        last_ms=int(times[-1]) if len(times) else None,
        interval_ms=recording.interval_ms,
        gaps=counted[0],
        missing_bars=counted[1],
        price_scale=recording.price_scale,
        quantity_scale=recording.quantity_scale,
        bytes=file.stat().st_size,
        schema_version=parquet.SCHEMA_VERSION,
        sources=tuple(source.name for source in recording.sources),
    )


class Validation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was found, and how many recordings and rows were looked at."""

    recordings: int
    rows: int
    findings: tuple[Finding, ...]

    def is_sound(self, *, strict: bool = False) -> bool:
        """Without errors; `strict` counts warnings as errors."""
        return not any(strict or finding.level == "error" for finding in self.findings)


def validate(path: Path, options: Options | None = None, progress: Progress | None = None) -> Validation:
    """Look at all of a dataset, or of CSV files before an import. Raises BadData where there is nothing to look at."""
    found: list[Finding] = []
    present: list[tuple[Table, str]] = []
    rows = 0
    for recording, told in _of_dataset(path, progress) if is_dataset(path) else _of_csv(path, options, progress):
        found.extend(told)
        if recording is not None:
            present.append((recording.table, recording.symbol))
            rows += len(recording)
    if not present and not found:
        found.append(
            Finding(level="error", code="insufficient_rows", said="there is no data in it",
                    mend="import some with «btcbot data import»", file=str(path))
        )  # fmt: skip
    if sources.is_layout(path) and not is_dataset(path):
        found.extend(sources.missing_of_layout(path))
    found.extend(sources.mismatches(path, present))
    return Validation(recordings=len(present), rows=rows, findings=tuple(found))


Seen = tuple[Recording | None, tuple[Finding, ...]]


def _of_dataset(path: Path, progress: Progress | None) -> Iterator[Seen]:
    dataset = Dataset.open(path)
    for done, ((symbol, table), file) in enumerate(sorted(dataset.files.items())):
        if progress is not None:
            progress(file.name, done, len(dataset.files))
        try:
            recording = dataset.unchecked(table, symbol)
        except BadData as bad:
            yield None, bad.findings
            continue
        _, findings = checks.examine(recording, str(file))
        yield recording, findings.all


def _of_csv(path: Path, options: Options | None, progress: Progress | None) -> Iterator[Seen]:
    options = options or Options()
    for file in sources.files(path):
        try:
            wanted = options._replace(table=options.table or file.table)
            parsed = csv_files.read(file.path, file.symbol, wanted, progress, file.shown)
        except BadData as bad:
            yield None, bad.findings
            continue
        yield parsed.recording, parsed.findings
