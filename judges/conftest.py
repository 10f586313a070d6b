"""Every judge gets an exchange of its own, and every test must look at what that exchange saw."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from judges import loopback
from judges.table import SEEN_PROPERTY, shortened
from judges.venue import Venue

loopback.guard()

_failed = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember what failed: what a broken-off test leaves behind is nobody's fault."""
    report = yield
    if report.failed:
        item.stash[_failed] = True
    return report


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    """The local BtcTurk of one judge, from its first test to its last."""
    folder: Path = tmp_path_factory.mktemp("venue")
    with Venue(folder) as venue:
        yield venue


@pytest.fixture
def venue(exchange: Venue, request: pytest.FixtureRequest) -> Iterator[Venue]:
    """The same, nothing seen yet. A test that leaves a request unjudged fails, and so does one that never looks."""
    exchange.forget()
    loopback.refused()
    yield exchange
    request.node.user_properties.append((SEEN_PROPERTY, shortened(exchange.judged)))
    if request.node.stash.get(_failed, False):
        return
    left = exchange.unjudged()
    assert not left, f"the exchange saw more than was judged: {', '.join(map(str, left))}"
    assert exchange.is_judged, "judged by the client's word alone: nobody looked at what the exchange saw"
    assert loopback.refused() == [], "the client wanted to leave this machine"
