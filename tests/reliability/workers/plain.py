"""`plain`: no bus at all but what at-least-once consumers do.

Outputs by XADD, then XACK of the batch; what is idle is claimed by the server's clock; the client
repeats whatever went unanswered.
"""

import asyncio
from typing import Any

import redis.asyncio

from messaging.backends.redis.entries import pack_entry
from messaging.backends.redis.keys import Keys
from messaging.wire.envelope import Envelope, new_id
from messaging.wire.message import decode, encode
from tests.reliability.workers.hold_points import HoldPoints, say
from tests.reliability.workers.orders import (
    AFTER_COMMIT,
    AFTER_READ,
    BEFORE_COMMIT,
    COMMIT_SENT,
    GROUP,
    IN_HANDLER,
    INPUTS,
    OUTPUTS,
    READY,
    Input,
    Orders,
    Output,
)

BATCH = 64
RECOVERY_S = 0.1


async def work_plainly(orders: Orders, hold_points: HoldPoints) -> None:
    """Until somebody kills the process."""
    async with redis.asyncio.Redis.from_url(orders.url) as server:
        worker = _Plain(server, orders, hold_points)
        say(READY)
        while True:
            try:
                await worker.step()
            except redis.RedisError:
                await asyncio.sleep(RECOVERY_S)


class _Plain:
    def __init__(
        self, server: "redis.asyncio.Redis", orders: Orders, hold_points: HoldPoints
    ) -> None:
        keys = Keys(orders.guild_id)
        self._inputs, self._outputs = keys.stream(INPUTS), keys.stream(OUTPUTS)
        self._server = server
        self._name = new_id()
        self._lease_ms = int(orders.lease_s * 1000)
        self._hold_points = hold_points

    async def step(self) -> None:
        """Answer a batch, what others left lying first."""
        _, claimed, _ = await self._server.xautoclaim(
            self._inputs, GROUP, self._name, min_idle_time=self._lease_ms, count=BATCH
        )
        read: Any = await self._server.xreadgroup(
            GROUP, self._name, {self._inputs: ">"}, count=BATCH, block=None if claimed else 50
        )
        batch = [*claimed, *(entry for _, entries in read for entry in entries)]
        if batch:
            self._hold_points.reach(AFTER_READ)
        for _, fields in batch:
            await self._answer(decode(Input, fields[b"p"]))
        if batch:
            await self._server.xack(self._inputs, GROUP, *[position for position, _ in batch])
            self._hold_points.reach(AFTER_COMMIT)

    async def _answer(self, task: Input) -> None:
        self._hold_points.reach(IN_HANDLER)
        payload = encode(Output(number=task.number))
        header, payload = pack_entry(
            Envelope(new_id(), "workers.output", 1, OUTPUTS, payload), limit_bytes=None
        )
        self._hold_points.reach(BEFORE_COMMIT)
        await self._server.xadd(self._outputs, {b"h": header, b"p": payload})
        self._hold_points.reach(COMMIT_SENT)
