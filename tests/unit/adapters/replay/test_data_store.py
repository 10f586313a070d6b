"""Datasets on disk: what a file says of itself, and what happens when it is newer, broken, or half written."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.adapters.replay.test_data_import import T0, csv

from btcbot.adapters.replay import inspection, parquet
from btcbot.adapters.replay.columns import BarColumns
from btcbot.adapters.replay.csv_files import Options
from btcbot.adapters.replay.dataset import Dataset
from btcbot.adapters.replay.findings import BadData
from btcbot.adapters.replay.importing import import_files
from btcbot.adapters.replay.load import load_bars
from btcbot.adapters.replay.merge import merge
from btcbot.adapters.replay.tables import (
    Recording,
    TradeColumns,
    bars_of,
    quotes_of,
    recording_of,
    trade_columns,
    trades_of,
)
from btcbot.adapters.replay.writer import DatasetWriter
from btcbot.domain.bars import Bar
from btcbot.errors import Refused

MINUTE = 60_000


def some_bars(first: int, *closes: str) -> BarColumns:
    """Flat bars, minute after minute from the `first` on."""
    return bars_of(
        "BTCTRY",
        MINUTE,
        [
            Bar(
                symbol="BTCTRY", interval_ms=MINUTE, open_time_ms=T0 + (first + at) * MINUTE, open=Decimal(one),
                high=Decimal(one), low=Decimal(one), close=Decimal(one), volume=Decimal(1),
            )
            for at, one in enumerate(closes)
        ],
    )  # fmt: skip


def some_trades(*rows: tuple[int, str, str, bool | None, str | None]) -> TradeColumns:
    return trades_of(
        "BTCTRY", [(T0 + at, Decimal(price), Decimal(size), sold, name) for at, price, size, sold, name in rows]
    )


def closes(folder: Path) -> list[Decimal]:
    found = load_bars(folder)["BTCTRY"]
    return [found.bar(at).close for at in range(len(found))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dataset of three bars."""
    with DatasetWriter.open(tmp_path / "set") as writer:
        writer.append("bars", "BTCTRY", some_bars(0, "10", "11", "12"))
    return tmp_path / "set"


def rewritten(folder: Path, **changes: str) -> Path:
    """The file of bars with other metadata."""
    file = folder / "bars" / "BTCTRY.parquet"
    told = {key: text for key, text in pl.read_parquet_metadata(file).items() if key.startswith("btcbot.")}
    pl.read_parquet(file).write_parquet(file, metadata={**told, **changes})
    return file


def told_of(table: str, *, price_scale: int = 0, interval_ms: int = MINUTE) -> str:
    """What a file might say of itself."""
    return json.dumps({
        "table": table, "symbol": "BTCTRY", "price_scale": price_scale, "quantity_scale": 0, "interval_ms": interval_ms,
    })  # fmt: skip


class TestAFile:
    def test_says_what_its_integers_mean(self, folder: Path) -> None:
        told = pl.read_parquet_metadata(folder / "bars" / "BTCTRY.parquet")
        assert told["btcbot.schema_version"] == "1"
        meta = json.loads(told["btcbot.recording"])
        assert meta["table"] == "bars" and meta["symbol"] == "BTCTRY" and meta["interval_ms"] == MINUTE

    def test_of_a_newer_btcbot_is_refused_in_one_line(self, folder: Path) -> None:
        file = rewritten(folder, **{"btcbot.schema_version": "2"})
        with pytest.raises(Refused) as refused:
            load_bars(folder)
        assert str(refused.value) == (
            f"{file}: the file has schema version 2, this btcbot reads 1; update btcbot, or import the data again with "
            "this one"
        )
        assert [one.code for one in inspection.validate(folder).findings] == ["newer_schema"]

    @pytest.mark.parametrize(
        ("key", "text"),
        [
            ("btcbot.recording", "{"),
            ("btcbot.recording", told_of("bars", price_scale=-1)),
            ("btcbot.recording", told_of("bars", price_scale=99)),
            ("btcbot.recording", told_of("bars", interval_ms=0)),
            ("btcbot.recording", told_of("shoes")),
            ("btcbot.schema_version", "one"),
        ],
    )
    def test_that_says_nonsense_of_itself_is_refused(self, folder: Path, key: str, text: str) -> None:
        rewritten(folder, **{key: text})
        with pytest.raises(BadData) as refused:
            load_bars(folder)
        assert len(str(refused.value).splitlines()) == 1

    @pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet at all" * 100])
    def test_that_is_broken_is_refused(self, folder: Path, content: bytes) -> None:
        (folder / "bars" / "BTCTRY.parquet").write_bytes(content)
        with pytest.raises(BadData, match=r"cannot be read.*import the data again"):
            load_bars(folder)

    def test_cut_anywhere_is_refused_and_never_half_read(self, folder: Path) -> None:
        file = folder / "bars" / "BTCTRY.parquet"
        whole = file.read_bytes()
        for length in range(0, len(whole), max(len(whole) // 60, 1)):
            file.write_bytes(whole[:length])
            with pytest.raises(BadData):
                load_bars(folder)

    def test_of_another_program_or_another_symbol_is_refused(self, folder: Path) -> None:
        file = folder / "bars" / "BTCTRY.parquet"
        (folder / "bars" / "ETHTRY.parquet").write_bytes(file.read_bytes())
        with pytest.raises(BadData, match=r"the file holds bars of BTCTRY; move it to bars/BTCTRY\.parquet"):
            load_bars(folder, ["ETHTRY"])
        pl.DataFrame({"a": [1]}).write_parquet(file)
        with pytest.raises(BadData, match="was not written by btcbot"):
            load_bars(folder, ["BTCTRY"])

    def test_whose_rows_break_a_rule_is_refused_when_it_is_read(self, folder: Path) -> None:
        file = folder / "bars" / "BTCTRY.parquet"
        told = {key: text for key, text in pl.read_parquet_metadata(file).items() if key.startswith("btcbot.")}
        pl.read_parquet(file).with_columns(low=pl.lit(99, dtype=pl.Int64)).write_parquet(file, metadata=told)
        with pytest.raises(BadData, match=r"row 1: high 10 is below low 99"):
            load_bars(folder)

    def test_is_the_same_for_the_same_data(self, tmp_path: Path) -> None:
        source = csv(tmp_path, f"{T0},1,2,1,2,5", f"{T0 + MINUTE},2,2,1,1,5")
        for name in ("a", "b"):
            import_files([source], tmp_path / name, Options())
            time.sleep(0.01)
        assert (tmp_path / "a/bars/BTCTRY.parquet").read_bytes() == (tmp_path / "b/bars/BTCTRY.parquet").read_bytes()

    def test_names_its_source_with_its_hash_and_not_its_folder(self, tmp_path: Path) -> None:
        source = csv(tmp_path / "secret-place", f"{T0},1,2,1,2,5", f"{T0 + MINUTE},2,2,1,1,5")
        import_files([source], tmp_path / "set", Options())
        (told,) = parquet.read_meta(tmp_path / "set/bars/BTCTRY.parquet").sources
        assert (told.name, told.sha256) == ("BTCTRY.csv", hashlib.sha256(source.read_bytes()).hexdigest())
        assert b"secret-place" not in (tmp_path / "set/bars/BTCTRY.parquet").read_bytes()
        (logged,) = map(json.loads, (tmp_path / "set/imports.jsonl").read_text().splitlines())
        assert logged["sha256"] == told.sha256 and logged["imported_at"]


class TestAppending:
    def test_bars_go_on_where_they_ended(self, folder: Path) -> None:
        with DatasetWriter.open(folder) as writer:
            assert writer.last_time_ms("bars", "BTCTRY") == T0 + 2 * MINUTE
            assert writer.last_time_ms("bars", "ETHTRY") is None
            assert writer.append("bars", "BTCTRY", some_bars(2, "12", "13.5")) == (1, 1, 0)
            assert writer.append("bars", "BTCTRY", some_bars(3, "14")) == (0, 0, 1)
            assert writer.append("bars", "BTCTRY", some_bars(3)) == (0, 0, 0)
        assert closes(folder) == [10, 11, 12, 14]

    def test_what_breaks_a_rule_is_refused_and_nothing_is_written(self, folder: Path) -> None:
        before = (folder / "bars/BTCTRY.parquet").read_bytes()
        with DatasetWriter.open(folder) as writer:
            with pytest.raises(BadData, match="open is 0"):
                writer.append("bars", "BTCTRY", some_bars(3, "0"))
            with pytest.raises(BadData, match="64 bits"):
                writer.append("bars", "BTCTRY", some_bars(3, "5000000000", "0.0000000001"))
        assert (folder / "bars/BTCTRY.parquet").read_bytes() == before

    def test_trades_are_told_apart_by_their_ids(self, tmp_path: Path) -> None:
        with DatasetWriter.open(tmp_path) as writer:
            first = some_trades((0, "10", "1", True, "a"), (5, "10", "1", True, "b"))
            assert writer.append("trades", "BTCTRY", first) == (2, 0, 0)
            more = some_trades((5, "10", "1", True, "b"), (5, "10", "1", True, "c"), (5, "10", "1", True, "c"))
            assert writer.append("trades", "BTCTRY", more) == (1, 2, 0)
        found = Dataset.open(tmp_path).trades("BTCTRY")
        assert found.trade_id is not None and found.trade_id.to_list() == ["a", "b", "c"]

    def test_trades_without_ids_are_counted(self, tmp_path: Path) -> None:
        """Two equal trades are two; told again, they are the same two."""
        twice = some_trades((0, "10", "1", None, None), (0, "10", "1", None, None))
        with DatasetWriter.open(tmp_path) as writer:
            assert writer.append("trades", "BTCTRY", twice) == (2, 0, 0)
            assert writer.append("trades", "BTCTRY", twice) == (0, 2, 0)
            thrice = some_trades(*[(0, "10", "1", None, None)] * 3)
            assert writer.append("trades", "BTCTRY", thrice) == (1, 2, 0)
        assert len(Dataset.open(tmp_path).trades("BTCTRY")) == 3

    def test_the_same_trades_with_and_without_ids(self, tmp_path: Path) -> None:
        with DatasetWriter.open(tmp_path) as writer:
            writer.append("trades", "BTCTRY", some_trades((0, "10", "1", True, None), (1, "11", "1", True, None)))
            told = some_trades((0, "10", "1", True, "x"), (1, "11", "2", True, "y"))
            assert writer.append("trades", "BTCTRY", told) == (1, 1, 0)
            assert writer.append("trades", "BTCTRY", some_trades((1, "11", "2", True, None))) == (0, 1, 0)

    def test_quotes_with_quantities_after_some_without(self, tmp_path: Path) -> None:
        with DatasetWriter.open(tmp_path) as writer:
            writer.append("quotes", "BTCTRY", quotes_of("BTCTRY", [(T0, Decimal(1), None, Decimal(2), None)]))
            known = quotes_of("BTCTRY", [(T0 + 1, Decimal("1.5"), Decimal("0.25"), Decimal(2), Decimal(3))])
            assert writer.append("quotes", "BTCTRY", known) == (1, 0, 0)
            assert writer.append("quotes", "BTCTRY", known) == (0, 1, 0)
        found = Dataset.open(tmp_path).quotes("BTCTRY")
        assert found.bid.tolist() == [10, 15]
        assert found.bid_quantity is not None and found.bid_quantity.tolist() == [0, 25]

    def test_late_rows_take_their_place_in_time(self, tmp_path: Path) -> None:
        with DatasetWriter.open(tmp_path) as writer:
            writer.append("trades", "BTCTRY", some_trades((9, "12", "1", None, "c"), (1, "10", "1", None, "a")))
            writer.append("trades", "BTCTRY", some_trades((5, "11", "1", None, "b")))
        assert Dataset.open(tmp_path).trades("BTCTRY").price.tolist() == [10, 11, 12]
        assert Dataset.open(tmp_path).trades("BTCTRY", T0 + 2, T0 + 9).price.tolist() == [11]

    def test_another_interval_is_refused(self, folder: Path) -> None:
        hours = bars_of("BTCTRY", 3_600_000, [some_bars(0, "1").bar(0)])
        with (
            DatasetWriter.open(folder) as writer,
            pytest.raises(BadData, match="bars of BTCTRY are kept at 1m, these are of 1h"),
        ):
            writer.append("bars", "BTCTRY", hours)

    def test_one_writer_at_a_time(self, folder: Path) -> None:
        with DatasetWriter.open(folder), pytest.raises(Refused, match="another btcbot writes to it"):
            DatasetWriter.open(folder)
        with DatasetWriter.open(folder) as writer:
            writer.append("bars", "BTCTRY", some_bars(3, "13"))

    @given(
        batches=st.lists(
            st.lists(st.tuples(st.integers(0, 8), st.integers(1, 3), st.booleans(), st.integers(0, 12)), max_size=8),
            max_size=6,
        )
    )
    @settings(max_examples=150, deadline=None)
    def test_whatever_comes_in_whatever_order_nothing_is_lost_or_doubled(self, batches: list[Any]) -> None:
        """Batches that overlap as they like, as reconnects make them; a trade's id decides its values."""
        stored = recording_of(some_trades())
        expected: dict[str, tuple[int, int]] = {}
        for batch in batches:
            rows = [(T0 + number, Decimal(number + 1), Decimal(1), None, f"id{number}") for _, _, _, number in batch]
            expected.update({f"id{number}": (T0 + number, number + 1) for _, _, _, number in batch})
            added = merge(stored, _sorted(recording_of(trades_of("BTCTRY", rows))))
            assert added.added + added.known == len(rows)
            stored = added.recording
        found = trade_columns(stored)
        assert len(found) == len(expected)
        if expected:
            assert found.trade_id is not None
            told = dict(
                zip(
                    found.trade_id.to_list(),
                    zip(found.time_ms.tolist(), found.price.tolist(), strict=True),
                    strict=True,
                )
            )
            assert told == expected
            assert found.time_ms.tolist() == sorted(found.time_ms.tolist())


def _sorted(recording: Recording) -> Recording:
    return msgspec.structs.replace(recording, frame=recording.frame.sort("time_ms", maintain_order=True))


#: Imports ever longer files into one dataset until it is killed.
ENDLESS_IMPORT = """
import sys
from pathlib import Path
from btcbot.adapters.replay.csv_files import Options
from btcbot.adapters.replay.importing import import_files
source, into = Path(sys.argv[1]), Path(sys.argv[2])
for round in range(1, 10_000):
    for symbol in ("BTCTRY", "ETHTRY"):
        (source / f"{symbol}.csv").write_text("open_time_ms,open,high,low,close,volume\\n" + "".join(
            f"{1667946780000 + at * 60000},1,1,1,1,{symbol == 'BTCTRY':d}\\n" for at in range(1000 * round)))
    import_files([source], into, Options())
    print(round, flush=True)
"""


class TestInterrupted:
    @pytest.mark.parametrize("after_s", [0.0, 0.013, 0.031])
    def test_killed_in_the_middle_of_an_import_every_file_is_whole(self, tmp_path: Path, after_s: float) -> None:
        (tmp_path / "in").mkdir()
        process = subprocess.Popen(
            [sys.executable, "-c", ENDLESS_IMPORT, str(tmp_path / "in"), str(tmp_path / "set")],
            stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        assert process.stdout is not None
        with process.stdout:
            for _ in range(2):
                process.stdout.readline()
            time.sleep(after_s)
            process.send_signal(signal.SIGKILL)
            process.wait(10)
        found = load_bars(tmp_path / "set")
        assert {len(one) % 1000 for one in found.values()} == {0}
        assert all(len(one) >= 2000 for one in found.values())
        assert inspection.validate(tmp_path / "set").is_sound(strict=True)
        with DatasetWriter.open(tmp_path / "set"):
            pass
        assert list((tmp_path / "set").rglob("*.tmp*")) == []

    def test_what_was_staged_and_not_committed_is_as_if_it_never_was(self, folder: Path) -> None:
        with DatasetWriter.open(folder) as writer:
            writer.stage(recording_of(some_bars(3, "13")))
            assert closes(folder) == [10, 11, 12]
        assert closes(folder) == [10, 11, 12]
        assert list((folder / "bars").glob(".*")) == []


class TestInfo:
    def test_rows_range_gaps_and_scales(self, folder: Path) -> None:
        with DatasetWriter.open(folder) as writer:
            writer.append("bars", "BTCTRY", some_bars(6, "13.25"))
        (facts,) = inspection.info(folder)
        assert (facts.rows, facts.first_ms, facts.last_ms) == (4, T0, T0 + 6 * MINUTE)
        assert (facts.interval_ms, facts.gaps, facts.missing_bars, facts.price_scale) == (MINUTE, 1, 3, 2)
        assert facts.sources == ("capture",)

    def test_a_symbol_missing_from_one_table_is_a_warning(self, folder: Path) -> None:
        with DatasetWriter.open(folder) as writer:
            writer.append("trades", "BTCTRY", some_trades((0, "10", "1", None, None)))
            writer.append("trades", "ETHTRY", trades_of("ETHTRY", [(T0, Decimal(1), Decimal(1), None, None)]))
        (finding,) = inspection.validate(folder).findings
        assert (finding.level, finding.code) == ("warning", "symbol_mismatch")
        assert "ETHTRY has no bars, others have" in finding.line
