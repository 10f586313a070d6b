"""`btcbot stage7-export`: `export` by the name that other tools gave it."""

from __future__ import annotations

from btcbot.cli.alias import renamed
from btcbot.cli.export import command as original

command = renamed(original, "export", "stage7-export")
