"""From a configuration to a model and its tokenizer, or to an error that says what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import errors as hub
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from agents.llm.engines.config import EngineConfig
from agents.llm.engines.errors import (
    DeviceUnavailableError,
    HubUnreachableError,
    LLMInitializationError,
    ModelDamagedError,
    ModelNotFoundError,
)

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_ADVICE = "check the name, or give a folder made by save_pretrained"


def choose_device(name: str) -> torch.device:
    """The device that `name` means on this machine.

    Raises:
        DeviceUnavailableError: it was asked for by name and does not exist.
    """
    if name == "auto":
        return torch.device(_best_device())
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceUnavailableError(
            f"{name} was asked for, but PyTorch {torch.__version__} sees "
            f"{torch.cuda.device_count()} CUDA devices here; use another one, 'cpu' or 'auto'"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceUnavailableError("mps was asked for, but is not there; use 'cpu' or 'auto'")
    return device


def choose_dtype(name: str, device: torch.device, model_config: Any) -> torch.dtype:
    """The dtype that `name` means for this checkpoint on this device."""
    if name != "auto":
        dtype: torch.dtype = getattr(torch, name)
        return dtype
    saved = getattr(model_config, "dtype", None) or torch.float32
    if isinstance(saved, str):
        saved = getattr(torch, saved)
    # Half precision has no fast arithmetic on most CPUs.
    is_slow = device.type == "cpu" and saved == torch.float16
    return torch.float32 if is_slow else saved


def load_pretrained(config: EngineConfig) -> tuple[Any, Any]:
    """The model, on its device and ready to infer, and its tokenizer.

    Raises:
        LLMInitializationError: one of its kinds, by what is wrong.
    """
    device = choose_device(config.device)
    name = _check_name(config.model)
    source: dict[str, Any] = {
        "revision": config.revision,
        "trust_remote_code": config.trust_remote_code,
    }
    with _without_progress_bars():
        return _load(config, name, device, source)


def _load(
    config: EngineConfig, name: str, device: torch.device, source: dict[str, Any]
) -> tuple[Any, Any]:
    try:
        model_config = AutoConfig.from_pretrained(name, **source)
        tokenizer = AutoTokenizer.from_pretrained(name, **source)
        model: Any = AutoModelForCausalLM.from_pretrained(
            name,
            config=model_config,
            dtype=choose_dtype(config.dtype, device, model_config),
            **source,
        )
        return model.to(device).eval(), tokenizer
    except torch.OutOfMemoryError as error:
        raise LLMInitializationError(
            f"{config.model} does not fit into the memory of {device}; use a smaller dtype, "
            "a smaller model or another device"
        ) from error
    except Exception as error:
        raise _explain(config.model, error) from error


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    """Keep a library's bars out of the terminal of whoever embeds the engine."""
    bars: Any = logging
    was_enabled = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            bars.enable_progress_bar()


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _check_name(model: str) -> str:
    folder = Path(model).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ModelDamagedError(
                f"the folder {model} holds no config.json, so it is not a saved model; {_ADVICE}"
            )
        return str(folder)
    if folder.exists():
        raise ModelNotFoundError(f"{model} is a file, not a folder with a model; {_ADVICE}")
    if not _HUB_ID.fullmatch(model):
        raise ModelNotFoundError(f"there is no folder {model}; {_ADVICE}")
    return model


def _explain(model: str, error: Exception) -> LLMInitializationError:
    causes = list(_causes(error))
    summary = str(error).strip().split("\n")[0]
    if any(isinstance(e, hub.GatedRepoError) for e in causes):
        return ModelNotFoundError(f"{model} is gated on the hub: ask for access, then log in")
    if any(isinstance(e, hub.RepositoryNotFoundError) for e in causes):
        return ModelNotFoundError(
            f"neither a folder here nor a model on the hub: {model}; {_ADVICE}"
        )
    if Path(model).expanduser().is_dir():
        return ModelDamagedError(f"the model in the folder {model} cannot be loaded: {summary}")
    if any(isinstance(e, _UNREACHABLE) for e in causes):
        return HubUnreachableError(
            f"{model} is no folder here and not in the local cache, and the hub cannot be reached; "
            "check the name and the connection (HF_HUB_OFFLINE set?), or give a folder"
        )
    return LLMInitializationError(f"{model} cannot be loaded: {summary}")


_UNREACHABLE = (
    hub.LocalEntryNotFoundError,
    hub.OfflineModeIsEnabled,
    ConnectionError,
    TimeoutError,
)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
