"""What can be asked of the training jobs, key by key."""

import sys
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from agents.ml.config import StrictConfig, read_config
from agents.ml.data import dataset_task
from agents.ml.errors import ConfigError
from agents.ml.optimizers.building import OptimizerConfig, check_optimizer
from agents.ml.training.devices import resolve_device
from agents.ml.training.early_stopping import EarlyStoppingConfig
from agents.ml.training.losses import check_loss, default_loss
from agents.ml.training.metrics import check_metrics, default_metrics, history_key
from agents.ml.training.schedulers import SchedulerConfig, check_schedule

MAX_SEED = 2**63 - 1
MAX_BATCH = 10**9  # the product of two is a number to torch
_MAX_METRICS = 64
_QUICK_RATE = 0.001
Precision = Literal["auto", "fp32", "bf16"]
ClassWeights = list[float] | Literal["balanced"] | None


def _weights(value: Any) -> Any:
    is_list = isinstance(value, list) and value
    if value is None or value == "balanced":
        return value
    most = sys.float_info.max
    if not is_list or not all(isinstance(w, int | float) and 0 <= w <= most for w in value):
        raise ValueError("a weight from 0 up for each class is wanted, or 'balanced'")
    return [float(weight) for weight in value]


class QuickEvalConfig(StrictConfig):
    """The document's `eval_config`, and a seed.

    `input_shape` is read for the dataset `dummy` only. `loss_function` and `metrics` are by default
    CrossEntropyLoss and accuracy, or MSELoss and r2 where the target is a number.
    `dataset_params` says, for example, where files lie; `model_params` are passed to the model's
    constructor. `learning_rate` is by default the optimizer's own where it was registered with
    one, else 0.001.
    """

    dataset: str
    input_shape: list[int] | None = None
    num_classes: int | None = Field(default=None, ge=1, le=100_000)
    batch_size: int = Field(default=64, ge=1, le=MAX_BATCH)
    epochs: int = Field(default=1, ge=1, le=1000)
    optimizer: OptimizerConfig = OptimizerConfig(type="Adam")
    learning_rate: float | None = Field(default=None, gt=0)
    loss_function: str | None = None
    metrics: list[str] | None = Field(default=None, min_length=1, max_length=_MAX_METRICS)
    device: str | None = None
    seed: int = Field(default=0, ge=0, le=MAX_SEED)
    dataset_params: dict[str, Any] = Field(default_factory=dict)
    model_params: dict[str, Any] = Field(default_factory=dict)


class TrainerConfig(StrictConfig):
    """The document's `trainer_config`, and what a long run needs besides.

    Attributes:
        checkpoint_interval: epochs between checkpoints.
        checkpoint_every_steps: steps between checkpoints inside an epoch.
        keep_last: how many checkpoints stay on the disk, besides the best.
        best_metric: what decides which checkpoint is best; by default what early stopping
            watches, else `val_loss`.
        gradient_accumulation_steps: batches added up to one step of the optimizer.
        class_weights: how much a sample of each class counts in training; what is scored is not
            weighted.
        tensorboard: keeps curves for TensorBoard, which is an extra.
        precision: bf16 computes the forward pass in bfloat16 by autocast; auto does so where that
            is seen to pay on the first batch, and is the default.
    """

    dataset: str
    dataset_params: dict[str, Any] = Field(default_factory=dict)
    num_classes: int | None = Field(default=None, ge=1, le=1_000_000)
    batch_size: int = Field(default=64, ge=1, le=MAX_BATCH)
    epochs: int = Field(default=10, ge=1, le=1_000_000)
    optimizer: OptimizerConfig = OptimizerConfig(type="AdamW")
    scheduler: SchedulerConfig | None = None
    loss_function: str | None = None
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    class_weights: Annotated[ClassWeights, BeforeValidator(_weights)] = None
    metrics: list[str] | None = Field(default=None, min_length=1, max_length=_MAX_METRICS)
    device: str | None = None
    checkpoint_interval: int = Field(default=1, ge=1)
    checkpoint_every_steps: int | None = Field(default=None, ge=1)
    keep_last: int = Field(default=2, ge=1)
    save_best_model: bool = True
    best_metric: str | None = None
    early_stopping: EarlyStoppingConfig | None = None
    gradient_clip_norm: float | None = Field(default=None, gt=0)
    gradient_accumulation_steps: int = Field(default=1, ge=1, le=MAX_BATCH)
    precision: Precision = "auto"
    tensorboard: bool = False
    seed: int = Field(default=0, ge=0, le=MAX_SEED)
    model_params: dict[str, Any] = Field(default_factory=dict)

    def watched_metric(self) -> str:
        """Return the metric that decides which checkpoint is best, as the history calls it."""
        stopping = self.early_stopping.metric if self.early_stopping else "val_loss"
        return history_key(self.best_metric or stopping)


class PhiArchitecture(StrictConfig):
    """The size of a Phi; the vocabulary comes from the tokenizer.

    The defaults learn most in half a minute on one slow core: measured on 2.5 MB of Python source,
    two layers beat four, and many small steps over short contexts beat few large ones.
    """

    hidden_size: int = Field(default=128, ge=8)
    num_layers: int = Field(default=2, ge=1)
    num_heads: int = Field(default=4, ge=1)
    intermediate_size: int | None = Field(default=None, ge=8)
    context_length: int = Field(default=96, ge=2, le=131_072)
    tie_embeddings: bool = True
    dropout: float = Field(default=0.0, ge=0, lt=1)


class LanguageModelConfig(StrictConfig):
    """A causal language model to be trained from nothing.

    Attributes:
        tokenizer_path: a tokenizer.json, or the folder it lies in.
        eval_every_steps: how often the run is evaluated; each such stretch is an epoch of the
            history.
        eval_tokens: held-out tokens scored each time.
        eos_token, pad_token: by default recognised by their usual names.
        sample_prompts: continued at the end of the run.
        sample_temperature: 0 takes the likeliest token each time.
    """

    corpus_files: list[str] = Field(min_length=1)
    tokenizer_path: str
    architecture: PhiArchitecture = PhiArchitecture()
    steps: int = Field(default=500, ge=1, le=100_000_000)
    batch_size: int = Field(default=6, ge=1, le=MAX_BATCH)
    learning_rate: float = Field(default=0.004, gt=0)
    min_learning_rate_ratio: float = Field(default=0.05, ge=0, le=1)
    warmup_steps: int = Field(default=25, ge=0)
    weight_decay: float = Field(default=0.1, ge=0)
    gradient_clip_norm: float | None = Field(default=1.0, gt=0)
    gradient_accumulation_steps: int = Field(default=1, ge=1, le=MAX_BATCH)
    eval_every_steps: int = Field(default=100, ge=1)
    eval_tokens: int = Field(default=9_600, ge=1)
    checkpoint_every_steps: int | None = Field(default=None, ge=1)
    keep_last: int = Field(default=2, ge=1)
    precision: Literal["fp32", "bf16"] = "fp32"
    device: str | None = None
    seed: int = Field(default=0, ge=0, le=MAX_SEED)
    split_seed: int = Field(default=0, ge=0)
    val_fraction: float = Field(default=0.05, gt=0, lt=1)
    test_fraction: float = Field(default=0.05, gt=0, lt=1)
    eos_token: str | None = None
    pad_token: str | None = None
    sample_prompts: list[str] = Field(default=["def "])
    sample_tokens: int = Field(default=48, ge=1, le=2048)
    sample_temperature: float = Field(default=0.7, ge=0, le=2)

    @field_validator("corpus_files", mode="before")
    @classmethod
    def _one_file_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


def read_quick_eval_config(values: dict[str, Any]) -> QuickEvalConfig:
    """Check every key, and the names inside them, before anything runs; fill in what depends.

    Raises:
        ConfigError: naming the key.
    """
    config = read_config(QuickEvalConfig, values)
    if config.dataset == "dummy" and config.input_shape is None:
        raise ConfigError("is required for the dataset 'dummy'", where="input_shape")
    task = dataset_task(config.dataset, quick_dataset_params(config))
    loss = config.loss_function or default_loss(task)
    check_loss(loss, task)
    metrics = config.metrics or default_metrics(task)
    check_metrics(metrics, task)
    resolve_device(config.device, [])
    optimizer = _with_rate(config.optimizer, config.learning_rate)
    check_optimizer(optimizer)
    filled_in = {"loss_function": loss, "metrics": metrics, "optimizer": optimizer}
    return config.model_copy(update=filled_in)


def _with_rate(optimizer: OptimizerConfig, rate: float | None) -> OptimizerConfig:
    if rate is None and ("lr" in optimizer.params or optimizer.script_path is not None):
        return optimizer
    params = {**optimizer.params, "lr": rate or _QUICK_RATE}
    return optimizer.model_copy(update={"params": params})


def quick_dataset_params(config: QuickEvalConfig) -> dict[str, Any]:
    """Return the dataset's parameters, `input_shape` among them where it is read."""
    if config.dataset != "dummy":
        return config.dataset_params
    return {"input_shape": config.input_shape, **config.dataset_params}


def read_trainer_config(values: dict[str, Any]) -> TrainerConfig:
    """Check every key, and the names inside them, before anything runs; fill in what depends.

    Raises:
        ConfigError: naming the key.
    """
    config = read_config(TrainerConfig, values)
    task = dataset_task(config.dataset, config.dataset_params)
    loss = config.loss_function or default_loss(task)
    is_weighted = config.class_weights is not None
    check_loss(loss, task, label_smoothing=config.label_smoothing, is_weighted=is_weighted)
    check_optimizer(config.optimizer)
    if config.scheduler is not None:
        check_schedule(config.scheduler, config.optimizer, epochs=config.epochs)
    resolve_device(config.device, [])
    config = config.model_copy(
        update={"loss_function": loss, "metrics": config.metrics or default_metrics(task)}
    )
    check_metrics(config.metrics or [], task)
    for where, metric in watched_metrics(config).items():
        if metric != "train_loss":
            check_metrics([metric.removeprefix("val_")], task, where=where)
    return config


def watched_metrics(config: TrainerConfig) -> dict[str, str]:
    """Return what decides something in a run, under the keys that say so."""
    watched = {"best_metric": config.best_metric and history_key(config.best_metric)}
    if config.early_stopping is not None:
        watched["early_stopping.metric"] = config.early_stopping.metric
    if config.scheduler is not None:
        watched["scheduler.metric"] = config.scheduler.metric
    return {where: metric for where, metric in watched.items() if metric is not None}


def scores_that_decide(config: TrainerConfig) -> list[str]:
    """Return the validation scores that a run needs to know to go on, by their own names."""
    watched = set(watched_metrics(config).values())
    if config.save_best_model:
        watched.add(config.watched_metric())
    if config.scheduler is not None and config.scheduler.type == "ReduceLROnPlateau":
        watched.add(config.scheduler.metric or "val_loss")
    return sorted(metric.removeprefix("val_") for metric in watched - {"train_loss"})


def metrics_to_compute(config: TrainerConfig) -> list[str]:
    """Return the metrics asked for and those that something else watches, each once."""
    watched = [config.watched_metric(), *watched_metrics(config).values()]
    plain = [metric.removeprefix("val_") for metric in watched if metric != "train_loss"]
    return list(dict.fromkeys([*(config.metrics or []), *plain]))
