"""Which stretch of time is learned from and which one judges it.

    --split 0.7                     one window: the first 70 % to learn from, the rest to judge
    --train 60 --test 20            rolling: learn from 60 days, judge on the next 20, move on by 20
    --train 60 --test 20 --anchored learn from everything since the beginning, at least 60 days

No two test stretches overlap, and none begins before its training stretch has ended; `embargo_ms` is left out between
the two, so that what is still open at the end of one is not judged in the other. Windows are laid from the end of the
data: what does not fill one more is left out at its beginning, where it is worth the least.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from btcbot.errors import Refused

DAY_MS: Final = 86_400_000
WINDOWS_MAX: Final = 1_000


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Times in Unix ms, UTC; each stretch begins with its start and ends before its end."""

    train_start_ms: int
    train_end_ms: int
    test_start_ms: int
    test_end_ms: int


def split(start_ms: int, end_ms: int, share: Decimal, interval_ms: int, embargo_ms: int = 0) -> tuple[Window, ...]:
    """One window: `share` (above 0, below 1) of the time to learn from, the rest, after the embargo, to judge."""
    if not 0 < share < 1:
        raise Refused(f"--split {share}: give the share to learn from, above 0 and below 1, such as 0.7")
    cut = start_ms + int((end_ms - start_ms) * share) // interval_ms * interval_ms
    if cut <= start_ms or cut + embargo_ms >= end_ms:
        raise Refused(
            f"--split {share}: it leaves nothing to learn from or nothing to judge on in {_days(end_ms - start_ms)} "
            "days of data; bring more data or another share"
        )
    return (Window(train_start_ms=start_ms, train_end_ms=cut, test_start_ms=cut + embargo_ms, test_end_ms=end_ms),)


def walk_forward(
    start_ms: int, end_ms: int, train_ms: int, test_ms: int, *, embargo_ms: int = 0, anchored: bool = False
) -> tuple[Window, ...]:
    """As many windows as fit, in order of time."""
    if train_ms <= 0 or test_ms <= 0:
        raise Refused("--train and --test are days, each above 0")
    count = (end_ms - start_ms - train_ms - embargo_ms) // test_ms
    if count < 1:
        raise Refused(
            f"--train {_days(train_ms)} --test {_days(test_ms)} with an embargo of {_days(embargo_ms)} days needs "
            f"{_days(train_ms + embargo_ms + test_ms)} days of data and there are {_days(end_ms - start_ms)}: "
            "shorten them or bring more data"
        )
    if count > WINDOWS_MAX:
        raise Refused(f"--test {_days(test_ms)} makes {count} windows, at most {WINDOWS_MAX} are searched; lengthen it")
    windows = []
    for number in range(count):
        test_start = end_ms - (count - number) * test_ms
        train_end = test_start - embargo_ms
        windows.append(
            Window(
                train_start_ms=start_ms if anchored else train_end - train_ms,
                train_end_ms=train_end,
                test_start_ms=test_start,
                test_end_ms=test_start + test_ms,
            )
        )
    return tuple(windows)


def _days(span_ms: int) -> str:
    return f"{span_ms / DAY_MS:.3f}".rstrip("0").rstrip(".")
