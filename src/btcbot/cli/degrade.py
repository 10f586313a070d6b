"""`btcbot degrade`: how far anomalies have narrowed trading; clear it, or override it for a while."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from btcbot.cli import options, output, reading
from btcbot.cli.options import Where

if TYPE_CHECKING:
    from btcbot.adapters.store.sqlite import SqliteStore
    from btcbot.domain.notes import Note

MODES: Final = ("NORMAL", "REDUCE_RISK_ONLY", "OBSERVE_ONLY")
SECONDS_MAX: Final = 7 * 86_400
DEFAULT_SECONDS: Final = 900
_SHOWN: Final = 10


@click.group(
    cls=options.Family,
    invoke_without_command=True,
    short_help="Show, clear or override how far anomalies have narrowed trading.",
)
@click.pass_context
def command(context: click.Context) -> None:
    """How far anomalies have narrowed trading. Level 0: not at all; 1: smaller buys in fewer pairs; 2: no buys; 3: no
    orders.

    \b
    Examples:  btcbot degrade status
               btcbot degrade override --mode OBSERVE_ONLY --reason "the venue announced maintenance"
               btcbot degrade clear --reason "the feed is back"
    """
    if context.invoked_subcommand is None:
        raise click.UsageError("say status, clear or override; «btcbot degrade --help» tells more")


@command.command(short_help="Show the level, its cause, and the last anomalies.")
@options.report
def status(db: Path | None, env_file: Path | None, *, as_json: bool) -> None:
    """Show the level in force, its cause, how long it is kept, and the last anomalies. Reads the database only.

    \b
    Example:  btcbot degrade status --json
    """
    with reading.open_book(Where(db, env_file)) as store:
        told = collect(store, reading.now_ms())
    if as_json:
        output.json_line(told)
    else:
        _show(told)


def collect(store: SqliteStore, now_ms: int) -> dict[str, Any]:
    """Everything that `degrade status` tells."""
    import msgspec

    from btcbot.decisions import degrade
    from btcbot.domain.notes import NoteKind
    from btcbot.services.degrade_record import read_degrade
    from btcbot.services.freeze_record import is_frozen

    kept = read_degrade(store, now_ms)
    # A freeze that was cleared since the last cycle narrows nothing any more.
    machine = msgspec.structs.replace(kept.machine, is_frozen=kept.machine.is_frozen and is_frozen(store))
    level = degrade.level_in_force(machine, now_ms)
    override = machine.override if machine.override is not None and not machine.override.is_over(now_ms) else None
    left_ms = degrade.cooldown_left_ms(machine, now_ms, kept.rules) if kept.rules is not None else 0
    overridden = None
    if override is not None:
        held_ms = min(override.made_at_ms + override.lasts_ms - now_ms, override.lasts_ms)
        overridden = {"level": override.level, "reason": override.reason, "left_s": held_ms // 1000}
    return {
        "level": level,
        "mode": degrade.MODES[level],
        "why": degrade.why_in_force(machine, now_ms),
        "override": overridden,
        "by_anomalies": {
            "level": machine.level,
            "why": machine.why,
            "since_ms": machine.since_ms or None,
            "cooldown_left_s": left_ms // 1000,
            "warnings_in_a_row": machine.warnings_in_a_row,
            "quiet_in_a_row": machine.quiet_in_a_row,
            "quiet_needed": degrade.quiet_needed(machine, kept.rules) if kept.rules is not None else None,
        },
        "anomalies_now": machine.codes,
        "anomalies": [_told(note, msgspec.json.decode(note.body)) for note in store.notes(NoteKind.ANOMALY, _SHOWN)],
        "changes": [_told(note, msgspec.json.decode(note.body)) for note in store.notes(NoteKind.DEGRADE, _SHOWN)],
    }


def _told(note: Note, body: dict[str, Any]) -> dict[str, Any]:
    return {"at_ms": note.at_ms, "cycle_id": note.cycle_id or None, **body}


def _show(told: dict[str, Any]) -> None:
    by, override = told["by_anomalies"], told["override"]
    held = f"level {override['level']} for {override['left_s']} s more: {override['reason']}" if override else "none"
    why = f"level {by['level']} since {output.moment(by['since_ms'])}: {by['why']}" if by["level"] else "level 0"
    output.facts(
        [
            ("in force", " - ".join(filter(None, (f"level {told['level']}, {told['mode'].value}", told["why"])))),
            ("override", held),
            ("by anomalies", why),
            ("kept for", _kept_for(by)),
            ("seen now", ", ".join(told["anomalies_now"]) or "nothing unusual"),
        ]
    )
    output.table(
        "anomalies, as they began",
        ("at", "cycle", "severity", "code", "detail"),
        [
            (
                output.moment(one["at_ms"]),
                one["cycle_id"] or output.NOTHING,
                one["severity"],
                one["code"],
                one["detail"],
            )
            for one in told["anomalies"]
        ],
    )
    output.table(
        "changes of the level",
        ("at", "cycle", "what", "from", "to", "why"),
        [
            (
                output.moment(one["at_ms"]),
                one["cycle_id"] or output.NOTHING,
                one["what"],
                one["before"],
                one["after"],
                one["why"],
            )
            for one in told["changes"]
        ],
        numbers=("from", "to"),
    )


def _kept_for(by: dict[str, Any]) -> str:
    """How long the level that anomalies came to lasts at the least."""
    if not by["level"]:
        return "nothing to keep"
    quiet = f"until {by['quiet_needed']} cycles in a row are quiet ({by['quiet_in_a_row']} so far)"
    return f"{by['cooldown_left_s']} s more, then {quiet}" if by["cooldown_left_s"] else quiet


@command.command(short_help="Back to level 0; what is seen from now on counts.")
@click.option("--reason", default="by the operator", metavar="TEXT", help="Why; it is kept in the books.")
@options.asks_the_bot
def clear(reason: str, db: Path | None, env_file: Path | None, wait: float, *, as_json: bool) -> None:
    """Go back to level 0 and forget counters, cooldown and override. What is seen from now on counts as ever.

    \b
    Example:  btcbot degrade clear --reason "the feed is back"
    """
    from btcbot.cli import request

    request.ask(Where(db, env_file), "degrade_clear", {"reason": reason}, wait, as_json=as_json)


def _mode(said: str) -> str:
    """The mode's name; an unknown one is answered with the nearest."""
    from difflib import get_close_matches

    name = said.upper().replace("-", "_")
    if name in MODES:
        return name
    near = get_close_matches(name, MODES, n=1, cutoff=0.3)
    hint = f"did you mean {near[0]}?" if near else f"say one of {', '.join(MODES)}"
    raise click.BadParameter(f"there is no mode «{said}»; {hint}")


@command.command(short_help="Put a mode in force for a while, whatever is seen.")
@click.option(
    "--mode",
    required=True,
    metavar="MODE",
    callback=lambda _, __, said: _mode(said),
    help=f"One of {', '.join(MODES)}.",
)
@click.option(
    "--cooldown-seconds",
    type=click.IntRange(0, SECONDS_MAX),
    metavar="SECONDS",
    help=f"How long it holds, whatever is seen.  [default: {DEFAULT_SECONDS}; 0 for NORMAL: only wipe out the past]",
)
@options.reason_option
@options.asks_the_bot
def override(
    mode: str,
    cooldown_seconds: int | None,
    reason: str,
    db: Path | None,
    env_file: Path | None,
    wait: float,
    *,
    as_json: bool,
) -> None:
    """Put a mode in force for a while, in place of what anomalies came to. All other limits and gates hold.

    \b
    Example:  btcbot degrade override --mode REDUCE_RISK_ONLY --cooldown-seconds 3600 --reason "thin books tonight"
    """
    from btcbot.cli import request

    seconds = (0 if mode == MODES[0] else DEFAULT_SECONDS) if cooldown_seconds is None else cooldown_seconds
    if not seconds and mode != MODES[0]:
        raise click.UsageError(f"--mode {mode} for no time narrows nothing; give --cooldown-seconds")
    arguments = {"mode": mode, "seconds": str(seconds), "reason": reason}
    request.ask(Where(db, env_file), "degrade_override", arguments, wait, as_json=as_json)
