"""Dataset files that cannot be trusted: bounded reads, sizes first, no code from pickles."""

import gzip
import io
import pickle
import stat
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from agents.ml.errors import DatasetError

MAX_FILE_BYTES = 2 * 1024**3
_PIECE_BYTES = 4 * 1024**2

# What numpy arrays, pickled by Python 2 or 3, name: functions that build arrays and nothing else.
_ARRAY_GLOBALS = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}
_IDX_UBYTE = 0x08
_MOST_RANK = 8
# Damaged; packed in an unknown way or encrypted (RuntimeError); of a size that is a lie.
_NO_ARRAYS = (
    OSError, ValueError, TypeError, EOFError, AttributeError, RuntimeError, MemoryError, zlib.error,
    zipfile.BadZipFile,
)  # fmt: skip
_GZIP = b"\x1f\x8b"
_LOOKED_AT = 4096


def find_together(folders: Iterable[Path], roles: Iterable[Iterable[str]]) -> list[Path] | None:
    """Return a file for each role, all from the first folder that has them.

    A role is the names that one file may have, the first that is there counts.
    """
    wanted = [list(names) for names in roles]
    for folder in folders:
        found = [[folder / name for name in names if (folder / name).is_file()] for names in wanted]
        if all(found):
            return [paths[0] for paths in found]
    return None


def require_file(path: Path) -> None:
    """Refuse what is no regular file: a FIFO would keep its reader waiting for ever.

    Raises:
        DatasetError: there is none of that name, or none that a job may see.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or str(error)
        raise DatasetError(
            f"cannot be read: {problem.lower()}; give a file of the workspace, or of a folder that "
            "jobs may read by their `read_only`",
            where=str(path),
        ) from error
    if not stat.S_ISREG(mode):
        raise DatasetError("is no regular file", where=str(path))


def what_it_is(path: Path) -> str:
    """Say what a file that should be UTF-8 text seems to be, and what to do about it."""
    with path.open("rb") as file:
        start = file.read(_LOOKED_AT)
    if start.startswith(_GZIP):
        return "it is packed by gzip; unpack it"
    if start.startswith(b"PK"):
        return "it is a zip file or a spreadsheet; unpack it, or save the sheet as CSV"
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in start:
        return "it seems to be UTF-16, or no text at all; save it as UTF-8"
    return "it is no UTF-8 text; save it as UTF-8"


def read_idx(path: Path) -> Tensor:
    """Read an idx file of unsigned bytes, gzipped or not.

    Raises:
        DatasetError: not such a file, or longer or shorter than its header says.

    Source: LeCun et al., "The MNIST database", file formats.
    """
    data = _read(path)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] != _IDX_UBYTE:  # noqa: PLR2004  # the magic
        raise DatasetError("not an idx file of unsigned bytes", where=str(path))
    rank = data[3]
    header = 4 + 4 * rank
    shape = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(rank)]
    size = 1
    for dim in shape:
        size *= dim
    if not 1 <= rank <= _MOST_RANK or size == 0:
        raise DatasetError(f"holds no arrays of numbers: its rank is {rank}", where=str(path))
    if len(data) != header + size:
        raise DatasetError(
            f"its header promises {size} bytes of shape {shape}, it holds {len(data) - header}",
            where=str(path),
        )
    return torch.frombuffer(data[header:], dtype=torch.uint8).reshape(shape)


def read_npz(path: Path) -> dict[str, Tensor]:
    """Read the arrays of an .npz file; pickled objects are refused.

    Raises:
        DatasetError: damaged, larger than `MAX_FILE_BYTES` unpacked, or with objects in it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > MAX_FILE_BYTES:
            raise DatasetError(f"unpacks to {unpacked} bytes", where=str(path))
        with np.load(path, allow_pickle=False) as arrays:
            return {name: _native(arrays[name]) for name in arrays.files}
    except _NO_ARRAYS as error:
        raise DatasetError(f"cannot be read as npz: {error}", where=str(path)) from error


def read_array_pickle(path: Path) -> dict[bytes, Any]:
    """Unpickle a dictionary of arrays, lists and numbers; anything else is refused unexecuted.

    Raises:
        DatasetError: not such a pickle.
    """
    try:
        value = _ArrayUnpickler(io.BytesIO(_read(path)), encoding="bytes").load()
    except DatasetError:
        raise
    except Exception as error:  # a damaged pickle may raise anything
        raise DatasetError(
            f"cannot be read as a pickle of arrays: {type(error).__name__} {error}", where=str(path)
        ) from error
    if not isinstance(value, dict):
        raise DatasetError(f"holds a {type(value).__name__}, not a dictionary", where=str(path))
    return value


def _native(array: npt.NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")))


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ARRAY_GLOBALS:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed")
        return super().find_class(module, name)


def _opened(path: Path) -> BinaryIO:
    """The file, unpacked if it is packed whatever its name says: browsers unpack and rename."""
    with path.open("rb") as file:
        is_packed = file.read(2) == _GZIP
    return cast(BinaryIO, gzip.open(path)) if is_packed else path.open("rb")


def _read(path: Path) -> bytearray:
    data = bytearray()
    try:
        with _opened(path) as file:
            # In pieces: a read of the whole limit would have that much memory set aside first.
            while piece := file.read(_PIECE_BYTES):
                data += piece
                if len(data) > MAX_FILE_BYTES:
                    raise DatasetError(f"is larger than {MAX_FILE_BYTES} bytes", where=str(path))
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"cannot be read: {error}", where=str(path)) from error
    return data
