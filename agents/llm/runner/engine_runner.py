"""Runners around the engines: plain calls here, an event loop in a thread behind them."""

from collections.abc import AsyncIterator, Iterator, Sequence

from agents.llm.blocking.engine import BlockingEngine
from agents.llm.chat import ChatMessage
from agents.llm.dialogue import Dialogue, Sampling
from agents.llm.engines import Engine, EngineConfig
from agents.llm.engines.factory import create_engine
from agents.llm.parsing import Part
from agents.llm.runner.base import BaseLLMRunner, Tools
from agents.llm.runner.openai_shape import Completion


class EngineRunner(BaseLLMRunner):
    """A runner whose model is one of the engines' backends."""

    backend = ""
    _blocking: BlockingEngine | None = None

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
        self._blocking = BlockingEngine(self._create_engine(), "llm-runner")

    def _free_model(self) -> None:
        blocking, self._blocking = self._running(), None
        blocking.close()

    def _model_bytes(self) -> int:
        return 0 if self._blocking is None else self._blocking.engine.stats.memory_bytes

    def _run_streaming(self, prompt: str, max_tokens: int, temperature: float) -> Iterator[str]:
        return self._continue(prompt, max_tokens, temperature)

    def _continue(self, prompt: str, max_tokens: int | None, temperature: float) -> Iterator[str]:
        blocking = self._running()
        request = self._sampling(max_tokens, temperature).request(prompt=prompt)

        async def pieces() -> AsyncIterator[str]:
            async with await blocking.engine.submit(request) as generation:
                async for piece in generation.text():
                    yield piece

        return blocking.iterate(pieces)

    def _chat(
        self,
        messages: Sequence[ChatMessage],
        max_tokens: int | None,
        temperature: float,
        tools: Tools,
    ) -> Iterator[Part | Completion]:
        blocking = self._running()
        dialogue = Dialogue(blocking.engine, self._sampling(max_tokens, temperature), tools=tools)

        async def parts() -> AsyncIterator[Part | Completion]:
            async with await dialogue.ask(messages) as answering:
                async for part in answering:
                    yield part
                answer = answering.answer
            yield Completion(answer.parsed, str(answer.finish_reason), answer.usage)

        return blocking.iterate(parts)

    def _sampling(self, max_tokens: int | None, temperature: float) -> Sampling:
        config = self.config
        return Sampling(top_p=config.top_p, top_k=config.top_k, seed=config.seed).but(
            stop=config.stop, max_new_tokens=max_tokens, temperature=temperature
        )

    def _running(self) -> BlockingEngine:
        assert self._blocking is not None
        return self._blocking


class TransformersRunner(EngineRunner):
    """A model that `save_pretrained` wrote, or one of the Hugging Face hub."""

    backend = "transformers"


class LlamaCppRunner(EngineRunner):
    """A GGUF file, with llama.cpp."""

    backend = "llamacpp"
