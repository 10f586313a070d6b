"""Every metric that btcbot records: name, kind, labels, meaning. Pure data.

A metric that is not listed here cannot be recorded: an unknown name or label is a programming error and fails at once,
in every implementation, so that no dashboard waits for a series that a typing slip has renamed. The reference page
`docs/reference/metrics.md` is written from this table, and a test records each of its lines.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Final

__all__ = ["CATALOGUE", "SECONDS_BUCKETS", "Metric", "MetricKind", "Number", "metric"]

#: What a gauge takes. Exact numbers become floats only in an exporter, at the very end.
Number = Decimal | int | float


class MetricKind(Enum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of the catalogue."""

    name: str
    kind: MetricKind
    labels: tuple[str, ...]
    help: str


# Upper bounds, in seconds, of the classes of every histogram: from one transaction to one slow cycle.
SECONDS_BUCKETS: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1),
    *(0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)

_C, _G, _H = MetricKind.COUNTER, MetricKind.GAUGE, MetricKind.HISTOGRAM

_METRICS: Final = (
    Metric("btcbot_cycles_total", _C, ("outcome", "cause"), "Cycles, by how they ended and what kept them from more."),
    Metric("btcbot_cycle_seconds", _H, (), "Time of one cycle, in seconds."),
    Metric("btcbot_intents_total", _C, ("symbol", "side"), "Intents of the strategy."),
    Metric("btcbot_verdicts_total", _C, ("verdict", "reason"), "Verdicts of risk on intents, with their reason."),
    Metric("btcbot_orders_submitted_total", _C, ("symbol", "side"), "Orders sent to the venue."),
    Metric("btcbot_order_outcomes_total", _C, ("outcome",), "Orders sent, by what became of the sending."),
    Metric("btcbot_orders_open", _G, (), "Own orders that rest at the venue."),
    Metric("btcbot_orders_in_doubt", _G, (), "Orders sent whose fate is not proven."),
    Metric("btcbot_cancels_total", _C, ("outcome",), "Cancels sent, by what became of them."),
    Metric(
        "btcbot_replacements_total", _C, ("outcome", "reason"), "Replacements of orders, begun and ended, by reason."
    ),
    Metric("btcbot_fills_total", _C, ("symbol", "side"), "Fills booked."),
    Metric("btcbot_fees_paid_total", _C, ("asset",), "Fees and tax paid, in units of the asset."),
    Metric("btcbot_gate_open", _G, ("gate",), "1 when the gate lets orders pass, 0 when it is closed."),
    Metric("btcbot_trading_state", _G, ("state",), "1 for the present trading state, 0 for all others."),
    Metric("btcbot_venue_requests_total", _C, ("endpoint", "result"), "Requests to the venue, by their result."),
    Metric("btcbot_venue_request_seconds", _H, ("endpoint",), "Time of one request, to its last byte, in seconds."),
    Metric("btcbot_venue_retries_total", _C, ("endpoint",), "Reads that were tried again."),
    Metric("btcbot_rate_limit_wait_seconds", _H, ("endpoint",), "Wait of requests for the venue's limits, in seconds."),
    Metric("btcbot_breaker_open", _G, ("endpoint",), "1 while the endpoint is left alone after rate-limit answers."),
    Metric("btcbot_clock_skew_ms", _G, (), "The venue's clock minus ours, in milliseconds."),
    Metric(
        "btcbot_stale_market_data_rate", _G, (), "Share of the symbols, 0 to 1, whose quote was too old or missing."
    ),
    Metric("btcbot_quote_age_ms", _G, ("symbol",), "Age of the quote that the cycle decided on, in milliseconds."),
    Metric("btcbot_quotes_total", _C, ("source",), "Quotes that a cycle with a live feed decided on, by their source."),
    Metric("btcbot_book_trusted", _G, ("symbol",), "1 while the feed's book of the symbol may be traded on, else 0."),
    Metric("btcbot_book_comparisons_total", _C, ("finding",), "Books of the feed held against REST, by the finding."),
    Metric("btcbot_feed_account_events_total", _C, ("kind",), "What the feed told of our account, by kind."),
    Metric("btcbot_woken_cycles_total", _C, ("outcome",), "Cycles that the feed woke, by what they came to."),
    Metric("btcbot_feed_connected", _G, (), "1 while the live feed is connected, else 0."),
    Metric("btcbot_feed_logged_in", _G, (), "1 while the live feed tells of our account, else 0."),
    Metric("btcbot_feed_books", _G, (), "Books of the live feed that are whole."),
    Metric("btcbot_feed_connections_total", _C, ("result",), "Attempts to connect the live feed, by their result."),
    Metric("btcbot_feed_logins_total", _C, ("result",), "Logins of the live feed, by their result."),
    Metric("btcbot_feed_frames_total", _C, ("type",), "Frames of the live feed that were read, by BtcTurk's type."),
    Metric("btcbot_feed_frames_ignored_total", _C, ("reason",), "Frames of the live feed that were not used, and why."),
    Metric("btcbot_feed_resyncs_total", _C, ("reason",), "Books of the live feed that were given up, and why."),
    Metric("btcbot_feed_oddities_total", _C, ("kind",), "Harmless oddities in the changes of the live feed's books."),
    Metric("btcbot_feed_events_dropped_total", _C, (), "Events of our account beyond what the feed keeps."),
    Metric("btcbot_feed_waiting_frames", _G, (), "Most frames that waited to be read at one time since the last look."),
    Metric("btcbot_feed_ping_seconds", _H, (), "Time from a ping of the live feed to its pong, in seconds."),
    Metric("btcbot_feed_crashes_total", _C, (), "Failures of the live feed's own thread."),
    Metric("btcbot_bar_requests_total", _C, ("result",), "Requests for a symbol's candles, by what came of them."),
    Metric("btcbot_signals_ready", _G, ("symbol",), "1 while the strategy is given the symbol's signals, else 0."),
    Metric("btcbot_universe_symbols", _G, (), "Symbols that may be bought, where a look over the market chooses them."),
    Metric("btcbot_universe_looks_total", _C, ("result",), "Looks over the market, by what came of them."),
    Metric("btcbot_anomalies_total", _C, ("code", "severity"), "Anomalies seen, once for each cycle that sees one."),
    Metric("btcbot_degrade_level", _G, (), "How far anomalies, or a human, have narrowed trading, 0 to 3."),
    Metric("btcbot_orders_frozen", _G, (), "1 while new orders are frozen by orders that nobody can explain, else 0."),
    Metric("btcbot_budget_mode", _G, ("mode",), "1 for what the risk budget leaves of trading now, 0 for all others."),
    Metric("btcbot_budget_limit_reached", _G, ("limit",), "1 while this limit of the risk budget narrows, else 0."),
    Metric("btcbot_daily_loss_reached", _G, (), "1 while the loss of the day stops buys (MAX_DAILY_LOSS_TRY), else 0."),
    Metric("btcbot_agent_answers_total", _C, ("result",), "Questions to an agent, by what came of them."),
    Metric("btcbot_reconcile_seconds", _H, (), "Time to compare books and venue, in seconds."),
    Metric("btcbot_suspense", _G, ("asset",), "Balance that nobody has explained yet, in units of the asset."),
    Metric("btcbot_position_quantity", _G, ("symbol",), "Position, in units of the base asset."),
    Metric("btcbot_realized_pnl_try", _G, (), "Realised profit and loss, in TRY."),
    Metric("btcbot_unrealized_pnl_try", _G, (), "Unrealised profit and loss, in TRY."),
    Metric(
        "btcbot_parameter_changes_total", _C, ("outcome",), "Changes of adaptive parameters, by what became of them."
    ),
    Metric("btcbot_journal_on", _G, (), "1 while the cycles of this run are recorded for replay, else 0."),
    Metric("btcbot_journal_bytes", _G, (), "Size of the journal on disk, all recorded runs together, in bytes."),
    Metric("btcbot_store_transaction_seconds", _H, (), "Time of one durable transaction, in seconds."),
    Metric("btcbot_submit_path_seconds", _H, (), "Time from verdict to recorded outcome of an order, in seconds."),
)

CATALOGUE: Final[Mapping[str, Metric]] = {entry.name: entry for entry in _METRICS}
_LABELS: Final = {entry.name: frozenset(entry.labels) for entry in _METRICS}


def metric(name: str, kind: MetricKind, labels: Collection[str]) -> Metric:
    """The catalogue's line for this use of a metric. Fails when name, kind or labels are not as listed."""
    entry = CATALOGUE.get(name)
    assert entry is not None, f"metric {name} is not in the catalogue"
    assert entry.kind is kind, f"metric {name} is a {entry.kind.value}, not a {kind.value}"
    assert len(labels) == len(entry.labels) and _LABELS[name].issuperset(labels), (
        f"metric {name} has the labels {entry.labels}, not {tuple(labels)}"
    )
    return entry
