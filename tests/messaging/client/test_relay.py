"""What goes to another guild arrives there once, whatever happens on the way."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from messaging.backend import Backend
from messaging.bus import Bus
from messaging.errors import (
    BackendSetupError,
    PayloadTooLargeError,
    RequestFailedError,
    TopicError,
)
from messaging.handling.context import Context
from messaging.handling.retry import RetryPolicy
from messaging.testing import PATIENCE_S
from messaging.wire.envelope import Envelope, new_id
from tests.messaging.buses import Ask, Told, dead_letters, listening, lying_in, open_bus, texts_in
from tests.messaging.conftest import Site
from tests.messaging.notes import everything_in, note, notes, texts
from tests.servers import running_redis


@pytest.fixture
async def other(site: Site) -> AsyncIterator[Site]:
    """Another guild on the same server."""
    other = Site(site.kind, site.url)
    yield other
    await other.close()


async def tell_others(ask: Ask, ctx: Context) -> None:
    ctx.send(Told(text=ask.text), "news", guild="other", key="k", tags=("reader",))


class Held:
    """A backend of the other guild on which nothing comes back from `append_once`."""

    def __init__(self, backend: Backend, *, once: bool = True) -> None:
        self._backend = backend
        self._once = once
        self.stored = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    async def open(self) -> None:
        """It is open."""

    async def close(self) -> None:
        """It is closed by who opened it."""

    async def append_once(self, envelope: Envelope) -> None:
        if self._once:
            await self._backend.append_once(envelope)
        else:
            await self._backend.append((envelope,))
        self.stored.set()
        await asyncio.Event().wait()


class Passing(Held):
    async def append_once(self, envelope: Envelope) -> None:
        if self._once:
            await self._backend.append_once(envelope)
        else:
            await self._backend.append((envelope,))


async def test_a_message_arrives_as_it_was_sent(site: Site, other: Site) -> None:
    async with open_bus(site) as bus, open_bus(other) as there:
        await bus.subscribe(listening("tellers", tell_others, neighbours=("other",)))
        await bus.relay("other", Passing(there.backend))
        asked = await bus.publish("asks", Ask(text="hello"), conversation=new_id())

        [entry] = await lying_in(there, "news")

        envelope = entry.envelope
        assert there._decoder.read(envelope) == Told(text="hello")
        assert envelope.sender == f"{bus.guild_id}.tellers"
        assert (envelope.cause, envelope.key, envelope.tags) == (asked, "k", "reader")
        assert (envelope.reply_to, envelope.hops) == ("", 1)


async def test_a_relay_that_has_ended_is_closed_when_another_begins(
    site: Site, other: Site
) -> None:
    closed: list[int] = []

    class Counted(Passing):
        async def close(self) -> None:
            closed.append(len(closed))

    async with open_bus(site) as bus, open_bus(other) as there:
        await bus.subscribe(listening("tellers", tell_others, neighbours=("other",)))
        await bus.relay("other", Counted(there.backend))
        for _ in range(5):
            await (await bus.relay("other", Counted(there.backend))).drain()

        assert len(closed) == 4
        assert len(bus._relays) == 2
        await bus.publish("asks", Ask(text="hello"))
        assert await texts_in(there, "news") == ["hello"]
    assert len(closed) == 6


async def test_what_was_sent_before_anybody_relayed_is_kept(site: Site, other: Site) -> None:
    async with open_bus(site) as bus, open_bus(other) as there:
        await bus.subscribe(listening("tellers", tell_others, neighbours=("other",)))
        for number in range(20):
            await bus.publish("asks", Ask(text=str(number)))
        await lying_in(bus, "outbox.other", 20)

        await bus.relay("other", Passing(there.backend))

        assert sorted(map(int, await texts_in(there, "news", 20))) == list(range(20))


@pytest.mark.parametrize("is_mutant", [False, True])
async def test_a_relay_that_is_killed_before_it_settles_delivers_once(
    site: Site, other: Site, is_mutant: bool
) -> None:
    async with (
        open_bus(site) as bus,
        open_bus(site) as heir,
        open_bus(other) as there,
    ):
        await bus.subscribe(listening("tellers", tell_others, neighbours=("other",)))
        held = Held(there.backend, once=not is_mutant)
        doomed = await bus.relay("other", held, lease_s=1.0)
        await bus.publish("asks", Ask(text="once"))
        await held.stored.wait()

        await doomed.kill()
        await heir.relay("other", Passing(there.backend, once=not is_mutant), lease_s=1.0)
        await _until_relayed(heir)

        assert len(await everything_in(there.backend, "news")) == 1 + is_mutant


async def test_a_guild_without_a_neighbour_of_that_name_is_told_so(site: Site) -> None:
    async with open_bus(site) as bus:
        once = RetryPolicy(attempts=1)
        await bus.subscribe(listening("tellers", tell_others, retry=once))
        await bus.publish("asks", Ask(text="lost?"))

        [letter] = await dead_letters(bus)

        assert b"no neighbour 'other'" in letter.reason


async def test_a_topic_there_must_be_named(site: Site) -> None:
    caught: list[Exception] = []

    async def careless(ask: Ask, ctx: Context) -> None:
        try:
            ctx.send(Told(text="x"), guild="other")
        except TopicError as error:
            caught.append(error)

    async with open_bus(site) as bus:
        await bus.subscribe(listening("tellers", careless, neighbours=("other",)))
        await bus.publish("asks", Ask(text="x"))
        await _until(lambda: bool(caught))

    assert "needs a topic" in str(caught[0])


async def test_nothing_leaves_when_the_handling_fails(site: Site) -> None:
    async def failing(ask: Ask, ctx: Context) -> None:
        await tell_others(ask, ctx)
        raise RuntimeError("no")

    async with open_bus(site) as bus:
        once = RetryPolicy(attempts=1)
        options = {"retry": once, "neighbours": ("other",)}
        await bus.subscribe(listening("tellers", failing, **options))
        await bus.publish("asks", Ask(text="x"))
        await dead_letters(bus)

        assert await everything_in(bus.backend, "outbox.other") == []


async def test_a_server_that_is_away_is_waited_for(site: Site, tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        server.kill()
        async with open_bus(site) as bus:
            await bus.subscribe(listening("tellers", tell_others, neighbours=("other",)))
            await bus.relay("other", server.url)
            await bus.publish("asks", Ask(text="patient"))
            await lying_in(bus, "outbox.other")

            server.start()

            there = _site_of(server.url, "other")
            async with open_bus(there) as other:
                assert await texts_in(other, "news") == ["patient"]
            await there.close()


async def test_a_wrong_url_is_refused_at_once(site: Site) -> None:
    async with open_bus(site) as bus:
        with pytest.raises(BackendSetupError, match="not a bus"):
            await bus.relay("other", "nowhere")


async def test_what_is_appended_once_is_stored_once(site: Site) -> None:
    first, second = await site.open(), await site.open()
    envelope = note("once")

    for backend in (first, second, first):
        await backend.append_once(envelope)
    await asyncio.gather(*[first.append_once(one) for one in notes(10)])

    found = texts(await everything_in(second, "notes"))
    assert found.count("once") == 1
    assert len(found) == 11


def _site_of(url: str, guild_id: str) -> Site:
    site = Site("there", url)
    site.guild_id = guild_id
    return site


async def _until_relayed(bus: Bus) -> None:
    async with asyncio.timeout(15):
        while True:
            topics = {info.topic: info for info in await bus.backend.topics()}
            outbox = topics["outbox.other"]
            if not outbox.waiting["outbox.other"] + outbox.pending["outbox.other"]:
                return
            await asyncio.sleep(0.02)


async def _until(is_so: Any) -> None:
    async with asyncio.timeout(15):
        while not is_so():  # noqa: ASYNC110 - nothing inside the bus tells when
            await asyncio.sleep(0.01)


async def test_a_caller_hears_that_what_followed_could_not_be_brought_to_another_guild(
    site: Site, other: Site
) -> None:
    class Refusing(Passing):
        async def append_once(self, envelope: Envelope) -> None:
            raise PayloadTooLargeError(envelope.type, 2, 1)

    async with open_bus(site) as bus, open_bus(other) as there:
        await bus.subscribe(listening("tellers", tell_others, neighbours=("other",)))
        await bus.relay("other", Refusing(there.backend))

        with pytest.raises(RequestFailedError, match=r"outbox.other gave up on bus.parcel"):
            await bus.request("asks", Ask(text="hello"), timeout_s=PATIENCE_S)


async def test_a_caller_of_this_guild_is_no_business_of_another(site: Site, other: Site) -> None:
    async with open_bus(site) as bus, open_bus(other) as there:
        await bus.subscribe(listening("tellers", tell_others, neighbours=("other",)))
        await bus.relay("other", Passing(there.backend))
        asking = asyncio.create_task(bus.request("asks", Ask(text="hello")))

        [entry] = await lying_in(there, "news")

        assert entry.envelope.waiter == ""
        asking.cancel()
