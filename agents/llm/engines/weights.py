"""How many weights a model has, by what its files say; none is read."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agents.llm.engines.errors import MissingDependencyError, ModelDamagedError, ModelNotFoundError
from agents.llm.engines.gguf import read_metadata, read_shapes
from agents.llm.engines.saved_folder import CONFIG, read_config, weight_files

GGUF = ".gguf"
_BYTES = {"float64": 8, "float32": 4, "int8": 1}
_HEADS = ("lm_head", "embed_out", "output.weight")
_NOT_LINEAR = ("embd", "embed", "wte", "wpe", "conv")


@dataclass(frozen=True, slots=True)
class Weights:
    """Numbers of weights.

    Attributes:
        linear: in the matrices of linear layers, which quantisation makes smaller.
        head: in the matrix that makes scores; 0 where the embeddings are used again.
        other: embeddings, norms and what else there is.
        facts: the model's `config.json`.
        dtype: what they are saved in; None where a GGUF file packs them, each kind in its way.
    """

    linear: int
    head: int
    other: int
    facts: Mapping[str, Any]
    dtype: str | None

    @property
    def total(self) -> int:
        return self.linear + self.head + self.other


def saved_weights(model: str, revision: str | None = None) -> Weights:
    """The weights of a folder, of a GGUF file or of a model from the hub that is in the cache.

    A folder may hold a `config.json` alone.

    Raises:
        ModelNotFoundError: it is not on this machine.
        ModelDamagedError: it is, but does not tell what is asked.
        MissingDependencyError: a package is needed to read it.
    """
    path = Path(model).expanduser()
    if path.is_file() and path.suffix == GGUF:
        shapes = read_shapes(path)
        facts = _facts_of_gguf(read_metadata(path), shapes)
        return _counted(shapes.items(), facts, None)
    folder = path if path.is_dir() else _cached(model, revision)
    facts = read_config(folder)
    dtype = str(facts.get("dtype") or facts.get("torch_dtype") or "float32")
    files = weight_files(folder)
    if not files:
        return _described(folder, facts, dtype)
    if files[0].suffix == ".safetensors":
        return _counted(_shapes(files), facts, dtype)
    size = sum(file.stat().st_size for file in files)
    return Weights(size // bytes_of(dtype), 0, 0, facts, dtype)


def bytes_of(dtype: str) -> int:
    """What a number takes; two where it is one of the many kinds of 16 bits."""
    return _BYTES.get(dtype, 2)


def _counted(
    shapes: Iterable[tuple[str, tuple[int, ...]]],
    facts: Mapping[str, Any],
    dtype: str | None,
) -> Weights:
    counts = {"linear": 0, "head": 0, "other": 0}
    for name, shape in shapes:
        counts[_kind(name, shape)] += math.prod(shape)
    return Weights(**counts, facts=facts, dtype=dtype)


def _kind(name: str, shape: tuple[int, ...]) -> str:
    if len(shape) < 2:  # noqa: PLR2004  a matrix
        return "other"
    if name.startswith(_HEADS):
        return "head"
    return "other" if any(part in name for part in _NOT_LINEAR) else "linear"


def _described(folder: Path, facts: Mapping[str, Any], dtype: str) -> Weights:
    """Those that a `config.json` describes: the model is built without memory for its weights."""
    _need("torch", "counting weights of which there is only a config.json")
    import torch  # noqa: PLC0415  an extra
    from transformers import AutoConfig, AutoModelForCausalLM  # noqa: PLC0415  likewise

    try:
        with torch.device("meta"):
            build: Any = AutoModelForCausalLM.from_config
            model = build(AutoConfig.from_pretrained(folder))
    except Exception as error:
        summary = str(error).strip().split("\n")[0]
        raise ModelDamagedError(
            f"{folder} holds no weights, and its config.json describes no model: {summary}"
        ) from error
    shapes = {name: tuple(tensor.shape) for name, tensor in model.named_parameters()}
    return _counted(shapes.items(), facts, dtype)


def _need(package: str, purpose: str) -> None:
    if find_spec(package) is None:
        raise MissingDependencyError(f"{purpose} needs {package}: pip install 'guildbus[torch]'")


def _shapes(files: Iterable[Path]) -> Iterable[tuple[str, tuple[int, ...]]]:
    _need("safetensors", "reading the weights of a folder")
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415  an extra

    for file in files:
        try:
            with safe_open(file, framework="np") as tensors:
                for name in tensors.keys():  # noqa: SIM118  it is no mapping
                    yield name, tuple(tensors.get_slice(name).get_shape())
        except (SafetensorError, OSError) as error:
            raise ModelDamagedError(
                f"{file} is damaged or breaks off ({error}); fetch it again"
            ) from error


def _cached(model: str, revision: str | None) -> Path:
    if find_spec("huggingface_hub") is not None:
        from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415  an extra
        from huggingface_hub.errors import HFValidationError  # noqa: PLC0415  likewise

        try:
            found = try_to_load_from_cache(model, CONFIG, revision=revision)
        except HFValidationError:
            found = None
        if isinstance(found, str):
            return Path(found).parent
    raise ModelNotFoundError(
        f"{model} is no folder here and not in the local cache: what it needs is known when it "
        "has been fetched"
    )


def _facts_of_gguf(
    metadata: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
) -> Mapping[str, Any]:
    """The same in the names of a `config.json`."""
    of = metadata.get("general.architecture")
    names = {
        "num_hidden_layers": "block_count",
        "num_attention_heads": "attention.head_count",
        "num_key_value_heads": "attention.head_count_kv",
        "head_dim": "attention.key_length",
        "hidden_size": "embedding_length",
        "intermediate_size": "feed_forward_length",
        "max_position_embeddings": "context_length",
    }
    facts = {name: metadata.get(f"{of}.{key}") for name, key in names.items()}
    facts["vocab_size"] = shapes.get("token_embd.weight", (0, 0))[-1]
    facts["tie_word_embeddings"] = "output.weight" not in shapes
    return {name: value for name, value in facts.items() if value is not None}
