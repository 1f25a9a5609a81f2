"""How long the road of a message is: calls, files, turns of the event loop and trips to the server.

Times depend on the machine and on the hour; these numbers do not. A heartbeat that falls into a
round makes it longer, and so does a busy machine that tears replies apart; neither befalls every
round, and the least counts. A change that makes the road shorter lowers its row of `LIMITS`.
"""

import asyncio
import os
import selectors
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, Self

import pytest
import redis.asyncio

import guild as guild_package
import messaging as messaging_package
from guild import Agent, AgentBuilder, Guild, GuildBuilder, handles
from guild.client import GuildClient
from messaging import Bus, Context, Message, MessageRegistry, Subscription, connect
from messaging.wire.envelope import new_id
from tests.servers import running_redis

OURS = tuple(str(Path(str(p.__file__)).parent) + os.sep for p in (guild_package, messaging_package))

WARM_UP = 5
MOST_ROUNDS = 30
PUBLISHERS = 64
EACH = 5
STILL_FOR = 5


class Length(NamedTuple):
    """How long the road is, by one way.

    Attributes:
        calls: of functions of ours, from an awaited publish until it is settled; a coroutine that
            goes on counts again.
        files: in which those functions are.
        shared: calls a message when 64 tasks publish at once.
        turns: of the event loop, from the call of `request` until its answer is returned.
        trips: writes to the server in that time.
    """

    calls: int
    files: int
    shared: float
    turns: int
    trips: int

    def __str__(self) -> str:
        return ", ".join(f"{name} {number:g}" for name, number in self._asdict().items())


GOAL = Length(calls=130, files=20, shared=90, turns=6, trips=2)  # by Redis, either way
LIMITS = {
    ("bus", "redis"): Length(calls=97, files=20, shared=23, turns=6, trips=2),
    ("guild", "redis"): Length(calls=97, files=20, shared=23, turns=6, trips=2),
    ("bus", "memory"): Length(calls=51, files=15, shared=25, turns=5, trips=0),
    ("guild", "memory"): Length(calls=51, files=15, shared=25, turns=5, trips=0),
}


class Note(Message, frozen=True, wire_name="road.note"):
    number: int = 0


class Ask(Message, frozen=True, wire_name="road.ask"):
    number: int = 0


class Told(Message, frozen=True, wire_name="road.told"):
    number: int = 0


class Reader(Agent):
    @handles
    async def read(self, note: Note) -> None: ...

    @handles
    async def answer(self, ask: Ask) -> Told:
        return Told(number=ask.number)


async def read(note: Note, ctx: Context) -> None: ...


async def answer(ask: Ask, ctx: Context) -> Told:
    return Told(number=ask.number)


@asynccontextmanager
async def by_bus(url: str) -> AsyncIterator[Bus]:
    async with connect(url, f"road-{new_id()}", registry=MessageRegistry(Note, Ask, Told)) as bus:
        await bus.subscribe(Subscription("reader", ["notes"], {Note: read, Ask: answer}))
        yield bus


@asynccontextmanager
async def by_guild(url: str) -> AsyncIterator[GuildClient]:
    reader = AgentBuilder(Reader).set_id("reader").add_additional_topic("notes")
    spec = GuildBuilder(f"road-{new_id()}").add_agent_spec(reader.build_spec()).build_spec()
    async with Guild.launch(spec, bus=url) as guild:
        yield guild.client


Speaker = Bus | GuildClient
WAYS: dict[str, Callable[[str], AbstractAsyncContextManager[Speaker]]] = {
    "bus": by_bus,
    "guild": by_guild,
}


class Recording:
    """Counts the calls of this thread while it is entered, and its writes to sockets."""

    def __init__(self) -> None:
        self.files: Counter[str] = Counter()
        self.calls = self.writes = 0

    def __enter__(self) -> Self:
        sys.setprofile(self._see)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _see(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            file = frame.f_code.co_filename
            if file.startswith(OURS):
                self.calls += 1
                self.files[file] += 1
        elif event == "c_call" and argument.__name__ in {"send", "sendmsg"}:
            self.writes += isinstance(getattr(argument, "__self__", None), socket.socket)


class CountingSelector(selectors.DefaultSelector):
    """An event loop selects once a turn."""

    turns = 0

    def select(self, timeout: float | None = None) -> Any:
        self.turns += 1
        return super().select(timeout)


Tick = Callable[[], Awaitable[object]]
Numbers = tuple[float, ...]


class Walker:
    """Sends messages along the road and measures it.

    Args:
        tick: something that takes its turn behind whatever is under way.
    """

    def __init__(self, speaker: Speaker, selector: CountingSelector, tick: Tick) -> None:
        self._speaker = speaker
        self._bus = speaker if isinstance(speaker, Bus) else speaker.bus
        self._selector = selector
        self._tick = tick

    async def length(self, limit: Length) -> Length:
        """What the road came to; measured again as long as it is longer than `limit`."""
        for number in range(WARM_UP):
            await self._single(number)
            await self._request(number)
        calls, files = await _least(self._single, limit.calls, limit.files)
        (shared,) = await _least(self._shared, limit.shared)
        turns, trips = await _least(self._request, limit.turns, limit.trips)
        return Length(int(calls), int(files), shared, int(turns), int(trips))

    async def _single(self, number: int) -> Numbers:
        with Recording() as recording:
            await self._speaker.publish("notes", Note(number=number))
            await self._stillness(recording)
        await self._assert_settled()
        return recording.calls, len(recording.files)

    async def _shared(self, _: int) -> Numbers:
        async def publish() -> None:
            for number in range(EACH):
                await self._speaker.publish("notes", Note(number=number))

        with Recording() as recording:
            await asyncio.gather(*(publish() for _ in range(PUBLISHERS)))
            await self._stillness(recording)
        await self._assert_settled()
        return (recording.calls / PUBLISHERS / EACH,)

    async def _request(self, number: int) -> Numbers:
        turns = self._selector.turns
        with Recording() as recording:
            reply = await self._speaker.request("notes", Ask(number=number))
        turns = self._selector.turns - turns
        assert reply == Told(number=number)
        with Recording() as rest:
            await self._stillness(rest)
        return turns, recording.writes

    async def _stillness(self, recording: Recording) -> None:
        """Return once several ticks in a row have seen no call."""
        seen, still = -1, 0
        while still < STILL_FOR:
            still = still + 1 if recording.calls == seen else 0
            seen = recording.calls
            await self._tick()

    async def _assert_settled(self) -> None:
        """Or its road was measured before it had come to its end."""
        topics = await self._bus.backend.topics()
        owed = [(*t.waiting.values(), *t.pending.values()) for t in topics if t.topic == "notes"]
        assert sum(map(sum, owed)) == 0


async def _least(measure: Callable[[int], Awaitable[Numbers]], *limits: float) -> Numbers:
    """The least of each number in rounds, which end as soon as all are within their limits."""
    least = await measure(0)
    for number in range(1, MOST_ROUNDS):
        if all(seen <= limit for seen, limit in zip(least, limits, strict=True)):
            break
        least = tuple(map(min, least, await measure(number)))
    return least


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.mark.parametrize(("way", "store"), LIMITS)
def test_the_road_of_a_message_gets_no_longer(
    way: str, store: str, request: pytest.FixtureRequest
) -> None:
    limit, selector = LIMITS[way, store], CountingSelector()

    async def measure() -> Length:
        if store == "memory":
            async with WAYS[way]("memory://") as speaker:
                return await Walker(speaker, selector, lambda: asyncio.sleep(0)).length(limit)
        url = request.getfixturevalue("redis_url")
        async with (
            redis.asyncio.Redis.from_url(url) as observer,
            WAYS[way](url) as speaker,
        ):
            # The server answers in turn: what was under way before has been answered by then.
            return await Walker(speaker, selector, observer.ping).length(limit)

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        seen = runner.run(measure())

    sys.stdout.write(f"{way} in {store}: {seen}; the goal by Redis: {GOAL}\n")
    assert all(number <= most for number, most in zip(seen, limit, strict=True)), (
        f"the road by the {way} in {store} is longer: {seen}; it was: {limit}"
    )
