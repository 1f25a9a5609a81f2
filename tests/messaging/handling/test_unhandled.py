"""An answer that its asker has no handler for is settled, and the log tells of it once."""

from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
import structlog

from messaging.errors import RequestTimeoutError
from messaging.handling import unhandled
from messaging.handling.context import Context
from messaging.testing import Recorder
from messaging.wire.envelope import new_id
from messaging.wire.topic import inbox_of
from tests.messaging.buses import (
    Ask,
    Gate,
    Progress,
    Told,
    dead_letters,
    echo,
    listening,
    lying_in,
    open_bus,
    settled_all,
)
from tests.messaging.conftest import Site

Logs = list[MutableMapping[str, Any]]


@pytest.fixture
def logs() -> Iterator[Logs]:
    """What is logged, by a process that has not told of anything yet."""
    unhandled._warn.cache_clear()
    with structlog.testing.capture_logs() as lines:
        yield lines


def unhandled_in(logs: Logs) -> Logs:
    return [line for line in logs if line["event"] == "inbox.answer_unhandled"]


async def forward(ask: Ask, context: Context) -> None:
    context.send(Ask(text=ask.text), "further")


async def test_an_answer_without_a_handler_is_told_of_once_with_the_remedy(
    site: Site, logs: Logs
) -> None:
    async with open_bus(site) as bus:
        await bus.subscribe(listening("other", echo, topics=["further"]))
        await bus.subscribe(listening("asker", forward))

        await bus.publish_many("asks", [Ask(text="one"), Ask(text="two")])
        await lying_in(bus, inbox_of("asker"), 2)
        await settled_all(bus, "asker")

        assert await bus.dead_letters.list() == []
    (line,) = unhandled_in(logs)
    assert (line["log_level"], line["guild"], line["agent"]) == ("warning", bus.guild_id, "asker")
    assert (line["type"], line["sender"]) == ("Told", "other")
    assert line["remedy"] == (
        'add a handler, or send with `reply_to=""` where the answer is not wanted'
    )


async def test_the_answers_of_each_agent_and_of_each_type_are_told_of(
    site: Site, logs: Logs
) -> None:
    async def step(ask: Ask, context: Context) -> Progress:
        return Progress(step=1)

    async with open_bus(site) as bus:
        await bus.subscribe(listening("other", echo, topics=["further"]))
        await bus.subscribe(listening("another", echo, topics=["further"]))
        await bus.subscribe(listening("stepper", step, topics=["further"]))
        await bus.subscribe(listening("asker", forward))

        await bus.publish("asks", Ask(text="one"))
        await lying_in(bus, inbox_of("asker"), 3)
        await settled_all(bus, "asker")

    assert sorted((line["type"], line["sender"]) for line in unhandled_in(logs)) == [
        ("Progress", "stepper"),
        ("Told", "another"),
        ("Told", "other"),
    ]


async def test_a_subscription_that_begins_again_does_not_tell_of_it_again(
    site: Site, logs: Logs
) -> None:
    async with open_bus(site) as bus:
        await bus.subscribe(listening("other", echo, topics=["further"]))
        for answers in (1, 2):
            running = await bus.subscribe(listening("asker", forward))
            await bus.publish("asks", Ask(text="one"))
            await lying_in(bus, inbox_of("asker"), answers)
            await settled_all(bus, "asker")
            await running.drain()

    assert len(unhandled_in(logs)) == 1


async def test_nothing_is_told_where_no_answer_was_asked_for(site: Site, logs: Logs) -> None:
    async def forward_only(ask: Ask, context: Context) -> None:
        context.send(Ask(text=ask.text), "further", reply_to="")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("other", echo, topics=["further"]))
        await bus.subscribe(listening("asker", forward_only))

        await bus.publish("asks", Ask(text="one"))
        await lying_in(bus, "further", 2)
        await settled_all(bus, "asker")

    assert unhandled_in(logs) == []


async def test_nothing_is_told_of_what_others_on_a_topic_handle(site: Site, logs: Logs) -> None:
    told = Recorder()
    async with open_bus(site) as bus:
        await bus.subscribe(listening("echo", echo))
        await bus.subscribe(listening("log", told, Told))

        await bus.publish("asks", Ask(text="one"))
        await told.messages(1)
        await settled_all(bus, "echo")
        await settled_all(bus, "log")

    assert unhandled_in(logs) == []


async def test_nothing_is_told_of_an_answer_that_came_after_its_request(
    site: Site, logs: Logs
) -> None:
    gate = Gate(Told(text="late"))

    async def ask(ask: Ask, context: Context) -> None:
        with pytest.raises(RequestTimeoutError):
            await context.request("further", Ask(text="x"), timeout_s=0.01)
        gate.opened.set()

    async with open_bus(site) as bus:
        await bus.subscribe(listening("slow", gate, topics=["further"]))
        await bus.subscribe(listening("asker", ask))

        await bus.publish("asks", Ask(text="one"))
        await lying_in(bus, "told")
        await settled_all(bus, "asker")
        await settled_all(bus, "slow")

    assert unhandled_in(logs) == []


async def test_nothing_is_told_of_a_question_that_was_put_into_an_inbox(
    site: Site, logs: Logs
) -> None:
    async def send_wrong(ask: Ask, context: Context) -> None:
        context.send(Told(text="x"), inbox_of("deaf"))

    async with open_bus(site) as bus:
        await bus.subscribe(listening("asker", send_wrong))
        await bus.subscribe(listening("deaf", echo, topics=[]))

        await bus.publish("asks", Ask(text="one"))
        await bus.publish(inbox_of("deaf"), Told(text="from outside"), message_id=new_id())
        await lying_in(bus, inbox_of("deaf"), 2)
        await settled_all(bus, "deaf")

    assert unhandled_in(logs) == []


async def test_nothing_is_told_of_a_notice_that_a_message_was_given_up(
    site: Site, logs: Logs
) -> None:
    async def fail(ask: Ask, context: Context) -> None:
        raise ValueError("no")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("other", fail, topics=["further"]))
        await bus.subscribe(listening("asker", forward))

        await bus.publish("asks", Ask(text="one"))
        await dead_letters(bus)
        await lying_in(bus, inbox_of("asker"))
        await settled_all(bus, "asker")

    assert unhandled_in(logs) == []
