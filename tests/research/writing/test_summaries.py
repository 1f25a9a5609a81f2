"""The prose above a summary: words of a language model, and none of its numbers."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from agents.llm.engines import EngineConfig, ModelRegistry
from agents.research import ResearchToolkit
from agents.research.messages import SummariseModel
from agents.research.writing.client import LanguageModel
from agents.research.writing.settings import WritingProps
from agents.research.writing.summaries import summarise
from tests.llm.tiny_phi import save_tiny_phi
from tests.research.conftest import in_the_loop_of

pytestmark = pytest.mark.slow

MODEL = """
from torch import nn


class Net1(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.head = nn.Linear(144, 10)

    def forward(self, x):
        return self.head(self.conv(x).flatten(1))
"""
GOOD = "Net1 is a small convolutional network: a Conv2d, then a linear head with most weights."
LIES = (
    "It has 999 parameters and takes 12 FLOPs.",
    "It has seven million parameters.",
    "It has a Conv3d in it.",
    "It costs ９９ FLOPs.",  # noqa: RUF001  digits of other scripts are digits
    "",
    "word " * 400,
)
REQUEST = SummariseModel(
    model_script_path="summarised.py", model_class_name="Net1", input_size=(1, 1, 8, 8)
)


class Nobody:
    def emit(self, message: object, /) -> None:
        pass


class Desk(NamedTuple):
    kit: ResearchToolkit
    models: ModelRegistry

    async def summarise(self, llm: EngineConfig | None, **settings: Any) -> dict[str, Any]:
        properties = WritingProps(llm=llm, keeps_answers=False, **settings)
        jobs = self.kit._jobs
        client = LanguageModel(properties, self.models, jobs.files, remedy="")
        return await in_the_loop_of(self.kit, summarise(jobs, client, REQUEST, Nobody()))


@pytest.fixture(scope="module")
def desk(common_kit: ResearchToolkit, common_workspace: Path, models: ModelRegistry) -> Desk:
    (common_workspace / "summarised.py").write_text(MODEL)
    return Desk(common_kit, models)


def scripted(*replies: str) -> EngineConfig:
    return EngineConfig(model="script", backend="scripted", options={"replies": list(replies)})


async def test_prose_stands_above_the_table_and_changes_nothing_else(desk: Desk) -> None:
    counted = await desk.summarise(None)

    told = await desk.summarise(scripted(GOOD))

    assert told["prose"] == GOOD
    assert (told["generated_by"], told["attempts"]) == ("llm", 1)
    assert " ".join(told["summary_str"].split()).startswith(GOOD)
    assert told["summary_str"].endswith(counted["summary_str"])
    assert {key: told[key] for key in counted if key != "summary_str"} == {
        key: counted[key] for key in counted if key != "summary_str"
    }
    assert counted["total_params"] == 40 + 1450


@pytest.mark.parametrize("lie", LIES)
async def test_a_model_that_says_numbers_is_refused_and_no_number_changes(
    desk: Desk, lie: str
) -> None:
    counted = await desk.summarise(None)

    told = await desk.summarise(scripted(lie), attempts=1)

    assert told["prose"] == ""
    assert "the answer" in told["prose_problem"]
    assert told["summary_str"].startswith("(No prose: script was asked 1 times")
    assert told["summary_str"].endswith(counted["summary_str"])
    assert told["total_params"] == counted["total_params"]
    assert told["layer_details"] == counted["layer_details"]


async def test_it_is_asked_again_without_the_numbers(desk: Desk) -> None:
    told = await desk.summarise(scripted(LIES[0], LIES[1], GOOD))

    assert (told["prose"], told["attempts"]) == (GOOD, 3)


async def test_a_model_that_cannot_answer_takes_no_summary_away(desk: Desk) -> None:
    told = await desk.summarise(scripted())

    assert "the script has only 0 replies" in told["prose_problem"]
    assert told["total_params"] == 1490


async def test_a_random_model_is_kept_to_words(
    desk: Desk, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = save_tiny_phi(
        tmp_path_factory.mktemp("random"), corpus=["network layers"], context_window=4096
    )

    told = await desk.summarise(EngineConfig(model=str(folder)))

    assert told["wrote"] == "paragraph"
    assert told["prose"].endswith(".")
    assert not any(letter.isdigit() for letter in told["prose"])
