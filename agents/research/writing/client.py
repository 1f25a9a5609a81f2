"""The language model inside the tools: asked, checked, and asked again with what was wrong."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from agents.llm.bus.failures import is_lasting
from agents.llm.chat import ChatMessage
from agents.llm.dialogue import Answer, Dialogue, Sampling, Usage
from agents.llm.dialogue.plan import constrainable
from agents.llm.dialogue.structure import CannotConstrainError
from agents.llm.engines import (
    Engine,
    EngineConfig,
    FinishReason,
    LLMError,
    LLMInferenceError,
    ModelRegistry,
)
from agents.llm.parsing import Part, Text
from agents.research.errors import (
    LanguageModelError,
    NoLanguageModelError,
    NoWorkingCodeError,
    WorkOverLimitError,
    WorkRefusedError,
)
from agents.research.jobs import TASK_CHARS, Audience
from agents.research.workspace.files import WorkspaceFiles
from agents.research.writing.kept import KeptAnswer, KeptAnswers, key_of
from agents.research.writing.prompts import corrected
from agents.research.writing.settings import WritingProps
from agents.research.writing.task import Form, Task, Written
from guild.progress import Progress, TextDelta
from messaging.process.logs import get_logger

if TYPE_CHECKING:
    from agents.llm.structured import Grammar

T = TypeVar("T")

RETRY_TEMPERATURE = 0.4
DRAWN_TEMPERATURE = 1.0  # the model's own probabilities

log = get_logger()


class LanguageModel:
    """The language model that writes for tools; None of `properties.llm` refuses to.

    Args:
        models: where it is leased; None where there is no such resource.
        files: the workspace, which keeps the answers that passed.
        remedy: what to do where there is none.
    """

    def __init__(
        self,
        properties: WritingProps,
        models: ModelRegistry | None,
        files: WorkspaceFiles,
        *,
        remedy: str,
    ) -> None:
        self.properties = properties
        self.remedy = remedy
        self._models = models
        self._kept = KeptAnswers(files)

    @property
    def is_there(self) -> bool:
        return self.properties.llm is not None

    async def write(self, task: Task[T], audience: Audience) -> Written[T]:
        """Have the language model write what passes the checks of `task`.

        An answer to the same question that passed before serves again when it still passes.

        Raises:
            NoLanguageModelError: there is none.
            LanguageModelError: it could not be loaded, or did not answer.
            NoWorkingCodeError: nothing of what it wrote passed.
        """
        llm, models = self._required(task.what)
        properties = _drawing(self.properties, task.drawn_by)
        key = await asyncio.to_thread(key_of, llm, properties, task)
        if properties.keeps_answers and (written := await self._again(key, task)):
            return written
        try:
            async with models.lease(llm) as engine:
                form = _form_for(engine, task)
                written, answer = await _Asking(properties, engine, form, audience).write(task)
        except LLMError as error:
            retryable = not is_lasting(error)
            raise LanguageModelError(llm.model, str(error), retryable=retryable) from error
        if properties.keeps_answers:
            kept = KeptAnswer(
                wrote=written.wrote, answer=answer, model=llm.model, attempts=written.attempts
            )
            await asyncio.to_thread(self._kept.put, key, kept)
        return written

    def _required(self, what: str) -> tuple[EngineConfig, ModelRegistry]:
        llm = self.properties.llm
        if llm is None:
            raise NoLanguageModelError(
                f"only a language model can write {what}, and there is none: {self.remedy}"
            )
        if self._models is None:
            raise NoLanguageModelError(
                f"{llm.model} cannot write {what}: nothing here keeps language models; give the "
                "guild a resource 'models' of the type llm.models"
            )
        return llm, self._models

    async def _again(self, key: str, task: Task[T]) -> Written[T] | None:
        """What an answer from before gives; None where there is none that still passes."""
        kept = await asyncio.to_thread(self._kept.get, key)
        form = next((form for form in task.forms if kept and form.wrote == kept.wrote), None)
        if kept is None or form is None:
            return None
        try:
            return Written(await form.accept(kept.answer), kept.wrote, 0, Usage())
        except (WorkRefusedError, WorkOverLimitError) as error:
            log.info("writing.kept_answer_refused", what=task.what, problem=str(error))
            return None


class _Asking(NamedTuple):
    """One thing to be written by an engine, in one form."""

    properties: WritingProps
    engine: Engine
    form: Form[Any]
    audience: Audience

    async def write(self, task: Task[T]) -> tuple[Written[T], str]:
        """Ask, check, and ask again with what was wrong; return the answer that passed, too."""
        problem: str | None = None
        usage = Usage()
        for attempt in range(1, self.properties.attempts + 1):
            try:
                answer = await self._answer(attempt, problem)
            except LLMInferenceError as error:
                if not self._is_about_form(error):
                    raise
                problem = str(error)
                continue
            usage += answer.usage
            try:
                value: T = await self.form.accept(answer.parsed.text)
            except (WorkRefusedError, WorkOverLimitError) as error:
                problem = f"{error}{_cut(answer)}"
                log.info("writing.attempt_refused", what=task.what, number=attempt, problem=problem)
            else:
                return Written(value, self.form.wrote, attempt, usage), answer.parsed.text
        raise NoWorkingCodeError(
            f"{self.engine.capabilities.model} was asked {self.properties.attempts} times for "
            f"{task.what} and nothing it wrote passed; the last problem: {problem}",
            usage,
        )

    async def _answer(self, attempt: int, problem: str | None) -> Answer:
        """What the language model says, shown while it comes."""

        def show(part: Part) -> None:
            if isinstance(part, Text):
                self.audience.emit(TextDelta(text=part.text))

        asked = self.form.prompt if problem is None else corrected(self.form.prompt, problem)
        sampling = Sampling(
            max_new_tokens=self.properties.max_new_tokens,
            temperature=self._temperature(attempt),
            seed=self.properties.seed + attempt,  # the same again would fail the same way
        )
        grammar = await asyncio.to_thread(_grammar, self.form.structure)
        asking = Progress(
            task=f"ask {self.engine.capabilities.model}, attempt {attempt}"[:TASK_CHARS]
        )
        self.audience.emit(asking)
        dialogue = Dialogue(self.engine, sampling, grammar=grammar)
        answer = await dialogue.answer([ChatMessage(role="user", content=asked)], show)
        told = f"{answer.usage.completion_tokens} tokens"
        self.audience.emit(asking.model_copy(update={"done": 1.0, "total": 1.0, "text": told}))
        return answer

    def _is_about_form(self, error: LLMInferenceError) -> bool:
        """Whether there was an answer that a server did not keep in form; its cost is not known."""
        if self.form.structure is None:
            return False
        from agents.llm.structured import ResultError  # noqa: PLC0415  needs llguidance

        return isinstance(error, ResultError)

    def _temperature(self, attempt: int) -> float:
        asked = self.properties.temperature
        return asked if attempt == 1 else max(asked, RETRY_TEMPERATURE)


def _drawing(properties: WritingProps, seed: int | None) -> WritingProps:
    if seed is None:
        return properties
    temperature = max(properties.temperature, DRAWN_TEMPERATURE)
    return properties.model_copy(
        update={"temperature": temperature, "seed": properties.seed + seed}
    )


def _form_for(engine: Engine, task: Task[T]) -> Form[T]:
    return next(form for form in task.forms if _can_keep_to(form.structure, engine))


def _can_keep_to(structure: Mapping[str, Any] | str | None, engine: Engine) -> bool:
    if structure is None:
        return True
    if engine.capabilities.takes_conversations:  # a server: many know schemas, few know Lark
        return not isinstance(structure, str)
    try:
        constrainable(engine)
    except CannotConstrainError:
        return False
    return True


def _grammar(structure: Mapping[str, Any] | str | None) -> "Grammar | None":
    if structure is None:
        return None
    from agents.llm.structured import (  # noqa: PLC0415  needs llguidance
        grammar_of_lark,
        grammar_of_schema,
    )

    if isinstance(structure, str):
        return grammar_of_lark(structure)
    return grammar_of_schema(structure)


def _cut(answer: Answer) -> str:
    if answer.finish_reason is not FinishReason.LENGTH:
        return ""
    tokens = answer.usage.completion_tokens
    return f"; the answer was cut after {tokens} tokens, the limit of it or of the context window"
