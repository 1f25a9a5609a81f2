"""The partitions that one replica works at: a consumer at each, for as long as it is its share."""

import asyncio
from collections.abc import Callable, Collection

from messaging.consuming.lifecycle import Lifecycle
from messaging.consuming.rejoin import RejoiningConsumer

OpenConsumer = Callable[[int, int, Lifecycle], RejoiningConsumer]
"""Told the partition, how many there are, and the lifecycle of the new consumer."""


class PartitionAssignment:
    """Keeps consumers at work in just those partitions that are its share.

    A partition that is taken away is left when what is being handled there has come to its end;
    then another replica may lead it. The same partition is not entered anew before that.
    """

    def __init__(self, open_consumer: OpenConsumer, life: Lifecycle) -> None:
        self._open_consumer = open_consumer
        self._life = life
        self._share: Collection[int] = ()
        self._count = 0
        self._consumers: dict[int, RejoiningConsumer] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def work_at(self, share: Collection[int], count: int) -> None:
        """Work at the partitions of `share`, of `count` in all, and at no other."""
        if self._life.is_ending:
            return
        self._share, self._count = share, count
        for number, consumer in self._consumers.items():
            if number not in share:
                consumer.life.retire()
        for number in sorted(share):
            self._enter(number)

    async def wait(self) -> None:
        """Return when all that was begun has ended."""
        while self._tasks:
            await asyncio.wait(self._tasks.values())

    async def abandon(self) -> None:
        """End as in a crash, if there is anything left to end."""
        self._share = ()
        for task in self._tasks.values():
            task.cancel()
        await self.wait()

    def _enter(self, number: int) -> None:
        if number in self._consumers:
            return
        consumer = self._open_consumer(number, self._count, Lifecycle())
        self._consumers[number] = consumer
        task = asyncio.create_task(self._work(consumer), name=f"partition-{number}")
        self._tasks[number] = task
        task.add_done_callback(lambda _: self._left(number))

    async def _work(self, consumer: RejoiningConsumer) -> None:
        with consumer.life.following(self._life):
            await consumer.run()

    def _left(self, number: int) -> None:
        del self._consumers[number], self._tasks[number]
        if number in self._share and not self._life.is_ending:
            self._enter(number)
