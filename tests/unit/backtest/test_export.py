"""Results as files: whole or not at all, the same bytes for the same run, money to its last digit."""

from __future__ import annotations

import csv
import json
import os
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from msgspec.structs import replace
from tests.unit.backtest.results import HOUR_MS, NEW_YEAR_MS, a_fill, a_large_result, a_result, some_events

from btcbot.backtest import export
from btcbot.backtest.export import NAMES, refuse_unusable, write_all
from btcbot.backtest.frames import TABLES
from btcbot.errors import Refused

FILLS = (
    a_fill(1, NEW_YEAR_MS + HOUR_MS, "buy", "0.00001234", "3000000", fee="0.72"),
    a_fill(2, NEW_YEAR_MS + 2 * HOUR_MS, "sell", "101", "3", fee="0.000000000000000001", pnl="-12.50"),
)
RUN = a_result((10_000.0, 10_000.1, 10_001.0), FILLS, strategy="an_example")
AS_ROOT = pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_everything_is_there(tmp_path: Path) -> None:
    written = write_all(RUN, tmp_path / "results")
    assert sorted(path.name for path in written) == sorted(NAMES) == sorted(content(tmp_path / "results"))
    assert all(path.stat().st_size for path in written)
    assert [path.name for path in tmp_path.iterdir()] == ["results"], "nothing is left beside it"


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    one, other = a_large_result(5_000), a_large_result(5_000, wall_s=77.0, cpu_s=66.0)
    write_all(one, tmp_path / "one")
    write_all(other, tmp_path / "other")
    assert content(tmp_path / "one") == content(tmp_path / "other")


def test_money_is_plain_text_in_csv_and_json_and_exact_in_parquet(tmp_path: Path) -> None:
    write_all(RUN, tmp_path / "results")
    with (tmp_path / "results" / "fills.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    told = json.loads((tmp_path / "results" / "fills.json").read_text())
    stored = pl.read_parquet(tmp_path / "results" / "fills.parquet")
    assert [row["price"] for row in rows] == ["0.00001234", "101"]
    assert [row["fee"] for row in told] == ["0.72", "0.000000000000000001"]
    assert [row["realized_pnl"] for row in told] == ["0", "-12.5"]
    assert stored["price"].to_list() == [Decimal("0.00001234"), Decimal(101)]
    assert stored["fee"].dtype == pl.Decimal(38, 18)


@pytest.mark.parametrize("table", TABLES)
def test_every_kind_of_file_holds_the_same_rows(table: str, tmp_path: Path) -> None:
    result = a_large_result(5_000, events=some_events())
    write_all(result, tmp_path / "results")
    stored = pl.read_parquet(tmp_path / "results" / f"{table}.parquet")
    told = json.loads((tmp_path / "results" / f"{table}.json").read_text())
    with (tmp_path / "results" / f"{table}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(told) == stored.height
    assert stored.height > 0 or table == "cycles"
    for row, object_ in zip(rows, told, strict=True):
        assert list(row) == list(object_) == stored.columns
        for name, value in object_.items():
            text = {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
            assert row[name] == text or float(row[name]) == value


def test_json_can_be_read_line_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written some rows at a time; the seams must not show."""
    monkeypatch.setattr(export, "_JSON_ROWS", 2)
    odd = replace(RUN, orders=pl.concat([RUN.orders] * 3).with_columns(reason=pl.lit('first\nsecond, "quoted"')))
    write_all(odd, tmp_path / "results")
    text = (tmp_path / "results" / "orders.json").read_text()
    lines = text.splitlines()
    assert (lines[0], lines[-1]) == ("[", "]")
    assert [json.loads(line.removesuffix(",")) for line in lines[1:-1]] == json.loads(text)
    assert [row["reason"] for row in json.loads(text)] == ['first\nsecond, "quoted"'] * 6


def test_the_summary_holds_nothing_that_differs_from_run_to_run(tmp_path: Path) -> None:
    write_all(RUN, tmp_path / "results")
    told = json.loads((tmp_path / "results" / "summary.json").read_text())
    assert {"wall_s", "cpu_s", "bars_per_s"}.isdisjoint(told)
    assert (told["strategy"], told["final_equity"], told["fills"]) == ("an_example", "10001", 2)


class TestTheFolder:
    def test_an_empty_one_is_used_and_folders_above_are_made(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        write_all(RUN, tmp_path / "empty")
        write_all(RUN, tmp_path / "a" / "b" / "results")
        assert content(tmp_path / "empty") == content(tmp_path / "a" / "b" / "results")

    def test_one_with_files_is_refused_and_stays_as_it_was(self, tmp_path: Path) -> None:
        write_all(RUN, tmp_path / "results")
        before = content(tmp_path / "results")
        with pytest.raises(Refused, match=r"is not empty; name another folder, or .* --force"):
            write_all(a_large_result(5_000), tmp_path / "results")
        assert content(tmp_path / "results") == before

    def test_with_force_an_earlier_run_is_replaced(self, tmp_path: Path) -> None:
        write_all(RUN, tmp_path / "results")
        write_all(replace(RUN, strategy="another"), tmp_path / "results", force=True)
        assert json.loads((tmp_path / "results" / "summary.json").read_text())["strategy"] == "another"
        assert [path.name for path in tmp_path.iterdir()] == ["results"]

    def test_not_even_force_touches_what_is_not_of_a_backtest(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.tex").write_text("years of work")
        with pytest.raises(Refused, match=r"holds thesis\.tex, which is not of a backtest"):
            write_all(RUN, tmp_path, force=True)
        assert content(tmp_path) == {"thesis.tex": b"years of work"}

    def test_a_file_is_no_folder(self, tmp_path: Path) -> None:
        (tmp_path / "taken").write_text("")
        with pytest.raises(Refused, match="taken is a file; name a folder"):
            write_all(RUN, tmp_path / "taken")
        with pytest.raises(Refused, match="taken is a file"):
            write_all(RUN, tmp_path / "taken" / "results")

    @AS_ROOT
    def test_where_nothing_may_be_written(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o555)
        with pytest.raises(Refused, match="no permission to write in"):
            refuse_unusable(tmp_path / "results")

    @pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no file system here that refuses even root")
    def test_where_not_even_root_may_write(self) -> None:
        with pytest.raises(Refused, match=r"/proc/results cannot be written: "):
            write_all(RUN, Path("/proc/results"))

    def test_a_link_is_followed(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "real")
        write_all(RUN, tmp_path / "link")
        assert (tmp_path / "link").is_symlink()
        assert len(content(tmp_path / "real")) == len(NAMES)

    def test_when_the_disk_fails_nothing_is_left_and_the_earlier_run_stays(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_all(RUN, tmp_path / "results")
        before = content(tmp_path / "results")

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(export, "_write_json", full)
        with pytest.raises(Refused, match=r"cannot be written to .*: No space left on device"):
            write_all(replace(RUN, strategy="another"), tmp_path / "results", force=True)
        assert content(tmp_path / "results") == before
        assert [path.name for path in tmp_path.iterdir()] == ["results"]

    def test_it_may_be_read_by_those_who_may_read_other_folders(self, tmp_path: Path) -> None:
        (tmp_path / "ordinary").mkdir()
        write_all(RUN, tmp_path / "results")
        assert (tmp_path / "results").stat().st_mode == (tmp_path / "ordinary").stat().st_mode
