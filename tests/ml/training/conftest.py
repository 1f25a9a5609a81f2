from pathlib import Path

import pytest

MODELS = '''
import torch
from torch import nn


class MLP(nn.Module):
    def __init__(self, inputs=64, outputs=10, width=32):
        super().__init__()
        self.body = nn.Sequential(
            nn.Flatten(), nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(0.1)
        )
        self.head = nn.Linear(width, outputs)

    def forward(self, x):
        return self.head(self.body(x))


class CNN(nn.Module):
    def __init__(self, outputs=10):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Dropout(0.1), nn.Linear(128, outputs),
        )

    def forward(self, x):
        return self.net(x)


class Exploding(MLP):
    """Its output becomes NaN in the third training step."""

    def forward(self, x):
        self.seen = getattr(self, "seen", 0) + self.training
        return super().forward(x) * (float("nan") if self.seen >= 3 else 1.0)


class Tokens(nn.Module):
    def __init__(self, vocab=64, outputs=2, per_token=False):
        super().__init__()
        self.embed = nn.Embedding(vocab, 16)
        self.head = nn.Linear(16, outputs)
        self.per_token = per_token

    def forward(self, x_BT):
        hidden_BTC = self.embed(x_BT)
        return self.head(hidden_BTC if self.per_token else hidden_BTC.mean(dim=1))


class Broken(MLP):
    def forward(self, x):
        return self.missing(x)
'''


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("models") / "models.py"
    path.write_text(MODELS)
    return str(path)


@pytest.fixture
def runs(tmp_path: Path) -> str:
    return str(tmp_path / "runs")
