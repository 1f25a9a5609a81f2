"""Which agents of a guild handle a class of message on a topic; asked for each publish.

So the answer is worked out once for each class and topic, and without a look at the agents that
neither concerns.
"""

from functools import lru_cache
from typing import NamedTuple

from pydantic import BaseModel

from guild.agent.contracts import reader_of
from guild.checking.plan import Plan
from guild.spec.spec import AgentSpec
from messaging.wire.message import wire_type_of
from messaging.wire.pattern_index import PatternIndex
from messaging.wire.topic import inbox_of

MOST_REMEMBERED = 4_096


class _Able(NamedTuple):
    """The agents that handle a class, wherever it is published."""

    agents: list[AgentSpec]
    listening: PatternIndex


class Audience:
    """Answers from the plan of a guild, the last few thousand from memory.

    Attributes:
        why_unhandled: `(topic, message class)` -> why such a message would go unhandled on that
            topic; "" if an agent handles it there.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._able = lru_cache(MOST_REMEMBERED)(self._look_for_able)
        self.why_unhandled = lru_cache(MOST_REMEMBERED)(self._why_unhandled)

    def _why_unhandled(self, topic: str, message: type[BaseModel]) -> str:
        if not issubclass(message, BaseModel):
            return ""  # whatever its annotation says; the bus refuses it
        able = self._able(message)
        if able.listening.owners_of(topic):
            return ""
        name = str(wire_type_of(message))
        if not able.agents:
            return f"no agent of {self._plan.spec.id!r} handles {name}"
        where = ", ".join(f"{agent.id} ({', '.join(agent.topics)})" for agent in able.agents)
        return f"no agent on {topic!r} handles {name}; it is handled by {where}"

    def _look_for_able(self, message: type[BaseModel]) -> _Able:
        classes, listening = self._plan.agents, PatternIndex()
        able = [a for a in self._plan.spec.agents if reader_of(classes[a.id].accepted(), message)]
        for agent in able:
            listening.put(agent.id, (*agent.topics, inbox_of(agent.id)))
        return _Able(able, listening)
