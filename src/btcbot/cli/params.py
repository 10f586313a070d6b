"""`btcbot params`: the parameters that adaptation has in force, how they came about, and back to the settings."""

from __future__ import annotations

from pathlib import Path

import click

from btcbot.cli import options, output, reading
from btcbot.cli.options import Where
from btcbot.errors import Refused


@click.group(
    cls=options.Family,
    invoke_without_command=True,
    short_help="Show, or put back, the parameters that stage7-run adapts.",
)
@click.pass_context
def command(context: click.Context) -> None:
    """Show the parameters that «btcbot stage7-run» changes within their bounds, and put them back to the settings.

    \b
    Examples:  btcbot params status
               btcbot params history --last 20
               btcbot params reset --reason "other pairs from today on"
    """
    if context.invoked_subcommand is None:
        raise click.UsageError("say status, history or reset; «btcbot params --help» tells more")


@command.command(short_help="Tell which parameters are in force.")
@options.report
def status(db: Path | None, env_file: Path | None, *, as_json: bool) -> None:
    """Tell which parameters are in force, and what a rollback would go back to.

    \b
    Example:  btcbot params status --json
    """
    from btcbot.domain.tuning import TUNED, amount_of
    from btcbot.services import adaptation

    with reading.open_book(Where(db, env_file)) as store:
        course = adaptation.load(store)
        changes = adaptation.history(store)
    counts: dict[str, int] = {}
    for change in changes:
        counts[change.outcome.value] = counts.get(change.outcome.value, 0) + 1
    if as_json:
        output.json_line(
            {
                "adapted": course is not None,
                "version": None if course is None else course.tuning.version,
                "good_version": None if course is None else course.good.version,
                "parameters": {}
                if course is None
                else {
                    field: {
                        "in_force": amount_of(course.tuning, field),
                        "good": amount_of(course.good, field),
                        "setting": amount_of(course.start, field),
                    }
                    for field in TUNED
                },
                "left_alone": {} if course is None else course.left_alone,
                "changes": counts,
            }
        )
        return
    if course is None:
        output.line("nothing is adapted: the next run begins with the settings as given")
        return
    output.table(
        f"parameters, version {course.tuning.version} (a rollback goes back to version {course.good.version})",
        ("parameter", "in force", "good", "setting"),
        [
            (field, *(output.amount(amount_of(each, field)) for each in (course.tuning, course.good, course.start)))
            for field in TUNED
        ],
        numbers=("in force", "good", "setting"),
    )
    for direction, cycles in sorted(course.left_alone.items()):
        field, _, way = direction.partition(":")
        output.line(f"{field} does not go {way} again for {cycles} cycles without trouble: it was rolled back")
    told = ", ".join(f"{count} {outcome.lower().replace('_', ' ')}" for outcome, count in sorted(counts.items()))
    output.line(f"changes: {told or 'none'}")


@command.command(short_help="List what was changed, refused and rolled back, and why.")
@click.option("--last", type=options.COUNT, default=20, show_default=True, metavar="N", help="How many changes.")
@options.report
def history(last: int, db: Path | None, env_file: Path | None, *, as_json: bool) -> None:
    """List the newest changes of parameters with their reasons, oldest first.

    \b
    Example:  btcbot params history --last 50
    """
    from btcbot.services import adaptation

    with reading.open_book(Where(db, env_file)) as store:
        dated = adaptation.dated_history(store, last)
    if as_json:
        changes = [{"at_ms": at_ms, **_shaped(change)} for at_ms, change in dated]
        output.json_line({"changes": changes})
        return
    output.table(
        "parameter changes",
        ("time", "cycle", "parameter", "from", "to", "version", "outcome", "reason"),
        [
            (
                output.moment(at_ms),
                change.origin.partition("@")[0],
                change.field,
                change.before or output.NOTHING,
                change.after or output.NOTHING,
                f"{change.from_version} > {change.to_version}",
                change.outcome.value,
                change.reason,
            )
            for at_ms, change in dated
        ],
        numbers=("from", "to"),
    )


def _shaped(change: object) -> dict[str, object]:
    shaped = output.shaped(change)
    assert isinstance(shaped, dict), "a struct is shaped as an object"
    return shaped


@command.command(short_help="Go back to the parameters of the settings.")
@options.reason_option
@options.report
def reset(reason: str, db: Path | None, env_file: Path | None, *, as_json: bool) -> None:
    """Put adapted parameters aside, so that the next run begins with those of the settings. No bot may be running.

    \b
    Example:  btcbot params reset --reason "other pairs from today on"
    """
    from btcbot.adapters.process_lock import acquire
    from btcbot.adapters.store.sqlite import SqliteStore
    from btcbot.services import adaptation

    database = reading.database_path(Where(db, env_file))
    reading.demand_database(database)
    held = reading.writer(database)
    if held is not None:
        raise Refused(f"a btcbot runs on {database} ({held}) and holds its parameters; stop it first, then reset them")
    with acquire(database, None):
        store = SqliteStore.open(database)
        try:
            changes = adaptation.reset(store, reason, reading.now_ms())
        finally:
            store.close()
    if as_json:
        output.json_line({"reset": True, "reason": reason, "changes": [_shaped(change) for change in changes]})
        return
    moved = [f"{change.field} {change.before} > {change.after}" for change in changes if change.before]
    output.line("the next run begins with the settings as given" + (f"; put back: {', '.join(moved)}" if moved else ""))
