"""The same cycle on recorded time: engine, venue, statistics, reports and the search for parameters."""
