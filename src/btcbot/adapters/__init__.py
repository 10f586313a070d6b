"""What the outside world is plugged in with: venue, store, clock, locks, logs, metrics. Each implements a port."""
