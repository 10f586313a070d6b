"""One recording in one Parquet file; what the integers mean stands in the file itself.

The file's own metadata tell the schema version, the table, the symbol, the scales, the interval and the sources. A
version that this btcbot does not know is refused: a number read with the wrong meaning is worse than none. The same
recording gives the same bytes; the time of an import is therefore not in it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec
import polars as pl

from btcbot.adapters.replay.findings import BadData, refuse, shown
from btcbot.adapters.replay.tables import SCALE_MAX, SHAPES, Recording, Source, Table
from btcbot.errors import BtcbotError

SCHEMA_VERSION: Final = 1
_VERSION_KEY: Final = "btcbot.schema_version"
_META_KEY: Final = "btcbot.recording"


class Meta(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the integers of a file mean."""

    table: Table
    symbol: str
    price_scale: int
    quantity_scale: int
    interval_ms: int | None = None
    sources: tuple[Source, ...] = ()


def write(recording: Recording, path: Path) -> None:
    """Write the file and have the disk keep it. Not atomic: write beside, then rename."""
    meta = Meta(
        table=recording.table,
        symbol=recording.symbol,
        price_scale=recording.price_scale,
        quantity_scale=recording.quantity_scale,
        interval_ms=recording.interval_ms,
        sources=recording.sources,
    )
    metadata: dict[str, str] = {
        _VERSION_KEY: str(SCHEMA_VERSION),
        _META_KEY: msgspec.json.encode(meta).decode(),
    }
    try:
        with path.open("wb") as stream:
            recording.frame.write_parquet(stream, compression="zstd", compression_level=3, metadata=metadata)
            stream.flush()
            os.fsync(stream.fileno())
    except (OSError, pl.exceptions.PolarsError) as error:  # polars wraps what the disk said
        told = next(iter(str(error).splitlines()), "")
        raise BtcbotError(
            f"{path}: cannot be written ({shown(told, 120)}); make room on the disk, then try again"
        ) from None


def read_meta(path: Path) -> Meta:
    """What a file says of itself. Raises BadData for a file that is none of ours, broken, or newer."""
    try:
        told = pl.read_parquet_metadata(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _broken(path, error) from None
    version = told.get(_VERSION_KEY)
    if version is None or _META_KEY not in told:
        raise refuse(
            "invalid_schema",
            "the file was not written by btcbot",
            "import CSV files with «btcbot data import»",
            file=path,
        )
    if not version.isascii() or not version.isdigit() or int(version) != SCHEMA_VERSION:
        raise refuse(
            "newer_schema", f"the file has schema version {shown(version)}, this btcbot reads {SCHEMA_VERSION}",
            "update btcbot, or import the data again with this one", file=path,
        )  # fmt: skip
    try:
        meta = msgspec.json.decode(told[_META_KEY], type=Meta)
    except msgspec.DecodeError as error:
        raise _broken(path, error) from None
    if not (0 <= meta.price_scale <= SCALE_MAX and 0 <= meta.quantity_scale <= SCALE_MAX) or (
        (meta.table == "bars") != (meta.interval_ms is not None and meta.interval_ms > 0)
    ):
        raise _broken(path, "its scales or its interval are none")
    return meta


def read(path: Path, start_ms: int | None = None, end_ms: int | None = None) -> Recording:
    """The recording, or the rows of it from `start_ms` on and before `end_ms`. Raises BadData."""
    meta = read_meta(path)
    shape = SHAPES[meta.table]
    try:
        if start_ms is None and end_ms is None:
            frame = pl.read_parquet(path, hive_partitioning=False)
        else:
            wanted = pl.scan_parquet(path, hive_partitioning=False)
            if start_ms is not None:
                wanted = wanted.filter(pl.col(shape.time) >= start_ms)
            if end_ms is not None:
                wanted = wanted.filter(pl.col(shape.time) < end_ms)
            frame = wanted.collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _broken(path, error) from None
    if dict(frame.schema) != shape.schema:
        raise refuse("invalid_schema", f"the columns are not those of {meta.table}", "import the data again", file=path)
    return Recording(
        table=meta.table,
        symbol=meta.symbol,
        price_scale=meta.price_scale,
        quantity_scale=meta.quantity_scale,
        interval_ms=meta.interval_ms,
        sources=meta.sources,
        frame=frame.rechunk(),
    )


def _broken(path: Path, error: object) -> BadData:
    first = next(iter(str(error).splitlines()), "")
    return refuse(
        "unreadable", f"the file cannot be read ({shown(first) or type(error).__name__})",
        "restore it from a copy, or import the data again", file=path,
    )  # fmt: skip
