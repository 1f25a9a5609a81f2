"""A model in a GGUF file, run by llama.cpp's own server in this process."""

import contextlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from agents.llm.engines.constraint import Constraint
from agents.llm.engines.errors import ModelDamagedError
from agents.llm.engines.gguf import check_whole, read_metadata
from agents.llm.engines.gguf_vocabulary import GgufVocabulary
from agents.llm.engines.llamacpp_ahead import AnswerAhead
from agents.llm.engines.llamacpp_answer import LlamaAnswer
from agents.llm.engines.llamacpp_constrained import ConstrainedAnswer
from agents.llm.engines.llamacpp_limits import check_limits
from agents.llm.engines.llamacpp_room import (
    answers_at_once,
    cache_bytes_per_token,
    cells,
    usable_window,
)
from agents.llm.engines.llamacpp_slots import Slots
from agents.llm.engines.llamacpp_socket import LlamaSocket
from agents.llm.engines.llamacpp_tokenizer import LlamaTokenizer
from agents.llm.engines.local_model import DecodingState, Outcome
from agents.llm.engines.memory import free_bytes
from agents.llm.engines.model_file import parts_of, size_of
from agents.llm.engines.request import DEFAULT_MAX_NEW_TOKENS, GenerationRequest

_LOOK_S = 0.005
_SEED_BITS = 32
_NO_SEED = 2**_SEED_BITS - 1  # means a random one
_COLDEST = 1e-6  # scores divided by less are beyond what its numbers hold
_NO_TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


class LlamaModel:
    """A `LocalModel` that computes tokens before they are asked for.

    Args:
        path: the GGUF file.
        context_window: tokens an answer may use with its prompt; None for what the model has, and
            at most 4096, because memory for all answers is taken when the model is loaded.
        max_active: answers at the same time, at most.
        max_cache_bytes: for their keys and values; see `answers_at_once`.
        threads: None for as many as there are processors.
        gpu_layers: layers on a GPU; None for as many as fit.
    """

    dtype = "gguf"

    def __init__(
        self,
        path: Path,
        *,
        context_window: int | None = None,
        max_active: int = 8,
        max_cache_bytes: int | None = None,
        threads: int | None = None,
        gpu_layers: int | None = 0,
    ) -> None:
        metadata = read_metadata(path)
        check_limits(metadata)
        self._vocabulary = GgufVocabulary(metadata)
        self.context_window = usable_window(metadata, context_window)
        self.vocab_size = len(self._vocabulary)
        self.end_token_ids = self._vocabulary.end_token_ids
        self.special_texts: Mapping[int, str] = self._vocabulary.special_texts
        self.device = "cpu" if gpu_layers == 0 else "auto"
        self._arrived = threading.Condition()
        self._answers: list[AnswerAhead] = []
        weights, n_cells = size_of(path), cells(self.context_window)
        each = n_cells * cache_bytes_per_token(metadata)
        answers = answers_at_once(
            each,
            most=max_active,
            weights_bytes=weights,
            max_cache_bytes=max_cache_bytes,
            free_bytes=free_bytes(),
        )
        self.max_active: int | None = answers
        self._memory = weights + answers * each
        self._slots = Slots(answers)
        self._socket = LlamaSocket()
        self.tokenizer = LlamaTokenizer(
            self._socket, metadata.get("tokenizer.chat_template"), self._vocabulary
        )
        self._server: Any = self._load(
            path,
            n_cells=n_cells * answers,
            max_active=answers,
            threads=threads,
            gpu_layers=gpu_layers,
        )

    def _load(self, path: Path, **settings: Any) -> Any:
        """The server; without the file's chat template where that is what is broken."""
        try:
            return _serve(path, self._socket, **settings)
        except Exception as error:
            if self.tokenizer.chat_template is not None:
                with contextlib.suppress(Exception):
                    Path(self._socket.path).unlink(missing_ok=True)
                    server = _serve(path, self._socket, **settings, chat_template=_NO_TEMPLATE)
                    self.tokenizer.template_error = (
                        f"the chat template in {path} is broken, so that no conversation can be "
                        "rendered; complete texts, or take another file"
                    )
                    return server
            self._socket.close()
            for part in parts_of(path):
                check_whole(part)
            why = str(error).strip(" .")
            raise ModelDamagedError(
                f"llama.cpp cannot load {path}: {why}; is the file whole, of an architecture "
                "that llama.cpp knows, and is there memory for it?"
            ) from error

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text)

    def decode(self, token_ids: Sequence[int]) -> str:
        return self._vocabulary.decode(token_ids)

    def start(
        self,
        prompt_ids: Sequence[int],
        request: GenerationRequest,
        constraint: Constraint | None = None,
    ) -> DecodingState:
        left = max(1, min(DEFAULT_MAX_NEW_TOKENS, self.context_window - len(prompt_ids)))
        limit = request.max_new_tokens or left
        body = completion(prompt_ids, request, limit, self.context_window)
        body["id_slot"] = slot = self._slots.take(prompt_ids)
        try:
            answer = self._answer(body, request, constraint, limit)
        except Exception:  # such as: no thread can be started
            self._slots.give_back(slot)
            raise
        self._answers.append(answer)
        return answer

    def _answer(
        self,
        body: dict[str, Any],
        request: GenerationRequest,
        constraint: Constraint | None,
        limit: int,
    ) -> AnswerAhead:
        if constraint is None:
            ask = self._server.handle_completions
            return LlamaAnswer(ask, body, self._vocabulary, request.logprobs, self._arrived)
        return ConstrainedAnswer(
            self,
            body,
            constraint,
            limit=limit,
            seed=request.seed,
            tops=request.logprobs,
            end_token_ids=self.end_token_ids,
            vocab_size=self.vocab_size,
            arrived=self._arrived,
        )

    def ask(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The whole answer to a completion; blocks, from any thread."""
        told: Mapping[str, Any] = self._socket.ask("/completion", dict(body))
        return told

    def read(self, body: str, receive: Callable[[str], bool]) -> None:
        """The same piece by piece, until `receive` returns True."""
        self._server.handle_completions(body, receive)

    def step(self, states: Sequence[DecodingState]) -> list[Outcome]:
        answers = [cast(AnswerAhead, state) for state in states]
        with self._arrived:
            if not any(answer.has_outcome for answer in answers):
                self._arrived.wait(_LOOK_S)  # not longer: somebody may want to cancel
            return [answer.take() for answer in answers]

    def end(self, state: DecodingState) -> None:
        answer = cast(AnswerAhead, state)
        answer.end()
        self._slots.give_back(answer.slot)
        self._answers = [each for each in self._answers if each.is_alive]

    def memory_bytes(self) -> int:
        return self._memory

    def close(self) -> None:
        self._socket.will_close()
        for answer in self._answers:
            answer.end()
        for answer in self._answers:
            answer.join()
        self._answers = []
        with contextlib.suppress(AttributeError):
            del self._server  # ends its threads and frees the weights
        self._socket.close()


def completion(
    prompt_ids: Sequence[int],
    request: GenerationRequest,
    max_new_tokens: int,
    context_window: int,
) -> dict[str, Any]:
    """The body that asks llama.cpp for what `request` means, in the order of transformers."""
    seed = request.seed
    if seed is not None:  # ours are longer than its
        seed = min((seed ^ (seed >> _SEED_BITS)) & _NO_SEED, _NO_SEED - 1)
    is_cold = request.is_greedy or request.temperature < _COLDEST
    return {
        "prompt": list(prompt_ids),
        "n_predict": max_new_tokens,
        "stream": True,
        "cache_prompt": True,
        "return_progress": True,  # so that reading a prompt can be stopped
        "timings_per_token": True,  # says how many tokens there have been
        "n_probs": max(1, request.logprobs or 0),  # says which token it is
        "temperature": 0.0 if is_cold else request.temperature,
        "samplers": ["penalties", "temperature", "top_k", "top_p", "min_p"],
        "top_k": request.top_k,
        "top_p": request.top_p,
        "min_p": request.min_p,
        "repeat_penalty": request.repetition_penalty,
        "repeat_last_n": context_window,
        "logit_bias": [[token_id, bias] for token_id, bias in request.logit_bias.items()],
        "seed": _NO_SEED if seed is None else seed,
    }


def _serve(
    path: Path,
    socket: LlamaSocket,
    *,
    n_cells: int,
    max_active: int,
    threads: int | None,
    gpu_layers: int | None,
    chat_template: str = "",
) -> Any:
    import xllamacpp  # noqa: PLC0415  an extra

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.hostnames = [socket.path]
    params.api_keys = [socket.secret]
    params.ui = False
    params.verbosity = 0
    params.n_ctx = n_cells
    params.n_parallel = max_active
    params.n_batch = params.n_ubatch = 128  # between two of them an answer can be stopped
    params.n_gpu_layers = -1 if gpu_layers is None else gpu_layers
    params.fit_params = False  # it would change the context to what it thinks fits
    params.ctx_shift = False  # the window is kept by us
    params.cache_ram_mib = 0  # by default up to 8 GB of old prompts
    if threads is not None:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.warmup = False
    params.chat_template = chat_template  # "" for the file's own
    server = xllamacpp.Server(params)
    # Until its loop has begun it cannot be ended: the end would be waited for for ever.
    server.handle_completions(json.dumps({"prompt": [0], "n_predict": 1}), lambda _: False)
    return server
