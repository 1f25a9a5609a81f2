"""What has to hold whatever model and data take the place of the first ones."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from evaluate import evaluate
from src.data import digits
from src.experiment import ROOT, Config, Experiment, build_model
from train import train

BASE = Config.read(ROOT / "configs" / "base.yaml", epochs=2)


def test_the_model_gives_a_score_for_each_class() -> None:
    scores = build_model(BASE)(torch.zeros(3, 1, 8, 8))

    assert scores.shape == (3, digits.NUM_CLASSES)


def test_the_splits_share_no_image() -> None:
    sizes = [len(digits.load(split)) for split in ("train", "val", "test")]

    assert sum(sizes) == 1797
    assert min(sizes) > 300


def test_training_learns_and_is_measured_on_the_test_split(tmp_path: Path) -> None:
    best = train(BASE, tmp_path)

    assert best > 0.5
    assert evaluate(tmp_path / BASE.name) > 0.5
    lines = (tmp_path / BASE.name / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]


def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: object, state: dict[str, object]) -> None:
        save(self, state)
        raise KeyboardInterrupt

    whole = train(BASE, tmp_path / "whole")
    save = Experiment.save
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Experiment, "save", stop)
        train(BASE, tmp_path / "stopped")

    assert train(BASE, tmp_path / "stopped") == whole


def test_another_config_under_the_same_name_is_refused(tmp_path: Path) -> None:
    train(replace(BASE, epochs=1), tmp_path)

    with pytest.raises(ValueError, match="another config"):
        train(replace(BASE, epochs=1, seed=1), tmp_path)


def test_a_rate_may_be_written_without_a_dot(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text("name: small\nlearning_rate: 1e-4\n")

    assert Config.read(tmp_path / "small.yaml").learning_rate == 1e-4


def test_an_unknown_key_of_a_config_is_named(tmp_path: Path) -> None:
    (tmp_path / "odd.yaml").write_text("name: odd\nepoch: 3\n")

    with pytest.raises(ValueError, match="epoch"):
        Config.read(tmp_path / "odd.yaml")
