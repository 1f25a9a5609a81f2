"""What is scored on: out of sight of a model's code, wherever it lies."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.research import ResearchToolkit
from agents.research.errors import WorkRefusedError
from tests.ml.data.test_image_places import INSTALLED, put
from tests.research.forgers import GREEDY
from tests.research.small_data import put_cifar10

pytestmark = pytest.mark.slow

# Says what it sees as an error, which its requester is told.
CURIOUS = """
import os
from torch import nn

found = [
    os.path.join(folder, name)
    for place in (".", PLACE)
    for folder, _, names in os.walk(place)
    for name in names
    if ("label" in name or "batch" in name) and os.path.getsize(os.path.join(folder, name))
]
if found:
    raise LookupError(f"sees {found}")


class Curious(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(SIZE, 10)

    def forward(self, x):
        return self.head(x.flatten(1))
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workspace")
    for name, size, place in (
        ("greys.py", 784, "data"),
        ("colours.py", 3072, "data"),
        ("clothes.py", 784, str(INSTALLED)),
    ):
        code = CURIOUS.replace("SIZE", str(size)).replace("PLACE", repr(place))
        (folder / name).write_text(code)
    return folder


@pytest.fixture(scope="module")
def kit(workspace: Path) -> Iterator[ResearchToolkit]:
    with ResearchToolkit(workspace=workspace) as opened:
        yield opened


@pytest.fixture(autouse=True)
def nothing_of_the_last(workspace: Path) -> Iterator[None]:
    yield
    for path in workspace.iterdir():
        if path.is_dir() and not path.name.startswith("."):
            shutil.rmtree(path)
        elif path.suffix == ".gz":
            path.unlink()


@pytest.mark.parametrize(
    ("place", "params"),
    [
        ("data", {}),  # where it is looked for without being told
        ("data/mnist", {}),
        (".", {"data_path": "."}),  # the workspace itself, which cannot be hidden
        ("mine", {"data_path": "mine"}),
    ],
)
def test_mnist_is_hidden_where_it_lies(
    kit: ResearchToolkit, workspace: Path, place: str, params: dict[str, Any]
) -> None:
    put(workspace / place, shade=1)
    config = {"dataset": "mnist", "dataset_params": {**params, "val_fraction": 0.25}}

    assert kit.pytorch_quick_evaluator("greys.py", "Curious", config)["status"] == "completed"


def test_cifar10_is_hidden_where_it_is_looked_for(kit: ResearchToolkit, workspace: Path) -> None:
    put_cifar10(workspace / "data" / "cifar-10-batches-bin")

    result = kit.pytorch_quick_evaluator("colours.py", "Curious", {"dataset": "cifar10"})

    assert result["status"] == "completed"


@pytest.mark.skipif(not INSTALLED.is_dir(), reason="dataset-fashion-mnist is not installed")
def test_fashion_mnist_of_the_system_is_read_and_hidden(kit: ResearchToolkit) -> None:
    config = {"dataset": "fashion_mnist", "batch_size": 512}

    result = kit.pytorch_quick_evaluator("clothes.py", "Curious", config)

    assert result["train_samples"] == 54_000
    assert result["metrics"]["accuracy"] > 0.6


def test_a_download_without_a_network_says_who_grants_it(kit: ResearchToolkit) -> None:
    config = {"dataset": "mnist", "dataset_params": {"download": True}}

    with pytest.raises(WorkRefusedError, match=r"cannot be downloaded.*'network: true'"):
        kit.pytorch_quick_evaluator("greys.py", "Curious", config)


@pytest.mark.parametrize("dataset", ["digits", "dummy"])
def test_generated_code_that_is_scored_cannot_look_labels_up_in_a_library(
    kit: ResearchToolkit, workspace: Path, dataset: str
) -> None:
    """Those of other data neither: what it learns in one job it could leave for another."""
    (workspace / "greedy.py").write_text(GREEDY)
    shape = {"input_shape": [1, 1, 8, 8], "num_classes": 10} if dataset == "dummy" else {}
    config = {"dataset": dataset, **shape}

    assert kit.pytorch_quick_evaluator("greedy.py", "Model", config)["status"] == "completed"


def test_nor_can_code_that_is_only_looked_at(kit: ResearchToolkit, workspace: Path) -> None:
    (workspace / "greedy.py").write_text(GREEDY)

    assert kit.pytorch_model_summary("greedy.py", "Model", (1, 8, 8))["total_params"] == 650


def test_a_users_own_script_may_use_what_a_library_brings(
    kit: ResearchToolkit, workspace: Path
) -> None:
    (workspace / "greedy.py").write_text(GREEDY)

    assert "knows 1797 labels" in kit.python_run("greedy.py")
