"""`btcbot report`: what a run came to, from its database alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from btcbot.cli import options, output, reading
from btcbot.cli.options import Where
from btcbot.errors import EXIT_FAILED

if TYPE_CHECKING:
    from decimal import Decimal

    from btcbot.reporting.figures import Period, Report, Traded

#: As many days and weeks are told to people; JSON has them all.
PERIODS_SHOWN = 14


@click.command(short_help="Tell what a run came to: cycles, days and weeks, profit, fees, slippage, reasons.")
@click.option("--last", type=options.COUNT, metavar="N", help="Only the newest N cycles; all without it.")
@click.option(
    "--compare",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DB",
    help="Another database to set beside it; may be said several times.",
)
@options.report
def command(
    last: int | None, compare: tuple[Path, ...], db: Path | None, env_file: Path | None, *, as_json: bool
) -> None:
    """Tell what a run came to: result, drawdown, costs, by day and week (in Istanbul), symbol and strategy.

    Every cycle is checked against the ledger: equity must be realised plus unrealised profit plus what was put in, to
    the last digit. Slippage is how much worse trades were than the mid price that the cycle decided on; it lies in the
    result already and is not taken off again.

    Reads the database only: it works while the bot runs, without keys, and when the venue is down. Exit status 1 when
    a row or a sum is wrong, with one line for each.

    \b
    Examples:  btcbot report --last 1000
               btcbot report --db monday.db --compare tuesday.db --json
    """
    from btcbot.reporting.report import make_report

    where = Where(db, env_file)
    with reading.open_book(where) as store:
        report = make_report(store, last)
    others: dict[str, Report] = {}
    for path in compare:
        with reading.open_book(Where(path, None)) as store:
            others[str(path)] = make_report(store, last)
    name = str(reading.database_path(where))
    if as_json:
        output.json_line({"database": name, **_as_mapping(report), "compared": others})
    else:
        _show(report)
        if others:
            _show_beside({name: report, **others})
    problems = [one.line for one in report.findings]
    problems += [f"{path}: {one.line}" for path, other in others.items() for one in other.findings]
    for problem in problems:
        click.echo(f"btcbot: {output.clean(problem)}", err=True)
    if problems:
        output.leave(EXIT_FAILED)


def _as_mapping(report: Report) -> Mapping[str, object]:
    import msgspec

    return msgspec.structs.asdict(report)


def _share(ratio: Decimal | None) -> str:
    """`0.1234` as `12.34 %`."""
    return output.NOTHING if ratio is None else f"{output.amount(ratio * 100)} %"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"


def _show(report: Report) -> None:
    result, traded, quote = report.result, report.traded, report.quote_asset
    fall = report.drawdown
    output.facts(
        [
            ("book", f"{report.book_id or output.NOTHING} ({report.mode or 'no mode'})"),
            ("cycles", f"{report.cycles} of {report.cycles_total}: {_counts(report.outcomes)}"),
            ("from, to", f"{output.moment(report.first_at_ms)}, {output.moment(report.last_at_ms)}"),
            ("profiles", ", ".join(report.profiles) or output.NOTHING),
            (f"equity, {quote}", output.amount(result.equity)),
            ("  put in", output.amount(result.put_in)),
            ("  result", _profit(report)),
            ("  of these cycles", output.amount(result.profit_here)),
            ("  on its way", output.amount(result.under_way)),
            ("books and cycles", _agreement(report)),
            ("drawdown", _fall(fall.amount, fall.ratio, fall.high_cycle, fall.low_cycle)),
            ("fees, taxes", f"{output.amount(traded.fees)}, {output.amount(traded.taxes)}"),
            ("slippage", _slippage(traded)),
            ("turnover", f"{output.amount(traded.turnover)} in {traded.fills} fills"),
            (
                "orders",
                f"{report.orders.sent} sent, {report.orders.touched} with fills ({_share(report.orders.fill_rate)}), "
                f"{report.orders.filled} filled whole, {report.orders.never_sent} never sent",
            ),
        ]
    )
    output.table("why nothing was traded", ("reason", "times"), list(report.reasons.items()), numbers=("times",))
    output.table(
        "positions",
        ("symbol", "quantity", "average cost", "last bid", "unrealised"),
        [(p.symbol, *map(output.amount, (p.quantity, p.average_cost, p.bid, p.unrealized))) for p in report.positions],
        numbers=("quantity", "average cost", "last bid", "unrealised"),
    )
    _show_traded("by symbol", "symbol", report.symbols)
    _show_traded("by strategy", "strategy", report.strategies)
    _show_periods("days (Istanbul)", "day", report.days)
    _show_periods("weeks (Istanbul)", "week", report.weeks)


def _profit(report: Report) -> str:
    result = report.result
    if result.profit is None:
        return f"{output.NOTHING} (no cycle could tell it)"
    parts = f"{output.amount(result.realized)} realised, {output.amount(result.unrealized)} unrealised"
    return f"{output.amount(result.profit)}: {parts}"


def _agreement(report: Report) -> str:
    """Where no cycle has told its equity, nothing was compared but positions with the ledger."""
    if not report.result.identity_holds:
        return "DISAGREE, see below"
    return "agree to the last digit" if report.result.profit is not None else "no cycle to compare yet"


def _fall(amount: Decimal, ratio: Decimal | None, high: str | None, low: str | None) -> str:
    return f"{output.amount(amount)} ({_share(ratio)}), from cycle {high} to {low}" if amount else "none"


def _slippage(traded: Traded) -> str:
    told = f"{output.amount(traded.slippage)} against the mid at decision (part of the result)"
    return f"{told}; {traded.unmeasured} fills not measured" if traded.unmeasured else told


def _show_traded(title: str, heading: str, rows: Mapping[str, Traded]) -> None:
    columns = (heading, "fills", "bought", "sold", "realised", "fees", "taxes", "slippage")
    output.table(
        title,
        columns,
        [
            (name, t.fills, *map(output.amount, (t.bought, t.sold, t.gain, t.fees, t.taxes, t.slippage)))
            for name, t in rows.items()
        ],
        numbers=columns[1:],
    )


def _show_periods(title: str, heading: str, periods: Sequence[Period]) -> None:
    columns = (heading, "cycles", "result", "put in", "equity", "fills", "turnover", "fees", "taxes", "slippage")
    shown = periods[-PERIODS_SHOWN:]
    output.table(
        title if len(shown) == len(periods) else f"{title}, the last {len(shown)} of {len(periods)}",
        columns,
        [
            (
                p.name,
                p.cycles,
                *map(output.amount, (p.profit, p.put_in, p.equity)),
                p.traded.fills,
                *map(output.amount, (p.traded.turnover, p.traded.fees, p.traded.taxes, p.traded.slippage)),
            )
            for p in shown
        ],
        numbers=columns[1:],
    )


def _show_beside(reports: Mapping[str, Report]) -> None:
    columns = ("database", "cycles", "equity", "result", "drawdown", "fees", "slippage", "turnover", "fills", "filled")
    output.table(
        "side by side",
        columns,
        [
            (
                name,
                r.cycles,
                *map(output.amount, (r.result.equity, r.result.profit_here)),
                _share(r.drawdown.ratio),
                *map(output.amount, (r.traded.fees + r.traded.taxes, r.traded.slippage, r.traded.turnover)),
                r.traded.fills,
                _share(r.orders.fill_rate),
            )
            for name, r in reports.items()
        ],
        numbers=columns[1:],
    )
