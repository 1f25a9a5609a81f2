"""An engine on a server with OpenAI's API: Guildbus itself, vLLM, llama.cpp's server, Ollama.

It belongs to the loop that uses it first.
"""

import asyncio
import time
from functools import partial
from typing import Any

from agents.llm.engines.config import EngineConfig
from agents.llm.engines.constraint import Constraint
from agents.llm.engines.engine import Capabilities, Engine, EngineStats
from agents.llm.engines.errors import (
    EngineBusyError,
    EngineClosedError,
    LLMError,
    LLMInitializationError,
    as_inference_error,
)
from agents.llm.engines.generation import Channel, FinishReason, Generation
from agents.llm.engines.openai_errors import ServerOverflowError
from agents.llm.engines.openai_job import Job, ServerGeneration, canceller
from agents.llm.engines.openai_logprobs import Report
from agents.llm.engines.openai_options import openai_options
from agents.llm.engines.openai_payload import path_and_payload
from agents.llm.engines.openai_server import Server
from agents.llm.engines.request import GenerationRequest

_UNKNOWN_WINDOW = 2**31 - 1  # the server knows and refuses what is too long


def create(config: EngineConfig) -> Engine:
    """An engine for the server in the options; nothing is asked yet.

    Raises:
        LLMInitializationError: the options make no sense.
        MissingDependencyError: there is no httpx.
    """
    return OpenAIEngine(config)


class OpenAIEngine:
    """Asks a server; keeps `Engine`'s promises.

    What only a model in this process can do is refused: constraints, token ids as a prompt. The
    limits of the context are the server's: they end a generation with `InvalidRequestError` and do
    not refuse it at submit. Log-probabilities have the ids of tokens only where the server tells
    them, and what they spell always.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self._options = openai_options(config)
        self._server = Server(self._options, config.model)
        self._window = config.context_window
        self._is_loaded = False
        self._loading: asyncio.Task[None] | None = None
        self._is_closed = False
        self._turns: asyncio.Semaphore | None = None
        self._tasks: set[asyncio.Task[FinishReason]] = set()
        self._active = 0
        self._prompt_tokens = 0
        self._generated_tokens = 0

    async def load(self) -> None:
        """See whether the server answers and accepts the key.

        Raises:
            LLMInitializationError: it does not.
        """
        self._refuse_when_closed()
        if self._is_loaded:
            return
        if self._loading is None or self._loading.done():
            self._loading = asyncio.create_task(self._load())
            self._loading.add_done_callback(_retrieve)
        loading = self._loading
        try:
            await asyncio.shield(loading)  # others wait for it, too
        except asyncio.CancelledError:
            if loading.cancelled():  # by close
                self._refuse_when_closed()
            raise

    async def submit(
        self, request: GenerationRequest, constraint: Constraint | None = None
    ) -> Generation:
        submitted = time.monotonic()
        path, payload = path_and_payload(request, constraint, self.config, self._options)
        self._refuse_when_full()
        await self.load()
        self._refuse_when_closed()
        self._refuse_when_full()
        has_own_limit = request.max_new_tokens is not None
        tops = request.logprobs
        report = None if tops is None else Report(self.config.model, tops)
        job = Job(path, payload, request.deadline_s, Channel(), submitted, has_own_limit, report)
        task = asyncio.create_task(self._run(job))
        self._tasks.add(task)
        # The end is told by a callback: a task cancelled before its first step never runs.
        task.add_done_callback(partial(self._ended, job))
        return ServerGeneration(job.channel, canceller(task), job.counted)

    @property
    def capabilities(self) -> Capabilities:
        if not self._is_loaded:
            raise LLMInitializationError(f"{self.config.model} is not loaded yet: await load()")
        return Capabilities(
            model=self.config.model,
            backend=self.config.backend,
            device="remote",
            dtype="unknown",
            context_window=self._window or _UNKNOWN_WINDOW,
            vocab_size=0,
            max_new_tokens_limit=self.config.max_new_tokens_limit,
            takes_conversations=True,
        )

    @property
    def stats(self) -> EngineStats:
        return EngineStats(
            is_loaded=self._is_loaded and not self._is_closed,
            memory_bytes=0,
            active=self._active,
            queue_length=len(self._tasks) - self._active,
            prompt_tokens=self._prompt_tokens,
            generated_tokens=self._generated_tokens,
        )

    async def close(self) -> None:
        self._is_closed = True
        loading = [self._loading] if self._loading is not None else []
        tasks: list[asyncio.Task[Any]] = [*self._tasks, *loading]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._server.close()

    async def _load(self) -> None:
        self._server.open()
        if self._turns is None:
            self._turns = asyncio.Semaphore(self.config.max_active)
        try:
            told = await self._server.context_window()
        except LLMInitializationError:
            await self._server.close()
            raise
        except LLMError as error:
            await self._server.close()
            raise LLMInitializationError(str(error)) from error
        self._window = self._window or told
        self._is_loaded = True

    async def _run(self, job: Job) -> FinishReason:
        assert self._turns is not None
        try:
            async with asyncio.timeout(job.left_s()) as deadline, self._turns:
                job.admitted = time.monotonic()
                self._active += 1
                try:
                    await self._ask(job)
                finally:
                    self._active -= 1
        except TimeoutError:
            if deadline.expired():
                return FinishReason.DEADLINE
            raise
        if job.reason is None:
            raise self._server.reasonless()
        job.check_logprobs()
        return job.reason

    async def _ask(self, job: Job) -> None:
        """A limit that nobody set is 512 tokens, or what the window leaves: fewer, if they do not
        fit, as only the server can tell.
        """
        try:
            await self._server.answer(job.path, job.payload, job.take)
        except ServerOverflowError:
            if job.has_own_limit:
                raise
            await self._server.answer(job.path, job.unlimited(), job.take)

    def _ended(self, job: Job, task: "asyncio.Task[FinishReason]") -> None:
        self._tasks.discard(task)
        self._prompt_tokens += job.counted.prompt
        self._generated_tokens += job.counted.completion
        if task.cancelled():
            if self._is_closed:
                closed = f"{self.config.model}: the engine was closed during the generation"
                job.finish(FinishReason.ERROR, EngineClosedError(closed))
            else:
                job.finish(FinishReason.CANCELLED, None)
        elif (error := task.exception()) is not None:
            assert isinstance(error, Exception)
            job.finish(FinishReason.ERROR, as_inference_error(error))
        else:
            job.finish(task.result(), None)

    def _refuse_when_closed(self) -> None:
        if self._is_closed:
            raise EngineClosedError(f"{self.config.model}: the engine is closed")

    def _refuse_when_full(self) -> None:
        if len(self._tasks) >= self.config.max_active + self.config.max_queue:
            raise EngineBusyError(self.config.model, self.stats.queue_length)


def _retrieve(loading: "asyncio.Task[None]") -> None:
    """Log no failure that is no longer waited for: the next use tries again."""
    if not loading.cancelled():
        loading.exception()
