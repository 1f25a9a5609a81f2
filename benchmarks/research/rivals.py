"""Those that the researcher is compared with, on the same data and folds, by the same trials.

How long a model is trained they choose too, from the rungs of the same ladder.
"""

import math
import time
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
import optuna
import torch
from sklearn.neural_network import MLPClassifier

from agents.ml.assembler.jobs import assemble
from agents.ml.selection import trial
from agents.ml.selection.answers import NOBODY_KNOWS, Answers
from agents.ml.selection.baselines import _features
from agents.ml.selection.dealing import read_facts
from agents.ml.selection.merit import merit
from agents.ml.selection.scoring import TEST, read_predictions, score_fold
from agents.ml.tokenizer.manager import pytorch_tokenizer_manager
from agents.ml.tokenizer.registry import TokenizerRegistry
from agents.research.researcher.knobs import Choice
from agents.research.researcher.ladder import ladder
from agents.research.researcher.places import tokenizer_name
from agents.research.researcher.recipes import model_config, tokenizer_config, training_config
from agents.research.researcher.space import Recipe, Space, space_for
from benchmarks.research.in_process import at_most


class Data(NamedTuple):
    """A study's data, whose fold 0 a rival selects by."""

    folder: Path

    @property
    def where(self) -> dict[str, str]:
        return {"data": str(self.folder / "data"), "vault": str(self.folder / "vault")}

    def accuracy(self, predicted: Any) -> float:
        labels = np.array(Answers.read(self.folder / "vault").test_labels)
        return float((predicted.argmax(axis=1) == labels).mean())


class Rival:
    """Trains recipes, one after the other, until its processor time is spent."""

    def __init__(self, data: Data, seconds: float, seed: int) -> None:
        self.data, self._seconds, self._seed = data, seconds, seed
        self.facts = read_facts(data.folder / "data")
        self.epochs = ladder(self.facts)
        self.space: Space = space_for(self.facts.kind, self.facts.input_shape, self.facts.samples)
        self._answers = Answers.read(data.folder / "vault")
        self._best: tuple[float, Recipe, int] | None = None
        self._started_s = time.process_time()
        self.trials = 0

    @property
    def seconds(self) -> float:
        """What was spent so far."""
        return time.process_time() - self._started_s

    @property
    def has_time(self) -> bool:
        return self.seconds < self._seconds

    def measure(self, recipe: Recipe, epochs: int) -> float:
        """The merit of a recipe on fold 0; 0 where it fails, or is not done when time is up.

        One that has nothing yet has all the time that it takes.
        """
        self.trials += 1
        left_s = math.inf if self._best is None else max(0.01, self._seconds - self.seconds)
        try:
            with at_most(left_s, "a rival's trial"):
                status = self._train(recipe, epochs, self._answers.without(0))["status"]
        except Exception:  # noqa: BLE001  a recipe that does not work is worth nothing
            return 0.0
        if status != "completed":
            return 0.0
        output = str(self.data.folder / "rival")
        found = merit(score_fold({**self.data.where, "output": output, "fold": 0}, _nothing))
        if self._best is None or found > self._best[0]:
            self._best = (found, recipe, epochs)
        return found

    def test(self) -> float:
        """The best recipe, trained once more on all samples but one, on the held-out test."""
        assert self._best is not None
        _, recipe, epochs = self._best
        self._train(recipe, epochs, [NOBODY_KNOWS, *self._answers.labels[1:]])
        path, samples = self.data.folder / "rival" / TEST, self.facts.test_samples
        return self.data.accuracy(read_predictions(path, samples, self.facts.classes))

    def _train(self, recipe: Recipe, epochs: int, labels: list[int]) -> dict[str, Any]:
        text = self.facts.kind == "text"
        vocabulary = self._tokenizer(recipe) if text else None
        config = model_config(
            recipe, "Rival", self.facts.input_shape, self.facts.classes, vocabulary
        )
        assemble({"model_config": config, "output_script_path": "rival.py"}, _nothing)
        payload = {
            **self.data.where,
            "output": str(self.data.folder / "rival"),
            "script": "rival.py",
            "class_name": "Rival",
            "training": training_config(recipe, epochs),
            "labels": labels,
            "seed": self._seed,
            "tokenizer": str(self._tokenizers(recipe)) if text else None,
            "length": recipe["length"] if text else None,
        }
        return trial.run_trial(payload, _nothing)

    def _tokenizers(self, recipe: Recipe) -> Path:
        return self.data.folder / "tokenizers" / tokenizer_name(recipe)

    def _tokenizer(self, recipe: Recipe) -> int:
        path = self._tokenizers(recipe)
        registry = TokenizerRegistry(self.data.folder / "registry")
        name = tokenizer_name(recipe)
        if path.exists():
            return registry.get(name).get_vocab_size()
        made = pytorch_tokenizer_manager(
            "train",
            name,
            tokenizer_config(recipe, str(self.data.folder / "data/corpus.txt")),
            str(path),
            registry=registry,
        )
        return int(made["vocab_size"])


def random_search(rival: Rival, seed: int) -> None:
    random = Random(seed)
    while rival.has_time:
        rival.measure(rival.space.draw(random), random.choice(rival.epochs))


def tpe(rival: Rival, seed: int) -> None:
    """Optuna's TPE as it comes, over the same knobs."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    while rival.has_time:
        asked = study.ask()
        epochs = asked.suggest_categorical("epochs", rival.epochs)
        study.tell(asked, rival.measure(suggested(rival.space, asked), epochs))


def suggested(space: Space, asked: optuna.Trial) -> Recipe:
    recipe: Recipe = {}
    for knob in space.knobs:
        if any(recipe.get(name) not in values for name, values in (knob.when or {}).items()):
            continue
        if isinstance(knob, Choice):
            recipe[knob.name] = asked.suggest_categorical(knob.name, list(knob.options))
        else:
            recipe[knob.name] = asked.suggest_float(knob.name, knob.low, knob.high, log=True)
    return recipe


def default_mlp(data: Data, seed: int) -> float:
    """scikit-learn's network as it comes, fitted to all samples."""
    torch.set_num_threads(1)
    facts = read_facts(data.folder / "data")
    inputs, test = _features(data.folder / "data", is_text=facts.kind == "text")
    labels = Answers.read(data.folder / "vault").labels
    return data.accuracy(MLPClassifier(random_state=seed).fit(inputs, labels).predict_proba(test))


def _nothing(_event: dict[str, Any]) -> None:
    pass
