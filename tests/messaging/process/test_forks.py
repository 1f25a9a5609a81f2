"""A forked child of a connected process is refused, and leaves its parent in peace."""

import asyncio
import atexit
import gc
import multiprocessing
import os
import signal
import warnings
from collections.abc import Awaitable, Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from guild import GuildBuilder
from messaging.backends.redis.backend import RedisBackend
from messaging.backends.redis.connection.embedded import EmbeddedServer
from messaging.bus import Bus, connect
from messaging.errors import BusForkedError
from messaging.process import forks
from tests.messaging.buses import REGISTRY, Ask, Told, echo, listening, open_bus, texts_in
from tests.messaging.conftest import Site

CHILDS_PATIENCE_S = 10.0

Use = Callable[[Bus], Awaitable[Any]]

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


async def publish(bus: Bus) -> None:
    await bus.publish("asks", Ask(text="child"))


async def publish_many(bus: Bus) -> None:
    await bus.publish_many("asks", [Ask(text="child")])


async def request(bus: Bus) -> None:
    await bus.request("asks", Ask(text="child"))


async def stream(bus: Bus) -> None:
    async for _ in bus.stream("asks", Ask(text="child")):
        pass


async def subscribe(bus: Bus) -> None:
    await bus.subscribe(listening("child", echo))


async def look_at_dead_letters(bus: Bus) -> None:
    await bus.dead_letters.list()


async def open_again(bus: Bus) -> None:
    await bus.open()


async def use_its_backend(bus: Bus) -> None:
    await bus.backend.topics()


async def wait_for_what_runs(bus: Bus) -> None:
    await bus._running[0].wait()


USES: tuple[Use, ...] = (
    publish,
    publish_many,
    request,
    stream,
    subscribe,
    look_at_dead_letters,
    open_again,
    use_its_backend,
    wait_for_what_runs,
)


async def _try_all(bus: Bus) -> dict[str, str]:
    """By the name of a use, what became of it."""
    told = {}
    for use in USES:
        try:
            async with asyncio.timeout(CHILDS_PATIENCE_S):
                await use(bus)
            told[use.__name__] = "done"
        except Exception as error:  # noqa: BLE001 - whatever it is, the parent sees it
            told[use.__name__] = f"{type(error).__name__}: {error}"
    await bus.close()
    for running in bus._running:
        await running.drain()
    return told


async def _connect_anew(site: Site) -> str:
    """The remedy."""
    url = "memory://" if site.kind.startswith("memory") else site.url
    async with connect(url, site.guild_id, registry=REGISTRY) as bus:
        return await bus.publish("asks", Ask(text="of the child"))


def _be_a_child(bus: Bus, site: Site, pipe: Connection) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipe.send(asyncio.run(_try_all(bus)))
        pipe.send(asyncio.run(_connect_anew(site)))
        gc.collect()
        atexit._run_exitfuncs()


def _ended(child: Any) -> int | None:
    child.join(60)
    return child.exitcode  # type: ignore[no-any-return] # of one that multiprocessing has made


async def fork(work: Callable[..., None], *args: Any) -> tuple[list[Any], int | None]:
    """What a forked child has sent, and how it ended."""
    here, there = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=work, args=(*args, there))
    child.start()
    there.close()
    code = await asyncio.to_thread(_ended, child)
    told = list[Any]()
    with suppress(EOFError):
        while True:
            told.append(here.recv())
    here.close()
    return told, code


async def test_a_forked_child_is_refused_with_the_remedy_and_its_parent_goes_on(
    site: Site,
) -> None:
    async with open_bus(site) as bus:
        running = await bus.subscribe(listening("team", echo))
        assert await bus.request("asks", Ask(text="before")) == Told(text="before")
        generations = generations_of(bus)

        (refused, published), code = await fork(_be_a_child, bus, site)

        assert code == 0
        assert refused == dict.fromkeys(
            [use.__name__ for use in USES], f"BusForkedError: {BusForkedError()}"
        )
        assert "spawn" in refused["publish"]
        assert published
        assert not running.done
        assert await bus.request("asks", Ask(text="after")) == Told(text="after")
        assert generations_of(bus) == generations


def generations_of(bus: Bus) -> list[int]:
    """How often each connection of the bus was made; [] where there are none."""
    backend = bus.backend
    if not isinstance(backend, RedisBackend) or backend._parts is None:
        return []
    return [
        backend._parts.server.connection.generation,
        backend._parts.notifications._connection.generation,
    ]


async def test_a_child_that_closes_its_copy_of_a_connection_leaves_its_parents_alone(
    site: Site,
) -> None:
    if site.kind.startswith("memory"):
        pytest.skip("there are no connections")
    async with open_bus(site) as bus:
        await bus.subscribe(listening("team", echo))
        generations = generations_of(bus)
        backend = bus.backend
        assert isinstance(backend, RedisBackend)
        assert backend._parts is not None
        pipelines = [
            backend._parts.server.connection.current(),
            backend._parts.notifications._connection.current(),
        ]

        child = os.fork()
        if child == 0:
            for pipeline in pipelines:
                assert pipeline is not None
                assert pipeline._transport is not None
                pipeline._transport.write(b"QUIT\r\n")
                pipeline._transport.abort()  # takes it out of what the loop watches, and closes it
            os._exit(0)
        await asyncio.to_thread(os.waitpid, child, 0)

        for _ in range(3):
            assert await bus.request("asks", Ask(text="after")) == Told(text="after")
        assert generations_of(bus) == generations


def test_a_server_ends_with_its_parent_although_a_child_lives(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "private")
    server.start()
    socket_path = server.socket_path
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        server.stop()  # which is none of ours
        del server
        os.read(reading, 1)  # until the parent says so
        os._exit(0)
    os.close(reading)
    assert server.is_owner
    assert EmbeddedServer(tmp_path / "private").start() == str(socket_path)

    server.stop()  # kills it after ten seconds if it does not end

    assert "User requested shutdown" in server.log_file.read_text() or not socket_path.exists()
    os.close(writing)
    os.waitpid(child, 0)


async def test_a_signal_for_the_child_is_not_the_parents(site: Site) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, stopped.set)
    try:
        async with open_bus(site) as bus:
            await bus.publish("asks", Ask(text="before"))
            (here, theirs), (there, ours) = os.pipe(), os.pipe()
            child = os.fork()
            if child == 0:
                os.write(theirs, b"x")
                os.read(there, 1)
                os._exit(0)
            os.read(here, 1)
            os.kill(child, signal.SIGUSR1)
            os.write(ours, b"x")
            await asyncio.to_thread(os.waitpid, child, 0)
            for end in (here, theirs, there, ours):
                os.close(end)
            for _ in range(3):
                await asyncio.sleep(0)
            assert not stopped.is_set()
    finally:
        loop.remove_signal_handler(signal.SIGUSR1)


def _leave_sync(guild: Any, pipe: Connection) -> None:
    try:
        guild.publish("default_topic", Ask(text="x"))
    except BusForkedError:
        pipe.send("refused")
    guild.__exit__(None, None, None)
    pipe.send("left")


def test_a_guild_in_a_thread_of_its_parent_is_refused_and_may_be_left(tmp_path: Path) -> None:
    from guild.sync import launch_sync  # noqa: PLC0415

    spec = GuildBuilder("forked").set_messaging(f"embedded:{tmp_path / 'bus'}").build_spec()
    with launch_sync(spec) as guild:
        told, code = asyncio.run(fork(_leave_sync, guild))
        assert (told, code) == (["refused", "left"], 0)
        assert guild.publish("default_topic", Ask(text="x"))


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant: a child that is told of nothing."""

    class Nobody(set[object]):
        def add(self, one: object) -> None:
            pass

    monkeypatch.setattr(forks, "_kept", Nobody())


def _publish_only(bus: Bus, pipe: Connection) -> None:
    async def try_it() -> str:
        try:
            async with asyncio.timeout(0.5):
                await publish(bus)
        except (TimeoutError, RuntimeError) as error:
            return type(error).__name__
        return "done"

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipe.send(asyncio.run(try_it()))


@pytest.mark.usefixtures("forgetful")
async def test_a_child_that_is_not_told_waits_for_the_wrong_loop_or_talks_to_itself(
    site: Site,
) -> None:
    async with open_bus(site) as bus:
        (told,), _ = await fork(_publish_only, bus)

        assert told == ("done" if site.kind.startswith("memory") else "RuntimeError")
        await bus.publish("asks", Ask(text="parent"))
        assert await texts_in(bus, "asks") == ["parent"]
