"""Classical models, as jobs: what a network has to be better than to be worth its while.

Suffixes: N samples, C classes, F features.
"""

import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import ComplementNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

from agents.ml.config import require_known
from agents.ml.selection.answers import Answers
from agents.ml.selection.dealing import Array, read_facts
from agents.ml.selection.scoring import (
    TEST,
    VAL,
    calibration,
    scores,
    sharpened,
    write_predictions,
)

MODELS: dict[str, Callable[[int], BaseEstimator]] = {
    "logistic_regression": lambda _: LogisticRegression(max_iter=300),
    "k_nearest": lambda _: KNeighborsClassifier(n_neighbors=4, weights="distance"),
    "support_vectors": lambda _: SVC(C=10.0),
    "extra_trees": lambda seed: ExtraTreesClassifier(200, random_state=seed),
    "random_forest": lambda seed: RandomForestClassifier(200, random_state=seed),
    "naive_bayes": lambda _: ComplementNB(),
    "gradient_boosting": lambda seed: HistGradientBoostingClassifier(random_state=seed),
    "default_mlp": lambda seed: MLPClassifier(random_state=seed),
}
_FEATURES = 5000
_LEAST = 1e-7
_SAMPLES_OF_A_CLASS = 10  # of which one is held out


def fit_baseline(payload: dict[str, Any], report: Any) -> dict[str, Any]:
    """Fit a model once without each fold and once with all, and write what it predicts.

    Payload: `data`, `vault`, `output`, `model`, `seed`. Written to `output` are `scoring.VAL`,
    each sample predicted by the model that had not seen it, and `scoring.TEST`, by the one that
    had seen all.

    Returns:
        `metrics` over all folds, `per_fold` (a list of them) and `cpu_s`.
    """
    started_s = time.process_time()
    data, output, name = Path(payload["data"]), Path(payload["output"]), payload["model"]
    require_known(name, MODELS, what="classical model", where="model")
    facts = read_facts(data)
    answers = Answers.read(Path(payload["vault"]))
    labels_N, folds_N = np.array(answers.labels), np.array(answers.folds)
    inputs, test_inputs = _features(data, is_text=facts.kind == "text")
    raw_NC = np.zeros((len(labels_N), facts.classes))
    for fold in range(facts.folds):
        seen, unseen = np.flatnonzero(folds_N != fold), np.flatnonzero(folds_N == fold)
        model = _fit(name, payload["seed"], inputs[seen], labels_N[seen])
        raw_NC[unseen] = _raw_scores(model, inputs[unseen], facts.classes)
        report({"done": fold + 1, "total": facts.folds + 1, "text": f"fold {fold + 1}"})
    model = _fit(name, payload["seed"], inputs, labels_N)
    sharpness = calibration(raw_NC, labels_N)  # a support vector machine gives distances
    val_NC = sharpened(raw_NC, sharpness)
    test_NC = sharpened(_raw_scores(model, test_inputs, facts.classes), sharpness)
    output.mkdir(parents=True, exist_ok=True)
    write_predictions(output / VAL, torch.from_numpy(val_NC))
    write_predictions(output / TEST, torch.from_numpy(test_NC))
    per_fold = [scores(val_NC[folds_N == k], labels_N[folds_N == k]) for k in range(facts.folds)]
    return {
        "metrics": scores(val_NC, labels_N),
        "per_fold": per_fold,
        "cpu_s": round(time.process_time() - started_s, 4),
    }


def _features(data: Path, *, is_text: bool) -> tuple[Any, Any]:
    """Samples as rows (N, F); of texts what characters and words they have, weighted by rarity."""
    if not is_text:
        inputs, test = np.load(data / "inputs.npy"), np.load(data / "test_inputs.npy")
        return inputs.reshape(len(inputs), -1), test.reshape(len(test), -1)
    texts, test_texts = (
        json.loads((data / f"{part}texts.json").read_text("utf-8")) for part in ("", "test_")
    )
    reader = TfidfVectorizer(
        analyzer="char_wb",
        ngram_range=(1, 4),
        sublinear_tf=True,
        max_features=_FEATURES,
        dtype=np.float32,
    )
    return reader.fit_transform(texts), reader.transform(test_texts)


def _fit(name: str, seed: int, inputs_NF: Any, labels_N: Array) -> BaseEstimator:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # as it comes out is what counts
        return _fitting(MODELS[name](seed), labels_N).fit(inputs_NF, labels_N)


def _fitting(model: BaseEstimator, labels_N: Array) -> BaseEstimator:
    """The model as scikit-learn can fit it to few samples: of a class, or at all."""
    _, counts = np.unique(labels_N, return_counts=True)
    if len(counts) == 1:
        return DummyClassifier()
    if isinstance(model, KNeighborsClassifier):
        return model.set_params(n_neighbors=min(model.n_neighbors, len(labels_N)))
    is_dealt = counts.min() > 1 and len(labels_N) >= _SAMPLES_OF_A_CLASS * len(counts)
    if isinstance(model, HistGradientBoostingClassifier) and not is_dealt:
        return model.set_params(early_stopping=False)  # it holds out some of each class
    return model


def _raw_scores(model: BaseEstimator, inputs_NF: Any, classes: int) -> Array:
    """Scores (N, C) whose softmax are probabilities; a class that was not seen has the least."""
    found_NC = np.full((inputs_NF.shape[0], classes), np.log(_LEAST))
    if hasattr(model, "predict_proba"):
        found_NC[:, model.classes_] = np.log(np.maximum(model.predict_proba(inputs_NF), _LEAST))
        return found_NC
    distances = model.decision_function(inputs_NF)
    if distances.ndim == 1:
        distances = np.stack([-distances, distances], axis=1)
    found_NC[:, model.classes_] = distances
    return found_NC
