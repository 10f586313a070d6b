"""CSV files of every kind become exact columns: nothing is rounded, no time is guessed."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from btcbot.adapters.replay import csv_files, inspection
from btcbot.adapters.replay.csv_files import Options
from btcbot.adapters.replay.dataset import Dataset
from btcbot.adapters.replay.findings import BadData
from btcbot.adapters.replay.importing import import_files
from btcbot.adapters.replay.load import load_bars
from btcbot.adapters.replay.tables import bar_columns, quote_columns, trade_columns
from btcbot.domain import money

HEADER = "open_time_ms,open,high,low,close,volume"
#: 2022-11-08 22:33 UTC, when SOLTRY began to fall.
T0 = 1_667_946_780_000
RECORDED = Path(__file__).parents[5] / "shared" / "market-data"
with_recordings = pytest.mark.skipif(not RECORDED.exists(), reason="the recorded market data are not on this machine")


def csv(folder: Path, *rows: str, name: str = "BTCTRY.csv", header: str = HEADER) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def bars(path: Path, **options: Any) -> Any:
    return bar_columns(csv_files.read(path, "BTCTRY", Options(**options)).recording)


class TestNumbersArriveExactly:
    def test_two_bars(self, tmp_path: Path) -> None:
        path = csv(
            tmp_path, f"{T0},353137,353398.5,352657,352657.25,0.48821", f"{T0 + 60_000},352903,353500,352903,353438,1"
        )
        found = load_bars(path)["BTCTRY"]
        assert (found.interval_ms, found.price_scale, found.volume_scale) == (60_000, 2, 5)
        first = found.bar(0)
        assert (first.open, first.high, first.low, first.close) == (
            Decimal(353137), Decimal("353398.5"), Decimal(352657), Decimal("352657.25"),
        )  # fmt: skip
        assert first.volume == Decimal("0.48821")
        assert first.open_time_ms == T0

    @pytest.mark.parametrize(
        ("text", "number"),
        [("1e-05", "0.00001"), ("1.9152E-4", "0.00019152"), (".5", "0.5"), ("5.", "5"), ("+3", "3"), (" 7.10 ", "7.1"),
         ('"8"', "8"), ("007", "7")],
    )  # fmt: skip
    def test_other_spellings_of_a_number(self, tmp_path: Path, text: str, number: str) -> None:
        path = csv(tmp_path, *(f"{T0 + at * 60_000},{text},{text},{text},{text},{text}" for at in range(2)))
        bar = load_bars(path)["BTCTRY"].bar(1)
        assert (bar.open, bar.low, bar.volume) == (Decimal(number), Decimal(number), Decimal(number))

    def test_the_price_of_a_coin_of_a_thousandth_of_a_lira(self, tmp_path: Path) -> None:
        path = csv(
            tmp_path, f"{T0},0.00019152,0.0001919,0.00019152,0.00019189,209755659", f"{T0 + 60_000},1,1,1,1,0",
        )  # fmt: skip
        found = load_bars(path)["BTCTRY"]
        assert (found.price_scale, found.volume_scale) == (8, 0)
        assert found.bar(0).open == Decimal("0.00019152")
        assert found.bar(0).volume == 209_755_659

    @given(
        rows=st.lists(
            st.tuples(
                st.integers(1, 10**9), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6),
                st.integers(0, 10**9), st.integers(0, 8), st.integers(0, 8),
            ),
            min_size=2, max_size=30,
        )
    )  # fmt: skip
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_whatever_the_numbers_import_and_load_give_those_of_the_file(
        self, tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, ...]]
    ) -> None:
        folder = tmp_path_factory.mktemp("exact")
        written = []
        for low, up, to_open, to_close, volume, price_places, volume_places in rows:
            high = low + up
            integers = (low + min(to_open, up), high, low, low + min(to_close, up))
            prices = [Decimal(one).scaleb(-price_places) for one in integers]
            written.append((*prices, Decimal(volume).scaleb(-volume_places)))
        lines = [f"{T0 + at * 60_000}," + ",".join(format(one, "f") for one in row) for at, row in enumerate(written)]
        path = csv(folder, *lines)
        import_files([path], folder / "set", Options())
        directly, stored = load_bars(path)["BTCTRY"], load_bars(folder / "set")["BTCTRY"]
        for at, row in enumerate(written):
            for found in (directly.bar(at), stored.bar(at)):
                assert (found.open, found.high, found.low, found.close, found.volume) == row
                assert found.open_time_ms == T0 + at * 60_000

    def test_rows_far_apart_in_a_long_file_share_one_scale(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(csv_files, "_CHUNK_ROWS", 3)
        prices = ["5", "5.5", "5.25", "5", "5.125", "5", "5", "5.0625"]
        path = csv(tmp_path, *(f"{T0 + at * 60_000},{one},{one},{one},{one},1" for at, one in enumerate(prices)))
        found = load_bars(path)["BTCTRY"]
        assert [found.bar(at).close for at in range(len(found))] == [Decimal(one) for one in prices]

    def test_float_noise_in_volume_is_cut_and_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(csv_files, "_CHUNK_ROWS", 1)
        path = csv(
            tmp_path,
            *(
                f"{T0 + at * 60_000},1,1,1,1,{one}"
                for at, one in enumerate(("0.300000000000000009", "102949891.5", "2"))
            ),
        )
        told: list[str] = []
        found = load_bars(path, warn=told.append)["BTCTRY"]
        assert [found.bar(at).volume for at in range(3)] == [Decimal("0.3"), Decimal("102949891.5"), 2]
        assert len(told) == 1
        assert "row 2: «volume» has more decimals than 64 bits hold, and was rounded down to 8" in told[0]

    def test_a_price_is_never_rounded(self, tmp_path: Path) -> None:
        path = csv(tmp_path, f"{T0},1,9999999999.5,0.300000000000000009,1,1", f"{T0 + 60_000},1,1,1,1,1")
        with pytest.raises(BadData, match=r"64 bits"):
            load_bars(path)


class TestTimes:
    @pytest.mark.parametrize(
        "times",
        [
            ("1667946780", "1667946840"),
            ("1667946780000", "1667946840000"),
            ("1667946780000000", "1667946840000000"),
            ("1667946780000000000", "1667946840000000000"),
            ("1667946780.000", "1667946840.0"),
            ("2022-11-08T22:33:00Z", "2022-11-08T22:34:00Z"),
            ("2022-11-08 22:33+00:00", "2022-11-08T22:34:00Z"),
            ("2022-11-09T01:33:00+03:00", "2022-11-09T01:34:00.000+0300"),
            ("2022-11-08 22:33:00 UTC", "2022-11-08 22:34:00Z"),
        ],
    )
    def test_each_way_to_tell_the_same_minute(self, tmp_path: Path, times: tuple[str, str]) -> None:
        path = csv(tmp_path, *(f"{one},1,1,1,1,1" for one in times), header="ts,open,high,low,close,volume")
        assert load_bars(path)["BTCTRY"].open_time_ms.tolist() == [T0, T0 + 60_000]

    @pytest.mark.parametrize(
        "time",
        [
            "1667946780.25", "1667946780.250999", "1667946780250", "1667946780250999", "1667946780250999999",
            "2022-11-08T22:33:00.25Z", "2022-11-09 01:33:00.250999999+03:00",
        ],
    )  # fmt: skip
    def test_a_quarter_of_a_second_and_nothing_finer_than_a_millisecond(self, tmp_path: Path, time: str) -> None:
        path = csv(tmp_path, f"{time},100,1", header="ts,price,quantity")
        found = trade_columns(csv_files.read(path, "BTCTRY", Options()).recording)
        assert found.time_ms.tolist() == [T0 + 250]

    @pytest.mark.parametrize(
        ("zone", "expected"),
        [
            ("UTC", T0),
            ("Europe/Istanbul", T0 - 3 * 3_600_000),
            ("+03:00", T0 - 3 * 3_600_000),
            ("-0530", T0 + 19_800_000),
        ],
    )
    def test_a_zone_that_is_not_written_has_to_be_said(self, tmp_path: Path, zone: str, expected: int) -> None:
        path = csv(
            tmp_path,
            "2022-11-08 22:33:00,1,1,1,1,1",
            "2022-11-08 22:34:00,1,1,1,1,1",
            header="date,open,high,low,close,volume",
        )
        with pytest.raises(
            BadData, match=r"row 2: the times say no zone; import it with «data import --time-zone UTC»"
        ):
            load_bars(path)
        assert bars(path, zone=zone).open_time_ms.tolist() == [expected, expected + 60_000]

    def test_the_hour_that_istanbul_had_twice_is_refused(self, tmp_path: Path) -> None:
        path = csv(
            tmp_path, "2015-11-08 02:30:00,1,1,1,1,1", "2015-11-08 03:30:00,1,1,1,1,1",
            header="date,open,high,low,close,volume",
        )  # fmt: skip
        with pytest.raises(BadData, match=r"row 3: .*skipped or had twice.*write the times in UTC"):
            bars(path, zone="Europe/Istanbul")

    @pytest.mark.parametrize(
        ("rows", "said"),
        [
            ((f"{T0}", "1667946840"), r"row 3: «ts» is 1667946840, seconds where the file began with milliseconds"),
            ((f"{T0}", "2022-11-08T22:34:00Z"), r"row 3: .*where the file began with numbers"),
            (("2022-11-08T22:33:00Z", f"{T0}"), r"row 3: .*where the file began with ISO 8601"),
            (("2022-11-08T22:33:00Z", "2022-11-09T01:34:00+03:00"), r"row 3: .*\+03:00 where the file began with Z"),
            (
                ("2022-11-08T22:33:00+03:00", "2022-11-08T22:34:00"),
                r"row 3: .*no zone where the file began with \+03:00",
            ),
        ],
    )
    def test_mixtures_are_refused(self, tmp_path: Path, rows: tuple[str, str], said: str) -> None:
        path = csv(tmp_path, *(f"{one},1,1,1,1,1" for one in rows), header="ts,open,high,low,close,volume")
        with pytest.raises(BadData, match=said) as refused:
            load_bars(path)
        assert refused.value.findings[0].code in {"mixed_units", "mixed_zones"}
        assert "one unit and one zone" in str(refused.value)

    def test_seconds_under_a_name_that_says_milliseconds(self, tmp_path: Path) -> None:
        path = csv(tmp_path, "1667946780,1,1,1,1,1", "1667946840,1,1,1,1,1")
        with pytest.raises(
            BadData, match=r"row 2: .*which is seconds, and the column's name says milliseconds.*--time-unit s"
        ):
            load_bars(path)
        assert bars(path, unit="s").open_time_ms.tolist() == [T0, T0 + 60_000]

    @pytest.mark.parametrize(
        "time",
        [
            "0", "123", "-1667946780000", "99999999999999999999", "", "yesterday", "2022-02-30", "08.11.2022 22:33",
            "2022-11-08T25:00:00Z", "1970-01-01T00:00:00Z", "NaN",
        ],
    )  # fmt: skip
    def test_what_is_no_time(self, tmp_path: Path, time: str) -> None:
        path = csv(tmp_path, f"{time},1,1,1,1,1", f"{T0},1,1,1,1,1", header="ts,open,high,low,close,volume")
        with pytest.raises(BadData) as refused:
            load_bars(path)
        assert {finding.code for finding in refused.value.findings} <= {"invalid_timestamp", "mixed_units"}


class TestQuotesAndTrades:
    def test_a_book_of_another_tool(self, tmp_path: Path) -> None:
        path = csv(tmp_path, f"{T0},99.5,100", f"{T0 + 250},99.6,100", header="ts,best_bid,best_ask")
        found = quote_columns(csv_files.read(path, "BTCTRY", Options()).recording)
        assert found.bid.tolist() == [995, 996]
        assert (found.price_scale, found.bid_quantity, found.ask_quantity) == (1, None, None)

    def test_trades_with_sides_and_ids(self, tmp_path: Path) -> None:
        path = csv(
            tmp_path, f"{T0},100,0.5,buy,a1", f"{T0},100.5,1,SELL,a2", header="time_ms,price,qty,side,tid",
        )  # fmt: skip
        found = trade_columns(csv_files.read(path, "BTCTRY", Options()).recording)
        assert (found.price.tolist(), found.quantity.tolist()) == ([1000, 1005], [5, 10])
        assert found.is_buyer_maker is not None and found.is_buyer_maker.tolist() == [False, True]
        assert found.trade_id is not None and found.trade_id.to_list() == ["a1", "a2"]

    def test_trades_become_bars(self, tmp_path: Path) -> None:
        rows = [(0, "100", "1"), (59_999, "98.5", "0.25"), (30_000, "103", "2"), (180_000, "99", "4")]
        path = csv(
            tmp_path, *(f"{T0 + at},{price},{quantity}" for at, price, quantity in rows), header="ts,price,quantity"
        )
        import_files([path], tmp_path / "set", Options(sort=True), bars_ms=60_000)
        found = load_bars(tmp_path / "set")["BTCTRY"]
        assert found.open_time_ms.tolist() == [T0, T0 + 180_000]
        bar = found.bar(0)
        assert (bar.open, bar.high, bar.low, bar.close, bar.volume) == (
            Decimal(100), Decimal(103), Decimal("98.5"), Decimal("98.5"), Decimal("3.25"),
        )  # fmt: skip

    @given(
        trades=st.lists(
            st.tuples(st.integers(0, 600_000), st.integers(1, 10**6), st.integers(1, 10**6)), min_size=1, max_size=40
        ),
        interval_ms=st.sampled_from([1000, 60_000, 300_000]),
    )
    @settings(max_examples=60, deadline=None)
    def test_bars_hold_every_trade_once(self, trades: list[tuple[int, int, int]], interval_ms: int) -> None:
        from btcbot.adapters.replay.aggregate import bars_from_trades
        from btcbot.adapters.replay.tables import recording_of, trades_of

        ordered = sorted(trades)
        made = trades_of("BTCTRY", [(T0 + at, Decimal(p) / 100, Decimal(q) / 1000, None, None) for at, p, q in ordered])
        found = bar_columns(bars_from_trades(recording_of(made), interval_ms))
        for at in range(len(found)):
            bar = found.bar(at)
            inside = [row for row in ordered if bar.open_time_ms <= T0 + row[0] < bar.close_time_ms]
            assert bar.open == Decimal(inside[0][1]) / 100
            assert bar.close == Decimal(inside[-1][1]) / 100
            assert bar.high == max(Decimal(row[1]) / 100 for row in inside)
            assert bar.low == min(Decimal(row[1]) / 100 for row in inside)
        assert money.total(found.bar(at).volume for at in range(len(found))) == money.total(
            Decimal(row[2]) / 1000 for row in ordered
        )


class TestFoldersAndNames:
    def test_the_layout_of_other_tools(self, tmp_path: Path) -> None:
        source = tmp_path / "replay"
        csv(
            source,
            f"{T0},1,2,1,2,5",
            f"{T0 + 60_000},2,2,1,1,5",
            name="candles/BTCTRY.csv",
            header="ts,open,high,low,close,volume",
        )
        csv(source, f"{T0},1,2", name="orderbook/BTCTRY.csv", header="ts,best_bid,best_ask")
        csv(source, f"{T0},1.5,2,1,7", name="ticker/BTCTRY.csv", header="ts,last,high,low,volume")
        import_files([source], tmp_path / "set", Options())
        dataset = Dataset.open(tmp_path / "set")
        assert dataset.tables("BTCTRY") == ("bars", "quotes", "tickers")
        assert dataset.tickers("BTCTRY").last.tolist() == [15]
        assert len(load_bars(source)["BTCTRY"]) == 2

    def test_months_of_one_symbol_come_together(self, tmp_path: Path) -> None:
        csv(tmp_path, f"{T0},1,1,1,1,1", f"{T0 + 60_000},1.5,1.5,1.5,1.5,1", name="in/BTCTRY-1m-2022-11.csv")
        csv(tmp_path, f"{T0 + 60_000},1.5,1.5,1.5,1.5,1", f"{T0 + 120_000},2,2,2,2,1", name="in/BTC_TRY-1m-2022-12.csv")
        import_files([tmp_path / "in"], tmp_path / "set", Options())
        found = load_bars(tmp_path / "set")["BTCTRY"]
        assert [found.bar(at).open for at in range(3)] == [Decimal(1), Decimal("1.5"), Decimal(2)]
        with pytest.raises(BadData, match="are both of BTCTRY"):
            load_bars(tmp_path / "in")

    def test_only_the_symbols_and_the_time_that_are_wanted(self, tmp_path: Path) -> None:
        for symbol in ("BTCTRY", "ETHTRY", "SOLTRY"):
            csv(tmp_path, *(f"{T0 + at * 60_000},1,1,1,1,1" for at in range(10)), name=f"{symbol}.csv")
        found = load_bars(tmp_path, ["SOLTRY", "BTCTRY"], T0 + 120_000, T0 + 300_000)
        assert list(found) == ["SOLTRY", "BTCTRY"]
        assert found["BTCTRY"].open_time_ms.tolist() == [T0 + 120_000, T0 + 180_000, T0 + 240_000]

    def test_a_later_import_adds_what_is_new(self, tmp_path: Path) -> None:
        import_files([csv(tmp_path, f"{T0},1,1,1,1,1", f"{T0 + 60_000},1,1,1,1,1")], tmp_path / "set", Options())
        again = import_files(
            [csv(tmp_path, f"{T0 + 60_000},1,1,1,1,1", f"{T0 + 120_000},1.5,2,1,1,1")], tmp_path / "set", Options()
        )
        (one,) = again.imported
        assert (one.rows, one.added, one.known, one.replaced) == (2, 1, 1, 0)
        assert load_bars(tmp_path / "set")["BTCTRY"].high.tolist() == [10, 10, 20]

    def test_other_values_for_a_known_bar_need_a_word(self, tmp_path: Path) -> None:
        folder = tmp_path / "set"
        import_files([csv(tmp_path, f"{T0},1,1,1,1,1", f"{T0 + 60_000},1,1,1,1,1")], folder, Options())
        other = csv(tmp_path, f"{T0},1,1,1,1,1", f"{T0 + 60_000},1,2,1,1,1")
        with pytest.raises(BadData, match="1 bars of BTCTRY are stored with other values; say --replace"):
            import_files([other], folder, Options())
        assert load_bars(folder)["BTCTRY"].high.tolist() == [1, 1]
        import_files([other], folder, Options(), replace=True)
        assert load_bars(folder)["BTCTRY"].high.tolist() == [1, 2]

    def test_one_wrong_file_of_many_changes_nothing(self, tmp_path: Path) -> None:
        folder = tmp_path / "set"
        import_files([csv(tmp_path, f"{T0},1,1,1,1,1", f"{T0 + 60_000},1,1,1,1,1")], folder, Options())
        before = {path: path.read_bytes() for path in folder.rglob("*.parquet")}
        csv(tmp_path, f"{T0 + 60_000},1,1,1,1,1", f"{T0 + 120_000},1,1,1,1,1", name="in/BTCTRY.csv")
        csv(tmp_path, f"{T0},1,1,1,nan,1", f"{T0 + 60_000},1,1,1,1,1", name="in/ETHTRY.csv")
        csv(tmp_path, f"{T0},1,1,1,1,1", f"{T0 + 60_000},1,0.5,1,1,1", name="in/SOLTRY.csv")
        with pytest.raises(BadData) as refused:
            import_files([tmp_path / "in"], folder, Options())
        lines = str(refused.value).splitlines()
        assert any("ETHTRY.csv, row 2: «close» is nan" in line for line in lines)
        assert any("SOLTRY.csv, row 3: high 0.5 is below low 1" in line for line in lines)
        assert {path: path.read_bytes() for path in folder.rglob("*.parquet")} == before

    def test_a_refused_import_leaves_no_folder_behind(self, tmp_path: Path) -> None:
        with pytest.raises(BadData):
            import_files([csv(tmp_path, f"{T0},0,0,0,0,0")], tmp_path / "new", Options())
        assert not (tmp_path / "new").exists()

    def test_strict_refuses_what_only_warns(self, tmp_path: Path) -> None:
        path = csv(tmp_path, *(f"{T0 + at * 60_000},1,1,1,1,1" for at in (0, 1, 5)))
        with pytest.raises(BadData, match="3 bars are missing in 1 gap"):
            import_files([path], tmp_path / "set", Options(), strict=True)
        assert not (tmp_path / "set").exists()
        report = import_files([path], tmp_path / "set", Options())
        assert [finding.code for finding in report.warnings] == ["gap"]
        told: list[str] = []
        load_bars(tmp_path / "set", warn=told.append)
        assert len(told) == 1 and "bars/BTCTRY.parquet, row 3: 3 bars are missing in 1 gap" in told[0]


@with_recordings
class TestRecordedMarkets:
    @pytest.mark.parametrize("name", ["try-1m-2022-11-08", "btctry-1h-2021", "btcusd-1m-2022-01"])
    def test_each_folder_is_sound_as_it_is_and_when_it_was_imported(self, tmp_path: Path, name: str) -> None:
        before = inspection.validate(RECORDED / name)
        import_files([RECORDED / name], tmp_path / "set", Options())
        after = inspection.validate(tmp_path / "set")
        assert before.is_sound() and after.is_sound()
        assert before.rows == after.rows > 0

    def test_twelve_pairs_through_the_collapse(self, tmp_path: Path) -> None:
        source = RECORDED / "try-1m-2022-11-08"
        import_files([source], tmp_path / "set", Options())
        stored, directly = load_bars(tmp_path / "set"), load_bars(source)
        assert len(stored) == 12
        for symbol, found in stored.items():
            lines = (source / f"{symbol}.csv").read_text().splitlines()[1:]
            assert len(found) == len(lines) == 1000
            for at, line in enumerate(lines):
                time_ms, *cells = line.split(",")
                bar = found.bar(at)
                assert bar.open_time_ms == int(time_ms)
                assert [bar.open, bar.high, bar.low, bar.close, bar.volume] == [Decimal(cell) for cell in cells[:5]]
            assert np.array_equal(found.close, directly[symbol].close)

    def test_hours_with_one_missing(self) -> None:
        told: list[str] = []
        found = load_bars(RECORDED / "btctry-1h-2021", warn=told.append)["BTCTRY"]
        assert (len(found), found.interval_ms) == (479, 3_600_000)
        assert len(told) == 1 and "1 bar is missing in 1 gap" in told[0]

    def test_a_month_with_noise_in_its_volume(self, tmp_path: Path) -> None:
        source = RECORDED / "btcusd-1m-2022-01"
        report = import_files([source], tmp_path / "set", Options())
        assert [(one.code, one.count) for one in report.warnings] == [("volume_rounded", 6)]
        found = load_bars(tmp_path / "set")["BTCUSD"]
        lines = (source / "BTCUSD.csv").read_text().splitlines()[1:]
        assert len(found) == len(lines)
        for at in range(0, len(lines), 97):
            time_ms, *cells = lines[at].split(",")
            bar = found.bar(at)
            assert (bar.open_time_ms, bar.open, bar.close) == (int(time_ms), Decimal(cells[0]), Decimal(cells[3]))
            assert bar.volume == money.round_down(Decimal(cells[4]), 8)
