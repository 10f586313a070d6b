"""What the feed counted, into the metrics. Called in the core's thread: the feed's own never touches them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from btcbot.domain.feed import FeedView
from btcbot.ports import Metrics

#: The first word of each count, the metric that it is, and the metric's label.
_COUNTERS: Final[Mapping[str, tuple[str, str | None]]] = MappingProxyType(
    {
        "connections": ("btcbot_feed_connections_total", "result"),
        "logins": ("btcbot_feed_logins_total", "result"),
        "frames": ("btcbot_feed_frames_total", "type"),
        "frames_ignored": ("btcbot_feed_frames_ignored_total", "reason"),
        "resyncs": ("btcbot_feed_resyncs_total", "reason"),
        "oddities": ("btcbot_feed_oddities_total", "kind"),
        "events_dropped": ("btcbot_feed_events_dropped_total", None),
        "crashes": ("btcbot_feed_crashes_total", None),
    }
)


def record(
    metrics: Metrics,
    view: FeedView,
    counts: Mapping[tuple[str, str], int],
    *,
    waiting_max: int,
    pings_s: Iterable[float],
) -> None:
    """Everything since the last look, and how things stand now."""
    for (word, value), count in counts.items():
        name, label = _COUNTERS[word]
        if label is None:
            metrics.count(name, count)
        else:
            metrics.count(name, count, **{label: str(value)})
    for ping_s in pings_s:
        metrics.observe("btcbot_feed_ping_seconds", ping_s)
    metrics.gauge("btcbot_feed_connected", int(not view.why_down))
    metrics.gauge("btcbot_feed_logged_in", int(view.is_logged_in))
    metrics.gauge("btcbot_feed_books", len(view.books))
    metrics.gauge("btcbot_feed_waiting_frames", waiting_max)
