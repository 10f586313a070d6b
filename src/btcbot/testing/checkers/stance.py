"""I23: what an overseen cycle sent is what its overseers left, by the numbers and reasons that they wrote down.

The rules stand here a second time, in words of their own: what stops everything, what stops buying, and what bars one
pair. A cycle that dies before its end tells nothing; the next one is asked again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from btcbot.testing.checkers.closing import Closing, Unit
from btcbot.testing.checkers.scene import OTHER_BOOK, PREFIX, Invariant, Scene, Sent
from btcturk_sim.wire import Request, Response

OPEN_ORDERS_PATH: Final = "/api/v1/openOrders"
#: Reasons after which nothing is ordered, and after which nothing is bought.
STOPS: Final = frozenset({"budget:daily_loss", "gate_closed:frozen_by_unexplained_orders"})
STOPS_BUYS: Final = frozenset(
    {"budget:drawdown", "budget:drawdown_share", "budget:exposure", "budget:fees_of_the_day", "budget:missing_mark",
     "budget:no_buys_after_losses"}
)  # fmt: skip
_BARRED: Final = "barred:repeated_refusals"
_BUYS_BARRED: Final = "barred:buys_after_refusals"
_TOO_LARGE: Final = "budget:position_share"
_STRATEGY_FAILED: Final = "observe_only:strategy_failed"
#: How far a profit may have fallen below the highest one before nothing is bought any more.
_FALLS: Final = (("drawdown", "RISK_MAX_DRAWDOWN_TRY", "3000"), ("drawdown_pct", "MAX_DRAWDOWN_PCT", "20"))
_VALUE: Final = "SELECT value FROM named_values WHERE name = ?"


class _Overseen(Invariant):
    """Knows which profile is played."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.is_on = scene.rig.profile.is_overseen

    def value(self, name: str) -> str:
        rows = self.scene.sql(_VALUE, name)
        return str(rows[0][0]) if rows else ""

    def setting(self, name: str, default: str) -> str:
        return str(self.scene.rig.environment.get(name, default))


class I23Stance(_Overseen):
    """No order where a cycle was to observe only; no buy where risk was only to be reduced, of a pair that is not in
    the universe or beyond the first ones that a level lets through; none at all of a pair that is barred."""

    name = "I23"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._sent: list[Sent] = []

    def cycle_begins(self) -> None:
        self._sent.clear()

    def woken_begins(self) -> None:
        self._sent.clear()

    def order_leaves(self, sent: Sent) -> None:
        if not self.is_on:
            return
        self._sent.append(sent)
        text = self.value("refusal_bars")
        kept: Mapping[str, Any] = msgspec.json.decode(text) if text else {}
        for kind in ("barred", "no_buys") if sent.side == "buy" else ("barred",):
            until_ms = kept[kind].get(sent.symbol, {}).get("until_ms", 0) if kept else 0
            if self.scene.rig.clock.now_ms() < until_ms:
                self.violated(f"the {sent.side} {sent.client} leaves although refusals of {sent.symbol} bar it: {kind}")

    def unit_committed(self, unit: Unit) -> None:
        if not self.is_on or not self._sent:
            return
        closing = self.scene.closing(unit)
        if closing is None:
            return
        sent, self._sent = self._sent, []
        self._by_reasons(closing, sent)
        self._by_level(closing, sent)
        self._by_results(closing, sent)
        self._by_universe(sent)

    def _by_reasons(self, closing: Closing, sent: Sequence[Sent]) -> None:
        for reason in closing.reasons:
            code, _, why = reason.partition(": ")
            if code in STOPS:
                self.violated(f"{sent[0].client} left in a cycle that was to order nothing: {reason}")
            if code in STOPS_BUYS:
                self._no_buys(sent, reason)
            symbol = why.partition(": ")[0]
            if code == _BARRED and any(one.symbol == symbol for one in sent):
                self.violated(f"an order of {symbol} left in a cycle in which it was barred: {why}")
            if code in (_TOO_LARGE, _BUYS_BARRED):
                self._no_buys([one for one in sent if one.symbol == symbol], reason)

    def _by_level(self, closing: Closing, sent: Sequence[Sent]) -> None:
        text = self.value("degrade")
        machine: Mapping[str, Any] = msgspec.json.decode(text)["machine"] if text else {}
        override = machine.get("override")
        if override is not None:
            if closing.ended_at_ms - override["made_at_ms"] >= override["lasts_ms"]:
                return  # it ran out in this very cycle: nobody can say whether that was before the overseer looked
            level = override["level"]
        else:
            level = max(machine.get("level", 0), 2 if machine.get("is_frozen") else 0)
        if level == 3:
            self.violated(f"{sent[0].client} left at degrade level 3")
        if level == 2:
            self._no_buys(sent, "degrade level 2")
        if level == 1:
            first = self._active()[: int(self.setting("DEGRADE_SYMBOLS_MAX", "8"))]
            for one in sent:
                if one.side == "buy" and one.symbol not in first:
                    self.violated(f"{one.client} buys {one.symbol} at degrade level 1, which leaves {', '.join(first)}")

    def _by_results(self, closing: Closing, sent: Sequence[Sent]) -> None:
        if closing.is_woken:
            return  # it is as free as the whole cycle before it
        for result in closing.notes.get("snapshot", ()):
            loss_max = Decimal(self.setting("RISK_MAX_DAILY_DRAWDOWN_TRY", "1000"))
            if result["daily"] is not None and -Decimal(result["daily"]) >= loss_max:
                self.violated(f"{sent[0].client} left on a day that lost {result['daily']}; the limit is {loss_max}")
            for field, limit, default in _FALLS:
                most = Decimal(self.setting(limit, default))
                if result[field] is not None and Decimal(result[field]) >= most:
                    self._no_buys(sent, f"{field} is {result[field]}, the limit {most}")
            fees_max = Decimal(self.setting("RISK_MAX_FEE_TRY_PER_DAY", "0"))
            paid = Decimal(result["fees_today"]) + Decimal(result["taxes_today"])
            if fees_max and paid >= fees_max:
                self._no_buys(sent, f"{paid} of fees paid today")

    def _by_universe(self, sent: Sequence[Sent]) -> None:
        active = self._active()
        for one in sent:
            if one.side == "buy" and one.symbol not in active:
                self.violated(f"{one.client} buys {one.symbol}, which is not among {', '.join(active) or 'none'}")

    def _active(self) -> Sequence[str]:
        text = self.value("universe_state")
        if not text:
            return self.setting("SYMBOLS", "").split(",")
        state = msgspec.json.decode(text)
        return list(state.get("symbols") or state.get("fallback") or ())

    def _no_buys(self, sent: Sequence[Sent], why: str) -> None:
        bought = next((one for one in sent if one.side == "buy"), None)
        if bought is not None:
            self.violated(f"{bought.client} bought in a cycle that was to buy nothing: {why}")


class I23Freeze(_Overseen):
    """An order of another database with our key freezes when it has been shown for long enough, whatever happens in
    between; one that a human has acknowledged does not."""

    name = "I23"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        #: What every answer of this cycle showed, None before the first; and how often in a row each was shown.
        self._shown: set[int] | None = None
        self._in_a_row: dict[int, int] = {}

    def cycle_begins(self) -> None:
        self._shown = None

    def answer_arrives(self, name: str, request: Request, answer: Response) -> None:
        if not self.is_on or request.path != OPEN_ORDERS_PATH:
            return
        shown: set[int] = set()
        if answer.status == 200 and answer.fault is None:
            rows = msgspec.json.decode(answer.body)["data"]
            listed = [*rows["asks"], *rows["bids"]]
            shown = {
                int(row["id"])
                for row in listed
                if str(row.get("orderClientId") or "").startswith(f"{PREFIX}{OTHER_BOOK}-")
            }
        self._shown = shown if self._shown is None else self._shown & shown

    def unit_committed(self, unit: Unit) -> None:
        if not self.is_on:
            return
        closing = self.scene.closing(unit)
        if closing is None or closing.is_woken:
            return
        has_looked = any(note["daily"] is not None for note in closing.notes.get("snapshot", ()))
        shown = self._shown if has_looked and self._shown is not None else set()
        self._in_a_row = {order_id: self._in_a_row.get(order_id, 0) + 1 for order_id in shown}
        patience = int(self.setting("STAGE4_UNKNOWN_FREEZE_PERSIST_CYCLES", "3"))
        known = self.value("order_freeze") + self.value("order_freeze_acknowledged")
        for order_id, times in self._in_a_row.items():
            if times >= patience and f'"venue:{order_id}"' not in known:
                self.violated(
                    f"order {order_id} of another database was shown {times} times in a row and froze nothing"
                )


class I23KillChain(_Overseen):
    """After so many cycles in a row in which the strategy raised, the kill file is there."""

    name = "I23"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._failed = 0

    def unit_committed(self, unit: Unit) -> None:
        if not self.is_on:
            return
        closing = self.scene.closing(unit)
        if closing is None:
            return
        is_on, _ = self.scene.rig.kill_switch().is_on()
        has_failed = any(reason.startswith(_STRATEGY_FAILED) for reason in closing.reasons)
        self._failed = self._failed + 1 if has_failed and not is_on else 0
        if self._failed >= int(self.setting("KILL_CHAIN_MAX_CONSECUTIVE_ERRORS", "3")):
            self.violated(f"the strategy has raised in {self._failed} cycles in a row, and there is no kill file")
