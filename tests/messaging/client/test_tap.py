"""Where a tap begins: now, or at a time, by the store's clock and at no cost of what is older."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest

from messaging.backend import Backend, Entry
from messaging.client.tap import Tapped
from messaging.testing import PATIENCE_S, Recorder
from messaging.wire.envelope import new_id
from tests.messaging.buses import Ask, listening, open_bus
from tests.messaging.conftest import Site
from tests.messaging.notes import passed

HOUR_MS = 3_600_000


def made(ahead_ms: int) -> str:
    """An id that a client makes whose clock is ahead by so much."""
    return f"{int(new_id()[:12], 16) + ahead_ms:012x}{new_id()[12:]}"


def at(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC)


async def next_of(tapped: AsyncGenerator[Tapped, None]) -> Tapped:
    async with asyncio.timeout(PATIENCE_S):
        return await anext(tapped)


async def texts_of(tapped: AsyncGenerator[Tapped, None], count: int) -> list[str]:
    shown = [await next_of(tapped) for _ in range(count)]
    return [one.message.text for one in shown if isinstance(one.message, Ask)]


class CountingTail:
    """A backend's `tail`, with how many entries of a topic it has read."""

    def __init__(self, backend: Backend, topic: str) -> None:
        self.entries = 0
        self._topic = topic
        self._tail = backend.tail

    async def __call__(self, *args: object, **options: object) -> list[Entry]:
        entries = await self._tail(*args, **options)  # type: ignore[arg-type]
        self.entries += sum(entry.envelope.topic == self._topic for entry in entries)
        return entries


@pytest.mark.parametrize("pattern", ["asks", "*"])
async def test_a_tap_from_now_on_reads_nothing_that_is_older(
    site: Site, pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_bus(site) as bus, open_bus(site) as watcher:
        await bus.register(listening("reader", Recorder()))
        await bus.publish_many("asks", [Ask(text=str(number)) for number in range(20_000)])
        await passed(bus.backend, 0.1)
        tail = CountingTail(watcher.backend, "asks")
        monkeypatch.setattr(watcher.backend, "tail", tail)
        async with aclosing(watcher.tap([pattern])) as tapped:
            await bus.publish("asks", Ask(text="after"))

            assert await texts_of(tapped, 1) == ["after"]
            assert tail.entries == 1


async def test_where_a_tap_begins_does_not_depend_on_the_clocks_of_clients(site: Site) -> None:
    async with open_bus(site) as bus:
        await bus.publish("asks", Ask(text="ahead, before"), message_id=made(HOUR_MS))
        await bus.publish("asks", Ask(text="behind, before"), message_id=made(-HOUR_MS))
        await passed(bus.backend, 0.1)
        async with aclosing(bus.tap(["asks"])) as tapped:
            await bus.publish("asks", Ask(text="behind, after"), message_id=made(-HOUR_MS))
            await bus.publish("asks", Ask(text="ahead, after"), message_id=made(HOUR_MS))

            assert await texts_of(tapped, 2) == ["behind, after", "ahead, after"]


async def test_a_tap_that_is_read_late_shows_all_since_it_was_asked_for(site: Site) -> None:
    async with open_bus(site) as bus, aclosing(bus.tap(["asks", "later.*"])) as tapped:
        await bus.publish("asks", Ask(text="one"))
        await passed(bus.backend, 0.1)
        await bus.publish("later.topic", Ask(text="two"))

        assert sorted(await texts_of(tapped, 2)) == ["one", "two"]


async def test_a_store_whose_clock_is_set_back_hides_nothing_from_a_tap(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_bus(site) as bus:
        time, positions_at = bus.backend.time, bus.backend.positions_at
        has_begun = asyncio.Event()

        async def time_before() -> float:
            return await time() + HOUR_MS / 1_000

        async def begin(topics: Collection[str], moment: float) -> Mapping[str, str]:
            found = await positions_at(topics, moment)
            has_begun.set()
            return found

        monkeypatch.setattr(bus.backend, "time", time_before)
        monkeypatch.setattr(bus.backend, "positions_at", begin)
        await bus.publish("asks", Ask(text="before"))
        async with aclosing(bus.tap(["asks", "unborn", "later.*"])) as tapped:
            coming = asyncio.create_task(texts_of(tapped, 3))
            await has_begun.wait()
            for topic in ("asks", "unborn", "later.topic"):
                await bus.publish(topic, Ask(text=topic))

            assert sorted(await coming) == ["asks", "later.topic", "unborn"]


async def test_a_tap_begins_at_a_time(site: Site) -> None:
    async with open_bus(site) as bus:
        await bus.publish("asks", Ask(text="before"), message_id=made(HOUR_MS))
        moment = at(await passed(bus.backend))
        await bus.publish("asks", Ask(text="one"), message_id=made(-HOUR_MS))
        await bus.publish("others", Ask(text="two"))

        async with aclosing(bus.tap([">"], since=moment)) as tapped:
            assert sorted(await texts_of(tapped, 2)) == ["one", "two"]
            await bus.publish("asks", Ask(text="three"))
            assert await texts_of(tapped, 1) == ["three"]
        held = [one async for one in bus.tap(["asks"], since=moment, follow=False)]
        assert [one.message for one in held] == [Ask(text="one"), Ask(text="three")]


async def test_a_tap_begins_at_one_time_that_has_a_zone(site: Site) -> None:
    async with open_bus(site) as bus:
        with pytest.raises(ValueError, match="needs a time zone"):
            bus.tap(["asks"], since=datetime(2030, 1, 31))  # noqa: DTZ001 - that is what is refused
        with pytest.raises(ValueError, match="not at both"):
            bus.tap(["asks"], since=datetime.now(UTC) - timedelta(hours=1), from_start=True)


@pytest.mark.parametrize("rest_s", [0.0, 1.0])
async def test_a_tap_that_rests_reads_what_came_meanwhile_in_one_piece(
    site: Site, rest_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_bus(site) as bus, open_bus(site) as watcher:
        await bus.register(listening("reader", Recorder()))
        pieces, tail = list[int](), watcher.backend.tail

        async def noted(*args: object, **options: object) -> list[Entry]:
            entries = await tail(*args, **options)  # type: ignore[arg-type]
            pieces.append(sum(entry.envelope.topic == "asks" for entry in entries))
            return entries

        monkeypatch.setattr(watcher.backend, "tail", noted)
        async with aclosing(watcher.tap(["asks"], rest_s=rest_s)) as tapped:
            coming = asyncio.create_task(texts_of(tapped, 11))
            for number in range(11):
                await bus.publish("asks", Ask(text=str(number)))
                if not number:
                    while not any(pieces):  # noqa: ASYNC110 - it begins with the first
                        await asyncio.sleep(0)
            texts = await coming

    assert texts == [str(number) for number in range(11)]
    if rest_s:
        assert max(pieces) > 1


async def test_a_tap_that_does_not_decode_leaves_that_to_who_looks(site: Site) -> None:
    async with open_bus(site) as bus:
        await bus.publish("asks", Ask(text="x"))
        async with aclosing(bus.tap(["asks"], from_start=True, decode=False)) as tapped:
            one = await next_of(tapped)

        assert one.message is None
        assert bus.message_in(one.envelope) == Ask(text="x")
