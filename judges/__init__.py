"""The judges: clients that others wrote, trading on the local BtcTurk as if it were the real one.

The bot and the local exchange were written by the same hands, so a mistake that both share would pass every test of
ours. The clients here share nothing with us. They run unmodified but for their base address; every call is judged by
what the client returns and by what the exchange saw. See docs/explanation/judges.md.
"""
