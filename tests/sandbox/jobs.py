"""Jobs that behave and jobs that do not; run in children by the tests beside.

The hostile ones are bounded: each aims only at its own process and stops by itself.
"""

# ruff: noqa: T201, PLC0415  jobs print, and import inside the child what they are about

import contextlib
import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Report = Callable[[dict[str, Any]], None]
Payload = dict[str, Any]

_SLEEPER = "import time; time.sleep(120)"


class LibraryError(Exception):
    def __init__(self, text: str, *, where: str) -> None:
        super().__init__(text)
        self.where = where


class LayerMisfitError(LibraryError):
    pass


def echo(payload: Payload, report: Report) -> Payload:
    report({"step": 1})
    report({"step": 2})
    return {"echo": payload, "cwd": str(Path.cwd())}


def fail(payload: Payload, report: Report) -> Payload:
    print("before the failure")
    raise LayerMisfitError("expects 3 channels", where="layers[4]")


def give_up(payload: Payload, report: Report) -> Payload:
    sys.exit("no more")


def see_environment(payload: Payload, report: Report) -> Payload:
    seen = [repr(dict(os.environ))]
    seen.append(subprocess.run(["/usr/bin/env"], capture_output=True, text=True, check=True).stdout)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(PermissionError):
                seen.append((entry / "environ").read_text())
    return {"all": "\n".join(seen)}


def see_descriptors(payload: Payload, report: Report) -> Payload:
    links = {}
    for entry in Path("/proc/self/fd").iterdir():
        try:
            links[entry.name] = str(entry.readlink())
        except OSError:
            continue  # the descriptor of the listing itself
    return {"links": links, "stdin": sys.stdin.read()}


def see_threads(payload: Payload, report: Report) -> Payload:
    import torch

    return {"threads": torch.get_num_threads(), "omp": os.environ["OMP_NUM_THREADS"]}


def shadowed(payload: Payload, report: Report) -> Payload:
    import colorsys

    return {"file": colorsys.__file__}


def take_memory(payload: Payload, report: Report) -> Payload:
    kept = [bytearray(16 << 20) for _ in range(64)]
    return {"taken": len(kept)}


def take_tensor(payload: Payload, report: Report) -> Payload:
    import torch

    return {"sum": torch.ones(1 << 28).sum().item()}


def take_memory_in_children(payload: Payload, report: Report) -> Payload:
    code = "import time; kept = bytearray(b'x' * (60 << 20)); time.sleep(60)"
    for _ in range(6):
        subprocess.Popen([sys.executable, "-c", code])
    time.sleep(60)
    return {}


def reserve_memory(payload: Payload, report: Report) -> Payload:
    reserved = mmap.mmap(-1, payload["size"], flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    reserved[:4096] = b"x" * 4096
    time.sleep(0.3)  # the warden looks meanwhile
    return {"reserved": len(reserved)}


def leave_sleepers(payload: Payload, report: Report) -> Payload:
    began_s = time.monotonic()
    for _ in range(payload["count"]):
        subprocess.Popen(["/bin/sleep", "120"], stdout=subprocess.DEVNULL)
    report({"at": time.monotonic(), "took_s": time.monotonic() - began_s})
    return {}


def fill_tmp(payload: Payload, report: Report) -> Payload:
    try:
        for number in range(payload["files"]):
            Path(f"{payload['folder']}/{number}").write_bytes(b"x" * payload["size"])
    except OSError as error:
        return {"errno": error.errno}
    return {"errno": 0}


def open_many(payload: Payload, report: Report) -> Payload:
    opened: list[int] = []
    try:
        while len(opened) < 10_000:
            opened.append(os.dup(0))
    except OSError as error:
        return {"errno": error.errno, "opened": len(opened)}
    return {"errno": 0, "opened": len(opened)}


def look(payload: Payload, report: Report) -> Payload:
    """What is at each path: the names in a folder, the text of a file, or why neither."""
    seen: dict[str, Any] = {}
    for path in map(Path, payload["paths"]):
        try:
            names = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else None
            seen[str(path)] = path.read_text() if names is None else names
        except OSError as error:
            seen[str(path)] = os.strerror(error.errno or 0)
    return {"seen": seen}


def swap(payload: Payload, report: Report) -> Payload:
    """Put a link to `target` in the place of the folder `path`, and back, for ever."""
    path, aside = Path(payload["path"]), Path("aside")
    report({})
    while True:
        path.rename(aside)
        path.symlink_to(payload["target"])
        path.unlink()
        aside.rename(path)


def write(payload: Payload, report: Report) -> Payload:
    """Whether each path can be written."""
    written = {}
    for path in payload["paths"]:
        try:
            Path(path).write_text("written")
            written[path] = ""
        except OSError as error:
            written[path] = os.strerror(error.errno or 0)
    return {"written": written}


def connect(payload: Payload, report: Report) -> Payload:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(payload["path"])
        except OSError:
            return {"connected": False}
    return {"connected": True}


def burn(payload: Payload, report: Report) -> Payload:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        pass
    return {}


def spawn_many(payload: Payload, report: Report) -> Payload:
    for _ in range(30):
        subprocess.Popen(["/bin/sleep", "60"])
    time.sleep(60)
    return {}


def write_large_file(payload: Payload, report: Report) -> Payload:
    Path("large").write_bytes(b"x" * (4 << 20))
    return {}


def leave_family(payload: Payload, report: Report) -> Payload:
    """Start a child, and a daemon that left the session and whose parent is gone; report both."""
    child = subprocess.Popen([sys.executable, "-c", _SLEEPER])
    code = (
        "import os, subprocess, sys\n"
        f"p = subprocess.Popen([sys.executable, '-c', {_SLEEPER!r}], start_new_session=True,"
        " stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "print(p.pid)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    report({"pids": [os.getpid(), os.getppid(), child.pid, int(found.stdout)]})
    if payload.get("return_when"):
        while not Path(payload["return_when"]).exists():
            time.sleep(0.01)
        return {}
    time.sleep(120)
    return {}


def checkpoint_on_sigterm(payload: Payload, report: Report) -> Payload:
    def save(number: int, frame: object) -> None:
        Path("checkpoint").write_text("saved")
        sys.exit(143)

    signal.signal(signal.SIGTERM, save)
    report({"ready": True})
    time.sleep(120)
    return {}


def ignore_sigterm(payload: Payload, report: Report) -> Payload:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    report({"pids": [os.getpid()]})
    time.sleep(120)
    return {}


def signal_the_warden(payload: Payload, report: Report) -> Payload:
    answers = []
    for number in (signal.SIGSTOP, signal.SIGKILL):
        try:
            os.kill(os.getppid(), number)
            answers.append("sent")
        except PermissionError:
            answers.append("refused")
    return {"answers": answers}


def stop_the_warden(payload: Payload, report: Report) -> Payload:
    os.kill(os.getppid(), signal.SIGSTOP)
    report({"pids": [os.getpid(), os.getppid()]})
    time.sleep(120)
    return {}


def kill_the_warden(payload: Payload, report: Report) -> Payload:
    daemon = subprocess.Popen([sys.executable, "-c", _SLEEPER], start_new_session=True)
    report({"pids": [os.getpid(), daemon.pid]})
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(120)
    return {}


def kill_self(payload: Payload, report: Report) -> Payload:
    os.kill(os.getpid(), signal.SIGSEGV)
    return {}


def forge(payload: Payload, report: Report) -> Payload:
    forged = json.dumps({"result": {"accuracy": 1.0}})
    print(forged, flush=True)
    os.write(2, forged.encode() + b"\n")
    return {"accuracy": 0.1}


def forge_and_leave(payload: Payload, report: Report) -> Payload:
    print(json.dumps({"result": {"accuracy": 1.0}}), flush=True)
    os._exit(0)


def talk_nonsense(payload: Payload, report: Report) -> Payload:
    os.write(3, payload["line"].encode() + b"\n")
    time.sleep(60)
    return {}


def print_much(payload: Payload, report: Report) -> Payload:
    print("the beginning")
    for _ in range(400):
        print("x" * 10_000)
    print("the end")
    raise RuntimeError("printed a lot")


def return_much(payload: Payload, report: Report) -> Payload:
    return {"much": "x" * payload["size"]}


def report_much(payload: Payload, report: Report) -> Payload:
    for step in range(payload["count"]):
        report({"step": step})
    return {"reported": payload["count"]}


def return_a_list(payload: Payload, report: Report) -> Payload:
    return ["not", "an", "object"]  # type: ignore[return-value]  # the very mistake


def return_nan(payload: Payload, report: Report) -> Payload:
    return {"loss": float("nan")}


def wait(payload: Payload, report: Report) -> Payload:
    report({"pid": os.getpid()})
    time.sleep(payload["wait_s"])
    return {"pid": os.getpid()}


def see_home(payload: Payload, report: Report) -> Payload:
    Path("~/left-behind").expanduser().write_text("x")
    return {"home": str(Path.home())}


def ask_twice(payload: Payload, report: Any) -> Payload:
    first = report.ask({"add": 1})
    report({"heard": first})
    return report.ask({"add": first["sum"]})


def ask_and_leave(payload: Payload, report: Any) -> Payload:
    report.send("question", {}, 1024)
    return {"left": True}


def ask_two_at_once(payload: Payload, report: Any) -> Payload:
    report.send("question", {}, 1024)
    return report.ask({})


def lend_rights(_payload: Payload, _report: Report) -> Payload:
    """Try to make programs of the workspace run as their owner, who outside may be root."""
    Path("program").write_bytes(b"#!/bin/sh\n")
    fd = os.open("program", os.O_RDONLY)
    refused = 0
    for mode in (0o755, 0o1777, 0o2755, 0o6755, 0o4755):
        for program in ("program", fd):
            try:
                os.chmod(program, mode)  # noqa: PTH101  by its descriptor, too
            except PermissionError:
                refused += 1
    with contextlib.suppress(OSError):
        os.mknod("made", 0o104755)
    os.close(os.open("opened", os.O_CREAT | os.O_WRONLY, 0o4755))
    Path("opened").write_bytes(b"#!/bin/sh\n")
    return {"refused": refused}
