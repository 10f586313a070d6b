"""Strategies: pure functions from what is known to what is wished. They import the domain and nothing else."""
