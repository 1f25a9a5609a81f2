"""A handling and its effects, whatever happens to the one who handles."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from messaging.bus import Bus
from messaging.errors import (
    RequestFailedError,
)
from messaging.handling.context import Context
from messaging.handling.failure_record import reason_of
from messaging.handling.handler_table import MOST_IGNORED, HandlerTable
from messaging.handling.subscription import Routed, SubscriptionOptions
from messaging.testing import Recorder, eventually
from messaging.wire.envelope import Envelope, new_id
from messaging.wire.message import MessageRegistry
from tests.messaging.buses import (
    Ask,
    Count,
    Progress,
    Told,
    dead_letters,
    echo,
    listening,
    lying_in,
    open_bus,
    settled_all,
    texts_in,
)
from tests.messaging.conftest import Site

# -- where messages go ---------------------------------------------------------------------------


async def test_an_answer_carries_its_cause_conversation_sender_and_hops(site: Site) -> None:
    async with open_bus(site) as bus:
        await bus.subscribe(listening("echo", echo, output_topic="answers"))

        asked = await bus.publish("asks", Ask(text="hello"), conversation="f" * 32)

        (entry,) = await lying_in(bus, "answers")
        envelope = entry.envelope
        assert (envelope.cause, envelope.conversation) == (asked, "f" * 32)
        assert (envelope.sender, envelope.hops, envelope.reply_to) == ("echo", 1, "")


async def test_an_answer_that_nobody_asked_for_goes_nowhere_if_it_is_for_requesters_only(
    site: Site,
) -> None:
    def route(envelope: Any, message: Any) -> Sequence[Routed]:
        return [Routed("log", message)]

    async def handle(ask: Ask, context: Context) -> Told:
        context.send(Told(text=f"{ask.text} sent"))
        return Told(text=ask.text)

    async with open_bus(site) as bus:
        await bus.subscribe(listening("echo", handle, answers="requester", route=route))

        await bus.publish("asks", Ask(text="unasked"))
        assert await bus.request("asks", Ask(text="asked")) == Told(text="asked")
        await settled_all(bus, "echo")

        assert await texts_in(bus, "log", 4) == ["unasked sent", "unasked", "asked sent", "asked"]
        lying = [entry.envelope.type for entry in await lying_in(bus, "asks", 4)]
        assert sorted(lying) == ["Ask", "Ask", "Told", "Told"]  # what was sent, and no answer


def test_answers_for_requesters_only_have_no_output_topic() -> None:
    with pytest.raises(ValueError, match="output_topic gets none"):
        SubscriptionOptions(answers="requester", output_topic="told")


async def test_what_has_no_handler_is_looked_up_once_however_often_it_comes(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []
    find = HandlerTable._find_other

    def note(self: HandlerTable, name: str, version: int) -> Any:
        looked_up.append(name)
        return find(self, name, version)

    monkeypatch.setattr(HandlerTable, "_find_other", note)
    async with open_bus(site) as bus:
        await bus.subscribe(listening("echo", echo))
        for number in range(5):
            await bus.publish("asks", Ask(text=str(number)))
        assert await texts_in_asks(bus, 10) == 5
        await settled_all(bus, "echo")

        assert looked_up == ["Told"]


def test_of_types_without_a_handler_only_so_many_are_remembered() -> None:
    targets = HandlerTable(listening("echo", echo), MessageRegistry())
    for number in range(3 * MOST_IGNORED):
        assert targets.find(Envelope(new_id(), f"T{number}", 1, "asks", b"")) is None

    assert len(targets._ignored) <= MOST_IGNORED


async def texts_in_asks(bus: Bus, count: int) -> int:
    return sum(entry.envelope.type == "Told" for entry in await lying_in(bus, "asks", count))


async def test_an_answer_goes_to_whoever_asked_and_where_its_route_leads(site: Site) -> None:
    def route(envelope: Any, message: Any) -> Sequence[Routed]:
        return [Routed("log", Told(text=f"{message.text} logged"))]

    async with open_bus(site) as bus:
        await bus.subscribe(listening("echo", echo, route=route))

        answer = await bus.request("asks", Ask(text="hello"))

        assert answer == Told(text="hello")
        assert await texts_in(bus, "log") == ["hello logged"]


async def test_without_a_requester_the_answer_stays_on_the_topic_of_the_question(
    site: Site,
) -> None:
    async with open_bus(site) as bus:
        await bus.subscribe(listening("echo", echo))

        await bus.publish("asks", Ask(text="hello"))

        entries = await lying_in(bus, "asks", 2)
        assert [entry.envelope.type for entry in entries] == ["Ask", "Told"]


async def test_what_an_agent_sends_asks_for_answers_in_its_inbox(site: Site) -> None:
    answers = Recorder()

    async def forward(ask: Ask, context: Context) -> None:
        context.send(Ask(text="further"), "further")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("other", echo, topics=["further"]))
        subscription = listening("asker", forward)
        handlers = {**subscription.handlers, Told: answers}
        await bus.subscribe(type(subscription)("asker", ["asks"], handlers, subscription.options))

        await bus.publish("asks", Ask(text="hello"))

        assert await answers.messages(1) == [Told(text="further")]


async def test_an_agent_may_answer_a_request_from_a_later_handling(site: Site) -> None:
    async def ask_further(ask: Ask, context: Context) -> None:
        assert context.requester is not None
        await context.state.save("who", context.requester)
        context.send(Progress(step=1), "steps")

    async def finish(told: Told, context: Context) -> None:
        requester = await context.state.load("who", type_of_requester)
        assert requester is not None
        context.answer(requester, Told(text=f"at last, {told.text}"))

    async def step(progress: Progress, context: Context) -> Told:
        return Told(text="done")

    from messaging.handling.context import Requester as type_of_requester  # noqa: N813, PLC0415

    async with open_bus(site) as bus:
        base = listening("asker", ask_further)
        handlers = {Ask: ask_further, Told: finish}
        await bus.subscribe(type(base)("asker", ["asks"], handlers, base.options))
        await bus.subscribe(listening("stepper", step, Progress, topics=["steps"]))

        assert await bus.request("asks", Ask(text="go")) == Told(text="at last, done")


async def test_types_without_a_handler_never_reach_the_agent_and_are_settled(site: Site) -> None:
    recorder = Recorder()
    async with open_bus(site) as bus:
        await bus.subscribe(listening("picky", recorder))

        await bus.publish_many("asks", [Told(text="ignored"), Ask(text="taken")])

        assert await recorder.messages(1) == [Ask(text="taken")]
        await settled_all(bus, "picky")
        assert await bus.dead_letters.list() == []


async def test_an_agent_that_acts_only_when_tagged_ignores_the_rest(site: Site) -> None:
    recorder = Recorder()
    async with open_bus(site) as bus:
        await bus.subscribe(listening("shy", recorder, only_when_tagged=True))

        await bus.publish("asks", Ask(text="for all"))
        await bus.publish("asks", Ask(text="for others"), tags=["shyer", "bold"])
        await bus.publish("asks", Ask(text="for shy"), tags=["bold", "shy"])
        await bus.publish("inbox.shy", Ask(text="for its inbox"))

        await recorder.messages(2)
        await settled_all(bus, "shy")
        texts = {message.text for message in await recorder.messages(2)}  # type: ignore[attr-defined]
        assert texts == {"for shy", "for its inbox"}


async def test_replicas_share_the_work_and_agents_each_get_a_copy(site: Site) -> None:
    first, second, other = Recorder(), Recorder(), Recorder()
    async with open_bus(site) as one, open_bus(site) as two:
        await one.subscribe(listening("team", first))
        await two.subscribe(listening("team", second))
        await two.subscribe(listening("solo", other))

        await one.publish_many("asks", [Ask(text=str(number)) for number in range(50)])

        assert len(await other.messages(50)) == 50
        await settled_all(one, "team")
        handled = [*await first.messages(0), *await second.messages(0)]
        assert sorted(int(ask.text) for ask in handled) == list(range(50))  # type: ignore[attr-defined]


# -- threads -------------------------------------------------------------------------------------


async def test_a_plain_handler_runs_in_a_thread_and_may_load_state(site: Site) -> None:
    loop_thread = threading.get_ident()

    def count(ask: Ask, context: Context) -> Told:
        assert threading.get_ident() != loop_thread
        counted = context.wait_for(context.state.load("count", Count)) or Count()
        context.wait_for(context.state.save("count", Count(value=counted.value + 1)))
        return Told(text=f"{ask.text} {counted.value + 1}")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("plain", count))

        assert await bus.request("asks", Ask(text="a")) == Told(text="a 1")
        assert await bus.request("asks", Ask(text="b")) == Told(text="b 2")


async def test_no_more_threads_run_than_the_concurrency_allows(site: Site) -> None:
    running, most, lock = 0, 0, threading.Lock()
    release = threading.Event()

    def work(ask: Ask, context: Context) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        release.wait(10)
        with lock:
            running -= 1

    async with open_bus(site) as bus:
        await bus.subscribe(listening("plain", work, concurrency=2))
        await bus.publish_many("asks", [Ask(text=str(number)) for number in range(6)])

        await eventually(lambda: running == 2)
        release.set()

        await settled_all(bus, "plain")
        assert most == 2


# -- state ---------------------------------------------------------------------------------------


async def test_concurrent_handlings_never_lose_an_update_of_the_state(site: Site) -> None:
    async def count(ask: Ask, context: Context) -> None:
        counted = await context.state.load("count", Count) or Count()
        await asyncio.sleep(0)  # let the others read the same version
        await context.state.save("count", Count(value=counted.value + 1))
        context.send(Told(text=ask.text), "told")

    async with open_bus(site) as one, open_bus(site) as two:
        for bus in (one, two):
            await bus.subscribe(listening("counter", count, concurrency=4))

        await one.publish_many("asks", [Ask(text=str(number)) for number in range(20)])

        told = await texts_in(one, "told", 20)
        assert sorted(map(int, told)) == list(range(20))
        stored = await one.backend.load_state("counter", "count")
        assert stored is not None
        assert Count.model_validate_json(stored.value) == Count(value=20)


async def test_a_deleted_value_is_gone_and_may_be_written_again(site: Site) -> None:
    seen: list[Count | None] = []

    async def toggle(ask: Ask, context: Context) -> Told:
        value = await context.state.load("flag", Count)
        seen.append(value)
        if value is None:
            await context.state.save("flag", Count(value=1))
        else:
            await context.state.delete("flag")
        return Told(text="")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("toggler", toggle))
        for _ in range(3):
            await bus.request("asks", Ask(text="toggle"))

    assert seen == [None, Count(value=1), None]


async def test_a_failed_handling_writes_no_state_and_sends_nothing(site: Site) -> None:
    async def fail_at_first(ask: Ask, context: Context) -> None:
        await context.state.save("count", Count(value=context.attempt))
        context.send(Told(text=f"attempt {context.attempt}"), "told")
        if context.attempt == 1:
            raise RuntimeError("the first time is hard")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("hasty", fail_at_first))

        await bus.publish("asks", Ask(text="go"))

        assert await texts_in(bus, "told") == ["attempt 2"]


# -- gates ---------------------------------------------------------------------------------------


async def test_a_message_past_its_deadline_is_not_handled_but_its_requester_hears(
    site: Site,
) -> None:
    recorder = Recorder()
    async with open_bus(site) as bus:
        await bus.register(listening("late", recorder))
        envelope = bus.publisher.seal(
            "asks", Ask(text="now"), reply_to="inbox.asker", deadline_s=-1.0
        )
        await bus.backend.append([envelope])

        await bus.subscribe(listening("late", recorder))

        (letter,) = await dead_letters(bus)
        assert reason_of(letter).error_type == "DeadlineExceededError"
        (entry,) = await lying_in(bus, "inbox.asker")
        assert entry.envelope.type == "bus.request_failed"
        assert await recorder.messages(0) == []


async def test_agents_that_answer_each_other_in_a_loop_are_stopped(site: Site) -> None:
    async with open_bus(site) as bus:

        async def ping(ask: Ask, context: Context) -> Ask:
            return ask

        await bus.subscribe(listening("ping", ping, max_hops=7))

        await bus.publish("asks", Ask(text="to and fro"))

        (letter,) = await dead_letters(bus)
        assert letter.envelope.hops == 8
        assert reason_of(letter).error_type == "HopLimitError"


async def test_a_payload_that_does_not_fit_is_dead_lettered_at_once_and_names_the_field(
    site: Site,
) -> None:
    recorder = Recorder()
    async with open_bus(site) as bus:
        await bus.subscribe(listening("strict", recorder))
        good = bus.publisher.seal("asks", Ask(text="x"), reply_to="inbox.asker")
        await bus.backend.append([good._replace(payload=b'{"text": 7}', message=None)])

        (letter,) = await dead_letters(bus)

        reason = reason_of(letter)
        assert reason.error_type == "InvalidMessageError"
        assert "text" in reason.text
        assert len(reason.attempts) == 1
        assert await recorder.messages(0) == []


async def test_a_handler_that_returns_no_message_fails_at_once(site: Site) -> None:
    async def wrong(ask: Ask, context: Context) -> Any:
        return "text"

    async with open_bus(site) as bus:
        await bus.subscribe(listening("wrong", wrong))

        with pytest.raises(RequestFailedError, match=r"HandlerResultError: .* not str"):
            await bus.request("asks", Ask(text="go"))
