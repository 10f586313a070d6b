"""Errors, sorted by what the caller must do.

SimulatorError
├── ConfigurationError   the operator gave something that cannot work: one line, exit 2
└── ConservationError    money appeared or vanished: a bug of the simulator, stop and look
"""

from __future__ import annotations


class SimulatorError(Exception):
    """Base of everything this package raises on purpose."""


class ConfigurationError(SimulatorError):
    """The message says what is wrong and how to mend it, in one line."""


class ConservationError(SimulatorError):
    """The books do not add up; the message names the asset and both sums."""
