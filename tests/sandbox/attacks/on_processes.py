"""Attacks on other processes, and processes that are to outlive their job."""

import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from agents.sandbox.kernel import calls
from tests.sandbox.attacks.attack import Target, Unsupported, attack

_PTRACE_ATTACH, _PTRACE_DETACH = 16, 17
_PIDFD_GETFD = 438
_SLEEPER = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"


def victim(t: Target) -> int:
    """A process outside that exists for this attack."""
    for entry in Path("/proc").iterdir():
        with suppress(OSError):  # a process that has ended since it was listed
            if entry.name.isdigit() and f"victim-of-{t.name}\0" in (entry / "cmdline").read_text():
                return int(entry.name)
    raise ProcessLookupError("nobody to be seen")


@attack()
def kill_another(t: Target) -> None:
    pid = victim(t)
    os.kill(pid, signal.SIGKILL)
    _see_it_in(pid, "ZX")


@attack()
def kill_by_any_number(t: Target) -> None:
    """As one does who does not see /proc, in the range where they are."""
    mark = f"victim-of-{t.name}\0"
    for pid in range(2, 5000):
        try:
            if mark in Path(f"/proc/{pid}/cmdline").read_text():
                os.kill(pid, signal.SIGKILL)
                _see_it_in(pid, "ZX")
        except OSError:
            continue


@attack()
def stop_another(t: Target) -> None:
    pid = victim(t)
    os.kill(pid, signal.SIGSTOP)
    _see_it_in(pid, "T")


@attack()
def kill_by_descriptor(t: Target) -> None:
    pid = victim(t)
    signal.pidfd_send_signal(os.pidfd_open(pid), signal.SIGKILL)
    _see_it_in(pid, "ZX")


@attack()
def trace_another(t: Target) -> bool:
    return trace(victim(t))


@attack()
def read_memory_by_call(t: Target) -> bool:
    return peek(victim(t))


@attack()
def read_memory_by_file(t: Target) -> bool:
    return open_memory(victim(t))


@attack()
def take_a_descriptor(t: Target) -> bool:
    return take_fd(victim(t), 0)


@attack()
def slow_another_down(t: Target) -> bool:
    os.setpriority(os.PRIO_PROCESS, victim(t), 10)
    return os.getpriority(os.PRIO_PROCESS, victim(t)) == 10


@attack()
def starve_another(t: Target) -> bool:
    resource.prlimit(victim(t), resource.RLIMIT_NOFILE, (8, 8))
    return True


@attack()
def pin_another(t: Target) -> bool:
    os.sched_setaffinity(victim(t), {min(os.sched_getaffinity(0))})
    return True


@attack()
def make_another_the_first_to_be_killed(t: Target) -> bool:
    Path(f"/proc/{victim(t)}/oom_score_adj").write_text("1000")
    return True


def _spawn_sleeper(t: Target, **options: Any) -> None:
    subprocess.Popen(
        [sys.executable, "-c", _SLEEPER, f"survivor-of-{t.name}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **options,
    )


@attack()
def leave_a_child(t: Target) -> None:
    _spawn_sleeper(t)


@attack()
def leave_a_session(t: Target) -> None:
    _spawn_sleeper(t, start_new_session=True)


@attack()
def leave_a_daemon(t: Target) -> None:
    """Fork twice and leave the session, as daemons do."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            _spawn_sleeper(t)
        os._exit(0)
    time.sleep(0.1)


@attack()
def leave_a_child_by_a_shell(t: Target) -> None:
    sleeper = f"print(flush=True); {_SLEEPER}"
    command = f"nohup setsid {sys.executable} -c '{sleeper}' survivor-of-{t.name} 2>/dev/null &"
    with subprocess.Popen(["/bin/sh", "-c", command], stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        shell.stdout.readline()  # it has a session of its own; before, it could end with our group


@attack()
def kill_the_parent_and_stay(t: Target) -> None:
    _spawn_sleeper(t, start_new_session=True)
    if os.getppid() == 1:
        os.kill(1, signal.SIGKILL)


@attack()
def stop_the_parent_and_stay(t: Target) -> None:
    _spawn_sleeper(t, start_new_session=True)
    if os.getppid() == 1:
        os.kill(1, signal.SIGSTOP)


@attack()
def kill_everything_and_stay(t: Target) -> None:
    """Only where this is a room of its own: nobody else is to be hurt by the control."""
    _spawn_sleeper(t, start_new_session=True)
    if os.getppid() == 1:
        os.kill(-1, signal.SIGTERM)


@attack(alone=True)
def run_away_by_forking(t: Target) -> None:
    """Never be the same process for long; nobody who looks first and kills then catches it."""
    if os.fork() == 0:
        os.setsid()
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            if os.fork() != 0:
                os._exit(0)
        _spawn_sleeper(t)
        os._exit(0)
    time.sleep(0.1)


@attack(time_s=0.5)
def be_stopped_in_vain(t: Target) -> bool:
    """Outlive a job's time, SIGTERM and all."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGXCPU):
        signal.signal(number, signal.SIG_IGN)
    _wait(1.5)
    return True


def _see_it_in(pid: int, states: str) -> None:
    """Wait for what a signal does, which on a busy machine is later."""
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in states:
        time.sleep(0.01)  # no event tells of it


def _wait(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.05)


def trace(pid: int) -> bool:
    calls.libc("ptrace", _PTRACE_ATTACH, pid, 0, 0)
    os.waitpid(pid, 0x40000000)  # __WALL
    calls.libc("ptrace", _PTRACE_DETACH, pid, 0, 0)
    return True


def peek(pid: int) -> bool:
    class Piece(ctypes.Structure):
        _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))

    buffer = ctypes.create_string_buffer(16)
    local = Piece(ctypes.addressof(buffer), 16)
    remote = Piece(_readable(pid), 16)
    return (
        calls.libc("process_vm_readv", pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0) > 0
    )


def _readable(pid: int) -> int:
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        if " r" in line and "[v" not in line:
            return int(line.split("-")[0], 16)
    raise Unsupported("no readable memory")


def open_memory(pid: int) -> bool:
    os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR))
    return True


def take_fd(pid: int, fd: int) -> bool:
    pidfd = os.pidfd_open(pid)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(_PIDFD_GETFD, pidfd, fd, 0) < 0:
        raise OSError(ctypes.get_errno(), "pidfd_getfd")
    return True
