"""All measurements, each in a process of its own, and one table.

    python -m benchmarks [--json] [NAME …]

Takes about a quarter of an hour. Exit status 1 when a goal is missed or a measurement fails.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Final

import msgspec

from benchmarks.common import Result, child_environment, from_json, machine, table

#: In the order of the table.
ALL: Final = (
    "cycle",
    "order_path",
    "tick_to_order",
    "feed",
    "store",
    "startup",
    "memory",
    "simulator",
    "structs",
    "backtest",
    "profiles",
)


def main() -> int:
    wanted = [name for name in sys.argv[1:] if not name.startswith("-")]
    unknown = set(wanted) - set(ALL)
    if unknown:
        print(f"benchmarks: there is no {', '.join(sorted(unknown))}; there are {', '.join(ALL)}", file=sys.stderr)
        return 2
    before = machine()
    results: list[Result] = []
    failed: list[str] = []
    for name in wanted or ALL:
        print(f"benchmarks: {name} …", file=sys.stderr)
        ended = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}", "--json"],
            stdout=subprocess.PIPE,
            env=child_environment(),
            text=True,
            check=False,
        )
        if ended.stdout.strip():
            results.append(from_json(ended.stdout))
        else:
            failed.append(name)
    if "--json" in sys.argv[1:]:
        print(msgspec.json.encode(results).decode())
    else:
        print(f"before: {before}\nafter:  {machine()}")
        print(table(results))
    for name in failed:
        print(f"benchmarks: {name} failed; «python -m benchmarks.{name}» shows why", file=sys.stderr)
    missed = any(figure.is_met is False for result in results for figure in result.figures)
    return int(missed or bool(failed))


if __name__ == "__main__":
    sys.exit(main())
