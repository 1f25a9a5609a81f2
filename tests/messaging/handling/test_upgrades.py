"""What one replica cannot read is left to another one of its group for two leases."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from messaging.backend import unread_key
from messaging.handling import unreadable
from messaging.handling.context import Context
from messaging.handling.failure_record import reason_of
from messaging.handling.unreadable import Unreadable
from messaging.testing import PATIENCE_S, Recorder, eventually
from messaging.wire.message import Message
from tests.messaging.buses import (
    Ask,
    Told,
    at_work,
    dead_letters,
    listening,
    open_bus,
    settled_all,
    texts_in,
)
from tests.messaging.conftest import Site

LEASE_S = 0.8
COUNT = 30


class NewAsk(Message, wire_name="Ask", version=2):
    text: str
    more: str = ""


class OldAsk(Message, wire_name="Ask", version=3):
    """Without a way from the first version."""

    text: str


class Strange(Message, wire_name="strange"):
    text: str


async def answer(ask: Message, context: Context) -> None:
    context.send(Told(text=f"{ask.text} {context.attempt}"), "told")  # type: ignore[attr-defined] # all have one


@pytest.fixture
def few_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two leases of fewer pauses: each ends only when the bus next looks for what is due."""
    monkeypatch.setattr(unreadable, "PAUSES_PER_LEASE", 4)


async def give_up_at_once(*_: Any) -> None:
    """The mutant: what is not known here is known nowhere."""


def old(**changes: Any) -> Any:
    return listening("team", answer, lease_s=LEASE_S, only_known_types=True, **changes)


def new(*classes: type[Message], **changes: Any) -> Any:
    return listening("team", answer, *classes, lease_s=LEASE_S, only_known_types=True, **changes)


@pytest.mark.parametrize("left", [Unreadable.left, give_up_at_once], ids=["bus", "mutant"])
async def test_what_an_older_replica_cannot_read_a_newer_one_beside_it_handles(
    site: Site, left: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Unreadable, "left", left)
    async with open_bus(site) as one, open_bus(site) as two:
        for bus in (one, two):
            bus.registry = type(bus.registry)(Told)
        await one.subscribe(old(concurrency=1))
        await two.subscribe(new(NewAsk, Strange, concurrency=1))
        ids = [await one.publish("asks", NewAsk(text=str(n))) for n in range(COUNT)]
        ids += [await one.publish("asks", Strange(text=f"strange {n}")) for n in range(COUNT)]

        if left is give_up_at_once:
            await settled_all(one, "team")
            assert await one.dead_letters.list()
            return
        told = await texts_in(two, "told", 2 * COUNT)
        await settled_all(two, "team")
        expected = [str(n) for n in range(COUNT)] + [f"strange {n}" for n in range(COUNT)]
        assert sorted(told) == sorted(f"{text} 1" for text in expected)  # no attempt was counted
        assert not await one.dead_letters.list()
        for message_id in ids:
            assert await one.backend.load_state("team", unread_key(message_id)) is None


@pytest.mark.usefixtures("few_pauses")
@pytest.mark.parametrize(
    ("handled", "sent", "named"),
    [
        (Ask, NewAsk(text="x"), ("Ask@2", "Ask@1")),
        (OldAsk, NewAsk(text="x"), ("Ask@2", "Ask@3")),
        (Ask, Strange(text="x"), ("strange@1", "known types: Ask")),
    ],
    ids=["too new", "without a way", "unknown"],
)
@pytest.mark.parametrize("ordered_by", ["", "text"])
async def test_what_nobody_can_read_is_given_up_after_two_leases_and_names_both(
    site: Site, handled: type[Message], sent: Message, named: tuple[str, str], ordered_by: str
) -> None:
    loop = asyncio.get_running_loop()
    async with open_bus(site) as bus:
        bus.registry = type(bus.registry)(Told)
        await bus.subscribe(new(handled, ordered_by=ordered_by))
        began = loop.time()
        message_id = await bus.publish("asks", sent)

        (letter,) = await dead_letters(bus)

        assert loop.time() - began >= 2 * LEASE_S
        reason = reason_of(letter)
        assert all(name in reason.text for name in named)
        assert len(reason.attempts) == 1
        assert letter.envelope.attempt == 1
        assert await bus.backend.load_state("team", unread_key(message_id)) is None
        await settled_all(bus, "team")


async def test_what_an_older_replica_cannot_read_holds_up_nothing_else(site: Site) -> None:
    recorder = Recorder()
    team = listening("team", recorder, lease_s=30.0, concurrency=1, only_known_types=True)
    async with open_bus(site) as bus:
        bus.registry = type(bus.registry)(Told)
        await bus.subscribe(team)
        await bus.publish_many("asks", [NewAsk(text=str(n)) for n in range(COUNT)])
        await bus.publish("asks", Ask(text="readable"))

        assert await recorder.messages(1) == [Ask(text="readable")]
        assert not await bus.dead_letters.list()


async def test_what_a_newer_replica_has_no_use_for_leaves_no_trace(site: Site) -> None:
    """It knows the type, as one of others, so it ignores what an older one has left to it."""
    async with open_bus(site) as one, open_bus(site) as two:
        for bus in (one, two):
            bus.registry = type(bus.registry)(Told)
        older = await one.subscribe(old())
        message_id = await one.publish("asks", Strange(text="x"))
        await _until(lambda: one.backend.load_state("team", unread_key(message_id)), is_there=True)
        await older.drain()
        two.registry.add(Strange)
        await two.subscribe(new(NewAsk))

        await _until(lambda: two.backend.load_state("team", unread_key(message_id)), is_there=False)
        assert not await two.dead_letters.list()


async def _until(load: Callable[[], Awaitable[Any]], *, is_there: bool) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (await load() is not None) is not is_there:  # noqa: ASYNC110 - the store tells nobody
            await asyncio.sleep(0.01)


async def test_in_order_it_waits_with_its_equals_for_the_next_leader(site: Site) -> None:
    """While the older one leads; other keys go on."""
    team = "first", "second"
    async with open_bus(site) as one, open_bus(site) as two:
        for bus in (one, two):
            bus.registry = type(bus.registry)(Told)
        leader = await one.subscribe(old(ordered_by="text"))
        await eventually(lambda: bool(at_work()))
        await two.subscribe(new(NewAsk, Ask, ordered_by="text"))
        await one.publish("asks", NewAsk(text="same", more=team[0]))
        await one.publish("asks", Ask(text="same"))
        await one.publish("asks", Ask(text="other"))

        assert await texts_in(one, "told") == ["other 1"]
        await leader.drain()

        assert await texts_in(two, "told", 3) == ["other 1", "same 1", "same 1"]
        await settled_all(two, "team")
        assert not await one.dead_letters.list()


@pytest.mark.usefixtures("few_pauses")
async def test_a_requester_of_what_nobody_can_read_is_told(site: Site) -> None:
    async with open_bus(site) as bus:
        bus.registry = type(bus.registry)(Told)
        await bus.subscribe(old())

        with pytest.raises(Exception, match="Ask@2 is newer than Ask@1"):
            await bus.request("asks", NewAsk(text="x"), timeout_s=20)
