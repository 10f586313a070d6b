"""A demo with the live feed, over real sockets, killed in the middle: its recording is decided the same again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from btcbot.adapters.journal.files import folder_of
from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.bootstrap.runs import decided_in
from btcbot.config.secrets import Secret, known_secret_forms
from btcbot.testing.bench import Bench
from btcbot.testing.rig import bare_environment, wait_until

pytestmark = pytest.mark.slow


def told(*arguments: object, hash_seed: str = "random") -> tuple[int, str, str]:
    """Status, stdout and stderr of a command in a process of its own, whose sets have an order of their own."""
    done = subprocess.run(
        [sys.executable, "-m", "btcbot", *map(str, arguments)],
        env={**bare_environment(), "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def lines_of(journal: Path) -> list[Mapping[str, Any]]:
    """The whole lines of a life, read without the product's reader."""
    content = zlib.decompressobj(31).decompress(journal.read_bytes())
    return [json.loads(line) for line in content.splitlines(keepends=True) if line.endswith(b"\n")]


@pytest.fixture
def traded(tmp_path: Path) -> Iterator[Bench]:
    """Two lives of the bot as shipped, the first one killed."""
    with Bench(tmp_path) as bench:
        first = bench.start_bot(BTCTURK_WS_URL=bench.venue.ws_url)
        bench.wait_for_cycles(12, first)
        wait_until(lambda: len(bench.posts()) >= 2, 20.0, "two orders")
        first.kill()
        second = bench.start_bot(BTCTURK_WS_URL=bench.venue.ws_url)
        bench.wait_for_cycles(12, second)
        assert bench.settle(second).faults == []
        yield bench


def test_a_recorded_demo_replays_to_the_same_decisions(traded: Bench) -> None:
    books = SqliteStore.open(traded.database, read_only=True)
    try:
        reports, orders = books.cycle_count(), books.order_count()
    finally:
        books.close()
    first, second = sorted(folder_of(traded.database).glob("*.jsonl.gz"))
    cycles = [line for life in (first, second) for line in lines_of(life) if line["kind"] == "cycle"]
    assert [lines_of(life)[-1]["kind"] for life in (first, second)] == ["cycle", "end"]
    assert {line["after"] for line in cycles} >= {"", "time", "market"}
    assert {line["wake"] for line in cycles} == {"time", "market"}, "the feed has woken some"

    status, out, _ = told("replay", traded.database, "--json")

    assert status == 0, out
    same = json.loads(out)
    assert (same["same"], same["difference"], same["runs"]) == (True, None, 2)
    assert same["cycles"] == len(cycles) > reports >= 24
    # The kill may have come between an order and the end of its cycle, which then has no line.
    assert orders - 1 <= same["orders"] <= orders
    assert same["notes"] == ["0001.jsonl.gz ends without a farewell: the process was killed, or still runs"]
    assert told("replay", traded.database, hash_seed="1")[:2] == told("replay", first.parent, hash_seed="2")[:2]

    # Whatever left a report is in both; but the kill may have come between a report and its line.
    in_books, in_journal = decided_in(traded.database), decided_in(first.parent)
    recorded = {cycle.number for cycle in in_journal}
    assert [cycle for cycle in in_books if cycle.number in recorded] == in_journal
    assert len(in_books) - len(in_journal) <= 1
    status, out, _ = told("parity", traded.database, first.parent, "--json")
    assert json.loads(out)["match"] is (status == 0) is (in_books == in_journal)

    found_in(traded)
    a_strategy_that_was_changed(traded, first)


def a_strategy_that_was_changed(traded: Bench, first: Path) -> None:
    """Replayed by a btcbot whose strategy buys for less, the difference is named."""
    changed = traded.folder / "changed"
    changed.mkdir()
    (changed / "sitecustomize.py").write_text(
        "from btcbot.strategies import profit_v1\n"
        "import msgspec\n"
        "original = profit_v1.ProfitAwareStrategyV1.generate\n"
        "def generate(self, context):\n"
        "    return original(msgspec.structs.replace(self, entry_budget=self.entry_budget - 10), context)\n"
        "profit_v1.ProfitAwareStrategyV1.generate = generate\n"
    )
    path = os.pathsep.join([str(changed), *sys.path])
    done = subprocess.run(
        [sys.executable, "-m", "btcbot", "replay", str(first)],
        env={**bare_environment(), "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    difference, recorded, now = done.stdout.splitlines()
    assert difference.startswith("0001.jsonl.gz, cycle c0000000")
    assert "not the same intents" in difference
    assert "quantity" in recorded
    assert recorded.removeprefix("  recorded: ") != now.removeprefix("  now:      ")


def found_in(traded: Bench) -> None:
    """No spelling of key or secret stands in any file of the journal, and the search would see one."""
    places = {}
    for path in folder_of(traded.database).iterdir():
        content = path.read_bytes()
        places[path.name] = zlib.decompressobj(31).decompress(content) if path.suffix == ".gz" else content
        assert path.stat().st_mode & 0o777 == 0o600
    assert folder_of(traded.database).stat().st_mode & 0o777 == 0o700
    key, secret = traded.credentials.key, traded.credentials.secret_file.read_text().strip()
    forms = {form.encode() for text in (key, secret) for form in known_secret_forms(Secret(text))}
    assert len(places) == 4
    assert [(name, form) for name, content in places.items() for form in forms if form in content] == []
    assert any(b'"BTCTURK_BASE_URL"' in content for content in places.values())


def test_a_journal_that_cannot_be_written_costs_no_order(tmp_path: Path) -> None:
    """Something else has the name of its folder: the bot says so and trades on without."""
    with Bench(tmp_path) as bench:
        folder_of(bench.database).symlink_to("/dev/full")
        bot = bench.start_bot()
        bench.wait_for_cycles(4, bot)
        wait_until(lambda: len(bench.posts()) >= 1, 20.0, "an order")
        events = [event["event"] for event in bot.new_events()]
        assert events.count("journal_off") == 1
        assert bench.faults_at_rest(bot) == []
