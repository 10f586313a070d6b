"""The command line. Each command lives in a module of its own that is imported only when it is called.

Exit status: 0 done, 1 failed, 2 refused. Errors that btcbot raises on purpose become one clear line on stderr each; a
traceback means a defect of the program.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Final

import click

from btcbot import __version__
from btcbot.errors import EXIT_FAILED, EXIT_REFUSED, BtcbotError

#: Command → module that defines it under the same name (dashes become underscores), and its line in `--help`.
COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "run": ("run", "Run trading cycles: a dry run unless every safety gate is open."),
    "stage4-run": (
        "stage4_run",
        "Run the unattended portfolio: the same cycles, with targets, upkeep and a risk budget.",
    ),
    "stage7-run": ("stage7_run", "Run the adaptive portfolio on paper: it never writes to the venue."),
    "canary": ("canary", "Trade one pair with tiny caps, checks before and evidence after."),
    "preflight": ("preflight", "Check whether a run may start now: gates, caps, locks, key and clock."),
    "demo": ("demo", "Trade on a local BtcTurk and compare the books with the venue's."),
    "status": ("status", "Show mode, gates, positions, orders in doubt and the last cycle."),
    "orders": ("orders", "List orders; cancel one, or resolve one that is in doubt."),
    "ledger": ("ledger", "Show balances and suspense as booked; explain what lies in suspense."),
    "cycles": ("cycles", "List the last cycles, or tell one with every verdict."),
    "position": ("position", "Show positions; hand the bot one that was bought elsewhere."),
    "kill": ("kill", "Stop new orders at once: kill on, kill off, kill status."),
    "degrade": ("degrade", "Show, clear or override how far anomalies have narrowed trading."),
    "budget": ("budget", "Show the risk budget; measure drawdown anew after a fall."),
    "freeze": ("freeze", "Show or clear the freeze on orders that nobody can explain."),
    "replacements": ("replacements", "Show orders that make room for others; clear a list that cannot be read."),
    "params": ("params", "Show, or put back, the parameters that stage7-run adapts."),
    "resume": ("resume", "Reopen a bot that halted, after looking at the evidence."),
    "config": ("config", "Show every setting in force and where it came from, secrets masked."),
    "watch": ("watch", "Show the order book and the last trades of a pair, live."),
    "health": ("health", "Ask the venue for its time and rules; tell how it answers."),
    "doctor": ("doctor", "Check everything that a live run needs, and say how to mend what is wrong."),
    "db": ("db", "Look after the state database: locks, migrate, backup, verify, rebind."),
    "report": ("report", "Tell what a run came to: cycles, days and weeks, profit, fees, slippage, reasons."),
    "export": ("export", "Write cycles, fills or the trades of a tax year as CSV, JSON, JSON Lines or Parquet."),
    "alerts": ("alerts", "List the alerts that fired, and the rules."),
    "data": ("data", "Import, capture, check and show recorded market data for backtests."),
    "backtest": ("backtest", "Run the trading cycle over recorded bars and report what came of it."),
    "optimise": ("optimise", "Search a strategy's parameters, with out-of-sample results beside in-sample ones."),
    "strategy": ("strategy", "List strategies and their parameters; write the skeleton of a new one."),
    "replay": ("replay", "Feed a recorded run to the same cycle: it must decide the same."),
    "parity": ("parity", "Compare two runs cycle by cycle and name the first difference."),
    "replay-init": ("replay_init", "The same as «data init»."),
    "replay-capture": ("replay_capture", "The same as «data capture»."),
    "stage4-freeze-status": ("freeze_status", "The same as «freeze status»."),
    "stage4-freeze-clear": ("freeze_clear", "The same as «freeze clear»."),
    "stage7-backtest": ("stage7_backtest", "The same as «backtest --profile stage7»."),
    "stage7-parity": ("stage7_parity", "The same as «parity»."),
    "stage7-report": ("stage7_report", "The same as «report»."),
    "stage7-export": ("stage7_export", "The same as «export»."),
    "stage7-alerts": ("stage7_alerts", "The same as «alerts»."),
    "stage7-db-count": ("stage7_db_count", "The same as «db count»."),
    "simulate": ("simulate", "Play a world of faults from a seed and check every invariant."),
}


class LazyGroup(click.Group):
    """Knows the commands by name and imports one when it is asked for: `--help` must not load a database driver."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"btcbot.cli.{COMMANDS[cmd_name][0]}")
        command = module.command
        assert isinstance(command, click.Command), f"btcbot.cli.{COMMANDS[cmd_name][0]} defines no command"
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table above, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """A misspelt command is answered with the nearest one."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in COMMANDS:
            from difflib import get_close_matches

            near = get_close_matches(name, COMMANDS, n=1)
            hint = f"; did you mean «{near[0]}»?" if near else "; «btcbot --help» lists them"
            raise click.UsageError(f"there is no command «{name}»{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Start with «btcbot demo»: it trades on a local BtcTurk, with no key and no money.",
)
@click.version_option(__version__, prog_name="btcbot")
def root() -> None:
    """An unattended spot trading bot for BtcTurk.

    It writes an order down before it sends it, sends it once, believes only what is proved, and keeps books that equal
    the venue's to the last digit. Without any setting it simulates: real orders need every safety gate open.

    \b
    Settings come from the environment and from .env.live (or --env-file); «btcbot config» lists them all.
    Exit status: 0 done, 1 failed, 2 refused.
    Completion: eval "$(_BTCBOT_COMPLETE=bash_source btcbot)"   (or zsh_source, fish_source)
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `btcbot`, `python -m btcbot` and `python -m btcbot.cli`."""
    if arguments is None:
        # A process of our own, and no secret read yet. A caller within another program keeps its limits and its umask.
        from btcbot.adapters.hardening import harden

        harden()
    try:
        status = root.main(args=arguments, prog_name="btcbot", standalone_mode=False)
        if isinstance(status, int):  # what `Context.exit` was given
            sys.exit(status)
    except click.exceptions.NoArgsIsHelpError as helped:
        click.echo(helped.format_message(), err=True)
        sys.exit(EXIT_REFUSED)
    except click.ClickException as problem:
        # Where an option is missing the library lists its choices below each other, and says no more.
        mend = ""
        if isinstance(problem, click.MissingParameter) and problem.ctx is not None:
            mend = f" «{problem.ctx.command_path} --help» tells what it is."
        click.echo(f"btcbot: {' '.join(problem.format_message().split())}{mend}", err=True)
        sys.exit(EXIT_REFUSED)
    except click.Abort:
        sys.exit(EXIT_FAILED)
    except BtcbotError as error:
        for line in str(error).splitlines():
            click.echo(f"btcbot: {line}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output went away («| head»): that is its right.
        sys.stderr.close()
        sys.exit(EXIT_FAILED)
    except OSError as error:
        # Such as an output on a full disk. The system's own words name the file, where there is one.
        click.echo(f"btcbot: {error}", err=True)
        sys.exit(EXIT_FAILED)
    except Exception as error:  # noqa: BLE001 - a defect of the program, told like Python would, but for secrets
        from btcbot.adapters.redaction import traceback_without_secrets

        click.echo(traceback_without_secrets(error), err=True, nl=False)
        sys.exit(EXIT_FAILED)
