"""The real agents, in a guild on a bus in memory, with real work in child processes."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
import pytest_asyncio
from pydantic import BaseModel

from agents.llm.bus.resources import models
from agents.research.assembler import AssemblerAgent
from agents.research.jobs import open_jobs
from agents.research.messages import (
    AssembleModel,
    CollectCorpus,
    CorpusCollected,
    EvaluateCheckpoint,
    EvaluateQuickly,
    ManageTokenizer,
    ModelAssembled,
    ModelSummarised,
    QuickEvaluation,
    SummariseModel,
    TokenizerApplied,
    TokenizerTrained,
    TrainFully,
    TrainingFinished,
    TrainLanguageModel,
)
from agents.research.tokenizer import TokenizerAgent
from agents.research.trainer import TrainerAgent
from guild import AgentBuilder, Guild, GuildBuilder
from guild.progress import Progress, TextDelta
from messaging.errors import RequestCancelledError, RequestFailedError
from messaging.testing import eventually
from messaging.wire.envelope import new_id

R = TypeVar("R", bound=BaseModel)

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

GOOD_CODE = """Here it is:
```python
from torch import Tensor, nn


class Wordy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)
```
"""
WRONG_SHAPE = GOOD_CODE.replace("64, 10", "64, 9")
NO_CODE = "I would rather write a poem."
WORDY = {
    "model_name": "Wordy",
    "description": "a linear classifier for small images",
    "input_shape": [1, 8, 8],
    "output_shape": [10],
}
LINEAR = {
    "model_name": "Linear8",
    "input_shape": [1, 8, 8],
    "layers": [{"type": "Flatten"}, {"type": "Linear", "params": {"out_features": 10}}],
}
QUICK = {"dataset": "digits", "num_classes": 10, "epochs": 3, "metrics": ["accuracy", "f1"]}


def agent(cls: type[Any], name: str, **properties: Any) -> Any:
    builder = AgentBuilder(cls).set_id(name).listen_to_default_topic(False)
    return builder.add_additional_topic(name).set_properties(properties).build_spec()


def scripted(*replies: str) -> dict[str, Any]:
    return {"model": "script", "backend": "scripted", "options": {"replies": list(replies)}}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspace")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guild(workspace: Path) -> AsyncIterator[Guild]:
    properties = {"workspace": str(workspace), "max_jobs": 2}
    corrected = scripted(NO_CODE, WRONG_SHAPE, GOOD_CODE)
    spec = (
        GuildBuilder("tests")
        .add_resource("jobs", open_jobs, properties)
        .add_resource("models", models)
        .add_agent_spec(agent(AssemblerAgent, "assembler"))
        .add_agent_spec(agent(AssemblerAgent, "corrected", llm=corrected))
        .add_agent_spec(agent(AssemblerAgent, "hopeless", llm=scripted(NO_CODE, ""), attempts=2))
        .add_agent_spec(agent(AssemblerAgent, "mute", llm=scripted(), max_new_tokens=4096))
        .add_agent_spec(agent(TrainerAgent, "trainer"))
        .add_agent_spec(agent(TokenizerAgent, "tokenizer"))
        .build_spec()
    )
    async with Guild.launch(spec, bus="memory://") as launched:
        yield launched


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def script(guild: Guild) -> str:
    """The path of an assembled model."""
    request = AssembleModel(config=LINEAR, output_script_path="models/linear8.py")
    return (await ask(guild, "assembler", request, ModelAssembled)).script_path


async def ask(guild: Guild, topic: str, request: BaseModel, answer: type[R]) -> R:
    return await guild.client.request(topic, request, answer, timeout_s=60)


async def refusal(guild: Guild, topic: str, request: BaseModel) -> RequestFailedError:
    with pytest.raises(RequestFailedError) as caught:
        await guild.client.request(topic, request, timeout_s=60)
    return caught.value


def endless(script: str, name: str, *, epochs: int = 100_000) -> TrainFully:
    config = {"dataset": "digits", "num_classes": 10, "epochs": epochs, "batch_size": 64}
    return TrainFully(
        model_script_path=script,
        model_class_name="Linear8",
        trainer_config=config,
        experiment_name=name,
    )


def job_processes() -> list[psutil.Process]:
    """What runs in the rooms of jobs: two namespaces of processes deeper than we do."""
    deep = namespaces_of(os.getpid()) + 2
    ours = psutil.Process().children(recursive=True)
    return [process for process in ours if namespaces_of(process.pid) == deep]


def namespaces_of(pid: int) -> int:
    """How many namespaces of processes it has a number in; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next(len(line.split()) - 1 for line in lines if line.startswith("NSpid:"))


async def test_the_compiler_writes_what_it_can_express(guild: Guild, workspace: Path) -> None:
    request = AssembleModel(config=LINEAR, output_script_path="models/plain.py")

    made = await ask(guild, "assembler", request, ModelAssembled)

    assert made.generated_by == "compiler"
    assert made.attempts == 1
    assert made.total_params == 650
    assert "class Linear8" in (workspace / made.script_path).read_text()


async def test_a_layer_that_does_not_fit_is_named_at_once(guild: Guild, workspace: Path) -> None:
    bad = {
        **LINEAR,
        "layers": [{"type": "Linear", "params": {"in_features": 3, "out_features": 2}}],
    }
    request = AssembleModel(config=bad, output_script_path="models/bad.py")

    error = await refusal(guild, "assembler", request)

    assert "layers[0]" in error.text
    assert "Linear" in error.text
    assert not (workspace / "models/bad.py").exists()


async def test_words_need_a_language_model(guild: Guild) -> None:
    request = AssembleModel(config=WORDY, output_script_path="models/wordy.py")

    error = await refusal(guild, "assembler", request)

    assert error.error_type == "NoLanguageModelError"
    assert "'llm'" in error.text


async def test_a_language_model_is_shown_its_errors_until_its_code_passes(
    guild: Guild, workspace: Path
) -> None:
    request = AssembleModel(config=WORDY, output_script_path="models/wordy.py")

    items = [item async for item in guild.client.stream("corrected", request, timeout_s=60)]

    made = items[-1]
    assert isinstance(made, ModelAssembled)
    assert made.generated_by == "llm"
    assert made.attempts == 3
    assert made.output_shape == (10,)
    assert "output shape" in made.checks
    assert "class Wordy" in (workspace / made.script_path).read_text()
    assert "poem" in "".join(item.text for item in items if isinstance(item, TextDelta))


async def test_a_language_model_that_never_succeeds_is_asked_so_often_and_no_more(
    guild: Guild, workspace: Path
) -> None:
    request = AssembleModel(config=WORDY, output_script_path="models/hopeless.py")

    error = await refusal(guild, "hopeless", request)

    assert error.error_type == "NoWorkingCodeError"
    assert "2 times" in error.text
    assert not (workspace / "models/hopeless.py").exists()


async def test_a_language_model_that_cannot_answer_is_named(guild: Guild) -> None:
    request = AssembleModel(config=WORDY, output_script_path="models/mute.py")

    error = await refusal(guild, "mute", request)

    assert error.error_type == "LanguageModelError"
    assert "max_new_tokens" in error.text


async def test_a_summary_counts_parameters_and_flops(guild: Guild, script: str) -> None:
    request = SummariseModel(
        model_script_path=script, model_class_name="Linear8", input_size=(1, 1, 8, 8)
    )

    summary = await ask(guild, "assembler", request, ModelSummarised)

    assert summary.total_params == 650
    assert summary.flops == 2 * 640
    assert "Linear" in summary.summary_str


async def test_a_wrong_class_name_lists_those_there_are(guild: Guild, script: str) -> None:
    request = SummariseModel(
        model_script_path=script, model_class_name="Linear9", input_size=(1, 1, 8, 8)
    )

    assert "Linear8" in (await refusal(guild, "assembler", request)).text


async def test_a_quick_evaluation_shows_progress_and_gives_metrics(
    guild: Guild, script: str
) -> None:
    request = EvaluateQuickly(
        model_script_path=script, model_class_name="Linear8", eval_config=QUICK
    )

    items = [item async for item in guild.client.stream("trainer", request, timeout_s=60)]

    assert isinstance(items[-1], QuickEvaluation)
    assert items[-1].metrics["accuracy"] > 0.3
    assert any(isinstance(item, Progress) and item.total == 60 for item in items[:-1])


async def test_a_cancelled_training_takes_its_processes_with_it(
    guild: Guild, script: str, workspace: Path
) -> None:
    message_id = new_id()
    stream = guild.client.stream(
        "trainer", endless(script, "cancelled"), message_id=message_id, timeout_s=60
    )
    workers: list[psutil.Process] = []

    async def cancel_once_it_runs() -> None:
        async for _ in stream:
            workers.extend(job_processes())
            await guild.client.cancel(message_id, "enough")

    with pytest.raises(RequestCancelledError):
        await cancel_once_it_runs()

    assert workers
    await eventually(lambda: not any(worker.is_running() for worker in workers))


async def test_a_training_whose_child_is_killed_goes_on_from_its_checkpoint(
    guild: Guild, script: str
) -> None:
    request = endless(script, "killed", epochs=60)
    stream = guild.client.stream("trainer", request, timeout_s=90)
    killed = False
    async for item in stream:
        if isinstance(item, Progress) and item.done > 100 and not killed:
            for worker in job_processes():
                with suppress(psutil.NoSuchProcess):  # one that was about to end
                    worker.kill()
            killed = True

    assert killed
    assert isinstance(item, TrainingFinished)
    assert item.result["resumed_from_step"] >= 100
    assert [record["epoch"] for record in item.result["history"]] == list(range(1, 61))


@pytest.mark.parametrize(
    ("key", "value"),
    [("dataset", "digit"), ("metrics", ["acuracy"]), ("optimizer", "Adan"), ("epochs", "three")],
)
async def test_a_wrong_key_of_a_config_is_named(
    guild: Guild, script: str, key: str, value: Any
) -> None:
    request = EvaluateQuickly(
        model_script_path=script, model_class_name="Linear8", eval_config={**QUICK, key: value}
    )

    error = await refusal(guild, "trainer", request)

    assert error.error_type == "WorkRefusedError"
    assert key in error.text


async def test_a_loss_that_explodes_is_an_error_with_its_step(guild: Guild, script: str) -> None:
    config = {**QUICK, "optimizer": "SGD", "learning_rate": 1e38}
    request = EvaluateQuickly(
        model_script_path=script, model_class_name="Linear8", eval_config=config
    )

    error = await refusal(guild, "trainer", request)

    assert error.error_type == "TrainingDivergedError"
    assert "step" in error.text


async def test_an_experiment_without_a_name_gets_one_that_a_retry_would_find_again(
    guild: Guild, script: str, workspace: Path
) -> None:
    config = {"dataset": "digits", "num_classes": 10, "epochs": 1}
    request = TrainFully(
        model_script_path=script, model_class_name="Linear8", trainer_config=config
    )

    finished = await ask(guild, "trainer", request, TrainingFinished)

    assert finished.result["experiment_name"].startswith("run-")
    assert (workspace / finished.result["experiment_dir"] / "metrics.jsonl").is_file()


@pytest.mark.parametrize("path", ["../out.py", "/tmp/out.py", "a/../../out.py", "link/out.py"])
async def test_a_path_out_of_the_workspace_is_refused(
    guild: Guild, workspace: Path, tmp_path: Path, path: str
) -> None:
    link = workspace / "link"
    link.unlink(missing_ok=True)
    link.symlink_to(tmp_path)
    requests: list[tuple[str, BaseModel]] = [
        ("assembler", AssembleModel(config=LINEAR, output_script_path=path)),
        ("tokenizer", CollectCorpus(output_path=path)),
        ("trainer", EvaluateCheckpoint(experiment_dir=path)),
        (
            "trainer",
            TrainLanguageModel(config={}, output_dir="lm", serve_as=path),
        ),
        (
            "tokenizer",
            ManageTokenizer(action="train", tokenizer_name="t", config={"data_files": [path]}),
        ),
    ]
    for topic, request in requests:
        assert (await refusal(guild, topic, request)).error_type == "OutsideWorkspaceError"
    assert os.listdir(tmp_path) == []  # noqa: PTH208  a path would be called blocking here


async def test_a_corpus_is_gathered_and_a_tokenizer_learned_and_applied(
    guild: Guild, workspace: Path
) -> None:
    collect = CollectCorpus(output_path="text/corpus.txt", max_bytes=100_000)
    train = ManageTokenizer(
        action="train",
        tokenizer_name="small",
        tokenizer_path="text/tokenizer",
        config={"type": "BPE", "vocab_size": 400, "data_files": ["text/corpus.txt"]},
    )
    apply = ManageTokenizer(action="apply", tokenizer_name="small", text_input="def f():\n  pass")

    corpus = await ask(guild, "tokenizer", collect, CorpusCollected)
    trained = await ask(guild, "tokenizer", train, TokenizerTrained)
    applied = await ask(guild, "tokenizer", apply, TokenizerApplied)

    text = (workspace / corpus.path).read_bytes()
    assert len(text) == corpus.size_bytes <= 100_000
    assert trained.vocab_size == 400
    assert "".join(applied.pieces[0]) == "def f():\n  pass"
    assert len(applied.pieces[0]) == len(applied.input_ids[0])


async def test_a_model_of_text_is_trained_with_a_tokenizer_known_by_name(guild: Guild) -> None:
    collect = CollectCorpus(output_path="named/corpus.txt", max_bytes=100_000)
    learn = ManageTokenizer(
        action="train",
        tokenizer_name="named",
        config={"type": "BPE", "vocab_size": 300, "data_files": ["named/corpus.txt"]},
    )
    layers = [
        {"type": "Embedding", "params": {"num_embeddings": 300, "embedding_dim": 8}},
        {"type": "Linear", "params": {"out_features": 300}},
    ]
    bigram = {"model_name": "Bigram", "input_shape": [16], "layers": layers}
    assemble = AssembleModel(config=bigram, output_script_path="named/bigram.py")
    await ask(guild, "tokenizer", collect, CorpusCollected)
    await ask(guild, "tokenizer", learn, TokenizerTrained)
    made = await ask(guild, "assembler", assemble, ModelAssembled)

    def training(tokenizer_name: str) -> TrainFully:
        params = {
            "data_path": ["named/corpus.txt"],
            "context_length": 16,
            "tokenizer_config": {"name": tokenizer_name, "type": "registered"},
        }
        config = {
            "dataset": "text",
            "dataset_params": params,
            "epochs": 1,
            "metrics": ["bits_per_byte"],
        }
        return TrainFully(
            model_script_path=made.script_path,
            model_class_name="Bigram",
            trainer_config=config,
            experiment_name="bigram",
        )

    finished = await ask(guild, "trainer", training("named"), TrainingFinished)
    error = await refusal(guild, "trainer", training("nobody"))

    assert finished.result["final_evaluation"]["bits_per_byte"] < 8
    assert "nobody" in error.text


async def test_a_corpus_is_the_same_every_time(guild: Guild, workspace: Path) -> None:
    texts = []
    for name in ("one.txt", "two.txt"):
        request = CollectCorpus(output_path=name, max_bytes=50_000)
        await ask(guild, "tokenizer", request, CorpusCollected)
        texts.append((workspace / name).read_bytes())

    assert texts[0] == texts[1]


async def test_an_empty_corpus_is_an_error_that_names_the_file(
    guild: Guild, workspace: Path
) -> None:
    (workspace / "empty.txt").write_text("")
    request = ManageTokenizer(
        action="train",
        tokenizer_name="none",
        config={"type": "BPE", "vocab_size": 400, "data_files": ["empty.txt"]},
    )

    assert "empty.txt" in (await refusal(guild, "tokenizer", request)).text


async def test_a_config_travels_as_model_config() -> None:
    request = AssembleModel(config=LINEAR, output_script_path="x.py")

    wire = json.loads(request.__pydantic_serializer__.to_json(request))

    assert wire == {"model_config": LINEAR, "output_script_path": "x.py"}
    assert AssembleModel.model_validate(wire) == request
    assert AssembleModel(**wire) == request
