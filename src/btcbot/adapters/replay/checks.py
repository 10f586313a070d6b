"""The rules that every recording obeys, at import, at «data validate» and whenever data is read.

A rule that is broken is an error; what is merely incomplete, such as a gap, is a warning. The rules of one table are
vectorised: half a million bars take some milliseconds.
"""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from btcbot.adapters.replay.findings import Finding, Findings
from btcbot.adapters.replay.tables import Recording
from btcbot.adapters.replay.times import FIRST_S, LAST_S

Rows = npt.NDArray[np.int64]


def check(
    recording: Recording, file: str, lines: Rows | None = None, interval_ms: int | None = None
) -> tuple[Recording, tuple[Finding, ...]]:
    """The recording, with the interval that its bars keep, and its warnings. Raises BadData for errors.

    `lines` says which row of `file` each row is; without it they are counted from 1. `interval_ms` is what the caller
    says that the interval is.
    """
    interval_ms, findings = examine(recording, file, lines, interval_ms)
    findings.demand()
    return msgspec.structs.replace(recording, interval_ms=interval_ms), findings.all


def examine(
    recording: Recording, file: str, lines: Rows | None = None, interval_ms: int | None = None
) -> tuple[int | None, Findings]:
    """The same without raising: the interval (None where there is none) and everything found."""
    findings = Findings(file)
    rules = _Rules(recording, findings, lines)
    if not len(recording):
        findings.add("insufficient_rows", "there is no row", "import data, or delete the file")
        return recording.interval_ms, findings
    rules.nulls()
    if findings.has_errors:
        return recording.interval_ms, findings
    rules.values()
    interval_ms = interval_ms or recording.interval_ms
    if rules.times() and recording.table == "bars":
        interval_ms = rules.interval(interval_ms)
    return interval_ms, findings


def gaps(times: Rows, interval_ms: int) -> tuple[int, int]:
    """How many gaps ascending bars have, and how many bars are missing in them."""
    steps = np.diff(times)
    wide = steps[steps > interval_ms]
    return len(wide), int((wide // interval_ms - 1).sum())


class _Rules:
    def __init__(self, recording: Recording, findings: Findings, lines: Rows | None) -> None:
        self._recording, self._findings, self._lines = recording, findings, lines
        self._frame = recording.frame

    def _row(self, at: int) -> int:
        return at + 1 if self._lines is None else int(self._lines[at])

    def _told(self, at: int, name: str) -> str:
        """A value as people write it."""
        value = self._frame[name][at]
        is_price = name in self._recording.shape.prices
        scale = self._recording.price_scale if is_price else self._recording.quantity_scale
        return _plain(int(value), scale)

    def _where(self, bad: npt.NDArray[np.bool_], code: str, said: str, mend: str, about: str = "", *names: str) -> None:
        """Tell the first row of a mask; `{open}` in `said` becomes that row's value."""
        count = int(bad.sum())
        if count:
            at = int(bad.argmax())
            told = said.format(**{name: self._told(at, name) for name in names})
            self._findings.add(code, told, mend, row=self._row(at), count=count, about=about)

    def nulls(self) -> None:
        shape = self._recording.shape
        for name in shape.schema:
            column = self._frame[name]
            if name not in shape.optional and column.null_count():
                self._where(
                    column.is_null().to_numpy(), "invalid_number", f"«{name}» is empty",
                    "fill in the value or delete the row", name,
                )  # fmt: skip

    def values(self) -> None:
        shape = self._recording.shape
        for name in shape.prices:
            self._where(
                self._frame[name].to_numpy() <= 0, "non_positive_price", f"{name} is {{{name}}}",
                "no market trades at that: correct or delete the row", name, name,
            )  # fmt: skip
        for name in shape.quantities:
            column = self._frame[name].fill_null(0).to_numpy()
            bad = column <= 0 if self._recording.table == "trades" else column < 0
            self._where(
                bad, "negative_quantity", f"{name} is {{{name}}}", "correct or delete the row", name, name
            )  # fmt: skip
        if self._recording.table == "bars":
            self._bars()
        elif self._recording.table == "quotes":
            self._where(
                (self._frame["bid"] > self._frame["ask"]).to_numpy(), "crossed_quote", "bid {bid} is above ask {ask}",
                "look whether the two columns are swapped; correct or delete the row", "", "bid", "ask",
            )  # fmt: skip
        elif self._recording.table == "tickers":
            self._high_below_low()
        elif self._frame["trade_id"].null_count() < len(self._frame):
            ids = self._frame["trade_id"]
            again = (~ids.is_first_distinct() & ids.is_not_null()).to_numpy()
            self._where(again, "duplicate_trade", "the trade id was there before", "delete the repeated row")

    def _high_below_low(self) -> npt.NDArray[np.bool_]:
        inverted = (self._frame["high"] < self._frame["low"]).to_numpy()
        self._where(
            inverted, "high_below_low", "high {high} is below low {low}", "correct or delete the row", "", "high", "low"
        )
        return inverted

    def _bars(self) -> None:
        inverted = self._high_below_low()
        high, low = self._frame["high"].to_numpy(), self._frame["low"].to_numpy()
        for name in ("open", "close"):
            price = self._frame[name].to_numpy()
            outside = ((price > high) | (price < low)) & ~inverted & (price > 0)  # else told as no price at all
            self._where(
                outside, "open_close_outside_range", f"{name} {{{name}}} lies outside {{low}} to {{high}}",
                "correct or delete the row", name, name, "low", "high",
            )  # fmt: skip

    def times(self) -> bool:
        """Whether times are times and ascend."""
        times = self._recording.times
        strange = (times < FIRST_S * 1000) | (times >= LAST_S * 1000)
        if strange.any():
            at = int(strange.argmax())
            self._findings.add(
                "invalid_timestamp", f"the time {times[at]} lies outside 2009 to 2100",
                "times are Unix milliseconds, UTC", row=self._row(at), count=int(strange.sum()),
            )  # fmt: skip
            return False
        steps = np.diff(times)
        back = np.concatenate(([False], steps < 0))
        self._where(
            back, "non_monotonic_timestamp", "the time lies before that of the row above",
            "sort the file by time (the import does it with --sort)",
        )  # fmt: skip
        if self._recording.table == "bars":
            again = np.concatenate(([False], steps == 0))
            self._where(again, "duplicate_timestamp", "the bar repeats the time of the row above", "delete one of them")
            return not (back.any() or again.any())
        return not back.any()

    def interval(self, told_ms: int | None) -> int | None:
        """The interval of ascending bars, and what speaks against it."""
        times = self._recording.times
        steps = np.diff(times)
        if told_ms is None and not len(steps):
            self._findings.add(
                "insufficient_rows", "a single bar does not show its interval",
                "import it with «data import --interval 1m», or such",
                row=self._row(0),
            )  # fmt: skip
            return None
        if told_ms is None:
            # The step that most bars keep; of two that are as common the narrower one: the other may be a gap.
            widths, common = np.unique(steps, return_counts=True)
            told_ms = int(widths[common == common.max()].min())
        interval_ms = told_ms
        off = (times - times[0]) % interval_ms != 0
        if off.any():
            at = int(off.argmax())
            self._findings.add(
                "irregular_interval",
                f"the bar opens {duration(int(times[at] - times[at - 1]))} after the one above, and the interval is "
                f"{duration(interval_ms)}",
                "give bars of one interval, and import them with --interval where it was not recognised",
                row=self._row(at), count=int(off.sum()),
            )  # fmt: skip
            return interval_ms
        count, missing = gaps(times, interval_ms)
        if count:
            at = int((steps > interval_ms).argmax())
            self._findings.add(
                "gap",
                f"{missing} bar{'s are' if missing > 1 else ' is'} missing in {count} gap{'s' if count > 1 else ''}, "
                f"the first of {duration(int(steps[at]) - interval_ms)} before this row",
                "import them, or know that nothing trades there", row=self._row(at + 1), level="warning",
            )  # fmt: skip
        return interval_ms


def _plain(value: int, scale: int) -> str:
    from decimal import Decimal

    from btcbot.domain import money

    return money.plain(Decimal(value).scaleb(-scale))


def duration(ms: int) -> str:
    """`1m`, `4h`, `90s`: the largest unit that says it exactly."""
    for unit, per in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if ms % per == 0 and ms:
            return f"{ms // per}{unit}"
    return f"{ms}ms"
