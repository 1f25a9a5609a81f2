"""A real small model behind every task of the tools."""

from collections.abc import Iterator

import pytest

from agents.llm.engines import EngineConfig
from agents.llm.models import ModelUnavailableError, fetch_model
from agents.research import ResearchToolkit
from tests.research.optimizers.test_configurator import IN_WORDS, WITH_ARGUMENT, constructor
from tests.servers import missing

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(1200)]

SMOLLM2 = EngineConfig(model="smollm2", backend="llamacpp", options={"threads": 2})
MODEL = {
    "model_name": "Wordy",
    "description": "a small convolutional classifier of digits",
    "input_shape": [1, 8, 8],
    "output_shape": [10],
}
QUICK = {"dataset": "digits", "num_classes": 10, "epochs": 2, "metrics": ["accuracy"]}


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ResearchToolkit]:
    try:
        fetch_model(SMOLLM2.model)
    except ModelUnavailableError as error:
        missing(str(error))
    workspace = tmp_path_factory.mktemp("workspace")
    (workspace / "corpus.txt").write_text("low lower lowest and some more words\n" * 1_000)
    with ResearchToolkit(workspace=workspace, llm=SMOLLM2) as opened:
        yield opened


@pytest.fixture(scope="module")
def script(kit: ResearchToolkit) -> str:
    made = kit.assemble(MODEL, "wordy.py")
    assert (made.wrote, made.attempts) == ("layers", 1)
    return made.script_path


@pytest.mark.parametrize(
    ("name", "details", "argument"),
    [
        ("MomentumAdam", WITH_ARGUMENT, "nesterov_momentum"),
        ("FocalAdam", IN_WORDS, "focal_weight_decay"),
    ],
)
def test_it_puts_together_both_optimizers_of_the_document(
    kit: ResearchToolkit, script: str, name: str, details: dict[str, object], argument: str
) -> None:
    path = f"src/optimizers/{name}.py"

    done = kit.pytorch_optimizer_configurator("register_custom_optimizer", name, details, path)

    source = kit.read_file(path)
    assert (done["wrote"], done["attempts"]) == ("rule", 1)
    assert argument in constructor(source, name)
    trained = kit.pytorch_quick_evaluator(script, "Wordy", QUICK | {"optimizer": name})
    assert trained["metrics"]["accuracy"] > 0.2


def test_it_describes_a_model_without_numbers(kit: ResearchToolkit, script: str) -> None:
    summary = kit.pytorch_model_summary(script, "Wordy", (1, 1, 8, 8))

    assert summary["prose"]
    assert not any(letter.isdigit() for letter in summary["prose"])


def test_it_advises_on_a_tokenizer(kit: ResearchToolkit) -> None:
    advice = kit.advise_tokenizer(["corpus.txt"])

    assert advice.generated_by == "llm"
