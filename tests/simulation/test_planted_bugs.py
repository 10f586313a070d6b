"""Who checks the checkers? Each of these deliberate mistakes, one line of product code, has to be found.

The mistakes are planted in memory: a function's source with one piece of text replaced. A piece that is no longer there
fails the test, so the list stays true to the code. Mistakes that live through their seeds would point at a venue too
kind or a checker missing.
"""

from __future__ import annotations
import __future__

import importlib
import inspect
import textwrap
from typing import NamedTuple

import pytest

from btcbot.testing.simulate import stories

pytestmark = pytest.mark.slow

SEEDS_MAX = 200


class Bug(NamedTuple):
    module: str
    function: str
    right: str
    wrong: str
    caught_by: tuple[str, ...]


BUGS = {
    "an order is sent again when its answer is lost": Bug(
        "btcbot.adapters.btcturk.rest", "BtcturkHttpClient.submit",
        "made = outcome.of_submit(",
        'result = result if isinstance(result, Answer) else self._send(Endpoint.SUBMIT, "POST", "/api/v1/order", '
        "signer.headers(self._nonce.take()), body, self._timing.write_s); made = outcome.of_submit(",
        ("I1",),
    ),
    "no answer counts as a refusal": Bug(
        "btcbot.services.execution", "ExecutionService._record_outcome",
        "OrderEvent.DOUBT", "OrderEvent.DENY", ("HALT", "I1", "I2", "I5", "I7", "I9"),
    ),
    "a refusal is believed at once": Bug(
        "btcbot.services.execution", "ExecutionService._record_outcome",
        "OrderEvent.REFUSE", "OrderEvent.DENY", ("HALT", "I1", "I2", "I5", "I7", "I9"),
    ),
    "the hold of an order in doubt is released": Bug(
        "btcbot.decisions.booking", "hold_for",
        "if order.is_open else", "if order.is_open and not order.is_in_doubt else", ("I10",),
    ),
    "absent once is not placed": Bug(
        "btcbot.decisions.recovery", "_weigh_absence",
        "if count < LISTINGS_MIN or listing.taken_at_ms - since_ms < facts.settle_horizon_ms:", "if False:",
        ("I5", "I7", "I14", "HALT"),
    ),
    "trades are read from the cursor on, without looking back": Bug(
        "btcbot.services.accounting", "AccountingService.refresh",
        "cursor_ms - TRADES_LOOKBACK_MS", "cursor_ms", ("I2", "I3", "I7", "I16"),
    ),
    "a confirmed cancellation is taken as final": Bug(
        "btcbot.services.execution", "ExecutionService.cancel",
        "OrderEvent.REQUEST_CANCEL", "OrderEvent.CANCEL", ("HALT", "I2", "I5", "I7", "I10", "I14"),
    ),
    "an order is closed without comparing what was filled": Bug(
        "btcbot.decisions.recovery", "_compare_working",
        "if shown.executed_quantity > booked:", "if False:", ("HALT", "I2", "I5", "I7", "I14"),
    ),
    "fill and position are two transactions": Bug(
        "btcbot.services.accounting", "AccountingService._book",
        "tx.put_position(done.position)",
        "pass\n    with self._store.transaction() as tx:\n        tx.put_position(done.position)",
        ("I2", "I4", "I14"),
    ),
    "the kill file is read once a cycle": Bug(
        "btcbot.services.gatekeeper", "Gatekeeper.facts",
        "kill_file_on=self._kill_switch.is_on()[0]",
        'kill_file_on=self.__dict__.setdefault("kept", {}).setdefault(self._store.value("cycle_number"), '
        "self._kill_switch.is_on()[0])",
        ("I8",),
    ),
    "stamps are not written down": Bug(
        "btcbot.adapters.btcturk.nonce", "NonceSource.take", "if stamp > self._mark:", "if False:", ("I11",),
    ),
    "more is sold than is there": Bug(
        "btcbot.decisions.risk", "_evaluate_one", "if quantity > sellable:", "if False:", ("I14",),
    ),
    "open buys do not count as invested": Bug(
        "btcbot.decisions.risk", "_Budget.invested",
        "return value + self.open_buys.get(symbol, money.ZERO)", "return value", ("I5",),
    ),
    "a crossed book is traded on": Bug(
        "btcbot.decisions.freshness", "judge", "elif not quote.is_sane:", "elif False:", ("I15", "I0", "I14"),
    ),
    "the tax of a trade is left out of its entry": Bug(
        "btcbot.decisions.booking", "_trade_entry",
        "-value - trade.fee - trade.tax", "-value - trade.fee", ("HALT",),
    ),
}  # fmt: skip


def plant(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(bug.module)
    owner_name, _, name = bug.function.rpartition(".")
    owner = getattr(module, owner_name) if owner_name else module
    source = textwrap.dedent(inspect.getsource(getattr(owner, name)))
    assert source.count(bug.right) == 1, f"{bug.function} has {source.count(bug.right)} times: {bug.right}"
    made: dict[str, object] = {}
    code = compile(source.replace(bug.right, bug.wrong), bug.function, "exec", __future__.annotations.compiler_flag)
    exec(code, module.__dict__, made)
    monkeypatch.setattr(owner, name, made[name])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bug = BUGS[name]
    plant(bug, monkeypatch)
    for story in stories(1, SEEDS_MAX):
        if story.violation is not None:
            print(f"{name}: seed {story.seed}, {story.violation}")
            assert story.violation[0] in bug.caught_by, story.violation
            return
    raise AssertionError(f"{SEEDS_MAX} seeds passed with this bug: {name}")
