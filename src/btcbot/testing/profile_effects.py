"""What the faults do that only some profiles know: words of the operator, a second bot of the key, a bad strategy.

Each is a method under its fault's name; see `effects`.
"""

from __future__ import annotations

import fcntl
import os
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from btcbot.adapters.metrics import NullMetrics
from btcbot.decisions.degrade import LEVEL_OF_MODE
from btcbot.domain import money
from btcbot.domain.orders import make_client_order_id
from btcbot.errors import StoreFailed
from btcbot.services import adaptation
from btcbot.services.freeze_record import ORDER_FREEZE
from btcbot.testing.checkers import Violated
from btcbot.testing.checkers.scene import OTHER_BOOK
from btcbot.testing.lasting import Lasting
from btcbot.testing.points import Crash

if TYPE_CHECKING:
    from btcbot.testing.bodies import Numbers

#: How far from the market the order of another database rests, in per cent: it is to be there for some cycles.
OTHER_RESTS_PERCENT: Final = 7
_MODES: Final = tuple(LEVEL_OF_MODE)


def _is_locked(database: Path) -> bool:
    """Whether somebody holds the writer's lock of this database: then nobody else may touch what it keeps."""
    descriptor = os.open(f"{os.path.realpath(database)}.lock", os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


class ProfileEffects(Lasting):
    # -- the operator ----------------------------------------------------------------------------------------------

    def degrade_override(self, numbers: Numbers) -> bool:
        mode = _MODES[numbers[0] % len(_MODES)]
        return self._asked("degrade_override", mode=mode.value, seconds=str(numbers[1]), reason="the operator says so")

    def degrade_clear(self, numbers: Numbers) -> bool:
        return self._asked("degrade_clear", reason="the operator has looked")

    def freeze_clear(self, numbers: Numbers) -> bool:
        """Of all that is frozen; or of less than that, which has to be refused."""
        if not self._rig.is_up:
            return False
        keys = self.frozen_keys()
        if not keys:
            return False
        shown = keys if numbers[0] else keys[1:]
        has_cleared = self._asked("freeze_clear", orders=",".join(shown))
        if has_cleared and not numbers[0]:
            raise Violated("I6", f"a freeze by {keys} was cleared by somebody who had seen {shown or 'nothing'}")
        return True

    def frozen_keys(self) -> list[str]:
        """What froze, by the names under which it is cleared; needs a bot that is up."""
        text = self._rig.store.value(ORDER_FREEZE)
        return [order["key"] for order in msgspec.json.decode(text)["orders"]] if text else []

    def params_reset(self, numbers: Numbers) -> bool:
        """Refused while a bot runs, by the lock that it holds; done when it was stopped for it."""
        rig = self._rig
        if rig.is_up and not _is_locked(rig.database):
            raise Violated("I24", "parameters could be reset while a btcbot runs")
        self.reset_parameters()
        return True

    def reset_parameters(self) -> bool:
        """By an operator, with the bot stopped; whether the disk let it be done."""
        rig = self._rig
        rig.crash()
        store = rig._open_store(rig.database, NullMetrics())
        try:
            adaptation.reset(store, "the operator wants the settings as given", rig.clock.now_ms())
        except (Crash, StoreFailed):
            self._world.tell("the reset came to nothing")
            return False
        finally:
            store.close()
        return True

    def _asked(self, kind: str, **arguments: str) -> bool:
        """Whether the running bot did what it was asked for."""
        rig = self._rig
        if not rig.is_up:
            return False
        self._world.checkers.cycle_begins()
        try:
            return rig.ask(kind, **arguments).done
        except (Crash, StoreFailed):
            rig.crash()
        return True

    # -- who trades ------------------------------------------------------------------------------------------------

    def other_book_order(self, numbers: Numbers) -> bool:
        """A second btcbot trades with the same key out of another database: an order with our prefix rests."""
        if "other book" in self._until:
            return False
        symbol, is_buy = self._symbol(numbers[1]), bool(numbers[0])
        pair = self._pair(symbol)
        percent = 100 - OTHER_RESTS_PERCENT if is_buy else 100 + OTHER_RESTS_PERCENT
        places = pair.instrument.price_scale if pair.instrument.has_fraction else 0
        price = money.round_down(pair.price * percent / 100, places)
        quantity = money.divide_down(Decimal(120 + numbers[2]), price, min(pair.instrument.quantity_scale, 6))
        placed: list[int] = []
        texts = money.plain(quantity), money.plain(price)
        venue = self._rig.venue
        if not self._managed(lambda: placed.append(venue.human_orders("buy" if is_buy else "sell", symbol, *texts))):
            return False
        order = next((one for one in venue.working() if one.id == placed[0]), None)
        if order is None:
            return False
        order.client_id = make_client_order_id(OTHER_BOOK, self._rig.clock.true_ms(), order.id)
        self._lasts("other book", numbers[3], lambda: self._taken_back(placed[0]))
        return True

    def _taken_back(self, venue_order_id: int) -> None:
        self._managed(lambda: self._rig.venue.cancel(venue_order_id))

    def strategy_raises(self, numbers: Numbers) -> bool:
        self._world.has_bad_strategy = True

        def end() -> None:
            self._world.has_bad_strategy = False

        self._lasts("strategy", numbers[0], end)
        return True

    def symbol_refused(self, numbers: Numbers) -> bool:
        """The venue takes no new orders of a pair, and says nowhere why."""
        symbol = self._symbol(numbers[0])
        if f"refused {symbol}" in self._until:
            return False
        operations = self._rig.venue.simulator.operations
        operations.set_cancel_only(symbol, on=True, now_ms=self._rig.clock.true_ms())

        def end() -> None:
            operations.set_cancel_only(symbol, on=False, now_ms=self._rig.clock.true_ms())

        self._lasts(f"refused {symbol}", numbers[1], end)
        return True
