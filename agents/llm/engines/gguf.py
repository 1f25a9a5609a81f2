"""What a GGUF file says about itself: its metadata and shapes, read without reading the weights.

Source: docs/gguf.md of the ggml project.
"""

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agents.llm.engines.errors import ModelDamagedError, ModelNotFoundError

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_STRING, _ARRAY = 8, 9
_NUMBERS = dict(enumerate(("B", "b", "H", "h", "I", "i", "f", "?"))) | {10: "Q", 11: "q", 12: "d"}
_MAX_DEPTH = 4


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
        return reader.shapes()


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

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Those of all tensors; they come after the metadata."""
        self._check(self._tensors)
        return dict(self._shape() for _ in range(self._tensors))

    def _shape(self) -> tuple[str, tuple[int, ...]]:
        name = self._bytes().decode(errors="replace")
        (dimensions,) = self._unpack("<I")
        self._check(dimensions)
        shape = self._unpack(f"<{dimensions}Q")
        self._unpack("<IQ")  # its type, and where it is
        return name, shape

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
