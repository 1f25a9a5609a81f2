"""Questions, answers, and what is emitted in between."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import pytest
from pydantic import BaseModel

from messaging.errors import (
    BusClosedError,
    NobodyListensError,
    PayloadTooLargeError,
    RequestFailedError,
    RequestTimeoutError,
)
from messaging.handling.context import Context
from messaging.handling.emitter import Emitter
from messaging.testing import Recorder, eventually
from messaging.wire.message import Message
from messaging.wire.replies import UnknownMessage
from tests.messaging.buses import (
    Ask,
    Progress,
    Told,
    dead_letters,
    listening,
    open_bus,
)
from tests.messaging.conftest import Site


class Unheard(Message):
    depth: int


async def echo(ask: Ask, context: Context) -> Told:
    return Told(text=ask.text)


def counting(count: int) -> Callable[..., object]:
    async def count_up(ask: Ask, context: Context) -> Told:
        for step in range(count):
            context.emit(Progress(step=step))
        return Told(text=ask.text)

    return count_up


async def test_a_request_that_cannot_leave_leaves_nobody_waiting_for_its_answer(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PayloadTooLargeError("Ask", 2, 1)

    async with open_bus(site) as bus:
        monkeypatch.setattr(bus.publisher, "append", refuse)
        with pytest.raises(PayloadTooLargeError):
            await bus.request("asks", Ask(text="long"))

        assert not bus._requests._waiting


async def test_requests_from_many_sides_each_get_their_own_answer(site: Site) -> None:
    async with open_bus(site) as server, open_bus(site) as one, open_bus(site) as two:
        await server.subscribe(listening("echo", echo))

        buses = [one, two] * 20
        answers = await asyncio.gather(
            *(bus.request("asks", Ask(text=str(number))) for number, bus in enumerate(buses))
        )

        assert answers == [Told(text=str(number)) for number in range(40)]


async def test_a_request_that_nobody_listens_to_fails_at_once(site: Site) -> None:
    async with open_bus(site) as bus:
        await bus.subscribe(listening("echo", echo))

        with pytest.raises(NobodyListensError, match=r"'askss'.*agents listen to: asks, inbox"):
            await bus.request("askss", Ask(text="hello"))


async def test_an_unanswered_request_times_out_and_stays_accepted(site: Site) -> None:
    recorder = Recorder()
    async with open_bus(site) as bus:
        subscription = listening("late", recorder)
        await bus.register(subscription)

        with pytest.raises(RequestTimeoutError, match="stays accepted"):
            await bus.request("asks", Ask(text="hello"), timeout_s=0.05)

        await bus.subscribe(subscription)
        assert await recorder.messages(1) == [Ask(text="hello")]


async def test_a_requester_hears_why_its_request_failed(site: Site) -> None:
    async with open_bus(site) as bus:
        await bus.subscribe(listening("broken", Recorder(ValueError("no such colour"))))

        with pytest.raises(RequestFailedError, match="broken answered with ValueError") as failed:
            await bus.request("asks", Ask(text="hello"))

        (letter,) = await dead_letters(bus)
        assert (failed.value.error_type, failed.value.text) == ("ValueError", "no such colour")
        found = await bus.dead_letters.show(failed.value.dead_letter_id)
        assert found is not None
        assert found.id == letter.id


async def test_an_answer_of_an_unknown_type_comes_as_its_json(site: Site) -> None:
    async def dig(ask: Ask, context: Context) -> Unheard:
        return Unheard(depth=3)

    async with open_bus(site) as bus:
        await bus.subscribe(listening("digger", dig))

        answer = await bus.request("asks", Ask(text="dig"))

        assert answer == UnknownMessage(type="Unheard", version=1, data={"depth": 3})


async def test_of_several_answers_the_first_one_counts(site: Site) -> None:
    async def twice(ask: Ask, context: Context) -> list[BaseModel]:
        return [Told(text="first"), Told(text="second")]

    async with open_bus(site) as bus:
        await bus.subscribe(listening("twice", twice))

        assert await bus.request("asks", Ask(text="")) == Told(text="first")
        assert await bus.request("asks", Ask(text="")) == Told(text="first")


async def test_a_handler_may_ask_a_short_question_itself(site: Site) -> None:
    async def relay(progress: Progress, context: Context) -> BaseModel:
        return await context.request("asks", Ask(text=f"step {progress.step}"))

    async with open_bus(site) as bus:
        await bus.subscribe(listening("echo", echo))
        await bus.subscribe(listening("relay", relay, Progress, topics=["steps"]))

        assert await bus.request("steps", Progress(step=4)) == Told(text="step 4")


async def test_closing_the_bus_tells_those_who_wait(site: Site) -> None:
    async with open_bus(site) as bus:
        await bus.register(listening("late", echo))
        asking = asyncio.create_task(bus.request("asks", Ask(text="hello")))
        await eventually(lambda: bool(bus._requests._waiting))
    with pytest.raises(BusClosedError):
        await asking


async def test_a_stream_yields_everything_emitted_and_last_the_answer(site: Site) -> None:
    async with open_bus(site) as server, open_bus(site) as client:
        await server.subscribe(listening("counter", counting(2_000)))

        items = [item async for item in client.stream("asks", Ask(text="done"))]

        assert items == [*(Progress(step=step) for step in range(2_000)), Told(text="done")]


async def test_streams_at_the_same_time_do_not_mix(site: Site) -> None:
    async with open_bus(site) as bus:
        await bus.subscribe(listening("counter", counting(20)))

        async def follow(text: str) -> list[BaseModel]:
            return [item async for item in bus.stream("asks", Ask(text=text), conversation="c")]

        first, second = await asyncio.gather(follow("first"), follow("second"))

        steps = [Progress(step=step) for step in range(20)]
        assert (first, second) == ([*steps, Told(text="first")], [*steps, Told(text="second")])


async def test_a_whole_conversation_includes_what_followed_from_the_request(site: Site) -> None:
    async def ask_counter(ask: Ask, context: Context) -> BaseModel:
        return await context.request("counts", ask)

    async with open_bus(site) as bus:
        await bus.subscribe(listening("counter", counting(3), topics=["counts"]))
        await bus.subscribe(listening("front", ask_counter))

        own = [item async for item in bus.stream("asks", Ask(text="x"))]
        whole = [item async for item in bus.stream("asks", Ask(text="x"), whole_conversation=True)]

        assert own == [Told(text="x")]
        assert whole == [*(Progress(step=step) for step in range(3)), Told(text="x")]


async def test_a_thread_may_emit(site: Site) -> None:
    def count_up(ask: Ask, context: Context) -> Told:
        for step in range(50):
            context.emit(Progress(step=step))
        return Told(text="done")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("counter", count_up))

        items = [item async for item in bus.stream("asks", Ask(text=""))]

        assert items == [*(Progress(step=step) for step in range(50)), Told(text="done")]


async def test_items_arrive_while_the_handler_still_works(site: Site) -> None:
    seen = asyncio.Event()

    async def patient(ask: Ask, context: Context) -> Told:
        context.emit(Progress(step=1))
        await seen.wait()
        return Told(text="done")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("patient", patient))
        async with aclosing(bus.stream("asks", Ask(text=""), timeout_s=10)) as stream:
            assert await anext(stream) == Progress(step=1)
            seen.set()
            assert await anext(stream) == Told(text="done")


async def test_emitting_to_nobody_harms_nobody(site: Site) -> None:
    async with open_bus(site) as bus:
        await bus.subscribe(listening("counter", counting(100)))

        assert await bus.request("asks", Ask(text="done")) == Told(text="done")


async def test_leaving_a_stream_early_forgets_what_it_followed(site: Site) -> None:
    gate = asyncio.Event()

    async def endless(ask: Ask, context: Context) -> None:
        context.emit(Progress(step=1))
        await gate.wait()

    async with open_bus(site) as bus:
        await bus.subscribe(listening("endless", endless))
        async with aclosing(bus.stream("asks", Ask(text=""))) as stream:
            await anext(stream)

        assert bus._requests._waiting == {}
        assert len(bus._tail._positions) == 2
        gate.set()


async def test_a_failed_stream_raises_after_its_items(site: Site) -> None:
    async def stumble(ask: Ask, context: Context) -> None:
        context.emit(Progress(step=context.attempt))
        raise ValueError("stumbled")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("stumbler", stumble))

        stream = bus.stream("asks", Ask(text=""))
        items = [await anext(stream) for _ in range(3)]
        assert items == [Progress(step=attempt) for attempt in (1, 2, 3)]
        with pytest.raises(RequestFailedError, match="stumbled"):
            await anext(stream)


async def test_a_stream_times_out_as_a_whole(site: Site) -> None:
    async def dawdle(ask: Ask, context: Context) -> None:
        context.emit(Progress(step=1))
        await asyncio.Future()

    async with open_bus(site) as bus:
        await bus.subscribe(listening("dawdler", dawdle, drain_s=0.0))

        with pytest.raises(RequestTimeoutError):
            async for _ in bus.stream("asks", Ask(text=""), timeout_s=0.3):
                pass


async def test_without_a_flush_before_the_commit_the_answer_would_overtake_items(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order test above proves something: this emitter fails it."""

    async def no_flush(self: Emitter) -> None:
        return None

    async def lazily(self: Emitter, batch: object) -> None:
        await asyncio.sleep(0.05)
        await send_batch(self, batch)  # type: ignore[arg-type]

    send_batch = Emitter._send_batch
    async with open_bus(site) as bus:
        await bus.subscribe(listening("counter", counting(10)))
        with monkeypatch.context() as mutant:
            mutant.setattr(Emitter, "flush", no_flush)
            mutant.setattr(Emitter, "_send_batch", lazily)

            items = [item async for item in bus.stream("asks", Ask(text="done"))]

        assert items == [Told(text="done")]
