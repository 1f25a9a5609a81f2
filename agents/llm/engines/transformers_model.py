"""A transformers model that writes many answers at once.

Our own loop rather than `generate`: answers join and leave at every token, each has its own
sampling, seed, stop strings, constraint and deadline, and a cancelled one stops costing at the
next step.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch

from agents.llm.engines.answer import Answer
from agents.llm.engines.config import EngineConfig
from agents.llm.engines.constraint import Constraint
from agents.llm.engines.decoder import Decoder
from agents.llm.engines.estimate import refuse_what_does_not_fit
from agents.llm.engines.forward import Forward
from agents.llm.engines.int8 import Int8Linear
from agents.llm.engines.loading import choose_device, load_pretrained
from agents.llm.engines.local_model import DecodingState, Outcome
from agents.llm.engines.log import get_logger
from agents.llm.engines.memory import default_cache_bytes
from agents.llm.engines.model_facts import DEFAULT_CONTEXT_WINDOW, WINDOW_NAMES
from agents.llm.engines.options import TransformersOptions
from agents.llm.engines.prefix_files import FolderOfPrefixes, model_identity
from agents.llm.engines.prefixes import Prefixes
from agents.llm.engines.request import DEFAULT_MAX_NEW_TOKENS, GenerationRequest
from agents.llm.engines.rope import length_limit, rereads, stretch
from agents.llm.engines.sampling import Sampler
from agents.llm.engines.snapshot import can_crop
from agents.llm.engines.soundness import Mode, Soundness, examine

_EXACT = ("float32", "float64")
_UNBOUNDED = 10**9  # tokenizers without a limit say something like 1e30


class TransformersModel:
    """A causal language model and its tokenizer as an engine's `LocalModel`.

    Attributes:
        soundness: how its answers are decoded, and why not faster.
    """

    max_active: int | None = None

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        context_window: int | None,
        options: TransformersOptions | None = None,
    ) -> None:
        options = options or TransformersOptions()
        self._model = model
        self.tokenizer = _without_limits(tokenizer)
        self._weights_bytes = _weights_bytes(model)
        self.context_window = _context_window(model.config, tokenizer, context_window)
        self.vocab_size = int(model.config.get_text_config().vocab_size)
        self.device = str(model.device)
        self.dtype = _dtype(model)
        self.end_token_ids = _end_token_ids(model, tokenizer)
        self.special_texts = _special_texts(tokenizer)
        if options.compile:
            _compile(model)
        forward = Forward(model, is_exact=self.dtype in _EXACT)
        limit = length_limit(model)
        may_share = limit is None or self.context_window <= limit
        self.soundness = examine(forward, self.vocab_size, may_share=may_share)
        if self.soundness.reason:
            get_logger().info(
                "model.not_batched", mode=str(self.soundness.mode), reason=self.soundness.reason
            )
        rereads_at = limit if rereads(model) else None
        max_cache_bytes = options.max_cache_bytes or default_cache_bytes(model.device)
        self._decoder = Decoder(
            forward,
            self.soundness,
            self.end_token_ids,
            max_cache_bytes=max_cache_bytes,
            rereads_at=rereads_at,
            prefixes=_prefixes(model, self.soundness, options, max_cache_bytes),
        )

    def encode(self, text: str) -> list[int]:
        ids = list(self.tokenizer(text, verbose=False)["input_ids"])
        bos = self.tokenizer.bos_token_id
        if bos is not None and ids[:2] == [bos, bos]:  # a prompt that was written with it
            return ids[1:]
        return ids or ([] if bos is None else [bos])

    def decode(self, token_ids: Sequence[int]) -> str:
        text = self.tokenizer.decode(
            list(token_ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return cast(str, text)

    def start(
        self,
        prompt_ids: Sequence[int],
        request: GenerationRequest,
        constraint: Constraint | None = None,
    ) -> DecodingState:
        room = min(
            request.max_new_tokens or DEFAULT_MAX_NEW_TOKENS, self.context_window - len(prompt_ids)
        )
        return self._decoder.start(prompt_ids, Sampler(request, prompt_ids, constraint), room)

    def step(self, states: Sequence[DecodingState]) -> list[Outcome]:
        outcomes = self._decoder.step()
        return [outcomes.get(cast(Answer, state)) for state in states]

    def end(self, state: DecodingState) -> None:
        self._decoder.end(cast(Answer, state))

    def memory_bytes(self) -> int:
        return self._weights_bytes + self._decoder.nbytes

    def close(self) -> None:
        on_cuda = self._model.device.type == "cuda"
        del self._model, self.tokenizer, self._decoder
        if on_cuda:
            torch.cuda.empty_cache()


def open_model(config: EngineConfig) -> TransformersModel:
    """Load what `config` names; blocks until it is ready."""
    options = config.options_as(TransformersOptions)
    if choose_device(config.device).type == "cpu" and options.device_map is None:
        refuse_what_does_not_fit(config)
    model, tokenizer = load_pretrained(config, options)
    return TransformersModel(model, tokenizer, config.context_window, options)


def _prefixes(
    model: Any, soundness: Soundness, options: TransformersOptions, max_cache_bytes: int
) -> Prefixes:
    max_bytes = options.prompt_cache_bytes
    if max_bytes is None:
        max_bytes = max_cache_bytes // 4
    if not soundness.reads_in_chunks or soundness.mode is Mode.UNCACHED or not max_bytes:
        return Prefixes(0, can_crop=False)
    folder = options.prompt_cache_folder
    files = None
    if folder is not None:
        files = FolderOfPrefixes(folder.expanduser(), model_identity(model), model.device)
    return Prefixes(
        max_bytes,
        can_crop=can_crop(soundness.template),
        files=files,
        files_prompts=options.prompt_cache_saves == "prompts",
    )


def _without_limits(tokenizer: Any) -> Any:
    """`tokenizer` such that no call changes its state: threads use it at the same time."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        backend.no_truncation()
        backend.no_padding()
    return tokenizer


def _context_window(model_config: Any, tokenizer: Any, wanted: int | None) -> int:
    text_config = model_config.get_text_config()
    named = (getattr(text_config, name, None) for name in WINDOW_NAMES)
    positions = next((number for number in named if number), None)
    if positions and wanted:
        positions *= stretch(text_config)
    limits = [
        positions,
        tokenizer.model_max_length if tokenizer.model_max_length < _UNBOUNDED else None,
        wanted,
    ]
    known = [int(limit) for limit in limits if limit]
    return min(known, default=DEFAULT_CONTEXT_WINDOW)


def _end_token_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    ends = model.generation_config.eos_token_id if model.generation_config else None
    if ends is None:
        ends = tokenizer.eos_token_id
    if ends is None:
        return frozenset()
    return frozenset(ends if isinstance(ends, list) else [ends])


def _special_texts(tokenizer: Any) -> Mapping[int, str]:
    """Of the tokens that decoding leaves out; some have no role and are special all the same."""
    texts = tokenizer.convert_ids_to_tokens(tokenizer.all_special_ids)
    added = {
        i: token.content for i, token in tokenizer.added_tokens_decoder.items() if token.special
    }
    return {**dict(zip(tokenizer.all_special_ids, texts, strict=True)), **added}


def _compile(model: Any) -> None:
    """Compile what is the same at each step: attention sees another length each time."""
    parts = [getattr(module, "mlp", None) for module in model.modules()]
    for part in parts:
        if isinstance(part, torch.nn.Module):
            part.compile(dynamic=True)


def _dtype(model: Any) -> str:
    """What most of its weights are stored in."""
    for bits in ("4bit", "8bit"):
        if getattr(model, f"is_loaded_in_{bits}", False):
            return bits
    if any(isinstance(module, Int8Linear) for module in model.modules()):
        return "int8"
    return str(model.dtype).removeprefix("torch.")


def _weights_bytes(model: Any) -> int:
    tensors = {t.data_ptr(): t for t in (*model.parameters(), *model.buffers())}
    return sum(t.nbytes for t in tensors.values())
