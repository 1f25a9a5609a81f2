"""Agents that are subscribed and not in the spec, what they are owed, and how to forget them.

An agent outlives its place in the spec: what is published goes on waiting for it, because another
process may run it still. When no process does, its backlog grows until the topic is full, and then
publishers are refused. So an operator has to see it, and to say that it is over.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from guild.errors import AgentInUseError, UnknownAgentError
from guild.running.scheduler import GROUP as SCHEDULER
from messaging.backend import RESERVED_PREFIX, TopicInfo
from messaging.backends.incarnation import has_surely_died
from messaging.bus import Bus
from messaging.client.dead_letters import Wanted
from messaging.consuming.liveness import LOOKS_PER_LEASE, Watch
from messaging.handling.subscription import SubscriptionOptions
from messaging.state.stored_state import StoredState
from messaging.state.timers import is_timer_key
from messaging.wire.forwarded import is_outbox
from messaging.wire.topic import inbox_of

DEFAULT_LEASE_S = SubscriptionOptions().lease_s


class Stray(NamedTuple):
    """An agent that is subscribed and not in the spec.

    Attributes:
        topics: what it listens to, its inbox left out.
        running: replicas that are registered; some may have died, on another machine.
        waiting: messages that no replica was lent yet.
        in_hand: messages that were lent and not settled.
    """

    agent: str
    topics: Sequence[str]
    running: int
    waiting: int
    in_hand: int


class Forgotten(NamedTuple):
    """What forgetting an agent costs: all of it but the dead letters is gone for good.

    Attributes:
        timers: that are set.
        state_keys: of its state, without what the bus keeps there for itself.
        dead_letters: that name it; they stay, can be shown and dropped, and not be requeued.
        is_done: False when it was only counted.
    """

    agent: str
    topics: Sequence[str]
    waiting: int
    in_hand: int
    timers: int
    state_keys: int
    dead_letters: int
    is_done: bool


async def find_strays(
    bus: Bus, agents: Collection[str], topics: Sequence[TopicInfo] | None = None
) -> Sequence[Stray]:
    """The agents on `bus` besides `agents`, by id; groups of the bus's own are left out.

    Args:
        bus: an open bus of the guild.
        agents: those of the spec.
        topics: what is known to lie in the topics; None to ask.
    """
    strays = {
        group: [pattern for pattern in patterns if pattern != inbox_of(group)]
        for group, patterns in (await bus.groups()).items()
        if group not in agents and not _is_internal(group)
    }
    if topics is None:
        topics = await bus.backend.topics() if strays else ()
    return [
        Stray(
            agent,
            strays[agent],
            running=await replicas_of(bus, agent),
            waiting=sum(info.waiting.get(agent, 0) for info in topics),
            in_hand=sum(info.pending.get(agent, 0) for info in topics),
        )
        for agent in sorted(strays)
    ]


def problem_of(stray: Stray) -> str:
    """What is odd about an agent that is not in the spec, up to what to do about it."""
    owed = stray.waiting + stray.in_hand
    kept = "1 message is kept" if owed == 1 else f"{owed:,} messages are kept"
    return (
        f"{stray.agent} is subscribed and not in the spec; {kept} for it, and publishers are "
        "refused when there are too many; "
        "another process may run it, with another version of the spec"
    )


async def replicas_of(bus: Bus, agent: str) -> int:
    """How many replicas are registered, without those whose process is known to be gone."""
    return sum(not has_surely_died(name) for name in await bus.backend.consumers(agent))


async def forget(
    bus: Bus,
    guild: str,
    agents: Collection[str],
    agent: str,
    *,
    really: bool,
    quiet_s: float = DEFAULT_LEASE_S,
    on_wait: Callable[[float], None] | None = None,
) -> Forgotten:
    """Unsubscribe `agent`, or only count what that would cost.

    Args:
        bus: an open bus of the guild.
        guild: its id.
        agents: those of the spec, which stay.
        agent: the one that goes, with its subscription, messages, timers and state.
        really: do it.
        quiet_s: for how long its replicas must be silent before they are taken for dead: its lease.
        on_wait: told how long that may take, when there are any.

    Raises:
        UnknownAgentError: there is no such stray.
        AgentInUseError: it is in the spec, is paused, or a replica lives; nothing was done.
    """
    if agent in agents:
        raise AgentInUseError(
            f"{agent!r} is in the spec of {guild!r}: it would be subscribed again at the next "
            "start. Take it out of the spec first; nothing was done"
        )
    strays = {stray.agent: stray for stray in await find_strays(bus, agents)}
    if agent not in strays:
        raise UnknownAgentError(guild, agent, tuple(strays), "besides those of the spec")
    if agent in await bus.paused():
        raise AgentInUseError(
            f"{agent!r} is paused, and so it cannot be told whether a process runs it: resume it "
            "first, then ask again; nothing was done"
        )
    stray = strays[agent]
    await _check_silent(bus, agent, quiet_s, on_wait or (lambda _: None))
    timers, state_keys = await _count_state(bus, agent)
    letters = await bus.dead_letters.summary(("agent",), wanted=Wanted(agent=agent))
    if really:
        await bus.unsubscribe(agent)
    return Forgotten(
        agent,
        stray.topics,
        stray.waiting,
        stray.in_hand,
        timers,
        state_keys,
        dead_letters=sum(bundle.letters for bundle in letters),
        is_done=really,
    )


async def _check_silent(
    bus: Bus, agent: str, quiet_s: float, on_wait: Callable[[float], None]
) -> None:
    """Pass once every registered replica of `agent` has died, as far as it can be seen.

    A living one would subscribe anew, and what was published meanwhile would be lost to it.
    """
    look_every_s = quiet_s / (2 * LOOKS_PER_LEASE)  # twice as often as a replica beats
    watch, loop = Watch("", quiet_s), asyncio.get_running_loop()
    first = beats = await bus.backend.consumers(agent)
    dead = set(watch.look(beats, loop.time()))
    if not beats.keys() <= dead:
        on_wait(quiet_s)
    while not beats.keys() <= dead:
        await asyncio.sleep(look_every_s)
        beats = await bus.backend.consumers(agent)
        living = [name for name, count in beats.items() if first.get(name) != count]
        if living:
            raise AgentInUseError(
                f"{agent!r} is at work in another process ({len(living)} of {len(beats)} replicas "
                "were heard of): stop that process, or give it a spec without the agent, then "
                "ask again; nothing was done"
            )
        dead |= set(watch.look(beats, loop.time()))


async def _count_state(bus: Bus, agent: str) -> tuple[int, int]:
    """How many timers of `agent` are set, and how many keys its own state has."""
    timers = own = 0
    async for found in StoredState(bus.backend, agent).keys(with_the_buses_own=True):
        timers += is_timer_key(found.key)
        own += not found.key.startswith(RESERVED_PREFIX)
    return timers, own


def _is_internal(group: str) -> bool:
    return group == SCHEDULER or is_outbox(group)
