"""One row of the table of routes, and what the function behind it is called with."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request

from guild.client import GuildClient
from guild.gateway.callers import Caller, Scope
from guild.gateway.errors import GatewayClosingError, InvalidParameterError
from guild.gateway.limits import Limits
from guild.gateway.live import LiveHub
from guild.gateway.reused import UsedKeys, id_of
from guild.gateway.streams import EventStream, Open, Streams
from messaging.bus import Bus
from messaging.errors import BackendUnavailableError

T = TypeVar("T")
BodyT = TypeVar("BodyT", bound=BaseModel | None)
QueryT = TypeVar("QueryT", bound=BaseModel | None)

EVENT_STREAM = "text/event-stream"
MOST_OF_A_KEY = 500
_LOOK_S = 1.0
_WEIGHT = re.compile(r"[01](?:\.[0-9]{0,3})?")


@dataclass(frozen=True)
class Services:
    """What all calls of a gateway share.

    Attributes:
        mounted: the paths of the apps beside it.
    """

    client: Callable[[], GuildClient]
    limits: Limits
    streams: Streams
    used_keys: UsedKeys
    live: LiveHub
    mounted: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Call(Generic[BodyT, QueryT]):
    """A request to one of the routes, read and checked.

    Attributes:
        path: the parts of the path that its row names.
    """

    request: Request
    services: Services
    caller: Caller
    path: Mapping[str, str]
    raw_body: bytes
    body: BodyT
    query: QueryT

    @property
    def client(self) -> GuildClient:
        return self.services.client()

    @property
    def bus(self) -> Bus:
        return self.client.bus

    @property
    def headers(self) -> Headers:
        return self.request.headers

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[str]:
        """A block in which one message is sent, under the id that it gives: that of its
        Idempotency-Key, or a new one. It goes on in the trace of the caller.

        Raises:
            KeyReusedError: another message was sent with the key.
            InvalidParameterError: the key is empty, or too long.
        """
        keys = self.headers.getlist("idempotency-key")
        key = ", ".join(keys)
        if keys and not key.strip():  # as of a variable that is not set
            raise InvalidParameterError(("Idempotency-Key: it is empty",))
        if len(key) > MOST_OF_A_KEY:
            raise InvalidParameterError((f"Idempotency-Key: at most {MOST_OF_A_KEY} characters",))
        message_id = id_of(self.caller.name, key)
        async with AsyncExitStack() as stack:
            stack.enter_context(in_trace_of(self.headers))
            if key:
                # Below where this gateway is mounted: another one may be mounted elsewhere.
                path = self.request.scope["path"].removeprefix(
                    self.request.scope.get("root_path", "")
                )
                using = self.services.used_keys.use(
                    self.bus.backend, message_id, path, self.raw_body
                )
                await stack.enter_async_context(using)
            yield message_id

    @property
    def wants_events(self) -> bool:
        """Whether the caller asks for server-sent events, and not for one JSON document."""
        accept = ", ".join(self.headers.getlist("accept"))
        wish = _wish(accept, EVENT_STREAM)
        return wish > 0.0 and wish >= _wish(accept, "application/json")

    @property
    def prefers_async(self) -> bool:
        """Whether the caller would rather come back for the answer (RFC 7240)."""
        wishes = ",".join(self.headers.getlist("prefer")).lower().split(",")
        return "respond-async" in [wish.partition(";")[0].strip() for wish in wishes]

    def stream(self, open_source: Open, **headers: str) -> EventStream:
        """Events as an answer that lasts; see `EventStream`.

        Raises:
            TooManyStreamsError: too many are open.
        """
        services = self.services
        return EventStream(
            open_source,
            services.limits,
            services.streams,
            caller=self.caller.name,
            is_still_known=self.request.state.is_still_known,
            headers=headers,
        )

    def check_room_for_stream(self) -> None:
        """Pass if there is room for a stream, before anything is done for one.

        Raises:
            TooManyStreamsError: there is no room.
        """
        self.services.streams.check_room(self.caller.name)

    async def unless_gone(self, work: Awaitable[T]) -> T:
        """What `work` comes to; it is cancelled when the caller, or the gateway, goes before.

        Raises:
            ClientDisconnect: the caller has gone.
            GatewayClosingError: the gateway ends.
        """
        working = asyncio.ensure_future(work)
        leaving = asyncio.create_task(_gone(self.request))
        closing = asyncio.create_task(self.services.streams.closing())
        tasks = (working, leaving, closing)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            raise GatewayClosingError if closing.done() else ClientDisconnect
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def unless_store_hangs(work: Awaitable[T], bus: Callable[[], Bus], patience_s: float) -> T:
    """What `work` comes to, however long it takes while the store behind it answers others.

    A store that is gone is told of by the bus, after a while in which publishers are better off
    waiting. A reader is told at once, and comes back.

    Raises:
        BackendUnavailableError: the store has answered nothing for so long.
    """
    working = asyncio.ensure_future(work)
    asking: asyncio.Task[float] | None = None
    try:
        while not (await asyncio.wait({working}, timeout=_LOOK_S))[0]:
            asking = asyncio.create_task(bus().backend.time())
            waited = {working, asking}
            await asyncio.wait(waited, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
            if not working.done() and (not asking.done() or asking.exception()):
                raise BackendUnavailableError(f"the store has not answered for {patience_s:g} s")
        return working.result()
    finally:
        tasks = [task for task in (working, asking) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True)
class Endpoint(Generic[BodyT, QueryT]):
    """One row of the table.

    Attributes:
        path: below `/api/v1`, with the parts that vary in braces.
        scope: what the caller's token must be good for; None for any token.
        handle: answers a call with a value of the type `answer`, or with a response of its own.
        summary: a sentence for the document.
        body: the shape of the body; None without one.
        query: the shape of the query; None without one.
        answer: the type of the JSON in the answer.
        status: of the answer.
        later: the type of the JSON in a 202, where the answer may come later.
        events: what is sent where a stream is asked for, by the name of the event.
        problems: the errors of which the caller should know.
        headers: of requests, that count here, with what they do.
    """

    method: str
    path: str
    scope: Scope | None
    handle: Callable[[Call[BodyT, QueryT]], Awaitable[Any]]
    summary: str
    body: type[BodyT] | None = None
    query: type[QueryT] | None = None
    answer: Any = None
    status: int = 200
    later: Any = None
    events: Mapping[str, Any] | None = None
    problems: tuple[type[Exception], ...] = ()
    headers: Mapping[str, str] | None = None

    @property
    def is_read(self) -> bool:
        """Whether it only looks, and waits for nothing but the store."""
        return self.method == "GET" and self.later is None

    @property
    def name(self) -> str:
        """What the document calls the operation."""
        return getattr(self.handle, "__name__", "")


def _wish(accept: str, media_type: str) -> float:
    """How much a caller wants a type that it names (RFC 9110, section 12.5.1)."""
    for each in accept.lower().split(","):
        name, *settings = map(str.strip, each.split(";"))
        if name == media_type:
            weight = next((each[2:] for each in settings if each.startswith("q=")), "1")
            return float(weight) if _WEIGHT.fullmatch(weight) else 1.0
    return 0.0


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


@contextmanager
def in_trace_of(headers: Headers) -> Iterator[None]:
    """A block in which the span that `traceparent` names is the current one.

    Unless the host has made one of its own for the request. Without OpenTelemetry, which an
    observer of this process would have loaded, no span is made, and nothing is done. A header that
    names no span, or comes twice, is taken for none (https://www.w3.org/TR/trace-context/).
    """
    parents = headers.getlist("traceparent")
    if len(parents) != 1 or "opentelemetry.trace" not in sys.modules:
        yield
        return
    from opentelemetry.context import attach, detach  # noqa: PLC0415  only where it is in use
    from opentelemetry.trace import (  # noqa: PLC0415  likewise
        NonRecordingSpan,
        get_current_span,
        set_span_in_context,
    )

    from messaging.telemetry.trace_text import read  # noqa: PLC0415  likewise

    states = ",".join(headers.getlist("tracestate"))
    parent = read(f"{parents[0]} {states}" if states else parents[0])
    if parent is None or get_current_span().get_span_context().is_valid:
        yield
        return
    token = attach(set_span_in_context(NonRecordingSpan(parent)))
    try:
        yield
    finally:
        detach(token)
