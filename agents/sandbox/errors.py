"""What can go wrong with work in a child process.

JobError
├── JobFailedError        the job's own code raised
├── JobKilledError        a signal or a limit ended it
├── JobTimeoutError       it ran past its time and was stopped
├── JobProtocolError      it ended without a result, or sent something else
└── SandboxError          no job can be started
    ├── NoFenceError          nothing here can keep foreign code apart from the machine
    ├── NotShownError         what a job was to see of the workspace lies elsewhere
    └── SandboxClosedError    the runner was used before it was opened or after it was closed
"""

import signal
from collections.abc import Sequence


class JobError(Exception):
    """Root of this package's errors.

    Attributes:
        job: the `module:function` that ran, "" when none did.
        output: what it printed, head and tail kept.
        limit: the limit that likely ended it: "memory", "cpu", "processes", "file size" or "".
    """

    def __init__(self, text: str, *, job: str = "", output: str = "", limit: str = "") -> None:
        super().__init__(text)
        self.job = job
        self.output = output
        self.limit = limit


class JobFailedError(JobError):
    """The job's own code raised.

    Attributes:
        error_type: class name of what was raised, such as "LayerError".
        kinds: class names of it and its bases, so that a caller can ask for "MLError".
        text: its message, as raised.
        where: the layer, key or file at fault, when the error named one.
        traceback_text: the traceback in the child, capped.
    """

    def __init__(
        self,
        error_type: str,
        text: str,
        *,
        kinds: tuple[str, ...] = (),
        where: str = "",
        traceback_text: str = "",
        job: str = "",
        output: str = "",
        limit: str = "",
    ) -> None:
        hint = f" (likely its {limit} limit)" if limit else ""
        super().__init__(f"{error_type}: {text}{hint}", job=job, output=output, limit=limit)
        self.error_type = error_type
        self.kinds = kinds or (error_type,)
        self.text = text
        self.where = where
        self.traceback_text = traceback_text


class JobKilledError(JobError):
    """A signal or a limit ended the job, and everything it had started with it.

    Attributes:
        signal_number: the signal that ended it, 0 when the whole sandbox went away.
    """

    def __init__(
        self,
        job: str,
        signal_number: int,
        *,
        reason: str = "",
        output: str = "",
        limit: str = "",
    ) -> None:
        name = _signal_name(signal_number)
        why = reason or (f"likely past its {limit} limit" if limit else "")
        text = f"{job} was ended by {name}{f': {why}' if why else ''}{_tail(output)}"
        super().__init__(text, job=job, output=output, limit=limit)
        self.signal_number = signal_number


class JobTimeoutError(JobError):
    """The job ran past its time; it and everything it had started are gone."""

    def __init__(self, job: str, timeout_s: float, *, output: str = "") -> None:
        text = f"{job} did not end within {timeout_s:g} s and was stopped{_tail(output)}"
        super().__init__(text, job=job, output=output)
        self.timeout_s = timeout_s


class JobProtocolError(JobError):
    """The job ended without a result, or sent something too large or malformed."""

    def __init__(self, job: str, problem: str, *, output: str = "") -> None:
        super().__init__(f"{job} {problem}{_tail(output)}", job=job, output=output)


class SandboxError(JobError):
    """No job can be started here."""


class NoFenceError(SandboxError):
    """Nothing here can keep foreign code apart from the machine, so none is run.

    Attributes:
        problems: what was tried, and why it does not hold.
        remedy: what the operator can do.
    """

    def __init__(self, problems: Sequence[str], remedy: str) -> None:
        super().__init__(
            f"this machine has no fence for foreign code: {'; '.join(problems)}. {remedy}"
        )
        self.problems = tuple(problems)
        self.remedy = remedy


class NotShownError(SandboxError):
    """What a job was to see of the workspace lies elsewhere, so the job was not started.

    Attributes:
        path: where it was to be.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path!r} {problem}; no job was started with it")
        self.path = path


class SandboxClosedError(SandboxError):
    """The runner was used before it was opened or after it was closed."""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "the end of its supervisor"


def _tail(output: str, chars: int = 600) -> str:
    kept = output.strip()[-chars:]
    return f"; it printed last:\n{kept}" if kept else ""
