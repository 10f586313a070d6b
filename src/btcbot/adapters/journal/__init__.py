"""The journal of a run: what every cycle was told by the world, and what came of it, for replay.

    lines.py       the format: JSON lines with a chain of checksums, schema version in the first one
    facts.py       how the answer of each port is written and read again
    views.py       the live feed's views, each as its difference from the one before
    ports.py       the ports with a tape around them: the same decorators record and replay
    recorder.py    the tape that records, one line for each cycle
    files.py       the folder beside the database: one file and one starting state for each life of the bot
    reader.py      reads a life back, or says in one line why it cannot be replayed
    player.py      the tape that answers from a recording, and compares

The cycle knows nothing of this: it asks its ports, and what stands behind them tells, or remembers.
"""
