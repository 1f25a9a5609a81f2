"""Tells `guild.events` what happens, in order and without ever holding anybody up."""

import asyncio
from typing import Self

from guild.checking.plan import Plan
from guild.events import AgentFailed, BusIncident, DeadLettered, GuildDegraded, TakenOver
from guild.running.withdrawing import given_up_by, withdraw
from messaging.backend import Incident
from messaging.bus import Bus
from messaging.errors import MessagingError
from messaging.process.logs import get_logger
from messaging.wire.message import Message
from messaging.wire.topic import EVENTS_TOPIC

log = get_logger()

MOST_WAITING = 1000
LAST_WORDS_S = 1.0


class Announcer:
    """Publishes events in the background; the log has them too when the bus is away.

    What a person was asked for a message that was given up is withdrawn, too.
    """

    def __init__(self, bus: Bus, plan: Plan) -> None:
        self._bus = bus
        self._plan = plan
        self._guild_id = plan.spec.id
        self._waiting: asyncio.Queue[Message | None] = asyncio.Queue(MOST_WAITING)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._publish_all(), name=f"events-{self._guild_id}")
        self._bus.listen(self._incident)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._bus.unlisten(self._incident)
        self._put(None)
        try:
            await asyncio.wait([self._task], timeout=LAST_WORDS_S)
        finally:
            self._task.cancel()
        await asyncio.wait([self._task])
        self._task = None

    def observe(self, event: Message) -> None:
        """Announce `event`; of an agent that failed it also follows that the guild is degraded."""
        self._put(event)
        if isinstance(event, AgentFailed):
            log.error("guild.degraded", guild=self._guild_id, agent=event.agent)
            self._put(GuildDegraded(guild=self._guild_id, agent=event.agent, reason=event.error))

    def _incident(self, incident: Incident) -> None:
        if incident.event == "dead_letter":
            agent, message_id = incident.group, incident.message_id
            self._put(DeadLettered(text=incident.text, agent=agent, message_id=message_id))
        elif incident.event == "takeover":
            self._put(TakenOver(text=incident.text))
        else:
            self._put(BusIncident(event=incident.event, text=incident.text))

    def _put(self, event: Message | None) -> None:
        try:
            self._waiting.put_nowait(event)
        except asyncio.QueueFull:
            log.warning("guild.event_lost", guild=self._guild_id, event=type(event).__name__)

    async def _publish_all(self) -> None:
        while (event := await self._waiting.get()) is not None:
            try:
                await self._bus.publish(EVENTS_TOPIC, event)
            except MessagingError as error:
                log.warning("guild.event_lost", guild=self._guild_id, error=str(error))
            if isinstance(event, DeadLettered):
                await withdraw(
                    self._bus,
                    self._plan,
                    event.message_id,
                    agent=event.agent,
                    reason=given_up_by(event.agent),
                )
