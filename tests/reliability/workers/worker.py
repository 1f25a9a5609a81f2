"""A worker process: `python -m tests.reliability.workers.worker ORDERS`, see
`tests.reliability.workers.orders`."""

import asyncio
import logging
import signal
import sys

import structlog

from messaging.backend import Incident
from messaging.backends.redis import RedisBackend
from messaging.backends.urls import open_backend
from messaging.bus import Bus
from messaging.handling.context import Context
from messaging.handling.retry import RetryPolicy
from messaging.handling.subscription import Subscription, SubscriptionOptions
from tests.reliability.workers.handler_faults import HANDLER_FAULTS
from tests.reliability.workers.hold_points import HoldPoints, say, watch
from tests.reliability.workers.mutants import MUTANTS
from tests.reliability.workers.orders import (
    BUS,
    GROUP,
    IN_HANDLER,
    INCIDENT,
    INPUTS,
    KEPT,
    LEAVING,
    OUTPUTS,
    PLAIN,
    READY,
    Input,
    NewerInput,
    Orders,
    Output,
)
from tests.reliability.workers.plain import work_plainly
from tests.reliability.workers.replacing import replace


def subscription(orders: Orders, hold_points: HoldPoints | None = None) -> Subscription:
    """The group of all workers; a process that only registers it comes by no hold points."""

    async def answer(task: Input | NewerInput, context: Context) -> None:
        if hold_points is not None:
            hold_points.reach(IN_HANDLER)
        if task.handler_fault:
            await HANDLER_FAULTS[task.handler_fault](context)
        if orders.fails_every and task.number % orders.fails_every == 0 and context.attempt == 1:
            raise ValueError("once")
        context.send(Output(number=task.number), OUTPUTS)

    options = SubscriptionOptions(
        lease_s=orders.lease_s,
        retry=RetryPolicy(attempts=orders.attempts, backoff_s=orders.backoff_s, jitter=0.0),
        concurrency=orders.concurrency,
        prefetch=orders.prefetch,
        drain_s=orders.drain_s,
        ordered_by="lane" if orders.partitions else "",
        partitions=max(1, orders.partitions),
    )
    read = NewerInput if orders.is_newer else Input
    return Subscription(GROUP, (INPUTS,), {read: answer}, options)


async def work(orders: Orders, hold_points: HoldPoints) -> None:
    """Until SIGTERM; then drain. A second one does not wait for handlers any longer."""
    stopping = asyncio.Event()
    backend = open_backend(orders.url, orders.guild_id, keep_unclaimed=KEPT, max_backlog=KEPT)
    assert isinstance(backend, RedisBackend)
    async with Bus(backend, name="worker") as bus:
        bus.listen(_tell)
        assert backend._parts is not None
        if orders.kind != BUS:
            await MUTANTS[orders.kind].patch(backend._parts.server, replace)
        watch(hold_points, backend._parts.server)
        running = await bus.subscribe(subscription(orders, hold_points))
        loop = asyncio.get_running_loop()
        leaving: list[asyncio.Task[None]] = []

        def leave() -> None:
            leaving.append(loop.create_task(running.drain()))
            stopping.set()
            say(LEAVING)

        loop.add_signal_handler(signal.SIGTERM, leave)
        say(READY)
        await stopping.wait()
        await running.wait()


def _tell(incident: Incident) -> None:
    say(INCIDENT, incident.event)


def main(orders: Orders) -> None:
    """Be that worker."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    run = work_plainly if orders.kind == PLAIN else work
    asyncio.run(run(orders, HoldPoints(orders)))


if __name__ == "__main__":
    main(Orders.model_validate_json(sys.argv[1]))
