"""What a GGUF file says about itself: its metadata and shapes, read without reading the weights.

Source: docs/gguf.md of the ggml project.
"""

import math
import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from agents.llm.engines.errors import ModelDamagedError, ModelNotFoundError

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_STRING, _ARRAY = 8, 9
_NUMBERS = dict(enumerate(("B", "b", "H", "h", "I", "i", "f", "?"))) | {10: "Q", 11: "q", 12: "d"}
_MAX_DEPTH = 4
_ALIGNMENT = 32
# How many values of a kind are stored together, and in how many bytes, as ggml.c has it.
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 30: (1, 2),
    2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36), 20: (32, 18),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 29: (256, 56), 34: (256, 54), 35: (256, 66),
}  # fmt: skip


def read_metadata(path: Path) -> dict[str, Any]:
    """The metadata of a GGUF file by key. Texts in arrays stay bytes: tokens need not be UTF-8.

    Raises:
        ModelNotFoundError: there is no such file.
        ModelDamagedError: it is no GGUF file, or it breaks off.
    """
    with _reader(path) as reader:
        return reader.metadata()


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors in a GGUF file by name.

    Raises:
        ModelNotFoundError: there is no such file.
        ModelDamagedError: it is no GGUF file, or it breaks off.
    """
    with _reader(path) as reader:
        reader.metadata()
        return {tensor.name: tensor.shape for tensor in reader.tensors()}


def check_whole(path: Path) -> None:
    """See that the weights are there to the last one, as after a download; they are not read.

    Raises:
        ModelNotFoundError: there is no such file.
        ModelDamagedError: it is no GGUF file, or it breaks off.
    """
    with _reader(path) as reader:
        promised = reader.end_of_weights(reader.metadata().get("general.alignment", _ALIGNMENT))
    size = path.stat().st_size
    if promised > size:
        raise ModelDamagedError(
            f"{path} breaks off: it promises {promised} bytes and has {size}; fetch it again"
        )


@contextmanager
def _reader(path: Path) -> Iterator["_Reader"]:
    try:
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise ModelDamagedError(f"{path} is no GGUF file; give one, as `smollm2` or a path")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                yield _Reader(data, len(_MAGIC))
    except (struct.error, _BrokenError) as error:
        raise ModelDamagedError(
            f"{path} is damaged or breaks off ({error}); fetch it again"
        ) from error
    except FileNotFoundError as error:
        raise ModelNotFoundError(f"there is no file {path}") from error
    except OSError as error:
        raise ModelDamagedError(f"{path} cannot be read: {error}; give a GGUF file") from error


class _BrokenError(Exception):
    """What was read makes no sense."""


class _Tensor(NamedTuple):
    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


class _Reader:
    def __init__(self, data: mmap.mmap, at: int) -> None:
        self._data = data
        self._at = at
        self._tensors = 0

    def metadata(self) -> dict[str, Any]:
        version, self._tensors, count = self._unpack("<IQQ")
        if version not in _VERSIONS:
            raise _BrokenError(f"version {version} of the format is not one of {_VERSIONS}")
        self._check(count)
        return dict(self._pair() for _ in range(count))

    def tensors(self) -> "list[_Tensor]":
        """What is told of them behind the metadata."""
        self._check(self._tensors)
        return [self._tensor() for _ in range(self._tensors)]

    def end_of_weights(self, alignment: int) -> int:
        """Where the file may end at the earliest, by what follows the metadata.

        A kind of weights that is not known counts as nothing.
        """
        if not isinstance(alignment, int) or alignment < 1:
            raise _BrokenError(f"weights cannot be aligned to {alignment!r} bytes")
        ends = [0]
        for tensor in self.tensors():
            values, size = _BLOCKS.get(tensor.kind, (1, 0))
            ends.append(tensor.offset + math.prod(tensor.shape) // values * size)
        return -(-self._at // alignment) * alignment + max(ends)

    def _tensor(self) -> "_Tensor":
        name = self._bytes().decode(errors="replace")
        (dimensions,) = self._unpack("<I")
        self._check(dimensions)
        shape = self._unpack(f"<{dimensions}Q")
        return _Tensor(name, shape, *self._unpack("<IQ"))

    def _pair(self) -> tuple[str, Any]:
        key = self._bytes().decode(errors="replace")
        (kind,) = self._unpack("<I")
        value = self._value(kind, 0)
        return key, value.decode(errors="replace") if isinstance(value, bytes) else value

    def _value(self, kind: int, depth: int) -> Any:
        if kind in _NUMBERS:
            return self._unpack("<" + _NUMBERS[kind])[0]
        if kind == _STRING:
            return self._bytes()
        if kind != _ARRAY or depth > _MAX_DEPTH:
            raise _BrokenError(f"there is no type {kind}")
        kind, count = self._unpack("<IQ")
        self._check(count)
        if kind in _NUMBERS:
            return self._unpack(f"<{count}{_NUMBERS[kind]}")
        return [self._value(kind, depth + 1) for _ in range(count)]

    def _unpack(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return found

    def _bytes(self) -> bytes:
        (length,) = self._unpack("<Q")
        self._check(length)
        self._at += length
        return self._data[self._at - length : self._at]

    def _check(self, count: int) -> None:
        """No text and no array has more parts than the file has bytes left."""
        left = len(self._data) - self._at
        if count > left:
            raise _BrokenError(f"it promises {count} where {left} bytes are left")
