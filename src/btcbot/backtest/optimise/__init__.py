"""The search for a strategy's parameters, and how what it found does on data that it has not seen."""
