"""One layer of a pool: keys and values by row and column, states of recurrent layers by row.

Suffixes: H heads, C columns, D size of a head.
"""

# ruff: noqa: N806  shape suffixes in names

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import (
    CacheLayerMixin,
    DummyLayer,
    DynamicLayer,
    DynamicSlidingWindowLayer,
    LinearAttentionAndFullAttentionLayer,
    LinearAttentionAndSlidingWindowAttentionLayer,
    LinearAttentionLayer,
)


@dataclass
class Span:
    """What all layers look at: the rows of the forward, and the columns in use."""

    first_row: int = 0
    after_row: int = 0
    begin: int = 0
    end: int = 0

    @property
    def rows(self) -> slice:
        return slice(self.first_row, self.after_row)


class KeyValueRows(CacheLayerMixin):  # type: ignore[no-untyped-call]  # its __init_subclass__
    """Keys and values. To a forward it is a cache of `end - begin` tokens."""

    def __init__(self, span: Span, like: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._keys: Tensor
        self._values: Tensor
        self._span = span
        self._window: int | None = getattr(like, "sliding_window", None)
        self._shapes = [(t.shape[1], t.shape[3]) for t in (like.keys, like.values)]
        self._like = {"dtype": like.keys.dtype, "device": like.keys.device}
        self.is_sliding = self._window is not None
        self.free()

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing to do: `resize` has made the storage."""

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        assert key_states.shape[2] == 1
        span = self._span
        columns = slice(self._first_column(), span.end + 1)
        self._keys[span.rows, :, span.end] = key_states[:, :, 0]
        self._values[span.rows, :, span.end] = value_states[:, :, 0]
        return self._keys[span.rows, :, columns], self._values[span.rows, :, columns]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        first = self._first_column()
        return self._span.end + query_length - first, first - self._span.begin

    def get_seq_length(self) -> int:
        return self._span.end - self._span.begin

    def get_max_length(self) -> int:
        return -1 if self._window is None else self._window

    @property
    def nbytes(self) -> int:
        total: int = self._keys.nbytes + self._values.nbytes
        return total

    def put(self, row: int, start: int, source: Any, source_row: int) -> None:
        """Fill a row that begins at `start`; a window may have kept its last tokens only."""
        begin, end = self._span.begin, self._span.end
        for mine, other in ((self._keys, source.keys), (self._values, source.values)):
            other_HCD = other[source_row]
            kept = min(other_HCD.shape[1], end - start)
            mine[row, :, begin : end - kept] = 0
            mine[row, :, end - kept : end] = other_HCD[:, other_HCD.shape[1] - kept :]

    def extract(self, row: int, start: int, target: Any) -> None:
        """Copy a row into an empty layer of a cache."""
        end = self._span.end
        if self._window is not None:
            target.cumulative_length = max(0, end - self._window + 1 - start)
            start += target.cumulative_length
        keys, values = (t[row : row + 1, :, start:end].clone() for t in (self._keys, self._values))
        target.update(keys, values)

    def move(self, source: int, target: int) -> None:
        columns = slice(self._span.begin, self._span.end)
        for mine in (self._keys, self._values):
            mine[target, :, columns] = mine[source, :, columns]

    def clear(self, begin: int, end: int) -> None:
        """Leave no garbage there: what is masked is multiplied by 0, which keeps NaN."""
        self._keys[:, :, begin:end] = 0
        self._values[:, :, begin:end] = 0

    def resize(self, row_capacity: int, column_capacity: int, *, rows: int, end: int) -> None:
        """Move the first rows to other storage, where their columns end at `end`."""
        begin, old = self._span.begin, self._span.end
        moved = []
        for (heads, size), mine in zip(self._shapes, (self._keys, self._values), strict=True):
            new = torch.empty((row_capacity, heads, column_capacity, size), **self._like)
            if rows:
                new[:rows, :, : end - (old - begin)] = 0
                new[:rows, :, end - (old - begin) : end] = mine[:rows, :, begin:old]
            moved.append(new)
        self._keys, self._values = moved

    def free(self) -> None:
        self._keys = self._values = torch.empty(0, **self._like)

    def look(self) -> None:
        """Nothing to prepare: `update` looks at the span."""

    def keep(self) -> None:
        """Nothing to keep: a column that is written again is the same."""

    def _first_column(self) -> int:
        span = self._span
        if self._window is None:
            return span.begin
        return max(span.begin, span.end + 1 - self._window)


class StateRows(LinearAttentionLayer):
    """States of a recurrent or convolutional layer.

    A forward gets a copy, which is kept when it has succeeded: states change in place, and a
    forward that fails is tried again with fewer rows.
    """

    def __init__(self, span: Span, like: Any) -> None:
        LinearAttentionLayer.__init__(self, number_of_states=like.number_of_states)
        self._span = span
        for name in ("is_conv_states_initialized", "is_recurrent_states_initialized"):
            setattr(self, name, dict(getattr(like, name)))
        self.has_previous_state = dict(like.has_previous_state)
        self.conv_kernel_size = dict(like.conv_kernel_size)
        self.dtype, self.device = like.dtype, like.device
        self._empty = {key: state[:0].clone() for key, state in _states(like)}
        self.free()

    @property
    def nbytes(self) -> int:
        return sum(state.nbytes for state in self._stored.values())

    def put(self, row: int, start: int, source: Any, source_row: int) -> None:  # noqa: ARG002  columns are nothing to it
        for key, state in _states(source):
            self._stored[key][row] = state[source_row]

    def extract(self, row: int, start: int, target: Any) -> None:  # noqa: ARG002  likewise
        for (name, index), stored in self._stored.items():
            state = stored[row : row + 1].clone()
            if name == "conv_states":
                target.update_conv_state(state, index)
            else:
                target.update_recurrent_state(state, index)
            target.has_previous_state[index] = True

    def move(self, source: int, target: int) -> None:
        for stored in self._stored.values():
            stored[target] = stored[source]

    def clear(self, begin: int, end: int) -> None:
        """Nothing to do: there are no columns."""

    def resize(self, row_capacity: int, column_capacity: int, *, rows: int, end: int) -> None:  # noqa: ARG002  likewise
        for key, stored in self._stored.items():
            new = stored.new_zeros((row_capacity, *stored.shape[1:]))
            new[:rows] = stored[:rows]
            self._stored[key] = new

    def free(self) -> None:
        self._stored = dict(self._empty)

    def look(self) -> None:
        for (name, index), stored in self._stored.items():
            getattr(self, name)[index] = stored[self._span.rows].clone()

    def keep(self) -> None:
        for (name, index), stored in self._stored.items():
            stored[self._span.rows] = getattr(self, name)[index]
            getattr(self, name)[index] = None


class HybridRows(StateRows, CacheLayerMixin):  # type: ignore[no-untyped-call,override]  # likewise
    """Both in one layer; the pool stores its keys and values apart."""

    is_compileable = False

    def __init__(self, span: Span, like: Any) -> None:
        CacheLayerMixin.__init__(self)  # type: ignore[no-untyped-call]
        StateRows.__init__(self, span, like)
        self.key_values = KeyValueRows(span, like)
        self.is_sliding = self.key_values.is_sliding

    def lazy_initialization(self, *args: Any, **kwargs: Any) -> None:
        """Nothing to do: `resize` has made the storage."""

    def update(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        return self.key_values.update(*args, **kwargs)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.key_values.get_mask_sizes(query_length)

    def get_seq_length(self) -> int:
        return self.key_values.get_seq_length()

    def get_max_length(self) -> int:
        return self.key_values.get_max_length()


Store = KeyValueRows | StateRows

_KINDS: dict[type, type] = {
    DynamicLayer: KeyValueRows,
    DynamicSlidingWindowLayer: KeyValueRows,
    LinearAttentionLayer: StateRows,
    LinearAttentionAndFullAttentionLayer: HybridRows,
    LinearAttentionAndSlidingWindowAttentionLayer: HybridRows,
}


def can_hold(layer: Any) -> bool:
    """Whether rows of such a layer can be decoded together."""
    return isinstance(layer, DummyLayer) or type(layer) in _KINDS


def pool_layer(layer: Any, span: Span) -> Any:
    """The layer of a pool for a layer of a cache that has read something."""
    return layer if isinstance(layer, DummyLayer) else _KINDS[type(layer)](span, layer)


def stores(layer: Any) -> list[Store]:
    """What is to be stored for a layer of a pool."""
    if isinstance(layer, HybridRows):
        return [layer.key_values, layer]
    return [] if isinstance(layer, DummyLayer) else [layer]


def _states(layer: Any) -> Iterator[tuple[tuple[str, int], Tensor]]:
    for name in ("conv_states", "recurrent_states"):
        for index, state in getattr(layer, name).items():
            if state is not None:
                yield (name, index), state
