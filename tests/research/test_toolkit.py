"""The tools as plain calls: signatures of their document, results, errors, and what is left."""

import inspect
import json
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from agents.research import ResearchToolkit
from agents.research.errors import (
    NoLanguageModelError,
    OutsideWorkspaceError,
    WorkOverLimitError,
    WorkRefusedError,
)
from agents.sandbox import SandboxError
from guild.progress import Progress

pytestmark = pytest.mark.slow

JOIN_S = 10.0
CNN = {  # the document's example, for images of 8 by 8
    "model_name": "SimpleCNN",
    "input_shape": [1, 8, 8],
    "layers": [
        {"type": "Conv2d", "params": {"in_channels": 1, "out_channels": 16, "kernel_size": 3}},
        {"type": "ReLU"},
        {"type": "MaxPool2d", "params": {"kernel_size": 2}},
        {"type": "Flatten"},
        {"type": "Linear", "params": {"out_features": 10}},
    ],
}
SIGNATURES = {
    "read_file": "(file_path: str) -> str",
    "write_file": "(file_path: str, content: str) -> None",
    "append_to_file": "(file_path: str, content: str) -> None",
    "bash_run": "(command: str) -> str",
    "python_run": "(script_path: str, *args: str) -> str",
    "list_directory": "(path: str = '.', recursive: bool = False) -> list[str]",
    "create_directory": "(path: str) -> None",
    "pip_install_pytorch_package": (
        "(package_name: str, version: str | None = None, pytorch_version: str = '2.1.0',"
        " cuda_version: str = 'cu118', upgrade: bool = False) -> str"
    ),
    "create_pytorch_project_scaffold": "(project_name: str, base_dir: str = '.') -> None",
    "pytorch_model_assembler": "(model_config: dict[str, Any], output_script_path: str) -> None",
    "pytorch_model_summary": (
        "(model_script_path: str, model_class_name: str, input_size: tuple[int, ...])"
        " -> dict[str, Any]"
    ),
    "pytorch_quick_evaluator": (
        "(model_script_path: str, model_class_name: str, eval_config: dict[str, Any])"
        " -> dict[str, Any]"
    ),
    "pytorch_full_trainer": (
        "(model_script_path: str, model_class_name: str, trainer_config: dict[str, Any],"
        " experiment_name: str | None = None, log_base_dir: str = 'full_experiments')"
        " -> dict[str, Any]"
    ),
    "pytorch_optimizer_configurator": (
        "(action: str, config_name: str, optimizer_details: dict[str, Any] | None = None,"
        " output_script_path: str | None = None) -> dict[str, Any]"
    ),
    "pytorch_tokenizer_manager": (
        "(action: str, tokenizer_name: str, config: dict[str, Any] | None = None,"
        " tokenizer_path: str | None = None, text_input: str | list[str] | None = None,"
        " hf_pretrained_id: str | None = None) -> dict[str, Any]"
    ),
}
SCRIPT = "src/models/simple_cnn.py"
QUICK = {
    "dataset": "digits",
    "num_classes": 10,
    "batch_size": 64,
    "epochs": 2,
    "optimizer": "Adam",
    "learning_rate": 0.005,
    "loss_function": "CrossEntropyLoss",
    "metrics": ["accuracy", "f1"],
}
FULL = {
    "dataset": "digits",
    "num_classes": 10,
    "epochs": 3,
    "optimizer": {"type": "AdamW", "params": {"lr": 0.002, "weight_decay": 0.01}},
    "scheduler": {"type": "CosineAnnealingLR", "params": {"T_max": 3, "eta_min": 1e-6}},
    "loss_function": "CrossEntropyLoss",
    "metrics": ["accuracy", "f1_macro", "top_5_accuracy"],
    "checkpoint_interval": 1,
    "save_best_model": True,
    "early_stopping": {"metric": "val_loss", "patience": 10, "mode": "min"},
}


@pytest.fixture(scope="module")
def workspace(common_workspace: Path) -> Path:
    return common_workspace


@pytest.fixture(scope="module")
def kit(common_kit: ResearchToolkit) -> ResearchToolkit:
    return common_kit


@pytest.fixture(scope="module")
def script(kit: ResearchToolkit) -> str:
    kit.pytorch_model_assembler(model_config=CNN, output_script_path=SCRIPT)
    return SCRIPT


@pytest.mark.parametrize("name", SIGNATURES)
def test_names_parameters_and_defaults_are_those_of_the_document(name: str) -> None:
    signature = inspect.signature(getattr(ResearchToolkit, name))
    _, *parameters = signature.parameters.values()

    assert str(signature.replace(parameters=parameters)).replace("typing.", "") == SIGNATURES[name]


def test_the_assembler_writes_a_file_with_the_class(script: str, workspace: Path) -> None:
    assert "class SimpleCNN(nn.Module):" in (workspace / script).read_text()


def test_words_are_refused_without_a_language_model(kit: ResearchToolkit, workspace: Path) -> None:
    config = {"model_name": "Wordy", "input_shape": [8], "description": "a classifier"}

    with pytest.raises(NoLanguageModelError, match="give the toolkit an 'llm'"):
        kit.pytorch_model_assembler(config, "wordy.py")

    assert not (workspace / "wordy.py").exists()


def test_the_summary_counts(kit: ResearchToolkit, script: str) -> None:
    summary = kit.pytorch_model_summary(script, "SimpleCNN", (1, 1, 8, 8))

    assert summary["total_params"] == summary["trainable_params"] == 1 * 9 * 16 + 16 + 1450
    assert summary["flops"] == 2 * (36 * 16 * 9 + 144 * 10)
    assert summary["layer_details"][0]["type"] == "Conv2d"
    assert "SimpleCNN" in summary["summary_str"]


def test_a_quick_evaluation_measures_what_was_asked(
    kit: ResearchToolkit, script: str, common_progress: list[Progress]
) -> None:
    common_progress.clear()

    result = kit.pytorch_quick_evaluator(script, "SimpleCNN", eval_config=QUICK)

    assert result["metrics"].keys() == {"accuracy", "f1", "loss"}
    assert result["metrics"]["accuracy"] > 0.5
    assert result["train_loss"] > 0
    shown = [item for item in common_progress if item.task == "evaluate SimpleCNN"]
    assert shown[-1].is_over


def test_a_full_training_leaves_a_checkpoint_and_is_not_run_twice(
    kit: ResearchToolkit, script: str, workspace: Path
) -> None:
    result = kit.pytorch_full_trainer(script, "SimpleCNN", FULL, experiment_name="full")

    assert result["final_evaluation"].keys() >= {"accuracy", "f1_macro", "top_5_accuracy", "loss"}
    assert (workspace / result["best_checkpoint_path"]).is_file()
    assert result["experiment_dir"] == "full_experiments/full"
    assert kit.pytorch_full_trainer(script, "SimpleCNN", FULL, "full") == result


def test_an_experiment_without_a_name_gets_one_of_its_own(
    kit: ResearchToolkit, script: str
) -> None:
    config = FULL | {"epochs": 1, "scheduler": None}
    names = {
        kit.pytorch_full_trainer(script, "SimpleCNN", config)["experiment_name"] for _ in range(2)
    }

    assert len(names) == 2


def test_a_tokenizer_is_trained_loaded_and_applied(kit: ResearchToolkit, workspace: Path) -> None:
    (workspace / "corpus.txt").write_text("low lower lowest\n" * 50)
    special = ["[PAD]", "[UNK]"]
    config = {
        "type": "BPE",
        "vocab_size": 300,
        "data_files": ["corpus.txt"],
        "special_tokens": special,
    }

    trained = kit.pytorch_tokenizer_manager("train", "low", config, "models/tokenizers/low")
    loaded = kit.pytorch_tokenizer_manager("load", "low", tokenizer_path="models/tokenizers/low")
    applied = kit.pytorch_tokenizer_manager("apply", "low", text_input=["lower", "low low"])

    assert trained == {
        "status": "success",
        "tokenizer_name": "low",
        "tokenizer_path": "models/tokenizers/low",
        "vocab_size": trained["vocab_size"],
    }
    assert loaded.keys() == {"status", "tokenizer_name", "tokenizer_info"}
    assert loaded["tokenizer_info"]["vocab_size"] == trained["vocab_size"]
    assert applied.keys() == {"input_ids", "attention_mask"}
    assert [len(row) for row in applied["attention_mask"]] == [3, 2]
    assert [len(row) for row in applied["input_ids"]] == [3, 2]


@pytest.mark.parametrize(
    ("tool", "words", "told"),
    [
        ("pytorch_quick_evaluator", [SCRIPT, "SimpleCNN", QUICK | {"dataset": "digit"}], "digits"),
        ("pytorch_quick_evaluator", [SCRIPT, "SimpleCNN", QUICK | {"num_classes": 9}], "10 cl"),
        ("pytorch_full_trainer", [SCRIPT, "SimpleCNN", FULL | {"metrics": ["acuracy"]}], "acuracy"),
        ("pytorch_model_summary", [SCRIPT, "SimpleCN", (1, 1, 8, 8)], "SimpleCNN"),
        ("pytorch_tokenizer_manager", ["apply", "nameless", None, None, "text"], "nameless"),
        ("pytorch_tokenizer_manager", ["train", "t", {"data_files": ["gone.txt"]}], "gone.txt"),
    ],
)
def test_what_is_wrong_is_named(
    kit: ResearchToolkit, script: str, tool: str, words: list[Any], told: str
) -> None:
    with pytest.raises(WorkRefusedError, match=told):
        getattr(kit, tool)(*words)


def test_an_action_that_is_none_lists_those_there_are(kit: ResearchToolkit) -> None:
    with pytest.raises(WorkRefusedError, match=r"action: .*'train', 'load' or 'apply'") as error:
        kit.pytorch_tokenizer_manager("trian", "t")

    assert error.value.where == "action"


def test_an_argument_of_another_type_is_named(kit: ResearchToolkit) -> None:
    wrong: Any = ["a", None]
    with pytest.raises(
        WorkRefusedError, match=r"text_input\.list\[str\]\.1: input should be a val"
    ):
        kit.pytorch_tokenizer_manager("apply", "t", text_input=wrong)
    wrong = 5
    with pytest.raises(WorkRefusedError, match="file_path: input should be a valid string"):
        kit.read_file(wrong)
    with pytest.raises(WorkRefusedError, match="config: input should be a valid dict"):
        kit.pytorch_model_assembler(wrong, "model.py")


def test_nothing_outside_the_workspace_is_written(kit: ResearchToolkit, tmp_path: Path) -> None:
    with pytest.raises(OutsideWorkspaceError, match="output_script_path"):
        kit.pytorch_model_assembler(CNN, str(tmp_path / "model.py"))

    assert not list(tmp_path.iterdir())


async def test_a_loop_that_runs_here_is_not_in_its_way(kit: ResearchToolkit, script: str) -> None:
    assert kit.pytorch_model_summary(script, "SimpleCNN", (2, 1, 8, 8))["total_params"]


def test_a_toolkit_that_cannot_be_made_leaves_no_thread() -> None:
    threads = set(threading.enumerate())

    with pytest.raises(SandboxError):
        ResearchToolkit(workspace="/")

    assert set(threading.enumerate()) <= threads


def test_arguments_of_a_wrong_type_are_named_for_language_models_too(kit: ResearchToolkit) -> None:
    with pytest.raises(WorkRefusedError, match="config: "):
        kit.train_language_model([], "phi")  # type: ignore[arg-type]


def test_a_limit_of_time_ends_the_work_and_closed_it_leaves_neither_threads_nor_processes(
    workspace: Path, script: str
) -> None:
    threads, children = set(threading.enumerate()), set(psutil.Process().children(recursive=True))
    hurried = ResearchToolkit(workspace=workspace, timeout_s=0.5, grace_s=0.5)
    with pytest.raises(WorkOverLimitError):
        hurried.pytorch_full_trainer(script, "SimpleCNN", FULL | {"epochs": 1_000_000})

    hurried.close()
    hurried.close()

    for thread in set(threading.enumerate()) - threads:
        thread.join(JOIN_S)  # one that has waited for a child is about to end
    assert set(threading.enumerate()) <= threads
    assert set(psutil.Process().children(recursive=True)) <= children
    with pytest.raises(RuntimeError, match="research toolkit is closed"):
        hurried.pytorch_model_summary(script, "SimpleCNN", (1, 1, 8, 8))


def test_results_are_json(kit: ResearchToolkit, script: str) -> None:
    """Models that call tools read them."""
    summary = kit.pytorch_model_summary(script, "SimpleCNN", (1, 1, 8, 8))

    assert json.loads(json.dumps(summary)) == summary
