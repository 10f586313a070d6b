"""The named profiles of the one pipeline, as data: which strategy, which universe."""

from __future__ import annotations

from typing import Final

import msgspec


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """`name` is also the command; `universe` and `strategy` name what `bootstrap` plugs in."""

    name: str
    universe: str
    strategy: str


RUN: Final = Profile(name="run", universe="configured", strategy="profit_v1")
