"""A real cluster: every guild on one node, and nothing lost or doubled while its slot moves."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from messaging.backend import Settlement
from messaging.backends.redis import RedisBackend
from messaging.backends.redis.connection import connection
from messaging.backends.redis.connection.cluster import ClusterAddress
from messaging.backends.redis.connection.error_replies import code_of, is_passing
from messaging.bus import Bus, connect
from messaging.errors import BackendSetupError, BackendUnavailableError
from messaging.handling.context import Context
from tests.clusters import Cluster, running_cluster
from tests.messaging.backends.redis.conftest import Guild, server_of
from tests.messaging.buses import REGISTRY, Ask, Told, listening, settled_all, texts_in
from tests.messaging.notes import everything_in, joined, note, notes, numbered, take, texts
from tests.servers import RedisServer


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
async def guild(cluster: Cluster) -> AsyncIterator[Guild]:
    guild = Guild(cluster.url)
    yield guild
    await guild.close()


def slot_of(guild_id: str) -> int:
    return ClusterAddress("redis+cluster://127.0.0.1", guild_id).slot


async def tell(ask: Ask, ctx: Context) -> None:
    ctx.send(Told(text=ask.text), "results")
    if int(ask.text) % 3 == 0:
        ctx.send(Told(text=f"late {ask.text}"), "results", delay_s=0.05)


async def _publish(bus: Bus, count: int, *, start: int = 0) -> None:
    asks = [Ask(text=str(number)) for number in range(start, start + count)]
    await asyncio.gather(*[bus.publish("asks", ask) for ask in asks])


def _told(count: int) -> list[str]:
    late = [f"late {number}" for number in range(0, count, 3)]
    return sorted([*map(str, range(count)), *late])


async def test_every_key_of_a_guild_is_on_one_node(cluster: Cluster) -> None:
    for name in ("a", "b", "c", "d", "e", "f"):
        async with connect(cluster.url, name, registry=REGISTRY) as bus:
            await bus.subscribe(listening("tellers", tell))
            await _publish(bus, 6)
            await texts_in(bus, "results", len(_told(6)))
        owner = cluster.owner_of(slot_of(name))
        holding = [n for n in cluster.nodes if _has_keys(cluster, n, name)]
        assert holding == [owner]


async def test_guilds_are_spread_over_the_nodes_with_two_connections_each(
    cluster: Cluster,
) -> None:
    ports = set[int]()
    for _ in range(100):  # where one lies depends on its name
        if len(ports) == 3:
            break
        guild = Guild(cluster.url)
        backend = await guild.open()
        await backend.append(notes(1))
        ports.add(_port(backend))
        await guild.close()

    assert len(ports) == 3


async def test_a_slot_moves_under_load_and_nothing_is_lost_or_doubled(
    cluster: Cluster,
) -> None:
    guild_id = "moved-under-load"
    slot = slot_of(guild_id)
    source = cluster.owner_of(slot)
    target = next(node for node in cluster.nodes if node is not source)
    async with connect(cluster.url, guild_id, registry=REGISTRY) as bus:
        await bus.subscribe(listening("tellers", tell))
        await _publish(bus, 50)
        publishing = asyncio.create_task(_publish_slowly(bus, 50, 300))

        await asyncio.to_thread(cluster.open_way, slot, source, target)
        while await asyncio.to_thread(cluster.move_keys, slot, source, target, 3):  # noqa: ASYNC110 - lets work in
            await asyncio.sleep(0.02)
        await asyncio.to_thread(cluster.close_way, slot, target)

        await publishing
        await settled_all(bus, "tellers")
        assert sorted(await texts_in(bus, "results", len(_told(300)))) == _told(300)
        assert _port(bus.backend) == target.port


@pytest.mark.parametrize("is_mutant", [False, True], ids=["bus", "mutant"])
async def test_what_is_sent_while_a_slot_is_on_its_way_waits_for_it_in_order(
    cluster: Cluster, guild: Guild, is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutant takes it for final that keys are on their way, and misses all of it."""
    if is_mutant:
        monkeypatch.setattr(
            connection,
            "is_passing",
            lambda error: code_of(error) != "TRYAGAIN" and is_passing(error),
        )
    backend = await guild.open()
    worker = await joined(backend, "workers")
    await backend.append(notes(10))
    lent = await take(worker, 10)
    slot = slot_of(guild.guild_id)
    source = cluster.owner_of(slot)
    target = next(node for node in cluster.nodes if node is not source)

    await asyncio.to_thread(cluster.open_way, slot, source, target)
    await asyncio.to_thread(cluster.move_keys, slot, source, target, 2)  # some: TRYAGAIN
    waiting = [asyncio.ensure_future(backend.append([note(f"notes {n}")])) for n in range(10, 20)]
    committing = asyncio.ensure_future(
        worker.commit([Settlement(d, (note("done", "results"),)) for d in lent])
    )
    await asyncio.sleep(0.3)
    assert [task.done() for task in (*waiting, committing)] == [is_mutant] * 11
    await asyncio.to_thread(cluster.move_keys, slot, source, target, 1_000)  # all: ASK
    await asyncio.sleep(0.1)
    await asyncio.to_thread(cluster.close_way, slot, target)  # MOVED

    refused = await asyncio.gather(*waiting, committing, return_exceptions=True)
    if is_mutant:
        assert all("TRYAGAIN" in str(error) for error in refused)
        assert await worker.read(10, wait_s=0) == []
        return
    assert refused == [None] * 10 + [[]]
    assert texts(await take(worker, 10)) == numbered(20, start=10)
    assert texts(await everything_in(backend, "results")) == ["done"] * 10


async def test_a_wake_up_reaches_a_reader_whose_slot_has_moved(
    cluster: Cluster, guild: Guild
) -> None:
    backend, other = await guild.open(), await guild.open()
    worker = await joined(backend, "workers")
    await backend.append(notes(1))
    await take(worker, 1)
    slot = slot_of(guild.guild_id)
    source = cluster.owner_of(slot)
    target = next(node for node in cluster.nodes if node is not source)
    await asyncio.to_thread(cluster.open_way, slot, source, target)
    await asyncio.to_thread(cluster.move_keys, slot, source, target, 1_000)
    await asyncio.to_thread(cluster.close_way, slot, target)
    await backend.topics()  # by now the connection for commands is with the new owner

    woken = asyncio.Event()
    parts = backend._parts
    assert parts is not None
    await parts.notifications.watch({parts.server.keys.channel("notes"): lambda _: woken.set()})
    woken.clear()
    await other.append([note("notes 1")])

    async with asyncio.timeout(5):
        await woken.wait()


async def test_a_node_that_fails_over_is_followed_to_its_replica(tmp_path: Path) -> None:
    with running_cluster(tmp_path) as cluster:
        guild_id = "failed-over"
        lost = cluster.owner_of(slot_of(guild_id))
        replica = cluster.add_replica(lost)
        async with connect(cluster.url, guild_id, registry=REGISTRY) as bus:
            await bus.subscribe(listening("tellers", tell))
            await _publish(bus, 100)
            await texts_in(bus, "results", len(_told(100)))
            assert cluster.ask(lost, "WAIT", 1, 5_000) == 1

            lost.kill()
            await _publish(bus, 100, start=100)
            await settled_all(bus, "tellers")

            assert sorted(await texts_in(bus, "results", len(_told(200)))) == _told(200)
            assert _port(bus.backend) == replica.port


async def test_a_server_without_a_cluster_is_named(redis_server: RedisServer) -> None:
    with pytest.raises(BackendSetupError, match=r"no node of a cluster.*use redis://"):
        await Guild(f"redis+cluster://127.0.0.1:{redis_server.port}").open()


async def test_no_node_is_an_error_that_names_them() -> None:
    with pytest.raises(BackendUnavailableError, match=r"127\.0\.0\.1:1/.*127\.0\.0\.1:2/"):
        await Guild("redis+cluster://127.0.0.1:1,127.0.0.1:2").open()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis+cluster://127.0.0.1/3", "no databases"),
        ("redis+cluster://127.0.0.1?db=3", "no databases"),
        ("redis+cluster://", "names no host"),
        ("redis+cluster://db.example", "password"),
    ],
)
def test_a_url_that_no_cluster_has_is_refused(url: str, says: str) -> None:
    with pytest.raises(BackendSetupError, match=says):
        Guild("").new(url)


async def test_one_node_as_a_plain_server_says_where_the_guild_is(
    cluster: Cluster, guild: Guild
) -> None:
    owner = cluster.owner_of(slot_of(guild.guild_id))
    other = next(node for node in cluster.nodes if node is not owner)

    with pytest.raises(BackendSetupError, match=r"redis\+cluster://"):
        await guild.open(other.url)


async def _publish_slowly(bus: Bus, start: int, end: int) -> None:
    for number in range(start, end, 5):
        await _publish(bus, 5, start=number)
        await asyncio.sleep(0.005)


def _has_keys(cluster: Cluster, node: RedisServer, guild_id: str) -> bool:
    return int(cluster.ask(node, "CLUSTER", "COUNTKEYSINSLOT", slot_of(guild_id))) > 0


def _port(backend: object) -> int:
    assert isinstance(backend, RedisBackend)
    pipeline = server_of(backend).connection.current()
    assert pipeline is not None
    assert pipeline._transport is not None
    return int(pipeline._transport.get_extra_info("peername")[1])
