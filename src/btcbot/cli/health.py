"""`btcbot health`: how the venue answers now. Public data only, no key."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from btcbot.cli import options, output, reading
from btcbot.cli.options import Where
from btcbot.errors import EXIT_FAILED, VenueUnavailable

if TYPE_CHECKING:
    from btcbot.ports import Exchange


@click.command(short_help="Ask the venue for its time and rules; tell how it answers.")
@options.report
def command(db: Path | None, env_file: Path | None, *, as_json: bool) -> None:
    """Ask the venue for its time and rules; tell how it answers. Needs no key; exit status 1 when it does not answer.

    \b
    Example:  btcbot health --json
    """
    from btcbot.cli import venue

    settings = reading.load(Where(db, env_file)).settings
    with venue.public(settings) as exchange:
        try:
            report = _ask(exchange, settings.btcturk_base_url, settings.symbols)
        except VenueUnavailable as down:
            report = {"reachable": False, "venue": settings.btcturk_base_url, "reason": str(down)}
    if as_json:
        output.json_line(report)
        if not report["reachable"]:
            output.leave(EXIT_FAILED)
    elif not report["reachable"]:
        raise VenueUnavailable(f"{settings.btcturk_base_url} does not answer: {report['reason']}")
    else:
        _show(report)


def _ask(exchange: Exchange, base_url: str, symbols: tuple[str, ...]) -> dict[str, Any]:
    began = time.monotonic()
    venue_time_ms = exchange.venue_time_ms()
    skew_ms = exchange.health().clock_skew_ms
    instruments = exchange.instruments()
    return {
        "reachable": True,
        "venue": base_url,
        "server_time_ms": venue_time_ms,
        "clock_skew_ms": skew_ms,
        "seconds": f"{time.monotonic() - began:.3f}",
        "pairs": len(instruments),
        "rules": {symbol: instruments.get(symbol) for symbol in symbols},
    }


def _show(report: dict[str, Any]) -> None:
    output.facts(
        [
            ("venue", report["venue"]),
            ("its time", output.moment(report["server_time_ms"])),
            ("clock skew", f"{report['clock_skew_ms']} ms"),
            ("answered in", f"{report['seconds']} s"),
            ("pairs listed", report["pairs"]),
        ]
    )
    output.table(
        "rules",
        ("symbol", "trading", "tick", "lot", "smallest value"),
        [
            (symbol, "not listed", *[output.NOTHING] * 3)
            if rule is None
            else (
                symbol,
                "yes" if rule.is_trading else "no",
                output.amount(rule.tick),
                output.amount(rule.lot),
                output.amount(rule.value_min),
            )
            for symbol, rule in report["rules"].items()
        ],
        numbers=("tick", "lot", "smallest value"),
    )
