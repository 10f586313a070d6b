"""`btcbot db`: look after the state database."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from btcbot.cli import options, output, reading
from btcbot.cli.options import Where
from btcbot.errors import EXIT_FAILED, Refused

if TYPE_CHECKING:
    from btcbot.config.settings import Settings
    from btcbot.domain.book import BookIdentity
    from btcbot.domain.fills import Fill, VenueTrade
    from btcbot.ports import Exchange, StateStore

FILLS_COMPARED = 20


@click.group(
    cls=options.Family,
    invoke_without_command=True,
    short_help="Look after the state database: locks, count, migrate, backup, verify, rebind.",
)
@click.pass_context
def command(context: click.Context) -> None:
    """Look after the state database.

    \b
    Examples:  btcbot db locks
               btcbot db backup /mnt/backup/btcbot-2026-01-31.db
    """
    if context.invoked_subcommand is None:
        raise click.UsageError("say locks, count, migrate, backup, verify or rebind; «btcbot db --help» tells more")


@command.command(short_help="Tell which process may write to the database.")
@options.report
def locks(db: Path | None, env_file: Path | None, *, as_json: bool) -> None:
    """Tell which process may write to the database now. A lock ends with its process: there is none to remove.

    \b
    Example:  btcbot db locks --json
    """
    database = reading.database_path(Where(db, env_file))
    reading.demand_database(database)
    held = reading.writer(database)
    path = os.path.abspath(database)  # noqa: PTH100 - a link must not be hidden
    if as_json:
        output.json_line({"database": path, "held": held is not None, "pid": held.pid if held else None})
    else:
        output.line(f"{path}: " + (f"a btcbot writes to it ({held})" if held else "no process writes to it"))


@command.command(short_help="Count what the database holds.")
@options.report
def count(db: Path | None, env_file: Path | None, *, as_json: bool) -> None:
    """Count what the database holds: orders, fills, entries, cycles that there have been, and notes by kind.

    \b
    Example:  btcbot db count
    """
    from btcbot.domain.notes import NoteKind

    with reading.open_book(Where(db, env_file)) as store:
        counts: dict[str, int] = {
            "orders": store.order_count(),
            "fills": store.fill_count(),
            "entries": store.entry_count(),
            "positions": len(store.positions()),
            "cycles": store.cycle_count(),
            **{f"notes_{kind.value}": store.note_count(kind) for kind in NoteKind},
        }
    if as_json:
        output.json_line(counts)
    else:
        output.facts([(name.replace("_", " "), number) for name, number in counts.items()])


@command.command(short_help="Bring the database to this btcbot's schema.")
@options.report
def migrate(db: Path | None, env_file: Path | None, *, as_json: bool) -> None:
    """Bring the database to the schema of this btcbot, after a copy was put beside it. «btcbot run» does it as well.

    \b
    Example:  btcbot db migrate
    """
    database = reading.database_path(Where(db, env_file))
    reading.demand_database(database)
    from btcbot.adapters.process_lock import acquire
    from btcbot.adapters.store.revision import HEAD
    from btcbot.adapters.store.sqlite import SqliteStore

    copies_before = _copies(database)
    with acquire(database, None):
        SqliteStore.open(database).close()
    copies = [str(copy) for copy in sorted(_copies(database) - copies_before)]
    if as_json:
        output.json_line({"revision": HEAD, "migrated": bool(copies), "copies": copies})
    elif copies:
        output.line(f"migrated to revision {HEAD}; the database as it was is {', '.join(copies)}")
    else:
        output.line(f"the database is at revision {HEAD}: nothing to do")


def _copies(database: Path) -> set[Path]:
    return set(database.parent.glob(f"{database.name}.before-*"))


@command.command(short_help="Copy the database and prove the copy.")
@click.argument("to", type=click.Path(path_type=Path), metavar="PATH")
@options.report
def backup(to: Path, db: Path | None, env_file: Path | None, *, as_json: bool) -> None:
    """Copy the database to the new file PATH and prove the copy. The bot may go on writing meanwhile.

    Exit status 1 when the books are wrong; the copy is kept all the same.

    \b
    Example:  btcbot db backup /mnt/backup/btcbot-2026-01-31.db
    """
    with reading.open_book(Where(db, env_file)) as store:
        problems = store.backup(to.absolute())
    size = to.stat().st_size
    if as_json:
        output.json_line({"backup": str(to), "bytes": size, "sound": not problems, "problems": problems})
    elif problems:
        output.line(f"{to}: {size} bytes, a faithful copy of books that are wrong")
        for problem in problems:
            click.echo(f"btcbot: {output.clean(problem)}", err=True)
    else:
        output.line(f"{to}: {size} bytes, proved")
    if problems:
        output.leave(EXIT_FAILED)


@command.command(short_help="Read the whole database and prove its books.")
@options.report
def verify(db: Path | None, env_file: Path | None, *, as_json: bool) -> None:
    """Read the whole database and prove its books; exit status 1 when something is wrong.

    \b
    Example:  btcbot db verify
    """
    with reading.open_book(Where(db, env_file)) as store:
        problems = store.verify()
        orders, fills, entries = store.order_count(), store.fill_count(), store.entry_count()
    if as_json:
        counts = {"orders": orders, "fills": fills, "entries": entries}
        output.json_line({"sound": not problems, "problems": problems, **counts})
    elif problems:
        for problem in problems:
            click.echo(f"btcbot: {output.clean(problem)}", err=True)
    else:
        output.line(f"sound: {orders} orders, {fills} fills and {entries} entries agree with each other")
    if problems:
        output.leave(EXIT_FAILED)


# -- rebind ----------------------------------------------------------------------------------------------------------


@command.command(short_help="Bind the database to a new key of the account.")
@click.option("--i-understand", is_flag=True, help="Bind the database to the new key, after the checks.")
@click.option("--accept-differences", is_flag=True, help="Bind although balances differ; the bot then judges them.")
@options.report
def rebind(
    db: Path | None, env_file: Path | None, *, i_understand: bool, accept_differences: bool, as_json: bool
) -> None:
    """Bind the database to a new API key of the same account, once the venue has shown that it is the same.

    The bot must not run. The key of the settings reads balances and trades: the venue must list our newest fills, and
    its balances must be those of our books and of the trades and transfers since.

    \b
    Example:  btcbot db rebind --i-understand --env-file .env.live
    """
    where = Where(db, env_file)
    settings = reading.load(where).settings
    database = settings.state_db_path
    reading.demand_database(database)
    from msgspec.structs import replace

    from btcbot.adapters.process_lock import acquire
    from btcbot.adapters.store.sqlite import SqliteStore
    from btcbot.bootstrap import NonceMark
    from btcbot.cli import venue
    from btcbot.config.secrets import key_fingerprint

    if settings.btcturk_api_key is None:
        raise Refused("BTCTURK_API_KEY is not given: it is the new key; give it, or BTCTURK_API_KEY_FILE")
    fingerprint = key_fingerprint(settings.btcturk_api_key)
    with acquire(database, fingerprint):
        store = SqliteStore.open(database)
        try:
            identity = _demand_rebindable(store.identity(), settings, fingerprint)
            mark = NonceMark(store)
            with venue.with_key(settings, mark.load, mark.save) as exchange:
                evidence = gather(store, exchange)
            if not as_json:
                _show(evidence)
            evidence.demand(accept_differences=accept_differences)
            if not i_understand:
                raise Refused("the account continues these books; say --i-understand to bind them to the new key")
            with store.transaction() as tx:
                tx.put_identity(replace(identity, key_fingerprint=fingerprint))
        finally:
            store.close()
    if as_json:
        output.json_line({"bound": True, "key_fingerprint": fingerprint, **evidence.report()})
    else:
        output.line(f"{database} is now bound to the key {fingerprint}")


def _demand_rebindable(identity: BookIdentity | None, settings: Settings, fingerprint: str) -> BookIdentity:
    from btcbot.bootstrap import mode_of, venue_host

    host, mode = venue_host(settings.btcturk_base_url), mode_of(settings)
    if identity is None or identity.mode == "dry_run":
        raise Refused("this database belongs to no key: it was never used for real orders")
    if identity.venue_host != host:
        raise Refused(f"this database belongs to the venue {identity.venue_host}, not to {host}; name another")
    if identity.mode != mode:
        raise Refused(f"this database was made for mode {identity.mode}, the settings say {mode}; correct DRY_RUN")
    if identity.key_fingerprint == fingerprint:
        raise Refused("this database is bound to this key already; there is nothing to do")
    return identity


class Evidence(NamedTuple):
    """Whether the account behind a key continues the books. Differences are venue minus books."""

    fills_compared: int
    missing: Sequence[Fill]
    unbooked: Sequence[VenueTrade]
    differences: Mapping[str, Decimal]

    def demand(self, *, accept_differences: bool) -> None:
        """Refuse an account that is another, or that does not agree."""
        from btcbot.domain import money

        if self.missing:
            raise Refused(
                f"the venue does not list {len(self.missing)} of our last {self.fills_compared} fills (such as trade "
                f"{self.missing[0].trade_id}): this key belongs to another account; use a key of the same one"
            )
        if self.differences and not accept_differences:
            shown = ", ".join(f"{money.plain(amount)} {asset}" for asset, amount in self.differences.items())
            raise Refused(
                f"the venue's balances differ from the books by {shown}; if you know why, say --accept-differences: "
                "the bot then watches them and freezes until they are explained"
            )

    def report(self) -> dict[str, object]:
        return {
            "fills_compared": self.fills_compared,
            "trades_not_booked_yet": len(self.unbooked),
            "differences": self.differences,
        }


def gather(store: StateStore, exchange: Exchange) -> Evidence:
    """Compare the venue's lists with the books. Changes neither."""
    from btcbot.decisions import booking
    from btcbot.domain import money
    from btcbot.domain.ledger import Account
    from btcbot.services import named_values, values
    from btcbot.services.accounting import TRADES_LOOKBACK_MS, TRANSFERS_LOOKBACK_MS

    opening_ms = named_values.whole_number(store, values.OPENING_AT_MS)
    if opening_ms is None:
        return Evidence(0, (), (), {})  # books that never saw an account: any key begins them
    cursor_ms = named_values.whole_number(store, values.TRADES_CURSOR_MS) or opening_ms
    fills = store.fills(limit=FILLS_COMPARED)
    account = exchange.balances()
    trades = exchange.trades(max(opening_ms, min([cursor_ms - TRADES_LOOKBACK_MS, *(fill.at_ms for fill in fills)])))
    listed = {trade.trade_id for trade in trades}
    unbooked = [
        trade
        for trade in trades
        if trade.at_ms >= opening_ms
        and not store.has_fill(trade.trade_id)
        and not store.has_entry(f"foreign:{trade.trade_id}")
    ]
    expected = dict(store.account_balances(Account.VENUE))
    for entry in map(booking.book_foreign, unbooked):
        for asset in {posting.asset for posting in entry.postings}:
            expected[asset] = expected.get(asset, money.ZERO) + entry.moved(Account.VENUE, asset)
    differences = booking.differences(expected, account)
    if differences:
        transfers = [
            transfer
            for transfer in exchange.transfers(opening_ms - TRANSFERS_LOOKBACK_MS)
            if not store.has_entry(f"transfer:{transfer.transfer_id}")
        ]
        differences = {a: d for a, d in differences.items() if not booking.match_transfers(a, d, transfers)}
    missing = [fill for fill in fills if fill.trade_id not in listed]
    return Evidence(len(fills), missing, unbooked, differences)


def _show(evidence: Evidence) -> None:
    output.facts(
        [
            (
                "our newest fills at the venue",
                f"{evidence.fills_compared - len(evidence.missing)} of {evidence.fills_compared}",
            ),
            ("trades not booked yet", len(evidence.unbooked)),
            (
                "balances that differ",
                ", ".join(f"{output.amount(d)} {a}" for a, d in evidence.differences.items()) or "none",
            ),
        ]
    )
