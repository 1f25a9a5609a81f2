"""Quantized modules, which hold their weights packed: as no parameters, and as no tensors.

So torch's own counters say 0 of them. What they hold is unpacked to be counted.
"""

from collections.abc import Iterator
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

_FAMILY = "torch.ao.nn."  # .quantized, .quantized.dynamic, .intrinsic.quantized, …


def is_packed(module: nn.Module) -> bool:
    """Whether the weights of a quantized module are given by its methods only."""
    is_of_family = any(kind.__module__.startswith(_FAMILY) for kind in type(module).__mro__)
    return is_of_family and (
        hasattr(module, "get_weight") or callable(getattr(module, "weight", None))
    )


def packed_weights(module: nn.Module) -> Iterator[Tensor]:
    """The weights and biases that a packed module holds."""
    each: Any = module
    held = (
        [*each.get_weight().values(), *each.get_bias().values()]
        if hasattr(module, "get_weight")
        else [each.weight(), each.bias() if callable(getattr(module, "bias", None)) else None]
    )
    yield from (tensor for tensor in held if isinstance(tensor, Tensor))


def flops_with_packed(x_shape: tuple[int, ...], *arguments: Any, **_: Any) -> int:
    """FLOPs of products of all rows of `x` with all weights among the arguments of an operator."""
    return 2 * prod(x_shape[:-1]) * sum(prod(shape) for shape in _shapes_in(arguments))


def _shapes_in(arguments: Any) -> Iterator[tuple[int, ...]]:
    """Shapes of the packed weights, those in the cells of a recurrent layer, too."""
    for each in arguments:
        if isinstance(each, list | tuple):
            yield from _shapes_in(each)
        elif hasattr(each, "unpack"):
            yield tuple(each.unpack()[0].shape)
        elif isinstance(each, torch.ScriptObject):
            yield from _shapes_in(each.__getstate__())


_quantized, _aten = torch.ops.quantized, torch.ops.aten
PACKED_OPERATORS = (
    _quantized.linear_dynamic,
    _quantized.linear_relu_dynamic,
    _quantized.linear_dynamic_fp16,
    _quantized.linear_relu_dynamic_fp16,
    _quantized.quantized_lstm_cell_dynamic,
    _quantized.quantized_gru_cell_dynamic,
    _quantized.quantized_rnn_relu_cell_dynamic,
    _quantized.quantized_rnn_tanh_cell_dynamic,
    _aten.quantized_lstm,
    _aten.quantized_gru,
)
