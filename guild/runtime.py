"""A guild at work: its bus opened, its agents started, watched and stopped."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from enum import StrEnum
from typing import Self

from guild.agent.registry import Registry
from guild.checking.plan import Plan
from guild.client import GuildClient
from guild.errors import GuildNotRunningError
from guild.events import GuildStarted, GuildStopped
from guild.live.telling import LiveTeller
from guild.running.announcer import Announcer
from guild.running.engines.engine import AgentState, Engine, ReplicaStatus
from guild.running.engines.inprocess import InProcessEngine
from guild.running.scheduler import run_schedules
from guild.running.strays import find_strays
from guild.spec.references import resolve
from guild.spec.spec import GuildSpec
from messaging.bus import Bus, connect
from messaging.consuming.replica import Running
from messaging.observing import Observer
from messaging.process.logs import get_logger

log = get_logger()


class GuildStatus(StrEnum):
    """What a guild is doing in this process."""

    NEW = "new"
    STARTING = "starting"
    RUNNING = "running"
    DEGRADED = "degraded"  # an agent is down for good, the others go on
    DRAINING = "draining"
    CLOSED = "closed"

    @property
    def is_degraded(self) -> bool:
        return self is GuildStatus.DEGRADED


class Guild:
    """A guild in this process; make one with `Guild.launch` and use it with `async with`.

    Several processes may launch the same guild on the same server: they share its work.

    Attributes:
        agents: ids of those that work in this process.
    """

    def __init__(
        self,
        plan: Plan,
        bus: Bus | str,
        *,
        only: Collection[str] | None = None,
        wait_s: float = 0.0,
        observer: Observer | None = None,
    ) -> None:
        if observer is not None and not isinstance(bus, str):
            raise TypeError("an open bus has its observer already: give it to `connect`")
        self.plan = plan
        self.agents = plan.choose(only)
        self._bus = bus
        self._wait_s = wait_s
        self._observer = observer
        self._status = GuildStatus.NEW
        self._stack = AsyncExitStack()
        self._closing = asyncio.Lock()
        self._engine: Engine | None = None
        self._scheduler: Running | None = None
        self._client: GuildClient | None = None

    @classmethod
    def launch(
        cls,
        spec: GuildSpec,
        *,
        bus: Bus | str | None = None,
        allow: Iterable[str] = (),
        registry: Registry | None = None,
        environ: Mapping[str, str] | None = None,
        only: Collection[str] | None = None,
        wait_s: float = 0.0,
        observer: Observer | None = None,
    ) -> Self:
        """Check `spec` and return its guild, which starts with `async with` or `start`.

        Args:
            spec: what to run.
            bus: an open bus, which stays the caller's, or the URL of one; None for the spec's own.
            allow: packages whose classes the spec may name by dotted path, besides those that it
                was allowed when it was loaded.
            registry: where types are found, instead of `allow`.
            environ: where references to variables are looked up; None for the process's own.
            only: ids of the agents that work in this process; None for all of them. The others are
                subscribed, so that nothing is lost to them, and work where another process runs
                them. Schedules and relays are shared by all processes.
            wait_s: how long its start waits for a server that is not there yet.
            observer: sees what is published and handled in this process; an open bus has its own.

        Raises:
            SpecError: everything that is wrong with the spec, secrets that are not there included.
            MissingExtraError: an agent needs packages that are not installed.
            UnresolvedReferenceError: the bus's URL refers to a variable that is not set.
            UnknownAgentError: `only` names an agent that the spec does not have.
        """
        plan = Plan.of(spec, registry, environ, allow=allow)
        plan.check_startable(None if only is None else plan.choose(only))
        url = str(resolve(spec.bus, environ=environ, path=("bus",))) if bus is None else bus
        return cls(plan, url, only=only, wait_s=wait_s, observer=observer)

    @property
    def spec(self) -> GuildSpec:
        return self.plan.spec

    @property
    def client(self) -> GuildClient:
        """Talks to the guild's agents.

        Raises:
            GuildNotRunningError: before it is started and after it is closed.
        """
        if self._client is None:
            raise GuildNotRunningError(
                f"guild {self.spec.id!r} is {self._status}; use it within `async with`"
            )
        return self._client

    @property
    def status(self) -> GuildStatus:
        """`degraded` while an agent is down for good."""
        failed = any(replica.state is AgentState.FAILED for replica in self.replicas)
        return GuildStatus.DEGRADED if self._is_running and failed else self._status

    @property
    def replicas(self) -> Sequence[ReplicaStatus]:
        """How each agent that works here is doing, in the order of the spec."""
        return self._engine.replicas if self._engine is not None else ()

    @property
    def _is_running(self) -> bool:
        return self._status is GuildStatus.RUNNING

    async def start(self) -> Self:
        """Open the bus, subscribe all agents, start those that work here, and return then.

        An agent that crashes at once does not stop the others: it is started again as its policy
        says.

        Raises:
            BackendUnavailableError: there is no server; nothing was started.
            BackendSetupError: the server cannot keep what the bus promises.
            GuildNotRunningError: it was started before, or closed meanwhile.
        """
        if self._status is not GuildStatus.NEW:
            raise GuildNotRunningError(f"guild {self.spec.id!r} is {self._status}: launch it anew")
        self._status = GuildStatus.STARTING
        try:
            await self._start()
        except BaseException:
            await self._leave()
            raise
        return self

    async def drain(self) -> None:
        """Finish what is in hand within `drain_s`, give back the rest, and stop every agent.

        The client works until `close`; what is published meanwhile waits for the next launch.
        """
        if self._status not in (GuildStatus.RUNNING, GuildStatus.DRAINING):
            return
        self._status = GuildStatus.DRAINING
        async with self._closing:
            parts = [part for part in (self._scheduler, self._engine) if part is not None]
            await asyncio.gather(*[part.drain() for part in parts])

    async def close(self) -> None:
        """Drain, then leave the bus. Closing a closed guild does nothing."""
        if self._status in (GuildStatus.NEW, GuildStatus.CLOSED):
            self._status = GuildStatus.CLOSED
            return
        if self._status is GuildStatus.STARTING:
            self._status = GuildStatus.DRAINING  # which ends `start`, too
        try:
            await self.drain()
        finally:  # also when this is cancelled
            await self._leave()

    async def _leave(self) -> None:
        self._client = None
        try:
            await self._stack.aclose()
        finally:
            self._status = GuildStatus.CLOSED

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _start(self) -> None:
        for warning in self.plan.warnings:
            log.warning("guild.wiring", guild=self.spec.id, warning=warning)
        neighbours = resolve(self.spec.neighbours, environ=self.plan.environ, path=("neighbours",))
        bus = self._bus
        if isinstance(bus, str):
            bus = await self._stack.enter_async_context(
                connect(
                    bus,
                    self.spec.id,
                    registry=self.plan.messages,
                    wait_s=self._wait_s,
                    observer=self._observer,
                )
            )
        announcer = await self._stack.enter_async_context(Announcer(bus, self.plan))
        await self._stack.enter_async_context(LiveTeller(bus))
        engine = self._engine = InProcessEngine(self.plan, bus, announcer.observe, self.agents)
        self._stack.push_async_callback(engine.drain)
        await engine.start()
        for guild_id, url in neighbours.items():
            relay = await bus.relay(guild_id, url)
            self._stack.push_async_callback(relay.drain)
        scheduler = await run_schedules(bus, self.spec.schedules, self.plan.messages)
        if scheduler is not None:
            self._scheduler = scheduler
            self._stack.push_async_callback(scheduler.drain)
        if self._status is not GuildStatus.STARTING:
            raise GuildNotRunningError(f"guild {self.spec.id!r} was closed while it started")
        self._client = GuildClient(bus, self.plan, lambda: engine.replicas)
        self._status = GuildStatus.RUNNING
        agents = self.agents
        failing = {r.agent for r in engine.replicas if r.error}
        announcer.observe(
            GuildStarted(guild=self.spec.id, agents=agents, failing=tuple(sorted(failing)))
        )
        self._stack.callback(announcer.observe, GuildStopped(guild=self.spec.id))
        log.info("guild.started", guild=self.spec.id, agents=agents)
        await self._tell_of_strays(bus)

    async def _tell_of_strays(self, bus: Bus) -> None:
        strays = await find_strays(bus, [agent.id for agent in self.spec.agents])
        if strays:
            log.warning(
                "guild.strays",
                guild=self.spec.id,
                agents=[stray.agent for stray in strays],
                waiting=sum(stray.waiting for stray in strays),
                warning="these agents are subscribed and not in the spec: another process may run "
                "them, with another version of the spec; if none does, what is published waits for "
                "them until publishers are refused, and "
                f"`guildbus forget {self.spec.source.file or 'SPEC'} AGENT` ends that",
            )
