"""Brings CSV files into a dataset: everything is read and checked first, then put in place at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from btcbot.adapters.replay import csv_files, findings, sources
from btcbot.adapters.replay.aggregate import bars_from_trades
from btcbot.adapters.replay.csv_files import Options, Progress
from btcbot.adapters.replay.findings import BadData, Finding, refuse
from btcbot.adapters.replay.tables import Recording, Table
from btcbot.adapters.replay.writer import Appended, DatasetWriter


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one file. `rows` it had; `added`, `known` and `replaced` tell what the dataset made of them."""

    source: str
    sha256: str
    table: Table
    symbol: str
    rows: int
    added: int
    known: int
    replaced: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """An import that was carried out, and its warnings."""

    imported: tuple[Imported, ...]
    warnings: tuple[Finding, ...]


def import_files(
    paths: Sequence[Path],
    into: Path,
    options: Options,
    *,
    symbol: str | None = None,
    bars_ms: int | None = None,
    replace: bool = False,
    strict: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Import files and folders. Raises BadData with every error of every file, and has then changed nothing.

    `bars_ms`: make bars of that interval from trades as well. `strict`: warnings are errors.
    """
    files = [file for path in paths for file in sources.files(path, symbol)]
    if symbol is not None and len(files) > 1 and len({file.table for file in files}) < len(files):
        raise refuse("symbol_mismatch", f"--symbol {symbol} is given for {len(files)} files", "name one file at a time")
    warned: list[Finding] = []
    for path in paths:
        if sources.is_layout(path):
            warned.extend(sources.missing_of_layout(path))
    errors: list[Finding] = []
    imported: list[Imported] = []
    with DatasetWriter.open(into) as writer:
        for file in files:
            try:
                wanted = options._replace(table=options.table or file.table)
                parsed = csv_files.read(file.path, file.symbol, wanted, progress, file.shown)
                warned.extend(parsed.findings)
                for recording in _with_bars(parsed.recording, bars_ms):
                    appended = writer.stage(recording, replace=replace)
                    imported.append(_told(file.path.name, recording, appended))
            except BadData as bad:
                errors.extend(bad.findings)
        warned.extend(sources.mismatches(into, [(one.table, one.symbol) for one in imported]))
        findings.demand([*errors, *warned], strict=strict)
        writer.commit()
        now = datetime.now(tz=UTC).isoformat(timespec="seconds")
        writer.note({"imported_at": now, **msgspec.structs.asdict(one)} for one in imported)
    return Report(imported=tuple(imported), warnings=tuple(warned))


def _with_bars(recording: Recording, bars_ms: int | None) -> list[Recording]:
    if bars_ms is None or recording.table != "trades":
        return [recording]
    return [recording, bars_from_trades(recording, bars_ms)]


def _told(name: str, recording: Recording, appended: Appended) -> Imported:
    return Imported(
        source=name,
        sha256=recording.sources[0].sha256,
        table=recording.table,
        symbol=recording.symbol,
        rows=len(recording),
        added=appended.added,
        known=appended.known,
        replaced=appended.replaced,
    )
