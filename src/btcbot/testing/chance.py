"""Whether something strikes, here and now: by a world's rates, or as a script tells it.

One generator for each concern, and occasions counted by place within a cycle: so taking one fault out of a story leaves
the rest of it where it was.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from random import Random
from typing import Final, Literal

from btcbot.testing.fault import Fault, Firing, Site
from btcbot.testing.faults import FAULTS

Concern = Literal["wire", "crash", "point", "beat", "feed"]
#: The cycle before the storm.
NOT_STARTED: Final = -1
#: Decided before anything happens, by the swarm; a script has it as a firing all the same.
AT_START: Final = "start"
_MILLION: Final = 1_000_000
_MILLION_BITS: Final = _MILLION.bit_length()
#: Names of points and requests that are remembered; ids of single orders have no end.
_PLACES_MAX: Final = 4_096
_BEAT: Final = "beat:"
_CRASH: Final = "crash:"


class Chance:
    """`script` None lets chance decide by `rates` (parts per million of each fault that this world knows)."""

    def __init__(self, seed: int, rates: Mapping[str, int], script: Sequence[Firing] | None) -> None:
        self.cycle = NOT_STARTED
        #: What struck, in order, and how often each fault did.
        self.fired: list[Firing] = []
        self.counts: Counter[str] = Counter()
        self._rates = rates
        self._script = None if script is None else {(f.cycle, f.place, f.nth, f.fault): f for f in script}
        self._random = {name: Random(f"{seed}/{name}") for name in ("wire", "crash", "point", "beat", "feed")}  # noqa: S311 (no secret)
        self._menus: dict[tuple[Concern, str], list[tuple[int, Fault]]] = {}
        self._seen: defaultdict[str, int] = defaultdict(int)

    def begin(self, cycle: int) -> None:
        self.cycle = cycle
        self._seen.clear()

    def note(self, firing: Firing) -> None:
        """It struck and made a difference."""
        self.fired.append(firing)
        self.counts[firing.fault] += 1

    def has_in_script(self, firing: Firing) -> bool:
        """Whether the script tells it, numbers and all; without a script everything may happen."""
        known = firing.cycle, firing.place, firing.nth, firing.fault
        return self._script is None or self._script.get(known) == firing

    def occasion(self, concern: Concern, place: str) -> Firing | None:
        """One more occasion at this place: what strikes, or None."""
        menu = self._menu(concern, place)
        if not menu:
            return None  # nothing may ever strike there, so nobody asks which occasion it was
        nth = self._seen[place]
        self._seen[place] = nth + 1
        if self._script is not None:
            for _, fault in menu:
                told = self._script.get((self.cycle, place, nth, fault.name))
                if told is not None:
                    return told
            return None
        random = self._random[concern]
        drawn = random.getrandbits(_MILLION_BITS)  # what `randrange` does, without its questions
        while drawn >= _MILLION:
            drawn = random.getrandbits(_MILLION_BITS)
        for ppm, fault in menu:
            if drawn < ppm:
                return Firing(self.cycle, place, nth, fault.name, fault.draw(random))
            drawn -= ppm
        return None

    def may_strike(self, concern: Concern, place: str) -> bool:
        """Whether anything ever strikes there; where not, its occasions need not be asked for."""
        return bool(self._menu(concern, place))

    def _menu(self, concern: Concern, place: str) -> list[tuple[int, Fault]]:
        menu = self._menus.get((concern, place))
        if menu is None:
            menu = self._menus[concern, place] = self._at(concern, place)
        return menu

    def _at(self, concern: Concern, place: str) -> list[tuple[int, Fault]]:
        """The faults that may strike there, with their rates; all of them where a script decides."""
        found = []
        site: Site = "point" if concern == "crash" else concern
        bare = place.removeprefix(_CRASH)
        # Beats and the feed have a place for each fault: there is no need to look at all of them.
        candidates = [FAULTS[place.removeprefix(_BEAT)]] if site in ("beat", "feed") else FAULTS.values()
        for fault in candidates:
            if fault.site != site or (fault.name == "crash") is not (concern == "crash") or not fault.at(bare):
                continue
            rate = self._rates.get(fault.name, 0)
            if rate or self._script is not None:
                found.append((rate, fault))
        return found


@lru_cache(_PLACES_MAX)
def place_of(name: str) -> str:
    """A point or request without ids: all single orders are one place."""
    head, slash, last = name.rpartition("/")
    return f"{head}/N" if slash and last.isdigit() else name


@lru_cache(_PLACES_MAX)
def crash_of(name: str) -> str:
    """Where a crash at this point has its occasion."""
    return f"{_CRASH}{place_of(name)}"


def beat_of(fault: str) -> str:
    """Each fault of the beat, and of the feed, has a place of its own: they do not exclude each other."""
    return f"{_BEAT}{fault}"
