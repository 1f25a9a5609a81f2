"""Ensembles, and the one look at the held-out test: jobs over predictions, without any model.

Suffixes: N samples, C classes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from agents.ml.selection.answers import Answers
from agents.ml.selection.dealing import Array, read_facts
from agents.ml.selection.merit import merit
from agents.ml.selection.scoring import (
    TEST,
    VAL,
    calibration,
    mean_loss,
    read_predictions,
    scores,
    sharpened,
)

_MOST_MEMBERS = 20
_ENOUGH = 1e-5  # a smaller gain does not count


def blend(payload: dict[str, Any], _report: Any) -> dict[str, Any]:
    """Choose an ensemble out of candidates, by what each predicted of samples it had not seen.

    Members are added one by one, the same one more than once if that helps most, as long as the
    merit grows (Caruana et al. 2004, "Ensemble selection from libraries of models"). How good that
    is, is measured on each fold with the members that the other folds choose: by what it was chosen
    by, an ensemble is never worse than its best member.

    Payload: `data`, `vault`; `candidates`, by name the folders of predictions: one per fold, or a
    single one with all samples.

    Returns:
        `weights` by name, `sharpness` by name, `metrics`, `per_fold` (metrics of each fold).
    """
    facts = read_facts(Path(payload["data"]))
    answers = Answers.read(Path(payload["vault"]))
    labels_N, folds_N = np.array(answers.labels), np.array(answers.folds)
    found = {
        name: _out_of_fold(folders, folds_N, facts.classes)
        for name, folders in sorted(payload["candidates"].items())
    }
    sharpness = {name: calibration(found_NC, labels_N) for name, found_NC in found.items()}
    candidates = {
        name: np.exp(sharpened(found_NC, sharpness[name])) for name, found_NC in found.items()
    }
    weights = _weights(candidates, labels_N)
    blended_NC = np.zeros((len(labels_N), facts.classes))
    for fold in range(facts.folds):
        known, asked = folds_N != fold, folds_N == fold
        seen = {name: found_NC[known] for name, found_NC in candidates.items()}
        blended_NC[asked] = _average(candidates, _weights(seen, labels_N[known]))[asked]
    logs_NC = _logs(blended_NC)
    return {
        "weights": weights,
        "sharpness": {name: sharpness[name] for name in weights},
        "metrics": scores(logs_NC, labels_N),
        "per_fold": [
            scores(logs_NC[folds_N == fold], labels_N[folds_N == fold])
            for fold in range(facts.folds)
        ],
    }


def _weights(candidates: Mapping[str, Array], labels_N: Array) -> dict[str, float]:
    """The share of each member, of those that have one."""
    counts = dict.fromkeys(candidates, 0)
    total_NC = np.zeros_like(next(iter(candidates.values())))
    best = -np.inf
    for size in range(1, _MOST_MEMBERS + 1):
        merits = {
            name: _merit((total_NC + found_NC) / size, labels_N)
            for name, found_NC in candidates.items()
        }
        name = max(merits, key=lambda each: (merits[each], each))
        if merits[name] < best + _ENOUGH:
            break
        best = merits[name]
        counts[name] += 1
        total_NC += candidates[name]
    members = sum(counts.values())
    return {name: count / members for name, count in counts.items() if count}


def _average(candidates: Mapping[str, Array], weights: Mapping[str, float]) -> Array:
    return np.asarray(sum(weight * candidates[name] for name, weight in weights.items()))


def _merit(probabilities_NC: Array, labels_N: Array) -> float:
    """As of `scores`, but that members are calibrated already, which takes most of the time."""
    hits_N = probabilities_NC.argmax(axis=1) == labels_N
    loss = mean_loss(_logs(probabilities_NC), labels_N)
    return merit({"accuracy": float(hits_N.mean()), "loss": loss})


def open_test(payload: dict[str, Any], _report: Any) -> dict[str, Any]:
    """Score what was chosen, and beside it what it is compared with, on the held-out test.

    Payload: `data`, `vault`; `contestants`, by name groups of `folders`, the
    `weights` of these and the `sharpness` of each.

    Returns:
        by name `metrics` and `confusion_matrix` (rows labels, columns predictions).
    """
    facts = read_facts(Path(payload["data"]))
    labels_N = np.array(Answers.read(Path(payload["vault"])).test_labels)
    opened = {}
    for name, parts in payload["contestants"].items():
        total_NC = np.zeros((len(labels_N), facts.classes))
        groups = zip(parts["folders"], parts["weights"], parts["sharpness"], strict=True)
        for folders, weight, sharpness in groups:
            for folder in folders:
                path = Path(folder) / TEST
                found_NC = read_predictions(path, len(labels_N), facts.classes)
                total_NC += weight / len(folders) * np.exp(sharpened(found_NC, sharpness))
        predicted_N = total_NC.argmax(axis=1)
        confusion_CC = np.zeros((facts.classes, facts.classes), dtype=np.int64)
        np.add.at(confusion_CC, (labels_N, predicted_N), 1)
        opened[name] = {
            "metrics": scores(_logs(total_NC), labels_N),
            "confusion_matrix": confusion_CC.tolist(),
        }
    return {"samples": len(labels_N), "contestants": opened}


def _out_of_fold(folders: list[str], folds_N: Array, classes: int) -> Array:
    """Each sample's prediction by the model that had left it out."""
    if len(folders) == 1:
        return read_predictions(Path(folders[0]) / VAL, len(folds_N), classes)
    found_NC = np.zeros((len(folds_N), classes))
    for fold, folder in enumerate(folders):
        members = np.flatnonzero(folds_N == fold)
        found_NC[members] = read_predictions(Path(folder) / VAL, len(members), classes)
    return found_NC


def _logs(probabilities_NC: Array) -> Array:
    return np.asarray(np.log(np.maximum(probabilities_NC, 1e-12)))
