import math

import numpy as np
import pytest
import torch
from sklearn import metrics as oracle

from agents.ml.errors import ConfigError
from agents.ml.training.metrics import (
    ClassificationScores,
    RegressionScores,
    check_metrics,
    is_lower_better,
    language_scores,
)

NAMES = [
    "accuracy",
    "balanced_accuracy",
    *(
        f"{score}{average}"
        for score in ("f1", "precision", "recall")
        for average in ("", "_macro", "_micro", "_weighted")
    ),
]


def expected(name: str, labels: np.ndarray, predictions: np.ndarray) -> float:
    if name == "accuracy":
        return float(oracle.accuracy_score(labels, predictions))
    if name == "balanced_accuracy":
        present = [p == t for t, p in zip(labels, predictions, strict=True)]
        return float(
            np.mean(
                [
                    np.mean([h for h, t in zip(present, labels, strict=True) if t == c])
                    for c in set(labels)
                ]
            )
        )
    score, _, average = name.partition("_")
    function = getattr(oracle, f"{score}_score")
    return float(function(labels, predictions, average=average or "macro", zero_division=0))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("classes", [2, 5, 30])
def test_scores_equal_those_of_scikit_learn(seed: int, classes: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    # Few samples of many classes: some classes are absent, some never predicted.
    labels = torch.randint(0, classes, (37,), generator=generator)
    scores = torch.randn(37, classes, generator=generator)
    scores[range(20), labels[:20]] += 2

    counted = ClassificationScores(NAMES, classes)
    for start in range(0, 37, 10):
        counted.add(scores[start : start + 10], labels[start : start + 10])

    results = counted.results()
    for name in NAMES:
        target = expected(name, labels.numpy(), scores.argmax(1).numpy())
        assert results[name] == pytest.approx(target, abs=1e-12), name


@pytest.mark.parametrize("k", [1, 2, 5])
def test_a_constant_is_right_on_the_first_k_classes_alone(k: int) -> None:
    name = f"top_{k}_accuracy"
    counted = ClassificationScores([name], 8)

    counted.add(torch.zeros(8, 8), torch.arange(8))

    assert counted.results()[name] == k / 8


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k_equals_that_of_scikit_learn(k: int) -> None:
    generator = torch.Generator().manual_seed(k)
    labels, scores = (
        torch.randint(0, 8, (50,), generator=generator),
        torch.randn(50, 8, generator=generator),
    )
    name = f"top_{k}_accuracy"
    counted = ClassificationScores([name], 8)

    counted.add(scores, labels)

    target = oracle.top_k_accuracy_score(labels, scores, k=k, labels=range(8))
    assert counted.results()[name] == pytest.approx(target)


def test_top_k_of_fewer_classes_is_always_right() -> None:
    counted = ClassificationScores(["top_5_accuracy"], 3)
    counted.add(torch.randn(10, 3), torch.randint(0, 3, (10,)))

    assert counted.results() == {"top_5_accuracy": 1.0}


def test_the_confusion_matrix_has_labels_as_rows() -> None:
    counted = ClassificationScores([], 3)
    labels, scores = torch.tensor([0, 1, 1, 2]), torch.eye(3)[[0, 2, 1, 2]]

    counted.add(scores, labels)

    target, found = oracle.confusion_matrix(labels, scores.argmax(1)), counted.confusion_matrix()
    assert found is not None
    assert found.tolist() == target.tolist()


def test_memory_grows_with_the_classes_and_not_with_their_square() -> None:
    classes = 200_000  # the square would be 320 GB
    counted = ClassificationScores(NAMES, classes)
    labels = torch.tensor([0, 7, 7, classes - 1])
    scores = torch.zeros(4, classes)
    scores[range(4), [0, 7, 9, classes - 1]] = 1

    counted.add(scores, labels)

    results, predictions = counted.results(), scores.argmax(1).numpy()
    assert counted.confusion_matrix() is None
    for name in NAMES:
        target = expected(name, labels.numpy(), predictions)
        assert results[name] == pytest.approx(target, abs=1e-12), name


def test_regression_scores_equal_those_of_scikit_learn() -> None:
    targets, predictions = torch.randn(30, 2), torch.randn(30, 2)
    counted = RegressionScores(["mse", "rmse", "mae", "r2"])

    counted.add(predictions[:20], targets[:20])
    counted.add(predictions[20:], targets[20:])

    results = counted.results()
    assert results["mse"] == pytest.approx(oracle.mean_squared_error(targets, predictions))
    assert results["mae"] == pytest.approx(oracle.mean_absolute_error(targets, predictions))
    assert results["r2"] == pytest.approx(oracle.r2_score(targets, predictions))
    assert results["rmse"] == pytest.approx(math.sqrt(results["mse"]))


def test_bits_per_byte_of_a_uniform_guess_at_bytes_is_eight() -> None:
    scores = language_scores(nats=100 * math.log(256), tokens=100, text_bytes=100)

    assert scores["bits_per_byte"] == pytest.approx(8)
    assert scores["perplexity"] == pytest.approx(256)


def test_a_hopeless_loss_has_an_infinite_perplexity_and_no_overflow() -> None:
    assert language_scores(nats=1e6, tokens=1, text_bytes=0) == {
        "loss": 1e6,
        "perplexity": math.inf,
    }


@pytest.mark.parametrize(
    ("name", "task", "message"),
    [
        ("acuracy", None, "did you mean 'accuracy'"),
        ("top_0_accuracy", None, "did you mean 'top_5_accuracy'"),
        ("f1", "regression", "no metric of regression"),
        ("top_5_accuracy", "causal_lm", "no metric of causal_lm"),
    ],
)
def test_an_unfit_metric_is_refused(name: str, task: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_metrics([name], task)  # type: ignore[arg-type]  # literals by parameter


def test_the_direction_of_a_metric_is_known() -> None:
    assert is_lower_better("val_loss")
    assert is_lower_better("train_loss")
    assert not is_lower_better("val_f1_macro")
