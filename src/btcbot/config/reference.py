"""Writes the pages on settings and metrics from the code itself: `python -m btcbot.config.reference`.

A test compares the committed pages with what this module would write, so that they cannot grow old.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Final

from btcbot.config.description import SettingDescription, describe_settings
from btcbot.metric_catalogue import CATALOGUE, SECONDS_BUCKETS

__all__ = ["PAGES", "metrics_page", "settings_page", "write_pages"]

_GROUPS: Final = {  # title by its first setting
    "DRY_RUN": "Safety",
    "BTCTURK_API_KEY": "Credentials",
    "BTCTURK_BASE_URL": "Venue",
    "STATE_DB_PATH": "State",
    "TTL_SECONDS": "Orders",
    "NOTIONAL_CAP_TRY_PER_CYCLE": "Limits",
    "ENTRY_BUDGET_TRY": "Strategy",
    "DRY_RUN_TRY_BALANCE": "Simulation, logs and metrics",
    "DYNAMIC_UNIVERSE_ENABLED": "Universe",
    "PORTFOLIO_TARGETS": "Portfolio",
    "REPLACE_DRIFT_BPS": "Upkeep of orders",
    "STALE_DATA_SECONDS": "Anomalies",
    "DEGRADE_WARN_THRESHOLD": "Degrade levels",
    "STAGE4_UNKNOWN_FREEZE_ENABLED": "Freeze on unexplained orders",
    "ENABLE_AUTO_KILL_SWITCH": "Automatic kill switch",
    "RISK_MAX_DAILY_DRAWDOWN_TRY": "Risk budget",
    "ADAPTATION_ENABLED": "Adaptation",
    "AGENT_POLICY_ENABLED": "Agent",
    "ALERTS_ENABLED": "Alerts",
    "DOCTOR_SLO_ENABLED": "What the doctor expects of past cycles",
}
_HEAD: Final = """# Settings

<!-- Written by `python -m btcbot.config.reference`; edit the descriptions in `src/btcbot/config/groups/`. -->

Every setting is an environment name. Sources, the strongest first: command line, process environment, env file
(`--env-file PATH`, else `.env.live` in the working directory if it exists), default. `btcbot config` shows each value
and where it came from.

**For the safety switches** (`DRY_RUN`, `KILL_SWITCH`, `SAFE_MODE`, `LIVE_TRADING`, `LIVE_TRADING_ACK`) **the closed
value of any source wins.** Live trading needs `LIVE_TRADING=true`, `LIVE_TRADING_ACK=I_UNDERSTAND`, `DRY_RUN=false`,
key and secret, all of them explicit. `--dry-run`, or `DRY_RUN=true` in one source over another that arms, simulates;
`LIVE_TRADING=true` and `DRY_RUN=true` in the same source contradict each other and are refused.

The env file must have mode 0600 or 0400. It holds one `NAME=VALUE` a line; nothing in it is expanded (`${HOME}` stays
text). An unknown name in it is refused; in the process environment only names beginning `BTCTURK_` or `BTCBOT_`, or one
slip of the finger away from a setting's, are.

True and false may be written true/false, 1/0, yes/no, on/off. Lists are written `a,b` or `["a","b"]`. Numbers are plain
digits with at most one decimal point. An optional setting may be left blank, which means not set. TRY are Turkish lira,
bps hundredths of a percent.

A key and its secret are better given by file (`BTCTURK_API_KEY_FILE`, `BTCTURK_API_SECRET_FILE`, or systemd credentials
named `btcturk_api_key` and `btcturk_api_secret`): a value in the environment can be read in `/proc` by the same user.
"""


_METRICS_HEAD: Final = """# Metrics

<!-- Written by `python -m btcbot.config.reference` from `src/btcbot/metric_catalogue.py`. -->

`OBSERVABILITY_ENABLED=true` and `OBSERVABILITY_METRICS_EXPORTER` turn metrics on: `prometheus` shows them on
`http://127.0.0.1:9464/` (`OBSERVABILITY_PROMETHEUS_PORT`), on this machine only; `otlp` pushes them to the collector at
`OBSERVABILITY_OTLP_ENDPOINT`. Counters only grow, gauges hold the last value. Values are floating-point numbers, for
watching: the books are in the database.

| name | kind | labels | meaning |
| --- | --- | --- | --- |
"""


def settings_page() -> str:
    """`docs/reference/settings.md` as text."""
    parts = [_HEAD]
    title = ""

    def group(setting: SettingDescription) -> str:
        nonlocal title
        title = _GROUPS.get(setting.name, title)
        return title

    for heading, settings in groupby(describe_settings(), key=group):
        parts.append(
            f"\n## {heading}\n\n| name | kind | default | range | meaning |\n| --- | --- | --- | --- | --- |\n"
        )
        for setting in settings:
            default = f"`{setting.default}`" if setting.default else "–"
            parts.append(
                f"| `{setting.name}` | {setting.kind} | {default} | {setting.range or '–'} | {setting.description} |\n"
            )
    return "".join(parts)


def metrics_page() -> str:
    """`docs/reference/metrics.md` as text."""
    lines = []
    for entry in CATALOGUE.values():
        labels = ", ".join(f"`{label}`" for label in entry.labels) or "–"
        lines.append(f"| `{entry.name}` | {entry.kind.value} | {labels} | {entry.help} |")
    bounds = ", ".join(f"{bound:g}" for bound in SECONDS_BUCKETS)
    return _METRICS_HEAD + "\n".join(lines) + f"\n\nHistograms count in classes up to {bounds} seconds.\n"


PAGES: Final[Mapping[Path, Callable[[], str]]] = {
    Path("docs/reference/settings.md"): settings_page,
    Path("docs/reference/metrics.md"): metrics_page,
}


def write_pages(root: Path) -> None:
    """Write all pages below the project's folder `root`."""
    for path, text in PAGES.items():
        page = root / path
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    write_pages(Path.cwd())
