"""Plants a deliberate mistake into the product's code, in memory, and takes it out again.

The compiled body of a function is replaced by that of its source with one piece of text changed, so everybody who holds
the function, by whatever name it was imported, runs the changed one, and putting the old body back undoes it wholly.
"""

from __future__ import annotations
import __future__

import importlib
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FunctionType

import msgspec


class Patch(msgspec.Struct, frozen=True):
    """In `function` of `module` (a name, or `Class.name`) stands `right`, exactly once; the mistake is `wrong`."""

    module: str
    function: str
    right: str
    wrong: str


class DoesNotFit(Exception):
    """The product has changed, and the mistake has to be told anew."""


def spoiled(patch: Patch) -> tuple[FunctionType, CodeType]:
    """The function and the body it has with the mistake. Raises DoesNotFit."""
    function = _function(patch)
    source = textwrap.dedent(inspect.getsource(function))
    found = source.count(patch.right)
    if found != 1:
        raise DoesNotFit(f"{patch.module}.{patch.function} has it {found} times: {patch.right}")
    text = source.replace(patch.right, patch.wrong)
    try:
        whole = compile(text, f"<planted in {patch.function}>", "exec", __future__.annotations.compiler_flag)
    except SyntaxError as error:
        raise DoesNotFit(f"{patch.module}.{patch.function} cannot be read with the mistake: {error}") from error
    name = function.__name__
    body = next(each for each in whole.co_consts if isinstance(each, CodeType) and each.co_name == name)
    if body.co_freevars != function.__code__.co_freevars:
        raise DoesNotFit(f"{patch.module}.{patch.function} would need other names from around it")
    return function, body


@contextmanager
def planted(*patches: Patch) -> Iterator[None]:
    """Inside, the product makes these mistakes."""
    changes = [spoiled(patch) for patch in patches]
    bodies = [function.__code__ for function, _ in changes]
    try:
        for function, body in changes:
            function.__code__ = body
        yield
    finally:
        for (function, _), body in zip(changes, bodies, strict=True):
            function.__code__ = body


def _function(patch: Patch) -> FunctionType:
    found: object = importlib.import_module(patch.module)
    for name in patch.function.split("."):
        found = inspect.getattr_static(found, name, None)
        if found is None:
            raise DoesNotFit(f"{patch.module} has no {patch.function}")
    if isinstance(found, property):
        found = found.fget
    if isinstance(found, classmethod | staticmethod):
        found = found.__func__
    made = inspect.unwrap(found) if callable(found) else found
    if not isinstance(made, FunctionType):
        raise DoesNotFit(f"{patch.module}.{patch.function} is no function")
    return made
