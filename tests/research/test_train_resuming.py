"""A training that was cut short is taken up again by `guildbus experiments resume`."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from agents.research import ResearchToolkit
from agents.research.errors import ResearchError
from agents.research.experiments import ExperimentStore, Trial, store_path
from tests.cli.conftest import Run, run, settings
from tests.research.forgers import BASE

__all__ = ["run", "settings"]

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

# It kills its process in the third evaluation, once.
DYING = BASE.replace(
    "return self.body",
    """if os.path.exists("deadly") and not self.training:
            self.seen = getattr(self, "seen", 0) + 1
            if self.seen == 3:
                os.remove("deadly")
                os.kill(os.getpid(), 9)
        return self.body""",
)
TEXT = "def f(x):\n    return x\n\n" * 400
LANGUAGE_MODEL: dict[str, Any] = {
    "corpus_files": ["code.txt"],
    "tokenizer_path": "words",
    "architecture": {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "context_length": 16},
    "steps": 6,
    "batch_size": 4,
    "warmup_steps": 1,
    "eval_every_steps": 3,
    "eval_tokens": 64,
    "sample_tokens": 2,
    "seed": 5,
}


def trial_of(workspace: Path) -> Trial:
    with ExperimentStore(store_path(workspace)) as store:
        (trial,) = store.trials()
    return trial


def test_one_that_has_no_name_of_its_own_goes_on_in_its_folder(tmp_path: Path, run: Run) -> None:
    (tmp_path / "model.py").write_text(DYING)
    (tmp_path / "deadly").touch()
    with (
        ResearchToolkit(workspace=tmp_path, threads=1) as kit,
        pytest.raises(ResearchError, match="SIGKILL"),
    ):
        kit.pytorch_full_trainer("model.py", "Model", {"dataset": "digits", "epochs": 4})
    cut_short = trial_of(tmp_path)
    assert not cut_short.metrics

    outcome = run("experiments", "resume", cut_short.id, "--json")

    assert outcome.code == 0, outcome.err
    (result,) = outcome.documents()
    assert result["epochs_run"] == 4
    assert result["resumed_from_step"] > 0
    assert result["experiment_dir"] == trial_of(tmp_path).artifacts == cut_short.artifacts
    assert trial_of(tmp_path).status == "done"


def test_a_language_model_is_shown_and_goes_on_in_its_folder(tmp_path: Path, run: Run) -> None:
    (tmp_path / "code.txt").write_text(TEXT)
    tokenizer = {"type": "BPE", "vocab_size": 280, "data_files": ["code.txt"]}
    with ResearchToolkit(workspace=tmp_path, threads=1) as kit:
        kit.pytorch_tokenizer_manager("train", "words", tokenizer, "words")
        whole = kit.train_language_model(LANGUAGE_MODEL, "phi", serve_as="served")
    trial = trial_of(tmp_path)
    forget_the_end(tmp_path, whole["experiment_dir"])
    (tmp_path / "served").unlink()

    shown = run("experiments", "show", "tools")
    outcome = run("experiments", "resume", trial.id, "--json")

    assert "phi" in shown.out
    assert outcome.code == 0, outcome.err
    (resumed,) = outcome.documents()
    assert resumed["resumed_from_step"] == 6
    assert resumed["final_evaluation"] == whole["final_evaluation"]
    assert trial_of(tmp_path).metrics == trial.metrics
    assert (tmp_path / "served").resolve() == tmp_path / "phi"
    assert json.loads((tmp_path / "phi" / "config.json").read_text())["hidden_size"] == 16


def forget_the_end(workspace: Path, experiment_dir: str) -> None:
    """Leave what a process leaves that is killed after its last checkpoint."""
    (workspace / experiment_dir / "result.json").unlink()
    with sqlite3.connect(store_path(workspace)) as connection:
        connection.execute("UPDATE trials SET status = 'interrupted', metrics = '{}'")
    connection.close()
