"""Selecting on folds, from the data dealt to the test opened, on real data."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from agents.ml.errors import ConfigError, DatasetError, ScoringError
from agents.ml.selection.answers import NOBODY_KNOWS, Answers
from agents.ml.selection.augmentation import AugmentedSource
from agents.ml.selection.baselines import MODELS, fit_baseline
from agents.ml.selection.blending import blend, open_test
from agents.ml.selection.dealing import deal
from agents.ml.selection.scoring import (
    TEST,
    VAL,
    read_predictions,
    score_fold,
    scores,
    write_predictions,
)
from agents.ml.selection.trial import run_trial, tokens_of

NET = """
from torch import nn


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(13, 16), nn.ReLU(), nn.Linear(16, 3))
"""
READS = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.out = nn.Embedding(5, 8), nn.Linear(8, 2)

    def forward(self, tokens):
        return self.out(self.embed(tokens).mean(dim=1))
"""
TRAINING: dict[str, Any] = {
    "epochs": 20,
    "batch_size": 16,
    "optimizer": {"type": "AdamW", "params": {"lr": 0.02, "weight_decay": 0.01}},
    "scheduler": {"type": "WarmupCosineLR", "params": {}},
    "label_smoothing": 0.05,
    "gradient_clip_norm": 5.0,
    "augmentation": "none",
}


def nothing(_event: dict[str, Any]) -> None:
    pass


def dealt(folder: Path, **payload: Any) -> dict[str, Any]:
    asked = {
        "data": str(folder / "data"),
        "vault": str(folder / "vault"),
        "dataset": "wine",
        "dataset_params": {},
        "folds": 4,
        "max_samples": 1000,
        "max_test_samples": 1000,
        "split": 0,
        **payload,
    }
    return deal(asked, nothing)


def trial(folder: Path, fold: int, **payload: Any) -> dict[str, Any]:
    (folder / "net.py").write_text(NET, "utf-8")
    output = folder / f"vault/trial{fold}"
    asked = {
        "data": str(folder / "data"),
        "output": str(output),
        "script": str(folder / "net.py"),
        "class_name": "Net",
        "training": TRAINING,
        "labels": Answers.read(folder / "vault").without(fold),
        "seed": 0,
        **payload,
    }
    return run_trial(asked, nothing)


def score(folder: Path, fold: int) -> dict[str, float]:
    where = {"data": str(folder / "data"), "vault": str(folder / "vault")}
    return score_fold(
        {**where, "output": str(folder / f"vault/trial{fold}"), "fold": fold}, nothing
    )


def test_every_class_has_its_share_in_every_fold_and_the_test_is_apart(tmp_path: Path) -> None:
    facts = dealt(tmp_path)
    answers = Answers.read(tmp_path / "vault")
    assert facts["samples"] + facts["test_samples"] == 178
    by_fold = [
        [label for label, at in zip(answers.labels, answers.folds, strict=True) if at == fold]
        for fold in range(4)
    ]
    counts = np.array([np.bincount(labels, minlength=3) for labels in by_fold])
    assert (counts.max(axis=0) - counts.min(axis=0) <= 1).all()
    sizes = counts.sum(axis=1)
    assert sizes.max() - sizes.min() <= 1


def test_what_trials_can_see_holds_no_answer(tmp_path: Path) -> None:
    dealt(tmp_path)
    seen = {path.name for path in (tmp_path / "data").iterdir()}
    assert seen == {"facts.json", "inputs.npy", "test_inputs.npy"}
    answers = Answers.read(tmp_path / "vault")
    for fold in range(4):
        known = answers.without(fold)
        hidden = [at for at, label in enumerate(known) if label == NOBODY_KNOWS]
        assert hidden == [at for at, of in enumerate(answers.folds) if of == fold]
    assert answers.hidden  # where scikit-learn keeps the same data


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Everything that was dealt; what is written again is another file."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".csv"]
    return {path.name: (path.stat().st_ino, path.read_bytes()) for path in files}


def content(folder: Path) -> dict[str, bytes]:
    return {name: held for name, (_, held) in state(folder).items()}


def write_table(folder: Path, factor: int = 1) -> dict[str, str]:
    rows = "".join(f"{n},{factor * n % 7},{'ab'[n % 2]}\n" for n in range(60))
    (folder / "t.csv").write_text(f"x,text,label\n{rows}", "utf-8")
    return {"data_path": str(folder / "t.csv"), "label_column": "label"}


@pytest.mark.parametrize("dataset", ["wine", "csv", "text_classification"])
def test_data_that_were_dealt_are_not_dealt_again(tmp_path: Path, dataset: str) -> None:
    params = {} if dataset == "wine" else write_table(tmp_path)
    facts = dealt(tmp_path, dataset=dataset, dataset_params=params)
    before = state(tmp_path)

    assert dealt(tmp_path, dataset=dataset, dataset_params=params) == facts
    assert state(tmp_path) == before


@pytest.mark.parametrize(
    "other", [{"split": 5}, {"folds": 3}, {"max_samples": 60}, {"dataset": "iris"}]
)
def test_data_of_another_request_are_dealt_anew(tmp_path: Path, other: dict[str, Any]) -> None:
    (tmp_path / "fresh").mkdir()
    dealt(tmp_path / "reused")

    facts = dealt(tmp_path / "reused", **other)

    assert facts == dealt(tmp_path / "fresh", **other)
    assert content(tmp_path / "reused") == content(tmp_path / "fresh")


@pytest.mark.parametrize("dataset", ["csv", "text_classification"])
def test_data_of_a_file_that_changed_are_dealt_anew(tmp_path: Path, dataset: str) -> None:
    asked: dict[str, Any] = {"dataset": dataset, "dataset_params": write_table(tmp_path)}
    before = dealt(tmp_path / "reused", **asked)
    write_table(tmp_path, factor=3)

    assert dealt(tmp_path / "reused", **asked) == before  # as many rows, of the same classes
    dealt(tmp_path / "fresh", **asked)
    assert content(tmp_path / "reused") == content(tmp_path / "fresh")


@pytest.mark.parametrize(
    "path", ["data/inputs.npy", "data/facts.json", "vault/answers.json", "vault/dealt.json"]
)
@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_data_that_were_changed_or_are_half_there_are_dealt_anew(
    tmp_path: Path, path: str, damage: str
) -> None:
    dealt(tmp_path)
    whole = content(tmp_path)
    if damage == "changed":
        (tmp_path / path).write_bytes(b"{}")
    else:
        (tmp_path / path).unlink()

    dealt(tmp_path)

    assert content(tmp_path) == whole


def test_nothing_stays_of_data_of_another_kind(tmp_path: Path) -> None:
    dealt(tmp_path, dataset="text_classification", dataset_params=write_table(tmp_path))
    dealt(tmp_path)

    assert {path.name for path in (tmp_path / "data").iterdir()} == {
        "facts.json",
        "inputs.npy",
        "test_inputs.npy",
    }


def test_of_larger_data_every_class_keeps_its_share(tmp_path: Path) -> None:
    facts = dealt(tmp_path, max_samples=60, max_test_samples=12)
    labels = Answers.read(tmp_path / "vault").labels
    assert facts["samples"] == len(labels)
    assert abs(len(labels) - 60) <= 2
    assert min(np.bincount(labels)) >= 15


@pytest.mark.parametrize("rare", [1, 2, 3])
def test_a_rare_class_costs_no_fold(tmp_path: Path, rare: int) -> None:
    rows = "".join(f"{n},{n % 7},{'ab'[n % 2]}\n" for n in range(60))
    rows += "".join(f"{n},9,c\n" for n in range(3 * rare))
    (tmp_path / "t.csv").write_text(f"x,y,label\n{rows}", "utf-8")
    params = {"data_path": str(tmp_path / "t.csv"), "label_column": "label"}
    assert dealt(tmp_path, dataset="csv", dataset_params=params)["folds"] == 4
    where = {"data": str(tmp_path / "data"), "vault": str(tmp_path / "vault")}
    asked = {**where, "output": str(tmp_path / "vault/b"), "model": "k_nearest", "seed": 0}
    assert len(fit_baseline(asked, nothing)["per_fold"]) == 4


def test_a_single_class_is_refused(tmp_path: Path) -> None:
    rows = "".join(f"{n},a\n" for n in range(40))
    (tmp_path / "t.csv").write_text(f"x,label\n{rows}", "utf-8")
    params = {"data_path": str(tmp_path / "t.csv"), "label_column": "label"}
    with pytest.raises(DatasetError, match=r"too few|tell apart"):
        dealt(tmp_path, dataset="csv", dataset_params=params)


def test_texts_may_be_parted_from_their_labels_by_something_else(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "text;label\n" + "".join(f"a, b {n};{'xy'[n % 2]}\n" for n in range(40)), "utf-8"
    )
    params = {"data_path": str(tmp_path / "t.csv")}
    with pytest.raises(DatasetError, match="parted by ';' and not by ','; say so as 'delimiter'"):
        dealt(tmp_path, dataset="text_classification", dataset_params=params)

    params["delimiter"] = ";"
    assert dealt(tmp_path, dataset="text_classification", dataset_params=params)["classes"] == 2


def test_a_column_without_any_text_is_refused(tmp_path: Path) -> None:
    rows = "".join(f" ,{'xy'[n % 2]}\n" for n in range(40))
    (tmp_path / "t.csv").write_text(f"text,label\n{rows}", "utf-8")
    params = {"data_path": str(tmp_path / "t.csv")}
    with pytest.raises(DatasetError, match="'text' holds no text at all"):
        dealt(tmp_path, dataset="text_classification", dataset_params=params)


def test_a_task_without_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="with classes"):
        dealt(tmp_path, dataset="diabetes")


@pytest.mark.parametrize("dataset", ["csv", "text_classification"])
def test_numbers_to_be_predicted_are_told_from_classes(tmp_path: Path, dataset: str) -> None:
    rows = "".join(f"{n},{n / 7:.3f}\n" for n in range(60))
    (tmp_path / "t.csv").write_text(f"text,price\n{rows}", "utf-8")
    params = {"data_path": str(tmp_path / "t.csv"), "label_column": "price"}
    with pytest.raises(DatasetError, match=r"'price' holds 60 different numbers .*regression"):
        dealt(tmp_path, dataset=dataset, dataset_params=params)


def test_a_text_without_a_label_is_named_by_its_line(tmp_path: Path) -> None:
    rows = "".join(f"word,{'ab'[n % 2]}\n" for n in range(40))
    (tmp_path / "t.csv").write_text(f"text,label\n{rows}word,\n", "utf-8")
    with pytest.raises(DatasetError, match=r"t\.csv:42: column 'label' is empty"):
        dealt(
            tmp_path,
            dataset="text_classification",
            dataset_params={"data_path": str(tmp_path / "t.csv")},
        )


def test_a_trial_learns_and_is_scored_by_what_it_had_not_seen(tmp_path: Path) -> None:
    dealt(tmp_path)
    result = trial(tmp_path, fold=1)
    assert result["status"] == "completed"
    assert score(tmp_path, fold=1)["accuracy"] > 0.85
    assert [point[0] for point in result["curve"]] == sorted(point[0] for point in result["curve"])


def test_the_same_trial_predicts_the_same(tmp_path: Path) -> None:
    dealt(tmp_path)
    trial(tmp_path, fold=0)
    before = (tmp_path / "vault/trial0" / TEST).read_bytes()
    trial(tmp_path, fold=0)
    assert (tmp_path / "vault/trial0" / TEST).read_bytes() == before


def test_a_trial_that_diverges_leaves_no_predictions(tmp_path: Path) -> None:
    dealt(tmp_path)
    wild = TRAINING | {"optimizer": {"type": "SGD", "params": {"lr": 1e30}}, "scheduler": None}
    assert trial(tmp_path, fold=0, training=wild)["status"] == "diverged"
    assert not (tmp_path / "vault/trial0").exists()


@pytest.mark.parametrize(
    "forged",
    [
        np.zeros((10, 3), dtype=np.float32),
        np.zeros((3, 3), dtype=np.float32),
        np.full((10, 3), np.nan, dtype=np.float32),
        np.full((10, 3), np.inf, dtype=np.float32),
    ],
    ids=["no distribution", "another size", "no numbers", "infinite"],
)
def test_predictions_that_are_none_are_refused(tmp_path: Path, forged: Any) -> None:
    write_predictions(tmp_path / VAL, torch.from_numpy(forged))
    with pytest.raises(ScoringError):
        read_predictions(tmp_path / VAL, 10, 3)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"PK\x03\x04", b"cos\nsystem\n(S'x'\ntR."])
def test_files_that_hold_no_array_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / VAL).write_bytes(content)
    with pytest.raises(ScoringError):
        read_predictions(tmp_path / VAL, 10, 3)


def test_a_link_to_other_predictions_is_refused(tmp_path: Path) -> None:
    write_predictions(tmp_path / TEST, torch.log(torch.full((10, 3), 1 / 3)))
    assert read_predictions(tmp_path / TEST, 10, 3).shape == (10, 3)
    (tmp_path / VAL).symlink_to(tmp_path / TEST)
    with pytest.raises(ScoringError):
        read_predictions(tmp_path / VAL, 10, 3)


def test_calibration_takes_out_how_sure_a_model_is_of_itself() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 200)
    raw = random.normal(size=(200, 3)) + 2 * np.eye(3)[labels]
    sure, unsure = scores(_logs(4 * raw), labels), scores(_logs(0.5 * raw), labels)
    assert sure["accuracy"] == unsure["accuracy"]
    assert sure["loss"] == pytest.approx(unsure["loss"], abs=0.01)


@pytest.mark.parametrize("model", ["logistic_regression", "support_vectors", "k_nearest"])
def test_classical_models_are_measured_on_the_same_folds(tmp_path: Path, model: str) -> None:
    dealt(tmp_path)
    where = {"data": str(tmp_path / "data"), "vault": str(tmp_path / "vault")}
    asked = {**where, "output": str(tmp_path / "vault/b"), "model": model, "seed": 0}
    result = fit_baseline(asked, nothing)
    assert len(result["per_fold"]) == 4
    assert result["metrics"]["accuracy"] > 0.9
    assert model in MODELS


RARE = [  # rows of each class
    *((model, {"a": 40, "b": 1}) for model in sorted(MODELS.keys() - {"naive_bayes"})),
    ("k_nearest", {"a": 4, "b": 4}),
    ("gradient_boosting", {"a": 7000, "b": 7000, "c": 1}),  # from 10,000 on it holds some out
]


@pytest.mark.parametrize(("model", "counts"), RARE)
def test_classical_models_fit_what_is_rare(
    tmp_path: Path, model: str, counts: dict[str, int]
) -> None:
    """A fold may have to learn without a class, from one alone, or from three rows."""
    chance = np.random.default_rng(0)
    rows = "".join(f"{chance.normal()},{name}\n" for name in counts for _ in range(counts[name]))
    (tmp_path / "t.csv").write_text(f"x,label\n{rows}", "utf-8")
    params = {"data_path": str(tmp_path / "t.csv"), "label_column": "label"}
    dealt(tmp_path, dataset="csv", dataset_params=params, folds=2, max_samples=15_000)
    where = {"data": str(tmp_path / "data"), "vault": str(tmp_path / "vault")}

    result = fit_baseline(
        {**where, "output": str(tmp_path / "vault/b"), "model": model, "seed": 0}, nothing
    )

    assert len(result["per_fold"]) == 2
    assert 0 <= result["metrics"]["accuracy"] <= 1


def test_an_unknown_classical_model_is_refused(tmp_path: Path) -> None:
    dealt(tmp_path)
    where = {"data": str(tmp_path / "data"), "vault": str(tmp_path / "vault")}
    with pytest.raises(ConfigError, match="classical model"):
        fit_baseline({**where, "output": str(tmp_path), "model": "oracle", "seed": 0}, nothing)


def test_two_that_err_on_different_samples_are_better_together(tmp_path: Path) -> None:
    facts = dealt(tmp_path)
    answers = Answers.read(tmp_path / "vault")
    labels, random = np.array(answers.labels), np.random.default_rng(0)
    half = random.permutation(len(labels)) < len(labels) // 2
    for name, wrong in (("left", half), ("right", ~half)):
        raw = 3.0 * np.eye(3)[labels]
        raw[wrong] = random.normal(size=(wrong.sum(), 3))
        _keep(tmp_path / "vault" / name, raw, facts["test_samples"])
    _keep(tmp_path / "vault/noise", random.normal(size=(len(labels), 3)), facts["test_samples"])
    where = {"data": str(tmp_path / "data"), "vault": str(tmp_path / "vault")}
    candidates = {n: [str(tmp_path / "vault" / n)] for n in ("left", "right", "noise")}
    found = blend({**where, "candidates": candidates}, nothing)
    assert found["weights"].keys() == {"left", "right"}
    assert found["metrics"]["accuracy"] > 0.95


def test_an_ensemble_is_measured_by_what_did_not_choose_its_members(tmp_path: Path) -> None:
    facts = dealt(tmp_path)
    answers = Answers.read(tmp_path / "vault")
    random = np.random.default_rng(0)
    for name in range(12):
        said = random.normal(size=(len(answers.labels), 3))
        _keep(tmp_path / f"vault/guess{name}", said, facts["test_samples"])
    where = {"data": str(tmp_path / "data"), "vault": str(tmp_path / "vault")}
    candidates = {f"guess{name}": [str(tmp_path / f"vault/guess{name}")] for name in range(12)}
    found = blend({**where, "candidates": candidates}, nothing)
    assert len(found["weights"]) > 1
    assert found["metrics"]["accuracy"] < 0.41  # guesses; by what chose them, 0.43


def test_the_test_is_scored_by_answers_that_only_the_vault_has(tmp_path: Path) -> None:
    facts = dealt(tmp_path)
    for fold in range(2):
        trial(tmp_path, fold)
    where = {"data": str(tmp_path / "data"), "vault": str(tmp_path / "vault")}
    both = [str(tmp_path / f"vault/trial{fold}") for fold in range(2)]
    contestants = {"net": {"folders": [both], "weights": [1.0], "sharpness": [1.0]}}
    found = open_test({**where, "contestants": contestants}, nothing)
    confusion = np.array(found["contestants"]["net"]["confusion_matrix"])
    assert confusion.sum() == facts["test_samples"] == found["samples"]
    accuracy = confusion.trace() / confusion.sum()
    assert found["contestants"]["net"]["metrics"]["accuracy"] == pytest.approx(accuracy)
    assert accuracy > 0.85


@pytest.mark.parametrize("how", ["none", "noise", "shift", "affine", "cutout", "mixup"])
def test_augmented_images_stay_images_of_their_class(how: str) -> None:
    images, labels = torch.rand(12, 1, 8, 8), torch.arange(12) % 3
    source = AugmentedSource(images, labels, how, 3)
    torch.manual_seed(0)
    inputs, targets = source.batch(torch.arange(12))
    assert inputs.shape == images.shape
    assert torch.isfinite(inputs).all()
    assert (inputs == images).all() == (how == "none")
    if how == "mixup":
        assert torch.allclose(targets.sum(dim=1), torch.ones(12))
    else:
        assert (targets == labels).all()


def test_texts_are_dealt_and_read_with_zeros_in_front(tmp_path: Path) -> None:
    rows = "".join(f'"word{n % 2} again",{"ab"[n % 2]}\n' for n in range(40))
    (tmp_path / "texts.csv").write_text(f"text,label\n{rows}", "utf-8")
    params = {"data_path": str(tmp_path / "texts.csv")}
    facts = dealt(tmp_path, dataset="text_classification", dataset_params=params)
    assert (facts["kind"], facts["class_names"]) == ("text", ["a", "b"])
    assert len(json.loads((tmp_path / "data/texts.json").read_text())) == facts["samples"]
    vocabulary = {"[PAD]": 0, "[UNK]": 1, "word0": 2, "again": 3}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    read = tokens_of(["word0 again", "", "word0 word9 again word0"], tokenizer, 3)
    assert read.tolist() == [[0, 2, 3], [0, 0, 0], [2, 1, 3]]


def test_a_trial_reads_texts_by_its_own_tokenizer(tmp_path: Path) -> None:
    rows = "".join(f'"word{n % 2} again",{"ab"[n % 2]}\n' for n in range(80))
    (tmp_path / "texts.csv").write_text(f"text,label\n{rows}", "utf-8")
    params = {"data_path": str(tmp_path / "texts.csv")}
    dealt(tmp_path, dataset="text_classification", dataset_params=params)
    vocabulary = {"[PAD]": 0, "[UNK]": 1, "word0": 2, "word1": 3, "again": 4}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    (tmp_path / "tokenizer").mkdir()
    tokenizer.save(str(tmp_path / "tokenizer/tokenizer.json"))
    (tmp_path / "reads.py").write_text(READS, "utf-8")
    trial(
        tmp_path,
        fold=0,
        script=str(tmp_path / "reads.py"),
        training=TRAINING | {"augmentation": "drop_tokens"},
        tokenizer=str(tmp_path / "tokenizer"),
        length=3,
    )
    assert score(tmp_path, fold=0)["accuracy"] == 1.0


def _keep(folder: Path, raw: Any, test_samples: int) -> None:
    folder.mkdir()
    write_predictions(folder / VAL, torch.from_numpy(_logs(raw)))
    write_predictions(folder / TEST, torch.from_numpy(_logs(np.zeros((test_samples, 3)))))


def _logs(raw: Any) -> Any:
    return raw - np.log(np.exp(raw).sum(axis=1, keepdims=True))
