"""FLOPs of products that PyTorch's own counter takes for free: those with a vector, and others.

Shapes as the operators of `torch.ops.aten` are given them; two FLOPs are one multiply-accumulate.
"""

from collections.abc import Callable
from math import prod
from typing import Any

import torch

Shape = tuple[int, ...]


def _dot(a_shape: Shape, *_: Any, **__: Any) -> int:
    return 2 * a_shape[0]


def _mv(matrix_shape: Shape, *_: Any, **__: Any) -> int:
    return 2 * prod(matrix_shape)


def _addmv(_: Shape, matrix_shape: Shape, *__: Any, **___: Any) -> int:
    return 2 * prod(matrix_shape)


def _addbmm(_: Shape, a_shape: Shape, b_shape: Shape, **__: Any) -> int:
    batch, rows, inner = a_shape
    return 2 * batch * rows * inner * b_shape[2]


def _trilinear(  # noqa: PLR0917  the operator's own parameters
    a_shape: Shape,
    b_shape: Shape,
    c_shape: Shape,
    a_new: list[int],
    b_new: list[int],
    c_new: list[int],
    *_: Any,
    **__: Any,
) -> int:
    """Of `nn.Bilinear`: a product of all three for each combination of their indices."""
    sizes = _expanded(a_shape, a_new), _expanded(b_shape, b_new), _expanded(c_shape, c_new)
    return 2 * prod(max(lengths) for lengths in zip(*sizes, strict=True))


def _expanded(shape: Shape, new: list[int]) -> list[int]:
    sizes = list(shape)
    for position in sorted(new):
        sizes.insert(position, 1)
    return sizes


_aten = torch.ops.aten
UNCOUNTED: dict[Any, Callable[..., int]] = {
    _aten.dot: _dot,
    _aten.vdot: _dot,
    _aten.mv: _mv,
    _aten.addmv: _addmv,
    _aten.addbmm: _addbmm,
    _aten._trilinear: _trilinear,  # noqa: SLF001  the operator has no other name
}
