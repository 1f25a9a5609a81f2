"""A guild that is not watched does not pay for that it could be."""

import pytest

from guild import runtime
from guild.client import GuildClient
from guild.runtime import Guild
from guild.testing import guild_of
from messaging import Bus, backend
from messaging.wire.topic import LIVE_TOPIC
from tests.guild.live.watching import watching
from tests.guild.samples import Echo, Ping, Pong
from tests.messaging.test_road import Recording

ROUNDS = 10


async def calls(client: GuildClient) -> int:
    """The fewest of our calls in which one request is answered.

    Those by which a store finds a place among what it holds are left out: it holds ever more.
    """
    counts = []
    for _ in range(ROUNDS):
        with Recording() as recording:
            await client.request("inbox.echo", Ping(text="x"), Pong)
        counts.append(recording.calls - recording.files[backend.__file__])
    return min(counts)


class NoTeller:
    def __init__(self, bus: Bus) -> None: ...

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...


async def test_the_road_is_as_short_after_a_watcher_as_before_it_and_without_a_teller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Guild.launch(guild_of(Echo), bus="memory://") as guild:
        client = guild.client
        before = await calls(client)
        async with watching(client, client.bus):
            during = await calls(client)
        client.bus.watchers._end(LIVE_TOPIC)
        after = await calls(client)

    monkeypatch.setattr(runtime, "LiveTeller", NoTeller)
    async with Guild.launch(guild_of(Echo), bus="memory://") as guild:
        without = await calls(guild.client)

    assert before == after == without
    assert during > before
