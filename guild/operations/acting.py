"""What an operator does to the agents of a guild and to their work, told on `guild.events`."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime

from guild.operations.ground import Ground, storable
from guild.running.strays import DEFAULT_LEASE_S, Forgotten, forget
from guild.running.withdrawing import withdraw
from messaging.bus import DEFAULT_TIMEOUT_S
from messaging.client.replay import Range, Replayed, replay
from messaging.process.time_limits import check_finite
from messaging.wire.message import wire_type_of

LOOK_S = 0.1


class Acting(Ground):
    """Pauses, resumes, drains, cancels, replays, forgets.

    Each act says on `guild.events` that it was done, what it came to, and who did it: `by` is the
    name of a user or of a token, "" for the name of the bus.
    """

    async def pause(self, agent: str, *, by: str = "") -> None:
        """Have no message of `agent` begun, in any process, until it is resumed.

        All processes obey within moments; handlers that run come to their end. Nothing is lost:
        what is published meanwhile waits. It lasts beyond every process of the guild.

        Raises:
            UnknownAgentError: the guild has no such agent, and no stray of that name.
        """
        await self.bus.pause(await self._subscribed(agent))
        await self._tell("pause", agent, by)

    async def resume(self, agent: str, *, by: str = "") -> bool:
        """Let a paused agent go on; whether it was paused.

        Raises:
            UnknownAgentError: the guild has no such agent, and no stray of that name.
        """
        was_paused = agent in await self.bus.paused()
        await self.bus.resume(await self._subscribed(agent))
        await self._tell("resume", agent, by)
        return was_paused

    async def drain(self, agent: str, *, timeout_s: float = DEFAULT_TIMEOUT_S, by: str = "") -> int:
        """Pause `agent` and wait until none of its messages is in hand any more.

        Returns:
            How many still were after `timeout_s`; 0 when it is drained. It stays paused.

        Raises:
            UnknownAgentError: the guild has no such agent.
            ValueError: `timeout_s` is not finite.
        """
        check_finite(timeout_s=timeout_s)
        await self.bus.pause(await self._subscribed(agent))
        await self._tell("drain", agent, by)
        ends_at = time.monotonic() + timeout_s
        while True:
            topics = await self.bus.backend.topics()
            in_hand = sum(topic.pending.get(agent, 0) for topic in topics)
            if not in_hand or time.monotonic() >= ends_at:
                return in_hand
            await asyncio.sleep(LOOK_S)

    async def cancel(self, message_id: str, reason: str = "", *, by: str = "") -> None:
        """Stop the handling of the message and of what followed from it; its requester is told.

        What a person was asked for it is withdrawn.
        """
        await self.bus.cancel(message_id, reason)
        actor = self._actor(by)
        why = f"its work was cancelled by {actor}{': ' * bool(reason)}{reason}"
        await withdraw(self.bus, self._plan, message_id, reason=storable(why), by=actor)
        await self._tell("cancel", message_id, by, reason)

    async def replay(
        self,
        topic: str,
        agent: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        really: bool = False,
        by: str = "",
    ) -> Replayed:
        """Hand what a topic still holds to one agent again; nobody else gets it.

        They come as new messages, in order, with those that they repeat as their cause. No
        requester is answered again. A topic holds what was settled only as long as the option
        `keep_settled_s` of the bus says.

        Args:
            topic: where the messages are.
            agent: that handles them again, if it handles their types.
            since: only what was made from then on.
            until: only what was made before.
            really: do it; otherwise it is only counted what would be done.
            by: who does it.

        Raises:
            UnknownAgentError: the guild has no such agent.
            NobodyListensError: the agent never ran on this bus.
            ValueError: a time has no time zone.
            MessagingError: as `Bus.publish`.
        """
        agent = self._known(agent)
        types = {wire_type_of(message).name for message in self._plan.agents[agent].accepted()}
        wanted = Range(since, until)
        found = await replay(self.bus.backend, topic, agent, wanted, types=types, really=really)
        if really:
            count = sum(found.handed_on.values())
            await self._tell("replay", agent, by, f"{count:,} messages of {topic}")
        return found

    async def forget(
        self,
        agent: str,
        *,
        really: bool = False,
        quiet_s: float = DEFAULT_LEASE_S,
        on_wait: Callable[[float], None] | None = None,
        by: str = "",
    ) -> Forgotten:
        """Unsubscribe an agent that was taken out of the spec: see `strays`.

        What waits for it, its retries, timers and state are gone for good. Its dead letters stay.

        Args:
            agent: which one.
            really: do it; otherwise it is only counted what would be lost.
            quiet_s: how long to listen for replicas that are registered: the lease that it had.
            on_wait: told how long that may take, when there are any.
            by: who does it.

        Raises:
            UnknownAgentError: no such agent is subscribed.
            AgentInUseError: it is in the spec, or runs in some process; nothing was done.
        """
        guild = self._plan.spec.id
        forgotten = await forget(
            self.bus, guild, self._ids, agent, really=really, quiet_s=quiet_s, on_wait=on_wait
        )
        if really:
            owed = forgotten.waiting + forgotten.in_hand
            await self._tell("forget", agent, by, f"{owed:,} messages were kept for it")
        return forgotten
