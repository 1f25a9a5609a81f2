"""Publishes inputs, torments workers, and counts what came out."""

import asyncio
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import redis.asyncio

from messaging.backends.redis.keys import Keys
from messaging.bus import Bus
from messaging.envelope import new_id
from messaging.message import decode
from messaging.urls import open_backend
from tests.storm.worker import KEPT, LEASE_S, Input, Output, subscription

REPOSITORY = Path(__file__).parent.parent.parent
WORKERS = 3
PAGE = 5_000
PUBLISHED_AT_ONCE = 500
LOOK_EVERY_S = 0.02


@dataclass
class Result:
    """How often each input came out, and how bad the storm was."""

    inputs: int
    seen: Counter[int]
    kills: int = 0
    stops: int = 0
    left_pending: int = 0
    exit_codes: list[int | None] = field(default_factory=list)
    took_s: float = 0.0

    @property
    def missing(self) -> int:
        return sum(number not in self.seen for number in range(self.inputs))

    @property
    def repeated(self) -> int:
        return sum(count - 1 for count in self.seen.values())

    def __str__(self) -> str:
        return (
            f"{self.inputs:,} inputs, {self.kills} kills, {self.stops} stops of {3 * LEASE_S:g} s, "
            f"{self.took_s:.0f} s: {self.missing:,} missing, {self.repeated:,} repeated, "
            f"{self.left_pending:,} left pending, exit codes {self.exit_codes}"
        )


class Fleet:
    """The worker processes: whoever is killed is replaced, whoever is stopped goes on later."""

    def __init__(self, *command: str) -> None:
        self._command = (sys.executable, "-m", "tests.storm.worker", *command)
        self._running: list[asyncio.subprocess.Process] = []
        self._waking: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        for _ in range(WORKERS):
            await self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._waking:
            task.cancel()
        for process in self._running:
            process.kill()
            await process.wait()

    async def kill(self, chance: random.Random) -> None:
        process = self._running.pop(chance.randrange(len(self._running)))
        process.kill()
        await process.wait()
        await self._start()

    async def stop_for_a_while(self, chance: random.Random) -> None:
        process = chance.choice(self._running)
        process.send_signal(signal.SIGSTOP)
        self._waking.append(asyncio.create_task(_wake(process)))

    async def drain(self) -> list[int | None]:
        """Exit codes after a polite SIGTERM."""
        await asyncio.gather(*self._waking)
        for process in self._running:
            assert process.stdout is not None
            await process.stdout.readline()  # it is ready: before that it knows no SIGTERM
            process.terminate()
        async with asyncio.timeout(30):
            await asyncio.gather(*[process.wait() for process in self._running])
        codes = [process.returncode for process in self._running]
        self._running = []
        return codes

    async def _start(self) -> None:
        process = await asyncio.create_subprocess_exec(
            *self._command, cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE
        )
        self._running.append(process)


async def storm_on_the_bus(
    url: str, *, inputs: int, kills: int, seed: int, patience_s: float
) -> Result:
    """Let `kills` workers die, and as many be stopped as there are two kills."""
    started_at = time.monotonic()
    guild_id = f"storm-{new_id()}"
    backend = open_backend(url, guild_id, keep_unclaimed=KEPT, max_backlog=KEPT)
    outputs = Keys(guild_id).stream("outputs")
    result = Result(inputs, Counter())
    async with Bus(backend, name="storm") as bus, redis.asyncio.Redis.from_url(url) as server:
        await bus.register(subscription())
        publishing = asyncio.create_task(_publish(bus, inputs))
        async with asyncio.timeout(patience_s), Fleet("bus", url, guild_id) as fleet:
            await _torment(fleet, server, outputs, result, kills=kills, seed=seed)
            await publishing
            await _until_settled(bus, server, outputs, inputs)
            result.exit_codes = await fleet.drain()
        result.left_pending = await _owed(bus)
        result.seen = await _count_on_the_bus(bus)
    result.took_s = time.monotonic() - started_at
    return result


async def storm_without_the_bus(
    url: str, *, inputs: int, kills: int, seed: int, patience_s: float
) -> Result:
    """The same for plain at-least-once consumers: what the bus is there to prevent."""
    name = f"plain-{new_id()}"
    result = Result(inputs, Counter())
    async with redis.asyncio.Redis.from_url(url) as server:
        async with server.pipeline(transaction=False) as pipeline:
            for number in range(inputs):
                pipeline.xadd(f"{name}:inputs", {"number": number})
            await pipeline.execute()
        outputs = f"{name}:outputs".encode()
        async with asyncio.timeout(patience_s), Fleet("plain", url, name) as fleet:
            await _torment(fleet, server, outputs, result, kills=kills, seed=seed)
            while await server.xlen(outputs) < inputs or await _pending(server, name):  # noqa: ASYNC110 - other processes work
                await asyncio.sleep(LOOK_EVERY_S)
        for _, fields in await server.xrange(outputs):
            result.seen[int(fields[b"number"])] += 1
    return result


async def _publish(bus: Bus, inputs: int) -> None:
    for first in range(0, inputs, PUBLISHED_AT_ONCE):
        numbers = range(first, min(first + PUBLISHED_AT_ONCE, inputs))
        await bus.publish_many("inputs", [Input(number=number) for number in numbers])


async def _torment(
    fleet: Fleet,
    server: "redis.asyncio.Redis",
    outputs: bytes,
    result: Result,
    *,
    kills: int,
    seed: int,
) -> None:
    """Spread over the work, so that none of it is spared."""
    chance = random.Random(seed)
    for number in range(1, kills + 1):
        due_at = number * result.inputs // (kills + 1)
        while await server.xlen(outputs) < due_at:  # noqa: ASYNC110 - other processes work
            await asyncio.sleep(LOOK_EVERY_S)
        await asyncio.sleep(chance.uniform(0, 0.05))
        await fleet.kill(chance)
        result.kills += 1
        if number % 2 == 0:
            await fleet.stop_for_a_while(chance)
            result.stops += 1


async def _until_settled(
    bus: Bus, server: "redis.asyncio.Redis", outputs: bytes, inputs: int
) -> None:
    while await server.xlen(outputs) < inputs or await _owed(bus):  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.2)


async def _owed(bus: Bus) -> int:
    topics = await bus.backend.topics()
    return sum(sum(t.waiting.values()) + sum(t.pending.values()) for t in topics)


async def _pending(server: "redis.asyncio.Redis", name: str) -> int:
    (group,) = await server.xinfo_groups(f"{name}:inputs")
    return int(group["pending"])


async def _count_on_the_bus(bus: Bus) -> Counter[int]:
    seen: Counter[int] = Counter()
    after = ""
    while entries := await bus.backend.tail({"outputs": after}, max_count=PAGE, wait_s=0):
        seen.update(decode(Output, entry.envelope.payload).number for entry in entries)
        after = entries[-1].position
    return seen


async def _wake(process: asyncio.subprocess.Process) -> None:
    await asyncio.sleep(3 * LEASE_S)
    if process.returncode is None:
        process.send_signal(signal.SIGCONT)
