"""The proof of the product, goal by goal (G1–G15): `python -m proof` runs it and keeps a tally; see docs/figures.md."""
