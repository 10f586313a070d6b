"""`btcbot doctor`: looks at everything that a live run needs, and says how to mend what is wrong.

Each check says PASS, WARN or FAIL in one line. Nothing is changed, at the venue or here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from btcbot.cli import checks, checks_local, checks_venue, options, output, reading
from btcbot.cli.checks import FAIL, PASS, WARN, Finding
from btcbot.cli.options import Where
from btcbot.errors import ConfigurationError
from btcbot.profiles import PROFILES, RUN, Profile

if TYPE_CHECKING:
    from btcbot.config.loading import LoadedSettings
    from btcbot.ports import Exchange

EXIT_OF: Final = {PASS: 0, WARN: 1, FAIL: 2}


@click.command(short_help="Check everything that a live run needs, and say how to mend what is wrong.")
@click.option(
    "--dataset", type=click.Path(path_type=Path), default=None, help="Recorded data that backtests are to run on."
)
@checks.starts_option
@options.report
def command(dataset: Path | None, starts: str, db: Path | None, env_file: Path | None, *, as_json: bool) -> None:
    """Check settings, gates, files, database, books, last cycles, venue and key; say how to mend what is wrong.

    Each line names its category: settings, paths, ops, database, books, freeze, degrade, gates, budget, slo, venue,
    universe, exchange_rules, feed, key, backtest_readiness. «slo» judges the last cycles by the settings DOCTOR_SLO_….
    «--command» names what is to start: each looks at caps of its own.

    Exit status: 0 all well, 1 something to think about, 2 something that keeps a live run from working.

    \b
    Example:  btcbot doctor --env-file .env.live
              btcbot doctor --command stage4-run
              btcbot doctor --json --dataset data/try-1m
    """
    findings = checks.told("doctor", examine(Where(db, env_file), PROFILES[starts], dataset=dataset), as_json=as_json)
    worst = checks.worst_of(findings)
    if as_json:
        output.json_line({"result": worst, "checks": [finding._asdict() for finding in findings]})
    else:
        output.line(checks.summary(findings))
    output.leave(EXIT_OF[worst])


def examine(
    where: Where,
    profile: Profile = RUN,
    *,
    loaded: LoadedSettings | None = None,
    inside: Exchange | None = None,
    dataset: Path | None = None,
) -> Iterator[Finding]:
    """Every check, in an order in which a person would mend them.

    `profile` is what is to start. `loaded` None: the settings are read here. `inside` is the client of the run that
    asks: then feed and login, which that run has itself, are left alone.
    """
    told = set[str]()
    if loaded is None:
        try:
            loaded = reading.load(where)
        except ConfigurationError as error:
            told.update(error.lines)
            yield from (Finding(FAIL, "settings", "values", line) for line in error.lines)
    if loaded is not None:
        yield Finding(PASS, "settings", "values", f"all can be used ({loaded.env_file or 'no env file'})")
    try:
        database = reading.database_path(where)
    except ConfigurationError as error:
        # What the settings were refused for need not be told twice.
        yield from (Finding(FAIL, "settings", "database path", line) for line in error.lines if line not in told)
        return
    yield from checks_local.paths(database)
    yield from checks_local.ops(database)
    yield from checks_local.database_of(where, database, loaded)
    if loaded is not None:
        settings = loaded.settings
        yield from checks_venue.rotation_of(settings)
        venue = list(checks_venue.venue(settings, profile, inside))
        yield from venue
        if inside is None:
            is_reachable = all(one.level != FAIL for one in venue if one.name == "reachable")
            yield from checks_venue.feed(settings, is_reachable=is_reachable)
        key = list(checks_venue.key(where, database, settings, inside))
        yield from key
        if inside is None and any(one.name == "balances" for one in key):
            yield from checks_venue.login(settings)
    yield from checks_venue.backtest_readiness(dataset, None if loaded is None else loaded.settings)
