"""Days, weeks, months and years as people in Turkey count them."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from btcbot.errors import StoreFailed


@cache
def istanbul() -> tzinfo:
    """Turkey's zone; where the machine has no zone data, its offset of today, constant since 2016."""
    try:
        return ZoneInfo("Europe/Istanbul")
    except ZoneInfoNotFoundError:
        return timezone(timedelta(hours=3))


#: 2100-01-01: no time of a trade or a cycle lies after it.
TIME_MS_MAX: Final = 4_102_444_800_000


def is_time(at_ms: int) -> bool:
    """Whether something can have happened then."""
    return 0 < at_ms < TIME_MS_MAX


def _demand_time(at_ms: int) -> None:
    if not is_time(at_ms):
        raise StoreFailed(f"invalid_timestamp: {at_ms} ms is no time of a trade or a cycle: restore a backup")


def local(at_ms: int) -> datetime:
    """A moment (Unix ms) in Istanbul, to the second. StoreFailed for what cannot be a time, as all functions here."""
    _demand_time(at_ms)
    return datetime.fromtimestamp(at_ms // 1000, tz=istanbul())


def day(at_ms: int) -> str:
    """`2026-01-31`, in Istanbul."""
    return local(at_ms).date().isoformat()


def today(now_ms: int) -> tuple[str, int, int]:
    """The day of a moment that a clock tells, as `day` writes it, and from and until when it lasts."""
    midnight = datetime.combine(datetime.fromtimestamp(now_ms // 1000, tz=istanbul()).date(), time(), istanbul())
    end = midnight + timedelta(days=1)
    return midnight.date().isoformat(), int(midnight.timestamp()) * 1000, int(end.timestamp()) * 1000


def week(at_ms: int) -> str:
    """`2026-W05`, ISO weeks from Monday on, in Istanbul."""
    year, number, _ = local(at_ms).isocalendar()
    return f"{year:04d}-W{number:02d}"


def month(at_ms: int) -> str:
    """`2026-01`, in Istanbul."""
    return day(at_ms)[:7]


def utc_text(at_ms: int) -> str:
    """`2026-01-31T12:00:00.000Z`, exact to the millisecond."""
    _demand_time(at_ms)
    seconds, rest = divmod(at_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, tz=UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"


def local_text(at_ms: int) -> str:
    """`2026-01-31T15:00:00.000+03:00`."""
    return local(at_ms).replace(microsecond=at_ms % 1000 * 1000).isoformat(timespec="milliseconds")
