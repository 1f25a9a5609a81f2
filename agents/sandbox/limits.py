"""What one job may take."""

import resource
from dataclasses import asdict, dataclass
from typing import Any

MIB = 1024 * 1024
_RESERVED = 2  # times what may be used
# The kernel counts threads, and those of all jobs: a stop for what the warden is too slow for.
_LEAST_TASKS, _TASKS_PER_PROCESS = 1024, 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Ceilings for one job; what it starts counts too where the kernel lets us see it.

    Attributes:
        time_s: how long it may run, its end included; `math.inf` is no limit.
        memory_bytes: memory of the job's whole tree, watched some twenty times a second; what is
            reserved and not used counts no more than that each process reserves twice as much.
        cpu_s: processor time of each process; None is no limit.
        file_size_bytes: the largest file it may write.
        open_files: descriptors per process.
        processes: how many processes the job's tree may have at once, watched as memory is.
        threads: what torch and OpenMP may use; None shares the machine between `max_jobs`.
        tmp_bytes: how much its /tmp holds, and its /dev/shm; both are memory, and its own where
            there is a fence.
        tmp_files: how many files and folders each of them holds.
        result_bytes: the largest result, as JSON.
        event_bytes: the largest progress event, as JSON.
        output_bytes: how much of stdout and stderr is kept, half head and half tail.
    """

    time_s: float = 3600.0
    memory_bytes: int = 8192 * MIB
    cpu_s: int | None = None
    file_size_bytes: int = 8192 * MIB
    open_files: int = 4096
    processes: int = 64
    threads: int | None = None
    tmp_bytes: int = 2048 * MIB
    tmp_files: int = 100_000
    result_bytes: int = 8 * MIB
    event_bytes: int = 256 * 1024
    output_bytes: int = 64 * 1024

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            least = 0.001 if name == "time_s" else 1
            if value is not None and not value >= least:
                raise ValueError(f"limit {name} must be at least {least}, not {value}")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def apply_to_this_process(limits: Limits) -> None:
    """Lower this process's ceilings; they hold for everything it starts."""
    # RLIMIT_DATA counts private writable memory, touched or not; RLIMIT_AS would count what CUDA
    # only reserves. It stops at once what grows faster than the warden looks.
    _lower(resource.RLIMIT_DATA, _RESERVED * limits.memory_bytes)
    _lower(resource.RLIMIT_FSIZE, limits.file_size_bytes)
    _lower(resource.RLIMIT_NOFILE, limits.open_files)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NPROC, max(_LEAST_TASKS, _TASKS_PER_PROCESS * limits.processes))
    if limits.cpu_s is not None:
        _lower(resource.RLIMIT_CPU, limits.cpu_s, spare=2)


def _lower(kind: int, value: int, spare: int = 0) -> None:
    """Set soft to `value` and hard to `value + spare`, never above what already holds."""
    _, hard = resource.getrlimit(kind)
    if hard == resource.RLIM_INFINITY:
        resource.setrlimit(kind, (value, value + spare))
    else:
        resource.setrlimit(kind, (min(value, hard), min(value + spare, hard)))
