"""What topics and consumers cost as there get more of them: counted on the server, not timed."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from messaging.backends.redis import RedisBackend
from messaging.backends.redis.consumer import patrol
from messaging.backends.redis.consumer.patrol import Patrol
from messaging.backends.redis.entries import pack_entry
from messaging.backends.redis.producer.producer import Producer
from messaging.backends.redis.registry.fits import Fit, Fits
from messaging.backends.redis.scripts import Script
from messaging.backends.redis.server import Server
from messaging.bus import Bus
from messaging.handling.subscription import Subscription, SubscriptionOptions
from messaging.testing import eventually
from tests.messaging.backends.redis.conftest import Guild, command, server_of
from tests.messaging.buses import REGISTRY, Ask, Told, echo
from tests.messaging.notes import joined, note, notes, numbered, settled, take, texts

PATIENT = SubscriptionOptions(lease_s=3600.0)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each script was called since it was cleared."""
    counted: Counter[str] = Counter()
    run = Server.run

    async def count(self: Server, script: Script, *arguments: Any, **options: Any) -> Any:
        counted[script.name] += 1
        return await run(self, script, *arguments, **options)

    monkeypatch.setattr(Server, "run", count)
    return counted


async def _commands(backend: RedisBackend) -> int:
    """Commands that the server has run, those of scripts included, and thousands of bytes."""
    info = (await command(backend, "INFO", "stats")).decode().splitlines()
    numbers = dict(line.split(":", 1) for line in info if ":" in line)
    sent, taken = (int(numbers[f"total_net_{way}_bytes"]) for way in ("output", "input"))
    return int(numbers["total_commands_processed"]) + (sent + taken) // 1_000


async def _cost_of_first_requests(guild: Guild, count: int) -> float:
    """By topic, where each of `count` agents has one of its own and all are asked at once."""
    backend = guild.new()
    async with Bus(backend, registry=REGISTRY) as bus:
        for number in range(count):
            topic = f"of{count}.topic{number}"
            await bus.subscribe(Subscription(f"of{count}-{number}", [topic], {Ask: echo}, PATIENT))
        before = await _commands(backend)
        asks = [bus.request(f"of{count}.topic{n}", Ask(text="?")) for n in range(count)]
        assert await asyncio.gather(*asks) == [Told(text="?")] * count
        return (await _commands(backend) - before) / count


async def test_first_requests_to_new_topics_cost_the_same_however_many_there_are(
    guild: Guild,
) -> None:
    few, many = [await _cost_of_first_requests(guild, count) for count in (10, 60)]

    assert many < 1.15 * few, (few, many)


async def test_telling_everybody_of_every_topic_would_cost_more_with_each(
    guild: Guild, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = Fits.update

    def tell_everybody(self: Fits, *arguments: Any, **options: Any) -> Iterable[Fit]:
        update(self, *arguments, **options)
        for fit in self.all_fits():
            fit.version += 1
            fit.patterns_version += 1
        return self.all_fits()

    monkeypatch.setattr(Fits, "update", tell_everybody)

    async def one_by_one(_: Producer) -> None: ...

    monkeypatch.setattr(Producer, "_bring_absent", one_by_one)
    few, many = [await _cost_of_first_requests(guild, count) for count in (10, 60)]

    assert many > 1.3 * few, (few, many)


async def test_topics_that_are_new_at_the_same_time_are_created_in_one_call(
    guild: Guild, calls: Counter[str]
) -> None:
    backend = await guild.open()
    calls.clear()
    await backend.append([note("first", f"topic{number}") for number in range(40)])

    assert calls["create_topics"] <= 2


async def test_a_commit_to_many_new_topics_is_sent_again_once(
    guild: Guild, calls: Counter[str]
) -> None:
    backend = await guild.open()
    worker = await joined(backend, "workers")
    await backend.append(notes(1))
    (job,) = settled(await take(worker, 1))
    calls.clear()
    outbox = tuple(note("made", f"topic{number}") for number in range(40))

    assert await worker.commit([job._replace(outbox=outbox)]) == []
    assert calls["create_topics"] <= 2
    assert calls["commit"] + calls["recommit"] <= 2


async def test_who_starts_again_with_the_same_patterns_changes_nothing(guild: Guild) -> None:
    backend = await guild.open()
    await backend.subscribe("workers", ["notes"])
    registry = server_of(backend).keys.registry
    version = await command(backend, "HGET", registry, "version")

    await backend.subscribe("workers", ["notes"])
    assert await command(backend, "HGET", registry, "version") == version

    await backend.subscribe("workers", ["others"])
    assert await command(backend, "HGET", registry, "version") > version


async def test_a_group_that_an_older_process_subscribed_is_seen(guild: Guild) -> None:
    backend = await guild.open()
    await backend.subscribe("workers", ["notes"])
    keys = server_of(backend).keys
    # It counts the change and says nothing of whose it was.
    await command(backend, "HSET", keys.groups, "olders", '["notes"]')
    await command(backend, "HINCRBY", keys.registry, "version", 1)

    assert await backend.groups() == {"workers": ["notes"], "olders": ["notes"]}


async def test_only_the_groups_that_changed_are_shown_again(
    guild: Guild, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = await guild.open(), await guild.open()
    for number in range(30):
        await one.subscribe(f"g{number}", [f"t{number}"])
    await other.groups()
    shown: list[dict[str, list[str]]] = []
    update = Fits.update

    def record(self: Fits, topics: Any, groups: Any, **options: Any) -> list[Fit]:
        shown.append(groups)
        return update(self, topics, groups, **options)

    monkeypatch.setattr(Fits, "update", record)
    await one.subscribe("latecomer", ["t0"])

    assert len(await other.groups()) == 31
    assert shown == [{"latecomer": ["t0"]}] * 2


async def test_consumers_of_a_process_beat_in_one_call(guild: Guild, calls: Counter[str]) -> None:
    backend = await guild.open()
    workers = [await joined(backend, f"workers{number}") for number in range(30)]
    calls.clear()

    beats = await asyncio.gather(*[worker.beat() for worker in workers])

    assert calls["beat"] == 1
    assert [list(beat) for beat in beats] == [[worker.incarnation] for worker in workers]


async def test_who_is_fenced_says_so_alone_among_those_who_beat(guild: Guild) -> None:
    backend = await guild.open()
    workers = [await joined(backend, f"workers{number}") for number in range(3)]
    heir = await backend.join("workers1")
    await heir.take_over(workers[1].incarnation, 1)

    beats = await asyncio.gather(*[one.beat() for one in workers], return_exceptions=True)

    assert [type(beat).__name__ for beat in beats] == ["dict", "FencedError", "dict"]


async def test_a_key_that_is_not_ours_stops_no_other_beat(guild: Guild) -> None:
    backend = await guild.open()
    workers = [await joined(backend, f"workers{number}") for number in range(3)]
    beats_of_one = server_of(backend).keys.beats("workers1")
    await command(backend, "DEL", beats_of_one)
    await command(backend, "SET", beats_of_one, "somebody else's")

    beats = await asyncio.gather(*[one.beat() for one in workers], return_exceptions=True)

    assert [type(beat).__name__ for beat in beats] == ["dict", "BackendSetupError", "dict"]


async def test_agents_that_have_nothing_to_do_ask_for_nothing(
    guild: Guild, calls: Counter[str]
) -> None:
    async with Bus(guild.new(), registry=REGISTRY) as bus:
        for number in range(20):
            await bus.subscribe(Subscription(f"g{number}", [f"t{number}"], {Ask: echo}, PATIENT))
        await asyncio.gather(*[bus.request(f"t{number}", Ask(text="?")) for number in range(20)])
        await eventually(lambda: calls["moved"] > 1)  # everything was looked at once
        calls.clear()
        await eventually(lambda: calls["moved"] > 1)

    asked = {name: count for name, count in calls.items() if name not in ("release", "leave")}
    assert sum(asked.values()) < 20, asked


@pytest.mark.parametrize("looks", [True, False], ids=["bus", "mutant"])
async def test_a_wake_up_that_was_lost_is_made_up_for(
    guild: Guild, monkeypatch: pytest.MonkeyPatch, looks: bool
) -> None:
    monkeypatch.setattr(patrol, "LOOK_EVERY_S", 0.02)
    rounds = 0
    moved = Patrol._moved

    async def count(self: Patrol, topics: Iterable[str]) -> dict[str, bytes]:
        nonlocal rounds
        found = await moved(self, topics)
        rounds += 1
        return found if looks else {}

    backend = await guild.open()
    worker = await joined(backend, "workers")
    await backend.append([note("heard")])
    await take(worker, 1)
    reading = asyncio.create_task(worker.read(10, wait_s=60))
    monkeypatch.setattr(Patrol, "_moved", count)
    await eventually(lambda: rounds > 1)
    header, _ = pack_entry(note("silent"), None)
    server = server_of(backend)
    await command(  # as a wake-up that was lost: nothing is published beside it
        backend, "XADD", server.keys.stream("notes"), "*", "h", header, "p", "silent"
    )
    rounds = 0
    if looks:
        assert texts(await reading) == ["silent"]
    else:
        await eventually(lambda: rounds > 3)
        assert not reading.done()
        worker.rouse()
        assert await reading == []


async def test_a_stream_that_was_deleted_while_all_was_quiet_is_announced(
    guild: Guild, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patrol, "LOOK_EVERY_S", 0.02)
    backend = await guild.open()
    worker = await joined(backend, "workers")
    await backend.append([note("handled")])
    await worker.commit(settled(await take(worker, 1)))
    reading = asyncio.create_task(worker.read(10, wait_s=60))
    await command(backend, "DEL", server_of(backend).keys.stream("notes"))

    await eventually(lambda: "bus.group_lost" in guild.events())
    await backend.append([note("after")])
    assert texts(await reading) == ["after"]


async def test_a_group_that_was_deleted_with_what_it_was_owed_is_missed_at_the_next_beat(
    guild: Guild,
) -> None:
    backend, other = await guild.open(), await guild.open()
    worker = await joined(backend, "workers")
    await backend.append(notes(2))
    await worker.commit(settled(await take(worker, 2)))
    reading = asyncio.create_task(worker.read(10, wait_s=60))
    stream = server_of(backend).keys.stream("notes")
    await command(other, "XGROUP", "DESTROY", stream, "workers")

    await worker.beat()

    assert texts(await reading) == numbered(2)
    assert "bus.group_lost" in guild.events()


async def test_what_was_given_back_unheard_is_taken_up_after_the_next_beat(guild: Guild) -> None:
    backend = await guild.open()
    leaver, stayer = await joined(backend, "workers"), await joined(backend, "workers")
    await backend.append(notes(1))
    (lent,) = await take(leaver, 1)
    while await stayer.read(1, wait_s=0):
        pass
    reading = asyncio.create_task(stayer.read(10, wait_s=60))
    server = server_of(backend)
    stream, members = server.keys.stream("notes"), server.keys.members("workers")
    await command(backend, "XCLAIM", stream, "workers", "returned", 0, lent.position, "JUSTID")
    await command(backend, "HDEL", members, leaver.incarnation)

    await stayer.beat()

    assert texts(await reading) == numbered(1)


@pytest.mark.parametrize("rouses", [True, False], ids=["bus", "mutant"])
async def test_a_reader_that_sleeps_hears_of_a_new_connection(
    guild: Guild, monkeypatch: pytest.MonkeyPatch, rouses: bool
) -> None:
    monkeypatch.setattr(patrol, "LOOK_EVERY_S", 3600.0)
    if not rouses:
        monkeypatch.setattr(Patrol, "_rouse_all", lambda _: None)
    backend, other = await guild.open(), await guild.open()
    worker = await joined(backend, "workers")
    await backend.append([note("heard")])
    await worker.commit(settled(await take(worker, 1)))
    reading = asyncio.create_task(worker.read(10, wait_s=60))
    await asyncio.sleep(0)
    # As after an answer that was lost with the connection: it is lent, and nobody has it.
    stream, header = server_of(backend).keys.stream("notes"), pack_entry(note("lost"), None)[0]
    await command(other, "XADD", stream, "*", "h", header, "p", "lost")
    lend = ("XREADGROUP", "GROUP", "workers", worker.incarnation, "STREAMS", stream, ">")
    await command(other, *lend)
    number = await command(backend, "CLIENT", "ID")
    await command(other, "CLIENT", "KILL", "ID", number)

    await eventually(lambda: "bus.reconnected" in guild.events())
    if rouses:
        assert texts(await reading) == ["lost"]
    else:
        assert await backend.groups()  # as long as it takes to ask, and longer
        assert not reading.done()
        worker.rouse()
        await reading
