"""What a database of btcbot tells afterwards: reports, exports, the tax list. Reads a StateStore, writes none.

Nothing in here trades or is needed to trade; polars is imported only to write Parquet.
"""
