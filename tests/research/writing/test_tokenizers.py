"""Advice on tokenizers: whose it is, and that a training takes what its config does not say."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from agents.llm.engines import EngineConfig, ModelRegistry
from agents.research import ResearchToolkit
from agents.research.errors import OutsideWorkspaceError, WorkRefusedError
from agents.research.jobs import Jobs
from agents.research.messages import AdviseTokenizer, ManageTokenizer, TokenizerAdvised
from agents.research.writing.client import LanguageModel
from agents.research.writing.settings import WritingProps
from agents.research.writing.tokenizers import advise, manage_tokenizer
from tests.llm.tiny_phi import save_tiny_phi
from tests.research.conftest import in_the_loop_of

pytestmark = pytest.mark.slow

CORPUS = "advised.txt"
TEXT = "low lower lowest and some more words\n" * 1_000
CHOICE = {"type": "WordPiece", "vocab_size": 512, "reason": "words repeat"}


class Nobody:
    def emit(self, message: object, /) -> None:
        pass


class Desk(NamedTuple):
    kit: ResearchToolkit
    models: ModelRegistry

    @property
    def jobs(self) -> Jobs:
        return self.kit._jobs

    def _client(self, llm: EngineConfig | None, attempts: int) -> LanguageModel:
        properties = WritingProps(llm=llm, attempts=attempts)
        return LanguageModel(properties, self.models, self.jobs.files, remedy="")

    async def advise(
        self, llm: EngineConfig | None = None, *, attempts: int = 1, **asked: Any
    ) -> TokenizerAdvised:
        request = AdviseTokenizer(**{"data_files": (CORPUS,), **asked})
        work = advise(self.jobs, self._client(llm, attempts), request, Nobody())
        return await in_the_loop_of(self.kit, work)

    async def train(self, llm: EngineConfig | None = None, **config: Any) -> dict[str, Any]:
        request = ManageTokenizer(
            action="train", tokenizer_name="low", config={"data_files": [CORPUS], **config}
        )
        work = manage_tokenizer(self.jobs, self._client(llm, 1), request, Nobody())
        return (await in_the_loop_of(self.kit, work)).result


@pytest.fixture(scope="module")
def desk(common_kit: ResearchToolkit, common_workspace: Path, models: ModelRegistry) -> Desk:
    (common_workspace / CORPUS).write_text(TEXT)
    return Desk(common_kit, models)


def scripted(*replies: object) -> EngineConfig:
    texts = [reply if isinstance(reply, str) else json.dumps(reply) for reply in replies]
    return EngineConfig(model="script", backend="scripted", options={"replies": texts})


async def test_without_a_language_model_it_is_arithmetic_and_says_so(desk: Desk) -> None:
    advice = await desk.advise()

    assert (advice.type, advice.generated_by, advice.attempts) == ("BPE", "arithmetic", 0)
    assert advice.vocab_size == 384
    assert "bytes" in advice.reasons[0]
    assert advice.facts["mean_word_chars"] == 4.29
    assert advice.facts["distinct_words"] == 7


async def test_a_language_model_chooses_and_arithmetic_stands_beside_it(desk: Desk) -> None:
    advice = await desk.advise(scripted(f"Well:\n```json\n{json.dumps(CHOICE)}\n```"))

    assert (advice.type, advice.vocab_size, advice.generated_by) == ("WordPiece", 512, "llm")
    assert advice.reasons[0] == "words repeat"
    assert advice.reasons[1].startswith("by arithmetic: BPE")
    assert advice.attempts == 1
    assert advice.usage is not None


@pytest.mark.parametrize(
    "wrong",
    [
        "BPE, I think.",
        CHOICE | {"vocab_size": 100},
        CHOICE | {"type": "Unigram"},
        CHOICE | {"reason": ""},
        CHOICE | {"lr": 1},
    ],
)
async def test_what_is_no_advice_is_asked_for_again(desk: Desk, wrong: object) -> None:
    advice = await desk.advise(scripted(wrong, CHOICE), attempts=2)

    assert (advice.generated_by, advice.attempts) == ("llm", 2)


async def test_a_model_without_advice_leaves_arithmetic_s_and_is_told_of(desk: Desk) -> None:
    advice = await desk.advise(scripted("A poem."))

    assert (advice.generated_by, advice.vocab_size) == ("arithmetic", 384)
    assert "the language model gave no advice: script was asked 1 times" in advice.reasons[-1]


async def test_a_random_model_gives_advice_that_can_be_trained(
    desk: Desk, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = save_tiny_phi(
        tmp_path_factory.mktemp("random"), corpus=[json.dumps(CHOICE)], context_window=4096
    )
    llm = EngineConfig(model=str(folder))

    trained = await desk.train(llm)

    assert trained["advice"]["generated_by"] == "llm"
    assert trained["vocab_size"] <= trained["advice"]["vocab_size"]


@pytest.mark.parametrize(
    ("config", "size"), [({}, 384), ({"type": "CharLevel"}, 18), ({"vocab_size": 300}, 300)]
)
async def test_a_training_takes_what_its_config_does_not_say_and_no_more(
    desk: Desk, config: dict[str, Any], size: int
) -> None:
    trained = await desk.train(**config)

    assert trained["vocab_size"] <= size
    assert trained["advice"]["generated_by"] == "arithmetic"
    assert config.get("type", trained["advice"]["type"]) == trained["advice"]["type"]


async def test_a_config_that_says_all_costs_no_tokens(desk: Desk) -> None:
    trained = await desk.train(scripted(), type="BPE", vocab_size=300)

    assert "advice" not in trained


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"type": "Unigram"}, "type: "),
        ({"data_files": []}, "data_files: "),
        ({"data_files": ["gone.txt"]}, "gone.txt"),
        ({"special_tokens": ["[A]", "[A]"]}, "there twice"),
    ],
)
async def test_a_wrong_config_is_refused_by_name(
    desk: Desk, config: dict[str, Any], told: str
) -> None:
    with pytest.raises(WorkRefusedError, match=told):
        await desk.train(**config)


async def test_files_outside_the_workspace_are_not_read(desk: Desk) -> None:
    with pytest.raises(OutsideWorkspaceError, match="data_files"):
        await desk.advise(data_files=("/etc/passwd",))
