"""The server did it and the answer was lost, once for every kind of request that the bus makes."""

from urllib.parse import urlsplit

import pytest
import redis.asyncio

from messaging.backend import Consumer, Settlement
from messaging.backends.redis.entries import pack_entry
from messaging.backends.redis.keys import Keys
from messaging.backends.redis.scripts import Scripts
from messaging.backends.urls import open_backend
from messaging.bus import Bus
from messaging.handling.context import Context
from messaging.wire.envelope import Envelope, new_id
from messaging.wire.message import Message, MessageRegistry, decode
from tests.messaging.buses import dead_letters, listening, lying_in, settled_all
from tests.reliability.proxy import FaultyProxy

COUNT = 60
LONG = "x" * 100_000  # lies beside its stream
NEVER_HERE = {"repair", "relend"}  # somebody has deleted a group, or a consumer
COMMANDS = frozenset(
    {
        *("HGET", "HGETALL", "PING", "SCRIPT", "SMEMBERS", "SUBSCRIBE"),
        *("XINFO", "XLEN", "XPENDING", "XRANGE", "XREAD", "XREADGROUP"),
    }
)


class Task(Message, wire_name="matrix.task"):
    number: int
    kind: str = ""
    text: str = ""


class Done(Message, wire_name="matrix.done"):
    number: int


class Total(Message, wire_name="matrix.total"):
    number: int = 0


REGISTRY = MessageRegistry(Task, Done, Total)


async def _work(task: Task, context: Context) -> Done | None:
    """Uses state, steps, outputs, delays and progress; some fail once, some for ever."""
    if task.kind == "poison":
        raise ValueError("ill")
    if task.kind == "fails once" and context.attempt == 1:
        raise ValueError("once")
    if task.kind == "steps":
        await context.step("double", lambda: 2 * task.number)
    if task.kind == "counts":
        total = await context.state.load("total", Total) or Total()
        await context.state.save("total", Total(number=total.number + 1))
    context.emit(Done(number=task.number))
    context.send(Done(number=task.number), "done")
    context.send(Done(number=task.number), "later", delay_s=0.05)
    return Done(number=task.number) if context.requester is not None else None


async def _log(task: Task, context: Context) -> None:
    context.send(Done(number=task.number), "logged")


@pytest.fixture
def port(server_url: str) -> int:
    port = urlsplit(server_url).port
    assert port is not None
    return port


async def test_a_guild_that_loses_an_answer_of_every_kind(port: int) -> None:
    guild_id = f"lossy-{new_id()}"
    async with (
        FaultyProxy(port) as proxy,
        _bus(proxy, guild_id) as bus,
        _bus(proxy, guild_id) as other,
    ):
        proxy.lose_a_reply_of_each_kind()
        await _let_it_work(bus, other)

        scripts = Scripts()
        missed = {s.name for s in scripts.all() if s.sha not in proxy.lost_kinds} - NEVER_HERE
        assert not missed, "no answer of these was lost"
        assert COMMANDS - proxy.lost_kinds.keys() == set()

        everything = [*range(COUNT), 100, 101, *range(105, 110)]
        assert await _numbers(bus, "done", len(everything)) == everything
        assert await _numbers(bus, "later", len(everything)) == everything
        assert await _numbers(bus, "logged", COUNT) == list(range(COUNT))
        total = await bus.backend.load_state("workers", "total")
        assert total is not None
        assert Total.model_validate_json(total.value).number == COUNT // 4
        assert [letter.group for letter in await dead_letters(bus)] == ["workers"]


async def test_a_client_that_repeats_what_went_unanswered_stores_copies(port: int) -> None:
    """What redis-py does unless it is told not to: the mutant of the row."""
    stream = Keys(f"lossy-{new_id()}").stream("tasks")
    envelope = Envelope(new_id(), "matrix.task", 1, "tasks", b'{"number":1}')
    header, payload = pack_entry(envelope, None)
    async with FaultyProxy(port) as proxy, redis.asyncio.Redis(port=proxy.port) as client:
        await client.ping()
        proxy.lose_replies_to(b"XADD", times=2)

        await client.xadd(stream, {"h": header, "p": payload})

        assert proxy.lost == 2
        assert await client.xlen(stream) == 3


def _bus(proxy: FaultyProxy, guild_id: str) -> Bus:
    return Bus(open_backend(proxy.url, guild_id, keep_unclaimed=10_000), registry=REGISTRY)


async def _let_it_work(bus: Bus, other: Bus) -> None:
    """Do once whatever a bus can do."""
    workers = listening("workers", _work, Task, topics=("tasks",))
    loggers = listening("loggers", _log, Task, topics=("orders",), ordered_by="number")
    for subscription in (workers, loggers):
        await other.register(subscription)
    doomed = await other.backend.join("workers")
    kinds = ("counts", "steps", "fails once", "")
    tasks = [Task(number=n, kind=kinds[n % 4], text=LONG if n == 7 else "") for n in range(COUNT)]
    for task in tasks:
        await bus.publish("tasks", task)
        await other.publish("orders", task)
    assert await doomed.read(10, wait_s=1)  # and it never beats, so that it is taken over
    running = await bus.subscribe(workers)
    await other.subscribe(loggers)

    assert await bus.request("tasks", Task(number=100), timeout_s=30) == Done(number=100)
    items = [item async for item in other.stream("tasks", Task(number=101), timeout_s=30)]
    assert items[-1] == Done(number=101)
    await bus.publish("tasks", Task(number=102, kind="poison"))
    (letter,) = await dead_letters(bus)
    assert await bus.dead_letters.requeue(letter.id)
    await settled_all(bus, "workers")
    await settled_all(bus, "loggers")

    leaver = await _joined(bus, "leavers", "left")
    assert await leaver.take_turn("message", ["key"])  # its answer was lost, and it has it once
    await leaver.end_turn("message", ["key"])
    assert await leaver.take_turn("other", ["key"])
    await leaver.end_turn("other", ["key"])
    await bus.publish("left", Task(number=103))
    await bus.backend.subscribe("leavers", ["elsewhere"])  # and is still owed that one
    (owed,) = await leaver.read(10, wait_s=10)
    await leaver.commit([Settlement(owed)])
    while any("leavers" in t.waiting for t in await bus.backend.topics() if t.topic == "left"):
        await leaver.read(10, wait_s=1)

    await bus.publish("tasks", Task(number=104, kind="poison"))
    *_, dead = await dead_letters(bus, 2)
    assert await bus.dead_letters.drop(dead.id, "of no use")
    for number in range(105, 110):  # by now no more connections break on the way
        await bus.request("tasks", Task(number=number), timeout_s=30)
    await bus.backend.trim()
    kept, _ = await bus.backend.state_keys("workers")
    assert "total" in {each.key for each in kept}
    await running.drain()
    await bus.register(listening("gone", _log, Task, topics=("elsewhere",)))
    await bus.unsubscribe("gone")


async def _joined(bus: Bus, group: str, pattern: str) -> Consumer:
    await bus.backend.subscribe(group, [pattern])
    return await bus.backend.join(group)


async def _numbers(bus: Bus, topic: str, count: int) -> list[int]:
    entries = await lying_in(bus, topic, count)
    return sorted(decode(Done, entry.envelope.payload).number for entry in entries)
