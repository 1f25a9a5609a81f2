"""The trainer's loop beside Lightning, Hugging Face's Trainer and a plain loop, in one run.

`python -m benchmarks.research.training [--rounds 3] [--samples 12800]`

All train the same model on the same images in memory, with Adam and batches of 64, on one thread,
without logging, checkpoints or validation. Rounds alternate, and what counts is the processor time
of the best one: a busy machine then says nearly what a quiet one does. Contestants that are not
installed are left out.
"""

import argparse
import contextlib
import importlib.util
import logging
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from agents.ml.data import Dataset, Split
from agents.ml.data.batches import Batches
from agents.ml.data.dataset import ResidentSource
from agents.ml.optimizers.building import OptimizerConfig, build_optimizer
from agents.ml.reporting import no_report
from agents.ml.training.compute import Compute
from agents.ml.training.loop import Trainer
from agents.ml.training.run import Plan, Run
from agents.ml.training.scoring import Measure, Targets
from agents.ml.training.supervised import Setup
from agents.ml.training.tasks import build_task
from agents.ml.training.tuning import tune

BATCH = 64
RATE = 1e-3
GOALS = {"MLP": 2.0, "CNN": 1.8}

Data = tuple[Tensor, Tensor]
Contestant = Callable[[nn.Module, Data], None]


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def cnn() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(64 * 49, 10)),
    )


def guildbus(model: nn.Module, data: Data) -> None:
    images, labels = data
    source = ResidentSource(images, labels)
    train = Split(source, torch.arange(len(source)))
    val = Split(source, torch.arange(1))
    dataset = Dataset("images", "classification", (1, 28, 28), 10, {})
    targets = Targets.of(dataset, val, Measure("CrossEntropyLoss", ["accuracy"]))
    compute = Compute(torch.device("cpu"))
    setup = Setup(model, build_task(dataset, (10,), "CrossEntropyLoss", compute), compute)
    batches = Batches(len(train), BATCH, seed=0)
    computed = tune(setup, lambda: train.batch(batches.at(0)), _A_LONG_RUN, "auto")
    setup = setup.running_on(Compute.from_json(computed, compute.device))
    plan = Plan(batches.steps_per_epoch, batches.steps_per_epoch, BATCH, seed=0, best_metric=None)
    optimizer = build_optimizer(setup.model, OptimizerConfig(type="Adam", params={"lr": RATE}))
    run = Run(setup.model, setup.task, train, val, targets, optimizer, plan)
    _timed(Trainer(run, no_report).fit)
    _said[guildbus] = f"{computed['precision']}, {computed['layout']}"


def plain_loop(model: nn.Module, data: Data) -> None:
    loader = DataLoader(TensorDataset(*data), BATCH, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), RATE)

    def fit() -> None:
        for images, labels in loader:
            optimizer.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(model(images), labels))
            optimizer.step()

    _timed(fit)


def lightning(model: nn.Module, data: Data) -> None:
    import lightning as L  # noqa: N812, PLC0415  its own way to be called, and only if it is there

    class Module(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def training_step(self, batch: Data, _index: int) -> Tensor:
            return nn.functional.cross_entropy(self.model(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), RATE)

    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = DataLoader(TensorDataset(*data), BATCH, shuffle=True)
    _timed(partial(trainer.fit, Module(), loader))


def hugging_face(model: nn.Module, data: Data) -> None:
    from transformers import Trainer as Theirs  # noqa: PLC0415  takes seconds to import
    from transformers import TrainingArguments  # noqa: PLC0415  as above

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
            outputs = self.model(images)
            return {"loss": nn.functional.cross_entropy(outputs, labels), "logits": outputs}

    class Samples(torch.utils.data.Dataset[dict[str, Tensor]]):
        def __len__(self) -> int:
            return len(data[1])

        def __getitem__(self, index: int) -> dict[str, Tensor]:
            return {"images": data[0][index], "labels": data[1][index]}

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            per_device_train_batch_size=BATCH,
            num_train_epochs=1,
            learning_rate=RATE,
            logging_strategy="no",
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
        )
        _timed(Theirs(Wrapped(), arguments, train_dataset=Samples()).train)


_A_LONG_RUN = 1_000_000  # as a real training, so that layout and precision are measured
_took_s: list[float] = []
_said: dict[Contestant, str] = {}
CONTESTANTS: dict[str, tuple[Contestant, str]] = {
    "Guildbus": (guildbus, "torch"),
    "Lightning": (lightning, "lightning"),
    "Trainer of transformers": (hugging_face, "transformers"),
    "plain loop, DataLoader": (plain_loop, "torch"),
}


def _timed(fit: Callable[[], object]) -> None:
    started_s = time.process_time()
    with open("/dev/null", "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123
        fit()
    _took_s.append(time.process_time() - started_s)


def measure(make: Callable[[], nn.Module], samples: int, rounds: int) -> dict[str, float]:
    """Return samples per second of processor time, of each contestant's best round."""
    images = torch.randn(samples, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(10, (samples,), generator=torch.Generator().manual_seed(1))
    best_s: dict[str, float] = {}
    for _ in range(rounds):
        for name, (contestant, package) in CONTESTANTS.items():
            if importlib.util.find_spec(package) is None:
                continue
            torch.manual_seed(0)
            contestant(make(), (images, labels))
            best_s[name] = min(best_s.get(name, float("inf")), _took_s.pop())
    return {name: samples / seconds for name, seconds in best_s.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=12_800)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print("| model | trained by | samples/s | Guildbus is times |\n|---|---|--:|--:|")
    for name, make, share in (("MLP", mlp, 1), ("CNN", cnn, 4)):
        rates = measure(make, asked.samples // share, asked.rounds)
        for contestant, rate in rates.items():
            ratio = "" if contestant == "Guildbus" else f"{rates['Guildbus'] / rate:.2f}"
            print(f"| {name} | {contestant} | {rate:,.0f} | {ratio} |")
        print(f"\n{name}: {_said[guildbus]}; goal {GOALS[name]} times Lightning\n", flush=True)


if __name__ == "__main__":
    main()
