"""The keys and values of all answers that are decoded together, one row each.

All rows end in the same column: a row that is shorter than the others begins further right. So
each step writes one column, distances between columns are distances between tokens (which is all
that sliding windows and position biases look at), and what transformers does for a batch that is
padded on the left is right for it. The first columns are given up when the rows that reached into
them have left; storage grows by an eighth and is freed with the last row.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor
from transformers.cache_utils import Cache

from agents.llm.engines.capacity import column_capacity, power_of_two
from agents.llm.engines.pool_layers import (
    KeyValueRows,
    Span,
    Store,
    can_hold,
    pool_layer,
    stores,
)


class Pool:
    """Rows of a batch that come and go.

    Args:
        template: a cache with the same layers, after it has read something; None for no rows.

    Attributes:
        cache: what a forward takes; it sees the rows of the last `look_at`.
        starts: in which column each row begins. Columns are counted from where the first row ended,
            so that they may be negative.
    """

    def __init__(self, template: Cache | None) -> None:
        self._span = Span()
        layers = [pool_layer(layer, self._span) for layer in (template.layers if template else ())]
        self._stores: list[tuple[int, Store]] = [
            (index, store) for index, layer in enumerate(layers) for store in stores(layer)
        ]
        self.cache = Cache(layers=layers)
        self.starts: list[int] = []

    @staticmethod
    def can_hold(cache: Cache) -> bool:
        """Whether all layers of `cache` are of kinds whose rows can be decoded together."""
        return bool(cache.layers) and all(can_hold(layer) for layer in cache.layers)

    @property
    def rows(self) -> int:
        """How many there are; they are the first ones."""
        return len(self.starts)

    @property
    def begin(self) -> int:
        """The first column in use."""
        return self._span.begin

    @property
    def end(self) -> int:
        """The column after the newest token of each row."""
        return self._span.end

    @property
    def has_columns(self) -> bool:
        """Whether there is any layer with keys and values."""
        return any(isinstance(store, KeyValueRows) for _, store in self._stores)

    @property
    def nbytes(self) -> int:
        return sum(store.nbytes for _, store in self._stores)

    def join(self, cache: Cache, rows: Sequence[tuple[int, int]]) -> None:
        """Add rows of `cache`: by number, with how many of its last columns count."""
        self._make_room(self.rows + len(rows), max(length for _, length in rows))
        for source_row, length in rows:
            row, start = self.rows, self.end - length
            for index, store in self._stores:
                store.put(row, start, cache.layers[index], source_row)
            self.starts.append(start)

    def leave(self, row: int) -> None:
        """Drop a row; the last one takes its number."""
        last = self.rows - 1
        if row != last:
            for _, store in self._stores:
                store.move(last, row)
            self.starts[row] = self.starts[last]
        self.starts.pop()
        if self.starts:
            self._span.begin = min(self.starts)
        else:
            self._span.begin = self._span.end = 0
            for _, store in self._stores:
                store.free()

    def extract(self, row: int, cache: Cache) -> None:
        """Copy a row into an empty cache of the same kind."""
        for index, store in self._stores:
            store.extract(row, self.starts[row], cache.layers[index])

    def make_room(self) -> None:
        """See to it that one more column can be written."""
        self._make_room(self.rows, self.end - self.begin)

    def look_at(self, first: int, after: int) -> None:
        """Let `cache` be the rows from `first` on, before `after`."""
        self._span.first_row, self._span.after_row = first, after
        for _, store in self._stores:
            store.look()

    def keep(self) -> None:
        """Keep what the forward has made of the rows that it looked at."""
        for _, store in self._stores:
            store.keep()

    def advance(self) -> None:
        """Count the column that has been written as read."""
        self._span.end += 1

    def _make_room(self, rows: int, columns: int) -> None:
        """See to it that so many rows fit, that one may have so many columns, and one more."""
        begin = min(self.begin, self.end - columns)
        for _, store in self._stores:  # each by itself is whole, should one find no memory
            store.fit(rows, self.rows, begin)
        self._span.begin = begin


class CacheSizes:
    """How much memory the caches of a model need, learnt from one that has read something."""

    def __init__(self, template: Any) -> None:
        self._row = self._token = 0
        for layer in template.layers if template else ():
            keys = getattr(layer, "keys", None)
            tokens = [layer.keys, layer.values] if isinstance(keys, Tensor) else []
            self._token += sum(t[:, :, :1].nbytes for t in tokens)
            self._row += sum(t.nbytes for t in _tensors(layer)) - sum(t.nbytes for t in tokens)

    def bytes_for(self, rows: int, columns: int) -> int:
        """What a pool would occupy, capacities included."""
        columns = column_capacity(columns)
        return power_of_two(rows) * (self._row + columns * self._token)


def cache_bytes(cache: Any) -> int:
    """What a cache of one or several rows occupies."""
    return sum(t.nbytes for layer in cache.layers for t in _tensors(layer))


def _tensors(layer: Any) -> Iterator[Tensor]:
    for name in ("keys", "values", "conv_states", "recurrent_states"):
        held = getattr(layer, name, None)
        for tensor in held.values() if isinstance(held, dict) else (held,):
            if isinstance(tensor, Tensor):
                yield tensor
