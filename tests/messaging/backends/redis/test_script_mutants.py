"""Scripts with one line less: what the tests of the fence and of the sequences would then see."""

import asyncio
from typing import Any

import pytest

from messaging.backend import Settlement, StateValue, StateWrite
from messaging.backends.redis import RedisBackend
from messaging.backends.redis.scripts import Script, make_script
from messaging.errors import FencedError, StateConflictError
from tests.messaging.backends.redis.conftest import Guild, command, server_of
from tests.messaging.notes import everything_in, heirloom, joined, note, notes, take_one, texts
from tests.reliability.proxy import FaultyProxy

FENCE = "if not member then return { 'fenced' } end"
NO_FENCE = "if not member then member = '0:' end"
JOURNAL_FENCE = "if redis.call('HEXISTS', KEYS[1], ARGV[2]) == 0 then return -1 end"
SAME_WRITE = "if is_set and value == ARGV[6] then return version end"
COMMIT_SEQUENCE = "if sequence == last then return { 'ok', skipped_then, 0 } end"
PRODUCER_SEQUENCE = "local skip = last + 1 - first"
GAP = "if first > last + 1 then return -3 end"


async def mutate(backend: RedisBackend, name: str, line: str, instead: str) -> None:
    """Let `backend` run the script `name` with `line` replaced."""
    scripts = server_of(backend).scripts
    original: Script = getattr(scripts, name)
    assert original.text.count(line) == 1
    mutant = make_script(name, original.text.replace(line, instead))
    setattr(scripts, name, mutant)
    await command(backend, "SCRIPT", "LOAD", mutant.text)


@pytest.mark.parametrize("is_mutant", [False, True])
async def test_without_the_fence_a_zombie_would_publish(guild: Guild, is_mutant: bool) -> None:
    backend = await guild.open()
    zombie, heir = await joined(backend, "workers"), await joined(backend, "workers")
    await backend.append(notes(1))
    job = await take_one(zombie)
    (inherited,) = await heirloom(heir, zombie)
    await heir.commit([Settlement(inherited, (note("done", "results"),))])
    late = [Settlement(job, (note("done", "results"),))]

    if is_mutant:
        await mutate(backend, "commit", FENCE, NO_FENCE)
        await zombie.commit(late)
    else:
        with pytest.raises(FencedError):
            await zombie.commit(late)

    effects = await everything_in(backend, "results")
    assert len(effects) == (2 if is_mutant else 1)


@pytest.mark.parametrize("is_mutant", [False, True])
async def test_without_the_fence_a_zombie_would_write_the_journal(
    guild: Guild, is_mutant: bool
) -> None:
    backend = await guild.open()
    zombie, heir = await joined(backend, "workers"), await joined(backend, "workers")
    await heirloom(heir, zombie)
    late = StateWrite("done", b"late", 0)

    if is_mutant:
        await mutate(backend, "journal", JOURNAL_FENCE, "")
        await zombie.journal(late)
    else:
        with pytest.raises(FencedError):
            await zombie.journal(late)

    assert (await backend.load_state("workers", "done") is not None) == is_mutant


@pytest.mark.parametrize("is_mutant", [False, True])
async def test_a_journal_whose_answer_was_lost_is_written_once_and_is_no_conflict(
    guild: Guild, proxy: FaultyProxy, is_mutant: bool
) -> None:
    backend = await guild.open(proxy.url)
    worker = await joined(backend, "workers")
    if is_mutant:
        await mutate(backend, "journal", SAME_WRITE, "")
    proxy.lose_replies_to(server_of(backend).scripts.journal.sha.encode())

    if is_mutant:
        with pytest.raises(StateConflictError):
            await worker.journal(StateWrite("done", b"once", 0))
    else:
        assert await worker.journal(StateWrite("done", b"once", 0)) == 1

    assert proxy.lost == 1
    assert await backend.load_state("workers", "done") == StateValue(b"once", 1)


@pytest.mark.parametrize("is_mutant", [False, True])
async def test_without_its_sequence_a_commit_would_be_applied_twice(
    guild: Guild, proxy: FaultyProxy, is_mutant: bool
) -> None:
    backend = await guild.open(proxy.url)
    worker = await joined(backend, "workers")
    await backend.append([*notes(1), note("before", "results")])
    job = await take_one(worker)
    if is_mutant:
        await mutate(backend, "commit", COMMIT_SEQUENCE, "")
        await mutate(backend, "commit", "if sequence < last then", "if false then")
        scripts = server_of(backend).scripts
        scripts.recommit = scripts.commit  # nor may the look at what is lent save it
    proxy.lose_replies_to(server_of(backend).scripts.commit.sha.encode())

    await worker.commit([Settlement(job, (note("done", "results"),))])

    assert proxy.lost == 1
    assert texts(await everything_in(backend, "results")).count("done") == (2 if is_mutant else 1)


@pytest.mark.parametrize("is_mutant", [False, True])
async def test_without_its_sequence_an_append_would_be_stored_twice(
    guild: Guild, proxy: FaultyProxy, is_mutant: bool
) -> None:
    backend = await guild.open(proxy.url)
    if is_mutant:
        await mutate(backend, "append", PRODUCER_SEQUENCE, "local skip = 0")
    await backend.append([note("before")])
    proxy.lose_replies_to(server_of(backend).scripts.append.sha.encode())

    await backend.append([note("once")])

    assert proxy.lost == 1
    stored = texts(await everything_in(backend, "notes"))
    assert stored.count("once") == (2 if is_mutant else 1)


@pytest.mark.parametrize("is_mutant", [False, True])
async def test_if_gaps_passed_a_refused_batch_would_look_stored(
    guild: Guild, is_mutant: bool
) -> None:
    """Two batches are under way and the first meets no scripts: the second must wait for it."""
    backend = await guild.open()
    if is_mutant:
        await mutate(backend, "append", GAP, "")
    await backend.append([note("before")])
    publisher = backend._parts.producer  # type: ignore[union-attr] # it is open
    sent: list[str] = []
    original = publisher._command

    def break_the_first(batch: Any) -> bytes:
        sent.append(batch.topic)
        return b"*1\r\n$4\r\nNOPE\r\n" if len(sent) == 1 else original(batch)

    publisher._command = break_the_first
    first = backend.append([note("first")])
    publisher._flush()
    second = backend.append([note("second")])
    publisher._flush()
    await asyncio.gather(first, second)

    assert len(sent) == 2
    stored = texts(await everything_in(backend, "notes"))
    assert stored == (["before", "second"] if is_mutant else ["before", "first", "second"])
