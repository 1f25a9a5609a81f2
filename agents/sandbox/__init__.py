"""Child processes for code that the guild must not run in its own.

A job is an importable function `(payload, report) -> result`, JSON in and JSON out, named as
"module:function". `JobRunner` runs it in a child with a clean environment and limits, behind a
fence that hides the machine, and leaves no process of it behind, however it ends.
"""

from agents.sandbox.conversation import OnQuestion
from agents.sandbox.errors import (
    JobError,
    JobFailedError,
    JobKilledError,
    JobProtocolError,
    JobTimeoutError,
    NoFenceError,
    NotShownError,
    SandboxClosedError,
    SandboxError,
)
from agents.sandbox.limits import Limits
from agents.sandbox.runner import JobRunner
from agents.sandbox.view import View

__all__ = [
    "JobError",
    "JobFailedError",
    "JobKilledError",
    "JobProtocolError",
    "JobRunner",
    "JobTimeoutError",
    "Limits",
    "NoFenceError",
    "NotShownError",
    "OnQuestion",
    "SandboxClosedError",
    "SandboxError",
    "View",
]
