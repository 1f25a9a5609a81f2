"""Measure a run's best weights on the test split: `python evaluate.py experiments/base`."""

import argparse
from pathlib import Path

import torch
from src.data import digits
from src.experiment import Experiment, build_model
from torch.utils.data import DataLoader
from train import measure


def evaluate(folder: Path) -> float:
    """The accuracy on images that neither training nor the choice of weights has seen."""
    experiment = Experiment(folder)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build_model(experiment.config()).to(device)
    model.load_state_dict(torch.load(experiment.best, map_location=device, weights_only=True))
    return measure(model, DataLoader(digits.load("test"), batch_size=256), device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    print(f"test accuracy {evaluate(parser.parse_args().folder):.3f}")


if __name__ == "__main__":
    main()
