"""Recorded market data: how it is stored, brought in, checked, captured and played again."""
