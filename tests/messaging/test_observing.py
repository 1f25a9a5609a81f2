"""An observer sees each message that goes out and each handling, and can harm none of them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar, Token, copy_context
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from messaging import Ending, Handling, Observer, Observers, connect
from messaging.backend import Backend
from messaging.bus import Bus
from messaging.client import dead_letters as dead_letters_module
from messaging.client import relay as relay_module
from messaging.client import replay as replay_module
from messaging.client.replay import Range, replay
from messaging.errors import (
    DeadlineExceededError,
    HandlerTimeoutError,
    HandlingCancelledError,
    InvalidMessageError,
    PayloadTooLargeError,
    RequestFailedError,
    UnknownTypeError,
)
from messaging.handling import settlement
from messaging.handling.context import Context
from messaging.handling.retry import RetryPolicy
from messaging.handling.runner import HandlerRunner
from messaging.handling.watch import Watch
from messaging.state.timers import disarm
from messaging.testing import Recorder, eventually, memory_bus
from messaging.wire.envelope import Envelope, new_id
from messaging.wire.message import Message
from tests.messaging.buses import (
    REGISTRY,
    Ask,
    Count,
    Gate,
    Progress,
    Told,
    dead_letters,
    echo,
    listening,
    lying_in,
    settled_all,
    tell,
)
from tests.messaging.conftest import Site

ONCE = RetryPolicy(attempts=1)
SOON = RetryPolicy(attempts=2, backoff_s=0.01, jitter=0.0)
SLOW = RetryPolicy(attempts=2, backoff_s=0.05, jitter=0.0)

with_mutant = pytest.mark.parametrize("is_mutant", [False, True], ids=["bus", "mutant"])

span: ContextVar[str] = ContextVar("span", default="none")


class Witness(Observer):
    """Remembers what it sees, and gives what has no trace the one that it was made with."""

    def __init__(self, trace: str = "") -> None:
        self._trace = trace
        self.out: list[Envelope] = []
        self.begins: list[Handling] = []
        self.ends: list[tuple[Handling, Ending, Any]] = []

    def sealed(self, envelope: Envelope) -> str:
        self.out.append(envelope)
        return envelope.trace or self._trace

    def begun(self, handling: Handling) -> Any:
        self.begins.append(handling)
        return len(self.begins)

    def ended(self, handling: Handling, ending: Ending, token: Any) -> None:
        self.ends.append((handling, ending, token))

    @property
    def outcomes(self) -> list[str]:
        return [ending.outcome for _, ending, _ in self.ends]

    async def last(self, count: int = 1) -> Ending:
        """The ending that was the `count`th."""
        await eventually(lambda: len(self.ends) >= count)
        return self.ends[count - 1][1]


class Spans(Observer):
    """Has a handler, and what it sends, see a span of its own as the current one."""

    def __init__(self, *, resets: bool = True) -> None:
        self._resets = resets

    def sealed(self, envelope: Envelope) -> str:
        return span.get()

    def begun(self, handling: Handling) -> Token[str]:
        return span.set(handling.envelope.id)

    def ended(self, handling: Handling, ending: Ending, token: Token[str]) -> None:
        if self._resets:
            span.reset(token)


class Broken(Observer):
    """Raises wherever it is called."""

    def sealed(self, envelope: Envelope) -> str:
        raise ValueError("sealed")

    def begun(self, handling: Handling) -> Any:
        raise LookupError("begun")

    def ended(self, handling: Handling, ending: Ending, token: Any) -> None:
        raise OSError("ended")


class Strange(Message, wire_name="strange"):
    """No agent knows it."""


async def fail(ask: Ask, context: Context) -> None:
    raise RuntimeError(ask.text)


def without_trace(envelope: Envelope) -> Envelope:
    return envelope._replace(trace="")


@pytest.fixture(params=("memory-strict", "embedded"))
async def site(request: pytest.FixtureRequest, url_of: Callable[[str], str]) -> AsyncIterator[Site]:
    kind = request.param
    site = Site(kind, "" if kind.startswith("memory") else url_of(kind))
    yield site
    await site.close()


def seen_by(observer: Observer | None, backend: Backend) -> Bus:
    return Bus(backend, name="tests", registry=REGISTRY, owns_backend=False, observer=observer)


# Outcomes


async def test_a_handling_is_begun_and_ended_with_what_begun_returned() -> None:
    witness = Witness()
    async with memory_bus(Ask, observer=witness) as bus:
        await bus.subscribe(listening("reader", Recorder()))
        asked = await bus.publish("asks", Ask(text="x"))
        ending = await witness.last()

    (begun,) = witness.begins
    ((handling, _, token),) = witness.ends
    assert (begun.envelope.id, begun.group, begun.attempt) == (asked, "reader", 1)
    assert begun.waited_s is not None
    assert 0 <= begun.waited_s < 60
    assert handling == begun
    assert token == 1
    assert (ending.outcome, ending.error) == ("handled", None)
    assert ending.handled_s is not None
    assert 0 <= ending.handled_s < 60


@pytest.mark.parametrize("ordered_by", ["", "text"])
async def test_each_attempt_is_a_handling_of_its_own(ordered_by: str) -> None:
    witness = Witness()

    async def fail_once(ask: Ask, context: Context) -> None:
        if context.attempt == 1:
            raise RuntimeError("first")

    async with memory_bus(Ask, observer=witness) as bus:
        await bus.subscribe(listening("reader", fail_once, ordered_by=ordered_by))
        await bus.publish("asks", Ask(text="x"))
        await witness.last(2)

    (first, retried, _), (second, handled, _) = witness.ends
    assert (retried.outcome, str(retried.error)) == ("retried", "first")
    assert (handled.outcome, handled.error) == ("handled", None)
    assert [first, second] == witness.begins
    assert [first.attempt, second.attempt] == [1, 2]


@with_mutant
async def test_a_message_that_is_given_up_says_why(
    is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:
        monkeypatch.setattr(Watch, "decided", lambda *_: None)
    witness = Witness()
    async with memory_bus(Ask, observer=witness) as bus:
        await bus.subscribe(listening("reader", fail, retry=ONCE))
        await bus.publish("asks", Ask(text="hopeless"))
        ending = await witness.last()
        await dead_letters(bus)

    assert witness.outcomes == (["handled"] if is_mutant else ["dead_lettered"])
    assert is_mutant or str(ending.error) == "hopeless"
    assert len(witness.begins) == 1


async def test_a_handler_that_takes_too_long_has_ended_by_that() -> None:
    witness, gate = Witness(), Gate()
    async with memory_bus(Ask, observer=witness) as bus:
        await bus.subscribe(listening("reader", gate, retry=ONCE, timeout_s=0.01))
        await bus.publish("asks", Ask(text="x"))
        ending = await witness.last()

    assert ending.outcome == "dead_lettered"
    assert isinstance(ending.error, HandlerTimeoutError)
    assert ending.handled_s is not None
    assert ending.handled_s >= 0.005


async def test_a_handling_that_a_user_cancels_ends_cancelled() -> None:
    witness, gate = Witness(), Gate()
    async with memory_bus(Ask, observer=witness) as bus:
        await bus.subscribe(listening("reader", gate))
        asked = await bus.publish("asks", Ask(text="x"))
        await eventually(lambda: bool(gate.started))
        await bus.cancel(asked)
        ending = await witness.last()

    assert ending.outcome == "cancelled"
    assert ending.handled_s is not None


async def not_for_it(bus: Bus) -> None:
    await bus.subscribe(listening("reader", echo, only_when_tagged=True))
    await bus.publish("asks", Ask(text="x"), tags=("other",))


async def of_no_type_that_it_takes(bus: Bus) -> None:
    await bus.subscribe(listening("reader", echo))
    await bus.publish("asks", Told(text="x"))


async def cancelled_before(bus: Bus) -> None:
    asked = new_id()
    await bus.cancel(asked)
    await bus.publish("asks", Ask(text="x"), message_id=asked)
    await bus.subscribe(listening("reader", echo))


async def too_late(bus: Bus) -> None:
    await bus.subscribe(listening("reader", echo))
    stale = bus.publisher.seal("asks", Ask(text="x"), deadline_s=-1.0)
    await bus.backend.append([stale])


async def no_json(bus: Bus) -> None:
    await bus.subscribe(listening("reader", echo, retry=ONCE))
    sound = bus.publisher.seal("asks", Ask(text="x"))
    await bus.backend.append([sound._replace(payload=b"{", message=None)])


@with_mutant
@pytest.mark.parametrize(
    ("happening", "outcome", "error"),
    [
        (not_for_it, "ignored", None),
        (of_no_type_that_it_takes, "ignored", None),
        (cancelled_before, "cancelled", None),
        (too_late, "dead_lettered", DeadlineExceededError),
        (no_json, "dead_lettered", InvalidMessageError),
    ],
)
async def test_what_comes_to_no_handler_ends_and_never_begins(
    happening: Any,
    outcome: str,
    error: type[Exception] | None,
    is_mutant: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if is_mutant:
        monkeypatch.setattr(Watch, "ended", lambda *_: None)
    witness = Witness()
    async with memory_bus(Ask, observer=witness) as bus:
        await bus.register(listening("reader", echo))
        await happening(bus)
        await settled_all(bus, "reader")

    assert witness.begins == []
    assert witness.outcomes == ([] if is_mutant else [outcome])
    for handling, ending, token in witness.ends:
        assert (handling.group, handling.attempt) == ("reader", 1)
        assert (ending.handled_s, token) == (None, None)
        assert type(ending.error) is (error or type(None))


async def test_a_type_that_is_unknown_here_is_left_to_others_and_then_given_up() -> None:
    witness = Witness()
    async with memory_bus(Ask, observer=witness) as bus:
        await bus.subscribe(listening("reader", echo, only_known_types=True, lease_s=0.2))
        await bus.publish("asks", Strange())
        await dead_letters(bus)
        await settled_all(bus, "reader")

    *left, given_up = witness.outcomes
    assert set(left) == {"left_to_others"}
    assert given_up == "dead_lettered"
    assert isinstance(witness.ends[-1][1].error, UnknownTypeError)
    assert witness.begins == []


async def test_a_takeover_begins_again_in_the_other_process_and_ends_there(site: Site) -> None:
    stuck, lost, heir = Gate(), Witness("t-1"), Witness()
    async with (
        seen_by(lost, await site.open()) as one,
        seen_by(heir, await site.open()) as two,
    ):
        victim = await one.subscribe(listening("team", stuck, lease_s=1.0))
        await one.publish("asks", Ask(text="x"))
        await eventually(lambda: bool(stuck.started))
        await victim.kill()
        await two.subscribe(listening("team", tell, lease_s=1.0))
        await settled_all(two, "team")
        (told,) = await lying_in(two, "told")

    assert (lost.outcomes, heir.outcomes) == (["interrupted"], ["handled"])
    assert [begun.attempt for begun in (*lost.begins, *heir.begins)] == [1, 2]
    assert told.envelope.trace == "t-1"


async def test_a_replica_that_was_taken_over_is_interrupted_and_begins_again(site: Site) -> None:
    witness, gate = Witness(), Gate()
    async with seen_by(witness, await site.open()) as bus:
        await bus.subscribe(listening("team", gate))
        await bus.publish("asks", Ask(text="x"))
        await eventually(lambda: bool(gate.started))
        thief = await bus.backend.join("team")
        (fenced,) = [name for name in await thief.beat() if name != thief.incarnation]
        await thief.leave(await thief.take_over(fenced, 10))
        await eventually(lambda: gate.cancelled == 1)
        gate.opened.set()
        await settled_all(bus, "team")

    assert witness.outcomes == ["interrupted", "handled"]
    assert len(witness.begins) == 2


@with_mutant
async def test_a_handler_that_a_drain_breaks_off_is_interrupted(
    is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:
        monkeypatch.setattr(Watch, "_interrupted", lambda *_: None)
    witness, gate = Witness(), Gate()
    async with memory_bus(Ask, observer=witness) as bus:
        running = await bus.subscribe(listening("reader", gate, drain_s=0.0))
        await bus.publish("asks", Ask(text="x"))
        await eventually(lambda: bool(gate.started))
        await running.drain()

    assert witness.outcomes == ([] if is_mutant else ["interrupted"])


async def test_a_handler_that_swallows_that_it_is_broken_off_is_interrupted() -> None:
    witness, started = Witness(), asyncio.Event()

    async def swallow(ask: Ask, context: Context) -> None:
        started.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async with memory_bus(Ask, observer=witness) as bus:
        running = await bus.subscribe(listening("reader", swallow, drain_s=0.0))
        await bus.publish("asks", Ask(text="x"))
        await started.wait()
        await running.drain()

    assert witness.outcomes == ["interrupted"]


async def cancel_itself(ask: Ask, context: Context) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    if ask.text == "and fail":
        raise RuntimeError(ask.text)
    if ask.text == "and wait":
        await asyncio.sleep(0)


async def settle_in_silence(self: Any, left: Any, slot: Any) -> Any:
    return await self._without_record(await left.settle())


async def give_up_in_silence(self: Any, delivery: Any, error: BaseException) -> Any:
    return await self._without_record(await self._fail(delivery, error))


@with_mutant
@pytest.mark.parametrize(
    ("text", "outcome", "error"),
    [
        ("and return", "handled", type(None)),
        ("and fail", "dead_lettered", RuntimeError),
        ("and wait", "dead_lettered", HandlingCancelledError),
    ],
)
async def test_a_handler_that_spoils_its_task_is_ended_once_by_another(
    text: str, outcome: str, error: type, is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:
        monkeypatch.setattr(HandlerRunner, "settle", settle_in_silence)
        monkeypatch.setattr(Watch, "_interrupted", lambda *_: None)
    witness = Witness()
    async with memory_bus(Ask, observer=witness) as bus:
        await bus.subscribe(listening("reader", cancel_itself, retry=ONCE))
        await bus.publish("asks", Ask(text=text))
        await settled_all(bus, "reader")

    assert len(witness.begins) == 1
    assert witness.outcomes == ([] if is_mutant else [outcome])
    assert is_mutant or type(witness.ends[0][1].error) is error


@with_mutant
async def test_a_handling_whose_commit_is_refused_ends_once_more(
    is_mutant: bool, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:
        monkeypatch.setattr(HandlerRunner, "give_up_on", give_up_in_silence)
    witness = Witness()

    async def tell_too_much(ask: Ask, context: Context) -> None:
        context.send(Told(text="x" * 10_000), "told")

    backend = await site.open(max_envelope_bytes=5_000)
    async with seen_by(witness, backend) as bus:
        await bus.subscribe(listening("reader", tell_too_much, retry=ONCE))
        await bus.publish("asks", Ask(text="x"))
        await dead_letters(bus)

    assert witness.outcomes == (["handled"] if is_mutant else ["handled", "dead_lettered"])
    if not is_mutant:
        handling, ending, token = witness.ends[1]
        assert handling.envelope.id == witness.begins[0].envelope.id
        assert isinstance(ending.error, PayloadTooLargeError)
        assert (ending.handled_s, token) == (None, None)


async def test_a_handling_whose_state_was_changed_conflicts_and_begins_again(site: Site) -> None:
    witness, started, both = Witness(), list[str](), asyncio.Event()

    async def count(ask: Ask, context: Context) -> None:
        value = await context.state.load("count", Count) or Count()
        started.append(ask.text)
        if len(started) == 2:
            both.set()
        await both.wait()
        await context.state.save("count", Count(value=value.value + 1))

    async with (
        seen_by(witness, await site.open()) as one,
        seen_by(witness, await site.open()) as two,
    ):
        await one.subscribe(listening("counters", count, concurrency=1, prefetch=1))
        await two.subscribe(listening("counters", count, concurrency=1, prefetch=1))
        await one.publish_many("asks", [Ask(text="a"), Ask(text="b")])
        await settled_all(one, "counters")

    assert sorted(witness.outcomes) == ["conflicted", "handled", "handled", "handled"]
    assert [begun.attempt for begun in witness.begins] == [1, 1, 1]


# Traces


async def handled_by(bus: Bus, group: str, **changes: Any) -> Recorder:
    recorder = Recorder()
    await bus.subscribe(listening(group, recorder, Ask, Told, topics=("told",), **changes))
    return recorder


@with_mutant
async def test_a_trace_is_on_everything_that_follows(
    is_mutant: bool, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:
        header = Context._header

        def headless(self: Context, **fields: Any) -> dict[str, Any]:
            return {**header(self, **fields), "trace": ""}

        monkeypatch.setattr(Context, "_header", headless)
    asker = Witness("t-1")

    async def pass_on(ask: Ask, context: Context) -> Told:
        context.send(Told(text="sent"), "told")
        context.send(Told(text="later"), "told", delay_s=0.01)
        context.send(Told(text="timed"), "told", timer="alarm", delay_s=0.01)
        context.send(Told(text="apart"), "told", detached=True)
        answer = await context.request("echoes", ask)
        assert isinstance(answer, Told)
        return Told(text="answer")

    async with (
        seen_by(asker, await site.open()) as one,
        seen_by(None, await site.open()) as two,
    ):
        asked = Recorder(Told(text="echo"))
        await two.subscribe(listening("echo", asked, topics=("echoes",)))
        await two.subscribe(listening("passer", pass_on, output_topic="told"))
        reader = await handled_by(two, "reader")
        await one.publish("asks", Ask(text="x"))
        await reader.messages(5)

    came = {
        message.text: context.envelope.trace  # type: ignore[attr-defined]  # all are Told
        for message, context in zip(reader._messages, reader.contexts, strict=True)
    }
    inherited = "" if is_mutant else "t-1"
    on_the_way = ("sent", "later", "timed", "apart")
    assert came == {**dict.fromkeys(on_the_way, inherited), "answer": "t-1"}
    assert [context.envelope.trace for context in asked.contexts] == [inherited]


async def test_each_of_many_messages_and_each_question_is_sealed(site: Site) -> None:
    witness = Witness("t-1")
    async with seen_by(witness, await site.open()) as bus:
        await bus.subscribe(listening("echo", echo))
        ids = await bus.publish_many("asks", [Ask(text="1"), Ask(text="2")])
        await bus.request("asks", Ask(text="3"))
        asked = new_id()
        await bus.request("asks", Ask(text="4"), message_id=asked)
        async for _ in bus.stream("asks", Ask(text="5")):
            pass
        entries = await lying_in(bus, "asks", 5)
        await settled_all(bus, "echo")

    asks = [envelope for envelope in witness.out if envelope.type == "Ask"]
    assert [envelope.id for envelope in asks][:2] == ids
    assert asks[3].id == asked
    assert [envelope.topic for envelope in asks] == ["asks"] * 5
    assert {entry.envelope.trace for entry in entries} == {"t-1"}
    answers = [envelope for envelope in witness.out if envelope.type == "Told"]
    assert len(answers) == 5
    assert {envelope.trace for envelope in answers} == {"t-1"}


async def test_what_an_agent_sends_can_get_a_trace_of_its_own(site: Site) -> None:
    class Second(Observer):
        def sealed(self, envelope: Envelope) -> str:
            return f"{envelope.trace}+"

    async with seen_by(Second(), await site.open()) as bus:
        await bus.subscribe(listening("teller", tell))
        await bus.publish("asks", Ask(text="x"))
        (told,) = await lying_in(bus, "told")

    assert told.envelope.trace == "++"


async def test_the_notice_of_a_failure_is_sealed_with_the_trace_of_the_question() -> None:
    witness = Witness("t-1")
    async with memory_bus(Ask, observer=witness) as bus:
        await bus.subscribe(listening("reader", fail, retry=ONCE))
        with pytest.raises(RequestFailedError):
            await bus.request("asks", Ask(text="x"))

    assert [(sent.type, sent.trace) for sent in witness.out] == [
        ("Ask", ""),
        ("bus.request_failed", "t-1"),
    ]


async def test_what_is_emitted_is_not_sealed() -> None:
    witness = Witness("t-1")

    async def emit(ask: Ask, context: Context) -> Told:
        context.emit(Progress(step=1))
        return Told(text="done")

    async with memory_bus(Ask, Told, Progress, observer=witness) as bus:
        await bus.subscribe(listening("emitter", emit))
        seen = [item async for item in bus.stream("asks", Ask(text="x"))]

    assert seen == [Progress(step=1), Told(text="done")]
    assert [envelope.type for envelope in witness.out] == ["Ask", "Told"]


@with_mutant
async def test_a_retry_keeps_the_trace(
    is_mutant: bool, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:
        failed = settlement.SettlementBuilder.failed

        async def forgetful(self: Any, delivery: Any, error: BaseException) -> Any:
            return await failed(
                self, delivery._replace(envelope=without_trace(delivery.envelope)), error
            )

        monkeypatch.setattr(settlement.SettlementBuilder, "failed", forgetful)
    witness = Witness("t-1")
    async with seen_by(witness, await site.open()) as bus:
        await bus.subscribe(listening("reader", fail, retry=SLOW))
        await bus.publish("asks", Ask(text="x"))
        await dead_letters(bus)

    assert witness.outcomes == ["retried", "dead_lettered"]
    traces = [begun.envelope.trace for begun in witness.begins]
    assert traces == ["t-1", "" if is_mutant else "t-1"]


@with_mutant
async def test_a_timer_keeps_the_trace(
    is_mutant: bool, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:

        def forgetful(envelope: Envelope) -> tuple[Envelope, str]:
            due, name = disarm(envelope)
            return without_trace(due), name

        monkeypatch.setattr(settlement, "disarm", forgetful)

    async def set_timer(ask: Ask, context: Context) -> None:
        context.send(Told(text="due"), "told", timer="alarm", delay_s=0.01)

    witness = Witness("t-1")
    async with seen_by(witness, await site.open()) as bus:
        await bus.subscribe(listening("sleeper", set_timer))
        await bus.publish("asks", Ask(text="x"))
        (due,) = await lying_in(bus, "told")
        await settled_all(bus, "sleeper")

    assert due.envelope.trace == ("" if is_mutant else "t-1")
    assert [envelope.topic for envelope in witness.out] == ["asks", "told"]
    assert witness.outcomes == ["handled"]  # that it came due is no handling


@with_mutant
async def test_a_requeue_keeps_the_trace(
    is_mutant: bool, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:
        requeue = dead_letters_module.DeadLetters._requeue

        async def forgetful(self: Any, letter: Any, envelope: Envelope, *rest: str) -> bool:
            return await requeue(self, letter, without_trace(envelope), *rest)

        monkeypatch.setattr(dead_letters_module.DeadLetters, "_requeue", forgetful)
    witness = Witness("t-1")
    async with seen_by(witness, await site.open()) as bus:
        await bus.subscribe(listening("reader", fail, retry=ONCE))
        asked = await bus.publish("asks", Ask(text="x"))
        await dead_letters(bus)
        await bus.dead_letters.requeue(asked)
        await witness.last(2)
        await settled_all(bus, "reader")

    traces = [begun.envelope.trace for begun in witness.begins]
    assert traces == ["t-1", "" if is_mutant else "t-1"]


@with_mutant
async def test_a_replay_keeps_the_trace(
    is_mutant: bool, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:
        again = replay_module._again
        monkeypatch.setattr(replay_module, "_again", lambda *each: without_trace(again(*each)))
    witness = Witness("t-1")
    backend = await site.open(keep_settled_s=3600.0)
    async with seen_by(witness, backend) as bus:
        await bus.subscribe(listening("reader", Recorder()))
        await bus.publish("asks", Ask(text="x"))
        await settled_all(bus, "reader")
        await replay(backend, "asks", "reader", Range(), types={"Ask"}, really=True)
        await witness.last(2)
        await settled_all(bus, "reader")

    traces = [begun.envelope.trace for begun in witness.begins]
    assert traces == ["t-1", "" if is_mutant else "t-1"]


@with_mutant
async def test_a_relay_takes_the_trace_to_the_other_guild(
    is_mutant: bool, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:
        unpack = relay_module._unpack
        monkeypatch.setattr(relay_module, "_unpack", lambda *each: without_trace(unpack(*each)))

    async def tell_others(ask: Ask, context: Context) -> None:
        context.send(Told(text=ask.text), "news", guild="other")

    class Shared:
        """A backend that its bus opens and closes."""

        def __init__(self, backend: Backend) -> None:
            self._backend = backend

        def __getattr__(self, name: str) -> Any:
            return getattr(self._backend, name)

        async def open(self) -> None: ...

        async def close(self) -> None: ...

    other, here, witness = Site(site.kind, site.url), Witness("t-1"), Witness()
    async with (
        seen_by(here, await site.open()) as bus,
        seen_by(witness, await other.open()) as there,
    ):
        await bus.subscribe(listening("tellers", tell_others, neighbours=("other",)))
        await there.subscribe(listening("reader", Recorder(), Told, topics=("news",)))
        await bus.relay("other", Shared(there.backend))
        await bus.publish("asks", Ask(text="x"))
        await witness.last()
        await settled_all(bus, "outbox.other")
    await other.close()

    (arrived,) = witness.begins
    assert arrived.envelope.trace == ("" if is_mutant else "t-1")
    assert [envelope.topic for envelope in here.out] == ["asks", "news"]
    assert here.outcomes == ["handled", "handled"]  # by the teller, and by the relay


# The context of a handler


def plain(ask: Ask, context: Context) -> Told:
    context.send(Told(text=span.get()), "told")
    return Told(text=span.get())


async def coroutine(ask: Ask, context: Context) -> Told:
    return plain(ask, context)


@with_mutant
@pytest.mark.parametrize("handler", [plain, coroutine])
async def test_a_handler_sees_the_context_of_its_span(
    handler: Any, is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:

        def begun_elsewhere(self: Observers, handling: Handling) -> Sequence[Any]:
            return copy_context().run(lambda: [(o, o.begun(handling)) for o in self._observers])

        monkeypatch.setattr(Observers, "begun", begun_elsewhere)
    async with memory_bus(Ask, Told, observer=Spans()) as bus:
        await bus.subscribe(listening("teller", handler, output_topic="told"))
        asked = await bus.publish("asks", Ask(text="x"))
        sent, answered = await lying_in(bus, "told", 2)
        texts = [bus._decoder.read(each.envelope).text for each in (sent, answered)]  # type: ignore[attr-defined]
        await settled_all(bus, "teller")

    seen = "none" if is_mutant else asked
    assert texts == [seen, seen]
    assert [each.envelope.trace for each in (sent, answered)] == [seen, seen]


@pytest.mark.parametrize(("resets", "is_mutant"), [(True, False), (False, False), (False, True)])
async def test_the_next_handling_sees_nothing_of_a_span(
    resets: bool, is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is reset its task goes on, and where it is not another one does."""
    if is_mutant:
        monkeypatch.setattr("messaging.handling.watch.have_changed", lambda _: False)
    tasks, before = list[Any](), list[str]()

    class First(Observer):
        def begun(self, handling: Handling) -> None:
            before.append(span.get())

    async def note(ask: Ask, context: Context) -> None:
        tasks.append(asyncio.current_task())

    async with memory_bus(Ask, observer=Observers(First(), Spans(resets=resets))) as bus:
        await bus.subscribe(listening("reader", note, concurrency=1))
        for number in range(3):
            await bus.publish("asks", Ask(text=str(number)))
            await settled_all(bus, "reader")

    assert len(set(tasks)) == (1 if resets or is_mutant else 3)
    assert (set(before) == {"none"}) is not is_mutant


async def test_log_lines_of_a_handler_say_what_observers_have_to_tell() -> None:
    class Span:
        def __structlog__(self) -> str:
            return span.get()

    class Named(Spans):
        def prepared(self) -> None:
            structlog.contextvars.bind_contextvars(span=Span())

    lines = list[dict[str, Any]]()

    async def write(ask: Ask, context: Context) -> None:
        event = structlog.contextvars.merge_contextvars(None, "info", {"event": "here"})
        lines.append(json.loads(structlog.processors.JSONRenderer()(None, "info", event)))

    async with memory_bus(Ask, observer=Observers(Witness(), Named())) as bus:
        await bus.subscribe(listening("writer", write, concurrency=1))
        ids = [await bus.publish("asks", Ask(text=text)) for text in "ab"]
        await settled_all(bus, "writer")

    assert [line["span"] for line in lines] == ids
    assert [line["message_id"] for line in lines] == ids


# Harm


@with_mutant
async def test_an_observer_that_raises_changes_nothing_and_is_told_of_once(
    is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:
        monkeypatch.setattr(Observers, "of", classmethod(lambda cls, observer: Bare(observer)))
    witness = Witness("t-1")
    with capture_logs() as logs:
        async with memory_bus(
            Ask, Told, observer=Observers(Broken(), witness) if not is_mutant else Broken()
        ) as bus:
            await bus.subscribe(listening("echo", echo))
            if is_mutant:
                with pytest.raises(ValueError, match="sealed"):
                    await bus.request("asks", Ask(text="x"))
                return
            for number in range(3):
                answer = await bus.request("asks", Ask(text=str(number)))
                assert answer == Told(text=str(number))
            await settled_all(bus, "echo")
            assert await bus.dead_letters.list() == []

    told = [
        (line["observer"], line["method"]) for line in logs if line["event"] == "observer.failed"
    ]
    assert sorted(told) == [("Broken", "begun"), ("Broken", "ended"), ("Broken", "sealed")]
    assert witness.outcomes == ["handled"] * 3
    assert len(witness.out) == 6


class Bare(Observers):
    """Passes on whatever its observer raises."""

    def __init__(self, observer: Observer) -> None:
        super().__init__(observer)
        self._bare = observer

    @property
    def tracer(self) -> Callable[[Envelope], Envelope]:
        return lambda envelope: envelope.with_trace(self._bare.sealed(envelope))


@pytest.mark.parametrize(
    "trace", [None, 7, b"t-1", "t\x00", "t\x01 reply.x", "x" * 1_025, "\ud800"]
)
async def test_a_trace_that_could_not_travel_is_refused(trace: Any) -> None:
    class Wrong(Observer):
        def sealed(self, envelope: Envelope) -> str:
            return trace  # type: ignore[no-any-return]

    with capture_logs() as logs:
        async with memory_bus(Ask, observer=Observers(Witness("t-1"), Wrong())) as bus:
            await bus.publish("asks", Ask(text="x"))
            (entry,) = await lying_in(bus, "asks")

    assert entry.envelope.trace == "t-1"
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["observer.failed"]


async def test_several_observers_see_each_others_trace_and_their_own_tokens() -> None:
    order = list[str]()

    class Named(Observer):
        def __init__(self, name: str) -> None:
            self._name = name

        def sealed(self, envelope: Envelope) -> str:
            return envelope.trace + self._name

        def begun(self, handling: Handling) -> str:
            order.append(f"{self._name} begun")
            return self._name

        def ended(self, handling: Handling, ending: Ending, token: Any) -> None:
            order.append(f"{token} ended")

    several = Observers(Observer(), Named("a"), Observers(Named("b")))
    async with memory_bus(Ask, observer=several) as bus:
        await bus.subscribe(listening("reader", Recorder()))
        await bus.publish("asks", Ask(text="x"))
        await settled_all(bus, "reader")
        await eventually(lambda: len(order) == 4)
        (entry,) = await lying_in(bus, "asks")

    assert order == ["a begun", "b begun", "b ended", "a ended"]
    assert entry.envelope.trace == "ab"


def kept_watches(monkeypatch: pytest.MonkeyPatch) -> Sequence[Watch]:
    """All that are made from now on."""
    watches, begin = list[Watch](), Watch.__init__

    def remember(self: Watch, *each: Any) -> None:
        begin(self, *each)
        watches.append(self)

    monkeypatch.setattr(Watch, "__init__", remember)
    return watches


@with_mutant
async def test_what_no_observer_wants_leaves_nothing_behind(
    is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:

        def decided(self: Watch, delivery: Any, outcome: Any, error: Any = None) -> None:
            self._decided[delivery.place] = Ending(outcome, error)

        monkeypatch.setattr(Watch, "decided", decided)
        monkeypatch.setattr(Watch, "let_go", lambda *_: None)
    watches = kept_watches(monkeypatch)

    class Choosy(Witness):
        def wants(self, envelope: Envelope) -> bool:
            return envelope.key == "wanted"

    witness = Choosy("t-1")
    async with memory_bus(Ask, Told, observer=witness) as bus:
        await bus.subscribe(listening("echo", echo))
        await bus.subscribe(listening("failing", fail, retry=SOON, topics=("failures",)))
        for key in ("", "wanted"):
            await bus.publish("asks", Ask(text="x"), key=key)
            await bus.publish("failures", Ask(text="x"), key=key)
            await bus.publish("asks", Told(text="ignored"), key=key)
        await eventually(lambda: len(witness.ends) >= 4)
        assert len(await dead_letters(bus, 2)) == 2
        left = [watch for watch in watches if watch._decided or watch._under_way]

    assert bool(left) is is_mutant
    if not is_mutant:
        assert sorted(witness.outcomes) == ["dead_lettered", "handled", "ignored", "retried"]


@pytest.mark.parametrize(("ordered_by", "is_mutant"), [("", False), ("text", False), ("", True)])
async def test_what_is_wanted_only_after_it_began_is_not_told_and_leaves_nothing_behind(
    ordered_by: str, is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:
        monkeypatch.setattr(Watch, "let_go", lambda *_: None)
    watches = kept_watches(monkeypatch)

    class Late(Witness):
        is_awake = False

        def wants(self, envelope: Envelope) -> bool:
            return self.is_awake

    witness = Late()

    async def wake_and_fail(ask: Ask, context: Context) -> None:
        witness.is_awake = True
        if context.attempt == 1:
            raise RuntimeError(ask.text)

    async with memory_bus(Ask, observer=witness) as bus:
        await bus.subscribe(listening("reader", wake_and_fail, retry=SOON, ordered_by=ordered_by))
        await bus.publish("asks", Ask(text="x"))
        await eventually(lambda: len(witness.begins) == 1)
        await settled_all(bus, "reader")

    assert witness.outcomes == ["handled"]
    assert any(watch._decided for watch in watches) is is_mutant


@pytest.mark.parametrize("method", ["sealed", "begun", "ended"])
async def test_what_an_observer_does_not_override_is_not_called(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Idle(Observer):
        """Wants to know nothing."""

    def fail(self: Observer, *_: object) -> None:
        pytest.fail("it was called")

    monkeypatch.setattr(Observer, method, fail)
    async with memory_bus(Ask, Told, observer=Idle()) as bus:
        await bus.subscribe(listening("echo", echo))
        assert await bus.request("asks", Ask(text="x")) == Told(text="x")
        await settled_all(bus, "echo")


async def test_an_id_that_holds_no_time_tells_nothing_of_a_wait() -> None:
    witness = Witness()
    async with memory_bus(Ask, observer=witness) as bus:
        await bus.subscribe(listening("reader", Recorder()))
        await bus.publish("asks", Ask(text="x"), message_id=f"{'f' * 12}4{'0' * 19}")
        await bus.publish("asks", Ask(text="y"), message_id=f"{'f' * 12}7{'0' * 19}")  # to come
        await witness.last(2)

    assert [begun.waited_s for begun in witness.begins] == [None, 0.0]


async def test_connect_takes_an_observer() -> None:
    witness = Witness("t-1")
    async with connect("memory://", f"guild-{new_id()}", observer=witness) as bus:
        await bus.publish("asks", Ask(text="x"))

    assert [envelope.topic for envelope in witness.out] == ["asks"]
