"""The keys and values of all answers that are decoded together, one row each.

All rows end in the same column: a row that is shorter than the others begins further right. So
each step writes one column, distances between columns are distances between tokens (which is all
that sliding windows and position biases look at), and what transformers does for a batch that is
padded on the left is right for it. The first columns are given up when the rows that reached into
them have left; storage grows by doubling and is freed with the last row.

Suffixes: R rows, H heads, C columns, D size of a head.
"""

# ruff: noqa: N803, N806  shape suffixes in names

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import (
    Cache,
    CacheLayerMixin,
    DummyLayer,
    DynamicLayer,
    DynamicSlidingWindowLayer,
)

_MIN_COLUMNS = 64


class Pool:
    """Rows of a batch that come and go.

    Args:
        template: a cache with the same layers, after it has read something; None for no rows.

    Attributes:
        cache: what a forward takes; it sees the rows of the last `look_at`.
        rows: how many there are; they are the first ones.
        begin, end: the columns in use. Each row's newest token is in the last one.
        starts: in which column each row begins.
    """

    def __init__(self, template: Cache | None) -> None:
        self._span = _Span()
        layers = template.layers if template else []
        self._layers = [_pool_layer(layer, self._span) for layer in layers]
        self._stored = [layer for layer in self._layers if isinstance(layer, PoolLayer)]
        self.cache = Cache(layers=self._layers)
        self.starts: list[int] = []
        self._row_capacity = self._column_capacity = 0

    @staticmethod
    def can_hold(cache: Cache) -> bool:
        """Whether all layers of `cache` are of kinds whose rows can be decoded together."""
        kinds = {type(layer) for layer in cache.layers} - {DummyLayer}
        return bool(kinds) and kinds <= {DynamicLayer, DynamicSlidingWindowLayer}

    @property
    def rows(self) -> int:
        return len(self.starts)

    @property
    def begin(self) -> int:
        return self._span.begin

    @property
    def end(self) -> int:
        return self._span.end

    @property
    def nbytes(self) -> int:
        return sum(layer.nbytes for layer in self._stored)

    def length(self, row: int) -> int:
        """How many tokens of a row have been read."""
        return self.end - self.starts[row]

    def join(self, cache: Cache, rows: Sequence[tuple[int, int]]) -> None:
        """Add rows of `cache`: by number, with how many of its last columns count."""
        self._make_room(self.rows + len(rows), max(length for _, length in rows))
        for source_row, length in rows:
            row, start = self.rows, self.end - length
            for layer, source in self._pairs(cache):
                layer.put(row, start, source.keys[source_row], source.values[source_row])
            self.starts.append(start)

    def leave(self, row: int) -> None:
        """Drop a row; the last one takes its number."""
        last = self.rows - 1
        if row != last:
            for layer in self._stored:
                layer.move(last, row)
            self.starts[row] = self.starts[last]
        self.starts.pop()
        if not self.starts:
            self._free()
        else:
            self._span.begin = min(self.starts)

    def extract(self, row: int, cache: Cache) -> None:
        """Copy a row into an empty cache of the same kind."""
        for layer, target in self._pairs(cache):
            keys_1HCD, values_1HCD = layer.row(row, self.starts[row])
            target.update(keys_1HCD.clone(), values_1HCD.clone())
            if isinstance(target, DynamicSlidingWindowLayer):
                target.cumulative_length = self.length(row)

    def make_room(self) -> None:
        """See to it that one more column can be written."""
        self._make_room(self.rows, self.end - self.begin)

    def look_at(self, first: int, after: int) -> None:
        """Let `cache` be the rows from `first` on, before `after`."""
        self._span.first_row, self._span.after_row = first, after

    def advance(self) -> None:
        """Count the column that has been written as read."""
        self._span.end += 1

    def _pairs(self, cache: Cache) -> "list[tuple[PoolLayer, Any]]":
        pairs = zip(self._layers, cache.layers, strict=True)
        return [(mine, other) for mine, other in pairs if isinstance(mine, PoolLayer)]

    def _make_room(self, rows: int, columns: int) -> None:
        """See to it that so many rows fit, that one may have so many columns, and one more."""
        span = self._span
        if not self.starts:
            span.begin = span.end = 0
        width = max(columns, span.end - span.begin)  # of the content, when there is room
        has_rows = rows <= self._row_capacity
        if has_rows and span.end < self._column_capacity and columns <= span.end:
            if span.end - columns < span.begin:
                for layer in self._stored:
                    layer.clear(span.end - columns, span.begin)
                span.begin = span.end - columns
            return
        row_capacity = self._row_capacity if has_rows else _power_of_two(rows)
        column_capacity = max(_MIN_COLUMNS, _power_of_two(width + 1 + width // 8))
        end = width
        for layer in self._stored:
            layer.resize(row_capacity, column_capacity, rows=self.rows, end=end)
        shift = end - span.end
        self.starts = [start + shift for start in self.starts]
        span.begin, span.end = 0, end
        self._row_capacity, self._column_capacity = row_capacity, column_capacity

    def _free(self) -> None:
        self._row_capacity = self._column_capacity = 0
        self._span.begin = self._span.end = 0
        for layer in self._stored:
            layer.free()


class _Span:
    """What all layers look at."""

    def __init__(self) -> None:
        self.first_row = self.after_row = 0
        self.begin = self.end = 0


class PoolLayer(CacheLayerMixin):
    """One layer of a pool. To a forward it is a cache of `end - begin` tokens."""

    def __init__(self, span: _Span, like: DynamicLayer, window: int | None) -> None:
        super().__init__()
        self._span = span
        self._window = window
        self._shapes = [(t.shape[1], t.shape[3]) for t in (like.keys, like.values)]
        self._like = {"dtype": like.keys.dtype, "device": like.keys.device}
        self.is_sliding = window is not None
        self.free()

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing to do: `resize` has made the storage."""

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        assert key_states.shape[2] == 1
        span = self._span
        rows = slice(span.first_row, span.after_row)
        columns = slice(self._first_column(), span.end + 1)
        self._keys[rows, :, span.end] = key_states[:, :, 0]
        self._values[rows, :, span.end] = value_states[:, :, 0]
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
        return self._keys.nbytes + self._values.nbytes

    def put(self, row: int, start: int, keys_HCD: Tensor, values_HCD: Tensor) -> None:
        """Fill a row that begins at `start`; a window may have kept its last tokens only."""
        end = self._span.end
        kept = min(keys_HCD.shape[1], end - start)
        for mine, other_HCD in ((self._keys, keys_HCD), (self._values, values_HCD)):
            mine[row, :, self._span.begin : end - kept] = 0
            mine[row, :, end - kept : end] = other_HCD[:, other_HCD.shape[1] - kept :]

    def row(self, row: int, start: int) -> tuple[Tensor, Tensor]:
        """The tokens of a row that later ones still look at."""
        end = self._span.end
        if self._window is not None:
            start = max(start, end - self._window + 1)
        return self._keys[row : row + 1, :, start:end], self._values[row : row + 1, :, start:end]

    def move(self, source: int, target: int) -> None:
        columns = slice(self._span.begin, self._span.end)
        for mine in (self._keys, self._values):
            mine[target, :, columns] = mine[source, :, columns]

    def clear(self, begin: int, end: int) -> None:
        """Nothing may be left there: masked scores of 0 times a number that is none are none."""
        self._keys[:, :, begin:end] = 0
        self._values[:, :, begin:end] = 0

    def resize(self, row_capacity: int, column_capacity: int, *, rows: int, end: int) -> None:
        """Move the first rows to other storage, where their columns end at `end`."""
        begin, old = self._span.begin, self._span.end
        moved = []
        for (heads, size), mine in zip(self._shapes, (self._keys, self._values), strict=True):
            new = torch.zeros((row_capacity, heads, column_capacity, size), **self._like)
            if rows:
                new[:rows, :, end - (old - begin) : end] = mine[:rows, :, begin:old]
            moved.append(new)
        self._keys, self._values = moved

    def free(self) -> None:
        self._keys = self._values = torch.empty(0, **self._like)

    def _first_column(self) -> int:
        span = self._span
        if self._window is None:
            return span.begin
        return max(span.begin, span.end + 1 - self._window)


def _pool_layer(layer: Any, span: _Span) -> Any:
    if isinstance(layer, DummyLayer):
        return layer
    return PoolLayer(span, layer, getattr(layer, "sliding_window", None))


def _power_of_two(number: int) -> int:
    return int(1 << (number - 1).bit_length())


def cache_bytes(cache: Any) -> int:
    """What a cache of one or several rows occupies."""
    return sum(t.nbytes for layer in cache.layers for t in _tensors(layer))


def _tensors(layer: Any) -> Iterator[Tensor]:
    for name in ("keys", "values", "conv_states", "recurrent_states"):
        held = getattr(layer, name, None)
        for tensor in held.values() if isinstance(held, dict) else (held,):
            if isinstance(tensor, Tensor):
                yield tensor
