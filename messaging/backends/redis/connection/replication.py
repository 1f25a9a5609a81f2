"""Waiting until replicas have what was written, for the profile `durable`.

`WAIT` counts the replicas that have everything its own connection wrote. So each round writes a
little key behind all that was written before, on a connection of its own, which may stand still
without holding up anybody else.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import hiredis

from messaging.backends.redis.connection.connection import FIRST_PAUSE_S, Connection
from messaging.backends.redis.connection.pipeline import ConnectionLostError, pack
from messaging.errors import NotReplicatedError


class Replication:
    """Asks how many of `wanted` replicas have everything that was written before.

    Args:
        connection: one of its own, not open, which bears `wait_s` of silence.
        mark: the key that each round writes.
        wanted: how many have to; below that, publishers get `NotReplicatedError`.
        wait_s: how long they have for it.
        announce: told when they fall behind, and when they have caught up.
    """

    def __init__(
        self,
        connection: Connection,
        mark: bytes,
        *,
        wanted: int,
        wait_s: float,
        announce: Callable[[str, str], None],
    ) -> None:
        self._connection = connection
        self._mark = mark
        self._wanted = wanted
        self._wait_s = wait_s
        self._announce = announce
        self._round: asyncio.Task[int] | None = None
        self._is_behind = False

    async def open(self) -> None:
        await self._connection.open()

    async def close(self) -> None:
        if self._round is not None:
            self._round.cancel()
            await asyncio.gather(self._round, return_exceptions=True)
        await self._connection.close()

    async def require(self) -> None:
        """Return once what was written before is on every replica.

        Raises:
            NotReplicatedError: it is not, in time; says what is true.
        """
        count = await self.report()
        if count < self._wanted:
            raise NotReplicatedError(count, self._wanted, self._wait_s)

    async def report(self) -> int:
        """How many replicas have what was written before; the first lack is an incident."""
        if self._round is None:
            self._round = asyncio.create_task(self._go_round())
        count = await asyncio.shield(self._round)
        if count < self._wanted and not self._is_behind:
            behind = NotReplicatedError(count, self._wanted, self._wait_s)
            self._announce("bus.not_replicated", str(behind))
        elif count >= self._wanted and self._is_behind:
            caught_up = f"all {self._wanted} replicas have what was written again"
            self._announce("bus.replicated_again", caught_up)
        self._is_behind = count < self._wanted
        return count

    async def _go_round(self) -> int:
        # A caller from here on may have written behind this round's mark.
        self._round = None
        mark = pack(("SET", self._mark, 1))
        wait = pack(("WAIT", self._wanted, int(self._wait_s * 1000)))
        give_up_at, pause_s = self._connection.deadline(), FIRST_PAUSE_S
        while True:
            pipeline = await self._connection.connected(give_up_at)
            replies: list[Any] = [pipeline.send(mark), pipeline.send(wait)]
            answers = await asyncio.gather(*replies, return_exceptions=True)
            refusal = next((a for a in answers if isinstance(a, BaseException)), None)
            if refusal is None:
                count: Any = answers[1]
                return int(count)
            if isinstance(refusal, hiredis.ReplyError):
                pause_s = await self._connection.wait_out(refusal, pause_s, give_up_at, pipeline)
            elif not isinstance(refusal, ConnectionLostError):
                raise refusal
