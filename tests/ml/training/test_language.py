import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer

from agents.ml.errors import CheckpointError, ConfigError, DatasetError
from agents.ml.training.full import pytorch_full_trainer
from agents.ml.training.jobs import train_language_model as job
from agents.ml.training.language import train_language_model
from tests.ml.training.dying import train_and_die
from tests.ml.training.test_resume import timeless

TEXT = "".join(f"def f{i % 7}(x):\n    return x + {i % 10}\n\n\n" for i in range(1500))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "code.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def tokenizer_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
def config(corpus: Path, tokenizer_path: Path) -> dict[str, Any]:
    return {
        "corpus_files": [str(corpus)],
        "tokenizer_path": str(tokenizer_path),
        "architecture": {
            "hidden_size": 32,
            "num_layers": 2,
            "num_heads": 2,
            "context_length": 32,
            "dropout": 0.05,
        },
        "steps": 60,
        "batch_size": 8,
        "learning_rate": 0.01,
        "warmup_steps": 5,
        "eval_every_steps": 20,
        "eval_tokens": 1024,
        "sample_prompts": ["def f1"],
        "sample_tokens": 12,
        "sample_temperature": 0.0,
        "device": "cpu",
    }


def test_a_phi_learns_and_its_folder_loads_in_transformers(
    config: dict[str, Any], runs: str, tmp_path: Path
) -> None:
    reports: list[dict[str, Any]] = []

    result = train_language_model(config, str(tmp_path / "phi"), "phi", runs, report=reports.append)

    assert [record["step"] for record in result["history"]] == [20, 40, 60]
    assert result["final_evaluation"]["loss"] < 2.0 < result["history"][0]["train_loss"]
    assert result["final_evaluation"]["bits_per_byte"] < 2
    assert result["samples"][0]["prompt"] == "def f1"
    assert "return" in result["samples"][0]["completion"]
    assert reports[-1]["metrics"]["val_perplexity"] > 1

    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "phi", local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "phi", local_files_only=True)
    inputs = tokenizer("def f1", return_tensors="pt", return_token_type_ids=False)
    output = model.generate(**inputs, max_new_tokens=12, do_sample=False)
    new_tokens = output[0, inputs["input_ids"].shape[1] :]
    assert type(model).__name__ == "PhiForCausalLM"
    assert model.config.use_cache
    assert (
        tokenizer.decode(new_tokens, skip_special_tokens=True) == result["samples"][0]["completion"]
    )
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|endoftext|>", "<pad>")
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []

    blocks = result["train_tokens"] // 32
    epochs, more = divmod(60, -(-blocks // 8))
    assert result["tokens_seen"] == 32 * (epochs * blocks + more * 8), "the last steps are shorter"


@pytest.mark.parametrize("there", ["a folder of the user's", "a file", "a link"])
def test_what_is_no_model_is_never_replaced_by_one(
    config: dict[str, Any], runs: str, tmp_path: Path, there: str
) -> None:
    output = tmp_path / "output"
    if there == "a file":
        output.write_text("notes")
    elif there == "a link":
        output.symlink_to(tmp_path)
    else:
        output.mkdir()
        (output / "thesis.txt").write_text("years of work")

    with pytest.raises(ConfigError, match=r"output_dir: .*name a new folder"):
        train_language_model(config, str(output), "phi", runs)

    assert output.exists()
    assert not list(Path(runs).rglob("*.pt")), "it says so before the training"


@pytest.mark.long
def test_a_language_model_killed_and_resumed_is_the_same(
    config: dict[str, Any], runs: str, tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    config |= {"checkpoint_every_steps": 7, "sample_temperature": 1.0}
    whole = train_language_model(config, str(tmp_path / "whole"), "whole", runs)
    arguments = (config, str(tmp_path / "phi"), "phi", runs)

    assert train_and_die("step", 33, train_language_model, *arguments) == -signal.SIGKILL
    resumed = train_language_model(*arguments)

    assert resumed["resumed_from_step"] == 28
    assert [timeless(r) for r in resumed["history"]] == [timeless(r) for r in whole["history"]]
    assert resumed["samples"] == whole["samples"]
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("phi", "whole")]
    assert weights[0] == weights[1]
    again = job(
        {
            "config": config,
            "output_dir": str(tmp_path / "phi"),
            "experiment_name": "phi",
            "log_base_dir": runs,
        },
        lambda _: pytest.fail("what has ended is not trained again"),
    )
    assert again == resumed


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"step": 5}, "step"),
        ({"architecture": {"hidden": 5}}, "architecture.hidden"),
        ({"architecture": {"hidden_size": 36, "num_heads": 8}}, "architecture.hidden_size"),
        ({"eos_token": "<stop>"}, "eos_token"),
        ({"sample_prompts": [""]}, "sample_prompts"),
        ({"sample_prompts": ["x " * 99]}, "sample_prompts"),
        ({"corpus_files": []}, "corpus_files"),
    ],
)
def test_a_wrong_key_is_named_before_training(
    config: dict[str, Any], runs: str, tmp_path: Path, change: dict[str, Any], where: str
) -> None:
    reports: list[dict[str, Any]] = []

    with pytest.raises(ConfigError) as error:
        train_language_model(
            {**config, **change}, str(tmp_path / "phi"), "x", runs, report=reports.append
        )

    assert error.value.where == where
    assert reports == []


def test_a_corpus_that_is_not_there_is_named(
    config: dict[str, Any], runs: str, tmp_path: Path
) -> None:
    config["corpus_files"] = [str(tmp_path / "absent.txt")]

    with pytest.raises(DatasetError, match=r"absent\.txt"):
        train_language_model(config, str(tmp_path / "phi"), "x", runs)


def test_a_language_model_is_no_experiment_of_the_full_trainer(
    config: dict[str, Any], runs: str, tmp_path: Path, models: str
) -> None:
    train_language_model({**config, "steps": 1}, str(tmp_path / "phi"), "phi", runs)

    with pytest.raises(CheckpointError, match="differ"):
        pytorch_full_trainer(models, "MLP", {"dataset": "digits"}, "phi", runs)


def test_a_model_script_of_one_s_own_learns_text_in_the_full_trainer(
    corpus: Path, tokenizer_path: Path, models: str, runs: str
) -> None:
    result = pytorch_full_trainer(
        models,
        "Tokens",
        {
            "dataset": "text",
            "num_classes": 300,
            "dataset_params": {
                "data_path": str(corpus),
                "tokenizer_config": {"path": str(tokenizer_path)},
                "context_length": 16,
            },
            "batch_size": 16,
            "epochs": 1,
            "optimizer": {"type": "Adam", "params": {"lr": 0.05}},
            "metrics": ["perplexity", "bits_per_byte"],
            "model_params": {"vocab": 300, "outputs": 300, "per_token": True},
        },
        "bigram",
        runs,
    )

    assert result["final_evaluation"]["perplexity"] < 20
    assert result["final_evaluation"]["bits_per_byte"] < 3


def test_rows_of_text_are_classified_in_the_full_trainer(
    tokenizer_path: Path, models: str, runs: str, tmp_path: Path
) -> None:
    rows = [f'"return {"x" if i % 2 else "f"} {i}",{"b" if i % 2 else "a"}' for i in range(200)]
    (tmp_path / "rows.csv").write_text("text,label\n" + "\n".join(rows) + "\n")

    result = pytorch_full_trainer(
        models,
        "Tokens",
        {
            "dataset": "text_classification",
            "dataset_params": {
                "data_path": str(tmp_path / "rows.csv"),
                "tokenizer_config": {"path": str(tokenizer_path)},
                "max_length": 12,
            },
            "num_classes": 2,
            "epochs": 15,
            "batch_size": 16,
            "optimizer": {"type": "Adam", "params": {"lr": 0.02}},
            "metrics": ["accuracy", "f1"],
            "model_params": {"vocab": 300},
        },
        "rows",
        runs,
    )

    assert result["final_evaluation"]["accuracy"] > 0.9


def test_the_results_are_plain_json(config: dict[str, Any], runs: str, tmp_path: Path) -> None:
    config["steps"] = 2

    result = train_language_model(config, str(tmp_path / "phi"), None, runs)

    assert json.loads(json.dumps(result, allow_nan=False)) == result
