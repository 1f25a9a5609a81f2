"""Runners around the engines: plain calls here, an event loop in a thread behind them."""

import queue
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from agents.llm.chat import ChatMessage
from agents.llm.dialogue import Dialogue, Sampling
from agents.llm.engines import Engine, EngineConfig
from agents.llm.engines.errors import MissingDependencyError, UnknownBackendError
from agents.llm.engines.factory import create_engine
from agents.llm.parsing import Part
from agents.llm.runner.base import BaseLLMRunner, Tools
from agents.llm.runner.openai_shape import Completion
from guild.sync import BackgroundLoop

_END = object()


class EngineRunner(BaseLLMRunner):
    """A runner whose model is one of the engines' backends."""

    backend = ""
    _engine: Engine | None = None
    _loop: BackgroundLoop | None = None

    def _engine_config(self) -> EngineConfig:
        config = self.config
        return EngineConfig(
            model=config.model_path,
            backend=self.backend,
            device=str(config.device),
            dtype=config.torch_dtype,
            context_window=config.context_window,
            trust_remote_code=config.trust_remote_code,
            options=config.options,
        )

    def _create_engine(self) -> Engine:
        return create_engine(self._engine_config())

    def _initialize_model(self) -> None:
        engine = self._create_engine()
        loop = BackgroundLoop("llm-runner")
        try:
            loop.run(engine.load())
        except BaseException:
            loop.run(engine.close())
            loop.close()
            raise
        self._engine, self._loop = engine, loop

    def _free_model(self) -> None:
        engine, loop = self._running()
        self._engine = self._loop = None
        try:
            loop.run(engine.close())
        finally:
            loop.close()

    def _model_bytes(self) -> int:
        return 0 if self._engine is None else self._engine.stats.memory_bytes

    def _run_streaming(self, prompt: str, max_tokens: int, temperature: float) -> Iterator[str]:
        engine, _ = self._running()
        request = self._sampling(max_tokens, temperature).request(prompt=prompt)

        async def pieces() -> AsyncIterator[str]:
            async with await engine.submit(request) as generation:
                async for piece in generation.text():
                    yield piece

        return self._iterate(pieces)

    def _chat(
        self, messages: Sequence[ChatMessage], max_tokens: int, temperature: float, tools: Tools
    ) -> Iterator[Part | Completion]:
        engine, _ = self._running()
        dialogue = Dialogue(engine, self._sampling(max_tokens, temperature), tools=tools)

        async def parts() -> AsyncIterator[Part | Completion]:
            async with await dialogue.ask(messages) as answering:
                async for part in answering:
                    yield part
                answer = answering.answer
            yield Completion(answer.parsed, str(answer.finish_reason), answer.usage)

        return self._iterate(parts)

    def _sampling(self, max_tokens: int, temperature: float) -> Sampling:
        config = self.config
        return Sampling(top_p=config.top_p, top_k=config.top_k, seed=config.seed).but(
            stop=config.stop, max_new_tokens=max_tokens, temperature=temperature
        )

    def _running(self) -> tuple[Engine, BackgroundLoop]:
        assert self._engine is not None
        assert self._loop is not None
        return self._engine, self._loop

    def _iterate(self, items: Callable[[], AsyncIterator[Any]]) -> Iterator[Any]:
        """The items that come on the loop; closing the iterator cancels there."""
        _, loop = self._running()
        arrived: queue.SimpleQueue[Any] = queue.SimpleQueue()

        async def follow() -> None:
            try:
                async for item in items():
                    arrived.put(item)
            finally:
                arrived.put(_END)

        following = loop.start(follow())
        try:
            while (item := arrived.get()) is not _END:
                yield item
            following.result()
        finally:
            following.cancel()


class TransformersRunner(EngineRunner):
    """A model that `save_pretrained` wrote, or one of the Hugging Face hub."""

    backend = "transformers"


class LlamaCppRunner(EngineRunner):
    """A GGUF file, with llama.cpp."""

    backend = "llamacpp"

    def _create_engine(self) -> Engine:
        try:
            return super()._create_engine()
        except UnknownBackendError as error:
            raise MissingDependencyError(
                "the runner for llama.cpp needs its backend: pip install 'guildbus[llamacpp]'"
            ) from error
