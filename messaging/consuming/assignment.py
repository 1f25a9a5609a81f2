"""The partitions that one replica works at: a consumer at each, for as long as it is its share."""

import asyncio
from collections.abc import Callable, Collection

from messaging.consuming.rejoin import RejoiningConsumer


class PartitionAssignment:
    """Keeps consumers at work in just those partitions that are its share.

    A partition that is taken away is left when what is being handled there has come to its end;
    then another replica may lead it. The same partition is not entered anew before that.
    """

    def __init__(self, open_consumer: Callable[[int, int], RejoiningConsumer]) -> None:
        self._open_consumer = open_consumer
        self._share: Collection[int] = ()
        self._count = 0
        self._consumers: dict[int, RejoiningConsumer] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._is_paused = False
        self._is_over = False

    def work_at(self, share: Collection[int], count: int) -> None:
        """Work at the partitions of `share`, of `count` in all, and at no other, until stopped."""
        if self._is_over:
            return
        self._share, self._count = share, count
        for number, consumer in self._consumers.items():
            if number not in share:
                consumer.retire()
        for number in sorted(share):
            self._enter(number)

    def stop(self, *, hurry: bool = False) -> None:
        """Leave all of them within the time for draining; with `hurry` at once."""
        self._is_over, self._share = True, ()
        for consumer in self._consumers.values():
            consumer.stop(hurry=hurry)

    def pause(self) -> None:
        self._is_paused = True
        for consumer in self._consumers.values():
            consumer.pause()

    def resume(self) -> None:
        self._is_paused = False
        for consumer in self._consumers.values():
            consumer.resume()

    async def wait(self) -> None:
        """Return when all that was begun has ended."""
        while self._tasks:
            await asyncio.wait(self._tasks.values())

    async def abandon(self) -> None:
        """End as in a crash, if there is anything left to end."""
        self._is_over, self._share = True, ()
        for task in self._tasks.values():
            task.cancel()
        await self.wait()

    def _enter(self, number: int) -> None:
        if number in self._consumers:
            return
        consumer = self._consumers[number] = self._open_consumer(number, self._count)
        if self._is_paused:
            consumer.pause()
        task = self._tasks[number] = asyncio.create_task(consumer.run(), name=f"partition-{number}")
        task.add_done_callback(lambda _: self._left(number))

    def _left(self, number: int) -> None:
        del self._consumers[number], self._tasks[number]
        if number in self._share:
            self._enter(number)
