"""A transformers model decoded token by token, each answer with a K/V cache of its own.

Our own loop rather than `generate`: answers take turns, so that each has its own sampling, seed,
stop strings and deadline, and a cancelled one stops costing at the next token. Long prompts are
read in chunks, which keeps that true while they are read.

Suffixes: B batch, T time, V vocabulary.
"""

# ruff: noqa: N806  shape suffixes in names

import inspect
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from transformers import DynamicCache

from agents.llm.engines.config import EngineConfig
from agents.llm.engines.errors import LLMInitializationError, OutOfMemoryError
from agents.llm.engines.loading import load_pretrained
from agents.llm.engines.local_model import DecodingState
from agents.llm.engines.request import GenerationRequest
from agents.llm.engines.sampling import Sampler

PROMPT_CHUNK_TOKENS = 512
_UNBOUNDED = 10**9  # tokenizers without a limit say something like 1e30


class TransformersModel:
    """A causal language model and its tokenizer as an engine's `LocalModel`."""

    def __init__(self, model: Any, tokenizer: Any, context_window: int | None) -> None:
        self._model = model
        self._tokenizer = _without_limits(tokenizer)
        self._states: dict[int, _State] = {}
        self._weights_bytes = _weights_bytes(model)
        takes = inspect.signature(model.forward).parameters
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in takes else {}
        # transformers renamed it in 5.24 for models of its own; remote code has the old name
        self._cache_name = "cache" if "cache" in takes else "past_key_values"
        self.context_window = _context_window(model.config, tokenizer, context_window)
        self.vocab_size = int(model.config.get_text_config().vocab_size)
        self.device = str(model.device)
        self.dtype = str(model.dtype).removeprefix("torch.")
        self.end_token_ids = _end_token_ids(model, tokenizer)

    def encode(self, text: str) -> list[int]:
        ids = list(self._tokenizer(text, verbose=False)["input_ids"])
        bos = self._tokenizer.bos_token_id
        return ids or ([] if bos is None else [bos])

    def decode(self, token_ids: Sequence[int]) -> str:
        text = self._tokenizer.decode(
            list(token_ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return cast(str, text)

    def start(self, prompt_ids: Sequence[int], request: GenerationRequest) -> DecodingState:
        state = _State(prompt_ids, DynamicCache(config=self._model.config), Sampler(request))
        self._states[id(state)] = state
        return state

    @torch.inference_mode()
    def step(self, states: Sequence[DecodingState]) -> list[int | Exception | None]:
        return [self._step(cast(_State, state)) for state in states]

    def end(self, state: DecodingState) -> None:
        self._states.pop(id(state), None)

    def memory_bytes(self) -> int:
        return self._weights_bytes + sum(s.cache_bytes for s in list(self._states.values()))

    def close(self) -> None:
        on_cuda = self._model.device.type == "cuda"
        self._states.clear()
        del self._model, self._tokenizer
        if on_cuda:
            torch.cuda.empty_cache()

    def _step(self, state: "_State") -> int | Exception | None:
        try:
            logits_V = self._forward(state)
            if state.pending:
                return None
            token_id = state.sampler.choose(logits_V)
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            failure = OutOfMemoryError(f"{self.device} had no memory left for this request")
            failure.__cause__ = error
            return failure
        except Exception as error:  # noqa: BLE001  fails this answer, not those beside it
            return error
        state.pending = [token_id]
        return token_id

    def _forward(self, state: "_State") -> Tensor:
        chunk = state.pending[:PROMPT_CHUNK_TOKENS]
        ids_BT = torch.tensor([chunk], device=self._model.device)
        out = self._model(
            input_ids=ids_BT,
            use_cache=True,
            **{self._cache_name: state.cache},
            **self._last_only,
        )
        state.pending = state.pending[len(chunk) :]
        state.cache_bytes = _cache_bytes(state.cache)
        return cast(Tensor, out.logits[0, -1])


class _State:
    """An answer: tokens the model has not read yet, and the cache of those it has."""

    is_runnable = True

    def __init__(self, prompt_ids: Sequence[int], cache: DynamicCache, sampler: Sampler) -> None:
        self.pending = list(prompt_ids)
        self.cache = cache
        self.sampler = sampler
        self.cache_bytes = 0


def open_model(config: EngineConfig) -> TransformersModel:
    """Load what `config` names; blocks until it is ready."""
    if config.options:
        raise LLMInitializationError(
            f"the transformers backend has no options, but got {', '.join(sorted(config.options))}"
        )
    model, tokenizer = load_pretrained(config)
    return TransformersModel(model, tokenizer, config.context_window)


def _without_limits(tokenizer: Any) -> Any:
    """`tokenizer` such that no call changes its state: threads use it at the same time."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        backend.no_truncation()
        backend.no_padding()
    return tokenizer


def _context_window(model_config: Any, tokenizer: Any, wanted: int | None) -> int:
    limits = [
        getattr(model_config.get_text_config(), "max_position_embeddings", None),
        tokenizer.model_max_length if tokenizer.model_max_length < _UNBOUNDED else None,
        wanted,
    ]
    known = [int(limit) for limit in limits if limit]
    if not known:
        raise LLMInitializationError("the model states no context window; set context_window")
    return min(known)


def _end_token_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    ends = model.generation_config.eos_token_id if model.generation_config else None
    if ends is None:
        ends = tokenizer.eos_token_id
    if ends is None:
        return frozenset()
    return frozenset(ends if isinstance(ends, list) else [ends])


def _weights_bytes(model: Any) -> int:
    tensors = {t.data_ptr(): t for t in (*model.parameters(), *model.buffers())}
    return sum(t.nbytes for t in tensors.values())


def _cache_bytes(cache: DynamicCache) -> int:
    names = ("keys", "values", "conv_states", "recurrent_states")
    tensors = (getattr(layer, name, None) for layer in cache.layers for name in names)
    return sum(t.nbytes for t in tensors if isinstance(t, Tensor))
