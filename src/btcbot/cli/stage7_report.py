"""`btcbot stage7-report`: `report` by the name that other tools gave it."""

from __future__ import annotations

from btcbot.cli.alias import renamed
from btcbot.cli.report import command as original

command = renamed(original, "report", "stage7-report")
