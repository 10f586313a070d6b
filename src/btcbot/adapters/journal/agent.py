"""The agent's port with a tape around it: a recorded run replays without anybody being asked."""

from __future__ import annotations

from typing import Final

from btcbot.adapters.journal.ports import Tape
from btcbot.domain.agent import AgentQuestion, AgentReply
from btcbot.ports import AgentPolicy

#: Its name among `facts.ANSWERS`; what comes back is an `AgentReply`.
DECIDE: Final = "agent.decide"


class TapedAgent:
    def __init__(self, tape: Tape, policy: AgentPolicy) -> None:
        self._tape = tape
        self._policy = policy

    def decide(self, question: AgentQuestion) -> AgentReply:
        return self._tape.ask(DECIDE, self._policy.decide, question)

    def close(self) -> None:
        self._policy.close()
