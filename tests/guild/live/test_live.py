"""What a guild does is told while somebody watches, up to a number a second, and not otherwise."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from guild.client import GuildClient
from guild.live import LiveHandlings, LiveSummary, telling
from guild.live import watching as watching_module
from guild.live.messages import LiveHandling
from guild.live.telling import MOST_ROWS, LiveTeller, _Seen
from guild.runtime import Guild
from messaging.backend import FROM_START
from messaging.bus import Bus
from messaging.control import watchers
from messaging.control.watchers import Watchers
from messaging.errors import BackendUnavailableError, BusClosedError
from messaging.observing import Ending, Handling, Observer
from messaging.testing import eventually
from messaging.wire.envelope import Envelope
from messaging.wire.message import MessageRegistry
from messaging.wire.topic import LIVE_TOPIC
from tests.guild.live.watching import is_observed, tellers, watching
from tests.guild.operations.desk import client_of, running, spec_of
from tests.guild.samples import Echo, Failing, Ping, Pong
from tests.messaging.buses import settled_all
from tests.messaging.conftest import Site

SPEC = spec_of(Echo, Failing, attempts=2)

with_mutant = pytest.mark.parametrize("is_mutant", [False, True], ids=["", "mutant"])


async def test_each_handling_is_told_and_summed_up(site: Site) -> None:
    async with (
        running(site, SPEC) as guild,
        client_of(site, SPEC, "a-client") as client,
        watching(client, guild.client.bus) as told,
    ):
        sent = await client.publish("inbox.failing", Ping(text="x"))
        await client.publish("inbox.echo", Ping(text="y"))
        await told.of(3)
        process = guild.client.bus.client_id

    rows = {(row.agent, row.attempt): row for row in told.rows}
    failed, given_up, echoed = rows["failing", 1], rows["failing", 2], rows["echo", 1]
    assert (failed.outcome, given_up.outcome) == ("retried", "dead_lettered")
    assert failed.error == "ValueError: cannot stand x"
    assert (failed.id, failed.conversation, failed.cause) == (sent, sent, "")
    assert (failed.topic, failed.type, failed.sender) == ("inbox.failing", "tests.ping", "a-client")
    assert (echoed.outcome, echoed.error) == ("handled", "")
    assert echoed.handled_s is not None
    assert {message.process for message in told.messages} == {process}
    activities = [
        each
        for summary in told.summaries
        for each in summary.activities
        if each.type == failed.type
    ]
    assert {each.agent for each in activities} == {"echo", "failing"}
    assert sum(each.errors.get("ValueError", 0) for each in activities) == 2
    assert sum(each.senders["a-client"] for each in activities) == 3
    assert all(each.handled_s and each.waited_s for each in activities)


async def test_without_a_watcher_nothing_is_there_that_could_tell(site: Site) -> None:
    async with running(site, SPEC) as guild, client_of(site, SPEC) as client:
        await client.bus.backend.open_ephemeral(LIVE_TOPIC, ttl_s=60.0, max_entries=10)
        await client.publish("inbox.echo", Ping(text="x"))
        await settled_all(client.bus, "echo")

        assert not is_observed(guild)
        assert tellers() == 0
        assert not guild.client.bus.watchers._leases
        kept = await client.bus.backend.tail({LIVE_TOPIC: FROM_START}, max_count=9, wait_s=0.0)
        assert kept == []


@with_mutant
async def test_it_ends_when_the_watcher_does_not_come_back(
    site: Site, is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchers, "LEASE_S", 0.3)
    if is_mutant:
        monkeypatch.setattr(Watchers, "_end", lambda self, topic: None)
    async with running(site, SPEC) as guild, client_of(site, SPEC) as client:
        async with watching(client, guild.client.bus):
            assert is_observed(guild)
            assert tellers() == 1
        over = asyncio.Event()
        asyncio.get_running_loop().call_later(0.6, over.set)
        await over.wait()

        assert is_observed(guild) is is_mutant
        assert tellers() == is_mutant


async def test_a_watcher_that_takes_nothing_more_loses_its_lease(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that hangs: its generator is still there, and nobody asks it for anything."""
    monkeypatch.setattr(watchers, "LEASE_S", 0.3)
    async with running(site, SPEC) as guild, client_of(site, SPEC) as client:
        live = client.live()
        first = asyncio.ensure_future(anext(live))
        await eventually(lambda: is_observed(guild))
        while not first.done():  # a busy machine may let a short lease run out before the handling
            await client.publish("inbox.echo", Ping(text="x"))
            await asyncio.wait([first], timeout=0.3)
        assert isinstance(await first, LiveHandlings)

        await eventually(lambda: not is_observed(guild))
        await live.aclose()


async def test_a_watcher_that_stays_keeps_its_lease(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchers, "LEASE_S", 1.0)
    monkeypatch.setattr(watching_module, "RENEW_EVERY_S", 0.2)
    monkeypatch.setattr(watching_module, "WAIT_S", 0.1)
    async with running(site, SPEC) as guild, client_of(site, SPEC) as client:
        changes: list[bool] = []
        guild.client.bus.watchers.listen(LIVE_TOPIC, changes.append)
        async with watching(client, guild.client.bus):
            over = asyncio.Event()
            asyncio.get_running_loop().call_later(2.0, over.set)
            await over.wait()

            assert changes == [True]


@with_mutant
async def test_a_process_tells_so_many_handlings_a_second_and_counts_the_others(
    site: Site, is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 20
    monkeypatch.setattr(telling, "MOST_ROWS", 1_000_000 if is_mutant else limit)
    count = 20 * limit
    async with (
        running(site, SPEC) as guild,
        client_of(site, SPEC) as client,
        watching(client, guild.client.bus) as told,
    ):
        # Of what fails each is a row, while there is room; each fails twice.
        await client.publish_many("inbox.failing", [Ping(text=str(n)) for n in range(count // 2)])
        await told.of(count)
        left_off = sum(each.left_off for each in told.summaries)
        await eventually(lambda: len(told.rows) + left_off == count)

    most, rows = 0, 0
    for message in told.messages:
        if isinstance(message, LiveSummary):
            assert message.period_s >= telling.PERIOD_S
            rows = 0
        else:
            rows += len(message.rows)
        most = max(most, rows)
    assert (most > limit) is is_mutant
    handlings = [each for each in told.messages if isinstance(each, LiveHandlings)]
    assert sum(each.left_off for each in handlings) == left_off
    assert (left_off == 0) is is_mutant
    assert max(len(each.rows) for each in handlings) <= telling.ROWS_AT_ONCE


@pytest.mark.parametrize("observer", [None, Observer()], ids=["alone", "beside an observer"])
async def test_of_very_many_a_few_are_told_and_all_are_counted(
    site: Site, observer: Observer | None
) -> None:
    count, known = 10 * MOST_ROWS, MessageRegistry(Ping, Pong)
    backend = await site.open()
    async with (
        Bus(backend, owns_backend=False, registry=known, observer=observer) as bus,
        Guild.launch(SPEC, bus=bus) as guild,
        client_of(site, SPEC, "a-client") as client,
        watching(client, guild.client.bus) as told,
    ):
        await client.publish_many("inbox.echo", [Ping(text=str(n)) for n in range(count)])
        await told.of(count)

    activities = [each for summary in told.summaries for each in summary.activities]
    pings = [each for each in activities if each.agent == "echo" and each.type == "tests.ping"]
    assert sum(each.senders["a-client"] for each in pings) == count
    assert sum(each.outcomes["handled"] for each in pings) == count
    looked_at = sum(each.handled_s.count for each in pings if each.handled_s)
    assert 0 < looked_at < count / 2
    assert 0 < len(told.rows) <= looked_at
    left_off = sum(summary.left_off for summary in told.summaries)
    assert len(told.rows) + left_off == count


async def test_several_watchers_are_told_the_same_and_one_that_leaves_takes_nothing_along(
    site: Site,
) -> None:
    async with (
        running(site, SPEC) as guild,
        client_of(site, SPEC) as one,
        client_of(site, SPEC) as two,
        watching(one, guild.client.bus) as first,
    ):
        async with watching(two, guild.client.bus) as second:
            # The second one begins with what comes once it looks.
            while not second.messages:
                await one.publish("inbox.echo", Ping(text="x"))
                await settled_all(one.bus, "echo")
        seen = first.handled
        await one.publish("inbox.echo", Ping(text="y"))
        await first.of(seen + 1)

    assert {row.id for row in second.rows} <= {row.id for row in first.rows}
    assert tellers() == 0


async def test_each_process_tells_of_itself(site: Site) -> None:
    async with (
        running(site, SPEC) as one,
        running(site, SPEC) as two,
        client_of(site, SPEC) as client,
    ):
        buses = (one.client.bus, two.client.bus)
        async with watching(client, *buses) as told:
            while len({each.process for each in told.summaries}) < 2:
                await client.publish_many("inbox.echo", [Ping(text="x")] * 50)
                await settled_all(client.bus, "echo")

    assert {each.process for each in told.messages} == {bus.client_id for bus in buses}


async def test_a_process_that_comes_later_is_watched_too(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching_module, "RENEW_EVERY_S", 0.2)
    monkeypatch.setattr(watching_module, "WAIT_S", 0.1)
    async with client_of(site, SPEC) as client, watching(client) as told:
        async with running(site, SPEC) as guild:
            await eventually(lambda: is_observed(guild))
            await client.publish("inbox.echo", Ping(text="x"))
            await told.of(1)
        assert tellers() == 0  # it went, and the watcher is still there


async def test_what_was_told_to_others_before_is_not_told_again(site: Site) -> None:
    async with running(site, SPEC) as guild, client_of(site, SPEC) as client:
        async with watching(client, guild.client.bus) as first:
            await client.publish("inbox.echo", Ping(text="x"))
            await first.of(1)
        async with client_of(site, SPEC) as later, watching(later, guild.client.bus) as second:
            while not second.summaries:
                await client.publish("inbox.echo", Ping(text="y"))
                await settled_all(client.bus, "echo")

    assert not {row.id for row in first.rows} & {row.id for row in second.rows}


async def test_what_strangers_and_later_versions_tell_is_passed_over(site: Site) -> None:
    async with (
        running(site, SPEC) as guild,
        client_of(site, SPEC) as client,
        watching(client, guild.client.bus) as told,
    ):
        await client.publish("inbox.echo", Ping(text="x"))
        await told.of(1)
        (entry, *_) = await client.bus.backend.tail(
            {LIVE_TOPIC: FROM_START}, max_count=9, wait_s=0.0
        )
        odd: list[Envelope] = [
            entry.envelope._replace(message=None, payload=b"{"),
            entry.envelope._replace(message=None, version=9, payload=b"{}"),
            entry.envelope._replace(message=None, type="strange", payload=b"{}"),
        ]
        await client.bus.backend.emit(odd)
        seen = told.handled
        await client.publish("inbox.echo", Ping(text="y"))
        await told.of(seen + 1)

    assert {type(each) for each in told.messages} == {LiveHandlings, LiveSummary}


async def test_an_observer_of_the_guild_sees_what_it_would_see_without_a_watcher(
    site: Site,
) -> None:
    class Counting(Observer):
        ends = 0  # of handlers

        def begun(self, handling: Handling) -> Any:
            return handling

        def ended(self, handling: Handling, ending: Ending, token: Any) -> None:
            if ending.handled_s is not None:
                assert token is handling
                self.ends += 1

    counting, known = Counting(), MessageRegistry(Ping, Pong)
    backend = await site.open()
    async with (
        Bus(backend, owns_backend=False, registry=known, observer=counting) as bus,
        Guild.launch(SPEC, bus=bus) as guild,
        client_of(site, SPEC) as client,
    ):
        await client.publish("inbox.echo", Ping(text="x"))
        await settled_all(client.bus, "echo")
        async with watching(client, guild.client.bus) as told:
            await client.publish("inbox.echo", Ping(text="y"))
            await told.of(1)

    assert counting.ends == 2
    assert len(told.rows) == 1


async def test_what_cannot_be_sent_is_dropped_and_the_rest_goes_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = [BackendUnavailableError("away"), RuntimeError("a bug")]
    async with running(site, SPEC) as guild, client_of(site, SPEC) as client:
        emit = guild.client.bus.backend.emit

        async def failing(envelopes: Any) -> None:
            if any(each.topic == LIVE_TOPIC for each in envelopes) and errors:
                raise errors.pop()
            await emit(envelopes)

        async with watching(client, guild.client.bus) as told:
            monkeypatch.setattr(guild.client.bus.backend, "emit", failing)
            while not told.summaries:
                await client.publish("inbox.echo", Ping(text="x"))
                await settled_all(client.bus, "echo")

    assert errors == []


async def test_texts_that_no_json_can_hold_are_told_as_far_as_they_can_be(site: Site) -> None:
    class OddError(Exception):
        def __str__(self) -> str:
            return "\ud800" * 5_000

    seen = _Seen("process")
    envelope = Envelope("0" * 32, "t" * 5_000, 1, "topic", b"", sender="s" * 5_000)
    handling = Handling(envelope, "agent", 1, None)
    seen.ended(handling, Ending("retried", OddError(), 0.1), None)
    (told,) = seen.take_rows()
    (summary,) = seen.take_summary(1.0)

    assert isinstance(told, LiveHandlings)
    assert LiveHandlings.model_validate_json(told.model_dump_json()) == told
    assert len(told.rows[0].error) == telling.LONGEST_ERROR
    assert isinstance(summary, LiveSummary)
    assert len(summary.activities[0].type) == len(told.rows[0].type) == 200


async def test_the_topic_holds_no_more_than_its_cap(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching_module, "MOST_ENTRIES", 5)
    async with (
        running(site, SPEC) as guild,
        client_of(site, SPEC) as client,
        watching(client, guild.client.bus) as told,
    ):
        await client.publish("inbox.echo", Ping(text="x"))
        await told.of(1)
        (entry, *_) = await client.bus.backend.tail(
            {LIVE_TOPIC: FROM_START}, max_count=9, wait_s=0.0
        )
        await client.bus.backend.emit([entry.envelope] * 1_000)
        kept = await client.bus.backend.tail({LIVE_TOPIC: FROM_START}, max_count=2_000, wait_s=0.0)

    assert len(kept) <= 200  # a server trims a node of its stream at a time


async def test_watching_ends_with_the_bus_and_does_not_begin_without_one(site: Site) -> None:
    async with running(site, SPEC) as guild, client_of(site, SPEC) as client:
        watching_on = asyncio.create_task(_watch(client))
        await eventually(lambda: is_observed(guild))
    assert await watching_on == []
    with pytest.raises(BusClosedError, match="not open"):
        await _watch(client)


async def _watch(client: GuildClient) -> list[LiveSummary | LiveHandlings]:
    return [told async for told in client.live()]


async def test_a_teller_that_leaves_while_it_is_watched_leaves_nothing_behind(site: Site) -> None:
    async with Bus(await site.open(), owns_backend=False) as bus:
        async with LiveTeller(bus):
            await bus.watchers.announce(LIVE_TOPIC)
            assert tellers() == 1
        await asyncio.sleep(0)

        assert tellers() == 0
        assert not bus._observers.are_told
        assert not bus.watchers._leases


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second is shorter here."""
    monkeypatch.setattr(telling, "PERIOD_S", 0.3)
    monkeypatch.setattr(telling, "ROWS_EVERY_S", 0.1)


@pytest.fixture(autouse=True)
async def nothing_left() -> AsyncIterator[None]:
    yield
    await asyncio.sleep(0)
    assert tellers() == 0


def test_rows_are_small() -> None:
    """So that a second of them fits a few messages of a usual size."""
    row = LiveHandling(
        id="0" * 32,
        cause="0" * 32,
        conversation="0" * 32,
        topic="a.topic.of.usual.length",
        type="research.evaluate",
        sender="coordinator",
        agent="evaluator",
        attempt=1,
        outcome="handled",
        error="",
        waited_s=0.123456789,
        handled_s=0.123456789,
        at=1.7e9,
        trace="00-" + "0" * 32 + "-" + "0" * 16 + "-01",
    )

    assert len(row.model_dump_json()) < 600
