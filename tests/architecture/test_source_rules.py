"""Rules of the source that no type and no import contract can hold.

Each rule walks the syntax tree of every module and names the lines that break it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

from btcbot.domain.reasons import ReasonCode

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
BOT = SOURCE / "btcbot"

Finding = str
Rule = Callable[[ast.AST], bool]


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def modules(under: Path = BOT) -> list[Path]:
    found = sorted(under.rglob("*.py"))
    assert found, f"nothing under {under}"
    return list(dict.fromkeys(found))


def breaches(rule: Rule, *, allowed: tuple[str, ...] = (), within: tuple[str, ...] = ("",)) -> list[Finding]:
    """Lines where `rule` is true, outside the `allowed` folders and files, within the named ones."""
    found = []
    for path in modules():
        name = path.relative_to(BOT).as_posix()
        if name.startswith(within) and not (allowed and name.startswith(allowed)):
            found += [f"{name}:{node.lineno}" for node in ast.walk(tree_of(path)) if rule(node)]  # type: ignore[attr-defined]
    return list(dict.fromkeys(found))


def assert_none(found: Iterable[Finding]) -> None:
    """Every line that breaks the rule, one below the other."""
    listed = "\n".join(found)
    assert not listed, f"\n{listed}"


def name_of(node: ast.AST) -> str:
    """`time.monotonic` for the expression that is written so; empty for anything but a dotted name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (owner := name_of(node.value)):
        return f"{owner}.{node.attr}"
    return ""


def test_only_the_gates_make_permits() -> None:
    def makes_a_permit(node: ast.AST) -> bool:
        if not isinstance(node, ast.Call):
            return False
        called = name_of(node.func).rpartition(".")[2]
        replaced = called == "replace" and any("permit" in name_of(argument).lower() for argument in node.args)
        return called == "Permit" or replaced

    assert_none(breaches(makes_a_permit, allowed=("decisions/gates.py",)))
    assert breaches(makes_a_permit), "the rule finds what it looks for"


#: What makes a run unrepeatable: where it is imported or read, and where it may be.
OUTSIDE = (
    "adapters/",
    "config/",
    "testing/",
    "cli/",
    "bootstrap/",
    "backtest/engine.py",  # how long a run took; nothing of it is in the fingerprint
    "backtest/optimise/",  # processes, their heartbeats and storages
)
UNREPEATABLE_MODULES = {"time", "random", "secrets", "uuid"}
UNREPEATABLE_READS = re.compile(r"(^|\.)(os\.(environ|environb|getenv|urandom)|(datetime|date)\.(now|utcnow|today))$")


def is_unrepeatable(node: ast.AST) -> bool:
    """Clock, randomness or environment."""
    if isinstance(node, ast.Import):
        return any(alias.name.partition(".")[0] in UNREPEATABLE_MODULES for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        names = {f"{node.module}.{alias.name}" for alias in node.names}
        return node.module in UNREPEATABLE_MODULES or bool(names & {"os.environ", "os.getenv", "os.urandom"})
    return isinstance(node, ast.Attribute) and bool(UNREPEATABLE_READS.search(name_of(node)))


def test_clock_randomness_and_environment_are_read_at_the_edge_only() -> None:
    assert_none(breaches(is_unrepeatable, allowed=OUTSIDE))


@pytest.mark.parametrize(
    "line",
    [
        "import time",
        "import random as r",
        "from time import monotonic",
        "from uuid import uuid4",
        "import secrets",
        "os.environ['KEY']",
        "os.getenv('KEY')",
        "from os import environ",
        "datetime.now(UTC)",
        "datetime.datetime.utcnow()",
        "date.today()",
    ],
)
def test_that_rule_sees(line: str) -> None:
    assert any(is_unrepeatable(node) for node in ast.walk(ast.parse(line)))


def test_secrets_are_revealed_to_the_signing_function_and_the_settings_only() -> None:
    def reveals(node: ast.AST) -> bool:
        return isinstance(node, ast.Attribute) and node.attr == "reveal"

    assert_none(breaches(reveals, allowed=("adapters/btcturk/signing.py", "config/")))
    assert breaches(reveals), "the rule finds what it looks for"


def test_the_bot_knows_no_endpoint_to_withdraw() -> None:
    def is_a_path_to_withdraw(node: ast.AST) -> bool:
        return (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and re.search(r"(^|/)[\w{}/-]*withdraw[\w-]*(/|$)", node.value, re.IGNORECASE) is not None
            and "/" in node.value
        )

    assert_none(breaches(is_a_path_to_withdraw, allowed=("testing/",)))  # the test kit steers the simulator with it


def test_modes_are_plugs_and_not_branches() -> None:
    """What a dry run does differently is decided where the parts are chosen, and in the gates."""

    def names_dry_run(test: ast.AST) -> bool:
        return any(name_of(node).rpartition(".")[2] == "dry_run" for node in ast.walk(test))

    def branches_on_dry_run(node: ast.AST) -> bool:
        if isinstance(node, ast.If | ast.IfExp | ast.While | ast.Assert):
            return names_dry_run(node.test)
        if isinstance(node, ast.Match):
            return names_dry_run(node.subject)
        return isinstance(node, ast.BoolOp) and any(names_dry_run(value) for value in node.values)

    assert_none(breaches(branches_on_dry_run, allowed=("bootstrap/", "decisions/gates.py", "config/", "cli/")))


def test_every_reason_code_is_given_somewhere() -> None:
    used = {
        node.attr
        for path in modules()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and name_of(node.value).rpartition(".")[2] == "ReasonCode"
    }

    assert_none(code.name for code in ReasonCode if code.name not in used)


#: Durations may be floats; nothing that is money may.
IS_A_DURATION = re.compile(r"(_s|_s_max|seconds|seconds_max|timeout|jitter|flush_logs)$")
CORE = ("domain/", "decisions/", "strategies/", "services/", "cycle.py")


def _has_float(annotation: ast.expr | None) -> bool:
    return annotation is not None and any(name_of(node) == "float" for node in ast.walk(annotation))


def is_a_float(node: ast.AST) -> bool:
    """A call of float(), a float in an annotation, a return of one, or a written one outside a duration's sum."""
    if isinstance(node, ast.Call):
        return name_of(node.func) == "float"
    if isinstance(node, ast.arg):
        return _has_float(node.annotation) and not IS_A_DURATION.search(node.arg)
    if isinstance(node, ast.AnnAssign):
        return _has_float(node.annotation) and not IS_A_DURATION.search(name_of(node.target))
    if isinstance(node, ast.FunctionDef):
        return _has_float(node.returns) and not IS_A_DURATION.search(node.name)
    return False


#: Signals are numbers about prices, not prices: averages and scores in floats, which no order is made of.
SIGNALS = ("strategies/signals.py", "strategies/incremental.py")
#: Alerts look at metrics, which are statistics for whoever watches; no order is made of them either.
METRICS = ("domain/alerts.py", "decisions/alerts.py", "decisions/alert_rules.py")


def test_no_money_passes_through_a_float() -> None:
    # `base.py` only names the type of signals.
    assert_none(breaches(is_a_float, within=CORE, allowed=(*SIGNALS, *METRICS, "strategies/base.py")))


@pytest.mark.parametrize(
    "line",
    [
        "float(price)",
        "price: float = 0",
        "def value(price: float): ...",
        "def value() -> float | None: ...",
        "x: list[float]",
    ],
)
def test_that_rule_sees_it_too(line: str) -> None:
    assert any(is_a_float(node) for node in ast.walk(ast.parse(line)))


def test_decisions_and_strategies_write_no_float() -> None:
    def is_a_float_literal(node: ast.AST) -> bool:
        return isinstance(node, ast.Constant) and isinstance(node.value, float)

    assert_none(
        breaches(is_a_float_literal, within=("domain/", "decisions/", "strategies/"), allowed=(*SIGNALS, *METRICS))
    )


def test_every_module_opens_with_what_it_is_for() -> None:
    assert_none(str(path.relative_to(ROOT)) for path in modules(SOURCE) if not ast.get_docstring(tree_of(path)))


#: Where the machine of whoever wrote it would show. In two parts, so that this page does not find itself.
MACHINE_PATHS = re.compile(
    r"(?<![\w.~}])(/" + r"work/|/" + r"home/(?!you/)\w|/" + r"Users/\w|/" + r"root/|[A-Z]:\\" + r"Users)"
)
TEXTS = {
    ".py",
    ".md",
    ".toml",
    ".sql",
    ".mako",
    ".sh",
    ".yml",
    ".yaml",
    ".txt",
    ".lock",
    ".cfg",
    ".ini",
    ".env",
    ".service",
}
NOT_OURS = {"__pycache__", "node_modules", "build", "dist"}


def texts(folder: Path = ROOT) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in NOT_OURS or (path.name.startswith(".") and path.name not in {".gitignore", ".github", ".ci"}):
            continue
        if path.is_dir():
            yield from texts(path)
        elif path.suffix in TEXTS or path.name in {"Makefile", "Dockerfile", ".gitignore"}:
            yield path


def test_the_projects_text_names_no_machine() -> None:
    assert_none(
        f"{path.relative_to(ROOT)}:{number}"
        for path in texts()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if MACHINE_PATHS.search(line)
    )
