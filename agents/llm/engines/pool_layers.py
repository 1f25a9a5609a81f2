"""One layer of a pool: keys and values by row and column, states of recurrent layers by row.

Suffixes: H heads, C columns, D size of a head.
"""

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

from agents.llm.engines.capacity import column_capacity, power_of_two


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
    """Keys and values. To a forward it is a cache of `end - begin` tokens.

    A layer with a window stores no more than the window's columns, and some room.
    """

    def __init__(self, span: Span, like: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._keys: Tensor
        self._values: Tensor
        self._base: int  # the column that is stored first
        self._span = span
        self._window: int | None = getattr(like, "sliding_window", None)
        self._shapes = [(t.shape[1], t.shape[3]) for t in (like.keys, like.values)]
        self._like = {"dtype": like.keys.dtype, "device": like.keys.device}
        self.is_sliding = self._window is not None
        self.free()

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing to do: `fit` has made the storage."""

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        assert key_states.shape[2] == 1
        rows, columns = self._span.rows, self._columns(self._first_column(), self._span.end + 1)
        self._keys[rows, :, columns.stop - 1] = key_states[:, :, 0]
        self._values[rows, :, columns.stop - 1] = value_states[:, :, 0]
        return self._keys[rows, :, columns], self._values[rows, :, columns]

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
        first, end = self._first_column(), self._span.end
        kept = min(source.keys.shape[2], end - start, end - first)
        before, columns = self._columns(first, end - kept), self._columns(end - kept, end)
        for mine, other in ((self._keys, source.keys), (self._values, source.values)):
            mine[row, :, before] = 0
            mine[row, :, columns] = other[source_row, :, other.shape[2] - kept :]

    def extract(self, row: int, start: int, target: Any) -> None:
        """Copy a row into an empty layer of a cache."""
        end = self._span.end
        if self._window is not None:
            target.cumulative_length = max(0, end - self._window + 1 - start)
            start += target.cumulative_length
        columns = self._columns(start, end)
        keys, values = (t[row : row + 1, :, columns].clone() for t in (self._keys, self._values))
        target.update(keys, values)

    def move(self, source: int, target: int) -> None:
        columns = self._columns(self._first_column(), self._span.end)
        for mine in (self._keys, self._values):
            mine[target, :, columns] = mine[source, :, columns]

    def fit(self, rows: int, live_rows: int, begin: int) -> None:
        """Make room for so many rows, and for the columns from `begin` on and one more.

        Nothing but zeros may be left in front of a row: what is masked is multiplied by 0, which
        keeps NaN.
        """
        first, old_first, end = self._first_column(begin), self._first_column(), self._span.end
        row_capacity, _, columns, _ = self._keys.shape
        if rows <= row_capacity and first >= self._base and end - self._base < columns:
            if first < old_first:
                added = self._columns(first, old_first)
                self._keys[:live_rows, :, added] = self._values[:live_rows, :, added] = 0
            return
        self._keys, self._values = (
            self._moved(tensor, rows, live_rows, first) for tensor in (self._keys, self._values)
        )
        self._base = first

    def _moved(self, old: Tensor, rows: int, live_rows: int, first: int) -> Tensor:
        """What is stored in larger storage, which begins with the column `first`."""
        heads, size = self._shapes[0 if old is self._keys else 1]
        old_first, end = self._first_column(), self._span.end
        shape = (power_of_two(rows), heads, column_capacity(end - first), size)
        new = torch.empty(shape, **self._like)
        if live_rows:
            old_first = max(old_first, first)
            new[:live_rows, :, : old_first - first] = 0
            kept = old[:live_rows, :, self._columns(old_first, end)]
            new[:live_rows, :, old_first - first : end - first] = kept
        return new

    def free(self) -> None:
        self._keys, self._values = (torch.empty((0, 0, 0, 0), **self._like) for _ in range(2))
        self._base = 0

    def look(self) -> None:
        """Nothing to prepare: `update` looks at the span."""

    def keep(self) -> None:
        """Nothing to keep: a column that is written again is the same."""

    def _first_column(self, begin: int | None = None) -> int:
        """The first column that a forward still looks at."""
        begin = self._span.begin if begin is None else begin
        return begin if self._window is None else max(begin, self._span.end + 1 - self._window)

    def _columns(self, first: int, after: int) -> slice:
        return slice(first - self._base, after - self._base)


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

    def fit(self, rows: int, live_rows: int, begin: int) -> None:  # noqa: ARG002  likewise
        for key, stored in self._stored.items():
            if rows > stored.shape[0]:
                new = stored.new_empty((power_of_two(rows), *stored.shape[1:]))
                new[:live_rows] = stored[:live_rows]
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
        """Nothing to do: `fit` has made the storage."""

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
