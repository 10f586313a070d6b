"""The CSV import against anything: exact columns, or a refusal in clear lines; soon, and in little memory."""

from __future__ import annotations

import time
import tracemalloc
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from btcbot.adapters.replay import checks, csv_files, inspection
from btcbot.adapters.replay.csv_files import LINE_MAX, Options
from btcbot.adapters.replay.findings import LINES_MAX, BadData
from btcbot.adapters.replay.load import load_bars

T0 = 1_667_946_780_000
HEADERS = (
    "open_time_ms,open,high,low,close,volume",
    "ts,best_bid,best_ask",
    "time,price,qty,side,tid",
    "ts;last;high;low;volume",
)
#: What goes wrong in cells, and what nearly does.
NASTY = (
    "", " ", "nan", "NaN", "inf", "-inf", "1e999", "1e-999", "1e5", "-0", "0", "-1", "0.1", ".", "-", "+", "1_000",
    "1,5", "0x10", "\u0661\u0662", "\uff11\uff12", "\u00b2", "99999999999999999999999", "0." + "3" * 39, "\x00",
    "\x1b[2J", "=1+1", '"', '""', '"a', "true", "buy", "2022-11-08", "2022-11-08T22:33:00Z",
    "2022-11-08T22:33:00+03:00", "2022-13-45T99:99:99Z", "1667946780", str(T0), str(T0 + 60_000),
    "9223372036854775807", "9223372036854775808",
    "\ufeff", "null", "\u00e9" * 50, "9" * 400, "1e+07", "00.10",
)  # fmt: skip
cell = st.one_of(
    st.sampled_from(NASTY),
    st.decimals(min_value=0, max_value=10**9, places=4, allow_nan=False).map(str),
    st.integers(T0, T0 + 10**9).map(str),
    st.text(max_size=12),
)


def outcome(path: Path, options: Options | None = None) -> int | None:
    """Rows of what was read, None where it was refused; each in the form that callers rely on."""
    began = time.monotonic()
    refused: BadData | None = None
    rows: int | None = None
    try:
        parsed = csv_files.read(path, "BTCTRY", options or Options())
    except BadData as error:
        refused = error
    else:
        recording, rows = parsed.recording, len(parsed.recording)
        assert dict(recording.frame.schema) == recording.shape.schema
        _, told = checks.examine(recording, "again")
        assert not told.has_errors, "what was read obeys every rule"
    assert time.monotonic() - began < 5
    if refused is not None:
        lines = str(refused).splitlines()
        assert 1 <= len(lines) <= LINES_MAX + 1
        for line in lines:
            assert line.isprintable() and len(line) < 1500
        for finding in refused.findings:
            assert "; " in finding.line, "each says how to mend it"
    return rows


common = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "BTCTRY.csv"


@given(content=st.binary(max_size=600))
@example(content=b"\xff\xfe" * 50)
@example(content=b"\x1f\x8b\x08\x00" + bytes(100))
@common
def test_random_bytes(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    outcome(file)
    with pytest.raises(BadData):
        load_bars(file)
    assert not inspection.validate(file).is_sound()


@given(header=st.sampled_from(HEADERS), content=st.binary(max_size=400))
@common
def test_random_bytes_below_a_good_header(file: Path, header: str, content: bytes) -> None:
    file.write_bytes(header.encode() + b"\n" + content)
    outcome(file)


@given(
    header=st.sampled_from(HEADERS), rows=st.lists(st.lists(cell, min_size=3, max_size=6), max_size=12),
    separator=st.sampled_from([",", ";", "\t"]),
    options=st.builds(
        Options, interval_ms=st.sampled_from([None, 60_000]), unit=st.sampled_from([None, "s", "ms", "us", "ns"]),
        zone=st.sampled_from([None, "UTC", "Europe/Istanbul", "+03:00"]), sort=st.booleans(),
    ),
)  # fmt: skip
@common
def test_random_rows(file: Path, header: str, rows: list[list[str]], separator: str, options: Options) -> None:
    text = "\n".join([header, *(separator.join(row) for row in rows)])
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    outcome(file, options)


@given(
    prices=st.lists(st.integers(1, 10**6), min_size=2, max_size=12), spoilt=st.integers(0, 71), nasty=cell,
    zeros=st.integers(0, 4),
)  # fmt: skip
@common
def test_one_spoilt_cell_among_good_ones_is_read_exactly_or_refused(
    file: Path, prices: list[int], spoilt: int, nasty: str, zeros: int
) -> None:
    rows = [[str(T0 + at * 60_000), *[f"{one}.{'0' * zeros}5"] * 4, "1"] for at, one in enumerate(prices)]
    at, column = divmod(spoilt % (6 * len(rows)), 6)
    rows[at][column] = nasty
    text = "\n".join([HEADERS[0], *(",".join(row) for row in rows)])
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    if outcome(file) is None:
        return
    found = load_bars(file)["BTCTRY"]
    for number, row in enumerate(rows[: len(found)]):
        bar = found.bar(number)
        if number == at and column == 5:
            # Only a volume with more decimals than 64 bits hold may lose some, and then 8 are left.
            assert abs(bar.volume - Decimal(nasty.strip().strip('"'))) < Decimal("1e-8")
        elif number != at:
            assert [bar.open, bar.high, bar.low, bar.close] == [Decimal(one) for one in row[1:5]]


def test_a_line_without_end_costs_neither_time_nor_memory(tmp_path: Path) -> None:
    path = tmp_path / "BTCTRY.csv"
    with path.open("wb") as stream:
        stream.write(b"open_time_ms,open,high,low,close,volume\n")
        stream.seek(512 * 2**20)  # half a gigabyte of zeros, on paper
        stream.write(b"\n")
    assert peak_mib(path) < 8


def test_a_quote_that_never_closes_costs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "BTCTRY.csv"
    with path.open("w") as stream:
        stream.write('open_time_ms,open,high,low,close,volume\n"')
        for _ in range(40):
            stream.write("1,1,1,1,1,1\n" * 50_000)
    assert peak_mib(path) < 8


def test_a_file_of_nothing_but_mistakes_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "BTCTRY.csv"
    path.write_text(HEADERS[0] + "\n" + "x,y,z,n,m,nan\n" * 60_000)
    with pytest.raises(BadData) as refused:
        csv_files.read(path, "BTCTRY", Options())
    assert {finding.count for finding in refused.value.findings} == {60_000}
    assert len(refused.value.findings) == 6
    assert all(finding.row == 2 for finding in refused.value.findings)


def peak_mib(path: Path) -> float:
    """What refusing a file took of memory, beside what polars keeps for itself."""
    tracemalloc.start()
    try:
        assert outcome(path) is None
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def test_a_line_of_just_the_longest_length_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "BTCTRY.csv"
    row = f"{T0},1,1,1,1,1,"
    header = HEADERS[0] + ",note\n"
    path.write_text(header + row + "x" * (LINE_MAX - len(row) - 1) + "\n" + f"{T0 + 60_000},1,1,1,1,1,\n")
    assert len(load_bars(path)["BTCTRY"]) == 2
    path.write_text(header + row + "x" * (LINE_MAX - len(row)) + "\n")
    with pytest.raises(BadData, match="row 2: the line is longer"):
        load_bars(path)
