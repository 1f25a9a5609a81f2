"""The hot path: one pipelined connection that comes back by itself.

Everything sent in one tick of the loop is one write, and replies are matched in order. A lost
connection fails what was unanswered with `ConnectionLostError`; who sent it knows whether sending
it again is harmless. `Link` dials again until it is closed, and `Link.call` sends a harmless
command again until it is answered or the deadline has passed.
"""

import asyncio
import fcntl
import random
import socket
import termios
from array import array
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from typing import Any, Protocol, cast

import hiredis

from messaging.backends.redis.endpoint import Endpoint
from messaging.backends.redis.keys import expected_type
from messaging.backends.redis.replies import (
    code_of,
    is_passing,
    needs_new_connection,
    remedy_of,
    to_messaging_error,
    wrong_type,
)
from messaging.backends.redis.tls import tls_problem
from messaging.errors import BackendSetupError, BackendUnavailableError, BusClosedError

FIRST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 0.25
CONNECT_TIMEOUT_S = 5.0
_SILENT = "it is silent: a server there may be loading its data or stand still, its log says more"
_SILENT_TLS = "it is silent; is it a TLS port?"

Argument = bytes | str | float


def pack(command: Sequence[Argument]) -> bytes:
    """The bytes of a command, as the server reads them."""
    packed: bytes = hiredis.pack_command(tuple(command))  # type: ignore[arg-type] # says 1-tuple
    return packed


class ConnectionLostError(Exception):
    """The connection went away before the reply; whether the command ran is not known."""


class Address(Protocol):
    """Where the server is to be found now; asked again before each connection."""

    async def resolve(self) -> Endpoint: ...


class Pipeline(asyncio.Protocol):
    """One connection: commands out in order, replies back in the same order.

    Args:
        on_lost: called once when the connection is gone.
        reply_timeout_s: a connection that owes something and is silent so long is given up, unless
            the server is still taking what it was asked: a long message on a narrow link.
    """

    def __init__(self, on_lost: Callable[["Pipeline"], None], reply_timeout_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._unwritten: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._on_lost = on_lost
        self._on_push: Callable[[list[Any]], None] | None = None
        self._reply_timeout_s = reply_timeout_s
        self._watchdog: asyncio.TimerHandle | None = None
        self._heard_something = True
        self._oldest: asyncio.Future[Any] | None = None
        self._why = "closed by the server"
        self._written_bytes = self._asked_bytes = self._taken_bytes = 0
        self.is_lost = False

    def send(self, packed: bytes) -> asyncio.Future[Any]:
        """The reply to come; fails with `hiredis.ReplyError` or `ConnectionLostError`."""
        reply = self._loop.create_future()
        if self.is_lost:
            reply.set_exception(ConnectionLostError("the connection is gone"))
            return reply
        self._waiting.append(reply)
        self.write(packed)
        return reply

    def write(self, packed: bytes) -> None:
        """Send without expecting a reply, as subscribed connections do."""
        if not self._unwritten:
            self._loop.call_soon(self.flush)
        self._unwritten.append(packed)

    def subscribe_to_pushes(self, on_push: Callable[[list[Any]], None] | None) -> None:
        """From now on hand every message to `on_push`: the connection listens to channels."""
        self._on_push = on_push

    def abort(self) -> None:
        """Drop the connection at once; replies that are still out are lost."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._watchdog = self._loop.call_later(self._reply_timeout_s, self._check_alive)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        if self._watchdog is not None:
            self._watchdog.cancel()
        try:
            waiting, self._waiting = self._waiting, deque()
            for reply in waiting:
                if not reply.done():
                    reply.set_exception(ConnectionLostError(str(exc or self._why)))
        finally:  # also short of memory: or nobody would dial again
            self._on_lost(self)

    def data_received(self, data: bytes) -> None:
        self._heard_something = True
        try:
            self._reader.feed(data)
            self._hand_out()
        except hiredis.ProtocolError:
            self._why = "what answers there does not speak the protocol of Redis"
            self.abort()

    def _hand_out(self) -> None:
        next_reply, waiting = self._reader.gets, self._waiting
        while True:
            value = next_reply()
            if value is False:  # nothing whole is left; Redis has no false in RESP2
                return
            if self._on_push is not None:
                self._on_push(value)
                continue
            reply = waiting.popleft()
            if reply.done():
                continue
            if isinstance(value, hiredis.ReplyError):
                reply.set_exception(value)
            else:
                reply.set_result(value)

    def flush(self) -> None:
        """Write what waits now: for who has nothing to add, a tick of the loop earlier."""
        unwritten, self._unwritten = self._unwritten, []
        if unwritten and self._transport is not None and not self.is_lost:
            data = b"".join(unwritten)
            self._written_bytes += len(data)
            self._transport.write(data)

    def _check_alive(self) -> None:
        oldest = self._waiting[0] if self._waiting else None
        owes_a_reply = oldest is not None and oldest is self._oldest
        is_taking = self._is_taking()
        is_silent = not self._heard_something and not is_taking
        if is_silent and (owes_a_reply or self._on_push is not None):
            self.abort()
            return
        self._oldest, self._heard_something = oldest, False
        if self._on_push is not None:
            self.write(pack(("PING",)))
        self._watchdog = self._loop.call_later(self._reply_timeout_s, self._check_alive)

    def _is_taking(self) -> bool:
        """Whether what had been asked by the last look is not all taken yet, but more of it is."""
        assert self._transport is not None
        on_its_way = self._transport.get_write_buffer_size() + _unacknowledged(self._transport)
        asked, before = self._asked_bytes, self._taken_bytes
        self._asked_bytes, self._taken_bytes = (
            self._written_bytes,
            self._written_bytes - on_its_way,
        )
        return before < self._taken_bytes and before < asked


class Link:
    """A connection to whatever server is at `address` now.

    Args:
        give_up_after_s: how long a command may wait for a server that is away.
        on_back: awaited after each reconnection, before anybody else may send.
        on_push: see `Pipeline.subscribe_to_pushes`.
    """

    def __init__(
        self,
        address: Address,
        *,
        give_up_after_s: float,
        reply_timeout_s: float,
        on_back: Callable[[Pipeline], Awaitable[None]] | None = None,
        on_push: Callable[[list[Any]], None] | None = None,
    ) -> None:
        self._address = address
        self._give_up_after_s = give_up_after_s
        self._reply_timeout_s = reply_timeout_s
        self._on_back = on_back
        self._on_push = on_push
        self._live = asyncio.Event()
        self._pipeline: Pipeline | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._is_closed = False
        self._last_error = ""
        self._url = ""
        self.generation = 0

    async def open(self) -> None:
        """Connect once.

        Raises:
            BackendUnavailableError: nobody answers there.
            BackendSetupError: the server refused the credentials.
        """
        self._pipeline = await self._dial()
        self._live.set()

    async def close(self) -> None:
        self._is_closed = True
        if self._dialling is not None:
            self._dialling.cancel()
            await asyncio.gather(self._dialling, return_exceptions=True)
        if self._pipeline is not None:
            self._pipeline.abort()
            await asyncio.sleep(0)  # lets connection_lost run
        self._live.set()

    def current(self) -> Pipeline | None:
        """The connection if there is one at this moment."""
        pipeline = self._pipeline
        return None if pipeline is None or pipeline.is_lost else pipeline

    def deadline(self) -> float:
        """When a command that is sent now gives up, on the loop's clock."""
        return asyncio.get_running_loop().time() + self._give_up_after_s

    async def connected(self, give_up_at: float) -> Pipeline:
        """A live connection, waiting for one if need be.

        Raises:
            BackendUnavailableError: there was none until `give_up_at`.
            BusClosedError: the link was closed.
        """
        while True:
            if self._is_closed:
                raise BusClosedError("the bus is closed")
            if pipeline := self.current():
                return pipeline
            try:
                async with asyncio.timeout_at(give_up_at):
                    await self._live.wait()
            except TimeoutError:
                raise self.unavailable(self._last_error) from None

    async def call(self, *command: Argument) -> Any:
        """The reply to a command that is harmless to repeat; repeated while the server is away.

        Raises:
            BackendUnavailableError, BackendSetupError, BusFullError, BusClosedError
        """
        packed, give_up_at = pack(command), self.deadline()
        pause_s = FIRST_PAUSE_S
        while True:
            pipeline = await self.connected(give_up_at)
            try:
                return await pipeline.send(packed)
            except ConnectionLostError as error:
                self._last_error = str(error)
            except hiredis.ReplyError as error:
                keys = [argument for argument in command if isinstance(argument, bytes)]
                pause_s = await self.wait_out(error, pause_s, give_up_at, pipeline, keys)

    async def check_types(self, keys: Collection[bytes]) -> None:
        """Return if each of the keys holds what belongs there.

        Raises:
            BackendSetupError: one does not; names it, what it holds, and what to do.
        """
        if keys:
            await _check_types(keys, await self.connected(self.deadline()))

    async def wait_out(
        self,
        error: Exception,
        pause_s: float,
        give_up_at: float,
        pipeline: Pipeline,
        keys: Sequence[bytes] = (),
    ) -> float:
        """Sleep if `error`, about these keys, will pass, and return the next pause.

        Raises:
            MessagingError: `error` in our terms if it will not pass, or not in time.
        """
        if not is_passing(error):
            if code_of(error) == "WRONGTYPE":
                await _check_types(keys, pipeline, error)
            raise to_messaging_error(error, self.url) from error
        loop = asyncio.get_running_loop()
        if loop.time() + pause_s > give_up_at:
            raise self.unavailable(str(error), code_of(error)) from error
        if needs_new_connection(error):
            pipeline.abort()
        await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads retries
        return min(pause_s * 2, LONGEST_PAUSE_S)

    @property
    def url(self) -> str:
        """Where the server was when it was last looked for, without passwords."""
        return self._url

    def unavailable(self, why: str, code: str = "") -> BackendUnavailableError:
        did = "refused" if code else "stayed away"
        return BackendUnavailableError(
            f"the server at {self._url} {did} for {self._give_up_after_s:g} s"
            f"{f': {why}' if why else ''}; {remedy_of(code)}"
        )

    async def _dial(self) -> Pipeline:
        endpoint = await self._address.resolve()
        self._url = endpoint.url
        pipeline = Pipeline(self._lost, self._reply_timeout_s)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await _connect(pipeline, endpoint)
                await self._introduce(pipeline, endpoint)
                if self.generation and self._on_back is not None:
                    await self._on_back(pipeline)
        except (OSError, TimeoutError, ConnectionLostError) as error:
            pipeline.abort()
            if endpoint.tls is not None and (problem := tls_problem(error, endpoint.host)):
                raise BackendSetupError(f"no trust in {endpoint.url}: {problem}") from error
            why = str(error) or (_SILENT_TLS if endpoint.tls else _SILENT)
            raise BackendUnavailableError(
                f"no server answers at {endpoint.url} ({why}); start one there (redis-server), or "
                "use the bus `embedded`, or `memory://` without persistence"
            ) from error
        except BaseException:
            pipeline.abort()
            raise
        self.generation += 1
        return pipeline

    async def _introduce(self, pipeline: Pipeline, endpoint: Endpoint) -> None:
        # The PING comes back from a server that has taken our certificate, not before.
        commands = (*endpoint.greeting, ("PING",))
        replies = [pipeline.send(pack(command)) for command in commands]
        for answer in await asyncio.gather(*replies, return_exceptions=True):
            if isinstance(answer, hiredis.ReplyError) and not is_passing(answer):
                raise BackendSetupError(
                    f"the server at {endpoint.url} refused us: {answer}; check user, password and "
                    "database in the URL"
                ) from answer
            if isinstance(answer, BaseException) and not isinstance(answer, hiredis.ReplyError):
                raise answer
        pipeline.subscribe_to_pushes(self._on_push)

    def _lost(self, pipeline: Pipeline) -> None:
        if pipeline is not self._pipeline or self._is_closed or self._dialling is not None:
            return
        self._live.clear()
        self._dialling = asyncio.get_running_loop().create_task(self._dial_until_back())

    async def _dial_until_back(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                pipeline = await self._dial()
                break
            except Exception as error:  # noqa: BLE001 - without this task all would stay deaf for good
                self._last_error = str(error.__cause__ or error) or _SILENT
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads dials
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        self._pipeline, self._dialling = pipeline, None
        self._live.set()
        if pipeline.is_lost:
            self._lost(pipeline)


def _unacknowledged(transport: asyncio.Transport) -> int:
    """Bytes that the system has and the other side has not confirmed."""
    count = array("i", [0])
    with suppress(OSError, ValueError):  # it is closed, or a kind of socket that cannot tell
        fcntl.ioctl(transport.get_extra_info("socket"), termios.TIOCOUTQ, count)
    return count[0]


async def _check_types(
    keys: Collection[bytes], pipeline: Pipeline, cause: Exception | None = None
) -> None:
    """Say which of the keys holds what does not belong there."""
    with suppress(ConnectionLostError, hiredis.ReplyError):  # then the cause itself must do
        types = await asyncio.gather(*[pipeline.send(pack(("TYPE", key))) for key in keys])
        found = {key: kind.decode() for key, kind in zip(keys, types, strict=True)}
        misfits = {
            key.decode(errors="replace"): (kind, expected_type(key))
            for key, kind in found.items()
            if kind not in ("none", expected_type(key))
        }
        if misfits:
            raise wrong_type(misfits) from cause


async def _connect(pipeline: Pipeline, endpoint: Endpoint) -> None:
    loop = asyncio.get_running_loop()
    if endpoint.path:
        await loop.create_unix_connection(lambda: pipeline, endpoint.path)
    else:
        await loop.create_connection(
            lambda: pipeline, endpoint.host, endpoint.port, ssl=endpoint.tls
        )
