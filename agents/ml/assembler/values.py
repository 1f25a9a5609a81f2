"""Variables of the forward that is being written, and when one may be overwritten in place."""

import re
from dataclasses import dataclass

from torch import Tensor

from agents.ml.assembler.entries import Layer
from agents.ml.assembler.registry import RECURRENT

# The backward pass of these does not read their output, as that of a ReLU does.
_OVERWRITABLE = re.compile(r"Conv.*|Linear|.*Norm.*|(Adaptive)?(Max|Avg)Pool.*")
# The output of these may share memory with their input.
_VIEWS = re.compile(r"Identity|Flatten|Unflatten|.*Dropout.*|Permute|Reshape|Select")


@dataclass(frozen=True, slots=True)
class Value:
    """A variable of the forward method.

    Attributes:
        name: in the source.
        x: its shape and dtype, as a meta tensor.
        is_needed: whether its memory must stay as it is: another stream reads it, the backward
            pass does, or it is the caller's.
    """

    name: str
    x: Tensor
    is_needed: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.x.shape)


def is_needed_after(layer: Layer, value: Value) -> bool:
    if layer.module_path:
        return True  # whatever it does is its own business
    if _VIEWS.fullmatch(layer.type):
        return value.is_needed
    return not _OVERWRITABLE.fullmatch(layer.type)


def is_recurrent(layer: Layer) -> bool:
    return layer.type in RECURRENT and not layer.module_path


def is_attention(layer: Layer) -> bool:
    return layer.type == "MultiheadAttention" and not layer.module_path


def inputs_of(layer: Layer) -> int:
    return 3 if is_attention(layer) else 1  # self-attention: query, key and value
