"""`btcbot params`: what is adapted, how it came about, and back to the settings."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

from tests.unit.cli.books import FakeBot, Run
from tests.unit.decisions.adaptive import BREACH, HEALTHY, RULES, START
from tests.unit.decisions.adaptive import Run as Adaptive

from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.domain.adaptation import begin
from btcbot.services import adaptation


def adapt(book: Path, *phases: dict[str, object]) -> None:
    """Cycles of adaptation, kept in the book as its service keeps them."""
    run = Adaptive(begin(START), RULES)
    store = SqliteStore.open(book)
    for number, phase in enumerate(phases, 1):
        step = run.cycle(**phase)
        with store.transaction() as tx:
            tx.put_value(adaptation.STATE, adaptation.encode(step.course))
            for change in step.changes:
                tx.insert_note(adaptation.note_of(change, number * 60_000, change.origin))
    store.close()


def test_before_anything_is_adapted_status_says_so(run: Run, book: Path) -> None:
    said = run("params", "status", "--db", book)
    assert (said.status, said.out) == (0, "nothing is adapted: the next run begins with the settings as given\n")
    told = json.loads(run("params", "status", "--db", book, "--json").out)
    assert told == {
        "adapted": False,
        "version": None,
        "good_version": None,
        "parameters": {},
        "left_alone": {},
        "changes": {},
    }


def test_status_shows_what_is_in_force_beside_the_checkpoint_and_the_setting(run: Run, book: Path) -> None:
    adapt(book, *[HEALTHY] * 3)

    said = run("params", "status", "--db", book)

    lines = said.out.splitlines()
    assert lines[0] == "parameters, version 1 (a rollback goes back to version 0):"
    assert lines[2].split() == ["universe_size", "21", "20", "20"]
    assert lines[4].split() == ["turnover_per_cycle_max", "1050", "1000", "1000"]
    assert lines[-1] == "changes: 2 applied"
    told = json.loads(run("params", "status", "--db", book, "--json").out)
    assert told["parameters"]["turnover_per_cycle_max"] == {"in_force": "1050", "good": "1000", "setting": "1000"}
    assert (told["adapted"], told["version"], told["good_version"]) == (True, 1, 0)


def test_status_tells_what_a_rollback_left_alone(run: Run, book: Path) -> None:
    adapt(book, *[HEALTHY] * 3, BREACH)
    lines = run("params", "status", "--db", book).out.splitlines()
    assert lines[-2] == "universe_size does not go up again for 10 cycles without trouble: it was rolled back"
    assert lines[-1] == "changes: 2 applied, 2 rolled back"


def test_history_lists_the_newest_changes_with_their_reasons(run: Run, book: Path) -> None:
    adapt(book, *[HEALTHY] * 3, BREACH)

    said = run("params", "history", "--db", book, "--last", 1)

    assert said.out.splitlines()[2].split(None, 2)[2].split() == [
        *("c00000004", "turnover_per_cycle_max", "1050", "1000", "1", ">", "0", "ROLLED_BACK"),
        *("drawdown_breach:", "0.25", "is", "at", "the", "limit", "0.25"),
    ]
    told = json.loads(run("params", "history", "--db", book, "--json").out)["changes"]
    assert [change["outcome"] for change in told] == ["APPLIED"] * 2 + ["ROLLED_BACK"] * 2
    assert told[0]["before"] == "20" and told[0]["at_ms"] == 180_000


def test_reset_puts_the_parameters_back_and_keeps_who_wanted_it(run: Run, book: Path) -> None:
    adapt(book, *[HEALTHY] * 3)

    said = run("params", "reset", "--db", book, "--reason", "other pairs")

    assert said.status == 0
    assert said.out == (
        "the next run begins with the settings as given; put back: universe_size 21 > 20, "
        "turnover_per_cycle_max 1050 > 1000\n"
    )
    assert "nothing is adapted" in run("params", "status", "--db", book).out
    newest = json.loads(run("params", "history", "--db", book, "--json", "--last", 1).out)["changes"][0]
    assert (newest["outcome"], newest["reason"]) == ("RESET", "other pairs")
    assert newest["origin"].startswith("operator@")


def test_reset_is_refused_while_a_bot_runs(run: Run, book: Path) -> None:
    adapt(book, *[HEALTHY] * 3)
    with FakeBot(book, answers=False):
        said = run("params", "reset", "--db", book, "--reason", "now")
    assert said.status == 2
    assert said.err.startswith(f"btcbot: a btcbot runs on {book} (pid ")
    assert said.err.endswith("holds its parameters; stop it first, then reset them\n")
    assert json.loads(run("params", "status", "--db", book, "--json").out)["version"] == 1


def test_a_damaged_checkpoint_is_told_and_a_reset_mends_it(run: Run, book: Path) -> None:
    adapt(book, *[HEALTHY] * 3)
    store = SqliteStore.open(book)
    with store.transaction() as tx:
        tx.put_value(adaptation.STATE, (store.value(adaptation.STATE) or "")[:-5])
    store.close()

    said = run("params", "status", "--db", book)

    assert (said.status, said.out) == (2, "")
    assert "«btcbot params reset --reason …»" in said.err
    assert run("params", "reset", "--db", book, "--reason", "damaged", "--json").status == 0
    assert run("params", "status", "--db", book).status == 0


def test_a_reset_needs_a_reason_and_a_database(run: Run, book: Path, tmp_path: Path) -> None:
    assert "--reason" in run("params", "reset", "--db", book).err
    missing = run("params", "reset", "--db", tmp_path / "none.db", "--reason", "x")
    assert missing.status == 2 and "no database at" in missing.err
    assert not (tmp_path / "none.db").exists()


def test_params_alone_says_what_it_can(run: Run) -> None:
    said = run("params")
    assert said.status == 2 and "say status, history or reset" in said.err


def test_amounts_are_text_in_json(run: Run, book: Path) -> None:
    adapt(book, *[HEALTHY] * 9)
    told = json.loads(run("params", "status", "--db", book, "--json").out)
    assert Decimal(told["parameters"]["turnover_per_cycle_max"]["in_force"]) == Decimal("1157.62")
