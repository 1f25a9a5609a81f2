"""What happens to a server at night."""

import asyncio
from collections.abc import Callable

import pytest

from messaging.backend import Settlement
from messaging.bus import Bus
from messaging.errors import (
    BackendError,
    BackendSetupError,
    BackendUnavailableError,
    BusFullError,
    FencedError,
)
from messaging.testing import Recorder
from tests.messaging.backends.redis.conftest import PATIENCE_S, Guild, command, server_of
from tests.messaging.buses import Ask, listening, settled_all
from tests.messaging.notes import (
    everything_in,
    given_up,
    is_owed_nothing,
    joined,
    note,
    notes,
    numbered,
    settled,
    take,
    take_one,
    texts,
)
from tests.reliability.proxy import FaultyProxy
from tests.servers import RedisServer


async def test_scripts_are_loaded_again_after_a_flush(guild: Guild) -> None:
    backend = await guild.open()
    worker = await joined(backend, "workers")
    for number in range(5):
        await command(backend, "SCRIPT", "FLUSH")
        await backend.append([note(f"notes {number}")])
        await command(backend, "SCRIPT", "FLUSH")
        job = await take_one(worker)
        await command(backend, "SCRIPT", "FLUSH")
        await worker.commit([Settlement(job, (note(f"results {number}", "results"),))])
        await command(backend, "SCRIPT", "FLUSH")
        await worker.beat()

    assert texts(await everything_in(backend, "results")) == numbered(5, "results")


async def test_an_emission_after_a_flush_is_lost_and_the_next_one_is_not(guild: Guild) -> None:
    backend = await guild.open()
    await backend.open_ephemeral("_emit.x", ttl_s=60, max_entries=10)
    await command(backend, "SCRIPT", "FLUSH")

    await backend.emit([note("lost", "_emit.x")])
    await backend.emit([note("kept", "_emit.x")])

    assert texts(await everything_in(backend, "_emit.x")) == ["kept"]


async def test_everything_accepted_survives_a_server_that_is_killed(
    guild: Guild, redis_server: RedisServer
) -> None:
    backend = await guild.open()
    worker = await joined(backend, "workers")
    await backend.append(notes(50))
    lent = await take(worker, 20)

    redis_server.kill()
    publishing = asyncio.ensure_future(backend.append([note("notes 50")]))
    committing = asyncio.ensure_future(
        worker.commit([Settlement(d, (note("done", "results"),)) for d in lent])
    )
    await asyncio.sleep(0)
    redis_server.start()
    await publishing
    assert await committing == []

    assert texts(await take(worker, 31)) == numbered(51, start=20)
    assert texts(await everything_in(backend, "results")) == ["done"] * 20
    assert "bus.reconnected" in guild.events()


async def test_a_server_that_stays_away_is_an_error_after_the_deadline(
    guild: Guild, redis_server: RedisServer
) -> None:
    backend = await guild.open(give_up_after_s=0.3)
    worker = await joined(backend, "workers")
    await backend.append(notes(1))
    job = await take_one(worker)

    redis_server.kill()

    with pytest.raises(BackendUnavailableError, match=r"127\.0\.0\.1.*0\.3 s"):
        await backend.append([note("unheard")])
    with pytest.raises(BackendUnavailableError):
        await worker.commit(settled([job]))
    redis_server.start()
    await server_of(backend).connection.connected(asyncio.get_running_loop().time() + PATIENCE_S)
    await backend.append([note("heard")])
    assert texts(await everything_in(backend, "notes"))[-1] == "heard"


async def test_many_publishers_are_told_in_time_that_the_server_is_away(
    guild: Guild, redis_server: RedisServer
) -> None:
    backend = await guild.open(give_up_after_s=0.3)
    redis_server.kill()

    async with asyncio.timeout(PATIENCE_S):  # not 20 deadlines one after the other
        outcomes = await asyncio.gather(
            *[backend.append([note("unheard", f"topic{n}")]) for n in range(200)],
            return_exceptions=True,
        )

    assert {type(outcome) for outcome in outcomes} == {BackendUnavailableError}
    redis_server.start()


async def test_a_busy_server_is_waited_for(guild: Guild) -> None:
    backend, other = await guild.open(), await guild.open()
    await backend.append(notes(1))
    await command(backend, "CONFIG", "SET", "busy-reply-threshold", 10)
    hogging = asyncio.create_task(command(other, "EVAL", "while true do end", 0))
    await asyncio.sleep(0.05)

    publishing = asyncio.ensure_future(backend.append([note("notes 1")]))
    await asyncio.sleep(0.05)
    assert not publishing.done()
    await command(backend, "SCRIPT", "KILL")
    await publishing

    with pytest.raises(BackendError, match="killed"):
        await hogging
    assert texts(await everything_in(backend, "notes")) == numbered(2)


async def test_a_long_message_gets_through_a_narrow_link(guild: Guild, proxy: FaultyProxy) -> None:
    """It takes longer than a connection may owe an answer, and the server is heard only after."""
    backend = await guild.open(proxy.url, reply_timeout_s=1.0)
    await backend.append([note("before")])
    proxy.conditions.bytes_per_s = 400_000

    await backend.append([note("x" * (1 << 20))])

    assert guild.events() == []


async def test_a_silent_connection_is_replaced(guild: Guild, proxy: FaultyProxy) -> None:
    backend = await guild.open(proxy.url, reply_timeout_s=0.2)
    await backend.append(notes(1))
    proxy.swallows = True
    publishing = asyncio.ensure_future(backend.append([note("notes 1")]))

    await _until(lambda: server_of(backend).connection.current() is None)
    proxy.swallows = False
    proxy.reset_all()
    await publishing

    assert texts(await everything_in(backend, "notes")) == numbered(2)


async def test_an_idle_connection_is_left_alone(guild: Guild) -> None:
    backend = await guild.open(reply_timeout_s=0.05)
    await backend.append(notes(1))
    await asyncio.sleep(0.3)
    await backend.append([note("notes 1")])

    assert guild.events() == []


async def test_a_deleted_group_is_made_again_and_announced(guild: Guild) -> None:
    backend = await guild.open()
    worker = await joined(backend, "workers")
    await backend.append(notes(2))
    await worker.commit(settled(await take(worker, 2)))
    stream = server_of(backend).keys.stream("notes")

    await command(backend, "XGROUP", "DESTROY", stream, "workers")
    await backend.append([note("notes 2")])

    assert "notes 2" in texts(await take(worker, 3))
    assert "bus.group_lost" in guild.events()


async def test_a_deleted_stream_is_made_again_with_its_groups_and_announced(guild: Guild) -> None:
    backend = await guild.open()
    worker, auditor = await joined(backend, "workers"), await joined(backend, "auditors")
    await backend.append([note("lost")])

    await command(backend, "DEL", server_of(backend).keys.stream("notes"))
    await backend.append([note("kept")])

    assert texts(await take(worker, 1)) == ["kept"]
    assert texts(await take(auditor, 1)) == ["kept"]
    assert "bus.stream_lost" in guild.events()


async def test_patterns_fit_a_topic_that_was_deleted_and_left_and_comes_again(guild: Guild) -> None:
    here, there = await guild.open(), await guild.open()
    some = await joined(here, "some", "orders.*")
    everything = await joined(there, "everything", "orders.>")
    await here.append([note("first", "orders.new")])
    for reader in (some, everything):
        await reader.commit(settled(await take(reader, 1)))

    await command(here, "DEL", server_of(here).keys.stream("orders.new"))
    await there.append([note("second", "orders.new")])
    for reader in (some, everything):
        assert texts(await take(reader, 1)) == ["second"]
    assert "bus.stream_lost" in guild.events()

    await here.unsubscribe("some")
    await there.append([note("nobody's", "orders.new"), note("deep", "orders.new.express")])
    again = await joined(there, "some", "orders.*")
    await here.append([note("third", "orders.new"), note("other", "orders.old")])
    assert sorted(texts(await take(again, 2))) == ["other", "third"]
    assert sorted(texts(await take(everything, 4))) == ["deep", "nobody's", "other", "third"]


async def test_pending_entries_that_were_deleted_are_announced_and_not_handed_out(
    guild: Guild,
) -> None:
    backend = await guild.open()
    victim, heir = await joined(backend, "workers"), await joined(backend, "workers")
    await backend.append(notes(3))
    lent = await take(victim, 3)
    await command(backend, "XDEL", server_of(backend).keys.stream("notes"), lent[1].position)

    taken = await heir.take_over(victim.incarnation, 10)

    assert texts(taken) == ["notes 0", "notes 2"]
    assert guild.events() == ["bus.entries_lost"]
    assert victim.incarnation not in await heir.beat()


async def test_a_server_that_forgot_everything_is_announced_and_served_again(guild: Guild) -> None:
    backend = await guild.open()
    worker = await joined(backend, "workers")
    await backend.append(notes(1))

    await command(backend, "FLUSHALL")
    with pytest.raises(FencedError):
        await worker.read(10, wait_s=PATIENCE_S)
    returned = await backend.join("workers")
    assert guild.events() == ["bus.data_lost"]
    await backend.append([note("after")])

    assert texts(await take(returned, 1)) == ["after"]


async def test_a_foreign_entry_is_delivered_as_a_fault(guild: Guild) -> None:
    backend = await guild.open()
    worker = await joined(backend, "workers")
    await backend.append([note("ours")])
    stream = server_of(backend).keys.stream("notes")
    await command(backend, "XADD", stream, "*", "anything", "goes")
    await command(backend, "XADD", stream, "*", "h", b"\xff\x00", "p", b"left over")

    ours, foreign, damaged = await take(worker, 3)

    assert ours.fault == ""
    assert "notes" in foreign.fault
    assert (damaged.envelope.type, damaged.envelope.payload) == ("", b"left over")
    assert await worker.commit(settled([ours, foreign, damaged])) == []
    assert texts(await everything_in(backend, "notes")) == ["ours"]


async def test_a_foreign_entry_can_be_dead_lettered(guild: Guild) -> None:
    backend = await guild.open()
    worker = await joined(backend, "workers")
    await backend.append([note("ours")])
    await command(backend, "XADD", server_of(backend).keys.stream("notes"), "*", "p", "left over")
    ours, foreign = await take(worker, 2)

    await worker.commit([Settlement(ours), given_up(foreign, "workers")])

    assert texts(await backend.dead_letters()) == ["left over"]


async def test_an_observer_passes_over_entries_that_cannot_be_read(guild: Guild) -> None:
    backend = await guild.open()
    await backend.append([note("first")])
    for _ in range(5):
        await command(backend, "XADD", server_of(backend).keys.stream("notes"), "*", "a", "b")
    await backend.append([note("last")])

    first = await backend.tail({"notes": ""}, max_count=2, wait_s=0)
    last = await backend.tail({"notes": first[-1].position}, max_count=2, wait_s=0)

    assert texts([*first, *last]) == ["first", "last"]


@pytest.mark.parametrize("name", ["t:notes", "registry", "c:workers", "b:workers", "s:workers"])
async def test_a_key_that_is_not_ours_is_an_error_that_names_it(guild: Guild, name: str) -> None:
    other = await guild.open()
    await command(other, "SET", f"{{{guild.guild_id}}}:{name}", "somebody else's")

    with pytest.raises(BackendSetupError, match=r"not ours|another guild id"):
        await _use_everything(guild)


async def test_a_wrong_output_is_found_before_anything_is_written(guild: Guild) -> None:
    backend = await guild.open()
    worker = await joined(backend, "workers")
    await backend.append(notes(1))
    job = await take_one(worker)
    await command(backend, "SET", server_of(backend).keys.stream("broken"), "not a stream")

    with pytest.raises(BackendSetupError, match="broken"):
        await worker.commit([Settlement(job, (note("a", "results"), note("b", "broken")))])

    assert texts(await everything_in(backend, "results")) == []
    assert await worker.commit(settled([job])) == []


async def test_a_server_without_memory_refuses_whole_and_lets_consumers_catch_up(
    guild: Guild,
) -> None:
    backend = await guild.open()
    worker = await joined(backend, "workers")
    await backend.append(notes(3))
    first, second, third = await take(worker, 3)

    await command(backend, "CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(BusFullError, match="memory"):
        await backend.append([note("refused")])
    with pytest.raises(BusFullError):
        await worker.commit([Settlement(first, (note("refused", "results"),)), Settlement(second)])
    await worker.beat()
    assert await worker.commit([Settlement(third)]) == []
    await backend.trim()
    await command(backend, "CONFIG", "SET", "maxmemory", "0")

    assert await worker.commit([Settlement(first, (note("room", "results"),))]) == []
    assert texts(await everything_in(backend, "results")) == ["room"]


async def test_whoever_starts_on_a_server_without_memory_is_told_and_catches_up(
    guild: Guild,
) -> None:
    recorder = Recorder()
    async with Bus(guild.new()) as first:
        await first.register(listening("workers", recorder))
        await first.publish_many("asks", [Ask(text=str(number)) for number in range(3)])
    admin = await guild.open()
    await command(admin, "CONFIG", "SET", "maxmemory", "1")

    async with Bus(guild.new()) as bus:
        assert guild.events() == ["bus.full"]
        await bus.subscribe(listening("workers", recorder))
        await recorder.messages(3)
        await settled_all(bus, "workers")
        assert await bus.dead_letters.list() == []
        with pytest.raises(BusFullError, match="out of memory"):
            await bus.publish("asks", Ask(text="refused"))
    await command(admin, "CONFIG", "SET", "maxmemory", "0")


async def test_dead_letters_past_their_bound_go_and_are_announced(guild: Guild) -> None:
    backend = await guild.open(max_dead_letters=3)
    worker = await joined(backend, "workers")
    await backend.append(notes(5))

    await worker.commit([given_up(d, "workers") for d in await take(worker, 5)])

    assert texts(await backend.dead_letters()) == numbered(5, start=2)
    assert guild.events() == ["bus.dead_letters_trimmed"]


async def test_dead_letters_past_a_bound_that_was_lowered_go_bit_by_bit(guild: Guild) -> None:
    before, backend = await guild.open(), await guild.open(max_dead_letters=10)
    worker = await joined(before, "workers")
    await before.append(notes(400))
    await worker.commit([given_up(d, "workers") for d in await take(worker, 400)])

    counts = []
    heir = await joined(backend, "workers")
    for number in range(5):
        await backend.append([note(f"more {number}")])
        await heir.commit([given_up(await take_one(heir), "workers")])
        counts.append(await backend.count_dead_letters())

    assert counts == [300, 200, 100, 10, 10]


async def test_a_full_topic_is_trimmed_before_anybody_is_refused(guild: Guild) -> None:
    backend = await guild.open(max_backlog=3)
    worker = await joined(backend, "workers")
    echoes = await joined(backend, "echoes", "results")
    for number in range(10):
        await backend.append([note(f"notes {number}")])
        job = await take_one(worker)
        await worker.commit([Settlement(job, (note("echo", "results"),))])
        await echoes.commit(settled([await take_one(echoes)]))

    assert await is_owed_nothing(backend, worker)


async def test_a_huge_batch_is_settled_in_one_commit(guild: Guild) -> None:
    backend = await guild.open()
    worker = await joined(backend, "workers")
    await backend.append(notes(20_000))
    deliveries = await take(worker, 20_000)

    await worker.commit([Settlement(d, (note("x", "results"),)) for d in deliveries])

    assert await is_owed_nothing(backend, worker)
    assert await command(backend, "XLEN", server_of(backend).keys.stream("results")) == 20_000


async def _use_everything(guild: Guild) -> None:
    backend = await guild.open()
    worker = await joined(backend, "workers")
    await backend.append(notes(1))
    await worker.commit([Settlement(await take_one(worker), (note("x", "results"),))])
    await backend.load_state("workers", "x")


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():  # noqa: ASYNC110 - nothing inside the bus tells when
            await asyncio.sleep(0.005)


async def test_a_topic_whose_key_is_not_ours_keeps_no_other_from_being_trimmed(
    guild: Guild,
) -> None:
    backend = await guild.open()
    worker = await joined(backend, "workers")
    await backend.append([note("taken", "broken")])
    await backend.append(notes(3))
    await worker.commit(settled(await take(worker, 3)))
    await command(backend, "DEL", server_of(backend).keys.stream("broken"))
    await command(backend, "SET", server_of(backend).keys.stream("broken"), "not a stream")

    with pytest.raises(BackendSetupError, match="broken"):
        await backend.trim()

    assert texts(await everything_in(backend, "notes")) == []
