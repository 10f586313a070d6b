"""Recorded bars: what is played, what is only remarked, and what is refused with which line."""

from decimal import Decimal

import pytest

from btcturk_sim.bars import load_bars
from btcturk_sim.errors import ConfigurationError

HEADER = "open_time_ms,open,high,low,close,volume"
M = 60_000


def write(folder, symbol, *rows, header=HEADER):
    (folder / f"{symbol}.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def test_pairs_share_one_clock_and_are_aligned_by_open_time(tmp_path):
    write(tmp_path, "ADATRY", f"{3 * M},7.03,7.05,7.01,7.02,10.5", f"{4 * M},7.02,7.02,7.02,7.02,0")
    write(tmp_path, "BTCTRY", f"{2 * M},353137,353398,352657,352657,0.48", f"{3 * M},352657,352700,352600,352600,1")
    bars = load_bars(tmp_path)
    assert (bars.first_open_ms, bars.interval_ms, bars.length) == (2 * M, M, 3)
    assert bars.bar("ADATRY", 0) is None
    assert bars.opening_price("ADATRY") == Decimal("7.03")
    assert bars.bar("ADATRY", 1).high == Decimal("7.05")
    assert bars.bar("BTCTRY", 2) is None


def test_gaps_are_remarked_and_tolerated(tmp_path):
    write(tmp_path, "ADATRY", *(f"{n * M},7,7,7,7,1" for n in (0, 1, 2, 5, 6)))
    bars = load_bars(tmp_path)
    assert bars.notes == ("ADATRY.csv: 2 of 7 bars missing; the price holds there",)
    assert [bars.bar("ADATRY", n) is None for n in range(7)] == [False, False, False, True, True, False, False]


def test_scales_come_from_the_digits_seen_and_the_worth_of_a_step(tmp_path):
    write(tmp_path, "ADATRY", f"{M},7.03,7.05,7.01,7.02,10.5")
    write(tmp_path, "SHIBTRY", f"{M},0.00019152,0.0001919,0.00019152,0.00019189,209755659.7")
    ada, shib = load_bars(tmp_path).instruments
    assert (ada.price_scale, ada.quantity_scale) == (2, 3)  # 0.001 ADA is worth 0.007, 0.01 would be 0.07
    assert (shib.price_scale, shib.quantity_scale) == (8, 0)
    assert str(ada.min_exchange_value) == "99.91"


def test_known_pairs_keep_their_rules_and_prices_are_quantised_to_them(tmp_path):
    write(tmp_path, "BTCTRY", f"{M},238329.55,239771.2,237012,237526,5.248491")
    bars = load_bars(tmp_path)
    assert (bars.instruments[0].price_scale, bars.instruments[0].quantity_scale) == (0, 8)
    assert bars.bar("BTCTRY", 0).open == 238330


def test_more_columns_may_follow(tmp_path):
    write(tmp_path, "ADATRY", f"{M},7,7,7,7,1,7.0,3", header=HEADER + ",quote_volume,trades")
    assert load_bars(tmp_path).length == 1


GOOD = f"{M},7,7.5,6.5,7,1"


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ([f"{M},7,7,7,7"], "ADATRY.csv row 2: has 5 cells where the header has 6; complete the row"),
        ([f"{M},x,7,7,7,1"], "ADATRY.csv row 2: open is 'x'; give a plain decimal number"),
        ([GOOD, f"{2 * M},7,7,NaN,7,1"], "ADATRY.csv row 3: low is 'NaN'; replace it by a number or remove the row"),
        ([f"{M},7,7,7,7,-1"], "ADATRY.csv row 2: volume is -1; prices must be above zero and volume not negative"),
        ([f"{M},0,7,0,7,1"], "ADATRY.csv row 2: open is 0; prices must be above zero and volume not negative"),
        ([f"{M},7,6,8,7,1"], "ADATRY.csv row 2: high 6 is below low 8; swap or correct them"),
        ([f"{M},9,8,6,7,1"],
         "ADATRY.csv row 2: open or close lies outside low–high; correct the bar or remove the row"),
        (["yesterday,7,7,7,7,1"],
         "ADATRY.csv row 2: open_time_ms is 'yesterday'; give Unix milliseconds as a whole number"),
        ([GOOD, GOOD], f"ADATRY.csv row 3: open_time_ms {M} does not follow {M}; "
                       "sort the file by open_time_ms and drop repeated rows"),
        ([], "ADATRY.csv: has no rows; add at least one bar or remove the file"),
    ],
)  # fmt: skip
def test_bad_rows_are_refused_by_file_row_and_mend(tmp_path, rows, line):
    write(tmp_path, "ADATRY", *rows)
    with pytest.raises(ConfigurationError) as caught:
        load_bars(tmp_path)
    assert str(caught.value) == line


def test_bad_files_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="no CSV file there"):
        load_bars(tmp_path)
    with pytest.raises(ConfigurationError, match="no such folder"):
        load_bars(tmp_path / "nowhere")
    write(tmp_path, "ADATRY", GOOD, header="time,open,high,low,close,volume")
    with pytest.raises(ConfigurationError, match=f"let the header begin with {HEADER}"):
        load_bars(tmp_path)
    with pytest.raises(ConfigurationError, match=r"BTCTRY.csv: no such file"):
        load_bars(tmp_path, ["BTCTRY"])
    (tmp_path / "ADATRY.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_bars(tmp_path)
    write(tmp_path, "ADATRY", GOOD, f"{2 * M},7,7,7,7,1")
    write(tmp_path, "BTCTRY", f"{M},7,7,7,7,1", f"{61 * M},7,7,7,7,1")
    with pytest.raises(ConfigurationError, match=r"bars of 60 s and BTCTRY\.csv of 3600 s"):
        load_bars(tmp_path)
    write(tmp_path, "FOO", GOOD)
    (tmp_path / "BTCTRY.csv").unlink()
    with pytest.raises(ConfigurationError, match="'FOO' is not a pair"):
        load_bars(tmp_path)
