"""From the text of a number to an exact scaled integer, a column at a time.

`"1.50"` is 15 at scale 1. Nothing is ever a float. Plain digits are read in columns; the few other spellings that mean
a number exactly (`1e-05`, `.5`, `+3`) are read one by one.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final, NamedTuple

import polars as pl

from btcbot.adapters.replay.findings import Findings, shown
from btcbot.adapters.replay.tables import SCALE_MAX

#: No venue that we know tells quantities with more decimals.
ROUNDED_PLACES: Final = 8

_ROUND: Final = "round the column to the decimals that the venue really tells"
_PLAIN: Final = r"^-?[0-9]{1,40}(?:\.[0-9]{1,40})?$"
_ODD: Final = re.compile(r"[+-]?([0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})([eE][+-]?[0-9]{1,2})?", re.ASCII)


class Scaled(NamedTuple):
    """int64 at `scale`; null where a cell was no number (and told as a finding)."""

    column: pl.Series
    scale: int


def parse(cells: pl.Series, lines: pl.Series, findings: Findings, *, may_round: bool = False) -> Scaled:
    """Read a column of text; `cells.name` names it in findings, `lines` are the lines of the file.

    `may_round`: where 64 bits do not hold all the decimals, they are cut to `ROUNDED_PLACES`, and a warning says so.
    """
    name = cells.name
    text = cells.str.strip_chars()
    odd = (~text.str.contains(_PLAIN)).fill_null(value=True)
    if odd.any():
        text = _with_odd_ones_plain(name, text, odd, lines, findings)
    parts = pl.DataFrame({"t": text}).select(
        whole=pl.col("t").str.extract(r"^(-?[0-9]+)", 1),
        fraction=pl.col("t").str.extract(r"\.([0-9]+)$", 1).fill_null("").str.strip_chars_end("0"),
    )
    places = parts["fraction"].str.len_bytes()
    scale = _largest(places)
    column = _scaled(parts, scale) if scale <= SCALE_MAX else None
    bad = text.is_not_null() if column is None else column.is_null() & text.is_not_null()
    if bad.any() and may_round and scale > ROUNDED_PLACES:
        tell_rounded(findings, name, places > ROUNDED_PLACES, lines)
        scale = ROUNDED_PLACES
        column = _scaled(parts.with_columns(pl.col("fraction").str.slice(0, scale)), scale)
        bad = column.is_null() & text.is_not_null()
    if bad.any() or column is None:
        # What to look at: the row with the most decimals where those are absurd, else the one that does not fit.
        at = int(places.arg_max() or 0) if column is None else int(bad.arg_max() or 0)
        findings.add(
            "invalid_number",
            f"«{name}» is {shown(cells[at])}, and 64 bits do not hold it with the {scale} decimals of the column",
            _ROUND,
            row=int(lines[at]),
            count=1 if column is None else int(bad.sum()),
            about=f"{name} digits",
        )
        return Scaled(pl.Series(name, [None] * len(cells), dtype=pl.Int64), 0)
    return Scaled(column.alias(name), scale)


def _largest(places: pl.Series) -> int:
    largest = places.max()
    return largest if isinstance(largest, int) else 0


def _scaled(parts: pl.DataFrame, scale: int) -> pl.Series:
    """int64, null where there is no number or where it does not fit."""
    digits = pl.concat_str(pl.col("whole"), pl.col("fraction").str.pad_end(scale, "0"))
    return parts.select(digits.cast(pl.Int64, strict=False)).to_series()


def tell_rounded(findings: Findings, name: str, rounded: pl.Series, lines: pl.Series) -> None:
    """The warning that decimals were cut."""
    if rounded.any():
        findings.add(
            "volume_rounded",
            f"«{name}» has more decimals than 64 bits hold, and was rounded down to {ROUNDED_PLACES}",
            _ROUND,
            row=int(lines[int(rounded.arg_max() or 0)]),
            count=int(rounded.sum()),
            about=name,
            level="warning",
        )


def _with_odd_ones_plain(name: str, text: pl.Series, odd: pl.Series, lines: pl.Series, findings: Findings) -> pl.Series:
    """Other spellings as plain digits; what is no number becomes null and is told."""
    cells = text.to_list()
    for at in odd.arg_true().to_list():
        cell = cells[at]
        cells[at] = plain(cell) if cell else None
        if cells[at] is None:
            said, mend = _why_not(cell)
            findings.add("invalid_number", f"«{name}» {said}", mend, row=int(lines[at]), about=f"{name} {mend}")
    return pl.Series(name, cells, dtype=pl.String)


def plain(cell: str) -> str | None:
    """The number in digits with at most one point; None for what is no finite number."""
    if not _ODD.fullmatch(cell):
        return None
    return format(Decimal(cell), "f")


def _why_not(cell: str | None) -> tuple[str, str]:
    text = (cell or "").lower()
    if not text or text in {"null", "none", "na", "n/a", "-"}:
        return ("is empty" if not text else f"is {shown(cell)}"), "fill in the number or delete the row"
    if text.lstrip("+-") in {"nan", "inf", "infinity"}:
        return f"is {shown(cell)}", "nothing can be traded at that: correct or delete the row"
    if re.fullmatch(r"[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?", text):
        return f"is {shown(cell)}", "write numbers without separators of thousands"
    if re.fullmatch(r"[0-9]+,[0-9]+", text):
        return f"is {shown(cell)}", "write a point before the decimals, not a comma"
    return f"is {shown(cell)}, which is no number", "write digits with at most one point, such as 0.015"
