"""The server is killed, forgets, fills up, refuses and is tampered with."""

import asyncio
import resource
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

import pytest
import redis.asyncio

from messaging.backend import Backend
from messaging.backends.redis.admin import server_checks
from messaging.backends.redis.producer import batch as batches
from messaging.backends.redis.registry.registry import TopicRegistry
from messaging.backends.urls import open_backend
from messaging.errors import (
    BackendError,
    BackendSetupError,
    BackendUnavailableError,
    BusFullError,
)
from messaging.testing import eventually
from tests.messaging.notes import everything_in, note
from tests.reliability.fault_matrix.conftest import PATIENCE_S, RECOVERY_S, patience_s
from tests.reliability.proxy import FaultyProxy
from tests.reliability.workers.mutants import mutate, nothing_forgotten
from tests.reliability.workers.orders import (
    BUS,
    COMMIT_SENT,
    GROUP,
    IN_HANDLER,
    INPUTS,
    LEASE_S,
    PLAIN,
)
from tests.reliability.workers.patience import stretched
from tests.reliability.workers.scenario import Scenario, scenario_on
from tests.sentinels import running_sentinels
from tests.servers import RedisServer, running_redis

COUNT = 600
SEATS = 16  # of a worker, each with one more that waits for it
OUTAGE_S = 1.0
ANNOUNCED_WITHIN_S = 2.0
FAILOVER_S = 15.0
AWAY_S = 3.0

FORGETTING = frozenset(
    {"bus.data_lost", "bus.data_outdated", "bus.publishes_lost", "bus.commits_lost"}
)

EVERYSEC = ("--appendfsync", "everysec")
ALWAYS = ("--appendfsync", "always")
Parse = Callable[[bytes], dict[str, str]]

SLOWLY = ("--key-load-delay", "300")  # microseconds for each command in its file


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as server:
        yield server


@pytest.mark.parametrize("options", [EVERYSEC, ALWAYS, SLOWLY], ids=["everysec", "always", "slow"])
@pytest.mark.parametrize("kind", [BUS, PLAIN])
async def test_a_server_that_is_killed_and_comes_back(
    tmp_path: Path, options: tuple[str, ...], kind: str
) -> None:
    with running_redis(tmp_path, *options) as server:
        async with (
            FaultyProxy(server.port) as proxy,
            scenario_on(proxy.url, publisher_url=server.url, workers=2, kind=kind) as scenario,
        ):
            done = b"XADD" if kind == PLAIN else scenario.server.scripts.commit.sha.encode()
            async with scenario.publishing():
                await scenario.told(COUNT)
                proxy.lose_replies_to(done)  # as if it had died between its work and its answer
                await eventually(lambda: proxy.lost == 1)
                await scenario.written()
                server.kill()
                loading = await _restart(server)
            outcome = await scenario.outcome(patience_s=PATIENCE_S)

            assert "bus.reconnected" in scenario.events
            assert "bus.data_lost" not in scenario.events
            if options == ALWAYS:  # then it has forgotten nothing, and no process says it had
                assert FORGETTING.isdisjoint(scenario.all_events)
    assert loading or options != SLOWLY
    outcome.check(within_s=RECOVERY_S, is_mutant=kind != BUS)


@pytest.mark.parametrize("kind", [BUS, "no-memory"])
async def test_a_server_without_persistence_that_restarts(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind != BUS:
        monkeypatch.setattr(TopicRegistry, "_forgotten", nothing_forgotten)
    with running_redis(tmp_path, "--appendonly", "no") as server:
        async with scenario_on(server.url, workers=2, kind=kind) as scenario:
            await scenario.publish(COUNT)
            await scenario.told(COUNT // 2)

            server.kill()
            await _restart(server)
            back_at = time.monotonic()
            scenario.accepted.clear()  # what was accepted until now is gone, and that is told:
            await scenario.publish(COUNT)

            if kind == BUS:
                await scenario.told_of(
                    "bus.data_lost", since_s=back_at, within_s=ANNOUNCED_WITHIN_S
                )
                for worker in scenario.workers.all:
                    await worker.told_of("bus.data_lost")
            workers_told_s = time.monotonic() - back_at
            outcome = await scenario.outcome(since_s=back_at, patience_s=patience_s(kind))
            assert ("bus.data_lost" in scenario.all_events) is (kind == BUS)
    if kind == BUS:
        assert workers_told_s < stretched(ANNOUNCED_WITHIN_S)
        outcome.check(within_s=RECOVERY_S)


@pytest.mark.parametrize("fault", ["FLUSHALL", "FLUSHDB", "restart"])
@pytest.mark.parametrize("kind", [BUS, "no-memory"])
async def test_a_server_that_forgets_everything_while_the_only_worker_is_away(
    tmp_path: Path, fault: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind != BUS:
        monkeypatch.setattr(TopicRegistry, "_forgotten", nothing_forgotten)
    with running_redis(tmp_path, "--appendonly", "no") as server:
        async with scenario_on(server.url, workers=1, kind=kind) as scenario:
            (worker,) = scenario.workers.all
            await scenario.publish(COUNT)
            await scenario.told(COUNT // 2)
            worker.stop()

            if fault == "restart":
                server.kill()
                await _restart(server)
            else:
                await scenario.command(fault)
            lost_at = time.monotonic()
            scenario.accepted.clear()  # what was accepted until now is gone, and that is told:
            async with scenario.publishing():
                await asyncio.sleep(AWAY_S)

            worker.go_on()
            back_at = time.monotonic()
            outcome = await scenario.outcome(since_s=back_at, patience_s=patience_s(kind))
            if kind == BUS:
                await scenario.told_of(
                    "bus.data_lost", since_s=lost_at, within_s=ANNOUNCED_WITHIN_S
                )
                await worker.told_of("bus.data_lost")
    outcome.check(within_s=RECOVERY_S, is_mutant=kind != BUS)


@pytest.mark.parametrize("kind", [BUS, "no-fence"])
async def test_a_file_that_was_cut_short(server: RedisServer, kind: str) -> None:
    async with scenario_on(server.url, workers=1, kind=kind) as scenario:
        victim = await scenario.workers.start_one(hold_at=IN_HANDLER, hold_on=1)
        (other, _) = scenario.workers.all
        await scenario.command(
            "CONFIG", "SET", "appendfsync", "always"
        )  # the file has what is told
        victim.stop()
        other.stop()
        await scenario.publish(COUNT, handler_fault="dally")
        await scenario.written()
        kept_bytes = _log_of(server).stat().st_size  # all of it is there, nothing is lent
        victim.go_on()
        await victim.held()
        other.go_on()
        await scenario.publish(COUNT)

        server.kill()
        with _log_of(server).open("r+b") as log:
            log.truncate(kept_bytes)
        await _restart(server)
        back_at = time.monotonic()
        await scenario.publish(COUNT)

        await scenario.told_of("bus.sent_again", since_s=back_at, within_s=ANNOUNCED_WITHIN_S)
        await scenario.told(3 * COUNT)  # also what the victim believes to hold
        victim.go_on()
        if kind != BUS:
            await scenario.told_twice()
        outcome = await scenario.outcome(since_s=back_at, patience_s=PATIENCE_S)
    outcome.check(within_s=RECOVERY_S, is_mutant=kind != BUS)


@pytest.mark.parametrize("is_mutant", [False, True], ids=["bus", "mutant"])
async def test_an_older_copy_of_the_data(
    server: RedisServer, is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutant believes a server that does not know it, and looks at nothing when it is back."""
    monkeypatch.setattr(batches, "KEPT_BYTES", -1)  # as if what is lost was older than that
    async with scenario_on(server.url, workers=1, fails_every=0) as scenario:
        if is_mutant:
            await mutate(scenario.server, "append", _believe_the_unknown)
            monkeypatch.setattr(batches.ResendBuffer, "take_missing", lambda *_: {})
        await scenario.command(
            "CONFIG", "SET", "appendfsync", "always"
        )  # the file has what is told
        kept_bytes = _log_of(server).stat().st_size
        lost = await scenario.publish(COUNT)
        await scenario.told(COUNT)

        server.kill()
        with _log_of(server).open("r+b") as log:
            log.truncate(kept_bytes)
        await _restart(server)
        back_at = time.monotonic()
        if not is_mutant:
            await scenario.told_of(
                "bus.publishes_lost", since_s=back_at, within_s=ANNOUNCED_WITHIN_S
            )
            scenario.accepted -= set(lost)  # they are gone, and that is told
        await scenario.publish(COUNT)

        outcome = await scenario.outcome(since_s=back_at, patience_s=RECOVERY_S)
        assert ("bus.publishes_lost" in scenario.events) is not is_mutant
    outcome.check(within_s=RECOVERY_S, is_mutant=is_mutant)


@pytest.mark.parametrize("kind", [BUS, "no-reload"])
async def test_scripts_that_are_flushed_again_and_again(server: RedisServer, kind: str) -> None:
    async with scenario_on(server.url, workers=2, kind=kind) as scenario:
        await scenario.command("SCRIPT", "FLUSH")
        async with scenario.publishing():
            for _ in range(20):
                await scenario.command("SCRIPT", "FLUSH")
                await asyncio.sleep(0.1)

        outcome = await scenario.outcome(patience_s=patience_s(kind))
    outcome.check(within_s=RECOVERY_S, is_mutant=kind != BUS)


@pytest.mark.parametrize("kind", [BUS, "drop-when-full"])
async def test_a_server_out_of_memory(server: RedisServer, kind: str) -> None:
    async with scenario_on(server.url, workers=2, kind=kind) as scenario:
        await scenario.publish(2 * COUNT, handler_fault="dally")
        await scenario.told(COUNT // 4)

        await scenario.command("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(BusFullError, match="memory"):
            await scenario.publish(1)
        await asyncio.sleep(OUTAGE_S)
        await scenario.command("CONFIG", "SET", "maxmemory", "0")

        outcome = await scenario.outcome(patience_s=patience_s(kind))
    outcome.check(within_s=RECOVERY_S, is_mutant=kind != BUS)


@asynccontextmanager
async def read_only(server: RedisServer) -> AsyncIterator[str]:
    async with redis.asyncio.Redis(port=server.port) as admin:
        await admin.replicaof("127.0.0.1", "1")
        yield "READONLY"
        await admin.replicaof("NO", "ONE")


@asynccontextmanager
async def busy(server: RedisServer) -> AsyncIterator[str]:
    async with redis.asyncio.Redis(port=server.port) as admin, admin.client() as hog:
        await admin.config_set("busy-reply-threshold", 10)
        hogging = asyncio.ensure_future(hog.eval("while true do end", 0))
        yield "BUSY"
        await admin.script_kill()
        with suppress(redis.ResponseError):
            await hogging


@asynccontextmanager
async def disk_full(server: RedisServer) -> AsyncIterator[str]:
    """Its files may not grow."""
    assert server._process is not None
    pid, log = server._process.pid, _log_of(server)
    _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (log.stat().st_size, most))
    yield "MISCONF"
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, most))


Fault = Callable[[RedisServer], AbstractAsyncContextManager[str]]


@pytest.mark.parametrize("fault", [read_only, busy, disk_full])
@pytest.mark.parametrize("kind", [BUS, PLAIN])
async def test_a_server_that_takes_no_writes_for_a_while(
    server: RedisServer, fault: Fault, kind: str
) -> None:
    async with (
        _impatient(server) as impatient,
        scenario_on(server.url, workers=1, kind=kind) as scenario,
    ):
        victim = await scenario.workers.start_one(hold_at=COMMIT_SENT)
        await scenario.publish(COUNT)
        await scenario.held(victim)
        await scenario.server_is_through()

        async with fault(server) as code:
            publishing = asyncio.create_task(scenario.publish(COUNT))
            await _is_refused(server, code)
            victim.go_on()
            with pytest.raises(BackendUnavailableError, match=code):
                await impatient.append([note("x")])
            await asyncio.sleep(OUTAGE_S)
            assert not publishing.done()
        ended_at = time.monotonic()
        await publishing

        outcome = await scenario.outcome(since_s=ended_at, patience_s=PATIENCE_S)
    outcome.check(within_s=RECOVERY_S, is_mutant=kind != BUS)


@pytest.mark.parametrize("kind", [BUS, "no-repair"])
async def test_a_stream_that_is_deleted(server: RedisServer, kind: str) -> None:
    """The mutants publish with a plain XADD, and read on where there is no group."""
    async with scenario_on(server.url, workers=2, fails_every=0, kind=kind) as scenario:
        await scenario.publish(COUNT, handler_fault="dally")
        await scenario.told(COUNT // 4)
        assert not scenario.events
        if kind != BUS:
            await mutate(scenario.server, "append", _create_what_is_not_there)

        await scenario.command("DEL", scenario.server.keys.stream(INPUTS))
        deleted_at = time.monotonic()
        scenario.accepted.clear()  # what was lent is answered, the rest is gone, and that is told:
        await scenario.publish(COUNT)

        told = {"bus.stream_lost", "bus.group_lost"}
        if kind == BUS:
            await scenario.anybody_told_of(told, since_s=deleted_at, within_s=ANNOUNCED_WITHIN_S)
        outcome = await scenario.outcome(since_s=deleted_at, patience_s=patience_s(kind))
        assert told.isdisjoint(scenario.all_events) is (kind != BUS)
    outcome.check(within_s=RECOVERY_S, is_mutant=kind != BUS)


@pytest.mark.parametrize("kind", [BUS, "doubting"])
async def test_a_consumer_that_is_deleted(server: RedisServer, kind: str) -> None:
    async with scenario_on(server.url, workers=2, kind=kind) as scenario:
        await scenario.publish(COUNT, handler_fault="dally")
        await scenario.told(COUNT // 4)

        assert await _delete_consumers(scenario)

        outcome = await scenario.outcome(patience_s=patience_s(kind))
    outcome.check(within_s=RECOVERY_S, is_mutant=kind != BUS)


@pytest.mark.parametrize("kind", [BUS, "no-count"])
async def test_a_consumer_that_is_deleted_before_its_worker_dies(
    server: RedisServer, kind: str
) -> None:
    async with scenario_on(server.url, kind=kind) as scenario:
        victim = await scenario.workers.start_one()
        await scenario.publish(SEATS, handler_fault="stall")
        await scenario.publish(COUNT)
        await scenario.lent_to(victim, 2 * SEATS)
        deleted = await _delete_consumers(scenario)
        deleted_at = time.monotonic()
        if kind == BUS:
            within_s = ANNOUNCED_WITHIN_S
            await scenario.anybody_told_of(
                ["bus.lending_lost"], since_s=deleted_at, within_s=within_s
            )
        else:
            await asyncio.sleep(LEASE_S)

        await victim.kill()

        killed_at = time.monotonic()
        await scenario.workers.start(2)
        outcome = await scenario.outcome(since_s=killed_at, patience_s=patience_s(kind))
    outcome.check(within_s=RECOVERY_S, is_mutant=kind != BUS)
    assert kind == BUS or len(outcome.missing) == deleted


@pytest.mark.parametrize("is_mutant", [False, True], ids=["bus", "mutant"])
async def test_a_server_that_would_evict_what_it_has_accepted(
    tmp_path: Path, is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody looks at its policy, it throws a whole topic away as soon as memory is short."""
    if is_mutant:
        monkeypatch.setattr(server_checks, "_parse", _without_the_policy(server_checks._parse))
    with running_redis(tmp_path, "--maxmemory-policy", "allkeys-lru") as server:
        backend = open_backend(server.url, "evicted")
        if not is_mutant:
            with pytest.raises(BackendSetupError, match=r"allkeys-lru.*Set it to noeviction"):
                await backend.open()
            return
        await backend.open()
        async with redis.asyncio.Redis(port=server.port) as admin:
            used_bytes = (await admin.info("memory"))["used_memory"]
            await admin.config_set("maxmemory", used_bytes + (1 << 20))
        with suppress(BackendError):  # by then what a topic needs is gone, too
            for number in range(64):
                await backend.append([note("x" * 32_768, f"notes{number}")])
                accepted = number + 1

        left = [len(await everything_in(backend, f"notes{n}")) for n in range(accepted)]
        await backend.close()
    assert sum(left) < accepted


async def test_a_failover_to_a_replica_that_lags(tmp_path: Path) -> None:
    with running_sentinels(tmp_path) as site:
        async with scenario_on(site.url, workers=2) as scenario:
            await scenario.publish(COUNT)
            await scenario.told(COUNT)
            await asyncio.to_thread(site.replicate)
            await asyncio.to_thread(site.cut_replication)
            await scenario.publish(COUNT, handler_fault="dally")

            site.primary.kill()
            killed_at = time.monotonic()
            await scenario.publish(COUNT)

            outcome = await scenario.outcome(since_s=killed_at, patience_s=PATIENCE_S)
            assert "bus.sent_again" in scenario.events
    outcome.check(within_s=FAILOVER_S)


def _without_the_policy(parse: Parse) -> Parse:
    """As for a server that says nothing of its policy."""

    def parse_the_rest(info: bytes) -> dict[str, str]:
        return {name: value for name, value in parse(info).items() if name != "maxmemory_policy"}

    return parse_the_rest


def _create_what_is_not_there(append: str) -> str:
    return append.replace("'NOMKSTREAM', ", "").replace("then return -1 end", "then length = 0 end")


def _believe_the_unknown(append: str) -> str:
    return append.replace("stream) or 0)", "stream) or first - 1)")


async def _delete_consumers(scenario: Scenario) -> int:
    """Of everybody who was lent something; how much that was."""
    stream = scenario.server.keys.stream(INPUTS)
    _, _, _, lent = await scenario.command("XPENDING", stream, GROUP)
    deleting = ("XGROUP", "DELCONSUMER", stream, GROUP)
    return sum([await scenario.command(*deleting, name) for name, _ in lent or ()])


async def _restart(server: RedisServer) -> bool:
    """Start it; whether it told anybody meanwhile that it was still loading."""
    starting = asyncio.create_task(asyncio.to_thread(server.start))
    was_loading = False
    while not starting.done():
        was_loading = was_loading or await _answer(server, b"PING") == "LOADING"
        await asyncio.sleep(0.02)
    await starting
    return was_loading


async def _is_refused(server: RedisServer, code: str) -> None:
    """Return once the server answers a write with this error."""
    async with asyncio.timeout(PATIENCE_S):
        while await _answer(server, b"SET somebody-elses 1") != code:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def _answer(server: RedisServer, command: bytes) -> str:
    """The code of the error that the server answers with; "" for any other answer, or none."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    except OSError:
        return ""
    writer.write(command + b"\r\n")
    line = b""
    with suppress(OSError):
        line = await reader.readline()
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return line[1:].split()[0].decode() if line.startswith(b"-") else ""


@asynccontextmanager
async def _impatient(server: RedisServer) -> AsyncIterator[Backend]:
    backend = open_backend(server.url, "impatient", give_up_after_s=0.3)
    await backend.open()
    try:
        yield backend
    finally:
        await backend.close()


def _log_of(server: RedisServer) -> Path:
    (log,) = server.folder.glob("appendonlydir/*.incr.aof")
    return log
