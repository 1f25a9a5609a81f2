"""A real failover: everything goes on, and nothing takes effect twice."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from messaging.backend import Settlement
from messaging.bus import Bus, connect
from messaging.errors import BackendSetupError, BackendUnavailableError, FencedError
from messaging.handling.context import Context
from tests.messaging.backends.redis.conftest import Guild, server_of
from tests.messaging.buses import REGISTRY, Ask, Told, listening, settled_all, texts_in
from tests.messaging.notes import everything_in, joined, note, notes, settled, take, texts
from tests.sentinels import PASSWORD, Sentinels, running_sentinels, until


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Sentinels]:
    with running_sentinels(tmp_path) as site:
        yield site


@pytest.fixture
async def guild(site: Sentinels) -> AsyncIterator[Guild]:
    guild = Guild(site.url)
    yield guild
    await guild.close()


async def tell(ask: Ask, ctx: Context) -> None:
    ctx.send(Told(text=ask.text), "results")


async def _publish(bus: Bus, count: int, *, start: int = 0) -> None:
    asks = [Ask(text=str(number)) for number in range(start, start + count)]
    await asyncio.gather(*[bus.publish("asks", ask) for ask in asks])


async def test_publishers_and_consumers_go_on_after_a_failover(site: Sentinels) -> None:
    async with connect(site.url, "g", registry=REGISTRY) as bus, connect(site.url, "g") as other:
        await bus.subscribe(listening("tellers", tell))
        await _publish(other, 200)
        await texts_in(bus, "results", 200)
        await asyncio.to_thread(site.replicate)

        site.primary.kill()
        await _publish(other, 200, start=200)  # accepted by the new primary, whenever there is one
        await settled_all(bus, "tellers")

        told = await texts_in(bus, "results", 400)
        assert sorted(map(int, told)) == list(range(400))


async def test_a_failover_to_a_replica_that_lagged_loses_and_doubles_nothing(
    site: Sentinels,
) -> None:
    incidents: list[str] = []
    async with connect(site.url, "g", registry=REGISTRY) as bus, connect(site.url, "g") as other:
        bus.listen(lambda incident: incidents.append(incident.event))
        other.listen(lambda incident: incidents.append(incident.event))
        await bus.subscribe(listening("tellers", tell))
        await _publish(other, 100)
        await texts_in(bus, "results", 100)
        await asyncio.to_thread(site.replicate)
        await asyncio.to_thread(site.cut_replication)
        await _publish(other, 100, start=100)  # accepted, told, and only on the primary
        await texts_in(bus, "results", 200)

        site.primary.kill()
        await _publish(other, 100, start=200)
        await settled_all(bus, "tellers")

        told = [int(text) for text in await texts_in(bus, "results", 300)]
        assert sorted(told) == list(range(300))
        assert {"bus.sent_again", "bus.commits_lost"} <= set(incidents)


@pytest.mark.parametrize("is_mutant", [False, True])
async def test_what_only_the_lost_primary_had_lent_is_lent_again_and_committed_once(
    site: Sentinels, guild: Guild, is_mutant: bool
) -> None:
    backend = await guild.open()
    if is_mutant:  # without the look at what is lent both would count
        scripts = server_of(backend).scripts
        scripts.recommit = scripts.commit
    first, second = await joined(backend, "workers"), await joined(backend, "workers")
    await backend.append(notes(10))
    await asyncio.to_thread(site.replicate)
    await asyncio.to_thread(site.cut_replication)
    held = await take(first, 10)

    site.primary.kill()
    lent_again = await take(second, 10)
    await second.commit([Settlement(d, (note("second", "results"),)) for d in lent_again])
    too_late = [Settlement(d, (note("first", "results"),)) for d in held]
    with contextlib.nullcontext() if is_mutant else pytest.raises(FencedError):
        await first.commit(too_late)

    assert texts(held) == texts(lent_again)
    results = texts(await everything_in(backend, "results"))
    assert results == ["second"] * 10 + ["first"] * 10 * is_mutant
    assert ("bus.commits_lost" in guild.events()) is not is_mutant


async def test_what_is_lent_again_to_who_holds_it_is_not_handed_on_twice(
    site: Sentinels, guild: Guild
) -> None:
    backend = await guild.open()
    worker = await joined(backend, "workers")
    await backend.append(notes(10))
    await asyncio.to_thread(site.replicate)
    await asyncio.to_thread(site.cut_replication)
    held = await take(worker, 10)

    site.primary.kill()
    await backend.append([note("after")])

    assert texts(await take(worker, 1)) == ["after"]
    assert await worker.commit(settled(held)) == []


async def test_a_demoted_primary_that_still_answers_is_left(site: Sentinels, guild: Guild) -> None:
    backend = await guild.open()
    await backend.append(notes(1))
    await asyncio.to_thread(site.replicate)

    await asyncio.to_thread(site.ask, site.sentinels[0], "SENTINEL", "FAILOVER", "mymaster")
    await asyncio.to_thread(until, site.is_promoted)
    await asyncio.to_thread(site.demote_primary)
    await backend.append([note("notes 1")])

    assert texts(await everything_in(backend, "notes")) == ["notes 0", "notes 1"]
    assert int(await asyncio.to_thread(site.ask, site.replica, "XLEN", _stream(guild))) == 2


async def test_wrong_names_and_passwords_are_told_apart(site: Sentinels, guild: Guild) -> None:
    for url, says in {
        site.url.replace("mymaster", "other"): "no primary named other",
        site.url.replace("of-the-sentinels", "wrong"): "check user and password",
        site.url.replace(f":{PASSWORD}@", ":wrong@"): "check user",
    }.items():
        with pytest.raises(BackendSetupError, match=says) as refused:
            await guild.open(url.replace("127.0.0.1:1,", ""))
        assert "wrong" not in str(refused.value)


async def test_a_server_that_is_no_sentinel_is_named(site: Sentinels, guild: Guild) -> None:
    url = f"sentinel://:{PASSWORD}@127.0.0.1:{site.primary.port}/mymaster"

    with pytest.raises(BackendSetupError, match=r"check user and password|is no Sentinel"):
        await guild.open(url)


async def test_no_sentinel_is_an_error_that_names_them() -> None:
    with pytest.raises(BackendUnavailableError, match=r"127\.0\.0\.1:1/.*127\.0\.0\.1:2/") as away:
        await Guild("sentinel://127.0.0.1:1,127.0.0.1:2/mymaster?sentinel_password=a-secret").open()
    assert "a-secret" not in str(away.value)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sentinel://127.0.0.1", "names no primary"),
        ("sentinel:///mymaster", "names no host"),
        ("sentinel://host:port/mymaster", "host:port"),
        ("sentinel://db.example/mymaster", "password"),
        ("sentinel://127.0.0.1/mymaster?sentinel_pass=x", "sentinel_pass"),
    ],
)
def test_an_incomplete_url_is_an_error_that_says_what_is_missing(url: str, says: str) -> None:
    with pytest.raises(BackendSetupError, match=says):
        Guild("").new(url)


def _stream(guild: Guild) -> str:
    return f"{{{guild.guild_id}}}:t:notes"
