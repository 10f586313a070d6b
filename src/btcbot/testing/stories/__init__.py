"""Stories of a bot and its venue, told with the process dying at every point: docs/explanation/crash-placement.md.

`STORIES` are the stories by name; `placement` tells them with harm at every place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from btcbot.testing.stories.account import ACCOUNT
from btcbot.testing.stories.answers import ANSWERS
from btcbot.testing.stories.feed import FEED
from btcbot.testing.stories.orders import ORDERS
from btcbot.testing.stories.replacements import REPLACEMENTS
from btcbot.testing.stories.story import Story

__all__ = ["SHORT", "STORIES", "Story"]

STORIES: Final[Mapping[str, Story]] = {
    story.name: story for story in (*ORDERS, *ANSWERS, *ACCOUNT, *FEED, *REPLACEMENTS)
}
SHORT: Final = tuple(story for story in STORIES.values() if story.is_short)
