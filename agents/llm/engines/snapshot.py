"""What a model has read of one text, taken out of a cache and put into another one."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from transformers.cache_utils import DummyLayer, DynamicLayer

Snapshot = Mapping[str, Tensor]  # by layer and name: "3.keys", "3.conv_states.0"


def can_crop(cache: Any) -> bool:
    """Whether a snapshot also tells of each shorter beginning of its text."""
    return all(
        type(layer) is DynamicLayer or isinstance(layer, DummyLayer) for layer in cache.layers
    )


def take(cache: Any, row: int, length: int) -> Snapshot:
    """Copy the last `length` columns of a row."""
    copies: dict[str, Tensor] = {}
    for index, layer in enumerate(cache.layers):
        for name in ("keys", "values"):
            tensor = getattr(layer, name, None)
            if isinstance(tensor, Tensor):
                kept = min(length, tensor.shape[2])
                copies[f"{index}.{name}"] = tensor[row, :, tensor.shape[2] - kept :].clone()
        for name in ("conv_states", "recurrent_states"):
            for state_index, state in (getattr(layer, name, None) or {}).items():
                if state is not None:
                    copies[f"{index}.{name}.{state_index}"] = state[row].clone()
    return copies


def crop(snapshot: Snapshot, length: int) -> Snapshot:
    """The first `length` tokens, as a view; only for caches that `can_crop`."""
    return {name: tensor[:, :length] for name, tensor in snapshot.items()}


def restore(cache: Any, snapshot: Snapshot, length: int) -> Any:
    """Put `length` tokens into an empty cache of the same model."""
    for index, layer in enumerate(cache.layers):
        keys = snapshot.get(f"{index}.keys")
        if keys is not None:
            if hasattr(layer, "cumulative_length"):  # a window has forgotten the first ones
                layer.cumulative_length = length - keys.shape[1]
            layer.update(keys[None], snapshot[f"{index}.values"][None])
        for state_index in range(getattr(layer, "number_of_states", 0)):
            conv = snapshot.get(f"{index}.conv_states.{state_index}")
            if conv is not None:
                layer.update_conv_state(conv[None], state_index)
            state = snapshot.get(f"{index}.recurrent_states.{state_index}")
            if state is not None:
                layer.update_recurrent_state(state[None], state_index)
            layer.has_previous_state[state_index] = True
    return cache


def size(snapshot: Snapshot) -> int:
    """Bytes that it occupies."""
    return sum(tensor.nbytes for tensor in snapshot.values())
