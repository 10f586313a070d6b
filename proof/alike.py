"""Which versions of the code play the same worlds the same way, so that the seeds of one speak for the other.

A change that only makes the code faster or clearer leaves the trace of every world as it was. Two versions are alike
where they gave the same digest for whole runs of seeds, `SEEDS_MIN` of them at least, and never a differing one.
A run in which a violation was found is not compared: it ends that world, and what mends it lets the world go on.
That is evidence and no proof, which is why such seeds have a column of their own on the page of figures.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import msgspec

from proof.tally import Record, without_repeats

#: What two versions have to have played with the same digest. A world strikes dozens of faults: a change that alters a
#: decision shows within a few worlds.
SEEDS_MIN: Final = 1_000
PART: Final = "seeds"
DIGEST: Final = "trace_sha256"
#: (first, count) → digest of the traces of that run of seeds.
_Digests = dict[tuple[int, int], str]


def alike(records: Sequence[Record], code: str) -> frozenset[str]:
    """The versions that behave as `code` does, itself among them, also through a version between."""
    digests = _digests(records)
    found, looking = {code}, [code]
    while looking:
        one = looking.pop()
        for other in digests.keys() - found:
            if _same(digests[one], digests[other]) and not _differ(digests[code], digests[other]):
                found.add(other)
                looking.append(other)
    return frozenset(found)


def seeds_of_alike(records: Sequence[Record], code: str) -> list[Record]:
    """The runs of seeds by versions alike `code`. A seed that several of them played counts once."""
    versions = alike(records, code)
    runs = [one for one in records if one.result.part == PART and one.code in versions]
    return without_repeats([msgspec.structs.replace(one, code=code) for one in runs])


def _digests(records: Sequence[Record]) -> defaultdict[str, _Digests]:
    """version → its digests."""
    found: defaultdict[str, _Digests] = defaultdict(dict)
    for one in records:
        first, count, digest = one.arguments.get("first"), one.arguments.get("count"), one.result.notes.get(DIGEST)
        is_compared = one.result.part == PART and not one.result.failures
        if is_compared and first is not None and count is not None and digest is not None:
            found[one.code][first, count] = digest
    return found


def _same(ours: _Digests, theirs: _Digests) -> bool:
    equal = sum(count for (first, count), digest in ours.items() if theirs.get((first, count)) == digest)
    return equal >= SEEDS_MIN and not _differ(ours, theirs)


def _differ(ours: _Digests, theirs: _Digests) -> bool:
    return any(theirs.get(run, digest) != digest for run, digest in ours.items())
