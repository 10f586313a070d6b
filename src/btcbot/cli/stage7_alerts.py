"""`btcbot stage7-alerts`: `alerts` by the name that other tools gave it."""

from __future__ import annotations

from btcbot.cli.alerts import command as original
from btcbot.cli.alias import renamed

command = renamed(original, "alerts", "stage7-alerts")
