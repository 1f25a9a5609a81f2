"""A model by its path, in plain, blocking code: what all ways to run one have in common."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, overload

from pydantic import ValidationError

from agents._suggest import did_you_mean
from agents.llm.blocking.closing import Closing
from agents.llm.blocking.engine import BlockingEngine
from agents.llm.dialogue.plan import constrainable
from agents.llm.dialogue.sampling import Sampling
from agents.llm.dialogue.structure import budget, check_form, constraints
from agents.llm.engines import Constraint, EngineConfig, Event, Finished, create_engine
from agents.llm.engines.errors import (
    InvalidRequestError,
    LLMInferenceError,
    LLMInitializationError,
    problems_of,
)
from agents.llm.engines.loaded import LoadedTokenizer, loaded_tokenizer
from agents.llm.frontend.inference import Cancelling, Inference
from agents.llm.frontend.inference_kwargs import InferenceKwargs
from agents.llm.frontend.tokenizer import Messages, Tokenizer

if TYPE_CHECKING:
    from agents.llm.structured import Grammar
    from agents.llm.structured.structuring import StructuringEngine

Prompt = str | Sequence[int] | Messages


class Frontend(Closing):
    """Answers prompts with a model that is loaded at once; any thread may ask, many at a time.

    Args:
        model_path: what the backend knows the model by.
        device: auto, cpu, cuda, cuda:N or mps.
        options: other fields of `EngineConfig`, such as `dtype`, `context_window`, `max_active` and
            `options`.

    Raises:
        LLMInitializationError: it cannot be loaded, or an option makes no sense; says what to do.
    """

    backend = ""

    def __init__(self, model_path: str | Path, *, device: str = "auto", **options: Any) -> None:
        self.model_path = str(model_path)
        given = {"model": self.model_path, "backend": self.backend, "device": device, **options}
        self._blocking: BlockingEngine | None = None
        self._blocking = BlockingEngine(create_engine(_config(given)), "llm-frontend")
        loaded = loaded_tokenizer(self._blocking.engine)
        assert loaded is not None, "every backend here has a tokenizer"
        self._loaded = loaded
        decode = getattr(loaded.tokenizer, "decode", loaded.decode)
        self.tokenizer = Tokenizer(loaded.tokenizer, decode)

    def supports_reusing_prompt_cache(self) -> bool:
        """Whether keys and values of a prompt can be kept on disk, and used by the next process."""
        return False

    @overload
    def inference(
        self,
        prompt: str | Messages,
        engine: "StructuringEngine | None" = ...,
        *,
        output_type: Any = ...,
        **inference_kwargs: Any,
    ) -> Inference[str]: ...
    @overload
    def inference(
        self,
        prompt: Sequence[int],
        engine: "StructuringEngine | None" = ...,
        *,
        output_type: Any = ...,
        **inference_kwargs: Any,
    ) -> Inference[int]: ...
    def inference(
        self,
        prompt: Prompt,
        engine: "StructuringEngine | None" = None,
        *,
        output_type: Any = None,
        **inference_kwargs: Any,
    ) -> Inference[Any]:
        """The answer to a prompt, piece by piece: of tokens to tokens, of anything else to text.

        Args:
            prompt: a text or tokens (a tensor of them will do) to be continued as they are; or
                messages, which the model's chat template makes a prompt of.
            engine: keeps the answer to the structure that it was configured for.
            output_type: a pydantic type, JSON schema or `Grammar` to keep it to, in the place of
                an engine.
            inference_kwargs: see `InferenceKwargs`.

        Raises:
            InvalidRequestError: an inference_kwarg or the structure makes no sense. What else is
                wrong is raised by the iterator.
        """
        sampling = InferenceKwargs.of(inference_kwargs).sampling
        if engine is not None and output_type is not None:
            raise InvalidRequestError("give an engine or an output_type, not both")
        grammar = _grammar(engine, output_type)
        check_form(sampling.stop, grammar)
        prompt = _plain(prompt)
        is_tokens = not isinstance(prompt, str) and all(isinstance(part, int) for part in prompt)

        cancelling = Cancelling()

        async def events() -> AsyncIterator[Event]:
            asked, ids = await asyncio.to_thread(self._asked, prompt, is_tokens, grammar)
            constraint = await self._constraint(engine, grammar, sampling, len(ids))
            request = sampling.request(prompt_ids=ids, **asked)
            async with await self._running.engine.submit(request, constraint) as generation:
                cancelling.reach(generation.cancel)
                async for event in generation:
                    if isinstance(event, Finished) and event.error is not None:
                        raise event.error
                    yield event

        return Inference(
            self._running.iterate(events),
            _tokens if is_tokens else _text,
            self._running.engine.capabilities.context_window,
            cancelling.cancel,
            None if grammar is None else grammar.parse,
        )

    __call__ = inference

    def structuring_engine(self) -> "StructuringEngine":
        """A structuring engine that knows this model's tokens.

        Raises:
            VocabularyError: the tokenizer does not say what its tokens spell.
        """
        from agents.llm.structured import vocabulary_for  # noqa: PLC0415  needs llguidance
        from agents.llm.structured.structuring import StructuringEngine  # noqa: PLC0415  and torch

        ends = self._loaded.end_token_ids or None
        return StructuringEngine(vocabulary_for(self._loaded.tokenizer, ends))

    def close(self) -> None:
        """End what runs and free the model."""
        blocking, self._blocking = self._blocking, None
        if blocking is not None:
            blocking.close()

    @property
    def _running(self) -> BlockingEngine:
        if self._blocking is None:
            raise LLMInferenceError(f"the frontend of {self.model_path} is closed; make another")
        return self._blocking

    def _asked(
        self, prompt: Prompt, is_tokens: bool, grammar: "Grammar | None"
    ) -> tuple[dict[str, Any], tuple[int, ...]]:
        """The stop strings of the prompt's template, and its tokens."""
        if is_tokens:
            return {}, tuple(cast(Sequence[int], prompt))
        if isinstance(prompt, str):
            return {}, tuple(self._loaded.encode(prompt))
        rendered = self.tokenizer.render(cast(Messages, prompt))
        ids = rendered.ids or tuple(self._loaded.encode(rendered.text))
        return {"stop": () if grammar else rendered.stop}, ids

    async def _constraint(
        self,
        structuring: "StructuringEngine | None",
        grammar: "Grammar | None",
        sampling: Sampling,
        prompt_tokens: int,
    ) -> Constraint | None:
        if grammar is None:
            return None
        engine = self._running.engine
        loaded = constrainable(engine)
        limit = budget(engine, prompt_tokens, sampling.max_new_tokens)
        if structuring is None:
            make = await asyncio.to_thread(constraints, grammar, loaded, limit)
            return make()
        await asyncio.to_thread(_check_vocabulary, structuring, self._loaded)
        if sampling.max_new_tokens is None:
            limit = min(limit, structuring.max_new_tokens)
        return structuring.constraint(limit)


def _config(given: dict[str, Any]) -> EngineConfig:
    for name in given:
        if name not in EngineConfig.model_fields:
            hint = did_you_mean(name, EngineConfig.model_fields, otherwise="leave it out")
            if name in InferenceKwargs.model_fields:
                hint = "; it is for inference_kwargs"
            raise LLMInitializationError(f"a frontend has no option {name!r}{hint}")
    try:
        return EngineConfig.model_validate(given)
    except ValidationError as error:
        raise LLMInitializationError(f"the options: {problems_of(error)}") from None


def _plain(prompt: Any) -> Prompt:
    """The prompt, checked; of a tensor or an array, which has one row at most, its tokens."""
    prompt = _listed(prompt)
    if isinstance(prompt, bytes | bytearray) or not isinstance(prompt, Sequence):
        raise InvalidRequestError(
            f"the prompt is of the type {type(prompt).__name__}; give a text, tokens or messages"
        )
    if any(isinstance(part, bool) for part in prompt):
        raise InvalidRequestError("the prompt holds truth values, as a mask does; give its tokens")
    return cast(Prompt, prompt)


def _listed(prompt: Any) -> Any:
    if not hasattr(prompt, "tolist"):
        return prompt
    rows = prompt.tolist()
    if isinstance(rows, list) and rows and isinstance(rows[0], list):
        if len(rows) > 1:
            raise InvalidRequestError(
                f"the prompt has {len(rows)} rows; ask for each by itself, and they are answered "
                "together"
            )
        rows = rows[0]
    return rows


def _grammar(engine: "StructuringEngine | None", output_type: Any) -> "Grammar | None":
    if engine is not None:
        return engine.grammar
    if output_type is None:
        return None
    from agents.llm.structured import grammar_of  # noqa: PLC0415  needs llguidance

    return grammar_of(output_type)


def _check_vocabulary(structuring: "StructuringEngine", loaded: LoadedTokenizer) -> None:
    """Refuse an engine that was made for another model's tokens."""
    from agents.llm.structured import vocabulary_for  # noqa: PLC0415  needs llguidance

    own = vocabulary_for(loaded.tokenizer, loaded.end_token_ids or None)
    if structuring.vocabulary is not own and not own.spells_like(structuring.vocabulary):
        raise InvalidRequestError(
            "the structuring engine was made for another tokenizer; make it with this model's own"
        )


def _text(event: Event, _: int) -> tuple[str, ...]:
    return () if isinstance(event, Finished) or not event.text else (event.text,)


def _tokens(event: Event, taken: int) -> tuple[int, ...]:
    return event.token_ids[taken:] if isinstance(event, Finished) else event.token_ids
