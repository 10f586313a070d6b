"""What a run decided, read from wherever it was written down: a database, a journal, or the folder of a backtest."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from btcbot.adapters.journal import files
from btcbot.adapters.journal.lines import CycleLine, Event
from btcbot.adapters.journal.reader import Recording, lives_of
from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.decisions import parity
from btcbot.decisions.parity import Decided, Decision
from btcbot.domain import money
from btcbot.domain.cycles import CycleReport, Verdict
from btcbot.domain.orders import Order
from btcbot.domain.reasons import reasons_in
from btcbot.errors import Refused
from btcbot.ports import StateStore

_ALL: Final = 1_000_000_000
#: Of the tables that «btcbot backtest --out» writes, those that tell what was decided.
_TABLES: Final = ("cycles.csv", "decisions.csv", "orders.csv")


def decided_in(run: Path) -> Sequence[Decided]:
    """Every cycle that left a report, oldest first. Raises Refused or StoreFailed with one line where it cannot be
    read. A cycle that the feed woke and that came to nothing leaves no report."""
    if run.is_dir() and all((run / name).is_file() for name in _TABLES):
        return _of_backtest(run)
    if run.is_dir() or run.name.endswith(files.LINES):
        return _of_journal(run)
    if not run.exists():
        raise Refused(f"there is nothing at {run}: give a database, or the {files.SUFFIX} folder of one")
    store = SqliteStore.open(run, read_only=True)
    try:
        return _of_store(store)
    finally:
        store.close()


def _of_store(store: StateStore) -> Sequence[Decided]:
    orders: dict[str, list[Order]] = defaultdict(list)
    for order in reversed(store.recent_orders(_ALL)):
        orders[order.cycle_id].append(order)
    return [
        parity.decided(report, store.verdicts(report.cycle_id), orders[report.cycle_id])
        for report in reversed(store.cycles(_ALL))
    ]


def _of_backtest(folder: Path) -> Sequence[Decided]:
    made: dict[str, list[Decision]] = defaultdict(list)
    for name, kind in (("decisions.csv", "verdict"), ("orders.csv", "order")):
        for row in _rows(folder / name, "cycle_id", "symbol", "side", "price", "quantity"):
            made[row["cycle_id"]].append(
                Decision(
                    kind=kind,
                    symbol=row["symbol"],
                    side=row["side"],
                    price=_amount(row["price"], folder / name),
                    quantity=_amount(row["quantity"], folder / name),
                    code=row.get("code", "") if kind == "verdict" else "",
                )
            )
    return [
        Decided(
            number=_whole(row["number"], folder),
            outcome=row["outcome"],
            reasons=tuple(parity.reason_code(one) for one in reasons_in(row["reasons"])),
            decisions=tuple(made[row["cycle_id"]]),
        )
        for row in _rows(folder / "cycles.csv", "number", "cycle_id", "outcome", "reasons")
    ]


def _rows(path: Path, *columns: str) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if missing := sorted(set(columns) - set(reader.fieldnames or ())):
            raise Refused(f"{path} lacks the column {missing[0]}: run the backtest again with this version")
        for row in reader:
            if None in row or None in row.values():
                raise Refused(f"{path}, row {reader.line_num}: it has not as many fields as the first row")
            yield row


def _whole(text: str, folder: Path) -> int:
    if not text.isdecimal():
        raise Refused(f"{folder / 'cycles.csv'}: «{text}» is no number of a cycle; run the backtest again")
    return int(text)


def _amount(text: str, path: Path) -> str:
    try:
        return money.plain(Decimal(text))
    except ArithmeticError:
        raise Refused(f"{path}: «{text}» is no amount; run the backtest again") from None


def _of_journal(run: Path) -> Sequence[Decided]:
    found: list[Decided] = []
    for life in lives_of(run):
        recording = Recording(life)
        if not recording.is_empty:
            found += (one for line in recording.cycles() if (one := _of_line(line)) is not None)
    return found


def _of_line(line: CycleLine) -> Decided | None:
    report: CycleReport | None = None
    verdicts: list[Verdict] = []
    orders: list[Order] = []
    for raw in line.events:
        event = Event(raw)
        if not event.is_out:
            continue
        if event.name == "report":
            report = msgspec.json.decode(event.parts[0], type=CycleReport)
        elif event.name == "verdict":
            verdicts.append(msgspec.json.decode(event.parts[0], type=Verdict))
        elif event.name == "order":
            orders.append(msgspec.json.decode(event.parts[0], type=Order))
    # An order that was found at the venue and adopted belongs to no cycle of ours.
    return (
        None if report is None else parity.decided(report, verdicts, [o for o in orders if o.cycle_id == line.cycle_id])
    )
