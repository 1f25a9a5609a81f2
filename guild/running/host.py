"""Runs one replica of one agent: makes it, hands it its messages, takes it down again."""

import asyncio
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from guild.agent.agent import Agent
from guild.agent.resources import ResourcePool, ResourceScope
from guild.agent.route_again import RouteAgain
from guild.checking.inspection import injected_parameters
from guild.checking.plan import Plan
from guild.errors import GuildError
from guild.running.routes import Router
from guild.spec.spec import AgentSpec, GuildSpec
from messaging.bus import Bus
from messaging.handling.context import Context
from messaging.handling.retry import RetryPolicy
from messaging.handling.subscription import Declared, Handler, Subscription, SubscriptionOptions
from messaging.process.logs import get_logger

log = get_logger()


class AgentHost:
    """One replica of an agent on the bus.

    Args:
        plan: the guild's.
        index: place of the agent in it.
        bus: an open bus.
        resources: what the agents of the guild share.
        router: where its messages go besides their usual way.
        on_ready: called each time it begins to take messages.
    """

    def __init__(
        self,
        plan: Plan,
        index: int,
        *,
        bus: Bus,
        resources: ResourcePool,
        router: Router,
        on_ready: Callable[[], None],
    ) -> None:
        self._plan = plan
        self._index = index
        self._guild = plan.spec
        self._spec = plan.spec.agents[index]
        self._agent_class = plan.agents[self._spec.id]
        self._bus = bus
        self._resources = resources
        self._router = router
        self._on_ready = on_ready
        self._stopping = asyncio.Event()

    @property
    def is_stopping(self) -> bool:
        return self._stopping.is_set()

    def stop(self) -> None:
        """Have `live` drain what is in hand and return."""
        self._stopping.set()

    async def live(self) -> None:
        """One life of the agent, from its making to its end; an exception is a crash."""
        scope = ResourceScope(self._resources, self._spec.dependencies)
        try:
            agent = await self._make(scope)
            try:
                await agent.start()
                await self._serve(agent)
            finally:
                await self._take_down(agent)
        finally:
            await scope.close()

    async def _make(self, scope: ResourceScope) -> Agent[Any]:
        spec, agent_class = self._spec, self._agent_class
        properties = self._plan.agent_properties(self._index)
        arguments: dict[str, Any] = {}
        for parameter, is_needed in injected_parameters(agent_class).items():
            resource = spec.dependencies.get(parameter, parameter)
            if is_needed or resource in self._resources.names:
                arguments[parameter] = await scope.get(parameter)
        if "properties" in inspect.signature(agent_class).parameters:
            arguments["properties"] = properties
        agent = agent_class(**arguments)
        agent.id = spec.id
        agent.properties = properties
        agent.resources = scope
        return agent

    async def _serve(self, agent: Agent[Any]) -> None:
        wanted = subscription_of(self._guild, self._spec, agent, self._router)
        running = await self._bus.subscribe(wanted)
        work = {asyncio.create_task(self._stopping.wait()), asyncio.create_task(running.wait())}
        own = asyncio.create_task(agent.run()) if type(agent).run is not Agent.run else None
        try:
            self._on_ready()
            await asyncio.wait({*work, own} if own else work, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await running.drain()
            for task in work:
                task.cancel()
            if own is not None and not own.done():
                own.cancel()
                await asyncio.wait([own])
        if own is not None and not own.cancelled():
            own.result()
        elif running.done and not self.is_stopping and own is None:
            raise GuildError(f"the subscription of agent {self._spec.id!r} ended by itself")

    async def _take_down(self, agent: Agent[Any]) -> None:
        try:
            async with asyncio.timeout(max(self._guild.drain_s, 1.0)):
                await agent.stop()
        except Exception:  # what it did is committed; the next one must not suffer from this
            log.exception("agent.stop_failed", agent=self._spec.id)


def subscription_of(
    guild: GuildSpec, spec: AgentSpec, agent: Agent[Any] | None, router: Router | None = None
) -> Subscription:
    """What an agent asks of the bus; without handlers as long as there is no `agent`."""
    retry = spec.retry
    options = SubscriptionOptions(
        concurrency=spec.concurrency,
        retry=RetryPolicy(
            attempts=retry.attempts,
            backoff_s=retry.backoff_s,
            factor=retry.factor,
            max_backoff_s=retry.max_backoff_s,
        ),
        timeout_s=spec.timeout_s,
        lease_s=spec.lease_s,
        drain_s=guild.drain_s,
        output_topic=spec.output_topic or "",
        answers=spec.answers,
        only_when_tagged=spec.only_when_tagged,
        only_known_types=True,
        ordered_by=spec.ordered_by or "",
        partitions=spec.partitions,
        route=router,
        neighbours=tuple(guild.neighbours),
    )
    handlers = {} if agent is None else handlers_of(agent)
    declared = {} if agent is None else _declared_by(agent)
    if agent is not None and router is not None and router.has_routes:
        handlers = {**handlers, RouteAgain: _routes_again(router)}
    return Subscription(spec.id, spec.topics, handlers, options, declared)


def _declared_by(agent: Agent[Any]) -> Mapping[type[BaseModel], Declared]:
    return {
        message_class: Declared(
            contract.method,
            contract.returns,
            contract.may_be_none,
            takes_context=contract.takes_context,
        )
        for message_class, contract in type(agent).accepted().items()
    }


def _routes_again(router: Router) -> Handler:
    async def route(failed: RouteAgain, ctx: Context) -> None:
        routed = router.again(failed)
        if routed is not None:
            ctx.send(routed.message, routed.topic, reply_to="")

    return route


def handlers_of(agent: Agent[Any]) -> Mapping[type[BaseModel], Handler]:
    """The agent's methods, by the class that they handle."""
    return {
        message_class: getattr(agent, contract.method)
        for message_class, contract in type(agent).accepted().items()
    }
