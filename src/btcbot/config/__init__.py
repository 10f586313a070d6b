"""Settings and secrets: read once, at start, and handed over as frozen values.

`settings` lists them, with types from `kinds`, which read each value by `values`; `loading` gathers them from their
`sources`; `description` tells them in words, for people and for `reference`.
"""
