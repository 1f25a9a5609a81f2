"""Modules on the meta device: built without memory, run for their shapes alone.

What cannot run there, because it looks at values, is run for real on small random input.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from agents.ml.errors import LayerError

BATCH = 2  # a batch of 1 trips batch normalisation
MAX_ELEMENTS = 2**31

DTYPES = {"float32": torch.float32, "int64": torch.int64}


def meta_input(shape: tuple[int, ...], dtype: str) -> Tensor:
    """Return an input of `shape` (without the batch) that holds no memory."""
    return torch.empty((BATCH, *shape), dtype=DTYPES[dtype], device="meta")


def real_input(like: Tensor) -> Tensor:
    """Return values in place of a meta tensor: normal ones, or the first token throughout."""
    if like.dtype.is_floating_point:
        return torch.randn(like.shape, dtype=like.dtype)
    return torch.zeros(like.shape, dtype=like.dtype)


def build_on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """Construct without allocating parameters."""
    with torch.device("meta"):
        return build()


def to_meta(value: Any) -> Any:
    """Keep the shapes of a result, not its values."""
    if isinstance(value, Tensor):
        return value.to("meta")
    if isinstance(value, list | tuple):
        return tuple(map(to_meta, value))
    return value


def count_params(module: nn.Module) -> int:
    """Count parameters, shared ones once.

    Raises:
        LayerError: one is lazy, and has no size yet.
    """
    total = 0
    for name, parameter in module.named_parameters():
        if is_lazy(parameter):
            raise LayerError(f"parameter {name} is lazy; give its module the sizes it asks for")
        total += parameter.numel()
    return total
