"""Train a model by a config: `python train.py --config configs/base.yaml --epochs 10`."""

import argparse
from pathlib import Path

import torch
from src.data import digits
from src.experiment import ROOT, Config, Experiment, build_model
from torch import Tensor, nn
from torch.utils.data import DataLoader


def train(config: Config, experiments: Path = ROOT / "experiments") -> float:
    """Train to the end, or go on where a run of this name was stopped.

    Returns:
        the best accuracy on the validation split.
    """
    torch.manual_seed(config.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build_model(config).to(device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=config.epochs)
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler}
    experiment = Experiment(experiments / config.name)
    state = experiment.begin(config) or {"epoch": 0, "best": 0.0}
    for name in parts.keys() & state.keys():
        parts[name].load_state_dict(state[name])
    best = float(state["best"])
    for epoch in range(int(state["epoch"]), config.epochs):
        loss = _train_epoch(model, optimizer, _loader("train", config, epoch), device)
        accuracy = measure(model, _loader("val", config), device)
        scheduler.step()
        experiment.log(epoch=epoch + 1, train_loss=loss, val_accuracy=accuracy)
        print(f"epoch {epoch + 1}/{config.epochs}  loss {loss:.3f}  val_accuracy {accuracy:.3f}")
        if accuracy > best:
            best = accuracy
            experiment.save_best(model)
        states = {name: part.state_dict() for name, part in parts.items()}
        experiment.save({**states, "epoch": epoch + 1, "best": best})
    return best


def _train_epoch(
    model: nn.Module, optimizer: torch.optim.Optimizer, loader: DataLoader, device: torch.device
) -> float:
    model.train()
    total = 0.0
    for images, labels in loader:
        loss = nn.functional.cross_entropy(model(images.to(device)), labels.to(device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(labels)
    return total / len(loader.dataset)


@torch.no_grad()
def measure(model: nn.Module, loader: DataLoader, device: torch.device) -> float:
    """The share of images that are classified rightly."""
    model.eval()
    hits = sum(int(_hits(model, images, labels, device)) for images, labels in loader)
    return hits / len(loader.dataset)


def _hits(model: nn.Module, images: Tensor, labels: Tensor, device: torch.device) -> Tensor:
    return (model(images.to(device)).argmax(dim=1).cpu() == labels).sum()


def _loader(split: digits.Split, config: Config, epoch: int = 0) -> DataLoader:
    """Batches of a split; the order of an epoch is the same in a run that was stopped before it."""
    order = torch.Generator().manual_seed(config.seed * 100_003 + epoch)
    return DataLoader(
        digits.load(split),
        batch_size=config.batch_size,
        shuffle=split == "train",
        generator=order,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "base.yaml")
    parser.add_argument("--name", help="of the run's folder below experiments/")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--weight-decay", type=float)
    parser.add_argument("--seed", type=int)
    given = vars(parser.parse_args())
    best = train(Config.read(given.pop("config"), **given))
    print(f"best val_accuracy {best:.3f}")


if __name__ == "__main__":
    main()
