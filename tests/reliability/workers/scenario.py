"""A guild with a publisher, workers and a count of what comes out: where faults are tried."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

from messaging.backend import Incident
from messaging.backends.redis.backend import RedisBackend
from messaging.backends.redis.server import Server
from messaging.backends.urls import open_backend
from messaging.bus import Bus
from messaging.testing import eventually
from messaging.wire.envelope import new_id
from messaging.wire.message import decode
from tests.reliability.workers.orders import (
    GROUP,
    INPUTS,
    KEPT,
    OUTPUTS,
    Input,
    NewerInput,
    Orders,
    Output,
    lane_of,
)
from tests.reliability.workers.outcome import Outcome
from tests.reliability.workers.patience import stretched
from tests.reliability.workers.processes import Worker, Workers
from tests.reliability.workers.worker import subscription

PATIENCE_S = 60.0
PAGE = 5_000
AT_ONCE = 100
LOOK_EVERY_S = 0.05


class Heard(NamedTuple):
    """An incident that the publisher's side was told of, and when on the monotonic clock."""

    incident: Incident
    at_s: float


class Scenario:
    """Publishes numbered inputs, watches the outputs, and tells the outcome.

    Attributes:
        bus: the publisher's, in this process; faults that hit workers alone leave it in peace.
        accepted: numbers of the inputs that were stored, as the publisher was told.
        heard: incidents of the publisher's bus.
    """

    def __init__(self, bus: Bus, workers: Workers) -> None:
        self.bus = bus
        self.workers = workers
        self.accepted: set[int] = set()
        self.heard: list[Heard] = []
        self._seen: Counter[int] = Counter()
        self._after = ""
        self._next = 0
        bus.listen(lambda incident: self.heard.append(Heard(incident, time.monotonic())))

    @property
    def server(self) -> Server:
        """The publisher's own connection, for commands past the bus."""
        backend = self.bus.backend
        assert isinstance(backend, RedisBackend)
        assert backend._parts is not None
        return backend._parts.server

    @property
    def events(self) -> list[str]:
        """Events of the incidents that the publisher's bus was told of."""
        return [heard.incident.event for heard in self.heard]

    @property
    def all_events(self) -> list[str]:
        """As `events`, with those of which workers have told."""
        told = [event for worker in self.workers.all for event in worker.incidents]
        return [*self.events, *told]

    async def command(self, *parts: Any) -> Any:
        return await self.server.connection.call(*parts)

    async def publish(
        self, count: int, *, handler_fault: str = "", kind: type[Input | NewerInput] = Input
    ) -> list[int]:
        """That many further inputs; their numbers, once they are accepted."""
        first, self._next = self._next, self._next + count
        for start in range(first, first + count, AT_ONCE):
            numbers = range(start, min(start + AT_ONCE, first + count))
            messages = [
                kind(number=n, lane=lane_of(n), handler_fault=handler_fault) for n in numbers
            ]
            await self.bus.publish_many(INPUTS, messages)
            self.accepted.update(numbers)
        return list(range(first, first + count))

    @asynccontextmanager
    async def publishing(self, every_s: float = 0.02, count: int = 20) -> AsyncIterator[None]:
        """Publish `count` inputs again and again while the block runs; then the last is stored."""
        done = asyncio.Event()

        async def keep_on() -> None:
            while not done.is_set():
                await self.publish(count)
                with suppress(TimeoutError):
                    async with asyncio.timeout(every_s):
                        await done.wait()

        going = asyncio.create_task(keep_on())
        try:
            yield
        finally:
            done.set()
            await going

    async def held(self, worker: Worker) -> None:
        """Publish until the worker is held at the hold point that its orders name.

        However much lies there already: others may be quicker to take it.
        """
        async with self.publishing():
            await worker.held()

    async def told(self, count: int, timeout_s: float = PATIENCE_S) -> None:
        """Return once that many different inputs have come out.

        Raises:
            TimeoutError: they did not.
        """
        async with asyncio.timeout(timeout_s):
            while len(await self.look()) < count:  # noqa: ASYNC110 - other processes work
                await asyncio.sleep(LOOK_EVERY_S)

    async def told_twice(self, timeout_s: float = PATIENCE_S) -> None:
        """Return once some input has come out twice.

        Raises:
            TimeoutError: none did.
        """
        async with asyncio.timeout(timeout_s):
            while max((await self.look()).values(), default=0) < 2:  # noqa: ASYNC110 - as above
                await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> Counter[int]:
        """How often each number has come out so far."""
        while entries := await self.bus.backend.tail(
            {OUTPUTS: self._after}, max_count=PAGE, wait_s=0
        ):
            envelopes = [entry.envelope for entry in entries]
            self._seen.update(decode(Output, envelope.payload).number for envelope in envelopes)
            self._after = entries[-1].position
        return self._seen

    async def told_of(self, event: str, *, since_s: float, within_s: float) -> None:
        """The publisher's bus was told of `event`, at most `within_s` after `since_s`."""
        await eventually(lambda: event in self.events)
        late_s = min(h.at_s for h in self.heard if h.incident.event == event) - since_s
        assert late_s <= stretched(within_s), f"{event} was told {late_s:.1f} s late"

    async def anybody_told_of(
        self, events: Collection[str], *, since_s: float, within_s: float
    ) -> None:
        """As `told_of`, for one of these events and whichever process hears of it first."""
        await eventually(lambda: not {*events}.isdisjoint(self.all_events))
        late_s = time.monotonic() - since_s
        assert late_s <= stretched(within_s), f"{events} was told {late_s:.1f} s late"

    async def owed(self) -> int:
        """What waits for the group or was lent and is not settled."""
        topics = await self.bus.backend.topics()
        return sum(sum(t.waiting.values()) + sum(t.pending.values()) for t in topics)

    async def pending_by(self, worker: Worker) -> int:
        """What this process was lent and has neither settled nor given back."""
        summary = await self.command("XPENDING", self.server.keys.stream(INPUTS), GROUP)
        consumers = {name.decode(): int(count) for name, count in summary[3] or ()}
        # An incarnation names its process, see messaging/backends/incarnation.py.
        return sum(count for name, count in consumers.items() if f".{worker.pid}." in name)

    async def lent_to(self, worker: Worker, count: int = 1) -> None:
        """Return once the worker was lent that many."""
        async with asyncio.timeout(PATIENCE_S):
            while await self.pending_by(worker) < count:  # noqa: ASYNC110 - other processes work
                await asyncio.sleep(LOOK_EVERY_S)

    async def server_is_through(self) -> None:
        """Return once the server has run whatever had been written to it before."""
        for _ in range(2):  # in one turn it serves those who wait in any order
            await self.command("PING")

    async def written(self) -> None:
        """Return once the server has given its file whatever it has answered for.

        With `appendfsync everysec` it holds writes back while it syncs; killed then, it loses them.
        """
        while b"aof_pending_bio_fsync:0\r\n" not in await self.command("INFO", "persistence"):  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    async def outcome(self, *, since_s: float | None = None, patience_s: float) -> Outcome:
        """Wait until everything is settled, have the workers end, count once more.

        Args:
            since_s: when the fault ended, on the monotonic clock; the default is now.
            patience_s: how long to wait at most; what is not settled then is in the outcome.
        """
        since_s = time.monotonic() if since_s is None else since_s
        outcome = Outcome(self.accepted, self._seen)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._settled()
            outcome.took_s = time.monotonic() - since_s
        outcome.exit_codes = await self.workers.terminate()
        self._seen.clear()  # a server may have forgotten what it had told before,
        self._after = ""
        await self.look()  # and what a zombie did when it woke counts, too
        outcome.left_pending = await self.owed()
        outcome.left_behind = self.workers.left_behind()
        return outcome

    async def _settled(self) -> None:
        while not self.accepted <= (await self.look()).keys() or await self.owed():  # noqa: ASYNC110
            await asyncio.sleep(LOOK_EVERY_S)


@asynccontextmanager
async def scenario_on(
    url: str, *, publisher_url: str = "", workers: int = 0, **orders: Any
) -> AsyncIterator[Scenario]:
    """A scenario on the server at `url`, with so many workers; `orders` are those of all of them.

    Args:
        url: where the workers work, perhaps through a proxy.
        publisher_url: where the publisher is, if that is somewhere else.
        workers: how many to start with; `scenario.workers.start` adds to them.
        orders: of `tests.reliability.workers.orders.Orders`.
    """
    guild_id = f"workers-{new_id()}"
    told = Orders(url=url, guild_id=guild_id, **orders)
    backend = open_backend(publisher_url or url, guild_id, keep_unclaimed=KEPT, max_backlog=KEPT)
    async with Bus(backend, name="scenario") as bus, Workers(told) as started:
        scenario = Scenario(bus, started)
        await bus.register(subscription(told))
        await started.start(workers)
        yield scenario
