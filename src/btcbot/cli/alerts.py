"""`btcbot alerts`: the alerts that fired, and the rules that fire them."""

from __future__ import annotations

from pathlib import Path

import click

from btcbot.cli import options, output, reading
from btcbot.cli.options import Where


@click.command(short_help="List the alerts that fired, and the rules.")
@click.option("--last", type=options.COUNT, default=50, show_default=True, metavar="N", help="The newest N.")
@click.option("--rules", is_flag=True, help="List the rules instead; needs no database.")
@options.report
def command(last: int, db: Path | None, env_file: Path | None, *, rules: bool, as_json: bool) -> None:
    """List the alerts that fired, oldest first, or with --rules what would fire one.

    \b
    Examples:  btcbot alerts --last 10
               btcbot alerts --rules
    """
    if rules:
        _rules(as_json=as_json)
        return
    from btcbot.domain.alerts import page_of
    from btcbot.domain.notes import NoteKind
    from btcbot.services.alerts import read_alert

    with reading.open_book(Where(db, env_file)) as store:
        notes, total = store.notes(NoteKind.ALERT, last), store.note_count(NoteKind.ALERT)
    alerts = [(note, read_alert(note)) for note in notes]
    if as_json:
        told = [
            {"at_ms": note.at_ms, "cycle_id": note.cycle_id, "alert": alert, "page": page_of(alert.rule)}
            for note, alert in alerts
        ]
        output.json_line({"alerts": told, "total": total})
        return
    output.table(
        f"alerts ({len(alerts)} of {total})" if alerts else "alerts",
        ("when", "cycle", "severity", "alert", "measured", "meaning", "what to do"),
        [
            (output.moment(note.at_ms), note.cycle_id, one.severity.value, one.rule, f"{one.value:g}", one.meaning,
             one.todo)
            for note, one in alerts
        ],
        numbers=("measured",),
    )  # fmt: skip
    for name in dict.fromkeys(one.rule for _, one in alerts):
        output.line(f"{name}: {page_of(name)}")


def _rules(*, as_json: bool) -> None:
    from btcbot.decisions.alert_rules import RULES
    from btcbot.domain.alerts import HOW_TO, REPEAT_AFTER_S, page_of

    if as_json:
        rules = [
            {
                "name": rule.name,
                "severity": rule.severity,
                "condition": rule.condition,
                "metric": rule.series.metric,
                "measure": rule.measure,
                "comparison": rule.comparison,
                "threshold": rule.threshold,
                "window_s": rule.window_s,
                "hold_s": rule.hold_s,
                "repeat_after_s": REPEAT_AFTER_S[rule.severity],
                "trouble": rule.trouble,
                "meaning": rule.meaning,
                "todo": rule.todo,
                "page": page_of(rule.name),
            }
            for rule in RULES
        ]
        output.json_line({"rules": rules})
        return
    output.table(
        "alert rules",
        ("alert", "severity", "condition", "meaning"),
        [(rule.name, rule.severity.value, rule.condition, rule.meaning) for rule in RULES],
    )
    output.line(f"What to do about each stands in {HOW_TO}#NAME.")
