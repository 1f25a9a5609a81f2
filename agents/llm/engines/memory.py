"""How much memory there is, and whether an error says that there was not enough. Knows no torch."""

import re
from pathlib import Path
from typing import Any

_SHARE = 0.5  # of what is free; the rest is for activations and for others
_FALLBACK_BYTES = 2 << 30
_MEMINFO = Path("/proc/meminfo")
_CONTAINER = Path("/sys/fs/cgroup")  # its limits, where this process is in one


def default_cache_bytes(device: Any) -> int:
    """What caches may occupy on a `torch.device`, by what is free now that the model is loaded."""
    if device.type == "cuda":
        import torch  # noqa: PLC0415  only where there is a device of it

        return int(torch.cuda.mem_get_info(device)[0] * _SHARE)
    free = free_bytes()
    return int((_FALLBACK_BYTES if free is None else free) * _SHARE)


def free_bytes() -> int | None:
    """What this process may still take of the machine's memory; None where that is not told."""
    try:
        text = _MEMINFO.read_text(encoding="ascii")
    except OSError:  # not on Linux
        return None
    found = re.search(r"^MemAvailable:\s*(\d+) kB", text, re.MULTILINE)
    left = _left_in_container()
    known = [free for free in (int(found[1]) * 1024 if found else None, left) if free is not None]
    return min(known, default=None)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory ran out, on whatever device."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)  # on the CPU


def _left_in_container() -> int | None:
    def number(name: str, pattern: str) -> int:
        found = re.search(pattern, (_CONTAINER / name).read_text(encoding="ascii"), re.MULTILINE)
        if found is None:
            raise ValueError(name)
        return int(found[1])

    try:
        limit = number("memory.max", r"^(\d+)$")  # "max" where there is none
        used = number("memory.current", r"^(\d+)$") - number("memory.stat", r"^file (\d+)$")
    except (OSError, ValueError):
        return None
    return max(0, limit - used)
