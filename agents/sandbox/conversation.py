"""The host's end of one job: what it is sent, what comes back, how it ended."""

import asyncio
import contextlib
import inspect
import itertools
import json
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from agents.sandbox.errors import JobProtocolError
from agents.sandbox.limits import Limits
from agents.sandbox.output import CappedOutput
from agents.sandbox.server import JobServer
from agents.sandbox.sight import Sight
from agents.sandbox.verdict import Ending, result_or_error

OnEvent = Callable[[dict[str, Any]], Awaitable[None] | None]
OnQuestion = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]

_ERROR_BYTES = 512 * 1024
_CHUNK_BYTES = 64 * 1024
# How long a warden may take to kill a tree before it is taken for stopped by its own job.
_SWEEP_S = 10.0
_numbers = itertools.count(1)


class NotStartedError(Exception):
    """The zygote went away before it forked the job, which is therefore safe to ask for again."""


class Conversation:
    """Everything between the host and one job, from the request to the last process's end.

    Listening goes on in a task of its own until the job's whole tree is gone, whatever happens to
    whoever waits for the result: a job asked to stop may still have much to say.
    """

    def __init__(
        self,
        job: str,
        limits: Limits,
        sight: Sight,
        on_event: OnEvent | None,
        on_question: OnQuestion | None = None,
    ) -> None:
        self.job = job
        self._number = next(_numbers)
        self._sight = sight
        self._limits = limits
        self._on_event = on_event
        self._on_question = on_question
        self._replying: asyncio.Task[None] | None = None
        self._output = CappedOutput(limits.output_bytes)
        self._answer: dict[str, Any] | None = None
        self._failure: Exception | None = None
        self._ending = Ending()
        self._started = asyncio.Event()
        self._transports: list[asyncio.BaseTransport] = []

    async def open(self, server: JobServer, request: bytes) -> None:
        """Have the job forked and send it `request`, one line of JSON.

        Raises:
            NotStartedError: the zygote is gone.
        """
        control, their_control = socket.socketpair()
        channel, their_channel = socket.socketpair()
        output_fd, their_output_fd = os.pipe()
        line_bytes = max(self._limits.result_bytes, self._limits.event_bytes, _ERROR_BYTES)
        self._control, self._control_writer = await self._connect(control, _CHUNK_BYTES)
        self._channel, self._channel_writer = await self._connect(channel, line_bytes)
        self._printed = await self._connect_pipe(output_fd)
        try:
            fds = [their_control.fileno(), their_channel.fileno(), their_output_fd]
            server.fork(self._number, fds, self._limits, self._sight)
        except OSError as error:
            self._close()
            raise NotStartedError from error
        finally:
            their_control.close()
            their_channel.close()
            os.close(their_output_fd)
        self._server = server
        self._channel_writer.write(request)
        self._listening = asyncio.create_task(self._listen(), name=f"job {self.job}")

    async def started(self) -> None:
        """Return once the job's processes exist, which takes as long as the zygote's imports.

        Raises:
            NotStartedError: they never will.
        """
        await self._started.wait()
        if not self._ending.has_started:
            raise NotStartedError(self._ending.problem)

    async def result(self) -> dict[str, Any]:
        """Wait for the job's end, the whole tree's, and return its result.

        Raises:
            JobError: one of its kinds, for every other way to end.
            Exception: whatever `on_event` raised.
        """
        await asyncio.shield(self._listening)
        if self._failure is not None:
            raise self._failure
        return result_or_error(
            self.job, self._limits, self._ending, self._answer, self._output.text()
        )

    def output(self) -> str:
        return self._output.text()

    async def stop(self, grace_s: float) -> None:
        """End the job's tree, its first process by SIGTERM first; return when all is gone."""
        if not self._listening.done():
            self._on_event = None
            self._ask_to_stop(grace_s)
            done, _ = await asyncio.wait({self._listening}, timeout=grace_s + _SWEEP_S)
            if not done:
                self._server.kill(self._number)
            await asyncio.wait({self._listening})
        self._close()

    def _ask_to_stop(self, grace_s: float) -> None:
        self._control_writer.write(json.dumps({"grace_s": grace_s}).encode() + b"\n")

    async def _listen(self) -> None:
        output = asyncio.create_task(self._keep_output())
        messages = asyncio.create_task(self._take_messages())
        await self._follow_control()
        self._started.set()
        if self._ending.is_known:
            await asyncio.wait({output, messages})  # the tree is gone, so both come to their end
        tasks = [output, messages, *([self._replying] if self._replying else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow_control(self) -> None:
        """Hear from the warden: that the job runs, then how it ended, then nothing."""
        with contextlib.suppress(ConnectionError):
            while line := await self._control.readline():
                self._ending.update(json.loads(line))
                self._started.set()

    async def _keep_output(self) -> None:
        while chunk := await self._printed.read(_CHUNK_BYTES):
            self._output.write(chunk)

    async def _take_messages(self) -> None:
        try:
            while line := await self._channel.readline():
                await self._take(line)
                await asyncio.sleep(0)  # a flood of events must not keep the loop to itself
        except ConnectionError:
            return
        except ValueError as error:  # no JSON, or a line past the limit
            self._fail(JobProtocolError(self.job, f"sent what is no message: {error}"))
        except Exception as error:  # noqa: BLE001  `on_event` is the caller's, and so is its error
            self._fail(error)
        with contextlib.suppress(ConnectionError):
            while await self._channel.read(_CHUNK_BYTES):
                pass  # nobody listens any more, but the job must be able to end

    async def _take(self, line: bytes) -> None:
        if self._answer is not None:
            return
        try:
            ((kind, body),) = json.loads(line).items()
        except (ValueError, AttributeError, RecursionError) as error:
            raise ValueError(f"{line[:80]!r}") from error
        if kind not in {"event", "question", "result", "error"} or not isinstance(body, dict):
            raise ValueError(f"{line[:80]!r}")
        if kind in {"result", "error"}:
            self._answer = {kind: body}
        elif len(line) > self._limits.event_bytes:
            raise ValueError(f"{kind} of {len(line):,} bytes")
        elif kind == "question":
            self._be_asked(body)
        elif self._on_event is not None:
            heard = self._on_event(body)
            if inspect.isawaitable(heard):
                await heard

    def _be_asked(self, question: dict[str, Any]) -> None:
        """Answer in a task of its own: a job that ends meanwhile must be heard."""
        if self._on_question is None or (self._replying and not self._replying.done()):
            raise ValueError(f"a question where none is expected: {str(question)[:80]}")
        self._replying = asyncio.create_task(self._reply(self._on_question(question)))

    async def _reply(self, reply: Awaitable[dict[str, Any]]) -> None:
        try:
            line = json.dumps({"reply": await reply}, allow_nan=False).encode() + b"\n"
        except Exception as error:  # noqa: BLE001  `on_question` is the caller's, and so is its error
            self._fail(error)
        else:
            self._channel_writer.write(line)

    def _fail(self, error: Exception) -> None:
        self._failure = error
        self._ask_to_stop(0)

    async def _connect(
        self, end: socket.socket, limit: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_unix_connection(sock=end, limit=limit)
        self._transports.append(writer.transport)
        return reader, writer

    async def _connect_pipe(self, fd: int) -> asyncio.StreamReader:
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader),
            os.fdopen(fd, "rb", buffering=0),
        )
        self._transports.append(transport)
        return reader

    def _close(self) -> None:
        for transport in self._transports:
            transport.close()
