"""What every operation stands on: the bus of a guild, its plan, and its record of actors."""

from collections.abc import Mapping, Sequence

from guild.checking.plan import Plan
from guild.errors import UnknownAgentError
from guild.events import OperatorActed
from guild.operations.agents import Pulse, Statuses
from guild.running.strays import Stray, find_strays
from messaging.bus import Bus
from messaging.errors import MessagingError
from messaging.process.logs import get_logger
from messaging.wire.topic import EVENTS_TOPIC

log = get_logger()

MOST_OF_A_NAME, MOST_OF_A_DETAIL = 200, 1_000


class Ground:
    """Knows the agents of a guild, and tells what was done to them.

    Args:
        bus: an open bus of the guild.
        plan: who handles what.
        statuses: how the replicas that work in this process are doing.
    """

    def __init__(self, bus: Bus, plan: Plan, statuses: Statuses = tuple) -> None:
        self.bus = bus
        self._plan = plan
        self._statuses = statuses
        self._pulse = Pulse(bus)

    async def strays(self) -> Sequence[Stray]:
        """Agents that are subscribed and not in the spec, with what waits for each.

        Another process may run them, as during a change of the spec. If none does, their backlog
        refuses publishers in the end: see `forget`.
        """
        return await find_strays(self.bus, self._ids)

    async def beats(self, agents: Sequence[str]) -> Mapping[str, int]:
        """Every replica of these agents that is registered, with its count of beats."""
        beats: dict[str, int] = {}
        for agent in agents:
            beats |= await self.bus.backend.consumers(agent)
        return beats

    @property
    def _ids(self) -> Sequence[str]:
        return [spec.id for spec in self._plan.spec.agents]

    def _known(self, agent: str) -> str:
        ids = self._ids
        if agent not in ids:
            raise UnknownAgentError(self._plan.spec.id, agent, ids)
        return agent

    async def _subscribed(self, agent: str) -> str:
        """An agent of the spec, or one that was taken out of it."""
        if agent not in self._ids and agent in [stray.agent for stray in await self.strays()]:
            return agent
        return self._known(agent)

    def _actor(self, by: str) -> str:
        """The name of the actor, as it is stored."""
        return storable(by or self.bus.name, MOST_OF_A_NAME)

    async def _tell(self, act: str, target: str, by: str, detail: str = "") -> None:
        """Say on `guild.events` that this was done.

        An error of this does not reach the operator, who would repeat what is already done.
        """
        event = OperatorActed(
            act=act,
            target=storable(target, MOST_OF_A_NAME),
            by=self._actor(by),
            detail=storable(detail, MOST_OF_A_DETAIL),
        )
        log.info("guild.operated", **event.model_dump())
        try:
            await self.bus.publish(EVENTS_TOPIC, event)
        except MessagingError as error:
            log.warning("guild.event_lost", guild=self._plan.spec.id, error=str(error))


def storable(text: str, most: int = MOST_OF_A_DETAIL) -> str:
    """`text` without lone surrogates, which JSON cannot hold, and not too long."""
    return text[:most].encode(errors="backslashreplace").decode()
