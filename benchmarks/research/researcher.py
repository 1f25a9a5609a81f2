"""The researcher beside random search, Optuna's TPE and scikit-learn's network as it comes.

python -m benchmarks.research.researcher results.jsonl [DATASET …]

All of them have the same data, folds, space and processor time; each seed is another choice of
test samples. Every line of the file is one result, so that a run goes on where it was cut short.
"""

import csv
import json
import os
import re
import sys
import warnings
from collections import Counter, defaultdict
from pathlib import Path
from statistics import fmean, stdev
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch

from agents.research.job_properties import VAULTS
from agents.research.researcher import conclusion
from agents.research.researcher.budget import Budget
from agents.research.researcher.messages import StudyRequest
from agents.research.researcher.places import Places
from agents.research.researcher.state import Study
from benchmarks.research.in_process import run
from benchmarks.research.rivals import Data, Rival, default_mlp, random_search, tpe

SEEDS = (0, 1, 2)
_FASHION = "/usr/share/datasets/fashion-mnist"  # of the Debian package dataset-fashion-mnist
_MNIST = Path(os.environ.get("MNIST", "data/mnist.npz")).absolute()
_SHAKESPEARE = Path(os.environ.get("SHAKESPEARE", "data/tinyshakespeare.txt")).absolute()


class Subject(NamedTuple):
    """A dataset, how it is asked for, and the seconds that each contestant has."""

    dataset: str
    seconds: float
    params: dict[str, Any]
    max_samples: int = 10_000


SUBJECTS = {
    "digits": Subject("digits", 20, {"test_fraction": 0.3}),
    "breast_cancer": Subject("breast_cancer", 6, {"test_fraction": 0.3}),
    "wine": Subject("wine", 6, {"test_fraction": 0.3}),
    "mnist": Subject("mnist", 25, {"data_path": str(_MNIST)}, 2000),
    "fashion": Subject("mnist", 25, {"data_path": _FASHION}, 2000),
    "speakers": Subject("text_classification", 20, {"test_fraction": 0.3}),
}


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    results = Path(sys.argv[1]).absolute()
    for seed in SEEDS:
        for name in sys.argv[2:] or SUBJECTS:
            if not any(line["dataset"] == name and line["seed"] == seed for line in read(results)):
                with TemporaryDirectory() as folder:
                    os.chdir(folder)
                    found = compare(SUBJECTS[name], seed)
                with results.open("a") as file:
                    file.write(json.dumps({"dataset": name, "seed": seed, **found}) + "\n")
    print(table(read(results)))


def compare(subject: Subject, seed: int) -> dict[str, Any]:
    """The accuracy of each contestant on the held-out test, with what it was made of.

    Everything is written into the current folder.
    """
    request = StudyRequest(
        dataset=subject.dataset,
        dataset_params=_params(subject, seed),
        budget=Budget(seconds=subject.seconds),
        parallel=1,
        max_samples=subject.max_samples,
        split=seed,
        seed=seed,
    )
    study = Study(request=request, started_at=0.0, clock_at=0.0)
    run(study)
    facts, opened = study.facts, conclusion.tests(study)
    assert facts is not None
    assert opened is not None
    best = conclusion.chosen(study, facts)
    assert best is not None
    tested = {score.name: score.accuracy for score in opened.scores}
    classical = conclusion.classical(study)
    found: dict[str, Any] = {
        "researcher": tested[best.name],
        "classical": tested[classical[0].name] if classical else float("nan"),
        "chosen": best.name,
        "best_classical": classical[0].name if classical else "",
        "trials": {"researcher": len(study.trials)},
        "seconds": {"researcher": round(study.elapsed_s, 1)},
        "verdict": conclusion.verdict(study, facts),
        "failures": [f"{name}: {step.error}" for name, step in study.steps.items() if step.error],
    }
    data = rivals_data(request)
    for rival_name, search in (("random", random_search), ("tpe", tpe)):
        rival = Rival(data, subject.seconds, seed)
        search(rival, seed)
        found["seconds"][rival_name] = round(rival.seconds, 1)
        found["trials"][rival_name] = rival.trials
        found[rival_name] = rival.test()
    found["default_mlp"] = default_mlp(data, seed)
    return found


def table(lines: list[dict[str, Any]]) -> str:
    """Means with standard errors in percent, and the researcher's lead by pairs of a seed."""
    by_dataset: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        by_dataset[line["dataset"]].append(line)
    contestants = ("researcher", "random", "tpe", "default_mlp", "classical")
    rows = ["| dataset | " + " | ".join(contestants) + " |", "|---" * 6 + "|"]
    for name, found in by_dataset.items():
        cells = [_mean([100 * line[each] for line in found]) for each in contestants]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
        leads = [
            _mean([100 * (line["researcher"] - line[each]) for line in found], sign=True)
            for each in contestants[1:]
        ]
        rows.append("| its lead | | " + " | ".join(leads) + " |")
    return "\n".join(rows)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _mean(values: list[float], *, sign: bool = False) -> str:
    error = f" ± {stdev(values) / len(values) ** 0.5:.2f}" if len(values) > 1 else ""
    return f"{fmean(values):{'+' if sign else ''}.2f}{error}"


def _params(subject: Subject, seed: int) -> dict[str, Any]:
    params = {**subject.params, "split_seed": seed}
    if subject.dataset == "text_classification":
        params["data_path"] = str(write_speakers(_SHAKESPEARE, Path("speakers.csv")))
    return params


def rivals_data(request: StudyRequest) -> Data:
    """The data of the study, as rivals want them: in one folder."""
    folder, data = Path("rivals"), Places(request.folder).data
    folder.mkdir()
    (folder / "data").symlink_to(Path(data).absolute())
    (folder / "vault").symlink_to(Path(VAULTS, data).absolute())
    return Data(folder.absolute())


def write_speakers(source: Path, path: Path, most: int = 8) -> Path:
    """Speeches from Shakespeare with their speakers, those with the most speeches."""
    text = source.read_text("utf-8")
    speeches = re.findall(r"^([A-Z][A-Za-z ]+):\n(.+?)(?:\n\n|\Z)", text, re.DOTALL | re.MULTILINE)
    common = {name for name, _ in Counter(name for name, _ in speeches).most_common(most)}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows([speech, name] for name, speech in speeches if name in common)
    return path.absolute()


if __name__ == "__main__":
    main()
