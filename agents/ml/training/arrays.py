"""Tensors as plain files of numbers, for processes that do not trust each other."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.ml.errors import ScoringError
from agents.ml.plain_files import open_plain

_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
    )
}


def write_array(path: Path, batches: Iterable[Tensor]) -> dict[str, Any]:
    """Write batches one after the other; return what `map_array` needs to have them as one."""
    rows, last = 0, torch.empty(0)
    with path.open("wb") as file:
        for batch in batches:
            file.write(batch.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
            rows, last = rows + len(batch), batch
    dtype = str(last.dtype).removeprefix("torch.")
    return {"path": str(path), "dtype": dtype, "shape": [rows, *last.shape[1:]]}


def map_array(array: dict[str, Any]) -> Tensor:
    """Return the tensor in a file, read as it is needed; changes to it stay in memory."""
    dtype, shape = _DTYPES[array["dtype"]], [int(size) for size in array["shape"]]
    size = int(np.prod(shape))
    return torch.from_file(str(array["path"]), size=size, dtype=dtype).reshape(shape)


def read_foreign(array: dict[str, Any], at_once: int) -> Iterator[Tensor]:
    """Yield the rows of a file that somebody else wrote, `at_once` of them at a time.

    Raises:
        ScoringError: it is no plain file of exactly this size.
    """
    dtype, (rows, *shape) = _DTYPES[array["dtype"]], array["shape"]
    row_bytes = dtype.itemsize * int(np.prod(shape))
    try:
        opened = open_plain(Path(array["path"]), follow=False)
    except OSError as error:
        raise ScoringError(f"what was to be scored cannot be read: {error}") from error
    with opened as file:
        size = os.fstat(file.fileno()).st_size
        if size != rows * row_bytes:
            raise ScoringError(
                f"what was to be scored has {size:,} bytes; {rows:,} samples have "
                f"{rows * row_bytes:,}"
            )
        for start in range(0, rows, at_once):
            count = min(at_once, rows - start)
            data = bytearray(file.read(count * row_bytes))
            yield torch.frombuffer(data, dtype=dtype).reshape(count, *shape)
