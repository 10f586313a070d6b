"""Every mistake in data is told in one clear line, with file, row and how to mend it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.adapters.replay.test_data_import import HEADER, T0, csv

from btcbot.adapters.replay import inspection
from btcbot.adapters.replay.csv_files import Options
from btcbot.adapters.replay.findings import LINES_MAX, BadData, Findings
from btcbot.adapters.replay.importing import import_files
from btcbot.adapters.replay.load import load_bars
from btcbot.errors import EXIT_REFUSED, Refused

MINUTE = 60_000


def row(at: int, cells: str = "10,12,9,11,5") -> str:
    return f"{T0 + at * MINUTE},{cells}"


def refused_line(path: Path) -> str:
    """The one line with which `load_bars` refuses, which is the same that an import refuses with."""
    with pytest.raises(Refused) as refused:
        load_bars(path)
    assert refused.value.exit_code == EXIT_REFUSED
    (line,) = str(refused.value).splitlines()
    with pytest.raises(Refused) as again:
        import_files([path], path.parent / "set", Options())
    assert str(again.value) == line
    return line


BAD_BARS = [
    (["10,12,9,11,nan"], "invalid_number", "row 3: «volume» is nan; nothing can be traded at that"),
    (["10,inf,9,11,5"], "invalid_number", "row 3: «high» is inf; nothing can be traded at that"),
    (["10,12,,11,5"], "invalid_number", "row 3: «low» is empty; fill in the number or delete the row"),
    (["ten,12,9,11,5"], "invalid_number", "row 3: «open» is ten, which is no number; write digits"),
    (['"1,234.5",12,9,11,5'], "invalid_number", "row 3: «open» is 1,234.5; write numbers without separators"),
    (['"10,5",12,9,11,5'], "invalid_number", "row 3: «open» is 10,5; write a point before the decimals"),
    (["10,12,0,11,5"], "non_positive_price", "row 3: low is 0; no market trades at that"),
    (["0,12,9,11,5"], "non_positive_price", "row 3: open is 0; no market trades at that"),
    (["10,12,-9,11,5"], "non_positive_price", "row 3: low is -9; no market trades at that"),
    (["10,12,9,11,-5"], "negative_quantity", "row 3: volume is -5; correct or delete the row"),
    (["10,8.5,9,11,5"], "high_below_low", "row 3: high 8.5 is below low 9; correct or delete the row"),
    (["8,12,9,11,5"], "open_close_outside_range", "row 3: open 8 lies outside 9 to 12; correct or delete the row"),
    (["10,12,9,12.5,5"], "open_close_outside_range", "row 3: close 12.5 lies outside 9 to 12; correct or delete"),
    (["10,12,9,11"], "invalid_schema", "row 3: the row has 5 cells where the header names 6; correct or delete"),
    (["10,12,9,11,5,6"], "invalid_schema", "row 3: the row has 7 cells where the header names 6; correct or delete"),
    (["8,12,9,11,5", "8,12,9,11,5", "7,12,9,11,5"], "open_close_outside_range",
     "row 3: open 8 lies outside 9 to 12 (and 2 more rows); correct or delete the row"),
]  # fmt: skip


class TestBars:
    @pytest.mark.parametrize(("cells", "code", "said"), BAD_BARS)
    def test_a_wrong_row(self, tmp_path: Path, cells: list[str], code: str, said: str) -> None:
        path = csv(tmp_path, row(0), *(row(1 + at, one) for at, one in enumerate(cells)), row(len(cells) + 1))
        line = refused_line(path)
        assert line.startswith(f"{path}, row ")
        assert said in line
        found = inspection.validate(path).findings
        assert [(one.code, one.level) for one in found] == [(code, "error")]

    def test_a_bar_twice(self, tmp_path: Path) -> None:
        line = refused_line(csv(tmp_path, row(0), row(1), row(1), row(2)))
        assert "row 4: the bar repeats the time of the row above; delete one of them" in line

    def test_rows_out_of_order_and_how_they_are_taken_all_the_same(self, tmp_path: Path) -> None:
        path = csv(tmp_path, row(2, "13,13,13,13,1"), row(0), row(1))
        line = refused_line(path)
        assert (
            "row 3: the time lies before that of the row above; sort the file by time (the import does it with --sort)"
            in line
        )
        import_files([path], tmp_path / "set", Options(sort=True))
        assert load_bars(tmp_path / "set")["BTCTRY"].open.tolist() == [10, 10, 13]

    def test_a_mistake_in_a_sorted_file_is_told_by_its_own_row(self, tmp_path: Path) -> None:
        path = csv(tmp_path, row(2), row(0), row(1, "10,8,9,11,5"))
        with pytest.raises(BadData, match="row 4: high 8 is below low 9"):
            import_files([path], tmp_path / "set", Options(sort=True))

    def test_a_bar_between_the_minutes(self, tmp_path: Path) -> None:
        path = csv(tmp_path, row(0), row(1), row(2), f"{T0 + 150_000},10,12,9,11,5", row(3), row(4))
        line = refused_line(path)
        assert "row 5: the bar opens 30s after the one above, and the interval is 1m" in line

    def test_an_interval_that_is_not_the_one_that_was_said(self, tmp_path: Path) -> None:
        with pytest.raises(BadData, match="row 3: the bar opens 1m after the one above, and the interval is 5m"):
            import_files([csv(tmp_path, row(0), row(1))], tmp_path / "set", Options(interval_ms=300_000))

    def test_a_gap_is_a_warning_with_its_size(self, tmp_path: Path) -> None:
        told: list[str] = []
        path = csv(tmp_path, row(0), row(1), row(4), row(5), row(7))
        assert len(load_bars(path, warn=told.append)["BTCTRY"]) == 5
        assert told == [
            f"{path}, row 4: 3 bars are missing in 2 gaps, the first of 2m before this row; import them, or know that "
            "nothing trades there"
        ]

    def test_a_single_bar_does_not_show_its_interval(self, tmp_path: Path) -> None:
        path = csv(tmp_path, row(0))
        assert (
            "row 2: a single bar does not show its interval; import it with «data import --interval 1m», or such"
            in refused_line(path)
        )
        import_files([path], tmp_path / "set", Options(interval_ms=MINUTE))
        assert len(load_bars(tmp_path / "set")["BTCTRY"]) == 1


class TestQuotesAndTrades:
    @pytest.mark.parametrize(
        ("header", "rows", "code", "said"),
        [
            (
                "ts,bid,ask",
                ["100,99"],
                "crossed_quote",
                "row 2: bid 100 is above ask 99; look whether the two columns are swapped",
            ),
            ("ts,bid,ask", ["0,99"], "non_positive_price", "row 2: bid is 0"),
            ("ts,bid,bid_size,ask,ask_size", ["98,-1,99,1"], "negative_quantity", "row 2: bid_quantity is -1"),
            ("ts,price,quantity", ["100,0"], "negative_quantity", "row 2: quantity is 0"),
            ("ts,price,quantity,side", ["100,1,up"], "invalid_schema", "row 2: the side is «up»; write buy or sell"),
            (
                "ts,price,quantity,trade_id",
                ["1,1,a", "1,1,a"],
                "duplicate_trade",
                "row 3: the trade id was there before",
            ),
            ("ts,last,high,low,volume", ["1,1,2,1"], "high_below_low", "row 2: high 1 is below low 2"),
        ],
    )
    def test_a_wrong_row(self, tmp_path: Path, header: str, rows: list[str], code: str, said: str) -> None:
        path = csv(tmp_path, *(f"{T0},{one}" for one in rows), header=header)
        with pytest.raises(BadData) as refused:
            import_files([path], tmp_path / "set", Options())
        (finding,) = refused.value.findings
        assert finding.code == code
        assert said in str(refused.value)

    def test_trades_and_quotes_of_one_millisecond_are_no_mistake(self, tmp_path: Path) -> None:
        path = csv(tmp_path, f"{T0},100,1", f"{T0},100,1", f"{T0},101,1", header="ts,price,quantity")
        assert import_files([path], tmp_path / "set", Options()).imported[0].added == 3


class TestFiles:
    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "the file is empty"),
            (b"\n\n", "the first line is empty"),
            (f"{HEADER}\n".encode(), "there is a header and no row"),
            (
                b"1667946780000,1,1,1,1,1\n",
                "row 1: the first line holds numbers, not the names of columns; add a header",
            ),
            (b"ts,open,high,low,close\n1,2,3,4,5\n", "row 1: bars need the column volume"),
            (b"open,high,low,close,volume\n1,1,1,1,1\n", "row 1: bars need the column ts"),
            (b"ts,open,high,low,close,volume,high\n", "row 1: the header names «high» twice"),
            (f"{HEADER}\n".encode() + b"\xff\xfe,1,1,1,1,1\n", "row 2: the line is not UTF-8 text"),
            (b"x" * 100_000, "row 1: the line is longer than 16384 bytes"),
            (f'{HEADER}\n"1,1,1,1,1,1\n'.encode(), "row 2: the row cannot be read as CSV"),
        ],
    )
    def test_what_is_no_csv_of_bars(self, tmp_path: Path, content: bytes, said: str) -> None:
        path = tmp_path / "BTCTRY.csv"
        path.write_bytes(content)
        assert said in refused_line(path)

    def test_columns_of_no_table(self, tmp_path: Path) -> None:
        path = csv(tmp_path, "1,2,3", header="x,y,z")
        with pytest.raises(
            BadData, match=r"row 1: the columns \(x, y, z\) are those of no table; name them open, high"
        ):
            import_files([path], tmp_path / "set", Options())
        with pytest.raises(BadData, match="row 1: bars need the columns ts, open, high, low, close, volume"):
            load_bars(path)

    def test_other_separators_and_a_byte_order_mark(self, tmp_path: Path) -> None:
        for name, separator in (("BTCTRY.csv", ";"), ("ETHTRY.csv", "\t")):
            text = "\r\n".join(["Open Time MS,Open,High,Low,Close,Volume,Note", row(0) + ",x", "", row(1) + ",y"])
            (tmp_path / name).write_text("\ufeff" + text.replace(",", separator), encoding="utf-8")
        assert {symbol: len(found) for symbol, found in load_bars(tmp_path).items()} == {"BTCTRY": 2, "ETHTRY": 2}

    def test_a_row_is_told_by_its_line_although_lines_above_are_empty(self, tmp_path: Path) -> None:
        path = csv(tmp_path, row(0), "", "", row(1, "10,8,9,11,5"))
        assert "row 5: high 8 is below low 9" in refused_line(path)

    def test_a_file_of_another_symbol(self, tmp_path: Path) -> None:
        path = csv(tmp_path, "ETH_TRY," + row(0), "ETH_TRY," + row(1), header=f"pair,{HEADER}")
        assert "row 2: the row is of «ETH_TRY», the file is read as BTCTRY (and 1 more row)" in refused_line(path)

    def test_a_name_without_a_symbol(self, tmp_path: Path) -> None:
        path = csv(tmp_path, row(0), row(1), name="my prices.csv")
        assert (
            "«my prices.csv» does not begin with a symbol; name the file such as BTCTRY.csv, or give --symbol"
            in refused_line(path)
        )

    def test_a_symbol_may_be_said_for_a_nameless_file_and_never_against_its_name(self, tmp_path: Path) -> None:
        path = csv(tmp_path, row(0), row(1), name="my prices.csv")
        assert list(load_bars(path, ["ETHTRY"])) == ["ETHTRY"]
        with pytest.raises(Refused, match="there are no bars of ETHTRY"):
            load_bars(csv(tmp_path, row(0), row(1)), ["ETHTRY"])

    def test_control_characters_are_shown_not_obeyed(self, tmp_path: Path) -> None:
        line = refused_line(csv(tmp_path, row(0), row(1, "\x1b[2J10,12,9,11,5"), row(2)))
        assert "\x1b" not in line and "\\x1b[2J10" in line

    def test_so_many_problems_are_told_and_the_rest_counted(self) -> None:
        findings = Findings("X.csv")
        for at in range(LINES_MAX + 5):
            findings.add("invalid_number", f"cell {at}", "mend it", row=at, about=str(at))
        lines = str(BadData(findings.all)).splitlines()
        assert len(lines) == LINES_MAX + 1
        assert lines[-1] == "and 5 more problems of this kind or another"


class TestRangesAndSymbols:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        for symbol in ("BTCTRY", "ETHTRY"):
            csv(tmp_path, *(row(at) for at in range(5)), name=f"{symbol}.csv")
        return tmp_path

    def test_a_symbol_that_is_not_there(self, folder: Path) -> None:
        with pytest.raises(Refused, match=r"there are no bars of BTCTR; did you mean BTCTRY\?"):
            load_bars(folder, ["BTCTR"])
        with pytest.raises(Refused, match="there are no bars of XRPUSD; there are BTCTRY, ETHTRY"):
            load_bars(folder, ["XRPUSD"])

    def test_an_empty_range(self, folder: Path) -> None:
        with pytest.raises(
            Refused, match=r"ETHTRY has no bar in the range; it has 2022-11-08 22:33:00Z to 2022-11-08 22:37:00Z"
        ):
            load_bars(folder, ["ETHTRY"], start_ms=T0 + 3_600_000)
        with pytest.raises(Refused, match="let the end follow the start"):
            load_bars(folder, start_ms=T0, end_ms=T0)

    def test_two_intervals_at_once(self, folder: Path) -> None:
        csv(folder, row(0), row(5), row(10), name="SOLTRY.csv")
        with pytest.raises(
            Refused, match=r"the bars are not of one interval: ETHTRY has 1m, SOLTRY has 5m; name the symbols"
        ):
            load_bars(folder)
        assert list(load_bars(folder, ["SOLTRY"])) == ["SOLTRY"]

    def test_what_is_not_there_at_all(self, tmp_path: Path) -> None:
        with pytest.raises(Refused, match="there is no such folder"):
            load_bars(tmp_path / "nowhere")
        with pytest.raises(Refused, match=r"no CSV file lies in it; name a folder of SYMBOL\.csv files"):
            load_bars(tmp_path)


class TestValidation:
    def test_a_layout_without_books(self, tmp_path: Path) -> None:
        csv(tmp_path, row(0), row(1), name="candles/BTCTRY.csv")
        found = inspection.validate(tmp_path)
        assert [(one.code, one.level) for one in found.findings] == [("missing_orderbook_folder", "warning")]
        assert found.is_sound() and not found.is_sound(strict=True)

    def test_a_symbol_missing_from_one_table(self, tmp_path: Path) -> None:
        csv(tmp_path, row(0), row(1), name="candles/BTCTRY.csv")
        csv(tmp_path, row(0), row(1), name="candles/ETHTRY.csv")
        csv(tmp_path, f"{T0},1,2", name="orderbook/ETHTRY.csv", header="ts,best_bid,best_ask")
        (finding,) = inspection.validate(tmp_path).findings
        assert (finding.code, finding.level) == ("symbol_mismatch", "warning")
        assert "BTCTRY has no quotes, others have" in finding.line

    def test_every_wrong_file_is_told(self, tmp_path: Path) -> None:
        csv(tmp_path, row(0), row(1, "1,1,2,1,1"), name="BTCTRY.csv")
        csv(tmp_path, row(0), row(1, "x,1,1,1,1"), name="ETHTRY.csv")
        csv(tmp_path, row(0), row(1), name="SOLTRY.csv")
        found = inspection.validate(tmp_path)
        assert [(one.code, Path(one.file).name, one.row) for one in found.findings if one.level == "error"] == [
            ("high_below_low", "BTCTRY.csv", 3), ("invalid_number", "ETHTRY.csv", 3),
        ]  # fmt: skip
        assert found.recordings == 1 and not found.is_sound()
