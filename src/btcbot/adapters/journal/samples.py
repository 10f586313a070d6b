"""The metrics of a cycle with a tape around them: most of them are counted in adapters, which a replay does without."""

from __future__ import annotations

from typing import Protocol

from btcbot.adapters.journal.ports import Tape
from btcbot.domain.alerts import Sample


class _Samples(Protocol):
    def take(self) -> Sample: ...


class TapedSamples:
    def __init__(self, tape: Tape, samples: _Samples) -> None:
        self._ask = tape.ask
        self._samples = samples

    def take(self) -> Sample:
        """See `MetricsWindow.take`."""
        return self._ask("samples.take", self._samples.take)
