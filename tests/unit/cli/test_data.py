"""`btcbot data …` and `replay-init`: what they print, what they refuse, and how they end."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from tests.unit.adapters.replay.test_data_import import T0, csv
from tests.unit.cli.books import Run, refused

from btcbot.adapters.replay import extra
from btcbot.adapters.replay.load import load_bars
from btcbot.testing.rig import bare_environment, wait_until

MINUTE = 60_000


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with two symbols of three bars."""
    for symbol in ("BTCTRY", "ETHTRY"):
        csv(tmp_path, *(f"{T0 + at * MINUTE},10,12,9.5,11,5" for at in range(3)), name=f"in/{symbol}.csv")
    return tmp_path / "in"


class TestInit:
    def test_makes_a_set_that_every_other_command_takes(self, run: Run) -> None:
        said = run("data", "init")
        assert (said.status, said.err) == (0, "")
        assert said.out.startswith("data/replay: 50400 bars, ") and "BTCTRY" in said.out and "seed 123" in said.out
        assert run("data", "validate", "data/replay", "--strict").status == 0
        told = run("data", "info", "data/replay", "--json").json
        assert {one["table"] for one in told["recordings"]} == {"bars", "quotes", "trades"}

    def test_replay_init_is_the_same_command(self, run: Run, tmp_path: Path) -> None:
        assert run("data", "init", "a", "--seed", "7").status == 0
        assert run("replay-init", "--dataset", "b", "--seed", "7").status == 0
        for file in (tmp_path / "a").rglob("*.parquet"):
            assert (tmp_path / "b" / file.relative_to(tmp_path / "a")).read_bytes() == file.read_bytes()

    def test_an_empty_one(self, run: Run, tmp_path: Path) -> None:
        said = run("replay-init", "--dataset", "empty", "--no-synthetic", "--json")
        assert (said.status, said.json) == (0, {"dataset": "empty", "seed": None, "recordings": []})
        assert (tmp_path / "empty" / "README.md").exists() and (tmp_path / "empty" / "schema.json").exists()
        assert run("data", "validate", "empty").status == 1

    def test_the_mission_name_demands_its_folder(self, run: Run) -> None:
        refused(run("replay-init"), "--dataset")


class TestImport:
    def test_a_folder_of_files(self, run: Run, source: Path, tmp_path: Path) -> None:
        said = run("data", "import", source, "--into", "mine")
        assert (said.status, said.err) == (0, "")
        assert said.out.splitlines()[2].split() == ["BTCTRY.csv", "bars", "BTCTRY", "3", "3", "0", "0"]
        assert list(load_bars(tmp_path / "mine")) == ["BTCTRY", "ETHTRY"]

    def test_json_with_warnings(self, run: Run, tmp_path: Path) -> None:
        path = csv(tmp_path, *(f"{T0 + at * MINUTE},1,1,1,1,1" for at in (0, 1, 3)))
        said = run("data", "import", path, "--into", "mine", "--json")
        (one,), (warning,) = said.json["imported"], said.json["warnings"]
        assert (said.status, one["rows"], warning["code"], warning["row"]) == (0, 3, "gap", 4)

    def test_every_mistake_is_a_line_with_file_row_and_mend(self, run: Run, source: Path, tmp_path: Path) -> None:
        csv(source, f"{T0},10,12,9,11,nan", f"{T0 + MINUTE},10,8,9,10,1", name="SOLTRY.csv")
        csv(source, f"{T0},10,12,9,11,1", f"{T0 + MINUTE},10,8,9,10,1", name="XRPTRY.csv")
        said = run("data", "import", "in", "--into", "mine")
        assert said.status == 2
        assert said.err.splitlines() == [
            "btcbot: in/SOLTRY.csv, row 2: «volume» is nan; nothing can be traded at that: correct or delete the row",
            "btcbot: in/XRPTRY.csv, row 3: high 8 is below low 9; correct or delete the row",
        ]  # fmt: skip
        assert not (tmp_path / "mine").exists()

    def test_times_that_have_to_be_explained(self, run: Run, tmp_path: Path) -> None:
        csv(
            tmp_path,
            "2022-11-09 01:33,1,1,1,1,1",
            "2022-11-09 01:34,1,1,1,1,1",
            header="date,open,high,low,close,volume",
        )
        refused(run("data", "import", "BTCTRY.csv", "--into", "mine"), "row 2", "say no zone", "--time-zone")
        refused(run("data", "import", "BTCTRY.csv", "--into", "mine", "--time-zone", "Mars"), "Mars", "Europe/Istanbul")
        assert run("data", "import", "BTCTRY.csv", "--into", "mine", "--time-zone", "Europe/Istanbul").status == 0
        assert load_bars(tmp_path / "mine")["BTCTRY"].open_time_ms[0] == T0

    def test_seconds_are_asked_for(self, run: Run, tmp_path: Path) -> None:
        csv(tmp_path, f"{T0 // 1000},1,1,1,1,1", f"{T0 // 1000 + 60},1,1,1,1,1")
        refused(run("data", "import", "BTCTRY.csv", "--into", "mine"), "row 2", "is seconds", "--time-unit s")
        assert run("data", "import", "BTCTRY.csv", "--into", "mine", "--time-unit", "s").status == 0

    def test_bars_out_of_trades(self, run: Run, tmp_path: Path) -> None:
        csv(
            tmp_path,
            f"{T0},100,1,buy",
            f"{T0 + 90_000},101,1,sell",
            name="BTCTRY-trades.csv",
            header="ts,price,qty,side",
        )
        assert run("data", "import", "BTCTRY-trades.csv", "--into", "mine", "--bars", "1m").status == 0
        assert load_bars(tmp_path / "mine")["BTCTRY"].close.tolist() == [100, 101]

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("nowhere.csv", "--into", "x"), ("nowhere.csv", "no such file or folder")),
            (("in", "--into", "in/BTCTRY.csv"), ("is no folder",)),
            (("in", "--into", "x", "--interval", "1w"), ("1w", "1m, 15m, 1h or 1d")),
            (("in", "--into", "x", "--symbol", "BTC/TRY"), ("BTC/TRY", "BTCTRY")),
            (("in", "--into", "x", "--symbol", "BTCTRY"), ("--symbol BTCTRY is given for 2 files",)),
            (("in", "--into", "x", "--table", "candles"), ("candles", "bars")),
            (("in", "--into", "x", "--tabel", "bars"), ("--tabel", "--table")),
            (("in",), ("--into",)),
        ],
    )
    @pytest.mark.usefixtures("source")
    def test_what_cannot_be_done_is_one_line(
        self, run: Run, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
    ) -> None:
        refused(run("data", "import", *arguments), *words)
        assert not (tmp_path / "x").exists()


class TestValidateAndInfo:
    def test_csv_files_before_an_import(self, run: Run, source: Path) -> None:
        said = run("data", "validate", "in", "--json")
        assert (said.status, said.json["sound"], said.json["rows"]) == (0, True, 6)
        csv(source, f"{T0},0,0,0,0,0", f"{T0 + MINUTE},1,1,1,1,1", name="SOLTRY.csv")
        said = run("data", "validate", "in")
        assert said.status == 1
        assert "btcbot: error: in/SOLTRY.csv, row 2: open is 0; no market trades at that" in said.err
        assert "6 rows in 2 recordings, not sound: 4 errors, 0 warnings" in said.out

    def test_strict_counts_a_gap(self, run: Run, tmp_path: Path) -> None:
        csv(tmp_path, *(f"{T0 + at * MINUTE},1,1,1,1,1" for at in (0, 1, 3)))
        assert run("data", "validate", "BTCTRY.csv").status == 0
        assert run("data", "validate", "BTCTRY.csv", "--strict").status == 1

    def test_info_as_a_table(self, run: Run) -> None:
        csv(Path(), *(f"{T0 + at * MINUTE},10.25,12,9,11,0.5" for at in (0, 1, 3)))
        run("data", "import", "BTCTRY.csv", "--into", "mine")
        said = run("data", "info", "mine")
        row = said.out.splitlines()[2].split()
        assert row[:3] == ["BTCTRY", "bars", "3"]
        assert row[-7:-2] == ["22:36:00Z", "1m", "1", "1", "2/1"]
        assert said.out.splitlines()[0] == "mine (schema version 1):"

    def test_what_is_not_there(self, run: Run, tmp_path: Path) -> None:
        refused(run("data", "info", "nowhere"), "nowhere", "no such folder", "data init")
        (tmp_path / "file").write_text("x")
        refused(run("data", "info", "file"), "file", "is no folder")
        refused(run("data", "info", "."), "no dataset", "data import")


class TestNames:
    def test_a_misspelt_command_is_answered_with_the_nearest(self, run: Run) -> None:
        refused(run("data", "imprt"), "imprt", "did you mean «import»?")
        refused(run("data", "xyz"), "xyz", "«btcbot data --help» lists them")
        refused(run("data"), "init, import, capture, validate or info")

    def test_help_lists_capture_and_imports_nothing_heavy(self, tmp_path: Path) -> None:
        code = (
            "import sys\nfrom btcbot.cli import main\n"
            "try: main(['data', '--help'])\nexcept SystemExit: pass\n"
            "print([name for name in ('polars', 'numpy', 'btcbot.cli.data_capture') if name in sys.modules])"
        )
        said = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=bare_environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        assert "capture" in said.stdout and "validate" in said.stdout
        assert said.stdout.splitlines()[-1] == "[]"

    def test_without_the_research_extra(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(extra, "find_spec", lambda _: None)
        for arguments in (("init",), ("import", "x", "--into", "y"), ("validate", "x"), ("info", "x")):
            refused(run("data", *arguments), "needs the research extra: pip install 'btcbot[research]'")


#: `btcbot …` where no file may grow beyond so many bytes, as on a disk that is full.
ON_A_FULL_DISK = """
import resource, signal, sys
assert sys.dont_write_bytecode, "or modules would be left half compiled"
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
from btcbot.cli import main
main(sys.argv[2:])
"""


class TestTrouble:
    def test_a_full_disk_is_one_line_and_the_data_stay(self, run: Run, tmp_path: Path) -> None:
        csv(tmp_path, *(f"{T0 + at * MINUTE},1,1,1,1,1" for at in range(10)))
        assert run("data", "import", "BTCTRY.csv", "--into", "mine").status == 0
        csv(tmp_path, *(f"{T0 + at * MINUTE},1,1,1,1,{at * at * 7919 % 1_000_003}" for at in range(10, 9000)))
        said = subprocess.run(
            [sys.executable, "-B", "-c", ON_A_FULL_DISK, "8000", "data", "import", "BTCTRY.csv", "--into", "mine"],
            cwd=tmp_path, env=bare_environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        (line,) = said.stderr.splitlines()
        assert said.returncode == 1
        assert line.startswith("btcbot: mine/bars/") and "cannot be written" in line and "make room" in line
        assert len(load_bars(tmp_path / "mine")["BTCTRY"]) == 10
        assert list((tmp_path / "mine").rglob("*.tmp*")) == []

    def test_ctrl_c_leaves_the_data_as_they_were(self, run: Run, tmp_path: Path) -> None:
        csv(tmp_path, *(f"{T0 + at * MINUTE},1,1,1,1,1" for at in range(10)))
        assert run("data", "import", "BTCTRY.csv", "--into", "mine").status == 0
        before = (tmp_path / "mine/bars/BTCTRY.parquet").read_bytes()
        (tmp_path / "in").mkdir()
        with (tmp_path / "in/BTCTRY.csv").open("w") as stream:
            stream.write("open_time_ms,open,high,low,close,volume\n")
            stream.writelines(f"{T0 + at * MINUTE},1,1,1,1,1\n" for at in range(1_500_000))
        lock = tmp_path / "mine/.lock"
        lock.unlink()
        process = subprocess.Popen(
            [sys.executable, "-m", "btcbot", "data", "import", "in", "--into", "mine"],
            cwd=tmp_path, env=bare_environment(), stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        wait_until(lock.exists, 60, "the import to be the writer")
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
        assert process.returncode == 1 and "Traceback" not in told
        assert (tmp_path / "mine/bars/BTCTRY.parquet").read_bytes() == before
        assert list((tmp_path / "mine").rglob("*.tmp*")) == []


class TestProgress:
    def test_a_bar_on_a_terminal_and_the_report_untouched(self, tmp_path: Path) -> None:
        outer, inner = pty.openpty()
        with subprocess.Popen(
            [sys.executable, "-m", "btcbot", "data", "init", "x", "--json"],
            cwd=tmp_path, env={**bare_environment(), "TERM": "xterm"}, stdout=subprocess.PIPE, stderr=inner, text=True,
        ) as process:  # fmt: skip
            os.close(inner)
            drawn = b""
            with suppress(OSError):  # how Linux says that nobody holds the other end any more
                while piece := os.read(outer, 65_536):
                    drawn += piece
            os.close(outer)
            said, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert b"making" in drawn and b"%" in drawn
        assert len(json.loads(said)["recordings"]) == 15


def test_a_missing_option_says_where_it_is_told(run: Run) -> None:
    refused(run("data", "capture"), "Missing option '--into'. «btcbot data capture --help» tells what it is.")
