"""Cancelling what runs, what waits, and what followed from it."""

import asyncio
import threading

import pytest

from messaging.errors import HandlingCancelledError, RequestCancelledError
from messaging.handling.context import Context
from messaging.handling.subscription import Subscription
from messaging.testing import Recorder, eventually
from messaging.wire.envelope import new_id
from messaging.wire.replies import Cancelled
from tests.messaging.buses import (
    Ask,
    Told,
    dead_letters,
    listening,
    lying_in,
    open_bus,
    options,
    settled_all,
)
from tests.messaging.conftest import Site


class Endless:
    """A handler that never ends by itself, except for messages that say so."""

    def __init__(self) -> None:
        self.started: list[Context] = []
        self.cancelled: list[str] = []

    async def __call__(self, ask: Ask, context: Context) -> Told:
        self.started.append(context)
        if ask.text == "short":
            return Told(text="short")
        try:
            return await asyncio.Future()
        except asyncio.CancelledError:
            self.cancelled.append(ask.text)
            raise


async def test_cancelling_ends_the_handler_and_tells_the_requester(site: Site) -> None:
    endless = Endless()
    async with open_bus(site) as server, open_bus(site) as client:
        await server.subscribe(listening("endless", endless))
        asked = new_id()
        asking = asyncio.create_task(client.request("asks", Ask(text="long"), message_id=asked))
        await eventually(lambda: len(endless.started) == 1)

        await client.cancel(asked, "no longer needed")

        with pytest.raises(RequestCancelledError, match="no longer needed"):
            await asking
        await eventually(lambda: endless.cancelled == ["long"])
        await settled_all(server, "endless")
        assert len(endless.started) == 1
        assert await server.dead_letters.list() == []


async def test_the_notice_goes_to_whoever_the_request_named(site: Site) -> None:
    endless = Endless()
    async with open_bus(site) as bus:
        await bus.subscribe(listening("endless", endless))
        asked = await bus.publish("asks", Ask(text="long"), reply_to="inbox.asker")
        await eventually(lambda: len(endless.started) == 1)

        await bus.cancel(asked, "enough")

        (entry,) = await lying_in(bus, "inbox.asker")
        assert bus._decoder.read(entry.envelope) == Cancelled(message_id=asked, reason="enough")
        assert entry.envelope.cause == asked


async def test_what_was_cancelled_before_it_started_never_starts(site: Site) -> None:
    recorder = Recorder()
    async with open_bus(site) as bus:
        await bus.register(listening("late", recorder))
        asked = await bus.publish("asks", Ask(text="never"), reply_to="inbox.asker")
        await bus.cancel(asked)

        await bus.subscribe(listening("late", recorder))

        (entry,) = await lying_in(bus, "inbox.asker")
        assert entry.envelope.type == "bus.cancelled"
        await settled_all(bus, "late")
        assert await recorder.messages(0) == []


async def test_cancelling_reaches_what_followed_from_the_message(site: Site) -> None:
    endless = Endless()

    async def delegate(ask: Ask, context: Context) -> None:
        context.send(ask, "further")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("endless", endless, topics=["further"]))
        await bus.subscribe(listening("front", delegate))
        asked = await bus.publish("asks", Ask(text="long"))
        await eventually(lambda: len(endless.started) == 1)

        await bus.cancel(asked)

        await eventually(lambda: endless.cancelled == ["long"])


async def test_an_agent_may_clean_up_after_a_cancellation(site: Site) -> None:
    endless, cleaned = Endless(), Recorder()

    async def delegate(ask: Ask, context: Context) -> None:
        context.send(ask, "further")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("endless", endless, topics=["further"]))
        handlers = {Ask: delegate, Cancelled: cleaned}
        await bus.subscribe(Subscription("front", ["asks"], handlers, options()))
        asked = await bus.publish("asks", Ask(text="long"))
        await eventually(lambda: len(endless.started) == 1)

        await bus.cancel(asked, "enough")

        assert await cleaned.messages(1) == [
            Cancelled(message_id=endless.started[0].message_id, reason="enough")
        ]


async def test_a_thread_sees_that_it_was_cancelled_and_its_result_is_dropped(site: Site) -> None:
    started, left = threading.Event(), threading.Event()
    seen: list[Exception] = []

    def work(ask: Ask, context: Context) -> Told:
        started.set()
        try:
            while True:
                context.raise_if_cancelled()
                left.wait(0.005)
        except HandlingCancelledError as error:
            seen.append(error)
            context.send(Told(text="too late"), "told")
        return Told(text="too late")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("plain", work, output_topic="told"))
        asked = await bus.publish("asks", Ask(text="long"))
        await eventually(started.is_set)

        await bus.cancel(asked, "enough")

        await eventually(lambda: len(seen) == 1)
        assert "enough" in str(seen[0])
        await settled_all(bus, "plain")
        assert "told" not in [info.topic for info in await bus.backend.topics()]


async def test_a_worker_survives_a_handler_that_swallows_its_cancellation(site: Site) -> None:
    started = asyncio.Event()

    async def stubborn(ask: Ask, context: Context) -> Told:
        if ask.text == "long":
            started.set()
            try:
                await asyncio.Future()
            except asyncio.CancelledError:
                return Told(text="swallowed")
        return Told(text=ask.text)

    async with open_bus(site) as bus:
        await bus.subscribe(listening("stubborn", stubborn, concurrency=1))
        asked = new_id()
        asking = asyncio.create_task(bus.request("asks", Ask(text="long"), message_id=asked))
        await started.wait()

        await bus.cancel(asked)

        with pytest.raises(RequestCancelledError):
            await asking
        assert await bus.request("asks", Ask(text="short")) == Told(text="short")


async def test_a_worker_survives_a_handler_that_cancels_its_own_message(site: Site) -> None:
    async with open_bus(site) as bus:

        async def suicidal(ask: Ask, context: Context) -> Told:
            if ask.text == "self":
                bus._cancellations._apply(_cancel(context.message_id))
            return Told(text=ask.text)

        await bus.subscribe(listening("suicidal", suicidal, concurrency=1))

        with pytest.raises(RequestCancelledError):
            await bus.request("asks", Ask(text="self"))
        assert await bus.request("asks", Ask(text="short")) == Told(text="short")


def _cancel(message_id: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
    from messaging.control.cancellation import CancelRequested  # noqa: PLC0415

    return CancelRequested(message_id=message_id)


async def test_a_handler_that_raises_cancelled_by_itself_has_failed(site: Site) -> None:
    async def odd(ask: Ask, context: Context) -> Told:
        raise asyncio.CancelledError

    async with open_bus(site) as bus:
        await bus.subscribe(listening("odd", odd, concurrency=1))
        await bus.publish_many("asks", [Ask(text="a"), Ask(text="b")])

        assert len(await dead_letters(bus, 2)) == 2


async def test_other_work_goes_on_while_one_message_is_cancelled(site: Site) -> None:
    endless = Endless()
    async with open_bus(site) as bus:
        await bus.subscribe(listening("endless", endless))
        doomed = await bus.publish("asks", Ask(text="doomed"))
        await bus.publish("asks", Ask(text="spared"))
        await eventually(lambda: len(endless.started) == 2)

        await bus.cancel(doomed)

        await eventually(lambda: endless.cancelled == ["doomed"])
        assert await bus.request("asks", Ask(text="short")) == Told(text="short")
        assert endless.cancelled == ["doomed"]
        await bus.cancel(endless.started[1].message_id)
