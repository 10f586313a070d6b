"""What the acts of a story do to the world around the bot, and what they ask of it afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec

from btcbot.domain.reasons import TradingState
from btcbot.services.operator import REQUEST, Request

if TYPE_CHECKING:
    from btcbot.testing.in_process_rig import Rig
    from btcbot.testing.stories.story import Act

_PUT: Final = (
    "INSERT INTO named_values (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)


class Hands:
    """The hands of whoever tells a story: on the kill switch, the settings, the network, and an operator's requests."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        #: What happens once, at the next point whose name begins so.
        self.once: list[tuple[str, Act]] = []
        self.kill_since: int | None = None
        self.points_passed = 0
        self._requests = 0

    # -- what acts and harms do ----------------------------------------------------------------------------------------

    def kill(self, *, is_on: bool) -> None:
        path = self.rig.kill_switch().path
        if is_on:
            path.touch()
            self.kill_since = self.points_passed
        else:
            path.unlink(missing_ok=True)
            self.kill_since = None

    def end(self, settings: Mapping[str, str]) -> None:
        """The process ends; the next one has these settings."""
        self.rig.crash()
        self.rig.environment |= settings

    def request(self, kind: str, **arguments: str) -> None:
        """Leave an operator's request in the database, as another process does. One waits at a time."""
        if self.named_value(REQUEST):
            return
        self._requests += 1
        wanted = Request(
            request_id=f"request-{self._requests}",
            kind=kind,
            arguments=arguments,
            made_at_ms=self.rig.clock.now_ms(),
            wait_ms=60_000,
        )
        self.rig.disk.execute(_PUT, (REQUEST, msgspec.json.encode(wanted).decode()))

    def resume(self) -> None:
        """The operator has looked at the evidence of a halt, and reopens."""
        if self.rig.state() is TradingState.HALTED:
            self.request("resume", reason="looked at")

    def network(self, *, is_up: bool) -> None:
        self.rig.venue.transport.is_up = is_up

    def at_next_commits(self, number: int, act: Act) -> None:
        """`act` at the `number`th commit from now on."""
        then = act if number == 1 else lambda it: it.at_next_commits(number - 1, act)
        self.once.append(("after commit", then))

    # -- what became of it ---------------------------------------------------------------------------------------------

    def named_value(self, name: str) -> str:
        row = self.rig.disk.execute("SELECT value FROM named_values WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else ""

    def verdicts(self) -> set[str]:
        """Codes of all verdicts so far."""
        return {str(code) for (code,) in self.rig.disk.execute("SELECT DISTINCT code FROM verdicts").fetchall()}

    def entries(self) -> list[str]:
        """Kinds of all entries, oldest first."""
        return [entry.kind.value for entry in self.rig.store.entries()]

    def taker_rate(self) -> Decimal:
        """What the bot believes to pay for taking, as a share."""
        return self.rig.bot.services.accounting.fee_rates.taker

    @property
    def posts(self) -> int:
        """Orders that left."""
        return sum(self.rig.venue.transport.posts.values())

    def sent(self, side: str) -> int:
        """Orders of this side that left."""
        posts = self.rig.venue.transport.posts
        return sum(posts[order.client_order_id] for order in self.rig.orders() if order.side == side)

    @property
    def cancels(self) -> int:
        """Cancellations that left."""
        return len(self.rig.venue.requests("DELETE"))
