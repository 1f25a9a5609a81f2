"""The agents of a guild: which there are, who runs, and what waits for each."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Literal

from guild.checking.plan import Plan
from guild.operations.view import View
from guild.running.engines.engine import AgentState, ReplicaStatus
from guild.running.strays import DEFAULT_LEASE_S, find_strays, problem_of
from messaging.backend import TopicInfo
from messaging.bus import Bus
from messaging.consuming.liveness import Watch

State = Literal["active", "paused", "not running", "not in the spec", "not in the spec, paused"]
Statuses = Callable[[], Sequence[ReplicaStatus]]
"""How the replicas that work in this process are doing."""


class AgentInfo(View):
    """An agent, and how it is doing in all processes of the guild.

    Attributes:
        agent: its id.
        type: as its spec says, "" for an agent that is not in the spec.
        running: replicas that live, in any process, see `Pulse`.
        replicas: how many each process that runs it is to have.
        waiting: messages that no replica was lent yet.
        in_hand: messages that were lent and not settled.
        oldest_s: for how long the oldest message that it has not settled has been in its topic.
        restarts: how often its replicas in this process were started again; None without one.
        problem: what is odd about it, "" if nothing that this process knows.
    """

    agent: str
    type: str
    name: str
    topics: tuple[str, ...]
    state: State
    running: int
    replicas: int
    waiting: int
    in_hand: int
    oldest_s: float | None = None
    restarts: int | None = None
    problem: str = ""

    @property
    def is_stray(self) -> bool:
        """Whether it is subscribed without being in the spec."""
        return self.state.startswith("not in the spec")


class Pulse:
    """Which replicas live, as far as one that looks now and then can tell.

    A replica whose process was killed stays registered until another one takes it over; where none
    is left, for good. It counts as living until it was silent for a lease; if its process ran on
    this machine and is known to be gone, it does not count at all.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._watches: dict[str, Watch] = {}

    async def living(self, agent: str, lease_s: float = DEFAULT_LEASE_S) -> int:
        """How many replicas of `agent` live, in any process."""
        beats = await self._bus.backend.consumers(agent)
        watch = self._watches.setdefault(agent, Watch("", lease_s))
        return len(beats) - len(watch.look(beats, asyncio.get_running_loop().time()))


async def read_agents(
    bus: Bus, plan: Plan, statuses: Statuses, pulse: Pulse
) -> Sequence[AgentInfo]:
    """The agents of the spec in its order, then those that are subscribed without being in it."""
    topics, paused = await bus.topics(), await bus.paused()
    specs = plan.spec.agents
    strays = await find_strays(bus, [spec.id for spec in specs], topics)
    running = await asyncio.gather(*[pulse.living(spec.id, spec.lease_s) for spec in specs])
    running_strays = await asyncio.gather(*[pulse.living(stray.agent) for stray in strays])
    agents = [
        AgentInfo(
            agent=spec.id,
            type=spec.type,
            name=spec.name,
            topics=spec.topics,
            state="paused" if spec.id in paused else "active" if count else "not running",
            running=count,
            replicas=spec.replicas,
            waiting=sum(info.waiting.get(spec.id, 0) for info in topics),
            in_hand=sum(info.pending.get(spec.id, 0) for info in topics),
            oldest_s=_oldest_s(topics, spec.id),
            restarts=_restarts(spec.id, statuses()),
            problem=_problem(spec.id, statuses()),
        )
        for spec, count in zip(specs, running, strict=True)
    ]
    agents += [
        AgentInfo(
            agent=stray.agent,
            type="",
            name="",
            topics=tuple(stray.topics),
            state="not in the spec, paused" if stray.agent in paused else "not in the spec",
            running=count,
            replicas=0,
            waiting=stray.waiting,
            in_hand=stray.in_hand,
            oldest_s=_oldest_s(topics, stray.agent),
            problem=problem_of(stray),
        )
        for stray, count in zip(strays, running_strays, strict=True)
    ]
    return agents


def _oldest_s(topics: Sequence[TopicInfo], agent: str) -> float | None:
    return max((info.oldest_s[agent] for info in topics if agent in info.oldest_s), default=None)


def _restarts(agent: str, statuses: Sequence[ReplicaStatus]) -> int | None:
    own = [status.restarts for status in statuses if status.agent == agent]
    return sum(own) if own else None


def _problem(agent: str, statuses: Sequence[ReplicaStatus]) -> str:
    troubled = (AgentState.FAILED, AgentState.RESTARTING)
    own = [each for each in statuses if each.agent == agent and each.state in troubled]
    if not own:
        return ""
    return f"replica {own[0].replica} is {own[0].state}: {own[0].error or 'it ended by itself'}"
