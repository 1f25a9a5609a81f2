"""An answer that lasts: events on their way to a reader, which may be slow, or gone.

What the reader has not taken waits in the gateway up to a bound. Then the source is left until
there is room again; a reader that takes nothing at all for a while is cut off. It can come back
with the position of what it got last.
"""

import asyncio
import json
import signal
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from pydantic import BaseModel
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from guild.gateway.errors import GatewayClosingError, TokenUnknownError, TooManyStreamsError
from guild.gateway.limits import Limits
from guild.gateway.problems import log_unforeseen, problem_of, problem_response
from messaging.process.logs import get_logger

log = get_logger()

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # a proxy hands each event on at once
}
QUIET = b": quiet\n\n"
MOST_AT_ONCE = 64 * 1024
NOTHING = 204
PEEK_S = 0.25
"""How long an error of the source may take to become the answer itself."""
PATIENCE_S = 0.05
"""How long a reader may be behind before the source is left."""
LOOK_S = 0.5
"""How often it is looked whether the server of a host stops."""
ABORT = "guildbus.abort"
"""Of a server that can: a function in `scope["extensions"]` that cuts the connection at once."""


class Event(NamedTuple):
    """One event, as the HTML standard writes it down.

    Attributes:
        data: JSON on one line.
        id: what a reader that comes back sends as Last-Event-ID; "" leaves the last one in force.
    """

    name: str
    data: str
    id: str = ""

    def encoded(self) -> bytes:
        line = f"id: {self.id}\n" if self.id else ""
        return f"{line}event: {self.name}\ndata: {self.data}\n\n".encode(errors="replace")


def event(name: str, data: BaseModel | Any, position: str = "") -> Event:
    """An event of a model, or of anything that JSON can say."""
    if isinstance(data, BaseModel):
        return Event(name, data.model_dump_json(), position)
    return Event(name, json.dumps(data, ensure_ascii=False, separators=(",", ":")), position)


Source = AsyncGenerator[Event, None]
Open = Callable[[str], Source]
"""Opens a source behind the position of an event, "" for its start."""


class Streams:
    """Those that are open: counted, and ended when the gateway ends."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # A stream that is dropped before it is served gives its place back by that.
        self._callers: WeakKeyDictionary[EventStream, str] = WeakKeyDictionary()
        self._ending = asyncio.Event()
        self._is_closed = False
        self._waiting = 0
        self._watching: asyncio.Task[None] | None = None

    def close(self) -> None:
        """End all that are open, and those to come."""
        self._is_closed = True
        self._ending.set()

    async def closing(self) -> None:
        """Return once they are to end: told so, or as the server of a host stops."""
        if self._is_closed:
            return
        self._waiting += 1
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch_host())
        try:
            await self._ending.wait()
        finally:
            self._waiting -= 1
            if not self._waiting and self._watching is not None:
                self._watching.cancel()
                self._watching = None

    async def _watch_host(self) -> None:
        """End those that are open when the host's server stops; it may start another one."""
        while True:
            await asyncio.sleep(LOOK_S)
            if _host_stops():
                self._ending.set()
                self._ending = asyncio.Event()

    @property
    def open(self) -> int:
        return len(self._callers)

    def take_place(self, stream: "EventStream", caller: str) -> None:
        """Count `stream` as one of `caller`, until `give_back`.

        Raises:
            TooManyStreamsError: `caller` may not open another one.
        """
        self.check_room(caller)
        self._callers[stream] = caller

    def give_back(self, stream: "EventStream") -> None:
        """Have the place of `stream` for another one."""
        self._callers.pop(stream, None)

    def check_room(self, caller: str) -> None:
        """Pass if `caller` may open another one.

        Raises:
            TooManyStreamsError: it may not.
        """
        if list(self._callers.values()).count(caller) >= self._limits.streams_of_one:
            raise TooManyStreamsError(self._limits.streams_of_one, f"of {caller!r}")
        if self.open >= self._limits.streams:
            raise TooManyStreamsError(self._limits.streams, "in all")


class EventStream:
    """An ASGI response of events.

    An error of the source is the last event, a `problem`. One that comes at once, before any event,
    is the whole answer, with a status of its own; so is the end of a source that has none.

    Args:
        open_source: called with "", and with the position of the last event whenever the source was
            left because its reader was behind. A source whose events have no positions is not left:
            it is asked for nothing until there is room.
        is_still_known: whether the caller's token is good any more; asked now and then.
        headers: of the answer, beside its own.

    Raises:
        TooManyStreamsError: too many are open.
    """

    def __init__(
        self,
        open_source: Open,
        limits: Limits,
        streams: Streams,
        *,
        caller: str,
        is_still_known: Callable[[], bool],
        headers: Mapping[str, str],
    ) -> None:
        told = {**HEADERS, **headers}
        self._headers = [(name.lower().encode(), value.encode()) for name, value in told.items()]
        self._open_source = open_source
        self._limits = limits
        self._streams = streams
        self._caller = caller
        self._is_still_known = is_still_known
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._position = ""
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._has_begun = self._has_ended = False
        self._failed_at_once: Exception | None = None
        streams.take_place(self, caller)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pulling = asyncio.create_task(self._pull())
        leaving = asyncio.create_task(_gone(receive))
        closing = asyncio.create_task(self._streams.closing())
        revoked = asyncio.create_task(self._revoked())
        sending = asyncio.create_task(self._send(scope, receive, send))
        tasks = (leaving, closing, revoked, sending, pulling)
        try:
            await asyncio.wait(tasks[:-1], return_when=asyncio.FIRST_COMPLETED)
            if revoked.done():
                self._waiting.clear()
                self._put(_problem(TokenUnknownError()))
            elif closing.done() and not self._has_begun:
                self._failed_at_once = GatewayClosingError()
            if not leaving.done() and not sending.done():
                await self._end(pulling)
                await sending
            elif sending.done():
                sending.result()
        except TimeoutError:
            log.warning("stream.reader_cut_off", caller=self._caller)
            _cut(scope)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._streams.give_back(self)

    async def _end(self, pulling: "asyncio.Task[None]") -> None:
        """Have what waits sent, and nothing more."""
        pulling.cancel()
        await asyncio.wait({pulling})
        self._has_ended = True
        self._changed.set()

    async def _revoked(self) -> None:
        """Return once the caller's token is not good any more."""
        while self._is_still_known():  # noqa: ASYNC110  a file on a disk tells nobody
            await asyncio.sleep(self._limits.quiet_s)

    async def _pull(self) -> None:
        """Take events from the source, as long as there is room for them."""
        try:
            while not await self._is_read_out():
                await self._room.wait()
        except Exception as error:  # noqa: BLE001  whatever it is, the reader is told
            self._fail(error)
        self._has_ended = True
        self._changed.set()

    async def _is_read_out(self) -> bool:
        """Read the source until it ends; False when it was left because there is no room."""
        async with aclosing(self._open_source(self._position)) as events:
            async for each in events:
                self._put(each)
                self._position = each.id or self._position
                if self._waiting_bytes > self._limits.waiting_bytes:
                    self._room.clear()
                    if not await self._gets_room(PATIENCE_S if each.id else None):
                        return False
        return True

    async def _gets_room(self, wait_s: float | None) -> bool:
        """Whether the reader takes so much in this time that there is room again."""
        try:
            async with asyncio.timeout(wait_s):
                await self._room.wait()
        except TimeoutError:
            return False
        return True

    def _fail(self, error: Exception) -> None:
        if self._has_begun:
            log_unforeseen(error)
            self._put(_problem(error))
        else:
            self._failed_at_once = error

    def _put(self, each: Event) -> None:
        self._has_begun = True
        encoded = each.encoded()
        self._waiting.append(encoded)
        self._waiting_bytes += len(encoded)
        self._changed.set()

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "HEAD":
            await self._happens(PEEK_S)
        if self._failed_at_once is not None:
            await problem_response(self._failed_at_once)(scope, receive, send)
            return
        if self._has_ended and not self._waiting:  # by this an EventSource stops coming back
            await Response(status_code=NOTHING)(scope, receive, send)
            return
        self._has_begun = True
        start = {"type": "http.response.start", "status": 200, "headers": self._headers}
        await send(start)
        if scope["method"] != "HEAD" and not self._waiting:  # Firefox waits for a first byte
            await send({"type": "http.response.body", "body": QUIET, "more_body": True})
        while scope["method"] != "HEAD" and not (self._has_ended and not self._waiting):
            body = self._next() if await self._happens(self._limits.quiet_s) else QUIET
            async with asyncio.timeout(self._limits.stalled_s):
                await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _happens(self, wait_s: float) -> bool:
        """Whether, within this time, there is something to send or the source has ended."""
        if not self._waiting and not self._has_ended:
            self._changed.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                return False
        return True

    def _next(self) -> bytes:
        """As much of what waits as goes out at once."""
        taken = bytearray()
        while self._waiting and len(taken) < MOST_AT_ONCE:
            taken += self._waiting.popleft()
        self._waiting_bytes -= len(taken)
        if self._waiting_bytes <= self._limits.waiting_bytes // 2:
            self._room.set()
        return bytes(taken)


def _host_stops() -> bool:
    """Whether this process is served by a uvicorn that was told to stop.

    It waits for all answers to end, and tells an app only afterwards that it stops (its lifespan
    ends). Its handlers of signals are methods of the server, so that there it can be asked.
    """
    handlers = (signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT))
    servers = (getattr(handler, "__self__", None) for handler in handlers)
    return any(getattr(server, "should_exit", False) is True for server in servers)


def _problem(error: Exception) -> Event:
    return event("problem", problem_of(error).model_dump(mode="json", exclude_none=True))


def _cut(scope: Scope) -> None:
    abort: Any = scope.get("extensions", {}).get(ABORT)
    if abort is None:
        raise ClientDisconnect  # the server closes what was not ended, as well as it can
    abort()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
