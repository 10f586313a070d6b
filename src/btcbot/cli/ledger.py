"""`btcbot ledger`: what our books say lies at the venue, and what nobody has explained yet."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from btcbot.cli import options, output, reading
from btcbot.cli.options import Where

if TYPE_CHECKING:
    from btcbot.adapters.store.sqlite import SqliteStore
    from btcbot.domain.ledger import Entry


@click.group(
    cls=options.Family,
    invoke_without_command=True,
    short_help="Show balances and suspense; explain what lies in suspense.",
)
@click.option(
    "--entries", "limit", type=options.COUNT_OR_NONE, default=0, metavar="N", help="List the newest N entries as well."
)
@options.report
@click.pass_context
def command(context: click.Context, limit: int, db: Path | None, env_file: Path | None, *, as_json: bool) -> None:
    """Show balances and suspense as booked; explain what lies in suspense.

    Balances are what the books say the venue holds, free and locked together. Suspense is what the venue holds beyond
    the books (above zero) or short of them (below), for no reason that anybody knows.

    \b
    Examples:  btcbot ledger --entries 20
               btcbot ledger explain suspense:TRY:1767225600000 --as deposit --reason "bank transfer of 3 January"
    """
    if context.invoked_subcommand is not None:
        return
    from btcbot.domain.ledger import Account

    with reading.open_book(Where(db, env_file)) as store:
        balances = store.account_balances(Account.VENUE)
        suspense = {asset: -amount for asset, amount in store.account_balances(Account.SUSPENSE).items() if amount}
        count = store.entry_count()
        listed = list(store.entries(limit)) if limit else []
        unexplained = _unexplained(store, suspense) if suspense else []
    if as_json:
        report = {"balances": balances, "suspense": suspense, "entries": count, "unexplained": unexplained}
        output.json_line({**report, "listed": listed} if limit else report)
        return
    columns = ("asset", "balance")
    output.table("balances", columns, [(a, output.amount(b)) for a, b in sorted(balances.items())], numbers=columns[1:])
    output.table("suspense", columns, [(a, output.amount(b)) for a, b in sorted(suspense.items())], numbers=columns[1:])
    shown = [*(("in suspense", entry) for entry in unexplained), *((entry.kind.value, entry) for entry in listed)]
    if shown:
        output.table(
            f"entries ({len(listed)} of {count})",
            ("entry", "at", "kind", "what", "moved at the venue"),
            [
                (
                    entry.entry_id,
                    output.moment(entry.at_ms),
                    kind,
                    entry.memo,
                    ", ".join(f"{output.amount(p.amount)} {p.asset}" for p in entry.postings if p.account == "venue"),
                )
                for kind, entry in shown
            ],
        )
    else:
        output.line(f"{count} entries; «btcbot ledger --entries 20» lists the newest")


def _unexplained(store: SqliteStore, suspense: Mapping[str, Decimal]) -> list[Entry]:
    """The entries that put something into suspense of which something still lies there."""
    from btcbot.domain.ledger import EntryKind

    return [
        entry
        for entry in store.entries()
        if entry.kind is EntryKind.SUSPENSE
        and any(posting.asset in suspense for posting in entry.postings)
        and not store.has_entry(f"explanation:{entry.entry_id}")
    ]


@command.command(short_help="Take the amount of one entry out of suspense.")
@click.argument("entry")
@click.option(
    "--as", "meaning", required=True, type=click.Choice(["deposit", "withdrawal", "fee"]), help="What it really was."
)
@options.reason_option
@options.asks_the_bot
def explain(
    entry: str, meaning: str, reason: str, db: Path | None, env_file: Path | None, wait: float, *, as_json: bool
) -> None:
    """Take the amount of one ENTRY out of suspense, by your word. New orders flow again when nothing is left there.

    \b
    Example:  btcbot ledger explain suspense:TRY:1767225600000 --as deposit --reason "bank transfer of 3 January"
    """
    from btcbot.cli import request

    arguments = {"entry_id": entry, "meaning": meaning, "reason": reason}
    request.ask(Where(db, env_file), "explain", arguments, wait, as_json=as_json)
