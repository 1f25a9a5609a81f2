"""Holds a worker process at one point of its work, to the instruction."""

import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any

from messaging.backend import Delivery, Settlement, Take
from messaging.backends.redis.connection.pipeline import Pipeline
from messaging.backends.redis.consumer.consumer import RedisConsumer
from messaging.backends.redis.server import Server
from tests.reliability.workers.orders import (
    AFTER_COMMIT,
    AFTER_READ,
    AFTER_TAKEOVER,
    BEFORE_COMMIT,
    COMMIT_SENT,
    HELD,
    Orders,
)


def say(*words: str) -> None:
    """Tell whoever started this process."""
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


class HoldPoints:
    """Where this worker comes by; at one of its arrivals it is held, once."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._arrivals = 0

    def reach(self, hold_point: str) -> None:
        if hold_point != self._orders.hold_at:
            return
        self._arrivals += 1
        if self._arrivals != self._orders.hold_on:
            return
        say(HELD)
        if self._orders.blocks:
            time.sleep(3 * self._orders.lease_s)  # nothing else of this process runs meanwhile
        else:
            os.kill(os.getpid(), signal.SIGSTOP)


def watch(hold_points: HoldPoints, server: Server) -> None:
    """Have every consumer of this process report where it comes by."""
    read, commit, flush = RedisConsumer.read, RedisConsumer.commit, Pipeline.flush
    take_over = RedisConsumer.take_over
    commits = [getattr(server.scripts, name).sha.encode() for name in ("commit", "recommit")]

    async def watched_read(
        self: RedisConsumer, max_count: int, wait_s: float, take: Take | None = None
    ) -> list[Delivery]:
        def watched_take(lent: list[Delivery]) -> None:
            assert take is not None
            hold_points.reach(AFTER_READ)
            take(lent)

        lent = await read(self, max_count, wait_s, None if take is None else watched_take)
        if lent:
            hold_points.reach(AFTER_READ)
        return lent

    async def watched_take_over(self: RedisConsumer, *which: Any, **how: Any) -> list[Delivery]:
        lent = await take_over(self, *which, **how)
        if lent:
            hold_points.reach(AFTER_TAKEOVER)
        return lent

    async def watched_commit(self: RedisConsumer, settlements: Sequence[Settlement]) -> list[int]:
        hold_points.reach(BEFORE_COMMIT)
        skipped = await commit(self, settlements)
        hold_points.reach(AFTER_COMMIT)
        return skipped

    def watched_flush(self: Pipeline) -> None:
        is_commit = any(sha in packed for packed in self._unwritten for sha in commits)
        flush(self)
        if is_commit:
            hold_points.reach(COMMIT_SENT)

    _set(RedisConsumer, read=watched_read, take_over=watched_take_over, commit=watched_commit)
    _set(Pipeline, flush=watched_flush)


def _set(of: type, **methods: Any) -> None:
    for name, method in methods.items():
        setattr(of, name, method)
