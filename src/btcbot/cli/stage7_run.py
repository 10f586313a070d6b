"""`btcbot stage7-run`: the adaptive portfolio, on paper, until told to stop."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from btcbot.cli.running import options_of, run_profile, running_options
from btcbot.errors import Refused

if TYPE_CHECKING:
    from btcbot.config.settings import Settings


@click.command("stage7-run")
@click.option("--dry-run", is_flag=True, help="Said for clarity: this profile knows nothing else.")
@click.option(
    "--include-adaptation/--no-include-adaptation",
    default=None,
    help="Let parameters change within their bounds, or hold them; without it ADAPTATION_ENABLED counts.",
)
@running_options
def command(dry_run: bool, include_adaptation: bool | None, **given: Any) -> None:
    """Run the adaptive portfolio, on paper.

    Symbols are chosen by score, a portfolio policy brings them to their targets, and parameters change within bounds
    while the run goes on («btcbot params history»), with a rollback where that did no good. Orders go to a venue of our
    own that fills them against the real market: this profile never writes to the real one and needs no keys.

    \b
    btcbot stage7-run --loop --db adaptive.db
    btcbot stage7-run --loop --db adaptive.db --no-include-adaptation
    """
    from btcbot.profiles import STAGE7

    overrides = {"DRY_RUN": "true"} if dry_run else {}
    if include_adaptation is not None:
        overrides["ADAPTATION_ENABLED"] = "true" if include_adaptation else "false"
    sys.exit(run_profile(STAGE7, options_of(given), overrides, on_paper=True, check=_demand_dry_run))


def _demand_dry_run(settings: Settings) -> None:
    if not settings.dry_run or settings.live_trading:
        raise Refused(
            "stage7-run trades on paper only; set DRY_RUN=true and take LIVE_TRADING away, or use «btcbot stage4-run»"
        )
