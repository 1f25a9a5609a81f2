"""Run jobs in child processes, several at once, from an event loop that never waits for them."""

import asyncio
import json
import os
import re
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from agents.sandbox.conversation import Conversation, NotStartedError, OnEvent, OnQuestion
from agents.sandbox.errors import (
    JobKilledError,
    JobTimeoutError,
    NoFenceError,
    SandboxClosedError,
    SandboxError,
)
from agents.sandbox.fence import Fence, FenceName
from agents.sandbox.fence.choice import choose_fence
from agents.sandbox.fence.fence import NoFence
from agents.sandbox.folders import (
    make_folder,
    make_folder_below,
    require_no_code_of_the_guild,
    require_no_more_than_a_workspace,
)
from agents.sandbox.limits import Limits
from agents.sandbox.server import JobServer
from agents.sandbox.servers import Servers
from agents.sandbox.sight import sight_of
from agents.sandbox.sockets import listening_below
from agents.sandbox.view import View

_REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", re.ASCII)
_LAST_SHARE = 0.1  # of a job's time, to end in
_LONGEST_S = 1e9  # a clock cannot be set to infinity
_STARTS = 2  # a zygote that died unnoticed costs one more


class JobRunner:
    """Runs `module:function` jobs in children of one warm process, started by the first job.

    A job sees a clean environment, its own temporary HOME, `workspace` as working directory and
    `limits`. Behind the fence it sees of the machine its programs, Python and the workspace, which
    alone it can change, no other process, and no network. Nothing of it survives its end, the
    caller's cancellation, or the death of this process.

    Args:
        workspace: the jobs' working directory; made when missing. Nothing is hidden in it, and
            what lies there is the jobs'.
        fence: "auto" takes the first that holds here when the runner opens; "none" is the
            operator's word that jobs may have all the rights of this user.
        view: what every job sees otherwise.
        limits: for every job that brings none of its own.
        preload: modules imported once, before any job; they must start no threads.
        environment: variables the jobs get on top of the clean environment.
        max_jobs: how many run at once; more wait their turn.
        grace_s: time between SIGTERM and SIGKILL for a job that must stop.
    """

    def __init__(
        self,
        *,
        workspace: Path,
        fence: FenceName = "auto",
        view: View | None = None,
        limits: Limits | None = None,
        preload: Sequence[str] = ("torch",),
        environment: Mapping[str, str] | None = None,
        max_jobs: int = 2,
        grace_s: float = 5.0,
    ) -> None:
        self._workspace = Path(workspace).resolve()
        self._wanted = fence
        self._fence: Fence = NoFence()
        self._view = view or View()
        self._limits = limits or Limits()
        self._preload = tuple(preload)
        self._environment = dict(environment or {})
        self._grace_s = grace_s
        self._threads = max(1, len(os.sched_getaffinity(0)) // max_jobs)
        self._slots = asyncio.Semaphore(max_jobs)
        self._servers = Servers(self._start)
        self._running: set[Conversation] = set()
        self._is_open = False

    async def __aenter__(self) -> Self:
        self._fence = await asyncio.to_thread(choose_fence, self._wanted)
        if not self._fence.is_none:
            require_no_more_than_a_workspace(self._workspace)
            require_no_code_of_the_guild(self._workspace)
        self._is_open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def fence(self) -> Fence:
        """What keeps jobs apart from the machine, once the runner is open."""
        return self._fence

    @property
    def server_pid(self) -> int | None:
        """The process whose end ends every job like the latest; None while there is none."""
        return self._servers.latest_pid

    async def run(
        self,
        job: str,
        payload: dict[str, Any],
        *,
        on_event: OnEvent | None = None,
        on_question: OnQuestion | None = None,
        timeout_s: float | None = None,
        limits: Limits | None = None,
        grace_s: float | None = None,
        view: View | None = None,
        turns: asyncio.Semaphore | None = None,
    ) -> dict[str, Any]:
        """Run `job` with `payload` (both sides JSON) and return its result.

        `on_event` hears what the job reports; what `on_question` returns is what its `ask` returns.
        A job waits for one of `turns`, by default the runner's, of which there are `max_jobs`.

        Cancelling the caller stops the job's whole tree, after the grace, and waits for its end.
        The clock of `timeout_s`, by default the limits' `time_s`, starts with the job, not while it
        waits for its turn. The last tenth of that time, and no more than the grace, is for the job
        to save its work. Jobs of views that show the same share a warm process.

        Raises:
            JobFailedError: the job raised.
            JobKilledError: a signal or a limit ended it.
            JobTimeoutError: it ran past `timeout_s`.
            JobProtocolError: it ended without a result, or sent too much or nonsense.
            SandboxError: no job can be started, or the runner is not open.
            NoFenceError: `view` hides something, and there is no fence.
            NotShownError: what `view` shows or keeps of the workspace is reached over a link.
            ValueError, TypeError: `job` is no reference, or `payload` is not JSON.
            Exception: whatever `on_event` or `on_question` raised; the job is stopped.
        """
        if not _REFERENCE.fullmatch(job):
            raise ValueError(f"a job is named as 'package.module:function', not {job!r}")
        request = json.dumps({"job": job, "payload": payload}, allow_nan=False).encode() + b"\n"
        allowed = limits or self._limits
        allowed = replace(allowed, threads=allowed.threads or self._threads)
        timeout_s = allowed.time_s if timeout_s is None else timeout_s
        grace_s = self._grace_s if grace_s is None else grace_s
        view = self._view if view is None else self._view | view
        self._require_open()
        if self._fence.is_none and view.hidden:
            problem = f"{', '.join(view.hidden)} cannot be hidden without one"
            raise NoFenceError([problem], "Set 'fence: auto' in the properties of research.jobs")
        make_folder(self._workspace)
        for path in view.writable:
            make_folder_below(self._workspace, path)
        if not self._fence.is_none:
            view |= View(hidden=listening_below((str(self._workspace), *view.read_only)))
        async with turns or self._slots:
            for _ in range(_STARTS):
                with sight_of(self._workspace, view) as sight:
                    async with self._servers.that_shows(sight) as server:
                        conversation = Conversation(job, allowed, sight, on_event, on_question)
                        try:
                            await conversation.open(server, request)
                            return await self._hold(conversation, timeout_s, grace_s)
                        except NotStartedError as error:
                            reason = str(error) or await server.obituary()
        raise SandboxError(f"{job} could not be started: {reason}", job=job)

    async def close(self) -> None:
        """End every running job and the zygote; returns when all processes are gone."""
        self._is_open = False
        await _to_the_end(self._end())

    async def _end(self) -> None:
        await asyncio.gather(*(conversation.stop(0) for conversation in self._running))
        await self._servers.close()

    async def _hold(
        self, conversation: Conversation, timeout_s: float, grace_s: float
    ) -> dict[str, Any]:
        """See a job through; whatever happens here, its processes are gone afterwards."""
        last_s = min(grace_s, _LAST_SHARE * timeout_s)
        self._running.add(conversation)
        try:
            await conversation.started()
            async with asyncio.timeout(min(timeout_s - last_s, _LONGEST_S)) as clock:
                return await conversation.result()
        except TimeoutError:
            if not clock.expired():
                raise  # `on_event` raised it
            await _to_the_end(conversation.stop(last_s))
            output = conversation.output()
            raise JobTimeoutError(conversation.job, timeout_s, output=output) from None
        except JobKilledError:
            self._require_open()  # closing the runner is what killed it
            raise
        finally:
            await _to_the_end(conversation.stop(grace_s))
            self._running.discard(conversation)

    async def _start(self, view: View) -> JobServer:
        self._require_open()
        return await JobServer.start(
            self._fence, view, self._workspace, self._preload, self._environment
        )

    def _require_open(self) -> None:
        if not self._is_open:
            raise SandboxClosedError("the job runner is not open; use `async with JobRunner(...)`")


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Finish `work` even if the caller is cancelled meanwhile, then let the cancellation go on."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled
