"""A worker process of the storm: `python -m tests.storm.worker KIND URL GUILD`.

`bus` answers each input through the bus. `plain` is the negative control: it does what
at-least-once consumers do, writes its output and acknowledges afterwards.
"""

import asyncio
import contextlib
import logging
import signal
import sys

import redis.asyncio
import structlog

from messaging.bus import Bus
from messaging.context import Context
from messaging.envelope import new_id
from messaging.message import Message
from messaging.retry import RetryPolicy
from messaging.subscription import Subscription, SubscriptionOptions
from messaging.urls import open_backend

LEASE_S = 2.0
FAILS_EVERY = 100
KEPT = 10_000_000
BATCH = 64


class Input(Message, wire_name="storm.input"):
    number: int


class Output(Message, wire_name="storm.output"):
    number: int


async def answer(task: Input, context: Context) -> None:
    if task.number % FAILS_EVERY == 0 and context.attempt == 1:
        raise ValueError("once")
    context.send(Output(number=task.number), "outputs")


def subscription() -> Subscription:
    retry = RetryPolicy(attempts=200, backoff_s=0.0, jitter=0.0)  # so many kills condemn nobody
    options = SubscriptionOptions(lease_s=LEASE_S, retry=retry, prefetch=512)
    return Subscription("workers", ("inputs",), {Input: answer}, options)


async def work_on_the_bus(url: str, guild_id: str) -> None:
    """Until SIGTERM; then drain."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    backend = open_backend(url, guild_id, keep_unclaimed=KEPT, max_backlog=KEPT)
    async with Bus(backend, name="worker") as bus:
        await bus.subscribe(subscription())
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await stopping.wait()


async def work_plainly(url: str, guild_id: str) -> None:
    name, inputs, outputs = new_id(), f"{guild_id}:inputs", f"{guild_id}:outputs"
    async with redis.asyncio.Redis.from_url(url) as server:
        with contextlib.suppress(redis.ResponseError):
            await server.xgroup_create(inputs, "workers", "0", mkstream=True)
        while True:
            _, claimed, _ = await server.xautoclaim(
                inputs, "workers", name, min_idle_time=int(LEASE_S * 1000), count=BATCH
            )
            read = await server.xreadgroup(
                "workers", name, {inputs: ">"}, count=BATCH, block=50 if not claimed else None
            )
            for position, fields in [*claimed, *(entry for _, some in read for entry in some)]:
                await server.xadd(outputs, fields)
                await server.xack(inputs, "workers", position)


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    kind, *rest = sys.argv[1:]
    asyncio.run({"bus": work_on_the_bus, "plain": work_plainly}[kind](*rest))
