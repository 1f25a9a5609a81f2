"""The job's own process: lower the ceilings, run one function, send one result.

On the channel, one JSON object a line: `{"job", "payload"}` comes in, any number of `{"event"}`
and then one `{"result"}` or `{"error"}` go out. A `{"question"}` may go out between them, for which
a `{"reply"}` comes in. Standard output is not the channel: whatever a
job prints is kept as text and never trusted.
"""

import importlib
import json
import os
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from agents.sandbox import processes, rights
from agents.sandbox.confinement import Confinement
from agents.sandbox.limits import Limits, apply_to_this_process

Job = Callable[[dict[str, Any], "Report"], dict[str, Any]]

_CHANNEL_FD = 3
_TRACEBACK_CHARS = 32_000
_MESSAGE_CHARS = 8_000


def run_job(
    channel: socket.socket,
    output_fd: int,
    *,
    confinement: Confinement,
    limits: Limits,
    home: str,
    writable: tuple[str, ...],
) -> NoReturn:
    """Be the job and exit; called in a fresh fork, never returns."""
    status = 1
    try:
        _enter(output_fd, home, limits)
        apply_to_this_process(limits)
        with _take_channel(channel) as stream:
            if confinement.scene is not None:
                rights.give_up(confinement, writable)
            Path(home).mkdir(mode=0o700, exist_ok=True)
            os.chdir(confinement.workspace)
            status = _work(stream, limits)
    except BaseException:  # noqa: BLE001  nothing of the forking process may run on in here
        traceback.print_exc()
    finally:
        _flush_quietly()
        os._exit(status)


def _enter(output_fd: int, home: str, limits: Limits) -> None:
    processes.forbid_new_privileges()
    os.setsid()
    null_fd = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null_fd, 0)
    os.dup2(output_fd, 1)
    os.dup2(output_fd, 2)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]  # always text streams here
    os.environ.update(HOME=home, TMPDIR=home, USER="nobody", LOGNAME="nobody")
    _use_threads(limits.threads or 1)


def _use_threads(threads: int) -> None:
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads)))
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def _take_channel(channel: socket.socket) -> socket.socket:
    """Move the channel to a known descriptor and close every other one inherited."""
    fd = channel.detach()
    if fd != _CHANNEL_FD:
        os.dup2(fd, _CHANNEL_FD, inheritable=False)
    os.closerange(_CHANNEL_FD + 1, os.sysconf("SC_OPEN_MAX"))
    return socket.socket(fileno=_CHANNEL_FD)


class Report:
    """What a job is given to tell its host how far it is: called with an event. It may ask, too."""

    def __init__(self, channel: socket.socket, lines: BinaryIO, limits: Limits) -> None:
        self._channel, self._lines, self._limits = channel, lines, limits
        self._lock = threading.Lock()

    def __call__(self, event: dict[str, Any]) -> None:
        self.send("event", event, self._limits.event_bytes)

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Return the host's reply; one question at a time."""
        self.send("question", question, self._limits.event_bytes)
        reply: dict[str, Any] = json.loads(self._lines.readline())["reply"]
        return reply

    def send(self, kind: str, value: dict[str, Any], limit_bytes: int) -> None:
        _require_object(kind, value)
        line = _encode(kind, value) + b"\n"
        if len(line) > limit_bytes:
            raise ValueError(f"the {kind} has {len(line):,} bytes; the limit is {limit_bytes:,}")
        with self._lock:
            self._channel.sendall(line)


def _work(channel: socket.socket, limits: Limits) -> int:
    with channel.makefile("rb") as lines:
        request = json.loads(lines.readline())
        report = Report(channel, lines, limits)
        try:
            result = _find(request["job"])(request["payload"], report)
            report.send("result", result, limits.result_bytes)
        except BaseException as error:  # noqa: BLE001  SystemExit and MemoryError are answers too
            report.send("error", _describe(error), max(limits.result_bytes, 512 * 1024))
            return 1
    return 0


def _encode(kind: str, value: Any) -> bytes:
    try:
        return json.dumps({kind: value}, allow_nan=False).encode()
    except ValueError as error:
        raise ValueError(
            f"the {kind} is not JSON, which knows no NaN or infinity: {error}"
        ) from error


def _find(reference: str) -> Job:
    module_name, _, function_name = reference.partition(":")
    job: Job = getattr(importlib.import_module(module_name), function_name)
    return job


def _require_object(kind: str, value: object) -> None:
    if not isinstance(value, dict):
        raise TypeError(f"a job's {kind} must be a dict, not {type(value).__name__}")


def _describe(error: BaseException) -> dict[str, Any]:
    kinds = [kind.__name__ for kind in type(error).__mro__ if kind not in {BaseException, object}]
    text = "".join(traceback.format_exception(error))
    return {
        "error_type": type(error).__name__,
        "kinds": kinds,
        "text": _text_of(error),
        "where": str(getattr(error, "where", ""))[:_MESSAGE_CHARS],
        "traceback": text[-_TRACEBACK_CHARS:],
    }


def _text_of(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"the job called sys.exit({error.code!r})"[:_MESSAGE_CHARS]
    return str(error)[:_MESSAGE_CHARS]


def _flush_quietly() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue  # closed by the job, or the reader is gone
