"""Training and putting out where a model's code runs, with the scorer in another process.

These are the jobs that `judge` has run for it: they get a handout instead of a dataset, and ask for
the score of what they put out. Nothing they say of their own work is taken for a score.
"""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import Tensor

from agents.ml.config import StrictConfig, read_config
from agents.ml.data import load_dataset
from agents.ml.data.batches import in_order
from agents.ml.data.dataset import SplitName
from agents.ml.training.arrays import write_array
from agents.ml.training.configs import QuickEvalConfig, TrainerConfig
from agents.ml.training.experiment import Experiment, finite_mapping
from agents.ml.training.full import train_fully
from agents.ml.training.handout import hand_out, open_handout
from agents.ml.training.measuring import code_of, put_out
from agents.ml.training.population import Member
from agents.ml.training.population_quick import train_population
from agents.ml.training.progress import Channel
from agents.ml.training.quick import train_quickly
from agents.ml.training.randomness import seeded
from agents.ml.training.scoring import ROWS
from agents.ml.training.supervised import Material, ModelCode
from agents.ml.training.team import Alone


class DistantScorer:
    """Has what the model puts out scored by a process that knows the targets."""

    def __init__(self, channel: Channel, path: Path) -> None:
        self._channel, self._path = channel, path

    def score(self, record: dict[str, Any], outputs: Iterable[Tensor]) -> dict[str, float]:
        write_array(self._path, (outputs_B.float() for outputs_B in outputs))
        scores = self._channel.ask(finite_mapping(record))
        return {name: math.nan if value is None else value for name, value in scores.items()}


class Place(StrictConfig):
    """What a job gets to work with: samples, and the file that its outputs go to."""

    handout: dict[str, Any]
    output_shape: list[int]
    outputs: str

    def material(self, channel: Channel) -> Material:
        """Return the samples, with a scorer that asks over `channel`."""
        scorer = DistantScorer(channel, Path(self.outputs))
        return Material(open_handout(self.handout), tuple(self.output_shape), scorer)


class Quickly(StrictConfig):
    model_script_path: str
    model_class_name: str
    config: dict[str, Any]
    place: Place


class Fully(Quickly):
    experiment_name: str
    log_base_dir: str
    identity: dict[str, Any]


class Checkpoint(StrictConfig):
    identity: dict[str, Any]
    config: dict[str, Any]
    checkpoint_path: str
    place: Place


class Materialise(StrictConfig):
    dataset: str
    params: dict[str, Any]
    num_classes: int | None
    scored: SplitName
    trains: bool
    folder: str


def materialise(payload: dict[str, Any], _channel: Channel) -> dict[str, Any]:
    """Write a handout, and the targets beside it, of a dataset made by a script of the user's."""
    given = read_config(Materialise, payload)
    named = {"dataset": given.dataset, "params": given.params, "num_classes": given.num_classes}
    folder = Path(given.folder)
    dataset = load_dataset(given.dataset, given.params, num_classes=given.num_classes)
    handout = hand_out(dataset, given.scored, folder, named=named, trains=given.trains)
    split = dataset.split(given.scored)
    targets = (split.batch(at)[1] for at in in_order(len(split), ROWS))
    return {"handout": handout, **write_array(folder / "targets", targets)}


def train_quick(payload: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """See `quick.train_quickly`."""
    given = read_config(Quickly, payload)
    config = read_config(QuickEvalConfig, given.config)
    with seeded(config.seed):
        code = ModelCode(given.model_script_path, given.model_class_name)
        trained = train_quickly(code, config, given.place.material(channel), channel)
    return finite_mapping({**trained, "history": []})


class Population(Quickly):
    members: list[dict[str, Any]]


def train_members(payload: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """See `population_quick.train_population`."""
    given = read_config(Population, payload)
    config = read_config(QuickEvalConfig, given.config)
    members = [Member(**member) for member in given.members]
    code = ModelCode(given.model_script_path, given.model_class_name)
    trained = train_population(code, config, members, given.place.material(channel), channel)
    return {"members": [finite_mapping({**one, "history": []}) for one in trained]}


def train_full(payload: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """See `full.train_fully`."""
    given = read_config(Fully, payload)
    config = read_config(TrainerConfig, given.config)
    with (
        Experiment(given.experiment_name, given.log_base_dir, given.identity) as experiment,
        seeded(config.seed),
    ):
        code = ModelCode(given.model_script_path, given.model_class_name)
        material = given.place.material(channel)
        trained = train_fully(code, config, material, experiment, report=channel, team=Alone())
    return finite_mapping({**trained, "history": []})


def put_out_checkpoint(payload: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """See `measuring.put_out`."""
    given = read_config(Checkpoint, payload)
    config = read_config(TrainerConfig, given.config)
    material = given.place.material(channel)
    with seeded(config.seed):
        return put_out(
            code_of(given.identity),
            config,
            material,
            material.dataset.split("val"),
            Path(given.checkpoint_path),
        )
