"""The imperative shell, one small class for each step of the cycle. Services know ports, never an adapter."""
