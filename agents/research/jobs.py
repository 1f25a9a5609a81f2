"""The shared resource that runs the research agents' work in child processes."""

import math
import os
import time
from asyncio import Semaphore, to_thread
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from pydantic import BaseModel

from agents.ml.bundled_data import bundled_folders
from agents.research.errors import (
    OutsideWorkspaceError,
    WorkInterruptedError,
    WorkOverLimitError,
    WorkRefusedError,
)
from agents.research.exchange import sweep
from agents.research.job_progress import measured_of, progress_of
from agents.research.job_properties import BOOKS, KIB, MIB, OPTIMIZERS, JobsProps
from agents.research.workspace.files import WorkspaceFiles
from agents.sandbox import (
    JobError,
    JobFailedError,
    JobKilledError,
    JobProtocolError,
    JobRunner,
    JobTimeoutError,
    NotShownError,
    OnQuestion,
    View,
)
from agents.sandbox.fence.layout import has_gpu
from agents.sandbox.kernel.beneath import LeavesError, relative
from guild.agent.registry import requires
from guild.agent.traits import Traits, with_traits
from guild.progress import Progress
from messaging.process.logs import get_logger

log = get_logger()

# Imported once for all jobs: a job that must import them itself takes seconds to start.
_USUAL = (
    "agents.ml.preload",
    "agents.ml.training.distant",
    "agents.ml.selection.blending",
    "agents.ml.selection.trial",
    "agents.research.training_jobs",
)
# What other jobs import takes these no time: their process starts at once, and without torch.
_LIGHT = ("agents.research.text_jobs", "agents.research.workspace.commands")
_INSTALLING = "agents.research.packages.jobs"  # light, too, but not all have what it imports
# It takes half as long again to import, and few jobs need it.
_CLASSICAL = "agents.ml.selection.baselines"
_INTERRUPTED = "TrainingInterrupted"
TASK_CHARS = 200


class Audience(Protocol):
    """Is shown how far the work has come; a handler's context is one."""

    def emit(self, message: BaseModel, /) -> None: ...


class Done(NamedTuple):
    """A job's result, and how long it took with its wait for a turn."""

    result: dict[str, Any]
    seconds: float


class Runners(NamedTuple):
    """Who runs jobs, by what these need imported before they start."""

    usual: JobRunner
    light: JobRunner
    classical: JobRunner

    def of(self, job: str) -> JobRunner:
        module, _, _ = job.partition(":")
        if module in {*_LIGHT, _INSTALLING}:
            return self.light
        return self.classical if module == _CLASSICAL else self.usual


class Jobs:
    """Runs jobs for handlers: progress is emitted, errors become those of this package.

    A handler that is cancelled, times out or is taken over takes its job with it.
    """

    def __init__(self, runners: Runners, properties: JobsProps) -> None:
        self._runners = runners
        self._turns = Semaphore(properties.max_jobs)
        self._trusted_turns = Semaphore(properties.max_jobs)
        self._timeout_s = properties.timeout_s
        self._work_timeout_s = properties.work_timeout_s
        self.workspace = Path(properties.workspace).resolve()
        self.files = WorkspaceFiles(self.workspace, max_bytes=properties.max_file_mb * MIB)
        self.may_install = properties.install_packages
        self.command_timeout_s = properties.command_timeout_s
        self.command_output_bytes = properties.command_output_kb * KIB
        self.tokenizers = self.inside(properties.tokenizers, key="tokenizers")
        self._bundled = tuple(map(str, bundled_folders()))
        self.scores, self.optimizers = BOOKS, OPTIMIZERS
        self.registries = (self.tokenizers, self.optimizers)

    def inside(self, path: str, *, key: str) -> str:
        """`path` as it is, when it does not lead out of the workspace.

        Raises:
            OutsideWorkspaceError: it does, by `..`, a link or from the root; names `key`.
            WorkRefusedError: no file can have such a name; names `key`.
        """
        try:
            relative(self.workspace, path)
            real = os.path.realpath(self.workspace / path)
        except LeavesError as error:
            raise OutsideWorkspaceError(key, path) from error
        except ValueError as error:  # a zero byte, or half a character
            text = f"{key}: {path!r} is no path: {error}"
            raise WorkRefusedError(type(error).__name__, text, where=key) from error
        if not Path(real).is_relative_to(self.workspace):
            raise OutsideWorkspaceError(key, path)
        return path

    def has(self, path: str) -> bool:
        """Whether there is such a file in the workspace."""
        return self.files.has_file(path)

    async def run(
        self,
        job: str,
        payload: Mapping[str, Any],
        audience: Audience,
        *,
        task: str,
        timeout_s: float = math.inf,
        is_training: bool = False,
        on_question: OnQuestion | None = None,
        is_trusted: bool = False,
        hidden: Sequence[str] | None = None,
        read_only: Sequence[str] = (),
        writable: Sequence[str] | None = None,
        network: bool = False,
    ) -> Done:
        """Run `job`, showing its progress as `task` to the audience.

        It may take `timeout_s`, and never longer than jobs of its kind may. `on_question` answers
        what it asks. One that is trusted, because it runs our code only, waits for no other's
        turn; what lies under the absolute paths `hidden`, by default the data that libraries bring
        along with its labels, is not for the others, which a fence sees to. `read_only` paths and
        the `network` are granted besides what all jobs are; of what is hidden the folders
        `writable` stay, relative to the workspace and by default `registries`.

        Raises:
            WorkRefusedError: the job refused its input, or a script ended its process; says what is
            wrong.
            WorkOverLimitError: it ran out of its time or memory.
            WorkInterruptedError: it was killed or could not be started.
        """
        started_s = time.monotonic()
        latest = Progress(task=task[:TASK_CHARS])

        def show(event: dict[str, Any]) -> None:
            nonlocal latest
            latest = progress_of(latest.task, event)
            audience.emit(latest)
            if measured := measured_of(latest.task, event):
                audience.emit(measured)

        try:
            runner = self._runners.of(job)
            if hidden is None:
                hidden = () if is_trusted else self._bundled
            result = await runner.run(
                job,
                dict(payload),
                on_event=show,
                on_question=on_question,
                timeout_s=self._allowed(timeout_s, is_training=is_training),
                view=View(
                    hidden=() if runner.fence.is_none else tuple(hidden),
                    read_only=tuple(read_only),
                    writable=self._absolute(self.registries if writable is None else writable),
                    network=network,
                ),
                turns=self._trusted_turns if is_trusted else self._turns,
            )
        except JobError as error:
            raise _translated(error) from error
        if not latest.is_over:
            total = latest.total or 1.0
            audience.emit(latest.model_copy(update={"done": total, "total": total}))
        return Done(result, round(time.monotonic() - started_s, 3))

    def _absolute(self, folders: Sequence[str]) -> tuple[str, ...]:
        return tuple(os.path.normpath(self.workspace / folder) for folder in folders)

    def _allowed(self, timeout_s: float, *, is_training: bool) -> float:
        work_s = math.inf if is_training else self._work_timeout_s
        return min(timeout_s, self._timeout_s, work_s)


def _traits(properties: JobsProps) -> Traits:
    """A fence of "none" is no trait: by that name the operator lets foreign code do anything."""
    network = "its jobs use the machine's network" if properties.network else ""
    return Traits(private="its jobs read the files of the workspace", way_out=network)


@with_traits(_traits)
@requires("torch", "tokenizers", extra="research")
@asynccontextmanager
async def open_jobs(properties: JobsProps) -> AsyncIterator[Jobs]:
    """The resource `research.jobs`."""

    def runner(preload: Sequence[str]) -> JobRunner:
        return JobRunner(
            workspace=Path(properties.workspace),
            fence=properties.fence,
            view=properties.view(),
            limits=properties.limits(),
            preload=preload,
            max_jobs=properties.max_jobs,
            grace_s=properties.grace_s,
        )

    if has_gpu() and not (properties.gpu or properties.fence == "none"):
        log.warning("jobs.gpu_not_granted", remedy="set 'gpu: true' on research.jobs")
    async with (
        runner(_USUAL) as usual,
        runner(_LIGHT) as light,
        runner((*_USUAL, _CLASSICAL)) as classical,
    ):
        jobs = Jobs(Runners(usual, light, classical), properties)
        await to_thread(sweep, jobs.workspace)
        log.info("jobs.opened", fence=str(usual.fence), workspace=properties.workspace)
        yield jobs


def _translated(error: JobError) -> Exception:
    match error:
        case JobFailedError() if error.error_type == _INTERRUPTED:
            return WorkInterruptedError(error.text)
        case JobFailedError():
            return WorkRefusedError(error.error_type, error.text, where=error.where)
        case JobProtocolError() | NotShownError():  # what a script did once it does again
            return WorkRefusedError(type(error).__name__, str(error))
        case JobTimeoutError():
            return WorkOverLimitError(str(error))
        case JobKilledError() if error.limit:
            return WorkOverLimitError(str(error))
        case _:
            return WorkInterruptedError(str(error))
