"""The diagram of an order's life in the docs is the table that the code goes by.

`python -m tests.architecture.test_order_diagram` prints the page's diagram anew.
"""

from __future__ import annotations

import re
from pathlib import Path

from btcbot.domain.orders import IN_DOUBT, TRANSITIONS, WORKING, OrderEvent, OrderStatus

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "order-life-cycle.md"


def diagram() -> str:
    """TRANSITIONS as a Mermaid state diagram: one arrow for each pair of statuses, closed ones end."""
    lines = ["stateDiagram-v2", f"    [*] --> {OrderStatus.SUBMITTED}"]
    for status, steps in TRANSITIONS.items():
        arrows: dict[OrderStatus, list[OrderEvent]] = {}
        for event, after in steps.items():
            arrows.setdefault(after, []).append(event)
        lines += [f"    {status} --> {after}: {', '.join(events)}" for after, events in arrows.items()]
        if status not in IN_DOUBT | WORKING:
            lines.append(f"    {status} --> [*]")
    return "\n".join(lines)


def drawn() -> str:
    found = re.search(r"```mermaid\n(.*?)\n```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found, f"{PAGE.name} has no diagram"
    return found.group(1)


def test_the_diagram_in_the_docs_is_the_table_in_the_code() -> None:
    assert drawn() == diagram(), f"put this into {PAGE.name}:\n\n{diagram()}"


def test_the_page_says_what_every_status_and_every_event_is() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert [word for word in (*OrderStatus, *OrderEvent) if page.count(f"| `{word}` |") != 1] == []


if __name__ == "__main__":
    print(diagram())
