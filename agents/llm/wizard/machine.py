"""What of this machine can be checked before a model is loaded: packages, devices, memory."""

import importlib.util

from agents.llm.engines.config import EngineConfig
from agents.llm.engines.errors import LLMInitializationError
from agents.llm.engines.estimate import estimate_memory
from agents.llm.engines.memory import free_bytes
from agents.llm.wizard.found import AnswerError, Found
from guild.errors import MissingExtraError

_PACKAGES = {
    "llamacpp": ("llamacpp", ("xllamacpp", "numpy")),
    "transformers": ("torch", ("torch", "transformers", "accelerate", "tokenizers")),
    "openai": ("openai", ("httpx",)),
}
MAX_ACTIVE = 8
_OVERHEAD_BYTES = 300 << 20  # Python, libraries, and what is computed on the way


def check_installed(backend: str, subject: str = "") -> None:
    """See that the packages of a backend are there; one that is not known here needs none.

    Args:
        backend: its name.
        subject: who needs it; left out, the backend itself.

    Raises:
        MissingExtraError: some are not; says how to install them.
    """
    extra, packages = _PACKAGES.get(backend, ("", ()))
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(subject or f"the {backend} backend", extra, missing)


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


def answers_that_fit(found: Found, backend: str, device: str) -> int:
    """How many answers at the same time there is memory for.

    Raises:
        AnswerError: not even for one.
    """
    free = free_on(device)
    if free is None:
        return MAX_ACTIVE
    for count in (MAX_ACTIVE, MAX_ACTIVE // 2, 2, 1):
        needed = needed_bytes(found, backend, device, count)
        if needed <= free:
            return count
    raise AnswerError(
        f"{found.model} needs about {gib(needed)} of memory, and {gib(free)} are free on "
        f"{device}; take a smaller model, or free some"
    )


def needed_bytes(found: Found, backend: str, device: str, count: int) -> int:
    """What a model and so many answers at the same time take, roughly; 0 where it is not known."""
    config = EngineConfig(
        model=found.model,
        backend=backend,
        device=device,
        context_window=found.context_window,
        max_active=count,
    )
    try:
        return estimate_memory(config).least_bytes
    except LLMInitializationError:  # it is not here yet
        return found.weight_bytes + _OVERHEAD_BYTES if found.weight_bytes else 0


def free_on(device: str) -> int | None:
    """Memory that a model may take; None where this machine does not say."""
    if not device.startswith("cuda"):
        return free_bytes()
    import torch  # noqa: PLC0415  an extra

    return int(torch.cuda.mem_get_info(device)[0])


def gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"
