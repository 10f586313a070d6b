"""From the text of a time to Unix milliseconds, UTC, a column at a time.

A file tells all its times in one way: as a number in one unit, or as ISO 8601 in one zone. The unit is recognised by
size, which leaves no doubt between 2009 and 2100; a zone that is not written has to be said. Mixtures are refused,
since half of such a file is wrong in a way that no check can see.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final, Literal, get_args

import polars as pl

from btcbot.adapters.replay.findings import Findings, refuse, shown

Unit = Literal["s", "ms", "us", "ns"]
UNITS: Final[tuple[Unit, ...]] = get_args(Unit)
UNIT_NAMES: Final[dict[Unit, str]] = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}

#: Before the first market and after anything recorded: outside, a number is no time, or one in another unit.
FIRST_S: Final = int(datetime(2009, 1, 1, tzinfo=UTC).timestamp())
LAST_S: Final = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp())
_PER_S: Final[dict[Unit, int]] = {"s": 1, "ms": 1000, "us": 10**6, "ns": 10**9}

_EPOCH: Final = r"^([0-9]{1,19})(?:\.([0-9]{1,9})[0-9]*)?$"
_ISO: Final = (
    r"^(?<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ](?<minute>[0-9]{2}:[0-9]{2})(?::(?<second>[0-9]{2})(?:\.(?<fraction>[0-9]{1,9}))?)?"
    r" ?(?<zone>Z|z|UTC|[+-][0-9]{2}:?[0-9]{2}|[+-][0-9]{2})?)?$"
)
_ISO_WITH_ZONE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}.*", re.ASCII | re.DOTALL)
_OFFSET: Final = re.compile(r"([+-])([0-9]{2}):?([0-9]{2})?", re.ASCII)
_MEND: Final = "write Unix milliseconds, or ISO 8601 with its zone such as 2022-11-08T22:33:00Z"


class TimeReader:
    """Reads the times of one file, chunk by chunk, and holds it to what its first row began.

    `unit` and `zone` are what the caller said; `hint` is what the header's name says («open_time_ms»).
    """

    def __init__(self, findings: Findings, *, unit: Unit | None, zone: str | None, hint: Unit | None) -> None:
        self._findings = findings
        self._asked, self._asked_zone, self._hint = unit, zone, hint
        self._unit: Unit | None = None
        self._zone: str | None = None
        self._is_iso: bool | None = None
        if zone is not None:
            _demand_zone(zone)

    def parse(self, cells: pl.Series, lines: pl.Series) -> pl.Series:
        """int64 milliseconds; null where a cell was no time of this file (and told as a finding)."""
        text = cells.str.strip_chars()
        if self._is_iso is None:
            first = next((cell for cell in text.to_list() if cell), None)
            if first is not None:
                self._is_iso = bool(_ISO_WITH_ZONE.fullmatch(first))
        return self._iso(text, lines) if self._is_iso else self._epoch(text, lines)

    # -- numbers ----------------------------------------------------------------------------------------------------

    def _epoch(self, text: pl.Series, lines: pl.Series) -> pl.Series:
        parts = pl.DataFrame({"t": text}).select(
            whole=pl.col("t").str.extract(_EPOCH, 1).cast(pl.Int64, strict=False),
            fraction=pl.col("t").str.extract(_EPOCH, 2).str.pad_end(9, "0").cast(pl.Int64, strict=False).fill_null(0),
        )
        whole, fraction = parts["whole"], parts["fraction"]
        unit = self._unit_of_file(whole)
        if unit is None:
            self._tell_bad(text, pl.repeat(value=True, n=len(text), eager=True), lines)
            return pl.Series(text.name, [None] * len(text), dtype=pl.Int64)
        per_s = _PER_S[unit]
        good = whole.is_between(FIRST_S * per_s, LAST_S * per_s, closed="left").fill_null(value=False)
        if not good.all():
            self._tell_bad(text, ~good, lines)
        match unit:
            case "s":
                made = whole * 1000 + fraction // 10**6
            case "ms":
                made = whole
            case _:
                made = whole // (per_s // 1000)
        return made.zip_with(good, pl.Series([None], dtype=pl.Int64)) if not good.all() else made

    def _unit_of_file(self, whole: pl.Series) -> Unit | None:
        if self._unit is None:
            self._unit = self._asked or self._hint
        if self._unit is None:
            for value in whole.to_list():
                if (unit := _unit_of(value)) is not None:
                    self._unit = unit
                    break
        return self._unit

    def _tell_bad(self, text: pl.Series, bad: pl.Series, lines: pl.Series) -> None:
        name = text.name
        for at in bad.arg_true().to_list():
            cell, row = text[at] or "", int(lines[at])
            number = re.fullmatch(r"([0-9]{1,19})(\.[0-9]+)?", cell, re.ASCII)
            unit = _unit_of(int(number[1])) if number else None
            if unit is not None and self._unit is not None:
                self._tell_other_unit(name, cell, unit, row)
            elif _ISO_WITH_ZONE.fullmatch(cell):
                self._mixed("mixed_units", f"«{name}» is {shown(cell)} where the file began with numbers", row)
            elif number:
                self._findings.add(
                    "invalid_timestamp",
                    f"«{name}» is {shown(cell)}, no time between 2009 and 2100 in any unit",
                    _MEND,
                    row=row,
                    about="range",
                )
            else:
                self._tell_no_time(name, cell, row)

    def _tell_other_unit(self, name: str, cell: str, unit: Unit, row: int) -> None:
        assert self._unit is not None
        said = self._asked or self._hint
        if said is None:
            self._mixed("mixed_units", f"«{name}» is {cell}, {UNIT_NAMES[unit]} where the file began with "
                        f"{UNIT_NAMES[self._unit]}", row)  # fmt: skip
        else:
            who = f"--time-unit {said} was given" if self._asked else f"the column's name says {UNIT_NAMES[said]}"
            mend = f"import it with «data import --time-unit {unit}»"
            mend += "" if self._asked else ", or name the column «ts»"
            self._findings.add(
                "invalid_timestamp", f"«{name}» is {cell}, which is {UNIT_NAMES[unit]}, and {who}", mend,
                row=row, about="unit",
            )  # fmt: skip

    # -- ISO 8601 ---------------------------------------------------------------------------------------------------

    def _iso(self, text: pl.Series, lines: pl.Series) -> pl.Series:
        parts = pl.DataFrame({"t": text}).select(pl.col("t").str.extract_groups(_ISO)).unnest("t")
        stamps = parts.select(
            pl.concat_str(
                pl.col("day"), pl.lit("T"), pl.col("minute").fill_null("00:00"), pl.lit(":"),
                pl.col("second").fill_null("00"),
            ).str.to_datetime("%Y-%m-%dT%H:%M:%S", strict=False, time_unit="ms")
        ).to_series()  # fmt: skip
        zones = parts["zone"].fill_null("")
        if self._zone is None:
            readable = zones.filter(stamps.is_not_null())
            if len(readable):
                self._begin(str(readable[0]), int(lines.filter(stamps.is_not_null())[0]))
        same = zones.is_in(_spellings(self._zone or "")) & stamps.is_not_null()
        made = self._in_utc(stamps)
        fraction = parts["fraction"].fill_null("").str.pad_end(9, "0").cast(pl.Int64, strict=False).fill_null(0)
        made = made + fraction // 10**6
        good = same & made.is_between(FIRST_S * 1000, LAST_S * 1000, closed="left").fill_null(value=False)
        if good.all():
            return made
        for at in (~good).arg_true().to_list():
            self._tell_bad_iso(text.name, text[at] or "", str(zones[at]), stamps[at], bool(same[at]), int(lines[at]))
        return made.zip_with(good, pl.Series([None], dtype=pl.Int64))

    def _begin(self, zone: str, row: int) -> None:
        """Settle the zone of the file by its first row."""
        self._zone = zone
        if not zone and self._asked_zone is None:
            raise refuse(
                "mixed_zones", "the times say no zone",
                "import it with «data import --time-zone UTC», Europe/Istanbul or +03:00",
                file=self._findings.file, row=row,
            )  # fmt: skip
        if zone and self._asked_zone is not None:
            raise refuse(
                "mixed_zones", f"the times say their zone ({zone}), and --time-zone {self._asked_zone} was given",
                "leave --time-zone out", file=self._findings.file, row=row,
            )  # fmt: skip

    def _in_utc(self, stamps: pl.Series) -> pl.Series:
        zone = self._zone or self._asked_zone or "UTC"
        offset_ms = offset(zone)
        if offset_ms is not None:
            return stamps.dt.timestamp("ms") - offset_ms
        # An hour that the clocks skipped or repeated has no one answer: null, and told.
        aware = stamps.dt.replace_time_zone(zone, ambiguous="null", non_existent="null")
        return aware.dt.timestamp("ms")

    def _tell_bad_iso(self, name: str, cell: str, zone: str, stamp: object, is_same: bool, row: int) -> None:
        if _unit_of(int(cell)) if re.fullmatch(r"[0-9]{1,19}", cell, re.ASCII) else None:
            self._mixed("mixed_units", f"«{name}» is {cell} where the file began with ISO 8601", row)
        elif stamp is None:
            self._tell_no_time(name, cell, row)
        elif not is_same:
            was, now = self._zone or "no zone", zone or "no zone"
            self._mixed("mixed_zones", f"«{name}» is {shown(cell)}: {now} where the file began with {was}", row)
        elif self._asked_zone is not None and offset(self._asked_zone) is None:
            self._findings.add(
                "invalid_timestamp",
                f"«{name}» is {shown(cell)}, an hour that {self._asked_zone} skipped or had twice, or out of range",
                "write the times in UTC", row=row, about="hour",
            )  # fmt: skip
        else:
            self._findings.add(
                "invalid_timestamp", f"«{name}» is {shown(cell)}, not between 2009 and 2100", _MEND, row=row,
                about="range",
            )  # fmt: skip

    def _mixed(self, code: str, said: str, row: int) -> None:
        self._findings.add(code, said, "write the whole file in one unit and one zone", row=row)

    def _tell_no_time(self, name: str, cell: str, row: int) -> None:
        said = f"«{name}» is {shown(cell)}, which is no time" if cell else f"«{name}» is empty"
        self._findings.add("invalid_timestamp", said, _MEND, row=row, about="empty" if not cell else "text")


def _unit_of(value: int | None) -> Unit | None:
    """The one unit in which a number is a time between 2009 and 2100."""
    if value is not None:
        for unit, per_s in _PER_S.items():
            if FIRST_S * per_s <= value < LAST_S * per_s:
                return unit
    return None


def _spellings(zone: str) -> list[str]:
    """How the same zone may be written within one file."""
    if zone in {"Z", "z", "UTC"} or offset(zone) == 0:
        return ["Z", "z", "UTC", "+00:00", "-00:00", "+0000", "-0000", "+00", "-00"]
    if not zone:
        return [""]
    matched = _OFFSET.fullmatch(zone)
    assert matched is not None, "a file's own zone is an offset"
    sign, hours, minutes = matched.groups("00")
    return [f"{sign}{hours}:{minutes}", f"{sign}{hours}{minutes}", *([f"{sign}{hours}"] if minutes == "00" else [])]


def offset(zone: str) -> int | None:
    """Milliseconds ahead of UTC of a zone that is the same all year; None for the name of a place."""
    if zone in {"UTC", "Z", "z"}:
        return 0
    matched = _OFFSET.fullmatch(zone)
    if matched is None:
        return None
    minutes = int(matched[2]) * 60 + int(matched[3] or 0)
    return (-minutes if matched[1] == "-" else minutes) * 60_000


def _demand_zone(zone: str) -> None:
    if offset(zone) is not None:
        return
    try:
        pl.Series([datetime(2022, 1, 1)]).dt.replace_time_zone(zone)  # noqa: DTZ001 - a probe of the name alone
    except pl.exceptions.PolarsError:
        raise refuse(
            "mixed_zones", f"--time-zone {shown(zone)} is no zone", "give UTC, Europe/Istanbul, or such as +03:00"
        ) from None
