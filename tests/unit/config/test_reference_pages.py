"""The committed reference pages say what the code says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from btcbot.config.reference import PAGES
from btcbot.config.settings import SETTING_NAMES

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(("path", "text"), PAGES.items(), ids=[path.name for path in PAGES])
def test_the_page_is_current(path: Path, text: Callable[[], str]) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == text(), "run: python -m btcbot.config.reference"


def test_every_setting_is_on_its_page_once() -> None:
    page = (ROOT / "docs/reference/settings.md").read_text(encoding="utf-8")

    assert all(page.count(f"| `{name}` |") == 1 for name in SETTING_NAMES)
