"""Snapshots of beginnings in a folder: one file each, named by all that they depend on."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from agents.llm.engines.log import get_logger
from agents.llm.engines.prefixes import Ids
from agents.llm.engines.snapshot import Snapshot
from agents.ml.atomic_files import atomic_file

DEFAULT_FOLDER_BYTES = 4 << 30
_IDS = "token_ids"
_SAMPLED = 64  # numbers of each weight that go into the model's identity


class FolderOfPrefixes:
    """Keeps `PrefixFiles`' promises in a folder that several processes may share.

    Args:
        folder: made when it does not exist.
        identity: of the model; snapshots of others are left alone.
        device: where the model is.
        max_bytes: of all files; those not used for longest go first.
    """

    def __init__(
        self,
        folder: Path,
        identity: str,
        device: torch.device,
        max_bytes: int = DEFAULT_FOLDER_BYTES,
    ) -> None:
        self._folder = folder
        self._identity = identity
        self._device = str(device)
        self._max_bytes = max_bytes
        folder.mkdir(parents=True, exist_ok=True)

    def known(self) -> list[Ids]:
        found = []
        for path, _ in self._by_use(f"{self._identity}-*"):
            tensors = self._read(path, [_IDS])
            if tensors is None:
                continue
            ids = tensors[_IDS].cpu().numpy()
            if path == self._path(ids):
                found.append(ids)
            else:
                self._warn(path, "it holds another text")
        return found

    def load(self, ids: Ids) -> Snapshot | None:
        path = self._path(ids)
        tensors = self._read(path)
        if tensors is not None:
            del tensors[_IDS]
            with suppress(OSError):  # gone meanwhile, or in a folder that may only be read
                os.utime(path)
        return tensors

    def save(self, ids: Ids, taken: Snapshot) -> None:
        path = self._path(ids)
        tensors = {name: tensor.cpu().contiguous() for name, tensor in taken.items()}
        tensors[_IDS] = torch.from_numpy(np.array(ids))
        try:
            with atomic_file(path, is_synced=False) as file:
                save_file(tensors, file.name)
            self._shrink()
        except (OSError, SafetensorError) as error:  # the latter when the disk is full
            self._warn(path, f"it cannot be written: {error}")

    def _path(self, ids: Ids) -> Path:
        digest = hashlib.sha256(np.ascontiguousarray(ids, dtype="<i8").tobytes()).hexdigest()
        return self._folder / f"{self._identity}-{digest[:40]}.safetensors"

    def _read(self, path: Path, names: list[str] | None = None) -> dict[str, torch.Tensor] | None:
        try:
            with safe_open(path, framework="pt", device=self._device) as file:
                return {name: file.get_tensor(name) for name in names or file.keys()}
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError) as error:
            self._warn(path, f"it cannot be read: {error}")
            return None

    def _by_use(self, names: str) -> list[tuple[Path, os.stat_result]]:
        """The files with such names, those not used for longest first."""
        found = []
        for path in self._folder.glob(f"{names}.safetensors"):
            with suppress(FileNotFoundError):  # another process has given it up
                found.append((path, path.stat()))
        return sorted(found, key=lambda each: each[1].st_mtime_ns)

    def _shrink(self) -> None:
        files = self._by_use("*")
        total = sum(stat.st_size for _, stat in files)
        for path, stat in files:
            if total <= self._max_bytes:
                return
            path.unlink(missing_ok=True)
            total -= stat.st_size

    def _warn(self, path: Path, what: str) -> None:
        get_logger().warning("prefix.not_used", file=str(path), reason=what)


def model_identity(model: Any) -> str:
    """A name for all that keys and values depend on besides the text: weights, dtype, code."""
    digest = hashlib.sha256(transformers.__version__.encode())
    digest.update(model.config.to_json_string(use_diff=False).encode())
    for name, weight in model.state_dict().items():
        flat = weight.detach().reshape(-1)
        step = max(1, flat.numel() // _SAMPLED)
        sample = flat[::step].cpu()
        digest.update(f"{name} {tuple(weight.shape)} {weight.dtype}".encode())
        digest.update(sample.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:24]
