"""A worker that is quick until it has a full prefetch, and then waits to be killed.

python -m benchmarks.victim URL GUILD LEASE_S IS_ELSEWHERE
"""

import asyncio
import logging
import sys

import structlog

from messaging import Context, Message, Subscription, SubscriptionOptions, connect
from messaging.backends.redis.consumer import consumer
from messaging.wire.envelope import new_id

HANGING_FROM = 8_000


class Task(Message, frozen=True, wire_name="bench.task"):
    """One piece of work; from `HANGING_FROM` on none is ever done here."""

    number: int


async def work(task: Task, ctx: Context) -> None:
    if task.number >= HANGING_FROM:
        await asyncio.Event().wait()


async def main(url: str, guild: str, lease_s: float, *, is_elsewhere: bool) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    if is_elsewhere:  # a name that does not say which process it is: nobody can look it up
        consumer.new_incarnation = new_id
    options = SubscriptionOptions(lease_s=lease_s)
    async with connect(url, guild) as bus:
        await bus.run(Subscription("workers", ["tasks"], {Task: work}, options))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), is_elsewhere=sys.argv[4] == "1"))
