"""Traces by OpenTelemetry: a span for each message that goes out, and one for each handling.

The trace of a message names the span by which it went out, and each handling of it hangs from that
span: the attempts of an agent lie side by side, whichever process they were made in, and so do the
handlings of several agents. None hangs from an attempt that was killed, whose span is lost.

What a handler sends leaves with its commit, after the span of the handling has ended. So the spans
of what it sends end then, too: a process that is killed before shows neither. A message that did
not leave, as its handling has failed, says so.

A trace is recorded or left out as a whole, as its beginning was. What is left out costs little: no
span is made for it.
"""

import asyncio
from contextvars import Token
from hashlib import blake2b
from importlib.metadata import version
from typing import Any

import structlog
from opentelemetry.context import Context, attach, create_key, detach, get_current
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TracerProvider,
    get_current_span,
    set_span_in_context,
)

from messaging.observing import Ending, Handling, Observer
from messaging.process.error_text import text_of
from messaging.telemetry import conventions as names
from messaging.telemetry.spending import Spending
from messaging.telemetry.trace_text import TraceIdName, UnsampledSpan, is_unsampled, read, write
from messaging.wire.envelope import Envelope, payload_of
from messaging.wire.message import wire_type_of
from messaging.wire.replies import Cancelled, RequestFailed
from messaging.wire.topic import EVENTS_TOPIC, is_reply_topic

MOST_BODY = 8_192
_HERE = create_key("guildbus-handling")
_NOWHERE = Context()
_LEFT_OUT = set_span_in_context(UnsampledSpan(), _NOWHERE)
_TRACE_ID = TraceIdName()
_LAST, _DIGITS = slice(-8, None), 16**8  # of an id, which are as good as random
_ALL = "g"  # comes behind every digit
_FAILED = frozenset({"retried", "dead_lettered"})
_WITHOUT_HANDLER = frozenset({"retried", "dead_lettered", "cancelled"})


_NOTICES = tuple(wire_type_of(each).name for each in (RequestFailed, Cancelled))


class _Open:
    """A handling under way.

    Attributes:
        span: None where the provider has left the trace out.
        trace: of what follows then.
        outgoing: the spans of what leaves with the commit.
        notices: those of what the bus tells of a handling that has failed, which leaves then, too.
    """

    __slots__ = ("group", "inherited", "notices", "outgoing", "span", "task", "token", "trace")

    def __init__(self, handling: Handling, span: Span | None, trace: str = "") -> None:
        self.group = handling.group
        self.inherited = handling.envelope.trace
        self.span = span
        self.trace = trace
        self.outgoing: list[Span] = []
        self.notices: list[Span] = []
        self.task: asyncio.Task[Any] | None = None
        self.token: Token[Context] | None = None

    def sends(self, envelope: Envelope) -> bool:
        """Whether it is this handling that a message follows from."""
        return envelope.sender == self.group and envelope.trace == self.inherited


class OpenTelemetryObserver(Observer):
    """Makes spans by a tracer provider of the host's.

    Args:
        tracer_provider: of the SDK. Its sampler is asked at the beginning of a trace, and should
            follow the parent otherwise, which is the default of the SDK.
        share: of all conversations, how many are traced, if the sampler of the provider agrees. The
            id of a conversation decides, so processes with the same share leave out the same ones,
            and need to tell each other nothing: that costs a tenth of what a sampler costs.
        content: whether spans may tell what is in messages: the body, at most 8 KiB of it, and the
            texts of errors, which often repeat some of it.
        spending: tells what answers of language models have cost, such as
            `agents.llm.spent_on`; their tokens are told by the span of the handling.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider,
        *,
        share: float = 1.0,
        content: bool = False,
        spending: Spending | None = None,
    ) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"the share of traces is between 0 and 1, not {share}")
        self._tracer = tracer_provider.get_tracer(
            names.GUILDBUS, version("guildbus"), schema_url=names.SCHEMA_URL
        )
        self._below = format(int(share * _DIGITS), "08x") if share < 1 else _ALL
        self._content = content
        self._spending = spending

    def prepared(self) -> None:
        structlog.contextvars.bind_contextvars(trace_id=_TRACE_ID)
        attach(_LEFT_OUT)

    def wants(self, envelope: Envelope) -> bool:
        trace = envelope.trace
        if trace:
            return not is_unsampled(trace)
        return (envelope.conversation or envelope.id)[_LAST] < self._below

    def sealed(self, envelope: Envelope) -> str:
        context = get_current()
        if context is _LEFT_OUT or not context:  # nothing that is current is recorded
            if not envelope.trace and (envelope.conversation or envelope.id)[_LAST] >= self._below:
                return ""  # as nearly always where few are traced, so it is decided here
            return self._sent_alone(envelope)
        here: Any = context.get(_HERE)
        if here is None or not here.sends(envelope):
            return self._sent_by_itself(envelope, context)
        if not envelope.cause:  # detached: another trace, which tells where it came from
            links = () if here.span is None else (Link(here.span.get_span_context()),)
            return self._begin_anew(envelope, here, links)
        if here.span is None:
            return str(here.trace)
        self._tell_what_was_spent(envelope, here.span)
        return self._send(envelope, context, here)

    def begun(self, handling: Handling) -> _Open | None:
        if not self.wants(handling.envelope):
            return None
        here, span = self._opened(handling)
        # Nothing of the worker's own context, which may be that of the span that launched it.
        here.token = attach(set_span_in_context(span, Context({_HERE: here})))
        here.task = asyncio.current_task()
        return here

    def ended(self, handling: Handling, ending: Ending, token: _Open | None) -> None:
        if token is None:
            if ending.outcome in _WITHOUT_HANDLER and self.wants(handling.envelope):
                self._end(self._handle(handling), ending)
            return
        if token.token is not None and token.task is asyncio.current_task():
            detach(token.token)  # in any other task there is nothing to take back
        if token.span is None:
            return
        self._end(token.span, ending)
        for span in token.outgoing:
            if ending.outcome != "handled":
                span.set_attribute(names.IS_SENT, False)
            span.end()
        for span in token.notices:
            span.end()

    def _opened(self, handling: Handling) -> tuple[_Open, Span]:
        """The handling, and what is the current span in it."""
        span = self._handle(handling)
        context = span.get_span_context()
        if span.is_recording() or not context.is_valid:
            return _Open(handling, span), span
        return _Open(handling, None, write(context)), span

    def _sent_alone(self, envelope: Envelope) -> str:
        """What is published while no span is current that is recorded."""
        if envelope.trace and not envelope.cause:
            return self._begin_anew(envelope)
        return self._begin(envelope) if self.wants(envelope) else envelope.trace

    def _sent_by_itself(self, envelope: Envelope, context: Context) -> str:
        """What is published while a span of the host's is current."""
        if envelope.cause:  # by a handler whose trace is left out, or in a context of its own
            return self._begin(envelope) if self.wants(envelope) else envelope.trace
        current = get_current_span(context).get_span_context()
        if not current.is_valid:
            return self._begin(envelope) if self.wants(envelope) else envelope.trace
        return self._send(envelope, context) if current.trace_flags.sampled else write(current)

    def _begin(self, envelope: Envelope) -> str:
        """A message that hangs from no span which is current."""
        if envelope.topic == EVENTS_TOPIC:  # each thing that a guild tells of itself
            return envelope.trace
        given = read(envelope.trace) if envelope.cause else None  # what is detached begins anew
        return self._send(envelope, _context_of(given))

    def _begin_anew(
        self, envelope: Envelope, here: _Open | None = None, links: tuple[Link, ...] = ()
    ) -> str:
        """A message that is detached from the one in hand."""
        is_chosen = envelope.conversation_id[_LAST] < self._below
        return self._send(envelope, _NOWHERE, here, links) if is_chosen else ""

    def _send(
        self,
        envelope: Envelope,
        context: Context,
        here: _Open | None = None,
        links: tuple[Link, ...] = (),
    ) -> str:
        name, attributes = names.of_publishing(envelope)
        if self._content:
            attributes[names.BODY] = _body_of(envelope)
        span = self._tracer.start_span(
            name, context, kind=SpanKind.PRODUCER, attributes=attributes, links=links
        )
        # What a handler asks goes out at once, anything else with its commit.
        if here is None or here.span is None or is_reply_topic(envelope.reply_to):
            span.end()
        else:
            (here.notices if envelope.type in _NOTICES else here.outgoing).append(span)
        sent = span.get_span_context()
        return write(sent) if sent.is_valid else envelope.trace

    def _handle(self, handling: Handling) -> Span:
        envelope = handling.envelope
        name, attributes = names.of_handling(handling)
        if self._content:
            attributes[names.BODY] = _body_of(envelope)
        parent = read(envelope.trace) or self._unseen(envelope)
        return self._tracer.start_span(
            name, _context_of(parent), kind=SpanKind.CONSUMER, attributes=attributes
        )

    def _unseen(self, envelope: Envelope) -> SpanContext | None:
        """What a message hangs from that no observer has seen going out: the same for each attempt.

        The ids of a trace are random, and samplers go by that; those of messages tell the time.
        """
        sampler: Any = getattr(self._tracer, "sampler", None)
        if sampler is None:  # it makes no spans
            return None
        trace = blake2b(envelope.conversation_id.encode(), digest_size=16).digest()
        span = blake2b(envelope.id.encode(), digest_size=8).digest()
        trace_id = int.from_bytes(trace)
        decided = sampler.should_sample(_NOWHERE, trace_id, names.PROCESS, SpanKind.CONSUMER)
        flags = TraceFlags(TraceFlags.SAMPLED if decided.decision.is_sampled() else 0)
        return SpanContext(trace_id, int.from_bytes(span), is_remote=True, trace_flags=flags)

    def _end(self, span: Span, ending: Ending) -> None:
        if ending.outcome != "handled":
            span.set_attribute(names.OUTCOME, ending.outcome)
        if ending.error is not None:
            span.set_attribute(names.ERROR_TYPE, type(ending.error).__name__)
        if ending.outcome in _FAILED:
            is_told = self._content and ending.error is not None
            told = text_of(ending.error) if is_told and ending.error is not None else None
            span.set_status(Status(StatusCode.ERROR, told))
        span.end()

    def _tell_what_was_spent(self, envelope: Envelope, span: Span) -> None:
        spent = None if self._spending is None else self._spending(envelope)
        if spent is not None:
            span.set_attributes(names.of_spending(spent))


def _context_of(parent: SpanContext | None) -> Context:
    return _NOWHERE if parent is None else set_span_in_context(NonRecordingSpan(parent), _NOWHERE)


def _body_of(envelope: Envelope) -> str:
    payload = envelope.payload or payload_of(envelope)
    return payload[:MOST_BODY].decode(errors="replace")
