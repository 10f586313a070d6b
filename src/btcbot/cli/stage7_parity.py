"""`btcbot stage7-parity`: `parity` by the name that other tools gave it."""

from __future__ import annotations

from btcbot.cli.alias import renamed
from btcbot.cli.parity import command as original

command = renamed(original, "parity", "stage7-parity")
