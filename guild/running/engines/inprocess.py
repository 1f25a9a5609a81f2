"""Runs agents on the event loop of this process."""

import asyncio
import inspect
from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

from guild.agent.resources import ResourcePool
from guild.checking.plan import Plan
from guild.events import AgentCrashed, AgentFailed, AgentRestarted
from guild.running.engines.engine import AgentState, Observer, ReplicaStatus
from guild.running.host import AgentHost, subscription_of
from guild.running.routes import Router
from guild.running.supervisor import Supervisor
from messaging.bus import Bus
from messaging.process.logs import get_logger

log = get_logger()


class InProcessEngine:
    """Each replica is a host kept alive by a supervisor; they share one bus and one pool.

    Args:
        plan: the guild's.
        bus: an open bus.
        observe: told of what happens.
        chosen: ids of the agents that work here; the others are only subscribed.
    """

    def __init__(self, plan: Plan, bus: Bus, observe: Observer, chosen: Collection[str]) -> None:
        self._plan = plan
        self._bus = bus
        self._pool = ResourcePool({name: partial(_open, plan, name) for name in plan.factories})
        self._keepers = [
            _Keeper(plan, index, replica, bus=bus, pool=self._pool, observe=observe)
            for index, agent in enumerate(plan.spec.agents)
            if agent.id in chosen
            for replica in range(agent.replicas)
        ]

    @property
    def replicas(self) -> Sequence[ReplicaStatus]:
        return [keeper.status for keeper in self._keepers]

    async def start(self) -> None:
        # All are owed messages before the first can send one, also those that work elsewhere.
        for agent in self._plan.spec.agents:
            await self._bus.register(subscription_of(self._plan.spec, agent, None))
        for keeper in self._keepers:
            keeper.start()
        await asyncio.gather(*(keeper.settled.wait() for keeper in self._keepers))

    async def drain(self) -> None:
        await asyncio.gather(*(keeper.stop() for keeper in reversed(self._keepers)))
        await self._pool.close()


class _Keeper:
    """One replica: its host, its supervisor, and what they say about it."""

    def __init__(
        self,
        plan: Plan,
        index: int,
        replica: int,
        *,
        bus: Bus,
        pool: ResourcePool,
        observe: Observer,
    ) -> None:
        spec = plan.spec.agents[index]
        self.status = ReplicaStatus(spec.id, replica)
        self.settled = asyncio.Event()
        self._observe = observe
        self._host = AgentHost(
            plan,
            index,
            bus=bus,
            resources=pool,
            router=Router(spec.id, plan.agents[spec.id], plan.spec.routes, plan.messages),
            on_ready=self._ready,
        )
        self._supervisor = Supervisor(spec.restart, on_crash=self._crashed)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        name = f"agent-{self.status.agent}-{self.status.replica}"
        self._task = asyncio.create_task(self._keep(), name=name)

    async def stop(self) -> None:
        """Let it drain if it works, and break off what else it does: starting, or waiting."""
        self._host.stop()
        if self._task is None:
            return
        if self.status.state is not AgentState.RUNNING:
            self._task.cancel()
        await asyncio.wait([self._task])

    async def _keep(self) -> None:
        try:
            verdict = await self._supervisor.keep(
                self._live, is_stopping=lambda: self._host.is_stopping
            )
        except asyncio.CancelledError:
            self.status.state = AgentState.STOPPED
            raise
        finally:
            self.settled.set()
        if self._host.is_stopping:
            self.status.state = AgentState.STOPPED
            if verdict.error is not None:
                log.error("agent.stop_failed", **self._who(), exc_info=verdict.error)
        elif verdict.error is None and not verdict.is_crash_loop:
            self.status.state = AgentState.ENDED
        else:
            self._failed(verdict.error)

    async def _live(self) -> None:
        try:
            await self._host.live()
        finally:
            self.status.state = AgentState.RESTARTING  # unless it is over for good, see `_keep`

    def _ready(self) -> None:
        self.status.state = AgentState.RUNNING
        self.status.restarts = self._supervisor.restarts
        self.settled.set()
        log.info("agent.started", **self._who(), restarts=self.status.restarts)
        if self.status.restarts:
            self._observe(AgentRestarted(**self._who(), restarts=self.status.restarts))

    def _crashed(self, error: Exception, wait_s: float) -> None:
        self.status.error = _text(error)
        self.settled.set()
        log.error("agent.crashed", **self._who(), wait_s=wait_s, exc_info=error)
        self._observe(AgentCrashed(**self._who(), error=self.status.error, wait_s=wait_s))

    def _failed(self, error: Exception | None) -> None:
        self.status.state = AgentState.FAILED
        self.status.restarts = self._supervisor.restarts
        self.status.error = _text(error) if error else "it ended again and again"
        log.error("agent.failed", **self._who(), restarts=self.status.restarts, exc_info=error)
        self._observe(
            AgentFailed(**self._who(), error=self.status.error, restarts=self.status.restarts)
        )

    def _who(self) -> dict[str, Any]:
        return {"agent": self.status.agent, "replica": self.status.replica}


def _open(plan: Plan, name: str) -> AbstractAsyncContextManager[Any]:
    factory = plan.factories[name]
    takes_properties = bool(inspect.signature(factory).parameters)
    arguments = (plan.resource_properties(name),) if takes_properties else ()
    opened: AbstractAsyncContextManager[Any] = factory(*arguments)
    return opened


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:2000]
