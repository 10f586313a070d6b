"""Finds strategies: shipped ones by name, installed ones by the entry point group `btcbot.strategies`, a user's own by
file path.

A strategy of one's own is a program of one's own: loading it runs it, with everything the bot may do. What it then does
wrong, from a missing file to an error at its import, becomes one line that names the file and the line in it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final, NamedTuple

from btcbot.adapters.strategy_source import reaching
from btcbot.errors import ConfigurationError
from btcbot.strategies.base import Strategy, StrategyContext, UsesSignals
from btcbot.strategies.parameters import StrategySpec, spec_of
from btcbot.strategies.shipped import shipped
from btcbot.strategies.signals import warm_ups

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP: Final = "btcbot.strategies"


class Broken(NamedTuple):
    """An entry point that cannot be used, and why, in one line."""

    name: str
    problem: str


def find(name_or_path: str) -> StrategySpec:
    """The strategy by its name, or by its path: `my.py`, or `my.py:MyClass` where the file holds several.

    ConfigurationError says in one line why there is none.
    """
    if _is_path(name_or_path):
        return _from_file(name_or_path)
    known = shipped()
    if name_or_path in known:
        return known[name_or_path]
    installed = _installed()
    points = [point for point in installed if point.name == name_or_path]
    if len(points) > 1:
        origins = " and ".join(_distribution(point) for point in points)
        raise ConfigurationError(f"strategy {name_or_path}: {origins} both bring one of this name; remove one")
    if points:
        return _from_entry_point(points[0])
    names = [*known, *(point.name for point in installed)]
    near = get_close_matches(name_or_path, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}, or give the path of a file"
    what = f"there is no strategy {_shown(name_or_path)}" if name_or_path else "no strategy is named"
    raise ConfigurationError(f"{what}; {hint}")


def make(name_or_path: str, given: Mapping[str, str]) -> Strategy:
    """The strategy with these parameters, as texts; its own defaults for the others."""
    return find(name_or_path).make(given)


def specs() -> tuple[StrategySpec, ...]:
    """All that can be found by name and used: the shipped ones, then the installed ones."""
    return tuple(one for one in listing() if isinstance(one, StrategySpec))


def listing() -> Iterator[StrategySpec | Broken]:
    """All that can be found by name; an installed one that cannot be used is told with its reason."""
    yield from shipped().values()
    for point in _installed():
        try:
            yield find(point.name)
        except ConfigurationError as error:
            yield Broken(point.name, str(error))


def parse_parameters(text: str, source: str = "STRATEGY_PARAMS") -> dict[str, str]:
    """`a=1,b=2` as names and texts; spaces around them do not count. ConfigurationError names the `source`."""
    found: dict[str, str] = {}
    for part in text.split(",") if text.strip() else ():
        name, separator, value = (one.strip() for one in part.partition("="))
        if not separator or not name or not value:
            raise ConfigurationError(
                f"{source}: «{_shown(part.strip())}» is no parameter; write such as fast=20,slow=100"
            )
        if name in found:
            raise ConfigurationError(f"{source}: gives {_shown(name)} twice; remove one")
        found[name] = value
    return found


def _shown(text: str) -> str:
    """A user's text in a message: nothing that a terminal obeys, and not a whole page."""
    printable = "".join(one if one.isprintable() else "?" for one in text)
    return printable if len(printable) <= 200 else f"{printable[:199]}…"


def _is_path(name_or_path: str) -> bool:
    return "/" in name_or_path or name_or_path.endswith(".py") or ".py:" in name_or_path


# -- installed -------------------------------------------------------------------------------------------------------


def _installed() -> tuple[EntryPoint, ...]:
    """Those whose name no shipped strategy has: an installation cannot put itself in the place of one of ours."""
    from importlib.metadata import entry_points  # costs more than all the rest, and a shipped one needs none of it

    return tuple(point for point in sorted(entry_points(group=GROUP)) if point.name not in shipped())


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value


def _from_entry_point(point: EntryPoint) -> StrategySpec:
    label = f"strategy {point.name} of {_distribution(point)}"
    try:
        found = point.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the installed module does
        raise ConfigurationError(f"{label}: {point.value} cannot be loaded: {_one_line(error, None)}") from None
    if not isinstance(found, type):
        raise ConfigurationError(f"{label}: {point.value} is no class; the entry point names the strategy's class")
    spec = _checked(found, label, f"installed by {_distribution(point)}")
    if spec.name != point.name:
        raise ConfigurationError(f"{label}: its class calls itself {spec.name}; entry point and class need one name")
    return spec


# -- files -----------------------------------------------------------------------------------------------------------


def _from_file(given: str) -> StrategySpec:
    text, _, wanted = given.partition(".py:") if ".py:" in given else (given, "", "")
    path = Path(f"{text}.py" if wanted or given.endswith(".py:") else text)
    if path.suffix != ".py":
        raise ConfigurationError(f"strategy {_shown(given)}: is no Python file; give such as strategies/mine.py")
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise ConfigurationError(f"strategy file {_shown(str(path))}: {what}; {_nearest_file(path)}")
    if (told := reaching(path)) is not None:
        raise ConfigurationError(f"{path}, {told}")
    module = _imported(path)
    classes = {
        name: found
        for name, found in vars(module).items()
        if isinstance(found, type) and found.__module__ == module.__name__ and not name.startswith("_")
    }
    # A class with `generate` means to be one; whether it is, `_checked` says.
    strategies = {name: found for name, found in classes.items() if hasattr(found, "generate")}
    if wanted:
        if wanted not in classes:
            near = get_close_matches(wanted, classes, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it holds {', '.join(classes) or 'no class at all'}"
            raise ConfigurationError(f"{path}: there is no class {_shown(wanted)} in it; {hint}")
        chosen = classes[wanted]
    elif len(strategies) == 1:
        (chosen,) = strategies.values()
    elif strategies:
        some = next(iter(strategies))
        raise ConfigurationError(f"{path}: holds {len(strategies)} strategies ({', '.join(strategies)}); "
                                 f"name one, such as {path}:{some}")  # fmt: skip
    else:
        raise ConfigurationError(
            f"{path}: holds no strategy, which is a class with a method generate(self, context); "
            "«btcbot strategy new» writes one"
        )
    return _checked(chosen, str(path), str(path))


def _nearest_file(path: Path) -> str:
    beside = [one.name for one in path.parent.glob("*.py") if one.is_file()] if path.parent.is_dir() else []
    near = get_close_matches(path.name, beside, n=1)
    return f"did you mean {path.parent / near[0]}?" if near else "give the path of a Python file"


def _imported(path: Path) -> ModuleType:
    """The module of the file, run anew. It has a name of its own, so that it hides nothing that is installed."""
    whole = path.resolve()
    mark = hashlib.sha256(str(whole).encode()).hexdigest()[:12]
    name = f"btcbot_strategy_file_{whole.stem}_{mark}"
    place = importlib.util.spec_from_file_location(name, whole)
    assert place is not None and place.loader is not None, "a .py file has a loader"
    module = importlib.util.module_from_spec(place)
    before = sys.modules.get(name)
    sys.modules[name] = module  # type hints of its classes are resolved there
    try:
        place.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the user's file does
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
        raise ConfigurationError(f"{path}: cannot be loaded: {_one_line(error, whole)}") from None
    return module


def _one_line(error: BaseException, file: Path | None) -> str:
    """What went wrong, and at which line of `file`, or of whichever file was the last."""
    said = " ".join(str(error).split())
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f"line {error.lineno}: {type(error).__name__}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if file is not None and frame.filename == str(file)]
    at = f"line {own[-1].lineno}: " if own else ""
    return f"{at}{type(error).__name__}{f': {_shown(said)}' if said else ''}"


# -- what a class must be --------------------------------------------------------------------------------------------


def _checked(found: type, label: str, origin: str) -> StrategySpec:
    """The class as a spec, after everything that can be known without running it in a market."""
    try:
        spec = spec_of(found, origin)
        _demand_arguments(found, "generate")
        if spec.has_wakes:
            _demand_arguments(found, "wakes")
    except ValueError as error:
        raise ConfigurationError(f"{label}: {error}") from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - annotations are the user's code too
        raise ConfigurationError(f"{label}: {found.__name__} cannot be read: {_one_line(error, None)}") from None
    try:
        made = spec.make({})
        if isinstance(made, UsesSignals):
            warm_ups(made.signals())
    except ConfigurationError:
        raise
    except ValueError as error:
        raise ConfigurationError(f"{label}: {found.__name__} cannot be made: {_shown(str(error))}") from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - and so is this
        raise ConfigurationError(f"{label}: {found.__name__} cannot be made: {_one_line(error, None)}") from None
    return spec


def _demand_arguments(found: type, method: str) -> None:
    """`method(self, context)`, and nothing else that has to be given."""
    try:
        # It is there: `spec_of` has looked. A class of the user's own has no type that could say so.
        inspect.signature(getattr(found, method)).bind(object(), StrategyContext)
    except TypeError:
        raise ValueError(f"{found.__name__}.{method} has to take self and context, and nothing more") from None
