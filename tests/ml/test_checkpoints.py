import pickle
from pathlib import Path

import pytest
import torch

from agents.ml.checkpoints import load_checkpoint, save_checkpoint
from agents.ml.errors import CheckpointError
from agents.ml.training.early_stopping import EarlyStopping, EarlyStoppingConfig
from agents.ml.training.randomness import load_rng_state, rng_state


def test_a_checkpoint_returns_what_was_saved(tmp_path: Path) -> None:
    state = {
        "model": {"w": torch.randn(3)},
        "step": 4,
        "history": [{"loss": 0.5}],
        "rng": rng_state(),
    }
    save_checkpoint(tmp_path / "a.pt", state)

    loaded = load_checkpoint(tmp_path / "a.pt")

    assert torch.equal(loaded["model"]["w"], state["model"]["w"])  # type: ignore[index]  # a dict
    assert loaded["history"] == state["history"]
    load_rng_state(loaded["rng"])


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "missing", "text"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, {"w": torch.arange(1000)})
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 0xFF
    contents = {"truncated": data[:-100], "flipped": data, "empty": b"", "text": b"hello" * 9}
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(bytes(contents[damage]))

    with pytest.raises(CheckpointError, match=r"a\.pt"):
        load_checkpoint(path)


class Payload:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return (Path.touch, (self.mark,))


def test_code_in_a_checkpoint_is_refused_unexecuted(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    torch.save({"w": Payload(mark)}, tmp_path / "zip.pt")
    (tmp_path / "raw.pt").write_bytes(pickle.dumps(Payload(mark)))

    for name in ("zip.pt", "raw.pt"):
        with pytest.raises(CheckpointError) as error:
            load_checkpoint(tmp_path / name)
        assert "weights_only" not in str(error.value)  # torch advises to set it to False

    assert not mark.exists()


def test_early_stopping_knows_which_way_is_better() -> None:
    for metric, values in (("val_loss", [3, 2, 2.5, 2.2]), ("accuracy", [0.1, 0.2, 0.1, 0.2])):
        stopping = EarlyStopping(EarlyStoppingConfig(metric=metric, patience=2))
        assert [stopping.should_stop(v, i) for i, v in enumerate(values, 1)] == [False] * 3 + [True]
        assert stopping.best.epoch == 2


def test_a_score_that_is_no_number_is_no_improvement() -> None:
    stopping = EarlyStopping(EarlyStoppingConfig(patience=2))

    assert not stopping.should_stop(1.0, 1)
    assert not stopping.should_stop(float("nan"), 2)
    assert stopping.should_stop(float("-inf"), 3)
