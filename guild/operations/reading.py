"""What an operator reads of a guild."""

from collections.abc import Sequence

from guild.errors import UnknownAgentError
from guild.operations.agents import AgentInfo, read_agents
from guild.operations.conversation import Conversation
from guild.operations.ground import Ground
from guild.operations.retracing import retrace
from guild.operations.schemas import MessageInfo, schema_of, schemas_of
from guild.operations.view import (
    GraphReport,
    GuildOverview,
    TopicReport,
    overview_of,
    report_of,
    reports_of,
)
from messaging.state.stored_state import StoredState


class Reading(Ground):
    """Reads what a guild is and how it is doing."""

    def overview(self) -> GuildOverview:
        """What the guild is, as its spec declares it."""
        return overview_of(self._plan)

    def graph(self) -> GraphReport:
        """Who sends what to whom, read from the contracts of the agents."""
        return report_of(self._plan.graph)

    def schemas(self) -> Sequence[MessageInfo]:
        """Every message that may travel; those that agents handle come first."""
        return schemas_of(self._plan)

    def schema_of(self, type_name: str) -> MessageInfo:
        """The message that goes by this wire name or class name.

        Raises:
            NoSuchMessageError: there is none; says which is meant.
        """
        return schema_of(self._plan, type_name)

    async def agents(self) -> Sequence[AgentInfo]:
        """The agents of the spec, then those that are subscribed without being in it.

        What waits is told as it was at most 5 s ago, see `Bus.topics`; who runs, as it is.
        """
        return await read_agents(self.bus, self._plan, self._statuses, self._pulse)

    async def agent(self, agent: str) -> AgentInfo:
        """As `agents`, one of them.

        Raises:
            UnknownAgentError: the guild has no such agent, and no stray of that name.
        """
        found = {info.agent: info for info in await self.agents()}
        if agent not in found:
            raise UnknownAgentError(self._plan.spec.id, agent, tuple(found))
        return found[agent]

    async def topics(self) -> Sequence[TopicReport]:
        """Every topic, as it was at most 5 s ago, see `Bus.topics`."""
        return reports_of(await self.bus.topics())

    def state(self, agent: str) -> StoredState:
        """The committed state of `agent`, to be looked at.

        Raises:
            UnknownAgentError: the guild has no such agent.
        """
        return StoredState(self.bus.backend, self._known(agent))

    async def conversation(self, conversation_id: str) -> Conversation:
        """What is still known of a conversation: its messages, and what agents made of them.

        Settled messages are known while their topic keeps them (`keep_settled_s`), while a watcher
        looks (`live`), and where they became dead letters.

        Args:
            conversation_id: its id, or that of any message of it.
        """
        return await retrace(self.bus, self._plan, conversation_id)
