"""A topic is watched as long as a watcher says so: not for longer, and in every process."""

import asyncio
from typing import Any

import pytest

from messaging.bus import Bus
from messaging.control import watchers
from messaging.control.watchers import Watchers
from messaging.testing import eventually
from messaging.wire.envelope import seal
from messaging.wire.message import Message
from messaging.wire.topic import CONTROL_TOPIC, LIVE_TOPIC
from tests.messaging.buses import Ask, open_bus
from tests.messaging.conftest import Site
from tests.messaging.test_observing import with_mutant


class Change(Message, wire_name="bus.watch", version=7):
    """As a later version may say it."""

    elsewhere: int = 1


def heard(bus: Bus, topic: str = LIVE_TOPIC) -> list[bool]:
    """What a process hears of `topic` from now on."""
    changes: list[bool] = []
    bus.watchers.listen(topic, changes.append)
    return changes


async def beyond(lease_s: float) -> None:
    """Return when every lease that is running now is over, by the clock of the loop."""
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(1.5 * lease_s, over.set)
    await over.wait()


@with_mutant
async def test_a_lease_begins_in_every_process_and_ends_where_it_is_not_renewed(
    site: Site, is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchers, "LEASE_S", 0.2)
    if is_mutant:
        monkeypatch.setattr(Watchers, "_end", lambda self, topic: None)
    async with open_bus(site) as watcher, open_bus(site) as one, open_bus(site) as two:
        changes = [heard(one), heard(two)]
        await watcher.watchers.announce(LIVE_TOPIC)
        await eventually(lambda: changes == [[True], [True]])
        await beyond(0.2)

        assert changes == ([[True]] * 2 if is_mutant else [[True, False]] * 2)
        assert one.watchers.is_watched(LIVE_TOPIC) is is_mutant


async def test_a_lease_that_is_renewed_goes_on_and_several_watchers_are_one(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchers, "LEASE_S", 1.0)
    async with open_bus(site) as one, open_bus(site) as other, open_bus(site) as bus:
        changes = heard(bus)
        for _ in range(8):
            for watcher in (one, other):
                await watcher.watchers.announce(LIVE_TOPIC)
            await beyond(0.1)

        assert changes == [True]
        await eventually(lambda: changes == [True, False])


async def test_what_is_not_listened_for_is_not_remembered(site: Site) -> None:
    async with open_bus(site) as bus:
        changes = heard(bus)
        for number in range(100):
            await bus.watchers.announce(f"other-{number}")
        await bus.watchers.announce(LIVE_TOPIC)

        assert changes == [True]
        assert set(bus.watchers._leases) == {LIVE_TOPIC}


async def test_words_of_strangers_and_of_later_versions_change_nothing(site: Site) -> None:
    async with open_bus(site) as bus, open_bus(site) as stranger:
        changes = heard(bus)
        odd = seal(Ask(text="x"), CONTROL_TOPIC, by_reference=False)
        watch = odd._replace(type="bus.watch", message=None)
        later = seal(Change(), CONTROL_TOPIC, by_reference=False)
        payloads = (b"{", b"[]", b'{"topic": 3}', b'{"topic": "_live", "more": 1}', b"\xff")
        wrong: list[Any] = [watch._replace(payload=payload) for payload in payloads]
        await stranger.backend.emit([odd, later, *wrong])
        await stranger.watchers.announce(LIVE_TOPIC)

        await eventually(lambda: bool(changes))
        assert changes == [True]


async def test_a_listener_that_fails_harms_no_other(site: Site) -> None:
    async with open_bus(site) as bus:

        def fail(is_watched: bool) -> None:
            raise RuntimeError(is_watched)

        bus.watchers.listen(LIVE_TOPIC, fail)
        changes = heard(bus)
        await bus.watchers.announce(LIVE_TOPIC)

        assert changes == [True]


async def test_a_listener_that_leaves_hears_nothing_more(site: Site) -> None:
    async with open_bus(site) as bus:
        changes: list[bool] = []
        bus.watchers.listen(LIVE_TOPIC, changes.append)
        await bus.watchers.announce(LIVE_TOPIC)
        bus.watchers.unlisten(LIVE_TOPIC, changes.append)
        assert not bus.watchers.is_watched(LIVE_TOPIC)

        again = heard(bus)
        await bus.watchers.announce(LIVE_TOPIC)
        assert (changes, again) == ([True], [True])


async def test_a_bus_that_closes_watches_nothing_more(site: Site) -> None:
    async with open_bus(site) as bus:
        changes = heard(bus)
        await bus.watchers.announce(LIVE_TOPIC)

    assert changes == [True, False]
