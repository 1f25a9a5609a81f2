"""The toolkit with a language model: what it writes, how often it is asked, what is refused."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from agents.llm.engines import EngineConfig, ModelRegistry
from agents.research import ResearchToolkit
from agents.research.errors import (
    LanguageModelError,
    NoWorkingCodeError,
    WorkRefusedError,
)
from agents.research.writing.settings import WritingProps
from guild.progress import Progress
from tests.llm.tiny_phi import save_tiny_phi

pytestmark = pytest.mark.slow

GOOD = """```python
from torch import nn


class Wordy(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

    def forward(self, x):
        return self.net(x)
```"""
WRONG_SHAPE = GOOD.replace("64, 10", "64, 9")
ENDLESS = GOOD.replace("from torch import nn", "import time\nwhile True:\n    time.sleep(1)")
NO_CODE = "I would rather write a poem."
WORDY = {
    "model_name": "Wordy",
    "description": "a small classifier of digits",
    "input_shape": [1, 8, 8],
    "output_shape": [10],
}
PLAIN = {"model_name": "Plain", "input_shape": [8], "layers": [{"type": "ReLU"}]}
LISTS = [  # so that a small vocabulary has tokens for them
    json.dumps([{"type": name, "params": {"out_channels": 16, "kernel_size": 3, "padding": 1}}])
    for name in ("Conv2d", "MaxPool2d", "Residual", "BatchNorm2d", "AdaptiveAvgPool2d")
]


def scripted(*replies: str) -> EngineConfig:
    options = {"replies": list(replies)}
    return EngineConfig(model="script", backend="scripted", options=options)


@pytest.fixture(scope="module")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("random")
    return save_tiny_phi(folder, corpus=LISTS, context_window=4096)


@pytest.fixture
def kit(
    request: Any,
    common_kit: ResearchToolkit,
    models: ModelRegistry,
    monkeypatch: pytest.MonkeyPatch,
) -> ResearchToolkit:
    """With the language model of the test's parameter."""
    monkeypatch.setattr(common_kit._llm, "_models", models)
    return told_by(request.param, common_kit, monkeypatch)


@pytest.fixture
def mute(common_kit: ResearchToolkit, monkeypatch: pytest.MonkeyPatch) -> ResearchToolkit:
    """Its language model fails as soon as it is asked."""
    return told_by(scripted(), common_kit, monkeypatch)


def told_by(
    llm: EngineConfig | WritingProps, kit: ResearchToolkit, monkeypatch: pytest.MonkeyPatch
) -> ResearchToolkit:
    settings = llm if isinstance(llm, WritingProps) else WritingProps(llm=llm)
    monkeypatch.setattr(kit._llm, "properties", settings)
    return kit


@pytest.mark.parametrize("kit", [scripted(NO_CODE, WRONG_SHAPE, GOOD)], indirect=True)
def test_a_language_model_is_asked_until_its_code_passes(
    kit: ResearchToolkit, common_workspace: Path, common_progress: list[Progress]
) -> None:
    common_progress.clear()

    made = kit.assemble(WORDY, "models/wordy.py")

    assert (made.generated_by, made.wrote, made.attempts) == ("llm", "code", 3)
    assert made.usage is not None
    assert made.usage.completion_tokens > made.attempts
    assert made.output_shape == (10,)
    assert "nn.Linear(64, 10)" in (common_workspace / "models/wordy.py").read_text()
    asked = [item for item in common_progress if item.task.startswith("ask script, attempt ")]
    assert [item.is_over for item in asked] == [False, True] * 3
    assert asked[1].text == "7 tokens"


@pytest.mark.parametrize("kit", [scripted(GOOD)], indirect=True)
async def test_the_tool_of_the_document_asks_too_though_a_loop_runs_here(
    kit: ResearchToolkit, common_workspace: Path
) -> None:
    kit.pytorch_model_assembler(model_config=WORDY, output_script_path="asked.py")

    assert "class Wordy" in (common_workspace / "asked.py").read_text()


def test_what_the_compiler_can_express_costs_no_tokens(mute: ResearchToolkit) -> None:
    made = mute.assemble(PLAIN, "plain.py")

    assert (made.generated_by, made.wrote, made.usage) == ("compiler", None, None)


@pytest.mark.parametrize(
    ("key", "value"),
    [("model_name", None), ("input_shape", None), ("vocab_size", "many"), ("output_shape", [0])],
)
def test_a_config_that_nothing_could_be_held_against_is_refused_before_anybody_is_asked(
    mute: ResearchToolkit, key: str, value: Any
) -> None:
    with pytest.raises(WorkRefusedError, match=key):
        mute.assemble(WORDY | {key: value}, "wordy.py")


def test_a_language_model_that_cannot_answer_is_named(mute: ResearchToolkit) -> None:
    with pytest.raises(LanguageModelError, match="script: the script has only 0 replies"):
        mute.assemble(WORDY, "wordy.py")


@pytest.mark.parametrize("kit", [EngineConfig(model="/nowhere/model")], indirect=True)
def test_a_language_model_that_is_nowhere_is_named(kit: ResearchToolkit) -> None:
    with pytest.raises(LanguageModelError, match="no folder /nowhere/model") as caught:
        kit.assemble(WORDY, "wordy.py")

    assert not caught.value.retryable


def test_a_random_model_writes_layers_that_fit_at_once_and_is_freed_with_the_toolkit(
    random_model: Path, tmp_path: Path
) -> None:
    with ResearchToolkit(workspace=tmp_path, llm=random_model) as kit:
        made = kit.assemble(WORDY, "wordy.py")
        summary = kit.pytorch_model_summary("wordy.py", "Wordy", (1, 1, 8, 8))
        owners = [each for each in threading.enumerate() if str(random_model) in each.name]
        assert owners

    assert not any(owner.is_alive() for owner in owners)
    assert (made.generated_by, made.wrote, made.attempts) == ("llm", "layers", 1)
    assert made.usage is not None
    assert 0 < made.usage.completion_tokens <= WritingProps().max_new_tokens
    assert summary["total_params"] == made.total_params


def test_code_may_be_wanted_and_layers_in_words_are_never_made_up(
    random_model: Path,
    common_kit: ResearchToolkit,
    common_workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    free = WritingProps(
        llm=EngineConfig(model=str(random_model)), writes="code", attempts=2, max_new_tokens=8
    )
    auto = free.model_copy(update={"writes": "auto"})
    in_words = {**WORDY, "layers": ["something residual", {"type": "Flatten"}]}
    for settings, config in ((free, WORDY), (auto, in_words)):
        kit = told_by(settings, common_kit, monkeypatch)
        with pytest.raises(NoWorkingCodeError, match=r"asked 2 times .* no Python file") as caught:
            kit.assemble(config, "free.py")
        assert caught.value.usage.completion_tokens == 16
    assert not (common_workspace / "free.py").exists()


@pytest.mark.parametrize("kit", [scripted(ENDLESS, GOOD)], indirect=True)
def test_code_that_never_ends_is_one_attempt(
    kit: ResearchToolkit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kit._jobs, "_timeout_s", 8.0)

    assert kit.assemble(WORDY, "ended.py").attempts == 2


def test_what_is_no_language_model_is_refused_at_once(tmp_path: Path) -> None:
    threads = set(threading.enumerate())

    with pytest.raises(TypeError, match="not dict"):
        ResearchToolkit(workspace=tmp_path, llm={"model": "x"})  # type: ignore[arg-type]

    assert set(threading.enumerate()) <= threads
