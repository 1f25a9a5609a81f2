"""The random number generators a training run draws from: set, saved and put back."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed Python, numpy and torch inside the block; the caller's state returns afterwards."""
    before = rng_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  # scripts of users draw from the global generator
    torch.manual_seed(seed)
    try:
        yield
    finally:
        load_rng_state(before)


def rng_state() -> dict[str, Any]:
    """Return the state of all generators in types that load without running code."""
    version, internal, gauss = random.getstate()
    twister = np.random.get_state(legacy=False)  # noqa: NPY002  # as above
    return {
        "python": [version, list(internal), gauss],
        "numpy": _plain(twister),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def load_rng_state(state: dict[str, Any]) -> None:
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    np.random.set_state(state["numpy"])  # noqa: NPY002  # as above
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
