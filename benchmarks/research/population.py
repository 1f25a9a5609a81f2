"""A population of 32 tiny networks, stacked and one by one, in one run.

`python -m benchmarks.research.population [--members 32] [--rounds 3]`

Both are quick evaluations of an epoch on digits with a seed each, in this process; what counts is
the processor time of the best round.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch

from agents.ml.data import load_dataset
from agents.ml.reporting import no_report
from agents.ml.training import population_quick
from agents.ml.training.configs import read_quick_eval_config
from agents.ml.training.population import Member
from agents.ml.training.population_quick import train_population
from agents.ml.training.quick import quick_measure
from agents.ml.training.scoring import Targets
from agents.ml.training.supervised import Material, ModelCode

GOAL = 5
MODEL = """
from torch import nn

class Tiny(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.hidden, self.head = nn.Linear(64, width), nn.Linear(width, 10)

    def forward(self, x):
        return self.head(self.hidden(x.flatten(1)).relu())
"""


def seconds(script: Path, members: list[Member], width: int, *, stacked: bool | None) -> float:
    """Train once; `stacked` None lets the measurement choose. Its time counts, too."""
    asked = {"dataset": "digits", "device": "cpu", "model_params": {"width": width}}
    config = read_quick_eval_config(asked)
    dataset = load_dataset("digits")
    targets = Targets.of(dataset, dataset.split("val"), quick_measure(config))
    material = Material(dataset, targets.output_shape, targets)
    measured = population_quick.pays
    if stacked is not None:
        population_quick.pays = lambda *_: stacked
    started_s = time.process_time()
    try:
        trained = train_population(
            ModelCode(str(script), "Tiny"), config, members, material, no_report
        )
    finally:
        population_quick.pays = measured
    took_s = time.process_time() - started_s
    assert stacked is None or trained[0]["stacked"] is stacked
    return took_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    members = [Member(seed, 1e-3) for seed in range(asked.members)]
    print("| width | one by one s | stacked s | times | as chosen s |\n|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "tiny.py"
        script.write_text(MODEL)
        for width in (16, 256, 2048):
            best = {
                way: min(seconds(script, members, width, stacked=way) for _ in range(asked.rounds))
                for way in (False, True, None)
            }
            ratio = best[False] / best[True]
            cells = f"{best[False]:.3f} | {best[True]:.3f} | {ratio:.1f} | {best[None]:.3f}"
            print(f"| {width} | {cells} |", flush=True)
    print(f"goal: {GOAL} times for the tiny ones")


if __name__ == "__main__":
    main()
