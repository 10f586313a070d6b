"""The page of mistakes that are prevented names tests; each of them exists, and each mistake has one."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "docs" / "explanation" / "mistakes-prevented.md"
#: Those of the list, in its order.
NUMBERS = [*map(str, range(1, 20)), "19b", "19c", "20", "21", "22", "22b", *map(str, range(23, 31))]
ROW = re.compile(r"^\| (?P<number>\d+[a-z]?) \| (?P<mistake>[^|]+) \| (?P<tests>[^|]+) \|$", re.MULTILINE)
NAMED = re.compile(r"`(?P<path>tests/[\w/]+\.py)::(?P<name>[\w:]+)`")


@cache
def names_in(path: Path) -> frozenset[str]:
    """Names of test functions, those of classes as Class::name."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{one.name}" for one in node.body if isinstance(one, ast.FunctionDef)}
    return frozenset(name for name in found if name.split("::")[-1].startswith("test_"))


def rows() -> dict[str, list[tuple[str, str]]]:
    """By the mistake's number: path and name of each test."""
    return {row["number"]: NAMED.findall(row["tests"]) for row in ROW.finditer(PAGE.read_text())}


def test_every_mistake_has_a_row() -> None:
    assert list(rows()) == NUMBERS


@pytest.mark.parametrize("number", NUMBERS)
def test_every_test_that_it_names_exists(number: str) -> None:
    named = rows()[number]
    assert named, "a mistake without a test is not prevented"
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (PROJECT / path).is_file() or name not in names_in(PROJECT / path)
    ]
    assert missing == []


def test_nothing_else_is_written_in_the_rows_of_tests() -> None:
    """A name that cannot be read would not be checked."""
    for row in ROW.finditer(PAGE.read_text()):
        assert NAMED.sub("", row["tests"]).replace(",", "").strip() == "", row["number"]


def test_every_check_of_its_own_stands_before_anything_lands() -> None:
    """Format, lint, types, imports, security, every test, the judges and the proof run before a change counts."""
    makefile = (PROJECT / "Makefile").read_text()
    before = (PROJECT / ".ci" / "run").read_text()
    assert [line for line in before.splitlines() if line.startswith("make ")] == [
        "make test",
        "make judges",
        "make proof",
    ]
    assert before.startswith("#!/bin/sh") and "\nset -eu\n" in before, "the first that fails ends it"
    assert re.search(r"^test:.*\bcheck\b", makefile, re.MULTILINE)
    assert re.search(r"^check:.*\blint scan types\b", makefile, re.MULTILINE)
    for call in (
        "ruff check src tests",
        "ruff format --check -q src tests",
        "/mypy\n",
        "lint-imports",
        "bandit -q -r src",
    ):
        assert call in makefile, call
