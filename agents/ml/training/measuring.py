"""What a checkpoint is worth on a split; the one place where the held-out test is opened."""

from pathlib import Path
from typing import Any

from agents.ml.checkpoints import load_checkpoint
from agents.ml.config import read_config
from agents.ml.data import digest_of_files
from agents.ml.data.dataset import Dataset, Split, SplitName
from agents.ml.errors import CheckpointError
from agents.ml.training.compute import Compute
from agents.ml.training.configs import TrainerConfig
from agents.ml.training.experiment import checkpoint_path, finite_mapping, read_json
from agents.ml.training.full import load_trainer_dataset, prepare_model, trainer_measure
from agents.ml.training.randomness import seeded
from agents.ml.training.scoring import Targets
from agents.ml.training.supervised import Material, ModelCode, Setup


def evaluate_checkpoint(
    experiment_dir: str,
    *,
    split: SplitName = "test",
    checkpoint: str = "best",
    metrics: list[str] | None = None,
    device: str | None = None,
) -> dict[str, Any]:
    """Measure a checkpoint of an experiment, all in this process.

    Args:
        experiment_dir: what the full trainer called so.
        split: "test", "val" or "train".
        checkpoint: "best", "last" or the path of a checkpoint.
        metrics: by default those the experiment was trained with.
        device: by default the experiment's.

    Returns:
        `metrics` with `loss`, `split`, `samples`, `checkpoint_path`, `chance_level`, `class_names`
        and `confusion_matrix` (rows labels, columns predictions; None for other tasks or more than
        100 classes), `device`, `warnings`.

    Raises:
        CheckpointError: no such experiment or checkpoint, or a damaged one.
        ConfigError, DatasetError, ModelScriptError: as in training.
    """
    folder = Path(experiment_dir)
    identity = read_identity(folder)
    config = stored_config(identity, device)
    path = checkpoint_path(folder, checkpoint)
    with seeded(config.seed):
        dataset = load_trainer_dataset(config)
        scored = dataset.split(split)
        targets = Targets.of(dataset, scored, trainer_measure(config, metrics))
        material = Material(dataset, targets.output_shape, targets)
        measured = put_out(code_of(identity), config, material, scored, path)
    measured["warnings"] += changed_data(identity)
    found = {"split": split, "checkpoint_path": str(path)} | measured
    return measurement(found, dataset, targets)


def read_identity(folder: Path) -> dict[str, Any]:
    """Return what the full trainer was asked for in this experiment.

    Raises:
        CheckpointError: it is not of this experiment.
    """
    if not (folder / "config.json").is_file():
        raise CheckpointError("is no experiment: it has no config.json", where=str(folder))
    identity = read_json(folder / "config.json")
    if "trainer_config" not in identity:
        raise CheckpointError("is no experiment of the full trainer", where=str(folder))
    return identity


def stored_config(identity: dict[str, Any], device: str | None) -> TrainerConfig:
    """Return the configuration of an experiment, to be run on `device` if there is one."""
    values = {**identity["trainer_config"], **({"device": device} if device else {})}
    return read_config(TrainerConfig, values, where="trainer_config")


def changed_data(identity: dict[str, Any]) -> list[str]:
    """A warning where the data are not those that an experiment was trained on, as far as noted."""
    config = identity["trainer_config"]
    digest = digest_of_files(config["dataset"], config.get("dataset_params") or {})
    if identity.get("data_sha256", digest) == digest:
        return []
    told = "the data changed since the training, and were dealt out anew: it may have learned from"
    return [f"{told} what is scored here"]


def code_of(identity: dict[str, Any]) -> ModelCode:
    """Return where an experiment's model is."""
    return ModelCode(identity["model_script_path"], identity["model_class_name"])


def put_out(
    code: ModelCode, config: TrainerConfig, material: Material, split: Split, path: Path
) -> dict[str, Any]:
    """Build the model, load its weights and have what it puts out for `split` scored.

    Returns:
        `metrics`, `device` and `warnings`.
    """
    warnings: list[str] = []
    setup = prepare_model(code, config, material, warnings)
    setup = _with_weights(setup, path)
    outputs = setup.task.outputs(setup.model, split.to(setup.compute.device))
    scores = material.scorer.score({}, outputs)
    return {"metrics": scores, "device": str(setup.compute.device), "warnings": warnings}


def measurement(found: dict[str, Any], dataset: Dataset, targets: Targets) -> dict[str, Any]:
    """Put together what was found and what it was measured on."""
    confusion = targets.confusion_CC
    known = {
        "samples": len(targets),
        "chance_level": targets.chance_level,
        "class_names": list(dataset.class_names),
        "confusion_matrix": confusion.tolist() if confusion is not None else None,
    }
    return finite_mapping({**found, **known})


def _with_weights(setup: Setup, path: Path) -> Setup:
    """Return the setup with the weights of a checkpoint, run as they were trained."""
    state = load_checkpoint(path)
    if "model" not in state:
        raise CheckpointError("holds no model", where=str(path))
    try:
        setup.model.load_state_dict(state["model"])
    except RuntimeError as error:
        raise CheckpointError(f"does not fit the model: {error}", where=str(path)) from error
    if "compute" not in state:
        return setup
    return setup.running_on(Compute.from_json(state["compute"], setup.compute.device))
