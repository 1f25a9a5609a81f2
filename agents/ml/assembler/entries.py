"""What a model config says, once read: frozen values that name their place in it."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One module, or one of the operations of `operations.py`."""

    where: str
    type: str
    params: dict[str, Any] = field(default_factory=dict)
    module_path: str = ""
    name: str = ""
    output: str | int = "sequence"
    save_as: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    where: str
    body: tuple["Entry", ...]
    shortcut: tuple["Entry", ...] = ()
    save_as: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    where: str
    branches: tuple[tuple["Entry", ...], ...]
    merge: str = "concat"
    dim: int = 1
    save_as: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """Concat or Add of the current value with saved ones."""

    where: str
    how: str
    sources: tuple[str, ...]
    dim: int = 1
    save_as: str = ""


Entry = Layer | Residual | Branch | Merge


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    model_name: str
    input_shape: tuple[int, ...]
    layers: tuple[Entry, ...]
    description: str = ""
    input_dtype: str = "float32"
    vocab_size: int | None = None
    output_shape: tuple[int, ...] | None = None
