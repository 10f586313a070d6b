"""KillChain: turns the kill switch on by itself after failures in a row, and off again where it may.

It uses the operator's own brake, so that everything that honours that one honours this one too, and so that a human
can see why it is on and let it go with the command that they know.
"""

from __future__ import annotations

from typing import Final

import msgspec

from btcbot.decisions import kill_chain
from btcbot.decisions.kill_chain import CycleFinding, KillChainRules, KillChainState, TurnOff, TurnOn
from btcbot.ports import KillSwitch, Log, StateStore, Transaction
from btcbot.services.watching import CycleEnd

KILL_CHAIN: Final = "kill_chain"


class KillChain:
    """A watcher. One that is not enabled still lets go what it turned on when it was."""

    def __init__(self, store: StateStore, kill_switch: KillSwitch, log: Log, rules: KillChainRules) -> None:
        self._kill_switch = kill_switch
        self._log = log
        self._rules = rules
        self._state = _read(store)

    def cycle_ended(self, end: CycleEnd, tx: Transaction) -> None:
        """Count, and turn the switch. The file comes before the record of it: a brake that nobody remembers to have
        pulled stays on until a human looks, and that is the safe way to be wrong. Raises StoreFailed where the switch
        cannot be turned on: a bot that cannot brake must not go on."""
        summary, now_ms = end.summary, end.report.ended_at_ms
        cycle = CycleFinding(
            cycle_id=end.report.cycle_id,
            outcome=end.report.outcome,
            reasons=end.report.reasons,
            taken=summary.accepted + summary.simulated,
            refused=summary.refused,
            in_doubt=summary.in_doubt,
            was_planned=end.draft is not None,
        )
        after, act = kill_chain.step(self._state, cycle, self._kill_switch.is_on(), now_ms, self._rules)
        match act:
            case TurnOn(reason=reason):
                self._kill_switch.turn_on(reason, now_ms)
                self._log.error("kill_chain_tripped", reason=reason)
            case TurnOff():
                self._kill_switch.turn_off()
                self._log.warning("kill_chain_let_go", after_s=self._rules.cooldown_ms // 1000)
            case None:
                pass
        if after != self._state:
            tx.put_value(KILL_CHAIN, msgspec.json.encode(after).decode())
            self._state = after


def _read(store: StateStore) -> KillChainState:
    text = store.value(KILL_CHAIN)
    try:
        return msgspec.json.decode(text, type=KillChainState) if text else KillChainState()
    except msgspec.DecodeError:
        return KillChainState()  # a switch that is on stays on until a human turns it off
