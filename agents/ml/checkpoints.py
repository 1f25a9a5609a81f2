"""Files that are there whole or not at all, and load without running code."""

import os
import pickle
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch

from agents.ml.errors import CheckpointError
from agents.ml.plain_files import open_plain

# Not torch's own words, which advise to load it with weights_only=False.
_REFUSED = "it holds more than tensors and plain values, which could run code"


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a file that appears under `path` only once it is safe on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names inside `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values."""
    write_atomically(path, lambda file: torch.save(state, file))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU; pickled code is refused unexecuted.

    Raises:
        CheckpointError: missing, damaged, or holding more than tensors and plain values.
    """
    try:
        with open_plain(path) as file:
            with zipfile.ZipFile(file) as archive:  # torch does not check the sums of its archive
                damaged = archive.testzip()
            if damaged is not None:
                raise CheckpointError(f"{damaged} in it is damaged", where=str(path))
            file.seek(0)
            state = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        text = _REFUSED if isinstance(error, pickle.UnpicklingError) else _first_line(error)
        raise CheckpointError(f"cannot be loaded: {text}", where=str(path)) from error
    if not isinstance(state, dict):
        raise CheckpointError("holds no training state", where=str(path))
    return state


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
