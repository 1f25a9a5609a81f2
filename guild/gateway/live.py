"""The live view: one watcher of the guild, and one question about its agents, for all readers."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from typing import Literal, NamedTuple

from guild.checking.graph import OUTSIDE
from guild.client import GuildClient
from guild.errors import GuildError
from guild.live.messages import Activity, LiveHandling, LiveHandlings, LiveSummary, Spread
from guild.operations.agents import AgentInfo
from guild.operations.view import View
from messaging.errors import MessagingError
from messaging.observing import Outcome
from messaging.process.logs import get_logger
from messaging.wire.envelope import new_id

log = get_logger()

EVERY_S = 0.25
LOOK_EVERY_S = 2.0
MOST_ROWS = 50
MOST_KEPT = 40
LINGERS_S = 5.0
_NOT_HANDLED: Collection[Outcome] = frozenset({"ignored", "left_to_others"})
_COUNTED: Sequence[Outcome] = ("handled", "retried", "dead_lettered")
FADES_AFTER_S = 2.5
"""After so long without a summary of a process nothing goes on there."""


class Seconds(View):
    """How seconds were distributed, in the last summary of each process."""

    p50: float
    p95: float
    max: float


class LiveAgent(View):
    """An agent, and what it did since the first reader of the view came.

    Attributes:
        failed: attempts that failed and are tried again.
        dead: messages that it gave up.
        per_s: handlings a second, whatever became of them.
        waiting: as `state`, `running`, `in_hand` and `oldest_s`: see `AgentInfo`; "" and None until
            it was asked for.
    """

    handled: int = 0
    failed: int = 0
    dead: int = 0
    per_s: float = 0.0
    waited_s: Seconds | None = None
    handled_s: Seconds | None = None
    state: str = ""
    running: int | None = None
    waiting: int | None = None
    in_hand: int | None = None
    oldest_s: float | None = None


class LiveEdge(View):
    """What went from one agent, or from outside, to another."""

    per_s: float


class LiveDelta(View):
    """What has changed; in a snapshot, all there is.

    Attributes:
        at: unix seconds, by the gateway's clock.
        agents: by id, those that changed, as they are now.
        edges: by `SOURCE TARGET`, those that changed.
        rows: handlings that have ended, in order; the last of them where there were more.
        left_off: how many more there were.
        problem: why nothing comes, "" where it does.
    """

    at: float
    agents: Mapping[str, LiveAgent]
    edges: Mapping[str, LiveEdge]
    rows: tuple[LiveHandling, ...] = ()
    left_off: int = 0
    problem: str = ""


class LiveHub:
    """Watches the guild while there is a reader, and tells each of them what has changed.

    What is told is made once for all. A reader that was too slow for a delta gets a snapshot next;
    so does one that comes back later than the last deltas are kept. For a while after the last
    reader has gone it goes on, as that one may come back.
    """

    def __init__(self, client: Callable[[], GuildClient]) -> None:
        self._client = client
        self._readers: set[_Reader] = set()
        self._picture = _Picture()
        self._task: asyncio.Task[None] | None = None
        self._told: deque[_Told] = deque(maxlen=MOST_KEPT)
        self._ends: asyncio.TimerHandle | None = None

    async def changes(
        self, after: str = ""
    ) -> AsyncGenerator[tuple[Literal["snapshot", "delta"], LiveDelta, str], None]:
        """A snapshot of all there is, then what has changed, again and again; each with its place.

        Args:
            after: a place behind which to go on, without a snapshot where that is still known.
        """
        if self._ends is not None:
            self._ends.cancel()
            self._ends = None
        if self._task is None or self._task.done():  # it failed, and not all have heard of it yet
            self._picture = _Picture()
            self._told.clear()
            self._told.append(_Told(new_id(), self._picture.whole()))
            self._task = asyncio.create_task(self._watch(), name="live-hub")
        missed = self._behind(after)
        reader = _Reader(wants_all=missed is None)
        self._readers.add(reader)
        try:
            for told in missed or ():
                yield "delta", told.delta, told.place
            while True:
                told_next = await reader.next()
                if told_next is None:
                    yield "snapshot", self._picture.whole(), self._told[-1].place
                else:
                    yield "delta", told_next.delta, told_next.place
        finally:
            self._readers.discard(reader)
            if not self._readers and self._task is not None:
                self._ends = asyncio.get_running_loop().call_later(LINGERS_S, self._end)

    def _end(self) -> None:
        self._ends = None
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _behind(self, place: str) -> "Sequence[_Told] | None":
        """What was told behind a place; None where that is not known any more."""
        places = [told.place for told in self._told]
        return list(self._told)[places.index(place) + 1 :] if place in places else None

    async def _watch(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen())
                tasks.create_task(self._look())
                tasks.create_task(self._tell())
        except ExceptionGroup as errors:
            for reader in self._readers:
                reader.fail(errors.exceptions[0])

    async def _listen(self) -> None:
        agents = {node.id for node in self._client().graph().nodes}
        while True:
            try:
                async with aclosing(self._client().live()) as told:
                    async for message in told:
                        self._picture.take(message, agents)
            except (MessagingError, GuildError) as error:
                log.debug("live_hub.unavailable", error=str(error))
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self) -> None:
        while True:
            try:
                self._picture.see(await self._client().agents())
            except (MessagingError, GuildError) as error:
                self._picture.problem = str(error)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            delta = self._picture.delta()
            if delta is not None:
                self._told.append(_Told(new_id(), delta))
                for reader in self._readers:
                    reader.put(self._told[-1])


class _Told(NamedTuple):
    """A delta, and the place behind which one that got it goes on."""

    place: str
    delta: LiveDelta


class _Reader:
    """One reader: at most one delta waits for it."""

    def __init__(self, *, wants_all: bool) -> None:
        self._told: _Told | None = None
        self._wants_all = wants_all
        self._error: Exception | None = None
        self._changed = asyncio.Event()
        if wants_all:
            self._changed.set()

    def fail(self, error: Exception) -> None:
        """Nothing comes any more."""
        self._error = error
        self._changed.set()

    def put(self, told: _Told) -> None:
        self._wants_all |= self._told is not None
        self._told = told
        self._changed.set()

    async def next(self) -> _Told | None:
        """What to tell; None for a snapshot."""
        await self._changed.wait()
        self._changed.clear()
        if self._error is not None:
            raise self._error
        told, wants_all = self._told, self._wants_all
        self._told, self._wants_all = None, False
        return None if wants_all else told


class _Picture:
    """What is known of the guild, and what of it was told."""

    def __init__(self) -> None:
        self.problem = ""
        self._told_problem = ""
        self._counts: dict[str, list[int]] = {}
        self._seen: dict[str, AgentInfo] = {}
        self._summaries: dict[str, tuple[float, LiveSummary]] = {}
        self._ids: set[str] = set()
        self._agents: dict[str, LiveAgent] = {}
        self._edges: dict[str, LiveEdge] = {}
        self._rows: deque[LiveHandling] = deque(maxlen=MOST_ROWS)
        self._came = 0

    def take(self, message: LiveSummary | LiveHandlings, ids: set[str]) -> None:
        """Take what a process tells."""
        self._ids = ids
        if isinstance(message, LiveHandlings):
            rows = [row for row in message.rows if row.outcome not in _NOT_HANDLED]
            self._rows.extend(rows)
            self._came += len(rows) + message.left_off
            return
        self._summaries[message.process] = time.monotonic(), message
        for activity in message.activities:
            counts = self._counts.setdefault(activity.agent, [0, 0, 0])
            for place, outcome in enumerate(_COUNTED):
                counts[place] += activity.outcomes.get(outcome, 0)

    def see(self, agents: Sequence[AgentInfo]) -> None:
        """Take how the agents are doing."""
        self.problem = ""
        self._seen = {info.agent: info for info in agents}

    def whole(self) -> LiveDelta:
        """All there is, as it was told last."""
        return LiveDelta(
            at=time.time(), agents=self._agents, edges=self._edges, problem=self._told_problem
        )

    def delta(self) -> LiveDelta | None:
        """What has changed since the last call; None if nothing has."""
        agents, edges = self._agents_now(), self._edges_now()
        new_agents = {name: it for name, it in agents.items() if self._agents.get(name) != it}
        gone = {name: LiveEdge(per_s=0.0) for name in self._edges.keys() - edges.keys()}
        new_edges = {name: it for name, it in edges.items() if self._edges.get(name) != it} | gone
        rows, left_off = tuple(self._rows), self._came - len(self._rows)
        if not (new_agents or new_edges or rows or self.problem != self._told_problem):
            return None
        self._agents, self._edges, self._told_problem = agents, edges, self.problem
        self._rows.clear()
        self._came = 0
        return LiveDelta(
            at=time.time(),
            agents=new_agents,
            edges=new_edges,
            rows=rows,
            left_off=left_off,
            problem=self.problem,
        )

    def _activities(self) -> Sequence[tuple[float, Activity]]:
        """What goes on now, each with the seconds that it was summed up over."""
        oldest = time.monotonic() - FADES_AFTER_S
        self._summaries = {
            process: (at, summary)
            for process, (at, summary) in self._summaries.items()
            if at >= oldest
        }
        return [
            (max(summary.period_s, EVERY_S), activity)
            for _, summary in self._summaries.values()
            for activity in summary.activities
        ]

    def _agents_now(self) -> dict[str, LiveAgent]:
        activities: dict[str, list[tuple[float, Activity]]] = {}
        for period_s, activity in self._activities():
            activities.setdefault(activity.agent, []).append((period_s, activity))
        return {
            agent: self._agent(agent, activities.get(agent, ()))
            for agent in (self._seen.keys() | self._counts.keys())
        }

    def _agent(self, agent: str, now: Sequence[tuple[float, Activity]]) -> LiveAgent:
        handled, failed, dead = self._counts.get(agent, (0, 0, 0))
        info = self._seen.get(agent)
        return LiveAgent(
            handled=handled,
            failed=failed,
            dead=dead,
            per_s=round(sum(_handled(activity) / period_s for period_s, activity in now), 1),
            waited_s=_seconds([a.waited_s for _, a in now]),
            handled_s=_seconds([a.handled_s for _, a in now]),
            state=info.state if info else "",
            running=info.running if info else None,
            waiting=info.waiting if info else None,
            in_hand=info.in_hand if info else None,
            oldest_s=info.oldest_s if info else None,
        )

    def _edges_now(self) -> dict[str, LiveEdge]:
        rates: dict[str, float] = {}
        for period_s, activity in self._activities():
            share = _handled(activity) / max(1, sum(activity.outcomes.values()))
            for sender, count in activity.senders.items() if share else ():
                source = sender if sender in self._ids else OUTSIDE
                name = f"{source} {activity.agent}"
                rates[name] = rates.get(name, 0.0) + count * share / period_s
        return {name: LiveEdge(per_s=round(rate, 1)) for name, rate in rates.items()}


def _handled(activity: Activity) -> int:
    """How often a handler ran, or would have."""
    outcomes = activity.outcomes.items()
    return sum(count for outcome, count in outcomes if outcome not in _NOT_HANDLED)


def _seconds(spreads: Sequence[Spread | None]) -> Seconds | None:
    """Of several at once: the middle weighted by count, the rest the worst."""
    known = [spread for spread in spreads if spread is not None]
    count = sum(spread.count for spread in known)
    if not count:
        return None
    return Seconds(
        p50=sum(spread.p50_s * spread.count for spread in known) / count,
        p95=max(spread.p95_s for spread in known),
        max=max(spread.max_s for spread in known),
    )
