"""The committed page on strategies says what the code says."""

from __future__ import annotations

from pathlib import Path

from btcbot.strategies.reference import page
from btcbot.strategies.shipped import shipped

PAGE = Path(__file__).parents[3] / "docs/reference/strategies.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "run: python -m btcbot.strategies.reference > docs/reference/strategies.md"
    )


def test_every_strategy_and_parameter_stands_on_it() -> None:
    text = page()
    for spec in shipped().values():
        section = text.partition(f"\n## {spec.name}\n")[2].partition("\n## ")[0]
        assert all(f"| `{parameter.name}` | {parameter.kind.value} |" in section for parameter in spec.parameters)
        assert spec.parameters and "Reads " in section
