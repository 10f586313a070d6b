"""The fingerprint changes with what happened, and with nothing else."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import polars as pl
import pytest
from msgspec.structs import replace
from tests.counting import calls_of
from tests.unit.backtest.results import HOUR_MS, NEW_YEAR_MS, a_fill, a_large_result, a_result, some_events

from btcbot.backtest.fingerprint import CHUNK, fingerprint, plain_text
from btcbot.backtest.result import BacktestResult
from btcbot.domain import money

FILLS = (
    a_fill(1, NEW_YEAR_MS + HOUR_MS, "buy", "100.50", "3", fee="0.72"),
    a_fill(2, NEW_YEAR_MS + 2 * HOUR_MS, "sell", "101", "3", fee="0.73", pnl="0.05"),
)
RUN = a_result((10_000.0, 10_000.05, 10_001.0), FILLS, exposure=(0.0, 301.5, 0.0))


def test_the_same_on_every_python_and_machine() -> None:
    """Committed: a change of this number is a change of the form, which then needs another name."""
    assert fingerprint(RUN) == "d18c230bb0a4244a4bc66432a33e2e9f7c77c113fbe23c131456b1216becb148"


@pytest.mark.parametrize(
    "other",
    [
        replace(RUN, wall_s=99.0, cpu_s=98.0),
        replace(RUN, cycles_run=99_999),
        replace(RUN, settings={"every_bar": "True"}),
        replace(RUN, notes=("said",)),
        replace(RUN, cycles=RUN.orders),
        replace(RUN, orders=RUN.orders.with_columns(pl.col("updated_at_ms") + HOUR_MS)),
    ],
    ids=["time", "cycles that ran", "settings", "notes", "reports of cycles", "when a change was written down"],
)
def test_what_may_differ(other: BacktestResult) -> None:
    assert fingerprint(other) == fingerprint(RUN)


def test_ids_may_be_numbered_otherwise() -> None:
    """Where cycles are left out, ids that count them come out different."""
    renamed = [pl.col("client_order_id").str.replace("BB-test", "BB-other")]
    other = replace(
        RUN,
        orders=RUN.orders.with_columns(*renamed, cycle_id=pl.lit("c")),
        fills=RUN.fills.with_columns(*renamed, trade_id=pl.lit("t")),
        decisions=RUN.decisions.with_columns(cycle_id=pl.lit("c")),
        postings=RUN.postings.with_columns(entry_id=pl.lit("other-") + pl.col("entry_id")),
    )
    assert fingerprint(other) == fingerprint(RUN)


def test_how_columns_are_stored_does_not_matter() -> None:
    """Words as numbers, or in several pieces; decimals of another scale."""
    stored = RUN.orders.with_columns(pl.col("symbol", "side", "status", "reason").cast(pl.Categorical))
    pieces = pl.concat([stored[:1], stored[1:]], rechunk=False)
    assert fingerprint(replace(RUN, orders=pieces)) == fingerprint(RUN)
    coarse = RUN.fills.with_columns(pl.col("price", "fee").cast(pl.Decimal(20, 4)))
    assert fingerprint(replace(RUN, fills=coarse)) == fingerprint(RUN)


def test_orders_may_be_listed_as_they_closed() -> None:
    assert fingerprint(replace(RUN, orders=RUN.orders.reverse())) == fingerprint(RUN)


def changed(table: str, column: str, value: object) -> Callable[[], BacktestResult]:
    """The run with one cell of one table changed."""

    def make() -> BacktestResult:
        frame: pl.DataFrame = getattr(RUN, table)
        values = frame[column].to_list()
        assert values[-1] != value
        return replace(
            RUN, **{table: frame.with_columns(pl.Series(column, [*values[:-1], value], frame.schema[column]))}
        )

    return make


@pytest.mark.parametrize(
    "other",
    [
        changed("orders", "status", "CANCELED"),
        changed("orders", "reason", ""),
        changed("orders", "filled_quantity", Decimal("2.9")),
        changed("fills", "price", Decimal("101.000000000000000001")),
        changed("fills", "fee", Decimal(0)),
        changed("fills", "client_order_id", "BB-test-0001"),
        changed("fills", "client_order_id", "BB-nobody"),
        changed("decisions", "allowed", False),
        changed("decisions", "detail", "because"),
        changed("decisions", "symbol", "ETHTRY"),
        changed("postings", "amount", Decimal("0.74")),
        changed("postings", "entry_id", "e9"),
        changed("equity", "equity", 10_001.000000000002),
        changed("equity", "exposure", 1.0),
        lambda: replace(RUN, final_equity=Decimal("10001.01")),
        lambda: replace(RUN, fills=RUN.fills[:1]),
        lambda: replace(RUN, decisions=RUN.decisions.reverse()),
    ],
)
def test_what_happened_otherwise(other: Callable[[], BacktestResult]) -> None:
    assert fingerprint(other()) != fingerprint(RUN)


def test_what_the_parts_of_a_profile_did_counts_and_notes_that_are_kept_on_request_do_not() -> None:
    events = some_events()
    of_every_cycle = events[:1].with_columns(kind=pl.lit("run_metrics"))
    told = fingerprint(replace(RUN, events=events))
    assert told != fingerprint(RUN)
    assert told != fingerprint(replace(RUN, events=events[1:]))
    assert told != fingerprint(replace(RUN, events=events.with_columns(body=pl.lit("{}"))))
    assert told == fingerprint(replace(RUN, events=pl.concat([of_every_cycle, events])))
    assert fingerprint(RUN) == fingerprint(replace(RUN, events=of_every_cycle))


def test_text_that_moves_from_one_cell_to_the_next_is_another_text() -> None:
    def reasons(*texts: str | None) -> str:
        return fingerprint(replace(RUN, orders=RUN.orders.with_columns(pl.Series("reason", texts, pl.String))))

    assert len({reasons("ab", "c"), reasons("a", "bc"), reasons("", "abc"), reasons(None, "abc")}) == 4


def test_a_fill_without_an_order_counts_too() -> None:
    strange = RUN.fills.with_columns(client_order_id=pl.lit("BB-nobody"))
    dearer = strange.with_columns(price=pl.col("price") + 1)
    assert fingerprint(replace(RUN, fills=strange)) != fingerprint(replace(RUN, fills=dearer))


def test_zero_has_one_form() -> None:
    minus = RUN.equity.with_columns(exposure=pl.Series([-0.0, 301.5, -0.0]))
    assert fingerprint(replace(RUN, equity=minus)) == fingerprint(RUN)


@pytest.mark.parametrize("text", ["0", "-0.00", "100", "0.10", "-3.000000000000000001", "12000", "-5000000"])
def test_money_is_written_as_everywhere_else(text: str) -> None:
    """A column at a time, as `money.plain` writes one value; columns without a fraction keep their zeros."""
    for scale in (0, 18):
        if scale == 0 and "." in text:
            continue
        (written,) = plain_text(pl.Series([text]).cast(pl.Decimal(38, scale)))
        assert written == money.plain(Decimal(text))


def test_half_a_million_orders_are_taken_in_by_columns_and_not_one_by_one() -> None:
    few = a_large_result(20_000, every=20)
    times = 500_000 // few.orders.height + 1
    many = replace(few, orders=pl.concat([few.orders] * times, rechunk=True)[:500_000])
    assert many.orders.height == 500_000 > CHUNK
    assert calls_of(lambda: fingerprint(many)) < 500_000 / 4
