"""`btcbot export`: rows of a database into a file that other programs read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from btcbot.cli import options, output, reading
from btcbot.cli.options import Where
from btcbot.errors import EXIT_FAILED, Refused

if TYPE_CHECKING:
    from btcbot.ports import StateStore
    from btcbot.reporting.export import Row
    from btcbot.reporting.tax import TaxList

WHAT = ("cycles", "fills", "orders", "ledger", "notes", "tax")
FORMATS = ("csv", "json", "jsonl", "parquet")


@click.command(short_help="Write cycles, fills, orders, the ledger or the trades of a tax year to a file.")
@click.option("--what", type=click.Choice(WHAT), required=True, help="Which rows.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="csv", show_default=True, help="How.")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="PATH", help="The file to make.")
@click.option(
    "--last",
    type=options.COUNT,
    metavar="N",
    help="Only the newest N cycles, fills, orders, entries, or notes of each kind.",
)
@click.option(
    "--year", type=click.IntRange(2000, 2099), metavar="YEAR", help="Only this year (Istanbul); for --what tax."
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@options.report
def command(
    what: str,
    form: str,
    out: Path,
    last: int | None,
    year: int | None,
    db: Path | None,
    env_file: Path | None,
    *,
    force: bool,
    as_json: bool,
) -> None:
    """Write rows of the database to a file, oldest first. The file appears when it is complete, or not at all.

    Money is text in every format, to the last digit. `tax` lists each sale of a year with what it had cost by the
    average cost of the books, its fee and tax, its profit and the position after it; purchases stand between. Its sums
    by month and year are printed (with --format json they are in the file too) and must equal the books, else nothing
    is written and the exit status is 1. `notes` are what the profiles write down beside the books: results, anomalies,
    selections of symbols, replacements, changes of parameters, what an agent said.

    \b
    Examples:  btcbot export --what tax --year 2026 --out trades-2026.csv
               btcbot export --what cycles --format jsonl --last 1000 --out cycles.jsonl
    """
    from btcbot.reporting import export
    from btcbot.reporting.export import Format
    from btcbot.reporting.report import SCHEMA_VERSION

    if year is not None and what != "tax":
        raise Refused(f"--year belongs to --what tax; for {what} say --last N, or take all")
    if last is not None and what == "tax":
        raise Refused("--last would leave out trades of the year: say --year instead")
    if form == Format.PARQUET.value:
        from btcbot.adapters.replay.extra import demand_research

        demand_research("--format parquet")
    export.demand_writable(out, force=force)
    extra: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "what": what}
    taxes: TaxList | None = None
    with reading.open_book(Where(db, env_file)) as store:
        if what == "tax":
            from btcbot.reporting.folding import fold
            from btcbot.reporting.tax import tax_list

            taxes = tax_list(fold(store), year)
            rows: Sequence[Row] = [export.tax_row(row) for row in taxes.rows]
            columns: Sequence[str] = export.TAX_COLUMNS
            extra |= {"quote_asset": taxes.quote_asset, "months": taxes.months, "years": taxes.years}
        else:
            rows, columns = _rows(store, what, last)
    if taxes is not None and taxes.findings:
        for finding in taxes.findings:
            click.echo(f"btcbot: {output.clean(finding.line)}", err=True)
        click.echo(f"btcbot: {out} was not written: its sums would not be those of the books", err=True)
        output.leave(EXIT_FAILED)
    shaped = output.shaped(extra)
    assert isinstance(shaped, dict), "a mapping stays one"
    export.write(rows, columns, out, Format(form), shaped)
    if as_json:
        output.json_line({**extra, "out": str(out), "format": form, "rows": len(rows)})
        return
    output.line(f"{out}: {len(rows)} rows")
    if taxes is not None:
        _show_sums(taxes)


def _rows(store: StateStore, what: str, last: int | None) -> tuple[Sequence[Row], Sequence[str]]:
    from btcbot.domain.notes import NoteKind
    from btcbot.reporting import export

    match what:
        case "cycles":
            cycles = store.cycles(last or max(1, store.cycle_count()))
            return [export.cycle_row(cycle) for cycle in reversed(cycles)], export.CYCLE_COLUMNS
        case "fills":
            return [export.fill_row(fill) for fill in store.fills(limit=last)], export.FILL_COLUMNS
        case "orders":
            orders = store.recent_orders(last or max(1, store.order_count()))
            return [export.order_row(order) for order in reversed(orders)], export.ORDER_COLUMNS
        case "notes":
            notes = sorted(
                (note for kind in NoteKind for note in store.notes(kind, limit=last)), key=lambda note: note.at_ms
            )
            return [export.note_row(note) for note in notes], export.NOTE_COLUMNS
        case _:
            entries = store.entries(last)
            return [row for entry in entries for row in export.ledger_rows(entry)], export.LEDGER_COLUMNS


def _show_sums(taxes: TaxList) -> None:
    columns = ("period", "sales", "proceeds", "cost", "fees and taxes of sales", "profit", "purchases", "spent")
    output.table(
        f"sums, {taxes.quote_asset} (equal to the books)",
        columns,
        [
            (
                one.period,
                one.sales,
                *map(
                    output.amount,
                    (one.proceeds, one.acquisition_cost, one.fees_of_sales + one.taxes_of_sales, one.profit),
                ),
                one.purchases,
                output.amount(one.spent),
            )
            for one in (*taxes.months, *taxes.years)
        ],
        numbers=columns[1:],
    )
