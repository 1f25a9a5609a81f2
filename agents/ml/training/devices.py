"""Where a run computes."""

import re

import torch

from agents.ml.errors import ConfigError

_INDEX = re.compile("0|[1-9][0-9]{0,2}")


def resolve_device(name: str | None, warnings: list[str]) -> torch.device:
    """Return the device called `cuda`, `cuda:1`, `cpu` or `auto` (None means auto).

    CUDA that is asked for and absent becomes the CPU, with a sentence added to `warnings`.

    Raises:
        ConfigError: no such kind of device.
    """
    if name is None or name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, colon, index = name.partition(":")
    if kind not in ("cuda", "cpu") or (colon and not _INDEX.fullmatch(index)):
        raise ConfigError(
            f"unknown device {name!r}; known are auto, cpu, cuda, cuda:0", where="device"
        )
    if kind == "cuda" and not torch.cuda.is_available():
        warnings.append(f"device {name!r} was asked for but there is no CUDA; ran on the CPU")
        return torch.device("cpu")
    if index and kind == "cuda" and int(index) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise ConfigError(
            f"there is no {name}: this machine has {count} CUDA devices", where="device"
        )
    return torch.device(name if kind == "cuda" else "cpu")
