"""How much memory there is for caches."""

import re
from pathlib import Path

import torch

_SHARE = 0.5  # of what is free; the rest is for activations and for others
_FALLBACK_BYTES = 2 << 30


def default_cache_bytes(device: torch.device) -> int:
    """What caches may occupy on `device`, by what is free now that the model is loaded."""
    return int(_free_bytes(device) * _SHARE)


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:  # not on Linux
        return _FALLBACK_BYTES
    found = re.search(r"^MemAvailable:\s*(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else _FALLBACK_BYTES
