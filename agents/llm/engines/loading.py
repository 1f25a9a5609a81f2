"""From a configuration to a model and its tokenizer, or to an error that says what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import errors as hub
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GgufConfig,
    modeling_gguf_pytorch_utils,
)
from transformers.utils import logging

from agents.llm.engines.config import EngineConfig
from agents.llm.engines.errors import (
    DeviceUnavailableError,
    HubUnreachableError,
    LLMInitializationError,
    MissingDependencyError,
    ModelDamagedError,
    ModelNotFoundError,
)
from agents.llm.engines.gguf import check_whole
from agents.llm.engines.int8 import quantize
from agents.llm.engines.log import get_logger
from agents.llm.engines.memory import is_out_of_memory
from agents.llm.engines.model_file import packaged_path
from agents.llm.engines.options import TransformersOptions
from agents.llm.engines.saved_folder import GENERATION, read_config

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
GGUF = ".gguf"
_EXTRAS = {"gguf": "torch", "bitsandbytes": "quantized"}
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


def load_pretrained(config: EngineConfig, options: TransformersOptions) -> tuple[Any, Any]:
    """The model, on its device and ready to infer, and its tokenizer.

    Raises:
        LLMInitializationError: one of its kinds, by what is wrong.
    """
    device = choose_device(config.device)
    if options.int8 and device.type != "cpu":
        raise LLMInitializationError(
            f"int8 is for the CPU, and the device is {device}; use load_in_8bit, or device 'cpu'"
        )
    name, source = _source(config)
    with _without_progress_bars():
        return _load(config, options, name, device, source)


def load_tokenizer(config: EngineConfig) -> Any:
    """The tokenizer of a model, without the model.

    Raises:
        LLMInitializationError: as `load_pretrained`.
    """
    name, source = _source(config)
    try:
        with _without_progress_bars():
            return _tokenizer(name, source)
    except Exception as error:
        raise _explain(config.model, error) from error


def _source(config: EngineConfig) -> tuple[str, dict[str, Any]]:
    """What `from_pretrained` is told, apart from how."""
    name = _check_name(config.model)
    source: dict[str, Any] = {
        "revision": config.revision,
        "trust_remote_code": config.trust_remote_code,
    }
    if name.endswith(GGUF):
        _need("gguf", "a GGUF file")
        name, source["gguf_file"] = str(Path(name).parent), Path(name).name
    return name, source


def _load(
    config: EngineConfig,
    options: TransformersOptions,
    name: str,
    device: torch.device,
    source: dict[str, Any],
) -> tuple[Any, Any]:
    try:
        tokenizer = _tokenizer(name, source)
        model_config = AutoConfig.from_pretrained(name, **source)
        if (Path(name) / GENERATION).is_file():
            read_config(Path(name), GENERATION)  # transformers goes on without a damaged one
        wanted = {
            "quantization_config": quantization(options, source),
            "device_map": options.device_map,
        }
        # bitsandbytes computes 8 bits in float16, and tells of each other input.
        dtype = "float16" if options.load_in_8bit else config.dtype
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            name,
            output_loading_info=True,
            config=model_config,
            dtype=choose_dtype(dtype, device, model_config),
            **{key: value for key, value in wanted.items() if value is not None},
            **source,
        )
        model, told = loaded
        _require_all(told["missing_keys"])
        if options.device_map is None and not (options.load_in_8bit or options.load_in_4bit):
            model = model.to(device)
        if config.trust_remote_code and config.revision is None:
            commit = getattr(model_config, "_commit_hash", None)
            get_logger().warning("model.remote_code", model=config.model, commit=commit)
        if options.int8:
            quantize(model)
        return model.eval(), tokenizer
    except LLMInitializationError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise LLMInitializationError(
                f"{config.model} does not fit into the memory of {device}; use a smaller dtype, "
                "a smaller model or another device"
            ) from error
        raise _explain(config.model, error) from error


def _tokenizer(name: str, source: dict[str, Any]) -> Any:
    """Without any file of it, transformers makes one up that knows no text."""
    tokenizer: Any = AutoTokenizer.from_pretrained(name, **source)
    if len(tokenizer.get_vocab().keys() - set(tokenizer.all_special_tokens)) <= 1:
        raise ValueError("its tokenizer knows no text; get tokenizer.json, or its like, too")
    return tokenizer


def _require_all(missing: set[str]) -> None:
    """What a checkpoint lacks, transformers fills with random numbers, and goes on."""
    if missing:
        more = f" and {len(missing) - 1} more weights" if len(missing) > 1 else ""
        raise ValueError(
            f"its files lack {min(missing)}{more}; get all of them, and their own config.json"
        )


def quantization(options: TransformersOptions, source: dict[str, Any]) -> Any:
    """What transformers is to do with the weights; None for nothing."""
    if options.load_in_8bit or options.load_in_4bit:
        _need("bitsandbytes", "load_in_8bit or load_in_4bit")
        bits: Any = BitsAndBytesConfig
        return bits(load_in_8bit=options.load_in_8bit, load_in_4bit=options.load_in_4bit)
    gguf: Any = GgufConfig
    return gguf(dequantize=True) if "gguf_file" in source else None


def _need(package: str, purpose: str) -> None:
    if find_spec(package) is None:
        raise MissingDependencyError(
            f"{purpose} needs {package}: pip install 'guildbus[{_EXTRAS[package]}]'"
        )


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    """Keep a library's progress bars out of the host program's terminal."""
    bars: Any = logging
    of_gguf: Any = modeling_gguf_pytorch_utils
    of_gguf.tqdm = bars.tqdm  # heeds the switch, as the others do
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
    if folder.is_file() and folder.suffix == GGUF:
        return str(folder)
    if folder.exists():
        raise ModelNotFoundError(
            f"{model} is a file, neither a folder with a model nor a GGUF file; {_ADVICE}"
        )
    packaged = packaged_path(model)
    if packaged is not None:
        return str(packaged)
    if folder.suffix == GGUF or not _HUB_ID.fullmatch(model):
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
    if Path(model).expanduser().exists():
        if model.endswith(GGUF):
            check_whole(Path(model).expanduser())
        return ModelDamagedError(f"the model in {model} cannot be loaded: {summary}")
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
