"""`btcbot position`: what the bot holds and may sell; hand it inventory that was bought elsewhere."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import click

from btcbot.cli import options, output, reading
from btcbot.cli.options import Where

_COLUMNS = ("symbol", "quantity", "average cost", "cost", "realised", "fees", "taxes")


@click.group(
    cls=options.Family,
    invoke_without_command=True,
    short_help="Show positions; hand the bot one that was bought elsewhere.",
)
@options.report
@click.pass_context
def command(context: click.Context, db: Path | None, env_file: Path | None, *, as_json: bool) -> None:
    """Show positions: what the bot bought, or was handed, and may sell. Costs include fee and tax.

    \b
    Examples:  btcbot position
               btcbot position adopt BTCTRY 0.015 60000
    """
    if context.invoked_subcommand is not None:
        return
    with reading.open_book(Where(db, env_file)) as store:
        positions = store.positions()
    if as_json:
        output.json_line(
            {
                "positions": {
                    symbol: {
                        "quantity": p.quantity,
                        "average_cost": p.average_cost,
                        "cost": p.cost,
                        "realized_pnl": p.realized_pnl,
                        "fees_paid": p.fees_paid,
                        "taxes_paid": p.taxes_paid,
                    }
                    for symbol, p in positions.items()
                }
            }
        )
        return
    output.table(
        "positions",
        _COLUMNS,
        [
            (
                symbol,
                *map(
                    output.amount,
                    (p.quantity, p.average_cost, p.cost, p.realized_pnl, p.fees_paid, p.taxes_paid),
                ),
            )
            for symbol, p in sorted(positions.items())
        ],
        numbers=_COLUMNS[1:],
    )


@command.command(short_help="Hand the bot what was bought elsewhere.")
@click.argument("symbol")
@click.argument("quantity", type=options.Amount())
@click.argument("cost", type=options.Amount())
@options.asks_the_bot
def adopt(
    symbol: str,
    quantity: Decimal,
    cost: Decimal,
    db: Path | None,
    env_file: Path | None,
    wait: float,
    *,
    as_json: bool,
) -> None:
    """Let the bot sell QUANTITY of SYMBOL that was in the account before it began; COST is what all of it cost in TRY.

    \b
    Example:  btcbot position adopt BTCTRY 0.015 60000     0.015 BTC, bought for 60,000 TRY in all
    """
    from btcbot.cli import request
    from btcbot.domain import money

    if quantity <= 0:
        raise click.UsageError("QUANTITY must be above zero")
    arguments = {"symbol": _symbol(symbol), "quantity": money.plain(quantity), "cost": money.plain(cost)}
    request.ask(Where(db, env_file), "adopt", arguments, wait, as_json=as_json)


@command.command(short_help="Take back what you sold or moved by hand.")
@click.argument("symbol")
@click.argument("quantity", type=options.Amount())
@options.reason_option
@options.asks_the_bot
def release(
    symbol: str,
    quantity: Decimal,
    reason: str,
    db: Path | None,
    env_file: Path | None,
    wait: float,
    *,
    as_json: bool,
) -> None:
    """Take QUANTITY of SYMBOL out of the bot's position: you sold it by hand, moved it away, or want to keep it.

    Its share of the cost goes along; no profit or loss is booked.

    \b
    Example:  btcbot position release BTCTRY 0.015 --reason "sold on the web page"
    """
    from btcbot.cli import request
    from btcbot.domain import money

    if quantity <= 0:
        raise click.UsageError("QUANTITY must be above zero")
    arguments = {"symbol": _symbol(symbol), "quantity": money.plain(quantity), "reason": reason}
    request.ask(Where(db, env_file), "release", arguments, wait, as_json=as_json)


def _symbol(text: str) -> str:
    from btcbot.config import values

    try:
        found = values.symbols(text)
    except ValueError as error:
        raise click.UsageError(f"SYMBOL {error}") from None
    if not isinstance(found, tuple) or len(found) != 1:
        raise click.UsageError("SYMBOL must be one pair, such as BTCTRY")
    return str(found[0])
