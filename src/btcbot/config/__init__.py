"""Settings and secrets: read once, at start, and handed over as frozen values."""
