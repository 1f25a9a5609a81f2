"""The engine around a model in this process."""

import asyncio
import time
import weakref
from collections.abc import Callable, Iterable
from functools import partial

from agents.llm.engines.config import EngineConfig
from agents.llm.engines.constraint import Constraint
from agents.llm.engines.engine import Capabilities, EngineStats
from agents.llm.engines.errors import (
    ContextOverflowError,
    EngineClosedError,
    InvalidRequestError,
    LLMInitializationError,
)
from agents.llm.engines.generation import Channel, Generation
from agents.llm.engines.job import Job
from agents.llm.engines.local_model import LocalModel
from agents.llm.engines.request import DEFAULT_MAX_NEW_TOKENS, GenerationRequest
from agents.llm.engines.text_stream import TextStream
from agents.llm.engines.worker import Worker


class LocalEngine:
    """Loads a model on first use and decodes in a thread of its own; keeps `Engine`'s promises.

    Args:
        config: which model, and the limits.
        open_model: loads the model; called in the engine's thread, again after a failure.
    """

    def __init__(self, config: EngineConfig, open_model: Callable[[], LocalModel]) -> None:
        self.config = config
        self._open_model = open_model
        self._worker: Worker | None = None
        self._is_closed = False

    async def load(self) -> None:
        await self._loaded()

    async def submit(
        self, request: GenerationRequest, constraint: Constraint | None = None
    ) -> Generation:
        submitted = time.monotonic()
        worker, model = await self._loaded()
        worker.refuse_when_full()  # before the work of tokenizing
        _check_tokens(request.logit_bias, model)
        prompt_ids = await _prompt_ids(request, model)
        job = Job(
            request=request,
            prompt_ids=prompt_ids,
            limit=self._new_tokens(request, len(prompt_ids), model.context_window),
            deadline=None if request.deadline_s is None else submitted + request.deadline_s,
            channel=Channel(),
            stream=TextStream(
                model.decode, prompt_ids, request.stop, model.special_texts, request.shown
            ),
            constraint=constraint,
            submitted=submitted,
        )
        worker.enqueue(job)
        return Generation(job.channel, partial(worker.cancel, job))

    @property
    def capabilities(self) -> Capabilities:
        model = self.model
        return Capabilities(
            model=self.config.model,
            backend=self.config.backend,
            device=model.device,
            dtype=model.dtype,
            context_window=model.context_window,
            vocab_size=model.vocab_size,
            max_new_tokens_limit=self.config.max_new_tokens_limit,
        )

    @property
    def model(self) -> LocalModel:
        """The loaded model, for what `LocalModel` lets others ask.

        Raises:
            LLMInitializationError: nothing is loaded yet.
        """
        model = self._model()
        if model is None:
            raise LLMInitializationError(f"{self.config.model} is not loaded yet: await load()")
        return model

    @property
    def stats(self) -> EngineStats:
        worker, model = self._worker, self._model()
        return EngineStats(
            is_loaded=model is not None,
            memory_bytes=model.memory_bytes() if model else 0,
            active=worker.active if worker else 0,
            queue_length=worker.queue_length if worker else 0,
            prompt_tokens=worker.prompt_tokens if worker else 0,
            generated_tokens=worker.generated_tokens if worker else 0,
        )

    async def close(self) -> None:
        self._is_closed = True
        if self._worker is not None:
            self._worker.stop()
            await asyncio.wrap_future(self._worker.ended)
            self._worker.join()  # returns at once: the thread has nothing left to do

    def _model(self) -> LocalModel | None:
        loaded = self._worker.loaded if self._worker else None
        if loaded is None or self._is_closed or not loaded.done() or loaded.exception():
            return None
        return loaded.result()

    async def _loaded(self) -> tuple[Worker, LocalModel]:
        if self._is_closed:
            raise EngineClosedError(f"{self.config.model}: the engine is closed")
        worker = self._worker
        if worker is None or worker.has_failed:
            worker = self._worker = self._start_worker()
        return worker, await asyncio.wrap_future(worker.loaded)

    def _start_worker(self) -> Worker:
        worker = Worker(
            self.config.model,
            self._open_model,
            max_active=self.config.max_active,
            max_queue=self.config.max_queue,
        )
        worker.start()
        weakref.finalize(self, worker.stop)  # an engine without references frees its model
        return worker

    def _new_tokens(self, request: GenerationRequest, prompt_tokens: int, window: int) -> int:
        limit = self.config.max_new_tokens_limit
        asked = request.max_new_tokens
        if asked is None:
            asked = max(1, min(DEFAULT_MAX_NEW_TOKENS, limit, window - prompt_tokens))
        elif asked > limit:
            raise InvalidRequestError(
                f"max_new_tokens={asked} is more than the limit of {limit} for {self.config.model}"
            )
        if prompt_tokens + asked > window:
            raise ContextOverflowError(
                prompt_tokens=prompt_tokens, new_tokens=asked, context_window=window
            )
        return asked


async def _prompt_ids(request: GenerationRequest, model: LocalModel) -> list[int]:
    if request.conversation is not None or request.response_format is not None:
        raise InvalidRequestError(
            "a model in this process takes a prompt and a constraint: render the conversation, or "
            "ask through agents.llm.dialogue, which does"
        )
    if request.prompt_ids is not None:
        prompt_ids = list(request.prompt_ids)
        _check_tokens(prompt_ids, model)
        return prompt_ids
    assert request.prompt is not None
    prompt_ids = await asyncio.to_thread(model.encode, request.prompt)
    if not prompt_ids:
        raise InvalidRequestError("the prompt is empty, and the model has no token to begin with")
    _check_tokens(prompt_ids, model)  # a tokenizer of another model knows others
    return prompt_ids


def _check_tokens(token_ids: Iterable[int], model: LocalModel) -> None:
    wrong = next((i for i in token_ids if i >= model.vocab_size), None)
    if wrong is not None:
        raise InvalidRequestError(f"the model has no token {wrong}, only {model.vocab_size}")
