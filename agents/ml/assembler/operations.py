"""Steps between layers that torch.nn has no module for.

    Permute(dims)          order of all dimensions, the batch being 0
    Reshape(shape)         sizes without the batch; one may be -1
    Mean(dim, keepdim)     over one dimension or several, the batch being 0
    Max(dim, keepdim)      largest values along one or several
    Select(dim, index)     one slice of a dimension

Each exists once as a function, whose signature is the parameters' and whose one line is also the
code that is written, with the parameters' values in place of their names.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

Sizes = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """One step; `code` is what `run` does, as a format string over `x` and the parameters."""

    run: Callable[..., Tensor]
    code: str

    def complete(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return `given` with the defaults of what it leaves out.

        Raises:
            TypeError: a parameter is unknown or missing.
        """
        bound = inspect.signature(self.run).bind(None, **given)
        bound.apply_defaults()
        return {name: value for name, value in bound.arguments.items() if name != "x"}


def _permute(x: Tensor, *, dims: Sizes) -> Tensor:
    return x.permute(dims)


def _reshape(x: Tensor, *, shape: Sizes) -> Tensor:
    return x.reshape(x.shape[0], *shape)


def _mean(x: Tensor, *, dim: int | Sizes, keepdim: bool = False) -> Tensor:
    return x.mean(dim=dim, keepdim=keepdim)


def _max(x: Tensor, *, dim: int | Sizes, keepdim: bool = False) -> Tensor:
    return x.amax(dim=dim, keepdim=keepdim)


def _select(x: Tensor, *, dim: int, index: int) -> Tensor:
    return x.select(dim, index)


OPERATIONS: dict[str, Operation] = {
    "Permute": Operation(_permute, "{x}.permute({dims!r})"),
    "Reshape": Operation(_reshape, "{x}.reshape({x}.shape[0], *{shape!r})"),
    "Mean": Operation(_mean, "{x}.mean(dim={dim!r}, keepdim={keepdim!r})"),
    "Max": Operation(_max, "{x}.amax(dim={dim!r}, keepdim={keepdim!r})"),
    "Select": Operation(_select, "{x}.select({dim!r}, {index!r})"),
}
