"""What a canary leaves behind: its checks, cycles, verdicts, orders and fills, one JSON object a line."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from btcbot.cli import output, reading
from btcbot.cli.checks import Finding
from btcbot.cli.options import Where
from btcbot.errors import BtcbotError, Refused

if TYPE_CHECKING:
    from btcbot.config.settings import Settings
    from btcbot.domain.cycles import CycleReport, Verdict
    from btcbot.domain.fills import Fill
    from btcbot.domain.orders import Order

#: More than this no canary makes; what is older belongs to another run.
ROWS_MAX: Final = 10_000
#: What a canary forces, and what says under which conditions it ran.
SETTINGS: Final = (
    "SYMBOLS",
    "STRATEGY",
    "MAX_ORDERS_PER_CYCLE",
    "MAX_OPEN_ORDERS_PER_SYMBOL",
    "NOTIONAL_CAP_TRY_PER_CYCLE",
    "MAX_NOTIONAL_PER_ORDER_TRY",
    "MAX_POSITION_TRY_PER_SYMBOL",
    "MAX_TOTAL_EXPOSURE_TRY",
    "MAX_DAILY_LOSS_TRY",
    "ENTRY_BUDGET_TRY",
    "TTL_SECONDS",
    "BTCTURK_BASE_URL",
)


class Evidence:
    """Gathered from the database when it is over: what a process remembers of itself proves nothing."""

    def __init__(self) -> None:
        self.cycles = 0
        self.looks: list[tuple[int, int, list[Finding]]] = []
        self.reports: Sequence[CycleReport] = ()
        self.verdicts: Sequence[Verdict] = ()
        self.orders: Sequence[Order] = ()
        self.fills: Sequence[Fill] = ()
        self._from_number: int | None = None

    @property
    def findings(self) -> list[Finding]:
        """Those of the last look."""
        return self.looks[-1][2] if self.looks else []

    def looked(self, findings: list[Finding]) -> None:
        self.looks.append((reading.now_ms(), self.cycles, findings))

    def begin(self, database: Path) -> None:
        """What is in the database already is of other runs."""
        from btcbot.services import named_values, values

        self._from_number = 1
        if os.path.lexists(database):
            with reading.open_book(Where(database, None)) as store:
                self._from_number = (named_values.whole_number(store, values.CYCLE_NUMBER) or 0) + 1

    def gather(self, database: Path) -> None:
        """Read what the cycles since `begin` left; nothing where none ran."""
        if self._from_number is None or not os.path.lexists(database):
            return
        first = self._from_number
        try:
            with reading.open_book(Where(database, None)) as store:
                reports = [one for one in store.cycles(ROWS_MAX) if one.number >= first]
                self.reports = sorted(reports, key=lambda one: one.number)
                self.verdicts = [verdict for one in self.reports for verdict in store.verdicts(one.cycle_id)]
                ids = {one.cycle_id for one in self.reports}
                self.orders = [one for one in store.recent_orders(ROWS_MAX) if one.cycle_id in ids][::-1]
                self.fills = [fill for one in self.orders for fill in store.fills_of(one.client_order_id)]
        except BtcbotError:
            return  # a database that cannot be read has been told by the checks already

    def counts(self) -> dict[str, object]:
        from btcbot.domain.cycles import CycleOutcome
        from btcbot.domain.orders import OPEN, OrderStatus
        from btcbot.domain.reasons import ReasonCode

        stale = {ReasonCode.STALE_QUOTE.value, ReasonCode.BOOK_UNTRUSTED.value}
        return {
            "cycles": self.cycles,
            "cycles_completed": sum(one.outcome is CycleOutcome.COMPLETED for one in self.reports),
            "orders_submitted": sum(one.counts.get("submitted", 0) for one in self.reports),
            "orders_filled": sum(one.status is OrderStatus.FILLED for one in self.orders),
            "orders_rejected": sum(one.status is OrderStatus.REJECTED for one in self.orders),
            "orders_open": sum(one.status in OPEN for one in self.orders),
            "fills": len(self.fills),
            "stale_blocks": sum(one.code in stale for one in self.verdicts),
        }

    def lines(self, settings: Settings, stopped: str) -> Iterator[dict[str, Any]]:
        from btcbot.config.description import shown_setting

        texts = {name: shown_setting(settings, name) for name in SETTINGS}
        yield {"kind": "canary", "settings": texts, "stopped": stopped, **self.counts()}
        for at_ms, after_cycles, findings in self.looks:
            for one in findings:
                yield {"kind": "check", "at_ms": at_ms, "after_cycles": after_cycles, **one._asdict()}
        for kind, rows in (
            ("cycle", self.reports),
            ("verdict", self.verdicts),
            ("order", self.orders),
            ("fill", self.fills),
        ):
            for row in rows:
                told = output.shaped(row)
                assert isinstance(told, dict), "a struct is told as an object"
                yield {"kind": kind, **told}


def demand_writable(path: Path) -> None:
    """Refuse a place where evidence cannot be written, or lies already, before anything is traded."""
    if os.path.lexists(path):
        raise Refused(f"--export-out: {path} is there already; evidence is never overwritten, name a new file")
    folder = path.absolute().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise Refused(f"--export-out: {folder} is no folder that can be written; create it, or name another")


def write(path: Path, evidence: Evidence, settings: Settings, stopped: str) -> None:
    """The whole file or none: it gets its name when it is complete. Raises OSError."""
    import msgspec

    begun = path.with_name(f".{path.name}.part")
    descriptor = os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for line in evidence.lines(settings, stopped):
                file.write(msgspec.json.encode(output.shaped(line)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(begun, path)  # unlike a rename, it never takes the place of another file
    finally:
        begun.unlink(missing_ok=True)
