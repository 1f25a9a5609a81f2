"""Who writes a model: the compiler, or a language model where there are only words."""

import asyncio
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, Field, PositiveInt

from agents.llm.bus.failures import is_lasting
from agents.llm.chat import ChatMessage
from agents.llm.dialogue import Dialogue, Sampling, Usage
from agents.llm.dialogue.plan import constrainable
from agents.llm.dialogue.structure import CannotConstrainError
from agents.llm.engines import Engine, EngineConfig, LLMError, ModelRegistry
from agents.llm.parsing import Part, Text
from agents.research import tools
from agents.research.errors import (
    LanguageModelError,
    NoLanguageModelError,
    NoWorkingCodeError,
    WorkOverLimitError,
    WorkRefusedError,
)
from agents.research.jobs import TASK_CHARS, Audience, Done, Jobs
from agents.research.messages import AssembleModel, ModelAssembled
from guild import BaseAgentProps
from guild.progress import Progress, TextDelta
from messaging.logs import get_logger

_ASK = "agents.research.model_jobs:write_question"
_CHECK = "agents.research.model_jobs:check_answer"
_CHECK_S = 300.0  # code of a language model may run for ever
_IN_WORDS = "InexpressibleError"

log = get_logger()


class AssemblerProps(BaseAgentProps):
    """Who writes what the compiler cannot.

    Attributes:
        llm: the language model to ask; None refuses configs that need one.
        writes: `code` is a whole file, in words that nothing keeps in bounds. `auto` is a list of
            layers where the backend can be kept to one that fits and the shapes have one, which
            even a small model gets right; else code.
        attempts: how often it is asked for one model, the first time included.
        max_new_tokens: limit on each answer.
        temperature: 0 always takes the likeliest token.
    """

    llm: EngineConfig | None = None
    writes: Literal["auto", "code"] = "auto"
    attempts: PositiveInt = Field(default=3, le=20)
    max_new_tokens: PositiveInt = 1024
    temperature: float = Field(default=0.2, ge=0.0, le=2.0)
    seed: int = Field(default=0, ge=0)


class Writer:
    """Assembles models for the agent and for the toolkit.

    What the compiler can express, it compiles, and no language model is asked. Everything, whoever
    wrote it, passes the same gate before it gets its name.

    Args:
        remedy: what to do where a language model is needed and there is none.
    """

    def __init__(
        self, properties: AssemblerProps, jobs: Jobs, models: ModelRegistry, *, remedy: str
    ) -> None:
        self._properties = properties
        self._jobs = jobs
        self._models = models
        self._remedy = remedy

    async def assemble(self, request: AssembleModel, audience: Audience) -> ModelAssembled:
        """Write the file, or have it written.

        Raises:
            WorkRefusedError: the config is at fault; nothing is written.
            NoLanguageModelError: it needs a language model, and there is none.
            LanguageModelError: the language model could not be loaded, or did not answer.
            NoWorkingCodeError: nothing of what it wrote passed.
        """
        try:
            done = await tools.assemble(self._jobs, request, audience)
        except WorkRefusedError as error:
            if error.kind != _IN_WORDS:
                raise
            if self._properties.llm is None:
                raise NoLanguageModelError(
                    f"{error}; only a language model can turn that into code, and there is none: "
                    f"{self._remedy}, or say it in layers"
                ) from error
            return await self._ask(self._properties.llm, request, audience)
        return _assembled(done, generated_by="compiler", attempts=1)

    async def _ask(
        self, llm: EngineConfig, request: AssembleModel, audience: Audience
    ) -> ModelAssembled:
        try:
            async with self._models.lease(llm) as engine:
                is_free = self._properties.writes == "code" or not _keeps_to_forms(engine)
                asking = _Asking(self._properties, self._jobs, engine, request, audience)
                return await asking.until_it_works(is_free=is_free)
        except LLMError as error:
            raise LanguageModelError(
                llm.model, str(error), retryable=not is_lasting(error)
            ) from error


class _Asking(NamedTuple):
    """One model to be written by an engine."""

    properties: AssemblerProps
    jobs: Jobs
    engine: Engine
    request: AssembleModel
    audience: Audience

    async def until_it_works(self, *, is_free: bool) -> ModelAssembled:
        """Ask, check, and ask again with what the check said."""
        problem: str | None = None
        usage = Usage()
        for attempt in range(1, self.properties.attempts + 1):
            question = await self._question(problem, is_free=is_free)
            answer, cost = await self._answer(question, attempt)
            usage += cost
            wrote: Literal["layers", "code"] = "layers" if question["grammar"] else "code"
            try:
                done = await self._check(answer, wrote)
            except (WorkRefusedError, WorkOverLimitError) as error:
                problem = str(error)
                log.info("assembler.attempt_refused", number=attempt, problem=problem)
            else:
                return _assembled(
                    done, generated_by="llm", attempts=attempt, wrote=wrote, usage=usage
                )
        raise NoWorkingCodeError(
            f"{self.engine.capabilities.model} was asked {self.properties.attempts} times and "
            f"nothing it wrote passed; the last problem: {problem}",
            usage,
        )

    async def _question(self, problem: str | None, *, is_free: bool) -> Mapping[str, Any]:
        """What to ask, and the grammar to keep the answer to; written where PyTorch is."""
        payload = {"model_config": self.request.config, "problem": problem, "is_free": is_free}
        return (await self.jobs.run(_ASK, payload, _Nobody(), task="write the question")).result

    async def _answer(self, question: Mapping[str, Any], attempt: int) -> tuple[str, Usage]:
        """What the language model says, shown while it comes, and what that cost."""

        def show(part: Part) -> None:
            if isinstance(part, Text):
                self.audience.emit(TextDelta(text=part.text))

        sampling = Sampling(
            max_new_tokens=self.properties.max_new_tokens,
            temperature=self.properties.temperature,
            seed=self.properties.seed + attempt,  # the same again would fail the same way
        )
        grammar = question["grammar"] and await asyncio.to_thread(_grammar, question["grammar"])
        asking = Progress(
            task=f"ask {self.engine.capabilities.model}, attempt {attempt}"[:TASK_CHARS]
        )
        self.audience.emit(asking)
        dialogue = Dialogue(self.engine, sampling, grammar=grammar)
        asked = ChatMessage(role="user", content=question["prompt"])
        answer = await dialogue.answer([asked], show)
        told = f"{answer.usage.completion_tokens} tokens"
        self.audience.emit(asking.model_copy(update={"done": 1.0, "total": 1.0, "text": told}))
        return answer.parsed.text, answer.usage

    async def _check(self, answer: str, wrote: str) -> Done:
        payload = {**self.request.model_dump(), "answer": answer, "wrote": wrote}
        task = tools.assembling(self.request)
        return await self.jobs.run(_CHECK, payload, self.audience, task=task, timeout_s=_CHECK_S)


class _Nobody:
    """Is shown a job that takes no time."""

    def emit(self, message: BaseModel, /) -> None:
        pass


def _keeps_to_forms(engine: Engine) -> bool:
    try:
        constrainable(engine)
    except CannotConstrainError:
        return False
    return True


def _grammar(text: str) -> Any:
    from agents.llm.structured import grammar_of_lark  # noqa: PLC0415  needs llguidance

    return grammar_of_lark(text)


def _assembled(done: Done, **how: Any) -> ModelAssembled:
    return ModelAssembled(
        model_name=done.result["class_name"],
        script_path=done.result["path"],
        checks=tuple(done.result["checks"]),
        total_params=done.result["total_params"],
        output_shape=tuple(done.result["output_shape"]),
        **how,
    )
