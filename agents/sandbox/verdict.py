"""From how a job ended to what its caller gets: the result, or the error that tells most."""

import os
import signal
from dataclasses import dataclass
from typing import Any

from agents.sandbox.errors import JobError, JobFailedError, JobKilledError, JobProtocolError
from agents.sandbox.limits import Limits

_OUT_OF_MEMORY = ("can't allocate memory", "bad_alloc", "out of memory", "MemoryError")


@dataclass(slots=True)
class Ending:
    """What the warden says of a job, in two messages: that it runs, and how it ended.

    Attributes:
        has_started: whether the job's processes were made.
        status: wait status of the job's first process; None until the whole tree is gone.
        limit: the limit for which the warden ended it.
        problem: why there was no job at all.
    """

    has_started: bool = False
    status: int | None = None
    limit: str = ""
    cpu_s: float = 0.0
    peak_bytes: int = 0
    problem: str = ""

    @property
    def is_known(self) -> bool:
        return self.status is not None

    def update(self, said: dict[str, Any]) -> None:
        for name, value in said.items():
            setattr(self, name, value)


def result_or_error(
    job: str, limits: Limits, ending: Ending, answer: dict[str, Any] | None, output: str
) -> dict[str, Any]:
    """Return the result the job sent.

    Raises:
        JobError: it has no result; the kind says why.
    """
    if answer is not None and "result" in answer:
        result: dict[str, Any] = answer["result"]
        return result
    if ending.status is None:
        raise JobKilledError(job, 0, reason=ending.problem, output=output)
    if ending.limit or (answer is None and os.WIFSIGNALED(ending.status)):
        raise _killed(job, limits, ending, output)
    if answer is not None:
        raise _failed(job, answer["error"], output)
    code = os.waitstatus_to_exitcode(ending.status)
    problem = f"ended with exit code {code} without a result: the script ended its process"
    raise JobProtocolError(job, problem, output=output)


def _killed(job: str, limits: Limits, ending: Ending, output: str) -> JobError:
    status = ending.status or 0
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else signal.SIGKILL
    limit = ending.limit or _likely_limit(number, limits, ending, output)
    return JobKilledError(job, number, limit=limit, output=output)


def _likely_limit(number: int, limits: Limits, ending: Ending, output: str) -> str:
    spent = limits.cpu_s is not None and ending.cpu_s >= limits.cpu_s
    if number == signal.SIGXCPU or (number == signal.SIGKILL and spent):
        return "cpu"
    if number == signal.SIGXFSZ:
        return "file size"
    # A SIGKILL that nobody here sent is the kernel's, short of memory.
    is_memory = number == signal.SIGKILL or any(sign in output for sign in _OUT_OF_MEMORY)
    return "memory" if is_memory else ""


def _failed(job: str, error: dict[str, Any], output: str) -> JobError:
    error_type, text = str(error.get("error_type")), str(error.get("text"))
    is_memory = any(sign in f"{error_type} {text}" for sign in _OUT_OF_MEMORY)
    return JobFailedError(
        error_type,
        text,
        kinds=tuple(map(str, error.get("kinds") or ())),
        where=str(error.get("where", "")),
        traceback_text=str(error.get("traceback", "")),
        job=job,
        output=output,
        limit="memory" if is_memory else "",
    )
