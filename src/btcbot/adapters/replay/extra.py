"""The research extra: numpy and polars, which a machine that only trades does without."""

from __future__ import annotations

from importlib.util import find_spec

from btcbot.errors import Refused


def demand_research(what: str = "this command") -> None:
    """Refuse in one line where polars or numpy is not installed. Call it before importing what needs them."""
    if any(find_spec(name) is None for name in ("numpy", "polars")):
        raise Refused(f"{what} needs the research extra: pip install 'btcbot[research]'")
