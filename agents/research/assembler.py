"""The assembler agent: model configs to code, by the compiler or by a language model."""

from typing import Literal

from pydantic import Field, PositiveInt

from agents.llm.engines import (
    EngineConfig,
    GenerationRequest,
    LLMError,
    LLMInitializationError,
    ModelRegistry,
)
from agents.llm.engines.errors import InvalidRequestError
from agents.research import tools
from agents.research.errors import (
    LanguageModelError,
    NoLanguageModelError,
    NoWorkingCodeError,
    WorkRefusedError,
)
from agents.research.jobs import Done, Jobs
from agents.research.messages import (
    AssembleModel,
    ModelAssembled,
    ModelSummarised,
    SummariseModel,
)
from guild import Agent, BaseAgentProps, Context, handles
from guild.progress import Progress, TextDelta

_PROMPT = "agents.research.model_jobs:write_prompt"
_CHECK = "agents.research.model_jobs:check_answer"
_IN_WORDS = "InexpressibleError"


class AssemblerProps(BaseAgentProps):
    """Who writes what the compiler cannot.

    Attributes:
        llm: the language model to ask; None refuses configs that need one.
        attempts: how often it is asked for one model, the first time included.
        max_new_tokens: limit on each answer.
        temperature: 0 always takes the likeliest token.
    """

    llm: EngineConfig | None = None
    attempts: PositiveInt = Field(default=3, le=20)
    max_new_tokens: PositiveInt = 1024
    temperature: float = Field(default=0.2, ge=0.0, le=2.0)
    seed: int = Field(default=0, ge=0)


class AssemblerAgent(Agent[AssemblerProps]):
    """Writes the code of a model and says who wrote it, or what is wrong with the config.

    What the compiler can express, it compiles: no language model is asked. Everything, whoever
    wrote it, passes the same gate before it gets its name.
    """

    extra = "research"
    requires = ("torch",)

    def __init__(self, properties: AssemblerProps, jobs: Jobs, models: ModelRegistry) -> None:
        super().__init__(properties)
        self._jobs = jobs
        self._models = models

    @handles(emits=[Progress, TextDelta])
    async def assemble(self, request: AssembleModel, ctx: Context) -> ModelAssembled:
        try:
            done = await tools.assemble(self._jobs, request, ctx)
        except WorkRefusedError as error:
            if error.kind != _IN_WORDS:
                raise
            return await self._ask(request, ctx, error)
        return _assembled(done, "compiler", attempts=1)

    @handles(emits=[Progress])
    async def summarise(self, request: SummariseModel, ctx: Context) -> ModelSummarised:
        done = await tools.summarise(self._jobs, request, ctx)
        return ModelSummarised.model_validate(
            {name: done.result[name] for name in ModelSummarised.model_fields}
        )

    async def _ask(
        self, request: AssembleModel, ctx: Context, reason: WorkRefusedError
    ) -> ModelAssembled:
        """Have the language model write it, showing it what the gate said, until it passes."""
        if self.properties.llm is None:
            raise NoLanguageModelError(
                f"{reason}; only a language model can turn that into code, and this agent has "
                "none: set its property 'llm', or say it in layers"
            ) from reason
        problem: str | None = None
        for attempt in range(1, self.properties.attempts + 1):
            answer = await self._write(self.properties.llm, request, problem, attempt, ctx)
            payload = {**request.model_dump(), "answer": answer}
            try:
                done = await self._jobs.run(_CHECK, payload, ctx, task=tools.assembling(request))
            except WorkRefusedError as error:
                problem = str(error)
                ctx.log.info("assembler.attempt_refused", number=attempt, problem=problem)
            else:
                return _assembled(done, "llm", attempts=attempt)
        raise NoWorkingCodeError(
            f"{self.properties.llm.model} was asked {self.properties.attempts} times and nothing "
            f"it wrote passed; the last problem: {problem}"
        )

    async def _write(
        self,
        llm: EngineConfig,
        request: AssembleModel,
        problem: str | None,
        attempt: int,
        ctx: Context,
    ) -> str:
        """What the language model answers, shown while it comes."""
        task = f"ask {llm.model} for code, attempt {attempt}"
        payload = {"model_config": request.config, "problem": problem}
        prompt = (await self._jobs.run(_PROMPT, payload, ctx, task=task)).result["prompt"]
        generation_request = GenerationRequest(
            prompt=prompt,
            max_new_tokens=self.properties.max_new_tokens,
            temperature=self.properties.temperature,
            seed=self.properties.seed + attempt,  # the same again would fail the same way
        )
        try:
            async with (
                self._models.lease(llm) as engine,
                await engine.submit(generation_request) as generation,
            ):
                async for piece in generation.text():
                    ctx.emit(TextDelta(text=piece))
                return (await generation.result()).text
        except LLMError as error:
            is_lasting = isinstance(error, InvalidRequestError | LLMInitializationError)
            raise LanguageModelError(llm.model, str(error), retryable=not is_lasting) from error


def _assembled(done: Done, author: Literal["compiler", "llm"], *, attempts: int) -> ModelAssembled:
    return ModelAssembled(
        model_name=done.result["class_name"],
        script_path=done.result["path"],
        generated_by=author,
        attempts=attempts,
        checks=tuple(done.result["checks"]),
        total_params=done.result["total_params"],
        output_shape=tuple(done.result["output_shape"]),
    )
