"""`btcbot canary`: the first live cycles of a new set-up, on one pair, with caps so small that a mistake is cheap.

It is `run` with settings that only get tighter: the same parts, the same loop, the same locks and the same guards of
the database. Before the first cycle, and again after every fifth, `preflight` and `doctor` look at everything; the
first cycle that does not complete ends it, and what happened is written down.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from btcbot.cli import checks, doctor, options, output, preflight, reading
from btcbot.cli.canary_evidence import Evidence, demand_writable, write
from btcbot.cli.checks import FAIL, PASS, WARN, Finding
from btcbot.cli.options import Amount, Where
from btcbot.errors import EXIT_DONE, EXIT_FAILED, EXIT_REFUSED, BtcbotError, Refused

if TYPE_CHECKING:
    from btcbot.bootstrap import Bot
    from btcbot.config.loading import LoadedSettings
    from btcbot.config.settings import Settings
    from btcbot.domain.cycles import CycleReport
    from btcbot.domain.feed import Wake
    from btcbot.loop import RunCycle

#: So many cycles of the timer between two looks at everything.
CHECK_EVERY_CYCLES: Final = 5
#: The position of a canary may be worth so many orders: two, and what they cost in fees.
POSITION_ORDERS: Final = Decimal(3)
TTL_SECONDS_MAX: Final = 86_400

F = TypeVar("F", bound=Callable[..., Any])


@click.group(
    "canary", cls=options.Family, short_help="Trade one pair with tiny caps, checks before and evidence after."
)
def command() -> None:
    """Trade one pair with tiny caps, checks before and evidence after.

    The settings are those of the run to come, only tighter: one pair, one order a cycle, no order above --notional-try.
    Preflight and doctor must pass first, and again after every fifth cycle.

    Exit status: 0 every cycle completed, 1 one did not or the doctor has doubts, 2 refused.

    \b
    Example:  btcbot canary once --symbol BTCTRY --env-file live.env
              btcbot canary loop --symbol BTCTRY --max-cycles 30 --export-out canary.jsonl
    """


def _shared(function: F) -> F:
    choices = (
        click.option("--symbol", required=True, metavar="PAIR", help="The one pair that is traded."),
        click.option(
            "--notional-try",
            type=Amount(),
            default="150",
            show_default=True,
            help="The most that an order, and a cycle, may be worth.",
        ),
        click.option(
            "--ttl-seconds",
            type=click.IntRange(1, TTL_SECONDS_MAX),
            default=30,
            show_default=True,
            help="Age at which an open order is cancelled.",
        ),
        click.option("--allow-warn", is_flag=True, help="Go on although the doctor has doubts; never after a FAIL."),
        click.option(
            "--export-out",
            type=click.Path(path_type=Path),
            default=None,
            metavar="PATH",
            help="Write cycles, verdicts, orders, fills and checks to this new file, as JSON Lines.",
        ),
    )
    function = options.report(function)
    for choice in reversed(choices):
        function = choice(function)
    return function


_CYCLE_SECONDS: Final = click.option(
    "--cycle-seconds", type=float, default=10.0, show_default=True, help="From tick to tick of the loop."
)


@command.command("once", short_help="One cycle.")
@_shared
def once(**given: Any) -> None:
    """One cycle.

    \b
    Example:  btcbot canary once --symbol BTCTRY --notional-try 150 --env-file live.env
    """
    _leave(Canary(is_loop=False, cycle_seconds=10.0, max_cycles=1, **given))


@command.command("loop", short_help="Cycles, until one does not complete.")
@_shared
@_CYCLE_SECONDS
@click.option(
    "--max-cycles", type=click.IntRange(min=1), default=60, show_default=True, help="End after so many cycles."
)
def loop(**given: Any) -> None:
    """Cycles, until one does not complete, or there have been enough. Resting orders are cancelled at the end.

    \b
    Example:  btcbot canary loop --symbol BTCTRY --max-cycles 30 --export-out canary.jsonl --env-file live.env
    """
    _leave(Canary(is_loop=True, **given))


def _leave(canary: Canary) -> None:
    """Run it, tell what it came to, end with its status. A refusal tells that nothing was traded by raising."""
    status = canary.run()
    summary = canary.summary(status)
    if canary.as_json:
        output.json_line(summary)
    else:
        # On a terminal a name without anything behind it looks like something that got lost.
        output.facts([(name.replace("_", " "), value) for name, value in summary.items() if value != ""])
    output.leave(status)


class Canary:
    """One run of it."""

    def __init__(
        self,
        *,
        symbol: str,
        notional_try: Decimal,
        ttl_seconds: int,
        allow_warn: bool,
        export_out: Path | None,
        db: Path | None,
        env_file: Path | None,
        as_json: bool,
        is_loop: bool,
        cycle_seconds: float,
        max_cycles: int,
    ) -> None:
        self.as_json = as_json
        self._symbol = symbol
        self._notional = notional_try
        self._ttl_seconds = ttl_seconds
        self._allow_warn = allow_warn
        self._export_out = export_out
        self._where = Where(db, env_file)
        self._is_loop = is_loop
        self._cycle_seconds = cycle_seconds
        self._max_cycles = max_cycles
        self._evidence = Evidence()
        self._stopped = ""

    def run(self) -> int:
        """The exit status. Raises Refused, with one line, for what forbids it from the start."""
        from btcbot.cli.running import RunOptions, run_profile
        from btcbot.profiles import RUN

        if self._export_out is not None:
            demand_writable(self._export_out)
        if self._notional <= 0:
            raise Refused("--notional-try: is zero; give the most that an order may be worth, such as 150")
        loaded = self._tightened(reading.load(self._where))
        settings = loaded.settings
        self._demand_real_orders(settings)
        self._demand_notional(settings)
        findings = self._look(loaded, None)
        if (level := checks.worst_of(findings)) == FAIL or (level == WARN and not self._allow_warn):
            self._stopped = _why(level, findings)
            self._export(settings)
            return EXIT_REFUSED if level == FAIL else EXIT_FAILED
        self._evidence.begin(settings.state_db_path)
        try:
            status = run_profile(
                RUN,
                RunOptions(
                    is_loop=self._is_loop,
                    cycle_seconds=self._cycle_seconds,
                    jitter_seconds=0.0,
                    max_cycles=self._max_cycles if self._is_loop else None,
                    env_file=self._where.env_file,
                    db=self._where.db,
                    cancel_on_exit=True,
                ),
                self._overrides(loaded.settings),
                around=lambda bot, run_cycle: self._watched(bot, run_cycle, loaded),
            )
        except BtcbotError as error:
            self._stopped = self._stopped or " ".join(str(error).split())
            raise
        finally:
            self._export(settings)
        if self._stopped:
            return EXIT_FAILED
        if status == EXIT_DONE and self._evidence.cycles < (self._max_cycles if self._is_loop else 1):
            self._stopped = f"it was told to, after {self._evidence.cycles} of {self._max_cycles} cycles"
        return status

    def summary(self, status: int) -> dict[str, object]:
        """What it came to, in numbers."""
        level = checks.worst_of(self._evidence.findings)
        counts = self._evidence.counts()
        return {
            "result": {EXIT_DONE: PASS, EXIT_REFUSED: FAIL}.get(status, "STOPPED"),
            "symbol": self._symbol,
            "notional_try": self._notional,
            **counts,
            "last_checks": level,
            "stopped": self._stopped,
            "evidence": "" if self._export_out is None else str(self._export_out),
        }

    # -- settings ----------------------------------------------------------------------------------------------------

    def _overrides(self, settings: Settings) -> dict[str, str]:
        """Settings that are tighter than those of the run to come, in every way or equal."""
        from btcbot.domain.money import plain

        position = self._notional * POSITION_ORDERS
        per_order = settings.max_notional_per_order_try
        # Targets of a whole portfolio name pairs that are not traded here.
        targets = {"PORTFOLIO_TARGETS": f"{self._symbol}:1"} if settings.portfolio_targets.weights else {}
        return {
            **targets,
            "SYMBOLS": self._symbol,
            "MAX_ORDERS_PER_CYCLE": "1",
            "MAX_OPEN_ORDERS_PER_SYMBOL": "1",
            "TTL_SECONDS": str(min(self._ttl_seconds, settings.ttl_seconds)),
            "SWEEP_ENABLED": "false",
            "ENTRY_BUDGET_TRY": plain(min(self._notional, settings.entry_budget_try)),
            "NOTIONAL_CAP_TRY_PER_CYCLE": plain(min(self._notional, settings.notional_cap_try_per_cycle)),
            "MAX_NOTIONAL_PER_ORDER_TRY": plain(min(self._notional, per_order) if per_order else self._notional),
            "MAX_POSITION_TRY_PER_SYMBOL": plain(min(position, settings.max_position_try_per_symbol)),
            "MAX_TOTAL_EXPOSURE_TRY": plain(min(position, settings.max_total_exposure_try)),
        }

    def _tightened(self, wide: LoadedSettings) -> LoadedSettings:
        """All settings, with the overrides among those of the command line."""
        from btcbot.config.loading import load_settings

        overrides = self._overrides(wide.settings)
        if self._where.db is not None:
            overrides["STATE_DB_PATH"] = str(self._where.db)
        loaded = load_settings(os.environ, self._where.env_file, overrides)
        if len(loaded.settings.symbols) != 1:
            raise Refused("--symbol: name one pair, such as BTCTRY; a canary trades no more")
        self._symbol = loaded.settings.symbols[0]  # as the venue writes it
        return loaded

    def _demand_real_orders(self, settings: Settings) -> None:
        if settings.dry_run or not settings.live_trading:
            raise Refused(
                "a canary sends real orders, and these settings send none; set DRY_RUN=false, LIVE_TRADING=true and "
                "LIVE_TRADING_ACK=I_UNDERSTAND, or use «btcbot run --dry-run»"
            )

    def _demand_notional(self, settings: Settings) -> None:
        """Refuse an order size that the venue would refuse, before anything else is looked at."""
        from btcbot.cli import venue
        from btcbot.domain import money

        with venue.public(settings) as exchange:
            rule = exchange.instruments().get(self._symbol)
        if rule is None:
            return  # told, with the nearest name, by the checks
        least = max(rule.value_min, settings.min_order_notional_try)
        # What is bought has to be worth enough to be sold again, the buy's fee taken off.
        needed = money.divide_up(least, money.ONE - settings.fee_bps_taker * money.BPS, 2)
        if self._notional < needed:
            raise Refused(
                f"--notional-try: {money.plain(self._notional)} is below the {money.plain(needed)} that {self._symbol} "
                f"needs (smallest order {money.plain(least)} and the fee); give more"
            )

    # -- checks and cycles -------------------------------------------------------------------------------------------

    def _look(self, loaded: LoadedSettings, bot: Bot | None) -> list[Finding]:
        """Preflight and doctor, told on stderr; `bot` is the run that asks about itself."""
        inside = None if bot is None else bot.exchange
        where = Where(loaded.settings.state_db_path, self._where.env_file)
        before = preflight.examine(where, preflight.LIVE, loaded=loaded, inside=inside)
        findings = checks.told("canary preflight", before, as_json=self.as_json, on_stderr=True)
        after = doctor.examine(where, loaded=loaded, inside=inside)
        findings += checks.told("canary doctor", after, as_json=self.as_json, on_stderr=True)
        self._evidence.looked(findings)
        return findings

    def _watched(self, bot: Bot, run_cycle: RunCycle, loaded: LoadedSettings) -> RunCycle:
        """Each cycle, and what makes it the last one."""
        from btcbot.domain.cycles import CycleOutcome
        from btcbot.domain.feed import Wake as Wakes

        def run(wake: Wake) -> CycleReport:
            report = run_cycle(wake)
            if wake is not Wakes.TIME and report.outcome is not CycleOutcome.HALTED:
                return report  # one that the feed woke asks the venue nothing, so nothing of it can fail
            self._evidence.cycles += 1
            if report.outcome is not CycleOutcome.COMPLETED:
                self._stopped = f"{report.cycle_id} {report.outcome.value}: {'; '.join(report.reasons)}"
            elif report.reasons:
                self._stopped = f"{report.cycle_id}: {'; '.join(report.reasons)}"
            elif self._evidence.cycles % CHECK_EVERY_CYCLES == 0:
                findings = self._look(loaded, bot)
                level = checks.worst_of(findings)
                if level == FAIL or (level == WARN and not self._allow_warn):
                    self._stopped = _why(level, findings)
            return _as_the_last(report) if self._stopped else report

        return run

    def _export(self, settings: Settings) -> None:
        """Write down what happened, whatever it was; an evidence that cannot be written is told, not raised."""
        self._evidence.gather(settings.state_db_path)
        if self._export_out is None:
            return
        try:
            write(self._export_out, self._evidence, settings, self._stopped)
        except OSError as error:
            click.echo(f"btcbot: the evidence cannot be written to {self._export_out}: {error.strerror}", err=True)


def _as_the_last(report: CycleReport) -> CycleReport:
    """To the loop, a report after which it ends; what the books hold of the cycle is the report as it was."""
    import msgspec

    from btcbot.domain.cycles import CycleOutcome

    return msgspec.structs.replace(report, outcome=CycleOutcome.HALTED)


def _why(level: str, findings: list[Finding]) -> str:
    """The findings that stop it, in a line."""
    said = [f"[{one.category}] {one.name} - {one.message}" for one in findings if one.level == level]
    hint = " (--allow-warn goes on)" if level == WARN else ""
    return f"{level}{hint}: {'; '.join(dict.fromkeys(said))}"


__all__ = ["Canary", "command"]
