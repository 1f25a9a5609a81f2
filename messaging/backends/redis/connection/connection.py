"""A pipeline that comes back: dialled again until it is closed, to wherever the server is now.

`Connection.call` sends a harmless command again until it is answered or the deadline has passed.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from typing import Any, Protocol

import hiredis

from messaging.backends.redis.connection.endpoint import Endpoint
from messaging.backends.redis.connection.error_replies import (
    code_of,
    is_passing,
    needs_new_connection,
    remedy_of,
    to_messaging_error,
    wrong_type,
)
from messaging.backends.redis.connection.outage import Outage
from messaging.backends.redis.connection.pipeline import (
    Argument,
    ConnectionLostError,
    Pipeline,
    Receiver,
    RepliesReceiver,
    Watchers,
    pack,
)
from messaging.backends.redis.connection.tls import tls_problem
from messaging.backends.redis.keys import expected_type
from messaging.errors import (
    BackendSetupError,
    BackendUnavailableError,
    BusClosedError,
    BusForkedError,
)
from messaging.process.forks import keep_from_children

FIRST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 0.25
LASTING_S = 1.0
CONNECT_TIMEOUT_S = 5.0
_SILENT = "it is silent: a server there may be loading its data or stand still, its log says more"
_SILENT_TLS = "it is silent; is it a TLS port?"


class Address(Protocol):
    """Where the server is to be found now; asked again before each connection."""

    async def resolve(self) -> Endpoint: ...


class Connection:
    """A connection to whatever server is at `address` now.

    Args:
        give_up_after_s: how long a command may wait for a server that is away.
        on_back: awaited after each reconnection, before anybody else may send.
        on_push, watchers: see `Pipeline.subscribe_to_pushes`.
        announce: told when the server is away for a second, and when it is back.

    Attributes:
        readers: by topic, what wakes the consumers in this process that read it.
        generation: counts the connections.
        on_live: called after each reconnection, as soon as everybody may send.
    """

    def __init__(
        self,
        address: Address,
        *,
        give_up_after_s: float,
        reply_timeout_s: float,
        on_back: Callable[[Pipeline], Awaitable[None]] | None = None,
        on_push: Receiver | None = None,
        watchers: Watchers | None = None,
        announce: Callable[[str, str], None] | None = None,
    ) -> None:
        self._address = address
        self._give_up_after_s = give_up_after_s
        self._reply_timeout_s = reply_timeout_s
        self._on_back = on_back
        self._on_push, self._watchers = on_push, watchers
        self.outage: Outage | None = None
        if announce is not None:
            self.outage = Outage(
                where=lambda: self._url,
                announce=announce,
                give_up_after_s=give_up_after_s,
                is_silent=self._is_silent,
            )
        self._live = asyncio.Event()
        self._pipeline: Pipeline | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._is_closed = self._is_forked = False
        keep_from_children(self)
        self._last_error = ""
        self._url = ""
        self._is_ours = False
        self._live_at_s = 0.0
        self._pause_s = FIRST_PAUSE_S
        self.readers: dict[str, list[Callable[[], None]]] = {}
        self.generation = 0
        self.on_live: list[Callable[[], None]] = []

    async def open(self) -> None:
        """Connect once; to a server of ours again, which may have gone with its owner meanwhile.

        Raises:
            BackendUnavailableError: nobody answers there.
            BackendSetupError: the server refused the credentials.
        """
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + CONNECT_TIMEOUT_S
        while self._pipeline is None:
            try:
                self._pipeline = await self._dial()
            except BackendUnavailableError:
                if not self._is_ours or loop.time() > give_up_at:
                    raise
        self._live.set()
        if self.outage is not None:
            self.outage.watch()
        if self._pipeline.is_lost:  # it was lost as soon as it had been greeted
            self._lost(self._pipeline)

    def open_soon(self) -> None:
        """Connect in the background, again and again, unless that was begun."""
        if self._pipeline is None and self._dialling is None:
            self._dialling = asyncio.get_running_loop().create_task(self._dial_until_back())

    async def close(self) -> None:
        self._is_closed = True
        if self.outage is not None:
            self.outage.close()
        if self._dialling is not None:
            self._dialling.cancel()
            await asyncio.gather(self._dialling, return_exceptions=True)
        if self._pipeline is not None:
            self._pipeline.abort()
            await asyncio.sleep(0)  # lets connection_lost run
        self._live.set()

    def forked(self) -> None:
        """Called in a child: the connection is the parent's, see `Pipeline.forked`."""
        self._is_closed = self._is_forked = True

    def current(self) -> Pipeline | None:
        """The connection if there is one at this moment."""
        pipeline = self._pipeline
        return None if pipeline is None or pipeline.is_lost else pipeline

    def send(self, commands: Sequence[bytes], topics: Iterable[str], then: RepliesReceiver) -> bool:
        """Send what adds to `topics`, now, if there is a connection; whether there was one.

        Consumers of this process that wait there read in the same write, without being told by the
        server first: that saves a round trip.
        """
        pipeline = self._pipeline
        if pipeline is None or pipeline.is_lost:
            return False
        pipeline.send_with_next(commands, then)
        for topic in topics:
            for wake in tuple(self.readers.get(topic, ())):
                wake()
        pipeline.flush()
        return True

    def deadline(self) -> float:
        """When a command that is sent now gives up, on the loop's clock."""
        return asyncio.get_running_loop().time() + self._give_up_after_s

    async def connected(self, give_up_at: float) -> Pipeline:
        """A live connection, waiting for one if need be.

        Raises:
            BackendUnavailableError: there was none until `give_up_at`.
            BusClosedError: the connection was closed.
        """
        while True:
            if self._is_closed:
                raise BusForkedError if self._is_forked else BusClosedError("the bus is closed")
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
                reply = await pipeline.send(packed)
            except ConnectionLostError as error:
                self._last_error = str(error)
            except hiredis.ReplyError as error:
                keys = [argument for argument in command if isinstance(argument, bytes)]
                pause_s = await self.wait_out(error, pause_s, give_up_at, pipeline, keys)
            else:
                if pause_s != FIRST_PAUSE_S:
                    self.taken()
                return reply

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
        if self.outage is not None:
            self.outage.refused(str(error))
        if needs_new_connection(error):
            self._live_at_s = 0.0  # we leave, and pause here: the next one is dialled at once
            pipeline.abort()
        await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads retries
        return min(pause_s * 2, LONGEST_PAUSE_S)

    def taken(self) -> None:
        """The server took what it had refused: what `wait_out` waited for is over."""
        if self.outage is not None:
            self.outage.taken()

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
        self._url, self._is_ours = endpoint.url, endpoint.is_ours
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
                f"no server answers at {endpoint.url} ({why}); start one there (redis-server), "
                "give it time (wait_s, or `guildbus run --wait SECONDS`), or use the bus "
                "`embedded`, or `memory://` without persistence"
            ) from error
        except BaseException:
            pipeline.abort()
            raise
        self.generation += 1
        self._live_at_s = asyncio.get_running_loop().time()
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
        if self._on_push is not None:
            pipeline.subscribe_to_pushes(self._on_push, self._watchers)

    def _lost(self, pipeline: Pipeline) -> None:
        if pipeline is not self._pipeline or self._is_closed or self._dialling is not None:
            return
        self._live.clear()
        if self.outage is not None:
            self.outage.lost("the connection was lost")
        self._dialling = asyncio.get_running_loop().create_task(self._dial_until_back())

    def _is_silent(self) -> bool:
        pipeline = self.current()
        return pipeline is not None and pipeline.is_silent_since_last_asked()

    async def _dial_until_back(self) -> None:
        # A server that hangs up as soon as it was greeted would be dialled thousands of times a
        # second: the pauses grow until a connection lasts.
        if asyncio.get_running_loop().time() - self._live_at_s > LASTING_S:
            self._pause_s = FIRST_PAUSE_S
        else:
            await self._pause()
        while True:
            try:
                pipeline = await self._dial()
                break
            except Exception as error:  # noqa: BLE001 - without this task all would stay deaf for good
                self._last_error = str(error.__cause__ or error) or _SILENT
                if self.outage is not None:
                    self.outage.lost(self._last_error)
            await self._pause()
        self._pipeline, self._dialling = pipeline, None
        self._live.set()
        for call in self.on_live:
            call()
        if self.outage is not None:
            self.outage.over()
        if pipeline.is_lost:
            self._lost(pipeline)

    async def _pause(self) -> None:
        pause_s, self._pause_s = self._pause_s, min(self._pause_s * 2, LONGEST_PAUSE_S)
        await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads dials


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
