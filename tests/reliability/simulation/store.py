"""The memory store behind a network, with the commit protocol of the Redis scripts.

The server trusts as Redis does: a receipt takes no consumer (`XACK`), a read asks for no fence
(`XREADGROUP`) unless order is asked for. Only the fence and the sequence of a commit keep effects
from happening twice, and each can be taken away, to see that the simulation notices.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from messaging.backend import NEVER_ALONE, Delivery, Entry, Settlement, Take, TopicInfo
from messaging.backends.memory import MemoryBackend, MemoryConsumer
from messaging.backends.memory.group import Group, Partition
from messaging.errors import FencedError
from messaging.process.clock import SYSTEM
from messaging.wire.envelope import Envelope
from messaging.wire.topic import is_partition
from tests.reliability.simulation.loop import Process
from tests.reliability.simulation.network import Wire, once

T = TypeVar("T")

POLL_S = 0.1


class SimulatedServer:
    """What all processes share.

    Args:
        without: the part of the protocol to leave out: "fence", "commit sequence",
            "append sequence", "fence before takeover", "router fence", "one leader", "draining"; ""
            for the sound one.

    Attributes:
        fenced: commits that came too late.
        lent: called with each process that was lent what had been published to its group.
    """

    def __init__(self, *, without: str = "") -> None:
        self.backend = MemoryBackend("simulated")
        self.without = without
        self.fenced = 0
        self.lent: Callable[[Process], None] = lambda _: None
        self._commits: dict[str, tuple[int, list[int]]] = {}
        self._joined = 0

    def join(self, name: str, partition: int | None) -> MemoryConsumer:
        """A consumer with a name that the seed decides: who works where depends on names."""
        consumer = now(self.backend.join(name, partition))
        group, drawn = consumer._group, consumer.incarnation
        self._joined += 1
        consumer.incarnation = f"{name}-{self._joined}"
        group.beats[consumer.incarnation] = group.beats.pop(drawn)
        group.held[consumer.incarnation] = group.held.pop(drawn)
        return consumer

    def delayed(self) -> int:
        return len(self.backend._store._delayed)

    def read(self, consumer: MemoryConsumer, max_count: int, *, is_fenced: bool) -> list[Delivery]:
        group = consumer._group
        if is_fenced:
            group.check_fence(consumer.incarnation)
        group.held.setdefault(consumer.incarnation, {})
        return group.lend(consumer.incarnation, max_count)

    def commit(
        self, consumer: MemoryConsumer, sequence: int, settlements: Sequence[Settlement]
    ) -> list[int]:
        group, name = consumer._group, consumer.incarnation
        if name not in group.beats:
            self.fenced += 1
            if self.without != ("router fence" if _routes(settlements) else "fence"):
                raise FencedError(group.name, name)
            group.beats[name] = 0
        last, answer = self._commits.get(name, (0, list[int]()))
        if self.without != "commit sequence" and sequence <= last:
            return answer if sequence == last else []
        self._let_hold(group, name, settlements)
        skipped = now(consumer.commit(settlements))
        self._commits[name] = (sequence, skipped)
        return skipped

    def take_over(
        self, heir: MemoryConsumer, victim: str, max_count: int, alone_from: int
    ) -> list[Delivery]:
        group = heir._group
        beats = group.beats.get(victim)
        lent = now(heir.take_over(victim, max_count, alone_from=alone_from))
        if self.without == "fence before takeover" and lent and beats is not None:
            group.beats[victim] = beats
            group.held.setdefault(victim, {})
        return lent

    def _let_hold(self, group: Group, name: str, settlements: Sequence[Settlement]) -> None:
        """Take receipts for whatever was lent, by whomever, as `XACK` does."""
        for held in group.held.values():
            for settlement in settlements:
                held.pop(settlement.delivery.position, None)
        mine = group.held.setdefault(name, {})
        for settlement in settlements:
            mine[settlement.delivery.position] = settlement.delivery
            log = self.backend._store._logs[settlement.delivery.envelope.topic]
            log.owed.setdefault(settlement.delivery.position, 1)


class SimulatedBackend:
    """`Backend` as one process sees it."""

    profile = "standard"
    max_value_bytes = 4 * 1024 * 1024
    by_reference = True
    clock = SYSTEM  # that of the simulation's loop

    def __init__(
        self, server: SimulatedServer, wire: Wire, consumer_class: "type[SimulatedConsumer]"
    ) -> None:
        self._server = server
        self._inner = server.backend
        self._wire = wire
        self._consumer_class = consumer_class

    def __getattr__(self, name: str) -> Any:
        return _plain_request(self._wire, getattr(self._inner, name))

    async def open(self) -> None:
        """There is nothing to open."""

    async def close(self) -> None:
        """There is nothing to close."""

    def listen(self, listener: object) -> None:
        """The server has no incidents."""

    async def append(self, envelopes: Sequence[Envelope]) -> None:
        def step() -> None:
            now(self._inner.append(envelopes))

        await self._wire.call(step if self._server.without == "append sequence" else once(step))

    async def tail(self, after: Mapping[str, str], *, max_count: int, wait_s: float) -> list[Entry]:
        def step() -> list[Entry]:
            return now(self._inner.tail(after, max_count=max_count, wait_s=0))

        entries = await self._wire.call(step)
        if not entries and wait_s:
            await asyncio.sleep(wait_s)
            entries = await self._wire.call(step)
        return entries

    async def topics(self) -> list[TopicInfo]:
        topics = await self._wire.call(lambda: now(self._inner.topics()))
        return [] if self._server.without == "draining" else topics

    async def join(self, group: str, partition: int | None = None) -> "SimulatedConsumer":
        inner = await self._wire.call(once(lambda: self._server.join(group, partition)))
        return self._consumer_class(self._server, self._wire, inner)


class SimulatedConsumer:
    """`Consumer` as one process sees it."""

    def __init__(self, server: SimulatedServer, wire: Wire, inner: MemoryConsumer) -> None:
        self.group = inner.group
        self.incarnation = inner.incarnation
        self._server = server
        self._wire = wire
        self._inner = inner
        self._sequence = 0
        self._leads = self._is_roused = self._hands_over = False

    def __getattr__(self, name: str) -> Any:
        return _plain_request(self._wire, getattr(self._inner, name))

    async def read(self, max_count: int, wait_s: float, take: Take | None = None) -> list[Delivery]:
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + wait_s

        def read() -> tuple[list[Delivery], bool]:
            lent = self._server.read(self._inner, max_count, is_fenced=self._leads)
            if lent and not isinstance(self._inner._group, Partition):
                self._server.lent(self._wire.process)
            return lent, self.is_member()

        while True:
            lent, was_member = await self._wire.call(once(read))
            if not was_member:
                raise FencedError(self.group, self.incarnation)
            if lent or loop.time() >= give_up_at or self._is_roused:
                self._is_roused = False
                self._hands_over = not self._hands_over
                if take is None or not self._hands_over:
                    return lent
                take(lent)
                return []
            await asyncio.sleep(min(POLL_S, wait_s))

    def rouse(self) -> None:
        self._is_roused = True

    def abandon(self) -> None: ...

    async def lead(self) -> bool:
        leads = await self._wire.call(once(lambda: now(self._inner.lead())))
        self._leads = leads or self._server.without == "one leader"
        return self._leads

    async def commit(self, settlements: Sequence[Settlement]) -> list[int]:
        sequence = self._sequence + 1
        skipped = await self._wire.call(
            lambda: self._server.commit(self._inner, sequence, settlements)
        )
        self._sequence = sequence
        return skipped

    async def take_over(
        self, incarnation: str, max_count: int, *, alone_from: int = NEVER_ALONE
    ) -> list[Delivery]:
        return await self._wire.call(
            once(lambda: self._server.take_over(self._inner, incarnation, max_count, alone_from))
        )

    def is_member(self) -> bool:
        return self.incarnation in self._inner._group.beats


class HastyConsumer(SimulatedConsumer):
    """A mutant: acknowledges what it reads before anybody has handled it."""

    async def read(self, max_count: int, wait_s: float, take: Take | None = None) -> list[Delivery]:
        lent = await super().read(max_count, wait_s)
        if lent:
            await super().commit([Settlement(delivery) for delivery in lent])
        return lent


def _plain_request(wire: Wire, method: Callable[..., Coroutine[Any, Any, T]]) -> Any:
    """A method that has nothing special to it: one request, recognised when it comes again."""

    def call(*args: Any, **options: Any) -> Coroutine[Any, Any, T]:
        return wire.call(once(lambda: now(method(*args, **options))))

    return call


def _routes(settlements: Sequence[Settlement]) -> bool:
    return any(is_partition(sent.topic) for settled in settlements for sent in settled.outbox)


def now(work: Awaitable[T]) -> T:
    """What `work`, which never waits, returns."""
    try:
        next(iter(work.__await__()))
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("a step of the server waited")
