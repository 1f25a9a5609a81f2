"""A server that has forgotten the groups is told of them by whichever process remembers more."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from messaging.backends.redis import RedisBackend
from messaging.backends.redis.registry.registry import TopicRegistry
from messaging.bus import Bus
from messaging.control import tail
from messaging.control.tail import Tail
from messaging.errors import BackendError, RequestTimeoutError
from messaging.testing import eventually
from tests.messaging.backends.redis.conftest import Guild, command, server_of
from tests.messaging.backends.redis.forgetting import forget, log_bytes
from tests.messaging.buses import REGISTRY, Ask, Told, echo, listening
from tests.messaging.notes import joined, note, notes, numbered, take, texts
from tests.reliability.workers.mutants import nothing_forgotten
from tests.servers import RedisServer, running_redis


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path, "--appendfsync", "always") as server:
        yield server


async def with_workers(guild: Guild) -> RedisBackend:
    """A backend that knows of a group, whose own process has gone away."""
    publisher, elsewhere = await guild.open(), guild.new()
    await elsewhere.open()
    await joined(elsewhere, "workers", "notes", "others.*")
    await elsewhere.close()
    await publisher.append(notes(1))
    return publisher


async def without_news(backend: RedisBackend) -> None:
    """Let nothing wake the registry of `backend`, which is then behind."""

    async def hear_nothing() -> None:
        pass

    assert backend._parts is not None
    backend._parts._refresh = hear_nothing  # type: ignore[method-assign] # it is cut off


@pytest.mark.parametrize("is_mutant", [False, True], ids=["bus", "mutant"])
async def test_a_publisher_subscribes_all_that_it_remembers_before_it_stores_anything(
    guild: Guild, is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = await with_workers(guild)
    if is_mutant:
        monkeypatch.setattr(TopicRegistry, "_forgotten", nothing_forgotten)

    await command(publisher, "FLUSHALL")
    await publisher.append(notes(3))

    back = await guild.open()
    if is_mutant:
        with pytest.raises(BackendError, match="workers is not subscribed"):
            await back.join("workers")
        return
    assert texts(await take(await back.join("workers"), 3)) == numbered(3)
    assert await back.groups() == {"workers": ["notes", "others.*"]}
    assert guild.events() == ["bus.data_lost"]
    assert guild.incidents[0].text.endswith("as this process remembers: workers")


async def test_what_a_newcomer_stored_first_is_handed_to_the_groups_that_others_remember(
    guild: Guild,
) -> None:
    publisher = await with_workers(guild)
    await without_news(publisher)
    await command(publisher, "FLUSHALL")
    newcomer = await guild.open()
    await newcomer.append(notes(3))
    assert await newcomer.groups() == {}

    await publisher.append([note("notes 3")])
    await publisher.groups()

    assert texts(await take(await newcomer.join("workers"), 4)) == numbered(4)


async def test_a_process_that_does_nothing_hears_of_it_from_a_newcomer(guild: Guild) -> None:
    await with_workers(guild)
    newcomer = await guild.open()
    await command(newcomer, "FLUSHALL")

    await newcomer.append(notes(2))

    await eventually(lambda: "bus.data_lost" in guild.events())
    assert texts(await take(await newcomer.join("workers"), 2)) == numbered(2)


async def test_a_request_finds_its_listeners_again(guild: Guild) -> None:
    publisher = await with_workers(guild)

    await command(publisher, "FLUSHALL")

    assert list(await publisher.groups()) == ["workers"]


@pytest.mark.parametrize("is_mutant", [False, True], ids=["bus", "mutant"])
async def test_what_is_asked_after_a_loss_gets_its_answer(
    guild: Guild, is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The topic of its answers is gone, too, and what is sent to no topic is dropped."""
    monkeypatch.setattr(tail, "REOPEN_EVERY_S", 60.0)
    if is_mutant:
        monkeypatch.setattr(Tail, "_hear", lambda *_: None)
    asking, working = await guild.open(), await guild.open()
    async with (
        Bus(working, registry=REGISTRY, owns_backend=False) as other,
        Bus(asking, registry=REGISTRY, owns_backend=False) as bus,
    ):
        await other.subscribe(listening("echo", echo))
        assert await bus.request("asks", Ask(text="before")) == Told(text="before")

        await command(asking, "FLUSHALL")
        after = bus.request("asks", Ask(text="after"), timeout_s=1.0 if is_mutant else 30.0)
        if is_mutant:
            with pytest.raises(RequestTimeoutError):
                await after
        else:
            assert await after == Told(text="after")


async def test_several_processes_at_once_come_to_the_same(guild: Guild) -> None:
    first, *others = [await guild.open() for _ in range(4)]
    for number in range(8):
        await first.subscribe(f"group{number}", [f"topic{number}", "all.>"])
    await asyncio.gather(*[backend.groups() for backend in others])
    await command(first, "FLUSHALL")

    await asyncio.gather(
        *[backend.append([note("x", f"topic{n}")]) for n, backend in enumerate(others)]
    )

    seen = [await backend.groups() for backend in (first, *others)]
    assert all(groups == seen[0] for groups in seen)
    assert sorted(seen[0]) == [f"group{number}" for number in range(8)]
    for number in range(len(others)):
        consumer = await first.join(f"group{number}")
        assert texts(await take(consumer, 1)) == ["x"]
    assert guild.events().count("bus.data_lost") == 4


@pytest.mark.parametrize("who_comes_first", ["behind", "ahead"])
async def test_a_group_that_was_unsubscribed_does_not_come_back(
    guild: Guild, who_comes_first: str
) -> None:
    behind, ahead = await guild.open(), await guild.open()
    await ahead.subscribe("leaving", ["notes"])
    await ahead.subscribe("staying", ["notes"])
    await behind.groups()
    await without_news(behind)
    await ahead.unsubscribe("leaving")
    await command(ahead, "FLUSHALL")

    for backend in (behind, ahead) if who_comes_first == "behind" else (ahead, behind):
        await backend.append(notes(1))
    await ahead.groups()

    assert list(await behind.groups()) == list(await ahead.groups()) == ["staying"]
    (info,) = [info for info in await ahead.topics() if info.topic == "notes"]
    assert list(info.waiting) == ["staying"]


async def test_a_group_that_is_unsubscribed_after_the_loss_does_not_come_back(
    guild: Guild,
) -> None:
    behind, ahead = await guild.open(), await guild.open()
    await ahead.subscribe("leaving", ["notes"])
    await behind.groups()
    await without_news(behind)
    await command(ahead, "FLUSHALL")
    await ahead.groups()
    await ahead.unsubscribe("leaving")

    assert await behind.groups() == {}


async def test_a_group_that_was_subscribed_otherwise_since_keeps_its_new_patterns(
    guild: Guild,
) -> None:
    behind, ahead = await guild.open(), await guild.open()
    await ahead.subscribe("workers", ["old"])
    await behind.groups()
    await without_news(behind)
    await ahead.subscribe("workers", ["new"])
    await command(ahead, "FLUSHALL")

    await behind.groups()
    assert await ahead.groups() == {"workers": ["new"]}
    assert await behind.groups() == {"workers": ["new"]}


@pytest.mark.parametrize("is_mutant", [False, True], ids=["bus", "mutant"])
async def test_an_older_copy_is_told_who_was_subscribed_since_and_who_was_not(
    guild: Guild, redis_server: RedisServer, is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = await guild.open()
    await backend.subscribe("leaving", ["notes"])
    await backend.append(notes(1))
    kept_bytes = log_bytes(redis_server)
    await backend.subscribe("coming", ["notes", "new"])
    await backend.unsubscribe("leaving")
    if is_mutant:
        monkeypatch.setattr(TopicRegistry, "_forgotten", nothing_forgotten)

    await forget(redis_server, kept_bytes)
    await backend.append([note("after", "new")])

    assert list(await backend.groups()) == (["leaving"] if is_mutant else ["coming"])
    assert ("bus.data_outdated" in guild.events()) is not is_mutant
    if not is_mutant:
        owed = await take(await backend.join("coming"), 2)
        assert sorted(texts(owed)) == ["after", "notes 0"]


async def test_a_group_that_a_version_without_stamps_subscribed_is_remembered(
    guild: Guild,
) -> None:
    publisher = await with_workers(guild)
    await command(publisher, "DEL", server_of(publisher).keys.stamps)
    reader = await guild.open()

    await command(reader, "FLUSHALL")

    assert list(await reader.groups()) == ["workers"]


async def test_what_was_unsubscribed_is_forgotten_after_a_day(guild: Guild) -> None:
    backend = await guild.open()
    stamps = server_of(backend).keys.stamps
    await command(backend, "ZADD", stamps, -1_000_000, "long-gone")
    for name in ("one", "other"):
        await backend.subscribe(name, ["notes"])
        await backend.unsubscribe(name)

    known = {*await command(backend, "ZRANGE", stamps, 0, -1)}
    assert {b"one", b"other"} <= known
    assert b"long-gone" not in known


@pytest.mark.parametrize("is_mutant", [False, True], ids=["bus", "mutant"])
async def test_a_group_that_is_paused_stays_so(
    guild: Guild, is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = await with_workers(guild)
    operator = await guild.open()
    await operator.set_paused("workers", True)
    await publisher.groups()
    await operator.close()
    if is_mutant:
        monkeypatch.setattr(TopicRegistry, "_forgotten", nothing_forgotten)

    await command(publisher, "FLUSHALL")
    await publisher.append(notes(1))

    assert list(await publisher.paused()) == ([] if is_mutant else ["workers"])
    if not is_mutant:
        assert guild.incidents[0].text.endswith(": workers; paused again: workers")


async def test_whoever_asks_what_is_paused_hears_it_first_from_a_server_that_forgot_it(
    guild: Guild,
) -> None:
    publisher = await with_workers(guild)
    await publisher.set_paused("workers", True)

    await command(publisher, "FLUSHALL")

    assert list(await publisher.paused()) == ["workers"]


async def test_a_group_that_was_resumed_is_not_paused_by_a_process_that_is_behind(
    guild: Guild,
) -> None:
    behind, ahead = await guild.open(), await guild.open()
    await ahead.subscribe("workers", ["notes"])
    await ahead.set_paused("workers", True)
    await behind.groups()
    await without_news(behind)
    await ahead.set_paused("workers", False)
    await command(ahead, "FLUSHALL")

    await behind.append(notes(1))
    await ahead.append(notes(1))

    assert list(await ahead.paused()) == list(await behind.paused()) == []


class Word(NamedTuple):
    """What was said last of a group."""

    patterns: tuple[str, ...] = ()
    is_paused: bool = False


async def say(backend: RedisBackend, group: str, said: Word, chance: random.Random) -> Word:
    """Say something of a group, or have the server lose all that it was told, or look at it."""
    match chance.choice(["subscribe", "unsubscribe", "pause", "lose", "look", "publish"]):
        case "subscribe":
            said = said._replace(patterns=(f"topic{chance.randrange(9)}", "all"))
            await backend.subscribe(group, said.patterns)
        case "unsubscribe":
            said = Word()
            await backend.unsubscribe(group)
        case "pause":
            said = said._replace(is_paused=chance.random() < 0.5)
            await backend.set_paused(group, said.is_paused)
        case "lose":
            await command(backend, "FLUSHALL")
        case "look":
            await backend.groups()
        case "publish":
            await backend.append([note("x", f"topic{chance.randrange(9)}")])
    return said


@pytest.mark.parametrize("seed", range(12))
async def test_the_last_word_on_each_group_counts_whichever_process_notices_a_loss_first(
    guild: Guild, seed: int
) -> None:
    chance = random.Random(seed)
    backends = [await guild.open() for _ in range(3)]
    for backend in backends:
        await without_news(backend)
    said = {group: Word() for group in ("one", "two", "three")}
    for _ in range(40):
        group = chance.choice(list(said))
        said[group] = await say(chance.choice(backends), group, said[group], chance)
    for backend in (*backends, *backends):
        await backend.groups()

    groups = {group: list(word.patterns) for group, word in said.items() if word.patterns}
    for backend in backends:
        assert await backend.groups() == groups
        assert {*await backend.paused()} == {name for name, word in said.items() if word.is_paused}


async def test_a_group_that_is_unsubscribed_while_the_server_lacks_it_does_not_come_back(
    guild: Guild,
) -> None:
    publisher = await with_workers(guild)
    await publisher.set_paused("workers", True)
    await command(publisher, "FLUSHALL")

    await publisher.unsubscribe("workers")

    assert await publisher.groups() == {}
    assert list(await publisher.paused()) == []
