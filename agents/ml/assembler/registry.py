"""The layer types there are, and which of their parameters follow from the incoming shape."""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

from torch import nn

from agents.ml.assembler.config import STREAM_TYPES, nearest
from agents.ml.assembler.errors import UnknownLayerError
from agents.ml.assembler.operations import OPERATIONS

_CHANNELS = ("in_channels", "num_features", "num_channels")
_WIDTH = ("in_features", "input_size", "embed_dim", "d_model", "normalized_shape")

# Stepping through time or text with the batch second is never what a config without batch means.
BATCH_FIRST = ("RNN", "LSTM", "GRU", "MultiheadAttention", "TransformerEncoderLayer")
RECURRENT = ("RNN", "LSTM", "GRU")

_NOT_A_LAYER = {
    *("Module", "Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict"),
    *("Container", "DataParallel", "Transformer", "TransformerDecoder", "RNNBase", "RNNCellBase"),
    *("TransformerDecoderLayer", "RNNCell", "LSTMCell", "GRUCell", "AdaptiveLogSoftmaxWithLoss"),
    *("Bilinear", "PairwiseDistance", "CosineSimilarity", "EmbeddingBag"),
    *("MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d", "CrossMapLRN2d"),
}


@cache
def layer_types() -> dict[str, type[nn.Module]]:
    """Layers of torch.nn that map one tensor to one tensor, or to several of which one goes on."""
    return {
        name: kind
        for name, kind in vars(nn).items()
        if isinstance(kind, type)
        and issubclass(kind, nn.Module)
        and name not in _NOT_A_LAYER
        and not name.startswith("Lazy")
        and not name.endswith("Loss")
    }


def find_layer(name: str, where: str) -> type[nn.Module]:
    """Return the torch.nn class of that name.

    Raises:
        UnknownLayerError: there is none; suggests the nearest, or says why it cannot be used.
    """
    found = layer_types().get(name)
    if found is not None:
        return found
    if name.startswith("Lazy") and hasattr(nn, name):
        plain = name.removeprefix("Lazy")
        problem = f"use {plain}: what it is lazy about is inferred from the incoming shape"
    elif isinstance(getattr(nn, name, None), type):
        problem = "it does not map one tensor to another; put it into a block with a module_path"
    else:
        hint = nearest(name, (*layer_types(), *OPERATIONS, *STREAM_TYPES))
        problem = hint.removeprefix("; ") or "give a module_path to a file that defines it"
    raise UnknownLayerError(f"unknown layer type {name!r}: {problem}", where=where)


def inferred_params(
    signature: inspect.Signature,
    given: dict[str, Any],
    shape: tuple[int, ...],
    vocab_size: int | None,
) -> dict[str, Any]:
    """Return the required parameters that are not given but follow from `shape` (batch first)."""
    inferred: dict[str, Any] = {}
    for name, parameter in signature.parameters.items():
        if name in given or parameter.default is not inspect.Parameter.empty:
            continue
        rule = _RULES.get(name)
        value = rule(shape) if rule else None
        if name == "num_embeddings":
            value = vocab_size
        if value is not None:
            inferred[name] = value
    return inferred


def contradiction(given: dict[str, Any], shape: tuple[int, ...]) -> str:
    """Say which given parameter does not fit `shape`, "" when none is seen to."""
    for name, value in given.items():
        rule = _RULES.get(name)
        fits = rule(shape) if rule else None
        if fits is not None and isinstance(value, int) and value != fits:
            return f"{name}={value}, but the incoming shape has {fits}"
    return ""


def _channels(shape: tuple[int, ...]) -> int | None:
    return shape[1] if len(shape) > 1 else None


def _width(shape: tuple[int, ...]) -> int | None:
    return shape[-1] if len(shape) > 1 else None


_RULES: dict[str, Callable[[tuple[int, ...]], int | None]] = {
    **dict.fromkeys(_CHANNELS, _channels),
    **dict.fromkeys(_WIDTH, _width),
}
