"""A quick evaluation through the toolkit, cold and warm, beside a script with Lightning.

`python -m benchmarks.research.quick [--rounds 5]`

Both train the same small network for an epoch on scikit-learn's digits and measure it. Ours does so
in fenced processes, the scores apart from the model; the script pays its imports each time, as a
script does. Wall clock, alternating, medians.
"""

import argparse
import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from agents.research import ResearchToolkit

GOAL = 40
MODEL = """
from torch import nn

class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)
        )

    def forward(self, x):
        return self.layers(x)
"""
SCRIPT = """
import lightning as L
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from model import Small

class Module(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.model = Small()

    def training_step(self, batch, _):
        return nn.functional.cross_entropy(self.model(batch[0]), batch[1])

    def validation_step(self, batch, _):
        self.log("accuracy", (self.model(batch[0]).argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 0.001)

torch.set_num_threads(1)
x, y = load_digits(return_X_y=True)
x, y = torch.tensor(x, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16, torch.tensor(y)
train, val = (TensorDataset(x[i], y[i]) for i in train_test_split(range(len(x)), test_size=0.15))
trainer = L.Trainer(accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False,
                    enable_progress_bar=False, enable_model_summary=False)
trainer.fit(Module(), DataLoader(train, 64, shuffle=True), DataLoader(val, 512))
print(trainer.callback_metrics["accuracy"])
"""
QUICK = {"dataset": "digits", "batch_size": 64, "epochs": 1, "device": "cpu"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        (workspace / "model.py").write_text(MODEL)
        (workspace / "script.py").write_text(SCRIPT)
        with ResearchToolkit(workspace=workspace, threads=1) as kit:

            def evaluate() -> None:
                kit.pytorch_quick_evaluator("model.py", "Small", QUICK)

            print(f"the toolkit, cold: {seconds(evaluate):.2f} s")
            warm, script = [], []
            for _ in range(rounds):
                warm += [seconds(evaluate) for _ in range(3)]
                if importlib.util.find_spec("lightning") is not None:
                    script.append(seconds(lambda: run(workspace / "script.py")))
    print(f"the toolkit, warm: {statistics.median(warm):.3f} s, best {min(warm):.3f} s")
    if script:
        ratio = statistics.median(script) / statistics.median(warm)
        print(f"a script with Lightning: {statistics.median(script):.2f} s, best {min(script):.2f}")
        print(f"which is {ratio:.0f} times as long, best to best {min(script) / min(warm):.0f}")
        print(f"goal: {GOAL} times")
    else:
        print("Lightning is not installed: pip install 'guildbus[bench]'")


def run(script: Path) -> None:
    command = [sys.executable, str(script)]
    subprocess.run(command, check=True, capture_output=True, cwd=script.parent)


def seconds(work: Callable[[], object]) -> float:
    started_s = time.monotonic()
    work()
    return time.monotonic() - started_s


if __name__ == "__main__":
    main()
