"""What the source of a strategy file may not say: names by which it would reach behind what it is given.

A context shows the bars and signals of one moment, and no more. What serves them has to know their columns, past and
future, and Python hides nothing from whoever insists: so a file that reaches for a name with an underscore in front, of
anything but itself, for the frames of its callers, or for a way to write what is frozen, is refused before it runs.
That leaves what every program can do, such as to open a file of prices by itself.
"""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from typing import Final

#: Public in spite of their underscore, and harmless.
_COMMON: Final = frozenset({"_asdict", "_fields", "_replace", "__class__", "__doc__", "__name__", "__post_init__"})
_ITSELF: Final = frozenset({"self", "cls"})
#: Public without an underscore, and they reach as far: a caller's frame knows the whole recording, and a value that is
#: forced is written although it is frozen.
_REACHING: Final = frozenset({"f_back", "f_locals", "f_globals", "tb_frame", "gi_frame", "force_setattr"})
#: Functions that take the name of an attribute as their second argument.
_BY_NAME: Final = frozenset({"getattr", "hasattr"})


def reaching(path: Path) -> str | None:
    """The first such place of a file, with its line and the mend; None where there is none, or nothing to read."""
    try:
        tree = ast.parse(importlib.util.decode_source(path.read_bytes()))
    except (OSError, SyntaxError, ValueError):
        return None  # its import tells what is wrong
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.expr))
    places = sorted((node.lineno, told) for node in nodes if (told := _reach(node)) is not None)
    if not places:
        return None
    line, told = places[0]
    return f"line {line}: {told} reaches beyond what a strategy is given; use what its context shows by plain names"


def _reach(node: ast.expr) -> str | None:
    """The expression, where it takes an attribute with an underscore of something else than the strategy itself."""
    if isinstance(node, ast.Attribute):
        return ast.unparse(node) if _is_hidden(node.attr) and not _is_itself(node.value) else None
    if isinstance(node, ast.Name):
        return node.id if node.id in _REACHING else None
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) >= 2):
        return None
    owner, name = node.args[:2]
    if node.func.id not in _BY_NAME or not isinstance(name, ast.Constant) or not isinstance(name.value, str):
        return None
    return ast.unparse(node) if _is_hidden(name.value) and not _is_itself(owner) else None


def _is_hidden(name: str) -> bool:
    return (name.startswith("_") and name not in _COMMON) or name in _REACHING


def _is_itself(owner: ast.expr) -> bool:
    if isinstance(owner, ast.Call):  # super().__init__(), type(self)._kept
        is_own = isinstance(owner.func, ast.Name) and owner.func.id in {"super", "type"}
        return is_own and all(_is_itself(one) for one in owner.args)
    return isinstance(owner, ast.Name) and owner.id in _ITSELF
