"""What all checks share: a finding, how it is told, and how the venue is asked.

`doctor`, `preflight` and `canary` look at the same things with the same functions. Alone, a check asks the venue by
itself and with the key only while nobody else holds it; within a run it asks through the run's own client, so that it
neither opens a second sequence of stamps nor takes the logs away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from btcbot.cli import output
from btcbot.profiles import PROFILES, RUN

if TYPE_CHECKING:
    from btcbot.config.settings import Settings
    from btcbot.ports import Exchange

PASS: Final = "PASS"  # noqa: S105 - a verdict, not a secret
WARN: Final = "WARN"
FAIL: Final = "FAIL"
LEVELS: Final = (FAIL, WARN, PASS)

starts_option: Final = click.option(
    "--command",
    "starts",
    type=click.Choice(tuple(PROFILES)),
    default=RUN.name,
    show_default=True,
    help="What is to start.",
)


class Finding(NamedTuple):
    level: str
    category: str
    name: str
    message: str


def worst_of(findings: Iterable[Finding]) -> str:
    """PASS for none."""
    seen = {finding.level for finding in findings}
    return next((level for level in LEVELS if level in seen), PASS)


def shown(command: str, finding: Finding) -> str:
    return f"{command}: {finding.level} [{finding.category}] {finding.name} - {finding.message}"


def summary(findings: Sequence[Finding]) -> str:
    counts = Counter(finding.level for finding in findings)
    return f"{worst_of(findings)}: {counts[PASS]} passed, {counts[WARN]} to think about, {counts[FAIL]} failed"


def told(command: str, findings: Iterable[Finding], *, as_json: bool, on_stderr: bool = False) -> list[Finding]:
    """All findings, each told as it is found, unless a JSON line is to follow."""
    kept: list[Finding] = []
    for finding in findings:
        kept.append(finding)
        if on_stderr:
            click.echo(output.clean(shown(command, finding)), err=True)
        elif not as_json:
            output.line(shown(command, finding))
    return kept


@contextmanager
def asking(settings: Settings, inside: Exchange | None) -> Iterator[Exchange]:
    """The venue's public side: that of the run, or one of our own that is closed afterwards."""
    if inside is not None:
        yield inside
        return
    from btcbot.cli import venue

    with venue.public(settings) as exchange:
        yield exchange
