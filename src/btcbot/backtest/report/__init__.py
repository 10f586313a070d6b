"""The page of a run: one HTML file that needs nothing else, neither network nor another file.

Everything is inlined; the page's own policy forbids the browser to load anything or to run any script but ours. Charts
hold as many points as a screen can use, tables as many rows as a person reads; what was left out is said, and all of it
is in the exported tables. The same run gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import TYPE_CHECKING

import msgspec

from btcbot.backtest.findings import Findings, amount, examine, moment, percent, ratio, span
from btcbot.backtest.report import rows, series, words

if TYPE_CHECKING:
    from btcbot.backtest.result import BacktestResult

__all__ = ["render"]


def render(result: BacktestResult, findings: Findings | None = None, *, with_tables: bool = False) -> str:
    """The whole page. `with_tables`: the exported tables lie beside it, so it links to them."""
    import jinja2

    found = findings or examine(result)
    listed = rows.tables(found)
    script, style = _asset("page.js"), _asset("page.css")
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(percent=percent, ratio=ratio, moment=moment, span=span)
    environment.globals.update(money=lambda value, signed=False: amount(value, result.quote_asset, signed=signed))
    return environment.from_string(_asset("page.html")).render(
        found=found,
        result=result,
        statistics=found.statistics,
        words=words.Words(found),
        tables=[_headline(table) for table in listed],
        with_tables=with_tables,
        data=_inline_json({"charts": series.charts(found), "tables": listed}),
        script=script,
        style=style,
        script_hash=_hash(script),
        style_hash=_hash(style),
    )


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _inline_json(value: object) -> str:
    """JSON that may stand inside a script element whatever text it holds."""
    text = msgspec.json.encode(value).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _headline(table: rows.Table) -> rows.Table:
    """A table without its rows."""
    return msgspec.structs.replace(table, columns=())
