"""Measures what docs/performance.md states: all with `python -m benchmarks`, one with `python -m benchmarks.NAME`."""
