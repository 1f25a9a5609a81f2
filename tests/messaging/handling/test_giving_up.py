"""Somebody in the middle of a conversation gives up: who waits for the answer hears of it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from messaging.bus import Bus
from messaging.errors import (
    BackendUnavailableError,
    RequestCancelledError,
    RequestFailedError,
    RequestTimeoutError,
)
from messaging.handling.context import Context
from messaging.handling.failure_record import reason_of
from messaging.handling.notices import Told, passed_on, told_of
from messaging.handling.subscription import Handler, Routed
from messaging.testing import PATIENCE_S, Recorder, eventually
from messaging.wire.envelope import Envelope, new_id
from messaging.wire.replies import RequestFailed
from tests.messaging.buses import (
    Ask,
    Gate,
    Progress,
    dead_letters,
    listening,
    open_bus,
)
from tests.messaging.buses import (
    Told as Answer,
)
from tests.messaging.conftest import Site

Handle = Callable[[Any, Context], Awaitable[Any]]


async def pass_on(ask: Ask, context: Context) -> None:
    context.send(Progress(step=1), "steps")


async def pass_on_unasked(ask: Ask, context: Context) -> None:
    context.send(Progress(step=1), "steps", reply_to="")


async def pass_on_to_a_topic(ask: Ask, context: Context) -> None:
    context.send(Progress(step=1), "steps", reply_to="results")


async def pass_on_later(ask: Ask, context: Context) -> None:
    context.send(Progress(step=1), "steps", timer="soon", delay_s=0.01)


async def pass_on_by_itself(ask: Ask, context: Context) -> None:
    context.send(Progress(step=1), "steps", detached=True)


async def ask_itself(ask: Ask, context: Context) -> Answer:
    await context.request("steps", Progress(step=1), timeout_s=PATIENCE_S)
    return Answer(text="not reached")


async def no_answer(*_: object) -> None:
    """Ignore what comes."""


async def broken(*_: object) -> None:
    raise ValueError("no such colour")


def route_to_steps(envelope: Envelope, message: object) -> Sequence[Routed]:
    return [Routed("steps", Progress(step=2))] if isinstance(message, Answer) else ()


async def asked(bus: Bus, **options: Any) -> RequestFailedError:
    with pytest.raises(RequestFailedError) as failed:
        await bus.request("asks", Ask(text="red"), timeout_s=PATIENCE_S, **options)
    return failed.value


@pytest.mark.parametrize("front", [pass_on, pass_on_unasked, pass_on_to_a_topic, pass_on_later])
async def test_a_caller_hears_that_a_message_which_followed_was_given_up(
    site: Site, front: Handle
) -> None:
    async with open_bus(site) as bus, open_bus(site) as elsewhere:
        await bus.subscribe(listening("front", front))
        await elsewhere.subscribe(listening("back", broken, Progress, topics=["steps"]))
        message_id = new_id()

        error = await asked(bus, message_id=message_id)

        (letter,) = await dead_letters(bus)
        assert (error.error_type, error.text, error.agent) == (
            "ValueError",
            "no such colour",
            "back",
        )
        assert error.dead_letter_id == letter.envelope.id != message_id
        assert (error.message_type, error.asked_type) == ("Progress", "Ask")
        assert error.asked_id == error.conversation == message_id
        assert f"back gave up on Progress {letter.envelope.id}, which followed from" in str(error)


async def test_a_caller_who_follows_the_answer_as_a_stream_hears_of_it_too(site: Site) -> None:
    async with open_bus(site) as bus:
        await bus.subscribe(listening("front", pass_on))
        await bus.subscribe(listening("back", broken, Progress, topics=["steps"]))

        with pytest.raises(RequestFailedError, match="back gave up on Progress"):
            async for _ in bus.stream("asks", Ask(text="red"), timeout_s=PATIENCE_S):
                pass


async def test_a_caller_hears_that_an_answer_on_the_way_could_not_be_handled(site: Site) -> None:
    async def count(progress: Progress, context: Context) -> Answer:
        return Answer(text="one")

    async with open_bus(site) as bus:
        front = listening("front", pass_on, Ask)
        handlers = {**front.handlers, Answer: broken}
        await bus.subscribe(type(front)(front.group, front.patterns, handlers, front.options))
        await bus.subscribe(listening("back", count, Progress, topics=["steps"]))

        error = await asked(bus)

        assert (error.agent, error.message_type, error.asked_type) == ("front", "Told", "Ask")


async def test_a_caller_hears_that_what_a_route_sent_on_was_given_up(site: Site) -> None:
    async def forward(ask: Ask, context: Context) -> None:
        context.send(Answer(text="on its way"))

    async with open_bus(site) as bus:
        await bus.subscribe(
            listening("front", forward, route=route_to_steps, output_topic="results")
        )
        await bus.subscribe(listening("back", broken, Progress, topics=["steps"]))

        assert (await asked(bus)).agent == "back"


async def test_a_caller_hears_of_it_through_retries_partitions_and_three_agents(
    site: Site,
) -> None:
    async def further(progress: Progress, context: Context) -> None:
        context.send(Ask(text="more"), "more", key="blue")

    tried = Recorder(ValueError("no such colour"))
    async with open_bus(site) as bus:
        await bus.subscribe(listening("front", pass_on, ordered_by="text"))
        await bus.subscribe(listening("middle", further, Progress, topics=["steps"]))
        await bus.subscribe(
            listening("back", tried, Ask, topics=["more"], ordered_by="key", partitions=2)
        )

        error = await asked(bus)

        assert (error.agent, error.message_type) == ("back", "Ask")
        assert len(await tried.messages(3)) == 3


async def test_what_is_requeued_and_fails_again_is_told_again_and_harms_nobody(
    site: Site,
) -> None:
    async with open_bus(site) as bus:
        await bus.subscribe(listening("front", pass_on))
        await bus.subscribe(listening("back", broken, Progress, topics=["steps"]))
        error = await asked(bus)

        (letter,) = await dead_letters(bus)
        assert await bus.dead_letters.requeue(letter.id)
        await eventually_other_letter(bus, letter.id)

        again = await bus.dead_letters.show(error.dead_letter_id)
        assert again is not None
        assert again.envelope.waiter == letter.envelope.waiter != ""


async def test_an_agent_that_handles_failures_has_taken_over_what_is_to_be_done(
    site: Site,
) -> None:
    asked_by: dict[str, Any] = {}

    async def front(ask: Ask, context: Context) -> None:
        asked_by["requester"] = context.requester
        context.send(Progress(step=1), "steps")

    async def make_good(failed: RequestFailed, context: Context) -> None:
        context.answer(asked_by["requester"], Answer(text=f"without {failed.agent}"))

    async with open_bus(site) as bus:
        plain = listening("front", front)
        handlers = {**plain.handlers, RequestFailed: make_good}
        await bus.subscribe(type(plain)("front", plain.patterns, handlers, plain.options))
        await bus.subscribe(listening("back", broken, Progress, topics=["steps"]))

        answer = await bus.request("asks", Ask(text="red"), timeout_s=PATIENCE_S)

        assert answer == Answer(text="without back")


async def test_what_was_sent_detached_fails_by_itself(site: Site) -> None:
    gate = Gate(Answer(text="done"))

    async def front(ask: Ask, context: Context) -> None:
        await pass_on_by_itself(ask, context)
        context.send(Ask(text="slow"), "slow")

    async def slow(ask: Ask, context: Context) -> None:
        await gate.opened.wait()
        raise KeyError("at last")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("front", front))
        await bus.subscribe(listening("back", broken, Progress, topics=["steps"]))
        await bus.subscribe(listening("slow", slow, topics=["slow"]))
        asking = asyncio.create_task(asked(bus))

        await dead_letters(bus)
        gate.opened.set()

        assert (await asking).error_type == "KeyError"


async def test_a_caller_hears_that_what_followed_was_cancelled(site: Site) -> None:
    started: list[Context] = []

    async def hang(progress: Progress, context: Context) -> None:
        started.append(context)
        await asyncio.Event().wait()

    async with open_bus(site) as bus, open_bus(site) as elsewhere:
        await bus.subscribe(listening("front", pass_on))
        await elsewhere.subscribe(listening("back", hang, Progress, topics=["steps"]))
        message_id = new_id()
        asking = asyncio.create_task(
            bus.request("asks", Ask(text="red"), timeout_s=PATIENCE_S, message_id=message_id)
        )
        await eventually(lambda: bool(started))
        followed = started[0].message_id

        await bus.cancel(followed, "enough")

        with pytest.raises(RequestCancelledError, match=r"followed from .* enough") as cancelled:
            await asking
        assert (cancelled.value.message_id, cancelled.value.asked_id) == (followed, message_id)


async def test_the_nearest_that_waits_is_told_and_its_own_failure_goes_up_from_there(
    site: Site,
) -> None:
    async def middle(progress: Progress, context: Context) -> None:
        context.send(Ask(text="more"), "more")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("front", ask_itself))
        await bus.subscribe(listening("middle", middle, Progress, topics=["steps"]))
        await bus.subscribe(listening("back", broken, topics=["more"]))

        error = await asked(bus)

        assert (error.agent, error.error_type, error.message_type) == (
            "front",
            "RequestFailedError",
            "Ask",
        )
        assert "back gave up on Ask" in error.text


def ask_in_a_thread(ask: Ask, context: Context) -> None:
    context.wait_for(context.request("steps", Progress(step=1), timeout_s=PATIENCE_S))


async def ask_in_a_group(ask: Ask, context: Context) -> None:
    async with asyncio.TaskGroup() as group:
        for step in (1, 2):
            group.create_task(context.request("steps", Progress(step=step), timeout_s=PATIENCE_S))


@pytest.mark.parametrize(
    ("front", "questions"), [(ask_itself, 1), (ask_in_a_thread, 1), (ask_in_a_group, 2)]
)
async def test_who_asked_what_was_given_up_does_not_ask_again(
    site: Site, front: Handler, questions: int
) -> None:
    """Each agent has its own attempts, and not those of every agent above it."""
    started: list[str] = []

    async def middle(progress: Progress, context: Context) -> None:
        await context.request("more", Ask(text=context.message_id), timeout_s=PATIENCE_S)

    async def back(ask: Ask, context: Context) -> None:
        started.append(ask.text)
        raise ValueError("no such colour")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("front", front))
        await bus.subscribe(listening("middle", middle, Progress, topics=["steps"]))
        await bus.subscribe(listening("back", back, topics=["more"]))

        await asked(bus)

        letters = await dead_letters(bus, 1 + 2 * questions)
        attempts = sorted((each.group, len(reason_of(each).attempts)) for each in letters)
        assert attempts == sorted([("front", 1), *[("back", 3), ("middle", 1)] * questions])
        assert len(started) == 3 * questions


async def test_who_raises_an_error_of_its_own_for_what_was_given_up_asks_again(
    site: Site,
) -> None:
    async def front(ask: Ask, context: Context) -> Answer:
        try:
            step = Progress(step=context.attempt)
            await context.request("steps", step, timeout_s=PATIENCE_S)
        except RequestFailedError as error:
            raise ValueError("ask again") from error
        return Answer(text="it did")

    async def back(progress: Progress, context: Context) -> Answer:
        if progress.step == 1:
            raise ValueError("not yet")
        return Answer(text="now")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("front", front))
        await bus.subscribe(listening("back", back, Progress, topics=["steps"]))

        assert await bus.request("asks", Ask(text="red")) == Answer(text="it did")


async def test_who_asked_what_was_cancelled_does_not_ask_again(site: Site) -> None:
    started: list[Context] = []

    async def back(progress: Progress, context: Context) -> None:
        started.append(context)
        await asyncio.Future()

    async with open_bus(site) as bus:
        await bus.subscribe(listening("front", ask_itself))
        await bus.subscribe(listening("back", back, Progress, topics=["steps"]))
        asking = asyncio.create_task(bus.request("asks", Ask(text="red"), timeout_s=PATIENCE_S))
        await eventually(lambda: bool(started))

        await bus.cancel(started[0].message_id, "enough")

        with pytest.raises(RequestFailedError, match=r"RequestCancelledError.*enough"):
            await asking
        assert len(started) == 1


@pytest.mark.parametrize("is_away", [False, True], ids=["late", "away"])
async def test_who_got_no_answer_asks_again(site: Site, is_away: bool) -> None:
    async def front(ask: Ask, context: Context) -> Answer:
        if context.attempt == 1 and is_away:
            raise BackendUnavailableError("for a while")
        timeout_s = 0.05 if context.attempt == 1 else PATIENCE_S
        await context.request("steps", Progress(step=context.attempt), timeout_s=timeout_s)
        return Answer(text="it did")

    async def back(progress: Progress, context: Context) -> Answer:
        if progress.step == 1:
            await asyncio.Future()
        return Answer(text="now")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("front", front))
        await bus.subscribe(listening("back", back, Progress, topics=["steps"], drain_s=0.0))

        assert await bus.request("asks", Ask(text="red")) == Answer(text="it did")


async def test_a_failure_that_comes_after_the_answer_changes_nothing(site: Site) -> None:
    async def front(ask: Ask, context: Context) -> Answer:
        context.send(Progress(step=1), "steps")
        return Answer(text=ask.text)

    async with open_bus(site) as bus:
        await bus.subscribe(listening("front", front))
        await bus.subscribe(listening("back", broken, Progress, topics=["steps"]))

        assert await bus.request("asks", Ask(text="red")) == Answer(text="red")
        await dead_letters(bus)
        assert await bus.request("asks", Ask(text="blue")) == Answer(text="blue")


async def test_what_is_emitted_and_what_answers_the_caller_carry_no_waiter(site: Site) -> None:
    """They are many, or the answer itself: nothing that follows from them is waited for."""
    seen: list[Envelope] = []

    async def front(ask: Ask, context: Context) -> Answer:
        context.emit(Progress(step=1))
        return Answer(text=ask.text)

    async with open_bus(site) as bus:
        bus._tail.listen(bus._tail.reply_topic, lambda entry: seen.append(entry.envelope))
        await bus.subscribe(listening("front", front))
        bus._emitter.emit = seen.append  # type: ignore[method-assign]

        async for _ in bus.stream("asks", Ask(text="red")):
            pass

        answered = [envelope for envelope in seen if envelope.type in ("Told", "Progress")]
        assert answered
        assert {envelope.waiter for envelope in answered} == {""}


def test_a_waiter_that_is_no_callers_topic_is_told_nothing() -> None:
    """A header comes from the wire; it must not lead a notice to where agents listen."""
    envelope = Envelope(new_id(), "bus.request_failed", 1, "inbox.a", b"{}", waiter="orders x")

    assert told_of(envelope) == ()
    assert passed_on(envelope) == ()


@pytest.mark.parametrize("mutant", ["told_of", "passed_on"])
async def test_if_only_the_direct_asker_were_told_the_caller_would_wait_in_vain(
    site: Site, monkeypatch: pytest.MonkeyPatch, mutant: str
) -> None:
    def tell_the_direct_asker(envelope: Envelope) -> Sequence[Told]:
        return (Told(envelope.reply_to, envelope.id),) if envelope.reply_to else ()

    def pass_on_nothing(_: Envelope) -> tuple[Envelope, ...]:
        return ()

    if mutant == "told_of":
        monkeypatch.setattr("messaging.handling.settlement.told_of", tell_the_direct_asker)
    else:
        monkeypatch.setattr("messaging.handling.settlement.passed_on", pass_on_nothing)
    front = pass_on_unasked if mutant == "told_of" else pass_on
    async with open_bus(site) as bus:
        await bus.subscribe(listening("front", front))
        await bus.subscribe(listening("back", broken, Progress, topics=["steps"]))
        asking = asyncio.create_task(bus.request("asks", Ask(text="red"), timeout_s=1.0))

        await dead_letters(bus)

        with pytest.raises(RequestTimeoutError):
            await asking


async def eventually_other_letter(bus: Bus, letter_id: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while [each.id for each in await bus.dead_letters.list()] in ([], [letter_id]):  # noqa: ASYNC110 - as told by the server
            await asyncio.sleep(0.005)
