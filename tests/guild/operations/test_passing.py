"""Messages and events as they pass, as documents."""

from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import BaseModel

from guild.events import GuildStarted, OperatorActed
from guild.operations.passing import made_at
from guild.testing import seen as announced
from messaging.errors import TopicError
from messaging.wire.envelope import new_id
from messaging.wire.replies import UnknownMessage
from tests.guild.operations.desk import client_of, running, spec_of, until_later
from tests.guild.samples import Echo, Ping
from tests.messaging.conftest import Site

DATA = {"text": "x"}


class Stranger(BaseModel):
    text: str


async def test_messages_pass_with_where_they_come_from(site: Site) -> None:
    async with running(site, spec_of(Echo)) as guild:
        client = guild.client
        passing = client.messages(["pings", "default_topic"])
        sent = await client.publish("pings", Ping(text="x"))
        await client.bus.publish("default_topic", Ping(text="y"), conversation=sent)
        async with aclosing(passing):
            seen = {message.topic: message for message in [await anext(passing) for _ in range(3)]}

    assert (seen["pings"].id, seen["pings"].data, seen["pings"].cause) == (sent, DATA, None)
    assert (seen["pings"].type, seen["pings"].attempt) == ("tests.ping", 1)
    assert seen["default_topic"].conversation == sent
    assert seen["pings"].at is not None
    assert abs(datetime.now(UTC) - seen["pings"].at) < timedelta(minutes=5)


async def test_what_was_published_between_the_call_and_the_first_look_is_seen(site: Site) -> None:
    async with running(site, spec_of(Echo)) as guild:
        await announced(guild, GuildStarted)
        await until_later(guild.client)
        passing, events = guild.client.messages(["notes"]), guild.client.events()
        sent = await guild.client.publish("notes", Ping(text="x"))
        await guild.client.pause("echo", by="ada")

        assert (await anext(passing)).id == sent
        seen = (await anext(events)).event
        if isinstance(seen, GuildStarted):  # on a busy machine it is not known that it came before
            seen = (await anext(events)).event
        assert seen == OperatorActed(act="pause", target="echo", by="ada")


async def test_no_topic_may_have_such_a_name(site: Site) -> None:
    async with client_of(site, spec_of(Echo)) as client:
        with pytest.raises(TopicError):
            client.messages(["a..b"])


async def test_events_are_told_as_their_classes_and_strange_ones_as_they_are(site: Site) -> None:
    async with running(site, spec_of(Echo)) as guild:
        await announced(guild, GuildStarted)
        await guild.client.bus.publish("guild.events", Stranger(text="x"))
        events = [event async for event in guild.client.events(follow=False)]

    started, strange = events
    assert isinstance(started.event, GuildStarted)
    assert strange.event == UnknownMessage(type="Stranger", version=1, data=DATA)
    assert (started.type, strange.type) == ("guild.started", "Stranger")
    assert started.model_dump(mode="json")["event"]["agents"] == ["echo"]


async def test_events_since_a_time_leave_out_what_was_before(site: Site) -> None:
    async with running(site, spec_of(Echo)) as guild:
        client = guild.client
        await announced(guild, GuildStarted)
        since = datetime.fromtimestamp(await until_later(client), UTC)
        await client.pause("echo")

        later = [event.type async for event in client.events(since=since, follow=False)]
    assert later == ["guild.operated"]


def test_when_a_message_was_made_is_told_by_ids_of_our_own_alone() -> None:
    made = made_at(new_id())

    assert made is not None
    assert abs(datetime.now(UTC) - made) < timedelta(seconds=10)
    assert [made_at(text) for text in ("", "z" * 32, "f" * 32, "ffffffffffff7" + "0" * 19)] == [
        None
    ] * 4
