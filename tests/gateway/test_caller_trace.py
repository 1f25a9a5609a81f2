"""A caller that traces its own work finds that of the guild in the same trace."""

import httpx
import pytest
from opentelemetry.context import attach, detach
from opentelemetry.trace import set_span_in_context

from guild.gateway import gateway_app
from guild.runtime import Guild
from messaging.telemetry import OpenTelemetryObserver
from messaging.wire.envelope import new_id
from tests.gateway.conftest import asking
from tests.gateway.crew import crew_spec
from tests.messaging.telemetry.spans import Spans, parent_of, traces_of

TRACE, SPAN = "1" * 32, "2" * 16
PARENT = f"00-{TRACE}-{SPAN}-01"
SAY = {"type": "gw.say", "data": {"text": "x"}}


async def said(spans: Spans, headers: list[tuple[str, str]], path: str = "requests") -> None:
    observer = OpenTelemetryObserver(spans.provider)
    spec = crew_spec(f"crew-{new_id()}")
    async with (
        Guild.launch(spec, bus="memory://", observer=observer) as guild,
        asking(gateway_app(guild.client)) as http,
    ):
        told = httpx.Headers(headers, encoding="latin-1")
        answer = await http.post(f"topics/says/{path}", json=SAY, headers=told)
        assert answer.status_code in {200, 202}, answer.text
        await spans.until("process says")


@pytest.mark.parametrize("path", ["requests", "messages"])
async def test_what_a_caller_sends_goes_on_in_its_trace(path: str) -> None:
    spans = Spans()

    await said(spans, [("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2")], path)

    parents = [span.parent for span in spans.named("publish says") if span.parent is not None]
    (parent,) = (each for each in parents if each.span_id == int(SPAN, 16))
    assert dict(parent.trace_state) == {"a": "1", "b": "2"}
    assert traces_of(spans.all) == {int(TRACE, 16)}


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("traceparent", "not a trace")],
        [("traceparent", f"00-{'0' * 32}-{SPAN}-01")],
        [("traceparent", PARENT), ("traceparent", PARENT.replace("1", "3"))],
        [("traceparent", "\xff" * 100)],
        [("traceparent", "0" * 8_000)],
    ],
    ids=["none", "words", "no id", "two", "hidden", "long"],
)
async def test_a_header_that_names_no_span_is_taken_for_none(
    headers: list[tuple[str, str]],
) -> None:
    spans = Spans()

    await said(spans, headers)

    assert spans.one("publish says").parent is None


async def test_a_caller_that_records_nothing_has_nothing_recorded_here() -> None:
    spans = Spans()
    observer = OpenTelemetryObserver(spans.provider)
    async with (
        Guild.launch(crew_spec("crew"), bus="memory://", observer=observer) as guild,
        asking(gateway_app(guild.client)) as http,
    ):
        headers = {"traceparent": f"00-{TRACE}-{SPAN}-00"}
        assert (await http.post("topics/says/requests", json=SAY, headers=headers)).is_success

    assert spans.names == []


async def test_a_span_that_the_host_has_made_for_the_request_comes_first() -> None:
    spans = Spans()
    span = spans.provider.get_tracer("host").start_span("GET /")
    token = attach(set_span_in_context(span))
    try:
        await said(spans, [("traceparent", PARENT)])
    finally:
        detach(token)
        span.end()

    assert parent_of(spans.one("publish says"), spans.all) == "GET /"
