"""What of this machine can be checked before a model is loaded: packages, devices, memory."""

import importlib.util
import re
from pathlib import Path

from agents.llm.wizard.found import AnswerError, Found
from guild.errors import MissingExtraError

_PACKAGES = {
    "llamacpp": ("llamacpp", ("xllamacpp", "numpy")),
    "transformers": ("torch", ("torch", "transformers", "accelerate", "tokenizers")),
    "openai": ("openai", ("httpx",)),
}
MAX_ACTIVE = 8
_OVERHEAD_BYTES = 300 << 20  # Python, libraries, and what is computed on the way


def check_installed(backend: str) -> None:
    """See that the packages of a backend are there.

    Raises:
        MissingExtraError: some are not; says how to install them.
    """
    extra, packages = _PACKAGES[backend]
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(f"the {backend} backend", extra, missing)


def devices_of(backend: str) -> tuple[str, ...]:
    """The devices that a backend can use here, `auto` first; none where a server has them."""
    if backend == "openai":
        return ()
    if backend == "llamacpp":
        return ("auto", "cpu")
    import torch  # noqa: PLC0415  an extra

    cuda = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return ("auto", "cpu", *(["cuda"] if cuda else []), *cuda, *mps)


def answers_that_fit(found: Found, device: str) -> int:
    """How many answers at the same time there is memory for.

    Raises:
        AnswerError: not even for one.
    """
    free = free_bytes(device)
    if free is None or not found.weight_bytes:
        return MAX_ACTIVE
    for count in (MAX_ACTIVE, MAX_ACTIVE // 2, 2, 1):
        needed = needed_bytes(found, count)
        if needed <= free:
            return count
    raise AnswerError(
        f"{found.model} needs about {gib(needed)} of memory, and {gib(free)} are free on "
        f"{device}; take a smaller model, or free some"
    )


def needed_bytes(found: Found, count: int) -> int:
    """What a model and so many answers at the same time take, roughly."""
    return found.weight_bytes + count * found.answer_bytes + _OVERHEAD_BYTES


def free_bytes(device: str) -> int | None:
    """Memory that a model may take; None where this machine does not say."""
    if device.startswith("cuda"):
        import torch  # noqa: PLC0415  an extra

        return int(torch.cuda.mem_get_info(device)[0])
    figures = [_available(), _left_in_group()]
    known = [figure for figure in figures if figure is not None]
    return min(known, default=None)


def _available() -> int | None:
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:  # not on Linux
        return None
    found = re.search(r"^MemAvailable:\s*(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _left_in_group(folder: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What a container's limit leaves."""
    try:
        limit, used = ((folder / f"memory.{name}").read_text() for name in ("max", "current"))
        return max(0, int(limit) - int(used))
    except (OSError, ValueError):  # no limit, or another kind of group
        return None


def gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"
