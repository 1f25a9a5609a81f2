"""A bus that is opened or closed in vain, or at an odd moment, leaves nothing behind."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest

from messaging.backends.memory import MemoryBackend
from messaging.bus import Bus
from messaging.errors import BackendUnavailableError, BusClosedError, RequestTimeoutError
from messaging.testing import Recorder
from messaging.wire.envelope import Envelope
from tests.messaging.buses import Ask, listening, open_bus
from tests.messaging.conftest import Site


class Halting(MemoryBackend):
    """A store whose every call fails, or waits to be let through, while the test wants it."""

    def __init__(self) -> None:
        super().__init__("halting")
        self.is_away = False
        self.is_closed = True
        self.reached = asyncio.Event()
        self.let_through: asyncio.Event | None = None

    async def open(self) -> None:
        await super().open()
        self.is_closed = False

    async def close(self) -> None:
        await super().close()
        self.is_closed = True

    async def open_ephemeral(self, topic: str, *, ttl_s: float, max_entries: int) -> None:
        await self._halt()
        await super().open_ephemeral(topic, ttl_s=ttl_s, max_entries=max_entries)

    async def emit(self, envelopes: Sequence[Envelope]) -> None:
        await self._halt()
        await super().emit(envelopes)

    async def subscribe(self, group: str, patterns: Sequence[str]) -> None:
        await super().subscribe(group, patterns)
        await self._halt()

    async def paused(self) -> Sequence[str]:
        await asyncio.sleep(0)  # as a call of a server is a turn of the loop at least
        return await super().paused()

    async def _halt(self) -> None:
        if self.is_away:
            raise BackendUnavailableError("the server is away")
        if self.let_through is not None:
            self.reached.set()
            await self.let_through.wait()


class Unclosable(Halting):
    """The store of another guild, which cannot be left."""

    async def close(self) -> None:
        raise BackendUnavailableError("it went away first")


def others() -> set[asyncio.Task[object]]:
    return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]


async def test_a_bus_that_cannot_be_opened_leaves_the_store() -> None:
    backend = Halting()
    backend.is_away = True
    bus = Bus(backend)

    with pytest.raises(BackendUnavailableError):
        await bus.open()
    assert backend.is_closed

    backend.is_away = False
    async with bus:
        await bus.publish("asks", Ask(text="now"))
    assert backend.is_closed


async def test_opening_a_bus_can_be_cancelled() -> None:
    backend = Halting()
    backend.let_through = asyncio.Event()
    opening = asyncio.create_task(Bus(backend).open())
    await backend.reached.wait()

    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening

    assert backend.is_closed
    assert not others()


async def test_a_close_that_is_cancelled_closes_all_the_same() -> None:
    backend = Halting()
    bus = await Bus(backend).open()
    recorder = Recorder(release=asyncio.Event())  # which never comes
    await bus.subscribe(listening("slow", recorder, drain_s=600.0))
    await bus.publish("asks", Ask(text="long"))
    await recorder.messages(1)

    closing = asyncio.create_task(bus.close())
    await asyncio.sleep(0)
    closing.cancel()
    async with asyncio.timeout(10):
        with suppress(asyncio.CancelledError):
            await closing

    assert closing.cancelled()
    assert backend.is_closed
    assert not others()


async def test_a_neighbour_that_cannot_be_left_keeps_nothing_else_open() -> None:
    backend = Halting()
    bus = await Bus(backend).open()
    await bus.relay("other", Unclosable())

    with pytest.raises(BackendUnavailableError, match="went away"):
        await bus.close()

    assert backend.is_closed
    assert not others()


async def test_what_is_subscribed_while_the_bus_closes_does_not_begin() -> None:
    backend = Halting()
    bus = await Bus(backend).open()
    backend.let_through = asyncio.Event()
    subscribing = asyncio.create_task(bus.subscribe(listening("late", Recorder())))
    await backend.reached.wait()

    await bus.close()
    backend.let_through.set()

    with pytest.raises(BusClosedError):
        await subscribing
    assert not others()


async def test_subscriptions_that_begin_together_leave_nothing_behind() -> None:
    async with Bus(Halting()) as bus:
        groups = [f"group-{number}" for number in range(5)]
        await asyncio.gather(*[bus.subscribe(listening(each, Recorder())) for each in groups])

    assert not others()


async def test_a_stream_that_cannot_begin_is_followed_by_nothing() -> None:
    backend = Halting()
    async with Bus(backend) as bus:
        backend.is_away = True
        with pytest.raises(BackendUnavailableError):
            await anext(bus.stream("asks", Ask(text="?"), require_listener=False))
        backend.is_away = False

        assert not [topic for topic in bus._tail._positions if topic.startswith("_emit.")]
        assert not [topic for topic in bus._tail._listeners if topic.startswith("_emit.")]


@pytest.mark.parametrize("no_time", [None, "5"])
async def test_a_request_for_what_is_no_time_is_refused_before_it_is_stored(
    site: Site, no_time: float
) -> None:
    recorder = Recorder()
    async with open_bus(site) as bus:
        await bus.register(listening("asked", recorder))
        with pytest.raises(TypeError):
            await bus.request("asks", Ask(text="never"), timeout_s=no_time)
        with pytest.raises(RequestTimeoutError):
            await bus.request("asks", Ask(text="soon"), timeout_s=0.01)
        assert not bus._requests._waiting

        await bus.subscribe(listening("asked", recorder))
        assert await recorder.messages(1) == [Ask(text="soon")]
