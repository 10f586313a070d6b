"""Alerts as the settings want them: the metrics of a run, sampled for the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from btcbot.adapters.metrics_window import MetricsWindow
from btcbot.decisions.alert_rules import RULES
from btcbot.decisions.alerts import series_of
from btcbot.ports import Metrics

if TYPE_CHECKING:
    from btcbot.config.settings import Settings


def sampled(settings: Settings, metrics: Metrics) -> MetricsWindow | None:
    """The metrics with a window on what the alert rules look at; None where no alerts are wanted."""
    return MetricsWindow(metrics, series_of(RULES)) if settings.alerts_enabled else None
