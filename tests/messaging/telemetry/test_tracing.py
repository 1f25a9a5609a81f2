"""One trace for all that follows from a message, whichever way it went."""

import asyncio
import json
from typing import Any

import pytest
import structlog
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBasedTraceIdRatio
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes, messaging_attributes
from opentelemetry.semconv.attributes import error_attributes
from opentelemetry.semconv.schemas import Schemas
from opentelemetry.trace import SpanKind, StatusCode
from structlog.testing import capture_logs

from messaging.errors import RequestFailedError
from messaging.handling.context import Context
from messaging.handling.retry import RetryPolicy
from messaging.telemetry import OpenTelemetryObserver, Spent
from messaging.telemetry import conventions as names
from messaging.telemetry.trace_text import is_unsampled, write
from messaging.testing import Recorder, eventually, memory_bus
from messaging.wire.envelope import Envelope
from tests.messaging.buses import (
    Ask,
    Gate,
    Told,
    dead_letters,
    echo,
    listening,
    lying_in,
    settled_all,
    tell,
)
from tests.messaging.conftest import Site
from tests.messaging.telemetry.spans import Spans, orphans_in, parent_of, traces_of
from tests.messaging.test_observing import seen_by

ONCE = RetryPolicy(attempts=1)
SOON = RetryPolicy(attempts=2, backoff_s=0.01, jitter=0.0)


async def fail(ask: Ask, context: Context) -> None:
    raise RuntimeError(ask.text)


async def test_a_message_and_its_handling_are_spans_by_the_conventions() -> None:
    spans = Spans()
    async with memory_bus(Ask, observer=OpenTelemetryObserver(spans.provider)) as bus:
        await bus.subscribe(listening("reader", Recorder()))
        asked = await bus.publish("asks", Ask(text="x"))
        await spans.until("process asks")

    sent, handled = spans.all
    assert (sent.name, sent.kind) == ("publish asks", SpanKind.PRODUCER)
    assert (handled.name, handled.kind) == ("process asks", SpanKind.CONSUMER)
    assert parent_of(handled, spans.all) == "publish asks"
    assert dict(sent.attributes or {}) == {
        "messaging.system": "guildbus",
        "messaging.destination.name": "asks",
        "messaging.message.id": asked,
        "messaging.message.conversation_id": asked,
        "messaging.guildbus.message.type": "Ask",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
    }
    assert dict(handled.attributes or {}) == {
        "messaging.system": "guildbus",
        "messaging.destination.name": "asks",
        "messaging.message.id": asked,
        "messaging.message.conversation_id": asked,
        "messaging.guildbus.message.type": "Ask",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.consumer.group.name": "reader",
    }
    scope = handled.instrumentation_scope
    assert scope is not None
    assert (scope.name, scope.schema_url) == ("guildbus", names.SCHEMA_URL)


async def test_a_request_through_several_agents_is_one_trace(site: Site) -> None:
    spans = Spans()

    async def pass_on(ask: Ask, context: Context) -> Told:
        context.send(Told(text="sent"), "told")
        context.send(Told(text="later"), "told", delay_s=0.01)
        context.send(Told(text="timed"), "told", timer="alarm", delay_s=0.01)
        answer = await context.request("echoes", ask)
        assert isinstance(answer, Told)
        return answer

    async with seen_by(OpenTelemetryObserver(spans.provider), await site.open()) as bus:
        await bus.subscribe(listening("echo", echo, topics=("echoes",)))
        await bus.subscribe(listening("passer", pass_on))
        await bus.subscribe(listening("reader", Recorder(), Told, topics=("told",)))
        await bus.request("asks", Ask(text="x"))
        await spans.until("process told", 3)
        await settled_all(bus, "reader")

    found = spans.all
    assert len(traces_of(found)) == 1
    assert orphans_in(found) == []
    parents = {(span.name, parent_of(span, found)) for span in found}
    assert parents == {
        ("publish asks", ""),
        ("process asks", "publish asks"),
        ("publish told", "process asks"),
        ("process told", "publish told"),
        ("publish echoes", "process asks"),
        ("process echoes", "publish echoes"),
        ("publish", "process echoes"),  # an answer, to a topic of the caller's own
        ("publish", "process asks"),
    }
    assert len(spans.named("publish told")) == len(spans.named("process told")) == 3


async def test_attempts_lie_side_by_side_and_each_that_failed_says_so() -> None:
    spans = Spans()
    async with memory_bus(Ask, observer=OpenTelemetryObserver(spans.provider)) as bus:
        await bus.subscribe(listening("reader", fail, retry=SOON))
        asked = await bus.publish("asks", Ask(text="hopeless"))
        await dead_letters(bus)
        await bus.dead_letters.requeue(asked)
        await spans.until("process asks", 4)

    attempts = spans.named("process asks")
    assert {parent_of(span, spans.all) for span in attempts} == {"publish asks"}
    assert len(traces_of(spans.all)) == 1
    assert [
        ((span.attributes or {})[names.OUTCOME], (span.attributes or {})[names.ERROR_TYPE])
        for span in attempts
    ] == [("retried", "RuntimeError"), ("dead_lettered", "RuntimeError")] * 2
    assert {span.status.status_code for span in attempts} == {StatusCode.ERROR}


@pytest.mark.parametrize("share", [1.0, 0.25])
async def test_attempts_at_what_no_observer_saw_go_out_are_one_trace(
    site: Site, share: float
) -> None:
    """The sampler decides for all attempts at once."""
    spans = Spans(sampler=ParentBasedTraceIdRatio(share))
    count = 40
    observer = OpenTelemetryObserver(spans.provider)
    async with (
        seen_by(None, await site.open()) as one,
        seen_by(observer, await site.open()) as two,
    ):
        await two.subscribe(listening("failing", fail, retry=SOON))
        await one.publish_many("asks", [Ask(text=str(number)) for number in range(count)])
        await dead_letters(two, count)
        await settled_all(two, "failing")

    attempts = spans.named("process asks")
    traces = traces_of(attempts)
    assert len(attempts) == 2 * len(traces)
    assert (len(traces) == count) is (share == 1)
    assert traces
    assert len({span.parent.span_id for span in attempts if span.parent}) == len(traces)


async def test_the_notice_of_a_failure_belongs_to_the_trace() -> None:
    spans = Spans()
    async with memory_bus(Ask, observer=OpenTelemetryObserver(spans.provider)) as bus:
        await bus.subscribe(listening("reader", fail, retry=ONCE))
        with pytest.raises(RequestFailedError):
            await bus.request("asks", Ask(text="x"))

    assert spans.names == ["publish asks", "process asks", "publish"]
    assert (orphans_in(spans.all), len(traces_of(spans.all))) == ([], 1)


async def test_what_comes_to_no_handler_and_is_given_up_is_a_span_with_its_cause() -> None:
    spans = Spans()
    async with memory_bus(Ask, observer=OpenTelemetryObserver(spans.provider)) as bus:
        await bus.subscribe(listening("reader", echo, retry=ONCE))
        sound = bus.publisher.seal("asks", Ask(text="x"))
        await bus.backend.append([sound._replace(payload=b"{", message=None)])
        await dead_letters(bus)
        await bus.publish("asks", Told(text="nobody handles this"))
        await settled_all(bus, "reader")

    handled = spans.one("process asks")  # and none for what is ignored
    assert (handled.attributes or {})[names.ERROR_TYPE] == "InvalidMessageError"
    assert parent_of(handled, spans.all) == "publish asks"


async def test_what_the_bus_tells_of_a_failure_was_sent() -> None:
    spans = Spans()

    async def give_up(ask: Ask, context: Context) -> None:
        raise RuntimeError(ask.text)

    async with memory_bus(Ask, observer=OpenTelemetryObserver(spans.provider)) as bus:
        await bus.subscribe(listening("giver", give_up, retry=RetryPolicy(attempts=1)))
        with pytest.raises(RequestFailedError):
            await bus.request("asks", Ask(text="x"))
        await eventually(lambda: not orphans_in(spans.all))

    notices = [
        dict(span.attributes or {})
        for span in spans.all
        if (span.attributes or {}).get(names.MESSAGE_TYPE) == "bus.request_failed"
    ]
    assert notices
    assert not [each for each in notices if names.IS_SENT in each]


async def test_what_a_failed_handling_would_have_sent_says_that_it_was_not() -> None:
    spans = Spans()

    async def tell_and_fail(ask: Ask, context: Context) -> None:
        context.send(Told(text="x"), "told")
        if context.attempt == 1:
            raise RuntimeError(ask.text)

    async with memory_bus(Ask, observer=OpenTelemetryObserver(spans.provider)) as bus:
        await bus.subscribe(listening("teller", tell_and_fail, retry=SOON))
        await bus.publish("asks", Ask(text="x"))
        await spans.until("publish told", 2)

    told = [(span.attributes or {}).get(names.IS_SENT) for span in spans.named("publish told")]
    assert told == [False, None]
    # As its parent comes first, a process that is killed in between leaves no orphan.
    assert spans.names[1:3] == ["process asks", "publish told"]


async def test_a_detached_message_begins_a_trace_that_is_linked_to_the_first() -> None:
    spans = Spans()

    async def begin_anew(ask: Ask, context: Context) -> None:
        context.send(Told(text="x"), "told", detached=True)

    async with memory_bus(Ask, Told, observer=OpenTelemetryObserver(spans.provider)) as bus:
        await bus.subscribe(listening("teller", begin_anew))
        await bus.subscribe(listening("reader", Recorder(), Told, topics=("told",)))
        await bus.publish("asks", Ask(text="x"))
        await spans.until("process told")

    told, asked = spans.one("publish told"), spans.one("process asks")
    assert told.parent is None
    assert [link.context for link in told.links] == [asked.context]
    assert len(traces_of(spans.all)) == 2
    assert orphans_in(spans.all) == []


async def test_an_answer_from_a_later_handling_belongs_to_it() -> None:
    spans = Spans()
    asked = list[Any]()

    async def answer_the_first(ask: Ask, context: Context) -> None:
        asked.append(context.requester)
        if len(asked) == 2:
            context.answer(asked[0], Told(text="late"))

    async with memory_bus(Ask, Told, observer=OpenTelemetryObserver(spans.provider)) as bus:
        await bus.subscribe(listening("teller", answer_the_first))
        first = asyncio.create_task(bus.request("asks", Ask(text="x")))
        await eventually(lambda: len(asked) == 1)
        await bus.publish("asks", Ask(text="go on"))
        assert await first == Told(text="late")

    assert parent_of(spans.one("publish"), spans.all) == "process asks"
    assert orphans_in(spans.all) == []


async def test_the_span_of_the_host_is_the_parent_of_what_it_publishes() -> None:
    spans = Spans()
    tracer = spans.provider.get_tracer("host")
    async with memory_bus(Ask, Told, observer=OpenTelemetryObserver(spans.provider)) as bus:
        await bus.subscribe(listening("echo", echo))
        with tracer.start_as_current_span("web request"):
            await bus.request("asks", Ask(text="x"))

    assert parent_of(spans.one("publish asks"), spans.all) == "web request"
    assert len(traces_of(spans.all)) == 1


@pytest.mark.parametrize("is_plain", [True, False], ids=["plain", "coroutine"])
async def test_spans_that_a_handler_makes_hang_from_its_own(is_plain: bool) -> None:
    spans = Spans()
    tracer = spans.provider.get_tracer("host")

    def work(ask: Ask, context: Context) -> None:
        with tracer.start_as_current_span("own work"):
            context.send(Told(text="x"), "told")

    async def work_on_the_loop(ask: Ask, context: Context) -> None:
        work(ask, context)

    async with memory_bus(Ask, observer=OpenTelemetryObserver(spans.provider)) as bus:
        await bus.subscribe(listening("worker", work if is_plain else work_on_the_loop))
        await bus.publish("asks", Ask(text="x"))
        await settled_all(bus, "worker")

    assert parent_of(spans.one("own work"), spans.all) == "process asks"
    assert parent_of(spans.one("publish told"), spans.all) == "own work"


async def test_a_guild_that_is_started_in_a_span_has_none_of_it_in_its_handlings() -> None:
    spans = Spans()
    tracer = spans.provider.get_tracer("host")
    async with memory_bus(Ask, observer=OpenTelemetryObserver(spans.provider)) as bus:
        with tracer.start_as_current_span("startup"):
            await bus.subscribe(listening("teller", tell))
        silent = seen_by(None, bus.backend)
        await silent.open()
        await silent.publish("asks", Ask(text="from a process that makes no traces"))
        await spans.until("publish told")
        await silent.close()

    assert orphans_in(spans.all) == ["process asks"]
    assert len(traces_of(spans.all)) == 2  # that of the start is one
    assert parent_of(spans.one("publish told"), spans.all) == "process asks"


async def test_a_handling_leaves_nothing_in_the_context_of_the_next() -> None:
    spans = Spans()
    tasks = list[Any]()

    async def note(ask: Ask, context: Context) -> None:
        tasks.append(asyncio.current_task())

    async with memory_bus(Ask, observer=OpenTelemetryObserver(spans.provider)) as bus:
        await bus.subscribe(listening("reader", note, concurrency=1))
        for text in "abc":
            await bus.publish("asks", Ask(text=text))
            await settled_all(bus, "reader")

    assert len(set(tasks)) == 1
    assert len(traces_of(spans.all)) == 3
    assert {parent_of(span, spans.all) for span in spans.named("process asks")} == {"publish asks"}


async def test_a_handling_that_another_task_ends_is_ended_without_complaint(
    caplog: pytest.LogCaptureFixture,
) -> None:
    spans = Spans()

    async def spoil_its_task(ask: Ask, context: Context) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    async with memory_bus(Ask, observer=OpenTelemetryObserver(spans.provider)) as bus:
        await bus.subscribe(listening("reader", spoil_its_task, concurrency=1))
        for text in "ab":
            await bus.publish("asks", Ask(text=text))
            await settled_all(bus, "reader")

    assert len(spans.named("process asks")) == 2
    assert len(traces_of(spans.all)) == 2
    assert caplog.records == []  # opentelemetry logs what cannot be detached


@pytest.mark.parametrize("outcome", ["interrupted", "cancelled"])
async def test_a_handling_that_is_broken_off_has_its_span_ended(outcome: str) -> None:
    spans, gate = Spans(), Gate()
    async with memory_bus(Ask, observer=OpenTelemetryObserver(spans.provider)) as bus:
        running = await bus.subscribe(listening("reader", gate, drain_s=0.0))
        asked = await bus.publish("asks", Ask(text="x"))
        await eventually(lambda: bool(gate.started))
        if outcome == "cancelled":
            await bus.cancel(asked)
            await spans.until("process asks")
        await running.drain()

    assert (spans.one("process asks").attributes or {})[names.OUTCOME] == outcome
    assert (spans.one("publish told").attributes or {})[names.IS_SENT] is False


MALFORMED = (
    "x",
    "00-0-0-01",
    "t-1 00-",
    f"00-{'0' * 32}-{'1' * 16}-01",
    f"00-{'1' * 32}-{'0' * 16}-01",
    f"00-{'A' * 32}-{'1' * 16}-01",
    f"ff-{'1' * 32}-{'1' * 16}-01",
    f"00-{'1' * 32}-{'1' * 16}-01-more",
    f"00-{'1' * 32}-{'1' * 16}-0",
    f"00-{'1' * 32}-{'1' * 16}-zz",
    f"00-{chr(0x661) * 32}-{'1' * 16}-01",
    "\N{RIGHT-TO-LEFT OVERRIDE}" * 100,
    "=" * 1_024,
)


@pytest.mark.parametrize("malformed", MALFORMED)
async def test_a_malformed_trace_of_others_is_taken_for_none(malformed: str) -> None:
    spans = Spans()
    with capture_logs() as logs:
        async with memory_bus(Ask, observer=OpenTelemetryObserver(spans.provider)) as bus:
            await bus.subscribe(listening("teller", tell))
            sealed = bus.publisher.seal("asks", Ask(text="x"))
            await bus.backend.append([sealed._replace(trace=malformed)])
            await spans.until("publish told")

    handled = spans.one("process asks")
    assert orphans_in(spans.all) == ["process asks"]
    assert handled.parent is not None
    assert f"{handled.parent.trace_id:032x}" not in malformed
    assert parent_of(spans.one("publish told"), spans.all) == "process asks"
    assert [line for line in logs if line["log_level"] in {"warning", "error"}] == []


@pytest.mark.parametrize(
    ("trace_text", "state"),
    [
        (f"00-{'1' * 32}-{'2' * 16}-01 a=1,b=2", {"a": "1", "b": "2"}),
        (f"00-{'1' * 32}-{'2' * 16}-ff", {}),
        (f"00-{'1' * 32}-{'2' * 16}-01 not a state", {}),
        (f"cc-{'1' * 32}-{'2' * 16}-01-what-comes-later a=1", {"a": "1"}),
    ],
)
async def test_a_trace_that_others_have_begun_is_gone_on_with(
    trace_text: str, state: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    spans = Spans()
    async with memory_bus(Ask, observer=OpenTelemetryObserver(spans.provider)) as bus:
        await bus.subscribe(listening("teller", tell))
        sealed = bus.publisher.seal("asks", Ask(text="x"))
        await bus.backend.append([sealed._replace(trace=trace_text)])
        await spans.until("publish told")
        (told,) = await lying_in(bus, "told")

    handled = spans.one("process asks")
    assert handled.parent is not None
    assert (handled.parent.trace_id, handled.parent.span_id) == (
        int("1" * 32, 16),
        int("2" * 16, 16),
    )
    assert handled.context is not None
    assert dict(handled.context.trace_state) == state
    assert told.envelope.trace.startswith(f"00-{'1' * 32}-")
    assert told.envelope.trace.endswith(" a=1,b=2") == (len(state) == 2)
    assert "not a state" not in caplog.text


async def not_recorded(observer: OpenTelemetryObserver) -> list[str]:
    """The traces of a message, of what follows from it, and of what a handler could see."""
    traces = list[str]()

    async def look(ask: Ask, context: Context) -> Told:
        span = trace.get_current_span()
        assert not span.is_recording()
        seen = span.get_span_context()
        traces.extend((context.envelope.trace, write(seen)))
        return Told(text="x")

    async with memory_bus(Ask, observer=observer) as bus:
        await bus.subscribe(listening("looker", look, output_topic="told"))
        await bus.publish("asks", Ask(text="x"))
        (told,) = await lying_in(bus, "told")
        await settled_all(bus, "looker")
    return [*traces, told.envelope.trace]


@pytest.mark.parametrize("is_by_share", [True, False])
async def test_a_trace_is_left_out_as_a_whole(is_by_share: bool) -> None:
    spans = Spans(ALWAYS_ON if is_by_share else ALWAYS_OFF)
    share = 0.0 if is_by_share else 1.0

    published, seen, told = await not_recorded(OpenTelemetryObserver(spans.provider, share=share))

    assert spans.names == []
    assert published == told == ("" if is_by_share else seen)
    assert is_unsampled(seen)


async def test_of_many_traces_a_share_is_recorded_whole() -> None:
    spans = Spans()
    observer = OpenTelemetryObserver(spans.provider, share=0.25)
    async with memory_bus(Ask, observer=observer) as bus:
        await bus.subscribe(listening("teller", tell))
        await bus.publish_many("asks", [Ask(text="x")] * 400)
        await settled_all(bus, "teller")

    assert 50 < len(traces_of(spans.all)) < 150  # by chance beyond that once in 10^8 runs
    assert len(spans.all) == 3 * len(traces_of(spans.all))
    assert orphans_in(spans.all) == []


async def test_processes_with_the_same_share_leave_out_the_same_traces(site: Site) -> None:
    here, there = Spans(), Spans()
    async with (
        seen_by(OpenTelemetryObserver(here.provider, share=0.5), await site.open()) as one,
        seen_by(OpenTelemetryObserver(there.provider, share=0.5), await site.open()) as two,
    ):
        await two.subscribe(listening("teller", tell))
        await one.publish_many("asks", [Ask(text="x")] * 64)
        await settled_all(two, "teller")

    spans = [*here.all, *there.all]
    assert 0 < len(traces_of(spans)) < 64  # by chance not once in 10^18 runs
    assert len(spans) == 3 * len(traces_of(spans))
    assert orphans_in(spans) == []


async def test_what_is_detached_from_a_trace_that_is_left_out_may_be_recorded() -> None:
    spans = Spans()

    async def begin_anew(ask: Ask, context: Context) -> None:
        context.send(Told(text="x"), "told", detached=True)

    async with memory_bus(Ask, observer=OpenTelemetryObserver(spans.provider)) as bus:
        await bus.subscribe(listening("teller", begin_anew))
        sealed = bus.publisher.seal("asks", Ask(text="x"))
        await bus.backend.append([sealed._replace(trace=f"00-{'1' * 32}-{'2' * 16}-00")])
        await settled_all(bus, "teller")

    assert spans.names == ["publish asks", "publish told"]
    assert spans.one("publish told").parent is None


async def test_spans_of_the_host_in_a_trace_that_is_left_out_are_left_out() -> None:
    spans = Spans()
    tracer = spans.provider.get_tracer("host")

    async def work(ask: Ask, context: Context) -> None:
        with tracer.start_as_current_span("own work"):
            context.send(Told(text="x"), "told")

    observer = OpenTelemetryObserver(spans.provider, share=0.0)
    async with memory_bus(Ask, observer=observer) as bus:
        await bus.subscribe(listening("worker", work))
        await bus.publish("asks", Ask(text="x"))
        await settled_all(bus, "worker")

    assert spans.names == []


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_is_a_part_of_one(share: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        OpenTelemetryObserver(Spans().provider, share=share)


async def test_without_the_sdk_a_trace_of_others_is_handed_on() -> None:
    given = f"00-{'1' * 32}-{'2' * 16}-01"
    async with memory_bus(Ask, observer=OpenTelemetryObserver(trace.NoOpTracerProvider())) as bus:
        await bus.subscribe(listening("teller", tell))
        sealed = bus.publisher.seal("asks", Ask(text="x"))
        await bus.backend.append([sealed._replace(trace=given)])
        (told,) = await lying_in(bus, "told")
        await bus.publish("asks", Ask(text="x"))
        _, other = await lying_in(bus, "told", 2)

    assert told.envelope.trace == given
    assert other.envelope.trace == ""


@pytest.mark.parametrize("share", [1.0, 0.0], ids=["recorded", "left out"])
async def test_log_lines_of_a_handler_name_its_trace(share: float) -> None:
    spans, lines = Spans(), list[dict[str, Any]]()

    async def write_line(ask: Ask, context: Context) -> None:
        event = structlog.contextvars.merge_contextvars(None, "info", {"event": "here"})
        lines.append(json.loads(structlog.processors.JSONRenderer()(None, "info", event)))
        lines.append({"trace_id": str(structlog.contextvars.get_contextvars()["trace_id"])})

    observer = OpenTelemetryObserver(spans.provider, share=share)
    async with memory_bus(Ask, observer=observer) as bus:
        await bus.subscribe(listening("writer", write_line))
        await bus.publish("asks", Ask(text="x"))
        (asked,) = await lying_in(bus, "asks")
        await settled_all(bus, "writer")

    trace_id = asked.envelope.trace[3:35] or asked.envelope.conversation_id
    assert [line["trace_id"] for line in lines] == [trace_id] * 2


async def test_what_a_guild_tells_of_itself_begins_no_trace() -> None:
    spans = Spans()
    async with memory_bus(Ask, observer=OpenTelemetryObserver(spans.provider)) as bus:
        await bus.publish("guild.events", Ask(text="started"))

    assert spans.names == []


def test_no_global_provider_is_set_or_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_at_once(*_: object, **__: object) -> None:
        pytest.fail("a global provider was asked for")

    for name in ("get_tracer_provider", "set_tracer_provider"):
        monkeypatch.setattr(trace, name, fail_at_once)

    asyncio.run(not_recorded(OpenTelemetryObserver(Spans().provider, share=0.0)))


CANARY = "sk-canary-5c1f8"


async def told_of_a_secret(*, content: bool) -> str:
    """All that the spans say of a message with a secret, whose handling fails by it."""
    spans = Spans()

    async def spill(ask: Ask, context: Context) -> None:
        context.send(Told(text=ask.text), "told", key="k")
        raise ValueError(f"cannot use {ask.text}")

    observer = OpenTelemetryObserver(spans.provider, content=content)
    async with memory_bus(Ask, observer=observer) as bus:
        await bus.subscribe(listening("spiller", spill, retry=SOON))
        with pytest.raises(RequestFailedError):
            await bus.request("asks", Ask(text=CANARY))
    return "".join(span.to_json() for span in spans.all)


async def test_a_secret_in_a_message_is_in_no_span() -> None:
    assert CANARY not in await told_of_a_secret(content=False)


async def test_content_is_told_where_it_is_asked_for() -> None:
    told = await told_of_a_secret(content=True)

    assert f"cannot use {CANARY}" in told
    assert json.dumps(Ask(text=CANARY).model_dump_json())[1:-1] in told.replace('": "', '":"')


async def test_content_is_cut_to_a_length() -> None:
    spans = Spans()
    observer = OpenTelemetryObserver(spans.provider, content=True)
    async with memory_bus(Ask, observer=observer) as bus:
        await bus.publish("asks", Ask(text="é" * 100_000))

    body = (spans.one("publish asks").attributes or {})[names.BODY]
    assert isinstance(body, str)
    assert len(body.encode()) <= 8_200


async def test_tokens_are_told_by_the_handling_that_answered() -> None:
    spans = Spans()

    def spending(envelope: Envelope) -> Spent | None:
        return Spent("chat", "tiny", 7, 3, 2, "stop") if envelope.type == "Told" else None

    observer = OpenTelemetryObserver(spans.provider, spending=spending)
    async with memory_bus(Ask, Told, observer=observer) as bus:
        await bus.subscribe(listening("echo", echo))
        await bus.request("asks", Ask(text="x"))

    told = spans.one("process asks").attributes or {}
    assert {name: told[name] for name in told if name.startswith("gen_ai.")} == {
        "gen_ai.operation.name": "chat",
        "gen_ai.response.model": "tiny",
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.usage.cache_read.input_tokens": 2,
        "gen_ai.response.finish_reasons": ("stop",),
    }


def test_names_are_those_of_the_conventions() -> None:
    known = {
        value
        for module in (error_attributes, messaging_attributes, gen_ai_attributes)
        for value in vars(module).values()
        if isinstance(value, str)
    }
    ours = {
        value
        for name, value in vars(names).items()
        if name.isupper() and isinstance(value, str) and "." in value
    }
    own = {value for value in ours if value.startswith("messaging.guildbus.")}

    assert ours - own - {names.VERSION, names.SCHEMA_URL} <= known
    assert names.SCHEMA_URL in {schema.value for schema in Schemas}
