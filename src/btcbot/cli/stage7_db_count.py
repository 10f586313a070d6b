"""`btcbot stage7-db-count`: `db count` by the name that other tools gave it."""

from __future__ import annotations

from btcbot.cli.alias import renamed
from btcbot.cli.db import count

command = renamed(count, "db count", "stage7-db-count")
