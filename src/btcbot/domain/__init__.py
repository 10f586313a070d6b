"""Nouns: the values that everything else speaks of. Pure, frozen, no I/O."""
