"""The page about the judges names every call and every mistake, in the words of the judges themselves."""

from __future__ import annotations

import ast
from pathlib import Path

from judges.__main__ import HERE, JUDGES
from judges.table import call_of

PAGE = (Path(__file__).parents[2] / "docs" / "explanation" / "judges.md").read_text(encoding="utf-8")
LISTED = {row.split("|")[1].strip() for row in PAGE.splitlines() if row.startswith("|")}


def calls() -> list[str]:
    """What the table of calls shows; read from the source, as the clients are not installed here."""
    modules = [HERE / module for modules in JUDGES.values() for module in modules]
    return [
        call_of(node.name, ast.get_docstring(node)).removeprefix("mistake: ")
        for module in modules
        for node in ast.parse(module.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


def test_the_page_names_every_call() -> None:
    assert len(calls()) > 60
    assert [call for call in calls() if call not in LISTED] == []


def test_the_page_names_no_call_that_is_not_made() -> None:
    headers = {"judge", "call", "ccxt", "btcturk-api", "---"}
    judges = {row for row in LISTED if row.startswith("`")} | {"both, against ours"}
    assert LISTED - headers - judges - set(calls()) == set()
