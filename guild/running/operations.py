"""What whoever runs a guild does to its agents: pause, drain, look, replay, forget."""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from guild.checking.plan import Plan
from guild.errors import UnknownAgentError
from guild.running.strays import DEFAULT_LEASE_S, Forgotten, Stray, find_strays, forget
from messaging.bus import DEFAULT_TIMEOUT_S, Bus
from messaging.client.replay import Range, Replayed, replay
from messaging.state.stored_state import StoredState
from messaging.wire.message import wire_type_of

LOOK_S = 0.1


class Operations:
    """Operates the agents of one guild, wherever they run.

    Args:
        bus: an open bus of the guild.
        plan: who handles what.
    """

    def __init__(self, bus: Bus, plan: Plan) -> None:
        self.bus = bus
        self._plan = plan

    async def pause(self, agent: str) -> None:
        """Have nobody begin to handle what `agent` is owed, until it is resumed.

        All processes obey within moments; handlers that run come to their end. Nothing is lost:
        what is published meanwhile waits. It lasts beyond every process of the guild.

        Raises:
            UnknownAgentError: the guild has no such agent, and no stray of that name.
        """
        await self.bus.pause(await self._subscribed(agent))

    async def resume(self, agent: str) -> None:
        """Let a paused agent go on.

        Raises:
            UnknownAgentError: the guild has no such agent, and no stray of that name.
        """
        await self.bus.resume(await self._subscribed(agent))

    async def drain(self, agent: str, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> int:
        """Pause `agent` and wait until nobody has any of its messages in hand.

        Returns:
            How many still were after `timeout_s`; 0 when it is drained. It stays paused.

        Raises:
            UnknownAgentError: the guild has no such agent.
        """
        await self.pause(agent)
        ends_at = time.monotonic() + timeout_s
        while True:
            topics = await self.bus.backend.topics()
            in_hand = sum(topic.pending.get(agent, 0) for topic in topics)
            if not in_hand or time.monotonic() >= ends_at:
                return in_hand
            await asyncio.sleep(LOOK_S)

    def state(self, agent: str) -> StoredState:
        """The committed state of `agent`, to be looked at.

        Raises:
            UnknownAgentError: the guild has no such agent.
        """
        return StoredState(self.bus.backend, self._known(agent))

    async def replay(
        self,
        topic: str,
        agent: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        really: bool = False,
    ) -> Replayed:
        """Hand what a topic still holds to one agent again; nobody else gets it.

        They come as new messages, in order, with those that they repeat as their cause. Nobody gets
        an answer once more. A topic holds what was settled only as long as the option
        `keep_settled_s` of the bus says.

        Args:
            topic: whose messages.
            agent: who is to handle them again, if it handles their types.
            since: only what was made from then on.
            until: only what was made before.
            really: do it; otherwise it is only counted what would be done.

        Raises:
            UnknownAgentError: the guild has no such agent.
            NobodyListensError: the agent never ran on this bus.
            ValueError: a time has no time zone.
            MessagingError: as `Bus.publish`.
        """
        agent = self._known(agent)
        types = {wire_type_of(message).name for message in self._plan.agents[agent].accepted()}
        wanted = Range(since, until)
        return await replay(self.bus.backend, topic, agent, wanted, types=types, really=really)

    async def strays(self) -> Sequence[Stray]:
        """Agents that are subscribed and not in the spec, with what waits for each.

        Another process may run them, as during a change of the spec. If none does, their backlog
        refuses publishers in the end: see `forget`.
        """
        return await find_strays(self.bus, self._ids)

    async def forget(
        self,
        agent: str,
        *,
        really: bool = False,
        quiet_s: float = DEFAULT_LEASE_S,
        on_wait: Callable[[float], None] | None = None,
    ) -> Forgotten:
        """Unsubscribe an agent that was taken out of the spec: see `strays`.

        What waits for it, its retries, timers and state are gone for good. Its dead letters stay.

        Args:
            agent: which one.
            really: do it; otherwise it is only counted what would be lost.
            quiet_s: how long to listen for replicas that are registered: the lease that it had.
            on_wait: told how long that may take, when there are any.

        Raises:
            UnknownAgentError: no such agent is subscribed.
            AgentInUseError: it is in the spec, or runs in some process; nothing was done.
        """
        guild = self._plan.spec.id
        return await forget(
            self.bus, guild, self._ids, agent, really=really, quiet_s=quiet_s, on_wait=on_wait
        )

    async def _subscribed(self, agent: str) -> str:
        """An agent of the spec, or one that was taken out of it."""
        if agent not in self._ids and agent in [stray.agent for stray in await self.strays()]:
            return agent
        return self._known(agent)

    @property
    def _ids(self) -> Sequence[str]:
        return [spec.id for spec in self._plan.spec.agents]

    def _known(self, agent: str) -> str:
        ids = self._ids
        if agent not in ids:
            raise UnknownAgentError(self._plan.spec.id, agent, ids)
        return agent
