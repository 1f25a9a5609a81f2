"""A small Phi, trained from nothing on text files and saved as a Hugging Face folder."""

from pathlib import Path
from typing import Any

import torch
from transformers import PhiForCausalLM
from transformers.utils.logging import disable_progress_bar

from agents.ml.config import read_config
from agents.ml.data import Dataset, Split, load_dataset
from agents.ml.data.batches import Batches
from agents.ml.errors import ConfigError
from agents.ml.optimizers.building import OptimizerConfig, build_optimizer
from agents.ml.reporting import Report, no_report
from agents.ml.tokenizer.files import load_tokenizer
from agents.ml.training.account import account_of
from agents.ml.training.compute import Compute
from agents.ml.training.configs import LanguageModelConfig
from agents.ml.training.devices import resolve_device
from agents.ml.training.experiment import Experiment, finite_mapping
from agents.ml.training.loop import Trainer
from agents.ml.training.phi import (
    build_phi,
    check_folder,
    check_prompts,
    fast_tokenizer,
    prepare_for_generation,
    sample,
    save_folder,
)
from agents.ml.training.randomness import seeded
from agents.ml.training.run import Plan, Run
from agents.ml.training.schedulers import SchedulerConfig, build_schedule
from agents.ml.training.scoring import Measure, Targets
from agents.ml.training.tasks import CausalLanguage

_METRICS = ["perplexity", "bits_per_byte", "accuracy"]


def train_language_model(
    config: dict[str, Any],
    output_dir: str,
    experiment_name: str | None = None,
    log_base_dir: str = "full_experiments",
    *,
    report: Report = no_report,
) -> dict[str, Any]:
    """Train, or go on with, a Phi on `corpus_files`; save model and tokenizer to `output_dir`.

    The folder loads with transformers' `AutoModelForCausalLM` and `AutoTokenizer`, without network.
    It is replaced as a whole once the training has ended, and is not written if it diverged.

    Returns:
        as `pytorch_full_trainer`, with `final_evaluation` holding loss, perplexity, bits_per_byte
        and accuracy on held-out text; and `model_path` (None if it diverged), `vocab_size`,
        `train_tokens`, `tokens_seen`, `tokens_per_s`, `samples` (prompt and continuation).

    Raises:
        ConfigError: naming each wrong key of `config`, before anything runs; or `output_dir` holds
            something else than a model.
        DatasetError, TokenizerError: naming the file.
        CheckpointError: the name belongs to another configuration, or to a running process.
        TrainingInterrupted: SIGTERM came; the same call goes on from the checkpoint.
    """
    checked = read_config(LanguageModelConfig, config)
    disable_progress_bar()  # type: ignore[no-untyped-call]  # stderr belongs to the caller
    _check_heads(checked)
    identity = {"language_model": checked.model_dump(mode="json"), "output_dir": str(output_dir)}
    with Experiment(experiment_name, log_base_dir, identity) as experiment:
        result = experiment.result()
        if result is None:
            check_folder(Path(output_dir))
            with seeded(checked.seed):
                result = _train(checked, Path(output_dir), experiment, report)
            experiment.finish(result)
        return result


def _train(
    config: LanguageModelConfig, output_dir: Path, experiment: Experiment, report: Report
) -> dict[str, Any]:
    warnings: list[str] = []
    device = resolve_device(config.device, warnings)
    tokenizer = load_tokenizer(Path(config.tokenizer_path))
    dataset = _dataset(config)
    check_prompts(config, tokenizer)
    model = build_phi(config, tokenizer)
    compute = Compute(device, bf16=config.precision == "bf16")
    compute.place(model)
    run = _run(config, dataset, model, compute)
    saved = experiment.latest(warnings)
    outcome = Trainer(run, report, experiment=experiment, saved=saved).fit()
    context = config.architecture.context_length
    step_size = config.batch_size * config.gradient_accumulation_steps
    batches = Batches(len(run.train), step_size, seed=config.seed)
    result = {
        **account_of(outcome, run, experiment),
        "vocab_size": model.config.vocab_size,
        "train_tokens": len(run.train) * context,
        "tokens_seen": batches.samples_in(outcome.steps_run) * context,
        "tokens_per_s": round(outcome.samples_per_s * context, 1),
    }
    samples = []
    if outcome.status == "completed":
        fast = fast_tokenizer(config, tokenizer, warnings)
        prepare_for_generation(model)
        samples = [sample(model, fast, prompt, config) for prompt in config.sample_prompts]
        output_dir.parent.mkdir(parents=True, exist_ok=True)
        save_folder(model, fast, output_dir)
    return {
        **finite_mapping(result),
        "model_path": str(output_dir) if outcome.status == "completed" else None,
        "samples": samples,
        "device": str(device),
        "warnings": warnings,
    }


def _dataset(config: LanguageModelConfig) -> Dataset:
    return load_dataset(
        "text",
        {
            "data_path": config.corpus_files,
            "tokenizer_config": {"path": config.tokenizer_path},
            "context_length": config.architecture.context_length,
            "val_fraction": config.val_fraction,
            "test_fraction": config.test_fraction,
            "split_seed": config.split_seed,
        },
    )


def _run(
    config: LanguageModelConfig, dataset: Dataset, model: PhiForCausalLM, compute: Compute
) -> Run:
    train = dataset.split("train").to(compute.device)
    val = dataset.split("val").to(compute.device)
    blocks = max(1, config.eval_tokens // config.architecture.context_length)
    decayed = {
        "lr": config.learning_rate,
        "weight_decay": config.weight_decay,
        "betas": [0.9, 0.95],
    }
    # Biases and norms are not decayed: they scale nothing that grows.
    groups = [{"name_regex": r".*(bias|layernorm\.weight)$", "weight_decay": 0.0}]
    optimizer = build_optimizer(
        model, OptimizerConfig(type="AdamW", params=decayed, param_groups=groups)
    )
    schedule = build_schedule(
        optimizer,
        SchedulerConfig(
            type="WarmupCosineLR",
            params={
                "warmup_steps": config.warmup_steps,
                "min_ratio": config.min_learning_rate_ratio,
            },
        ),
        steps_total=config.steps,
        epochs_total=1,
    )
    plan = Plan(
        steps_total=config.steps,
        steps_per_epoch=config.eval_every_steps,
        batch_size=config.batch_size,
        seed=config.seed,
        accumulate=config.gradient_accumulation_steps,
        clip_norm=config.gradient_clip_norm,
        checkpoint_every_steps=config.checkpoint_every_steps,
        keep_last=config.keep_last,
        best_metric="val_loss",
    )
    assert dataset.num_classes is not None  # the size of the vocabulary
    task = CausalLanguage(dataset.num_classes, compute)
    held_out = Split(val.source, _evenly_spaced(val.indices_N, blocks))
    scorer = Targets.of(dataset, held_out, Measure("CrossEntropyLoss", _METRICS))
    return Run(model, task, train, held_out, scorer, optimizer, plan, schedule=schedule)


def _evenly_spaced(indices_N: torch.Tensor, count: int) -> torch.Tensor:
    stride = max(1, len(indices_N) // count)
    return indices_N[::stride][:count]


def _check_heads(config: LanguageModelConfig) -> None:
    shape = config.architecture
    if shape.hidden_size % (2 * shape.num_heads):
        raise ConfigError(
            f"{shape.hidden_size} must be a multiple of twice num_heads ({shape.num_heads})",
            where="architecture.hidden_size",
        )
