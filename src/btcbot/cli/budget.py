"""`btcbot budget`: what the risk budget measures, by which limits, and what it leaves; measure drawdown anew."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from btcbot.cli import options, output, reading
from btcbot.cli.options import Where

if TYPE_CHECKING:
    from decimal import Decimal

    from btcbot.adapters.store.sqlite import SqliteStore

_SHOWN: Final = 10
#: The setting of each limit, in the order in which they are told.
_SETTINGS: Final = {
    "daily_loss_max": "RISK_MAX_DAILY_DRAWDOWN_TRY",
    "drawdown_max": "RISK_MAX_DRAWDOWN_TRY",
    "drawdown_pct_max": "MAX_DRAWDOWN_PCT",
    "exposure_max": "RISK_MAX_GROSS_EXPOSURE_TRY",
    "position_pct_max": "RISK_MAX_POSITION_PCT",
    "fees_per_day_max": "RISK_MAX_FEE_TRY_PER_DAY",
    "loss_streak_at": "RISK_MAX_CONSECUTIVE_LOSSES",
    "loss_streak_buy_share": "RISK_LOSS_STREAK_BUY_SHARE",
    "volatility_high": "RISK_VOLATILITY_HIGH",
    "volatility_buy_share": "RISK_VOLATILITY_BUY_SHARE",
    "buy_stop_daily_loss_pct": "RISK_BUY_STOP_DAILY_LOSS_PCT",
    "buy_stop_drawdown_pct": "RISK_BUY_STOP_DRAWDOWN_PCT",
}


@click.group(
    cls=options.Family,
    invoke_without_command=True,
    short_help="Show the risk budget; measure drawdown anew after a fall.",
)
@click.pass_context
def command(context: click.Context) -> None:
    """The risk budget of stage4-run and stage7-run: results, limits, and what they leave of trading.

    \b
    Examples:  btcbot budget status
               btcbot budget reset --reason "looked at the fall of March; going on with less"
    """
    if context.invoked_subcommand is None:
        raise click.UsageError("say status or reset; «btcbot budget --help» tells more")


@command.command(short_help="Show results, limits and what is in force.")
@options.report
def status(db: Path | None, env_file: Path | None, *, as_json: bool) -> None:
    """Show what the books come to at the last prices seen, the limits, and what they left of the last overseen cycle.
    Reads the database only.

    \b
    Example:  btcbot budget status --json
    """
    with reading.open_book(Where(db, env_file)) as store:
        told = collect(store, reading.now_ms())
    if as_json:
        output.json_line(told)
    else:
        _show(told)


def collect(store: SqliteStore, now_ms: int) -> dict[str, Any]:
    """Everything that `budget status` tells."""
    import msgspec

    from btcbot.decisions import results as folding
    from btcbot.services import budget_record, named_values, values
    from btcbot.services.day_loss import day_loss
    from btcbot.services.days import day

    found, today = budget_record.measure(store), day(now_ms)
    results = folding.on_day(found.results, today)
    began = named_values.calendar_day(store, values.PNL_DAY)
    start = named_values.amount(store, values.PNL_DAY_START)
    is_known = not found.unmarked
    daily = found.profit - start if is_known and began == today and start is not None else None
    in_force = budget_record.read_in_force(store)
    of_day = day_loss(store, daily, is_known=is_known)
    return {
        "results": {
            "equity": found.equity,
            "profit": found.profit if is_known else None,
            "realized": found.realized,
            "unrealized": found.unrealized if is_known else None,
            "daily": daily,
            "peak": results.peak if results.peak_equity is not None else None,
            "drawdown": found.drawdown,
            "drawdown_pct": found.drawdown_pct,
            "fees_today": results.fees_today + results.taxes_today,
            "loss_streak": results.loss_streak,
            "positions": found.worth,
            "unmarked": found.unmarked,
        },
        "daily_loss": None if of_day is None else msgspec.structs.asdict(of_day),
        "limits": None if in_force is None else msgspec.structs.asdict(in_force.limits),
        "in_force": None
        if in_force is None
        else {
            "mode": in_force.mode,
            "buy_share": in_force.buy_share,
            "no_buys": in_force.no_buys,
            "reasons": in_force.reasons,
            "since_ms": in_force.at_ms,
            "cycle_id": in_force.cycle_id,
        },
        "resets": [
            {"at_ms": note.at_ms, **msgspec.structs.asdict(body)}
            for note, body in budget_record.read_resets(store, _SHOWN)
        ],
    }


def _show(told: dict[str, Any]) -> None:
    results, in_force = told["results"], told["in_force"]
    mode = "no cycle of stage4-run or stage7-run yet"
    if in_force is not None:
        share = in_force["buy_share"]
        mode = f"{in_force['mode'].value}, buys {'whole' if share == 1 else f'at {output.amount(share)}'}"
        mode += f", since {output.moment(in_force['since_ms'])}"
    facts = [("in force", mode), *(("because", output.clean(why)) for why in (in_force or {}).get("reasons", ()))]
    names = ("equity", "profit", "daily", "peak", "drawdown", "drawdown_pct", "fees_today")
    facts += [(name.replace("_", " "), output.amount(results[name])) for name in names]
    facts.append(("loss streak", str(results["loss_streak"])))
    if told["daily_loss"] is not None:
        facts.append(("buys today", _buys_today(told["daily_loss"])))
    if results["unmarked"]:
        facts.append(("without a price", ", ".join(results["unmarked"])))
    output.facts(facts)
    if told["limits"] is not None:
        rows = [(setting, output.amount(_exact(told["limits"][name]))) for name, setting in _SETTINGS.items()]
        output.table("limits of the last overseen cycle", ("setting", "limit"), rows, numbers=("limit",))
    output.table(
        "resets of the drawdown",
        ("at", "peak before", "peak after", "drawdown", "why"),
        [
            (
                output.moment(one["at_ms"]),
                output.amount(one["peak_before"]),
                output.amount(one["peak_after"]),
                output.amount(one["drawdown"]),
                output.clean(one["reason"]),
            )
            for one in told["resets"]
        ],
        numbers=("peak before", "peak after", "drawdown"),
    )


def _buys_today(found: dict[str, Any]) -> str:
    """What the loss of the day leaves of buys, whatever else is in force."""
    limit = f"{output.amount(found['limit'])} (MAX_DAILY_LOSS_TRY)"
    if found["refuses_buys"] is None:
        return f"no cycle has begun the day; refused from a loss of {limit}"
    if found["lost"] is None:
        return f"REFUSED while today's loss is unknown; at most {limit}"
    lost = f"{output.amount(found['lost'])} lost, at most {limit}"
    if not found["refuses_buys"]:
        return f"not refused by this limit: {lost}"
    return f"REFUSED: {lost}; until midnight in Istanbul, or until less is lost"


def _exact(value: Decimal | int) -> Decimal:
    """A count is told as an amount."""
    from decimal import Decimal

    return Decimal(value)


@command.command(short_help="Measure drawdown from the profit of now on.")
@options.reason_option
@options.asks_the_bot
def reset(reason: str, db: Path | None, env_file: Path | None, wait: float, *, as_json: bool) -> None:
    """Measure drawdown from the profit of now on, at the last prices seen.

    It holds for all who look at a fall: the risk budget, the agent's AGENT_MAX_DRAWDOWN_TRY and adaptation. What was
    lost stays in the books and in every report. The loss of the day and all other limits hold as before.

    \b
    Example:  btcbot budget reset --reason "looked at the fall of March; going on with less"
    """
    from btcbot.cli import request

    request.ask(Where(db, env_file), "budget_reset", {"reason": reason}, wait, as_json=as_json)
