"""Times and processor time of one benchmark round."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from redis import Redis

from benchmarks.contestant import (
    ACKNOWLEDGED,
    AWAITED,
    BULK,
    HANDLED,
    PROCESS,
    REQUEST,
    REQUEST_64,
    Contestant,
    Note,
)

PUBLISHERS = 64


class Round(NamedTuple):
    """One round of one contestant.

    Attributes:
        cpu_s: processor time of this process: publishers, consumers and the client library.
        server_cpu_s: processor time of the server; 0.0 where it has no part.
        latencies_s: of each request; empty where only the rate counts.
    """

    wall_s: float
    cpu_s: float
    server_cpu_s: float
    messages: int
    latencies_s: tuple[float, ...] = ()

    @property
    def rate(self) -> float:
        return self.messages / self.wall_s

    @property
    def cpu_us(self) -> float:
        return self.cpu_s / self.messages * 1e6

    @property
    def server_cpu_us(self) -> float:
        return self.server_cpu_s / self.messages * 1e6


class Meter:
    """Runs rounds and reads the clocks around them."""

    def __init__(self, server: Redis) -> None:
        self._server = server

    async def run(self, scenario: str, contestant: Contestant, messages: int) -> Round:
        """One round of `scenario`; slow scenarios and contestants get fewer messages."""
        messages = max(PUBLISHERS, messages // contestant.share)
        if scenario in (REQUEST, REQUEST_64):
            at_once = 1 if scenario == REQUEST else PUBLISHERS
            return await self._requests(
                contestant, max(20, messages // (20 // at_once or 2)), at_once
            )
        notes = notes_of(messages)
        work: Callable[[], Awaitable[object]] = {
            AWAITED: lambda: contestant.publish_awaited(notes, PUBLISHERS),
            BULK: lambda: contestant.publish_bulk(notes),
            HANDLED: lambda: contestant.publish_handled(notes),
            PROCESS: lambda: contestant.process(notes),
        }[scenario]

        async def until_acknowledged() -> None:
            await work()
            if scenario in ACKNOWLEDGED:
                while await contestant.unacknowledged():  # noqa: ASYNC110 - no server tells
                    await asyncio.sleep(0)

        return await self.timed(until_acknowledged, messages, is_on_server=contestant.is_on_server)

    async def timed(
        self, work: Callable[[], Awaitable[object]], messages: int, *, is_on_server: bool
    ) -> Round:
        server = self._server_cpu_s()
        wall, cpu = time.perf_counter(), time.process_time()
        await work()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        served = self._server_cpu_s() - server if is_on_server else 0.0
        return Round(wall, cpu, served, messages)

    async def _requests(self, contestant: Contestant, messages: int, at_once: int) -> Round:
        latencies: list[float] = []

        async def ask(share: Sequence[Note]) -> None:
            for note in share:
                start = time.perf_counter()
                await contestant.request(note)
                latencies.append(time.perf_counter() - start)

        notes = notes_of(messages)
        timed = await self.timed(
            lambda: asyncio.gather(*(ask(notes[start::at_once]) for start in range(at_once))),
            messages,
            is_on_server=contestant.is_on_server,
        )
        return timed._replace(latencies_s=tuple(latencies))

    def commands(self) -> int:
        """How many commands the server has run so far, those that scripts call included."""
        return int(self._server.info("stats")["total_commands_processed"])

    def _server_cpu_s(self) -> float:
        used = self._server.info("cpu")
        return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that `percent` of `values` do not exceed."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def notes_of(count: int) -> list[Note]:
    return [Note(number=number) for number in range(count)]
