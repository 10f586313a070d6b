"""Files that other programs read: exact, whole, and never in the place of another one."""

from __future__ import annotations

import csv
import json
from decimal import Decimal

import pytest
from tests.unit.reporting.ledgers import Life

from btcbot.errors import BtcbotError, Refused
from btcbot.reporting import export
from btcbot.reporting.export import Format

ROWS = [
    {"name": "one", "amount": "0.00000001", "number": 1, "words": ["a", "b"]},
    {"name": "two", "amount": "-5", "number": None, "words": []},
]
COLUMNS = ("name", "amount", "number", "words")


def test_json_lines_are_really_one_document_a_line(tmp_path):
    """mistake 29."""
    export.write(ROWS, COLUMNS, tmp_path / "rows.jsonl", Format.JSONL)
    assert [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()] == ROWS


def test_json_is_one_document(tmp_path):
    export.write(ROWS, COLUMNS, tmp_path / "rows.json", Format.JSON, {"what": "examples"})
    assert json.loads((tmp_path / "rows.json").read_text()) == {"what": "examples", "rows": ROWS}


def test_csv_has_a_line_of_names_and_exact_amounts(tmp_path):
    export.write(ROWS, COLUMNS, tmp_path / "rows.csv", Format.CSV)
    with (tmp_path / "rows.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [list(COLUMNS), ["one", "0.00000001", "1", "a; b"], ["two", "-5", "", ""]]


def test_parquet_keeps_every_digit(tmp_path):
    import polars as pl

    amount = "123456789012345678901234567890.000000000000000001"
    export.write([{**ROWS[0], "amount": amount}], COLUMNS, tmp_path / "rows.parquet", Format.PARQUET)
    assert pl.read_parquet(tmp_path / "rows.parquet").to_dicts() == [
        {"name": "one", "amount": amount, "number": 1, "words": "a; b"}
    ]


@pytest.mark.parametrize("form", list(Format))
def test_a_table_without_rows_has_its_columns(tmp_path, form):
    export.write([], COLUMNS, tmp_path / "rows", form)
    assert (tmp_path / "rows").is_file()
    if form is Format.CSV:
        assert (tmp_path / "rows").read_text() == "name,amount,number,words\n"


@pytest.mark.parametrize("text", ["=1+1", "@SUM(A1)", "+cmd", "-cmd", "\tx"])
def test_a_text_of_the_venue_is_no_formula_of_a_spreadsheet(tmp_path, text):
    export.write([{**ROWS[0], "name": text}], COLUMNS, tmp_path / "rows.csv", Format.CSV)
    with (tmp_path / "rows.csv").open(newline="") as file:
        assert list(csv.reader(file))[1][0] == f"'{text}"


def test_nothing_is_left_of_a_file_that_could_not_be_finished(tmp_path):
    (tmp_path / "rows.jsonl").write_text("what was there\n")
    with pytest.raises(TypeError):
        export.write([*ROWS, {"name": object()}], COLUMNS, tmp_path / "rows.jsonl", Format.JSONL)
    assert [one.name for one in tmp_path.iterdir()] == ["rows.jsonl"]
    assert (tmp_path / "rows.jsonl").read_text() == "what was there\n"


def test_a_disk_that_refuses_is_told_in_one_line(tmp_path):
    with pytest.raises(BtcbotError, match="cannot be written") as told:
        export.write(ROWS, COLUMNS, tmp_path / "gone" / "rows.csv", Format.CSV)
    assert "\n" not in str(told.value)


def test_a_file_that_is_there_is_not_replaced_unless_asked(tmp_path):
    (tmp_path / "rows.csv").write_text("mine")
    with pytest.raises(Refused, match="--force"):
        export.demand_writable(tmp_path / "rows.csv", force=False)
    export.demand_writable(tmp_path / "rows.csv", force=True)


def test_the_ledger_leaves_as_it_is_booked():
    life = Life().open("1000").buy("2", "100.10", fee="0.40")
    rows = [row for entry in life.store.entries() for row in export.ledger_rows(entry)]
    assert all(tuple(row) == export.LEDGER_COLUMNS for row in rows)
    held = sum(Decimal(str(row["amount"])) for row in rows if (row["account"], row["asset"]) == ("venue", "TRY"))
    assert held == Decimal("1000") - Decimal("200.2") - Decimal("0.4")


def test_rows_have_the_columns_that_are_said():
    life = Life().open("1000").cycle("100").buy("2", "100")
    assert tuple(export.cycle_row(life.store.cycles(1)[0])) == export.CYCLE_COLUMNS
    assert tuple(export.fill_row(life.store.fills()[0])) == export.FILL_COLUMNS
    assert tuple(export.order_row(life.store.recent_orders(1)[0])) == export.ORDER_COLUMNS
