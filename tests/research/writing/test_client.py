"""The language model inside the tools: asked, checked, asked again, and not asked twice."""

import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.llm.engines import EngineConfig, GenerationRequest, LLMInferenceError, ModelRegistry
from agents.llm.engines.local_engine import LocalEngine
from agents.llm.engines.scripted import Failure, Reply, ScriptedModel
from agents.research.errors import (
    LanguageModelError,
    NoLanguageModelError,
    NoWorkingCodeError,
    WorkRefusedError,
)
from agents.research.workspace.files import WorkspaceFiles
from agents.research.writing.client import (
    DRAWN_TEMPERATURE,
    RETRY_TEMPERATURE,
    LanguageModel,
)
from agents.research.writing.kept import FOLDER
from agents.research.writing.settings import WritingProps
from agents.research.writing.task import Form, Task, Written

CONFIG = EngineConfig(model="script", backend="scripted")


class Recording(ScriptedModel):
    """Keeps what it is asked."""

    def __init__(self, replies: Sequence[Reply]) -> None:
        super().__init__(replies)
        self.requests: list[GenerationRequest] = []
        self.prompts: list[str] = []

    def start(self, prompt_ids: Sequence[int], request: GenerationRequest, *rest: Any) -> Any:
        self.requests.append(request)
        self.prompts.append(self.decode(prompt_ids))
        return super().start(prompt_ids, request, *rest)


class Nobody:
    def emit(self, message: object, /) -> None:
        pass


class Desk:
    """A language model with a script, and a workspace."""

    def __init__(self, folder: Path, models: ModelRegistry, model: Recording) -> None:
        self.folder = folder
        self.model = model
        self._models = models

    async def write(
        self, question: str = "Say yes.", drawn_by: int | None = None, **settings: Any
    ) -> Written[str]:
        properties = WritingProps(**{"llm": CONFIG, **settings})
        files = WorkspaceFiles(self.folder)
        llm = LanguageModel(properties, self._models, files, remedy="set 'llm'")
        return await llm.write(replace(yes(question), drawn_by=drawn_by), Nobody())

    @property
    def kept(self) -> list[Path]:
        return sorted((self.folder / FOLDER).iterdir())


def yes(question: str) -> Task[str]:
    async def accept(answer: str) -> str:
        if "yes" not in answer:
            raise WorkRefusedError("AnswerError", f"{answer} is not yes")
        return answer.upper()

    return Task("a yes", [Form("word", question, accept)])


@pytest.fixture
async def desk(request: Any, tmp_path: Path) -> AsyncIterator[Desk]:
    model = Recording(request.param)
    async with ModelRegistry(create=lambda config: LocalEngine(config, lambda: model)) as models:
        yield Desk(tmp_path, models, model)


def replies(*texts: Reply) -> Any:
    return pytest.mark.parametrize("desk", [texts], indirect=True)


@replies("no", "never", "yes sir")
async def test_it_is_asked_until_an_answer_passes_and_told_what_was_wrong(desk: Desk) -> None:
    written = await desk.write()

    assert (written.value, written.wrote, written.attempts) == ("YES SIR", "word", 3)
    assert written.usage.completion_tokens == 7  # an end each
    first, second, third = desk.model.prompts
    assert "AnswerError" not in first
    assert "no is not yes" in second
    assert "never is not yes" in third
    assert all("Say yes." in prompt for prompt in desk.model.prompts)


@replies("no", "yes")
async def test_the_first_answer_is_the_likeliest_and_a_second_one_is_drawn(desk: Desk) -> None:
    await desk.write(seed=7)

    asked = [(request.temperature, request.seed) for request in desk.model.requests]
    assert asked == [(0.0, 8), (RETRY_TEMPERATURE, 9)]


@replies("yes", "yes again")
async def test_one_of_many_good_answers_is_drawn_and_another_seed_draws_anew(desk: Desk) -> None:
    first = await desk.write(drawn_by=3, seed=7)
    same = await desk.write(drawn_by=3, seed=7)
    other = await desk.write(drawn_by=4, seed=7)

    asked = [(request.temperature, request.seed) for request in desk.model.requests]
    assert asked == [(DRAWN_TEMPERATURE, 11), (DRAWN_TEMPERATURE, 12)]
    assert [first.value, same.value, other.value] == ["YES", "YES", "YES AGAIN"]


@replies("no", "no", "yes")
async def test_attempts_are_bounded_and_their_cost_is_told(desk: Desk) -> None:
    with pytest.raises(NoWorkingCodeError, match=r"asked 2 times for a yes .* no is not") as caught:
        await desk.write(attempts=2)

    assert caught.value.usage.completion_tokens == 4
    assert not (desk.folder / FOLDER).exists()


@replies("so many words that nobody reads them", "yes")
async def test_an_answer_that_was_cut_is_said_to_be(desk: Desk) -> None:
    await desk.write(max_new_tokens=3)

    assert "cut after 3 tokens" in desk.model.prompts[1]


@replies("yes")
async def test_the_same_question_is_asked_once(desk: Desk) -> None:
    first = await desk.write()
    again = await desk.write()

    assert (again.value, again.wrote) == (first.value, first.wrote)
    assert (again.attempts, again.usage.total_tokens) == (0, 0)
    assert len(desk.model.prompts) == len(desk.kept) == 1


@replies("yes", "yes again")
@pytest.mark.parametrize(
    "other",
    [
        {"question": "Say yes!"},
        {"seed": 1},
        {"temperature": 0.5},
        {"max_new_tokens": 9},
        {"keeps_answers": False},
        {"llm": CONFIG.model_copy(update={"context_window": 1000})},
    ],
)
async def test_another_question_is_asked(desk: Desk, other: dict[str, Any]) -> None:
    await desk.write()

    assert (await desk.write(**other)).attempts == 1


@replies("yes", "yes again")
async def test_a_model_whose_files_have_changed_is_asked_again(desk: Desk) -> None:
    weights = desk.folder / "model" / "weights"
    weights.parent.mkdir()
    weights.write_text("old")
    llm = CONFIG.model_copy(update={"model": str(weights.parent)})
    await desk.write(llm=llm)
    assert (await desk.write(llm=llm)).attempts == 0

    os.utime(weights, ns=(1, 1))

    assert (await desk.write(llm=llm)).attempts == 1


@replies("yes")
async def test_an_answer_that_cannot_be_kept_serves_once(desk: Desk) -> None:
    (desk.folder / FOLDER).parent.mkdir(parents=True)
    (desk.folder / FOLDER).touch()  # as if the disk were full

    assert (await desk.write()).value == "YES"


@replies("yes")
async def test_no_answer_is_kept_where_none_is_wanted(desk: Desk) -> None:
    await desk.write(keeps_answers=False)

    assert not (desk.folder / FOLDER).exists()


@replies("yes", "yes again")
@pytest.mark.parametrize("damage", ["", "{", '{"wrote": "word"}', b"\xff"])
async def test_a_kept_answer_that_is_damaged_is_replaced(desk: Desk, damage: str | bytes) -> None:
    await desk.write()
    desk.kept[0].write_bytes(damage.encode() if isinstance(damage, str) else damage)

    assert (await desk.write()).value == "YES AGAIN"
    assert (await desk.write()).attempts == 0


@replies("yes", "yes again")
async def test_a_kept_answer_that_passes_no_more_is_asked_for_anew(desk: Desk) -> None:
    await desk.write()
    kept = desk.kept[0]
    kept.write_text(kept.read_text().replace("yes", "no"))

    assert (await desk.write()).value == "YES AGAIN"


@replies(Failure(LLMInferenceError("the disk is gone")))
async def test_a_model_that_fails_is_named(desk: Desk) -> None:
    with pytest.raises(LanguageModelError, match=r"script: .*the disk is gone"):
        await desk.write()


@replies()
async def test_without_a_language_model_it_says_what_to_do(desk: Desk) -> None:
    with pytest.raises(NoLanguageModelError, match=r"can write a yes, .* set 'llm'"):
        await desk.write(llm=None)


async def test_a_guild_that_keeps_no_models_is_told_so(tmp_path: Path) -> None:
    files = WorkspaceFiles(tmp_path)
    llm = LanguageModel(WritingProps(llm=CONFIG), None, files, remedy="")

    with pytest.raises(NoLanguageModelError, match=r"a resource 'models' of the type llm\.models"):
        await llm.write(yes("Say yes."), Nobody())
