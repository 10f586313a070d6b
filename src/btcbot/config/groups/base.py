"""What all groups of settings have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["Group"]


class Group(BaseModel):
    """A part of `Settings`. Nothing is ever validated by a part alone, so its schema is not built."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        arbitrary_types_allowed=True,
        alias_generator=str.upper,
        validate_by_name=True,
        validate_by_alias=True,
        defer_build=True,
    )
