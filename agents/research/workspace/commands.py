"""Jobs that run a shell command or a script and tell what it printed."""

import contextlib
import fcntl
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from agents.ml.reporting import Report
from agents.sandbox.output import CappedOutput

_VENVS = (".venv", "venv")
_CHUNK_BYTES = 64 * 1024
_REPORT_S = 0.5
_LOOK_S = 0.05  # how soon the end of a shell is seen whose own children still hold its output
_LINE_CHARS = 200
_MOST_BYTES = 131_071  # of one argument, on Linux
_OURS = ("PYTHONPATH", "PYTHONSAFEPATH", "PYTHONNOUSERSITE")  # they are for jobs, not for scripts


def run_command(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """Run `command` in bash; the result is that of `_run`."""
    return _run(["bash", "-c", payload["command"]], payload, report)


def run_script(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """Run a Python script with `arguments`; the result is that of `_run`.

    Raises:
        FileNotFoundError: there is no such script.
    """
    script = Path(payload["script_path"])
    if not script.is_file():
        raise FileNotFoundError(f"{payload['script_path']!r} is no file in the workspace")
    path = f"./{script}" if str(script).startswith("-") else str(script)
    return _run([_python(), path, *payload["arguments"]], payload, report)


def _run(argv: Sequence[str], payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """Run `argv` for at most `timeout_s`, and keep `output_bytes` of what it prints.

    The command's output is over when the command is: what it left running in the background ends
    with the job.

    Returns:
        `output` with stdout and stderr in the order of their printing, `exit_code` (negative for a
        signal, None if time was up) and `seconds`.
    """
    for text in argv:
        size = len(os.fsencode(text))
        if "\0" in text or size > _MOST_BYTES:
            raise ValueError(
                f"a command or an argument has {size:,} bytes or a NUL; it may have "
                f"{_MOST_BYTES:,}: write_file what is longer, and run or read that file"
            )
    output = CappedOutput(payload["output_bytes"])
    started_s = time.monotonic()
    process = subprocess.Popen(  # noqa: S603  running what was asked for is the purpose
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=_environment(),
        start_new_session=True,
    )
    latest_s = started_s
    for chunk in _chunks(process, started_s + payload["timeout_s"]):
        output.write(chunk)
        if time.monotonic() - latest_s >= _REPORT_S:
            latest_s = time.monotonic()
            report({"text": _last_line(chunk)})
    return {
        "output": output.text(),
        "exit_code": process.poll(),
        "seconds": round(time.monotonic() - started_s, 3),
    }


def _chunks(process: "subprocess.Popen[bytes]", deadline_s: float) -> Iterator[bytes]:
    """What the process prints, until it has ended or time is up."""
    assert process.stdout is not None
    fd = process.stdout.fileno()
    while (left_s := deadline_s - time.monotonic()) > 0:
        if process.poll() is not None:  # its own children may hold the pipe open, and print on
            yield _what_is_there(fd)
            return
        if select.select([fd], [], [], min(left_s, _LOOK_S))[0]:
            chunk = os.read(fd, _CHUNK_BYTES)
            if not chunk:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(left_s)
                return
            yield chunk


def _what_is_there(fd: int) -> bytes:
    os.set_blocking(fd, False)
    try:
        return os.read(fd, fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ))
    except BlockingIOError:
        return b""


def _environment() -> dict[str, str]:
    """That of the job, with the workspace's own virtual environment first when there is one."""
    environment = {name: value for name, value in os.environ.items() if name not in _OURS}
    environment["PYTHONUNBUFFERED"] = "1"  # stdout and stderr come in the order of their printing
    python = _python()
    environment["PATH"] = os.pathsep.join([str(Path(python).parent), environment["PATH"]])
    venv = own_venv()
    if venv is not None:
        environment["VIRTUAL_ENV"] = str(venv.absolute())
    return environment


def _python() -> str:
    venv = own_venv()
    return sys.executable if venv is None else str(venv.absolute() / "bin" / "python")


def own_venv() -> Path | None:
    """The virtual environment of the workspace, which is the working directory."""
    for name in _VENVS:
        if (Path(name) / "bin" / "python").is_file():
            return Path(name)
    return None


def _last_line(chunk: bytes) -> str:
    lines = chunk.decode("utf-8", errors="replace").strip().splitlines()
    return lines[-1][:_LINE_CHARS] if lines else ""
