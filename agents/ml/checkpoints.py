"""States of trainings in files that load without running code."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from agents.ml.atomic_files import atomic_file
from agents.ml.errors import CheckpointError
from agents.ml.plain_files import open_plain

# Not torch's own words, which advise to load it with weights_only=False.
_REFUSED = "it holds more than tensors and plain values, which could run code"


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values."""
    with atomic_file(path) as file:
        torch.save(state, file)


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
