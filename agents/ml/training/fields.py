"""What trainings and measurements are asked for: the fields that their jobs and messages share.

Names and defaults are those of the tools' document. Importable without torch.
"""

from typing import Any, Literal

from pydantic import BaseModel


class QuickEvaluateFields(BaseModel):
    model_script_path: str
    model_class_name: str
    eval_config: dict[str, Any]


class TrainFields(BaseModel):
    model_script_path: str
    model_class_name: str
    trainer_config: dict[str, Any]
    experiment_name: str | None = None
    log_base_dir: str = "full_experiments"


class EvaluateCheckpointFields(BaseModel):
    experiment_dir: str
    split: Literal["train", "val", "test"] = "test"
    checkpoint: str = "best"
    metrics: list[str] | None = None
    device: str | None = None


class TrainLanguageModelFields(BaseModel):
    config: dict[str, Any]
    output_dir: str
    experiment_name: str | None = None
    log_base_dir: str = "full_experiments"
