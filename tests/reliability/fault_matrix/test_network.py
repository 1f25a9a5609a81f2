"""Connections break, stall, crawl and are cut off; everybody here is behind a proxy."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
import redis.asyncio

from messaging.backends.redis.connection.pipeline import Argument, Pipeline, pack
from messaging.backends.redis.entries import pack_entry
from messaging.backends.urls import open_backend
from messaging.bus import Bus
from messaging.errors import BackendUnavailableError
from messaging.handling.context import Context
from messaging.handling.subscription import Subscription, SubscriptionOptions
from messaging.testing import Recorder
from messaging.wire.envelope import Envelope, new_id
from messaging.wire.message import Message, encode
from tests.messaging.buses import settled_all
from tests.reliability.proxy import FaultyProxy
from tests.reliability.workers.orders import BEFORE_COMMIT, INPUTS, LEASE_S, Input
from tests.reliability.workers.processes import Workers
from tests.reliability.workers.scenario import Scenario, scenario_on

PATIENCE_S = 60.0
LATE = 1_000
MUTANT_PATIENCE_S = 4 * LEASE_S
BUS, PLAIN, NO_FENCE = "bus", "plain", "no-fence"
CLIENT_RETRIES = "client-retries"  # workers of the bus, and a publisher that is redis-py's
WHOLE_READS = "whole-reads"  # so too, and a publisher that takes what it reads at once for all
IMPATIENCE_S = 0.15  # of that publisher: for less than a round trip where that is long
BESIDE = 1  # connection


class Long(Message, wire_name="matrix.long"):
    text: str


class Network(NamedTuple):
    """A guild, the proxy in front of everybody, and the server behind it."""

    scenario: Scenario
    proxy: FaultyProxy
    server_url: str


Fault = Callable[[Network], Awaitable[None]]


async def resets(network: Network) -> None:
    """A storm of them, for three seconds."""
    for _ in range(60):
        network.proxy.reset_all()
        await asyncio.sleep(0.05)


async def killed_clients(network: Network) -> None:
    """Every second the server throws out whoever is connected."""
    async with redis.asyncio.Redis.from_url(network.server_url) as server:
        for _ in range(5):
            for kind in ("normal", "pubsub"):
                await server.client_kill_filter(_type=kind)
            await asyncio.sleep(1)


async def blackhole(network: Network) -> None:
    """For ten seconds nothing gets through, and nothing is closed."""
    network.proxy.swallows = True
    await asyncio.sleep(10)
    network.proxy.swallows = False


async def distance(network: Network) -> None:
    """For three leases a round trip takes 200 ms longer."""
    network.proxy.conditions.latency_s = 0.2
    await asyncio.sleep(3 * LEASE_S)
    network.proxy.conditions.latency_s = 0.0


async def slices(network: Network) -> None:
    """For three leases everything arrives one byte at a time."""
    network.proxy.conditions.slice_bytes = 1
    await asyncio.sleep(3 * LEASE_S)
    network.proxy.conditions.slice_bytes = 0


@pytest.mark.parametrize(
    ("fault", "kind", "backlog"),
    [
        (resets, BUS, 5_000),
        (resets, PLAIN, 5_000),
        (killed_clients, BUS, 5_000),
        (killed_clients, PLAIN, 5_000),
        (blackhole, BUS, 100),
        (blackhole, CLIENT_RETRIES, 100),
        (distance, BUS, 100),
        (distance, CLIENT_RETRIES, 100),
        (slices, BUS, 100),
        (slices, WHOLE_READS, 100),
    ],
)
async def test_a_network_that_fails_for_a_while(
    server_url: str, fault: Fault, kind: str, backlog: int
) -> None:
    is_mutant = kind != BUS
    async with _network(server_url, kind=BUS if kind in PUBLISHING else kind) as network:
        scenario = network.scenario
        await scenario.workers.start(2)
        await scenario.publish(100)
        await scenario.told(100)
        before = _descriptors(scenario.workers)
        await scenario.publish(backlog)

        async with PUBLISHING.get(kind, _publishing)(network):
            await fault(network)

        ended_at = time.monotonic()
        if not is_mutant:
            await scenario.told(len(scenario.accepted))
            await _until_descriptors_are(scenario.workers, before)
        patience_s = MUTANT_PATIENCE_S if is_mutant else PATIENCE_S
        outcome = await scenario.outcome(since_s=ended_at, patience_s=patience_s)
    sys.stdout.write(f"{fault.__name__}: {outcome}\n")
    outcome.check(within_s=5, is_mutant=is_mutant)
    if is_mutant:
        assert outcome.repeated, str(outcome)


@pytest.mark.parametrize("kind", [BUS, NO_FENCE])
async def test_half_of_the_workers_cut_off(server_url: str, kind: str) -> None:
    """For three leases; what they had sent arrives afterwards, when others did their work."""
    is_mutant = kind != BUS
    async with _network(server_url, publisher_url=server_url, kind=kind) as network:
        scenario, proxy = network.scenario, network.proxy
        cut = await scenario.workers.start(2, hold_at=BEFORE_COMMIT)
        await scenario.publish(1_000)
        for worker in cut:
            await worker.held()
        proxy.swallows = True
        for worker in cut:
            worker.go_on()
        await scenario.workers.start(2, url=server_url)
        async with scenario.publishing():
            await scenario.told(len(scenario.accepted), timeout_s=PATIENCE_S)
            await asyncio.sleep(3 * LEASE_S)

        proxy.swallows = False

        patience_s = MUTANT_PATIENCE_S if is_mutant else PATIENCE_S
        outcome = await scenario.outcome(patience_s=patience_s)
    outcome.check(within_s=5, is_mutant=is_mutant)


@pytest.mark.parametrize("is_mutant", [False, True], ids=["bus", "mutant"])
async def test_long_messages_on_a_narrow_link(
    server_url: str, is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1 MiB at 64 kB/s: sixteen seconds in, sixteen out, past lease and patience with silence."""
    if is_mutant:
        monkeypatch.setattr(Pipeline, "_is_taking", lambda self: False)
    told, guild_id, options = Recorder(), f"narrow-{new_id()}", SubscriptionOptions(lease_s=LEASE_S)
    subscription = told.subscription("workers", Long, topic="long", options=options)
    async with (
        FaultyProxy(urlsplit(server_url).port or 0) as near,
        FaultyProxy(urlsplit(server_url).port or 0) as far,
        Bus(open_backend(near.url, guild_id, give_up_after_s=12.0)) as publisher,
        Bus(open_backend(far.url, guild_id)) as one,
        Bus(open_backend(far.url, guild_id)) as two,
    ):
        for worker in (one, two):
            await worker.subscribe(subscription)
        await publisher.publish("long", Long(text="short"))
        await told.messages(1)
        near.conditions.bytes_per_s = far.conditions.bytes_per_s = 64_000

        if is_mutant:
            with pytest.raises(BackendUnavailableError):
                await publisher.publish("long", Long(text="x" * (1 << 20)))
            return
        await publisher.publish("long", Long(text="x" * (1 << 20)))
        await told.messages(2, timeout_s=PATIENCE_S)
        await settled_all(publisher, "workers")
        assert len(await told.messages(2)) == 2  # nobody was taken over on the way
        assert not await publisher.dead_letters.list()


@pytest.mark.parametrize("is_mutant", [False, True], ids=["bus", "mutant"])
async def test_long_answers_on_a_narrow_link(
    server_url: str, is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """512 KiB at 64 kB/s, told twice as the topic is new: the beats may not wait behind it."""
    if is_mutant:
        monkeypatch.setattr(Pipeline, "is_crowded", False)
    starts, started = list[int](), asyncio.Event()
    incidents = list[str]()

    async def answer(message: Long, context: Context) -> None:
        starts.append(context.attempt)
        started.set()
        far.conditions.bytes_per_s = 64_000
        context.send(Long(text="x" * (1 << 19)), "answers")

    guild_id, options = f"narrow-{new_id()}", SubscriptionOptions(lease_s=LEASE_S)
    async with (
        FaultyProxy(urlsplit(server_url).port or 0) as far,
        Bus(open_backend(server_url, guild_id)) as publisher,
        Bus(open_backend(far.url, guild_id)) as one,
        Bus(open_backend(server_url, guild_id)) as two,
    ):
        subscription = Subscription("workers", ["long"], {Long: answer}, options)
        await one.subscribe(subscription)
        await publisher.publish("long", Long(text="short"))
        async with asyncio.timeout(PATIENCE_S):
            await started.wait()
            two.listen(lambda incident: incidents.append(incident.event))
            await two.subscribe(subscription)
            while not await publisher.backend.tail({"answers": ""}, max_count=1, wait_s=1.0):
                pass
        await settled_all(publisher, "workers")

    assert starts == ([1, 2] if is_mutant else [1])
    assert incidents == (["takeover"] if is_mutant else [])


@asynccontextmanager
async def _network(server_url: str, **orders: Any) -> AsyncIterator[Network]:
    port = urlsplit(server_url).port
    assert port is not None
    async with FaultyProxy(port) as proxy, scenario_on(proxy.url, **orders) as scenario:
        yield Network(scenario, proxy, server_url)


@asynccontextmanager
async def _publishing(network: Network) -> AsyncIterator[None]:
    async with network.scenario.publishing(count=5):
        yield


@asynccontextmanager
async def _publishing_with_retries(network: Network) -> AsyncIterator[None]:
    """As a client does that repeats what went unanswered, which is what redis-py does."""
    command = _plain_publish(network.scenario)

    async def publish() -> None:
        while LATE not in network.scenario.accepted:
            with suppress(redis.RedisError):  # whoever wants it stored tries again
                await client.execute_command(*command)
                network.scenario.accepted.add(LATE)

    async with redis.asyncio.Redis(port=network.proxy.port, socket_timeout=IMPATIENCE_S) as client:
        await client.ping()
        publishing = asyncio.create_task(publish())
        yield
        await publishing


@asynccontextmanager
async def _publishing_by_whole_reads(network: Network) -> AsyncIterator[None]:
    """As a client does that takes half an answer for none, and repeats what went unanswered."""
    packed = pack(_plain_publish(network.scenario))

    async def publish() -> None:
        while LATE not in network.scenario.accepted:
            reader, writer = await asyncio.open_connection("127.0.0.1", network.proxy.port)
            writer.write(packed)
            if (await reader.read(1_024)).endswith(b"\r\n"):
                network.scenario.accepted.add(LATE)
            writer.close()
            await writer.wait_closed()

    publishing = asyncio.create_task(publish())
    yield
    await publishing


def _plain_publish(scenario: Scenario) -> tuple[Argument, ...]:
    """The command by which who has no bus publishes the input `LATE`."""
    envelope = Envelope(new_id(), "workers.input", 1, INPUTS, encode(Input(number=LATE)))
    header, payload = pack_entry(envelope, None)
    return ("XADD", scenario.server.keys.stream(INPUTS), "*", "h", header, "p", payload)


PUBLISHING = {
    CLIENT_RETRIES: _publishing_with_retries,
    WHOLE_READS: _publishing_by_whole_reads,
}


def _descriptors(workers: Workers) -> list[int]:
    return [len(list(Path(f"/proc/{worker.pid}/fd").iterdir())) for worker in workers.all]


async def _until_descriptors_are(workers: Workers, before: list[int]) -> None:
    """Flat: whatever was opened for a connection that broke is closed again.

    A worker has one connection more once a beat had to go past something long on its way out.
    """
    async with asyncio.timeout(PATIENCE_S):
        while any(  # noqa: ASYNC110 - other processes work
            now - then not in (0, BESIDE)
            for now, then in zip(_descriptors(workers), before, strict=True)
        ):
            await asyncio.sleep(0.05)
