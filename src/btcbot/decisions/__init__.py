"""Verbs: pure functions from facts to decisions. No clock, no log, no I/O; a decision carries its reason."""
