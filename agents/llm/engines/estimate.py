"""How much memory a model needs, told before it is loaded, from what its files say.

Weights, keys and values of all answers at once, and what the libraries and their working space
take. Measured resident memory was within 25 % of it (tests/llm/engines/test_estimate.py).
"""

from collections.abc import Callable
from dataclasses import dataclass

from agents.llm.engines import model_facts
from agents.llm.engines.capacity import column_capacity, power_of_two
from agents.llm.engines.config import EngineConfig
from agents.llm.engines.errors import LLMInitializationError
from agents.llm.engines.gguf import read_metadata
from agents.llm.engines.llamacpp_limits import check_limits
from agents.llm.engines.llamacpp_options import LlamaCppOptions
from agents.llm.engines.llamacpp_room import (
    answers_at_once,
    cache_bytes_per_token,
    cells,
    usable_window,
)
from agents.llm.engines.memory import free_bytes
from agents.llm.engines.model_file import model_path, size_of
from agents.llm.engines.options import TransformersOptions
from agents.llm.engines.weights import Weights, bytes_of, saved_weights

# Resident memory of a process that has imported them, torch 2.13 for CPUs and xllamacpp 2026.10.
TORCH_BYTES = 400 << 20
_LLAMA_BYTES = 80 << 20
_READ_TOKENS = 512  # of prompts, in a step
_GROUP_TOKENS = 2048  # of prompts that are read together, in a cache of their own
_LLAMA_BATCH = 128
_SCORE_BYTES = 16  # a score, its copies, and its likelihood in double precision
_8BIT, _4BIT = 1.0, 0.5 + 4 / 64  # bitsandbytes: of 64 weights, one scale


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes, on the device and, for libraries, in the process.

    Attributes:
        weights_bytes: of the loaded model.
        cache_bytes_per_token: keys and values of a token of an answer or its prompt.
        least_cache_bytes: keys and values without which not one answer of full length is possible.
        most_cache_bytes: those of as many answers of full length as may run at once. The
            transformers backend takes them as answers need them, and lets answers wait before it
            uses more than `max_cache_bytes`; llama.cpp takes all at once, for as many answers as
            its own `max_cache_bytes` has room for. Beginnings that are kept
            from earlier texts count where `prompt_cache_bytes` says how many.
        overhead_bytes: libraries and working space.
        loading_bytes: what is needed for a while when the model is loaded. More may be resident:
            files are mapped into memory, which the system takes back when it needs it.
    """

    weights_bytes: int
    cache_bytes_per_token: int
    least_cache_bytes: int
    most_cache_bytes: int
    overhead_bytes: int
    loading_bytes: int

    @property
    def least_bytes(self) -> int:
        """Loads the model and answers one request at a time."""
        running = self.weights_bytes + self.least_cache_bytes + self.overhead_bytes
        return max(self.loading_bytes, running)

    @property
    def most_bytes(self) -> int:
        """Suffices for as many answers of full length as may run at once."""
        running = self.weights_bytes + self.most_cache_bytes + self.overhead_bytes
        return max(self.loading_bytes, running)


def estimate_memory(config: EngineConfig) -> MemoryEstimate:
    """What the engine of `config` will need on this machine; reads headers of files only.

    Raises:
        LLMInitializationError: the model is not on this machine, is damaged, or its backend does
            not tell.
    """
    if config.backend not in _ESTIMATES:
        raise LLMInitializationError(
            f"what a model of the backend {config.backend!r} needs is not known here; known are "
            f"{', '.join(_ESTIMATES)}"
        )
    return _ESTIMATES[config.backend](config)


def refuse_what_does_not_fit(config: EngineConfig) -> None:
    """Refuse a model that this machine has no memory for, before the system ends the process.

    What cannot be told is not refused, nor is a model for another device than the CPU.

    Raises:
        LLMInitializationError: weights and one answer take more than is free.
    """
    free = free_bytes()
    try:
        estimate = estimate_memory(config)
    except LLMInitializationError:  # who loads it says what is wrong with it
        return
    needed = estimate.weights_bytes + estimate.least_cache_bytes
    if free is not None and needed > free:
        raise LLMInitializationError(
            f"{config.model} needs {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are "
            "free; take a smaller model or dtype, fewer bits, a shorter context_window, or, for "
            "llama.cpp, a smaller max_cache_bytes"
        )


def _transformers(config: EngineConfig) -> MemoryEstimate:
    options = config.options_as(TransformersOptions)
    weights = saved_weights(config.model, config.revision)
    dtype = _dtype(config, options, weights)
    window = model_facts.window(weights.facts, config.context_window)
    token = model_facts.cached_entries(weights.facts) * bytes_of(dtype)
    columns = column_capacity(window)
    most = power_of_two(config.max_active) * columns * token
    if options.max_cache_bytes is not None:
        most = max(min(most, options.max_cache_bytes), columns * token)
    most += options.prompt_cache_bytes or 0
    step = _READ_TOKENS * model_facts.width_of_a_step(weights.facts) * bytes_of(dtype)
    scores = config.max_active * model_facts.vocab_size(weights.facts) * _SCORE_BYTES
    group = token * min(_GROUP_TOKENS, window * config.max_active)
    overhead = TORCH_BYTES + step + scores + group
    loaded = _quantised(weights, options, dtype)
    return MemoryEstimate(
        weights_bytes=loaded,
        cache_bytes_per_token=token,
        least_cache_bytes=columns * token,
        most_cache_bytes=most,
        overhead_bytes=overhead,
        loading_bytes=TORCH_BYTES + _loading(weights, options, loaded, dtype),
    )


def _dtype(config: EngineConfig, options: TransformersOptions, weights: Weights) -> str:
    if options.load_in_8bit:
        return "float16"
    if config.dtype != "auto":
        return config.dtype
    saved = weights.dtype or "float32"
    is_on_cpu = config.device in ("auto", "cpu")
    return "float32" if is_on_cpu and saved == "float16" else saved


def _loading(weights: Weights, options: TransformersOptions, loaded: int, dtype: str) -> int:
    """Files are mapped into memory, which the system takes back when it needs it."""
    if weights.dtype is None:  # its largest matrix is unpacked with copies on its way
        largest = model_facts.hidden_size(weights.facts) * model_facts.vocab_size(weights.facts)
        return loaded + 2 * largest * bytes_of("float32")
    if options.int8 and weights.dtype != dtype:  # it is converted as a whole first
        return weights.total * bytes_of(dtype)
    return loaded


def _quantised(weights: Weights, options: TransformersOptions, dtype: str) -> int:
    size = bytes_of(dtype)
    if options.int8:  # the head, too, where it is the embeddings used again
        tied = weights.facts.get("tie_word_embeddings") and not weights.head
        width = model_facts.hidden_size(weights.facts) if tied else 0
        head = weights.head or width * model_facts.vocab_size(weights.facts)
        return weights.linear + head + weights.other * size
    each = float(size)
    if options.load_in_8bit or options.load_in_4bit:
        each = _8BIT if options.load_in_8bit else _4BIT
    return int(weights.linear * each) + (weights.head + weights.other) * size


def _llamacpp(config: EngineConfig) -> MemoryEstimate:
    path = model_path(config.model)
    metadata = read_metadata(path)
    check_limits(metadata)
    token = cache_bytes_per_token(metadata)
    each = cells(usable_window(metadata, config.context_window)) * token
    weights = size_of(path)
    answers = answers_at_once(
        each,
        most=config.max_active,
        weights_bytes=weights,
        max_cache_bytes=config.options_as(LlamaCppOptions).max_cache_bytes,
        free_bytes=free_bytes(),
    )
    cache = answers * each
    vocabulary = metadata.get("tokenizer.ggml.tokens", ())
    overhead = _LLAMA_BYTES + _LLAMA_BATCH * len(vocabulary) * 4
    return MemoryEstimate(weights, token, cache, cache, overhead, weights + cache + overhead)


def _elsewhere(_: EngineConfig) -> MemoryEstimate:
    return MemoryEstimate(0, 0, 0, 0, 0, 0)


_ESTIMATES: dict[str, Callable[[EngineConfig], MemoryEstimate]] = {
    "transformers": _transformers,
    "llamacpp": _llamacpp,
    "openai": _elsewhere,
    "scripted": _elsewhere,
}
