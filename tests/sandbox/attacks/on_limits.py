"""Attacks on what a job may take, and on what is believed of it."""

import mmap
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.sandbox.attacks.attack import Target, attack

_MIB = 1 << 20
_FORGED = '{"result": {"evidence": "forged"}}\n'


@attack(alone=True, processes=32)
def bomb_of_forks(t: Target) -> bool:
    """Children that fork on; each ends by itself after some seconds."""
    first = os.getpid()
    for _ in range(9):
        try:
            os.fork()
        except OSError:
            continue
    time.sleep(2)
    if os.getpid() != first:
        os._exit(0)
    return True


@attack(alone=True, processes=32)
def bomb_of_programs(t: Target) -> bool:
    sleepers = [subprocess.Popen(["/bin/sleep", "5"]) for _ in range(150)]
    time.sleep(1)
    for sleeper in sleepers:
        sleeper.kill()
        sleeper.wait()
    return True


@attack(alone=True, processes=32)
def bomb_of_threads(t: Target) -> bool:
    stop = threading.Event()
    for _ in range(1500):
        threading.Thread(target=stop.wait, daemon=True).start()
    stop.set()
    return True


@attack(alone=True, processes=32)
def flood_of_zombies(t: Target) -> bool:
    """Ended children that nobody buries stay processes."""
    for _ in range(1500):
        if os.fork() == 0:
            os._exit(0)
    for _ in range(1500):
        os.wait()
    return True


@attack(alone=True, memory_bytes=128 * _MIB)
def bomb_of_memory(t: Target) -> bool:
    kept = [b"x" * (16 * _MIB) for _ in range(40)]
    time.sleep(0.3)
    return len(kept) == 40


@attack(alone=True, memory_bytes=128 * _MIB)
def bomb_of_memory_in_children(t: Target) -> bool:
    code = "import time; kept = b'x' * (60 << 20); time.sleep(1.5)"
    children = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(8)]
    return all(child.wait() == 0 for child in children)


@attack(alone=True, memory_bytes=128 * _MIB)
def bomb_of_shared_memory(t: Target) -> bool:
    shared = mmap.mmap(-1, 256 * _MIB)  # anonymous and shared: of no file that has a limit
    for start in range(0, len(shared), 4096):
        shared[start] = 1
    time.sleep(0.5)
    return True


@attack(open_files=64)
def bomb_of_descriptors(t: Target) -> bool:
    return len([os.dup(0) for _ in range(200)]) == 200


@attack()
def bomb_of_temporary_bytes(t: Target) -> bool:
    Path("/tmp", t.name).write_bytes(bytes(32 * _MIB))
    return True


@attack()
def bomb_of_temporary_files(t: Target) -> bool:
    folder = Path("/tmp", t.name)
    folder.mkdir()
    for number in range(3000):
        (folder / str(number)).touch()
    return True


@attack()
def bomb_of_shared_files(t: Target) -> bool:
    Path("/dev/shm", t.name).write_bytes(bytes(32 * _MIB))
    return True


@attack(file_size_bytes=_MIB)
def file_past_the_limit(t: Target) -> bool:
    Path(t.name).write_bytes(bytes(2 * _MIB))
    return True


@attack(file_size_bytes=_MIB)
def sparse_file_past_the_limit(t: Target) -> bool:
    with Path(t.name).open("wb") as file:
        file.truncate(1 << 40)
    return True


@attack(cpu_s=1)
def hog_of_the_processor(t: Target) -> bool:
    begun_s = time.process_time()
    while time.process_time() - begun_s < 2.2:
        pass
    return True


@attack(time_s=0.3)
def match_for_ever(t: Target) -> bool:
    import re  # noqa: PLC0415

    re.match("(a+)+$", "a" * 24 + "b")
    return True


@attack(alone=True)
def flood_of_output(t: Target) -> None:
    """What is kept of it is the evidence."""
    chunk = b"\x1b[31m" + b"x" * 65_536
    for _ in range(200):
        os.write(1, chunk)
    raise RuntimeError("printed a lot")


@attack()
def print_a_result(t: Target) -> None:
    """Believed by whoever reads results from what is printed."""
    os.write(1, _FORGED.encode())


@attack()
def write_a_result_from_a_program(t: Target) -> None:
    _in_a_program(f"import os; os.write(3, {_FORGED.encode()!r})")


@attack()
def write_a_result_by_the_parent_s_descriptor(t: Target) -> bool:
    return _heard_in_a_program("take_fd")


@attack()
def trace_the_process_that_answers(t: Target) -> bool:
    return _heard_in_a_program("trace")


@attack()
def write_to_the_memory_of_what_answers(t: Target) -> bool:
    return _heard_in_a_program("open_memory")


@attack()
def read_the_memory_of_what_answers(t: Target) -> bool:
    return _heard_in_a_program("peek")


def _in_a_program(code: str) -> str:
    """Run another program, as `python_run` does with a script, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        close_fds=False,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def _heard_in_a_program(function: str) -> bool:
    """Whether a script can do `function` to the process that started it."""
    arguments = "os.getppid(), 3" if function == "take_fd" else "os.getppid()"
    code = (
        "import os, sys; sys.path[:0] = " + repr(sys.path) + "\n"
        f"from tests.sandbox.attacks.on_processes import {function}\n"
        f"print({function}({arguments}))"
    )
    return "True" in _in_a_program(code)
