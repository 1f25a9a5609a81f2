"""A script that ends its own process with a result of its making is refused by its name."""

import json
from pathlib import Path
from typing import Any

import pytest

from agents.ml.errors import ScoringError
from agents.ml.training.claims import EpochClaims, MaterialClaims, MemberClaims, claims
from agents.research import ResearchToolkit
from agents.research.errors import WorkRefusedError
from tests.research.forgers import BASE

ODD: list[Any] = [[], 5, "x", None, {}, {"status": "completed"}, [[1, 2]]]


@pytest.mark.parametrize("kind", [EpochClaims, MemberClaims, MaterialClaims])
@pytest.mark.parametrize("said", ODD, ids=repr)
def test_what_is_no_account_is_refused(kind: Any, said: Any) -> None:
    with pytest.raises(ScoringError, match="Model: its process gave no account"):
        claims(kind, said, of="Model")


@pytest.mark.parametrize("count", [-1, 2**53 + 1, 10**400, 1.5, "1", True])
def test_a_count_that_no_later_reader_could_take_is_refused(count: Any) -> None:
    said = {"epoch": 1, "step": count, "train_loss": 1.0, "lr": 0.1, "seconds": 1.0}

    with pytest.raises(ScoringError, match="step missing or wrong"):
        claims(EpochClaims, {**said, "samples_per_s": 1.0}, of="Model")


@pytest.fixture(scope="module")
def workspace(common_workspace: Path) -> Path:
    return common_workspace


@pytest.fixture(scope="module")
def kit(common_kit: ResearchToolkit) -> ResearchToolkit:
    return common_kit


def leaving_with(result: Any) -> str:
    """A script that is imported, says that it has ended with `result`, and ends its process."""
    line = json.dumps({"result": result}).encode() + b"\n"
    return f"{BASE}\nos.write(3, {line!r})\nos._exit(0)\n"


@pytest.mark.slow
@pytest.mark.parametrize("result", [{}, {"summary_str": 5, "layer_details": "x"}], ids=repr)
def test_a_forged_summary_is_refused(kit: ResearchToolkit, workspace: Path, result: Any) -> None:
    (workspace / "forged.py").write_text(leaving_with(result))

    with pytest.raises(WorkRefusedError, match=r"forged\.py: its process gave no account"):
        kit.pytorch_model_summary("forged.py", "Model", (1, 64))


@pytest.mark.slow
def test_a_forged_assembly_is_refused(kit: ResearchToolkit, workspace: Path) -> None:
    (workspace / "forged_block.py").write_text(leaving_with({"class_name": 5}))
    layers = [{"type": "Block", "module_path": "forged_block.py"}]
    config = {"model_name": "Made", "input_shape": [64], "layers": layers}

    with pytest.raises(WorkRefusedError, match="gave no account"):
        kit.pytorch_model_assembler(config, "forged_made.py")


@pytest.mark.slow
@pytest.mark.parametrize(
    "result",
    [
        {},
        {"handout": [], "dtype": "int64", "shape": [3]},
        {"handout": {"train": 5}, "dtype": "int64", "shape": [3]},
        {"handout": {}, "dtype": "int64", "shape": ["x"]},
        {"handout": {}, "dtype": "int64", "shape": [2**60]},
        {"handout": {}, "dtype": "int64", "shape": [3, 3]},
    ],
    ids=repr,
)
def test_a_forged_dataset_is_refused(kit: ResearchToolkit, workspace: Path, result: Any) -> None:
    (workspace / "forged.py").write_text(BASE)
    (workspace / "forged_data.py").write_text(leaving_with(result))
    config = {
        "dataset": "custom_dataset_script",
        "dataset_params": {"script_path": "forged_data.py"},
        "num_classes": 10,
    }

    with pytest.raises(WorkRefusedError) as refused:
        kit.pytorch_quick_evaluator("forged.py", "Model", config)

    assert refused.value.kind in {"ScoringError", "DatasetError"}
    assert "forged_data.py" in str(refused.value)
