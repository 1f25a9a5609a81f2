"""`guildbus experiments`, for people and for scripts."""

import json
import math
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agents.research import ResearchToolkit
from agents.research.experiments import (
    ExperimentStore,
    StoreUnusableError,
    Study,
    Trial,
    store_path,
)
from agents.research.experiments.command import opening
from agents.research.job_properties import VAULTS
from tests.cli.conftest import ROOT, Run, run, settings
from tests.research.experiments.samples import done, trial

__all__ = ["run", "settings"]

ESCAPE = "\x1b[31m"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A study of three configurations, one measured twice; the first two left a folder."""
    with ExperimentStore(store_path(tmp_path)) as store:
        store.begin(Study(name="digits", dataset="digits"))
        root = done(store, trial(16, note=f"why{ESCAPE} not"), 0.9, artifacts="runs/a", cost_s=1.0)
        better = trial(32, parent=root.id, code="width = 32\n", proposer="llm")
        done(store, better, 0.95, artifacts="runs/b", cost_s=1.0)
        done(store, trial(32, parent=root.id, code="width = 32\n", seed=1), 0.93)
        failed = store.plan(trial(64, parent=root.id))
        store.finish(failed.id, status="failed", error="out of memory")
    for name in ("a", "b"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "best.pt").write_bytes(b"x" * 5000)
    return tmp_path


def best() -> Trial:
    return trial(32, code="width = 32\n")


def trials(workspace: Path) -> list[Trial]:
    with ExperimentStore(store_path(workspace)) as store:
        return store.trials()


def test_the_list_tells_each_study_with_its_best(workspace: Path, run: Run) -> None:
    outcome = run("experiments", "list")
    (study,) = run("experiments", "list", "--json").documents()

    assert outcome.code == 0
    assert "accuracy 94.00 ± 1.00 %" in outcome.out
    assert "not ended" in outcome.out
    assert study["best"]["mean"] == pytest.approx(0.94)
    assert study["used"].pop("worked_s") > 0
    assert study["used"] == {"trials": 4, "seconds": 2.0, "tokens": 0}


def test_a_folder_without_experiments_has_none_and_gets_no_store(tmp_path: Path, run: Run) -> None:
    listed, shown = run("experiments", "list"), run("experiments", "show", "digits")

    assert (listed.code, listed.out, shown.code) == (0, "", 2)
    assert "--workspace" in listed.err
    assert "--workspace" in shown.err
    assert not (tmp_path / ".guildbus").exists()


def test_another_workspace_can_be_named(workspace: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()

    assert run("experiments", "list", "--workspace", tmp_path / "elsewhere").out == ""
    assert "digits" in run("experiments", "list", "-w", workspace).out


def test_a_study_is_shown_by_its_ranking_or_as_a_tree(workspace: Path, run: Run) -> None:
    ranking = run("experiments", "show", "digits").out
    tree = run("experiments", "show", "digits", "--tree").out
    (document,) = run("experiments", "show", "digits", "--json").documents()

    assert ranking.index(best().id[:8]) < ranking.index(trial(16).id[:8])
    assert "width 16 → 32" in ranking
    assert "└── #1" in tree
    assert "├── #2 width 16 → 32  94.00 %  +4.00" in tree
    assert [standing["rank"] for standing in document["leaderboard"]] == [1, 2, None]
    assert len(document["trials"]) == 4


def test_a_trial_is_shown_by_the_beginning_of_its_id(workspace: Path, run: Run) -> None:
    shown = run("experiments", "show", best().id[:6]).out
    (document,) = run("experiments", "show", best().id[:6], "--json").documents()
    code = run("experiments", "show", best().id[:6], "--code").out

    assert best().id in shown
    assert trial(16).id[:8] in shown
    assert "width: 32" in shown
    assert document["lineage"] == [trial(16).id, best().id]
    assert code == "width = 32\n"


def test_what_models_and_users_wrote_commands_no_terminal(workspace: Path, run: Run) -> None:
    for words in (["show", "digits", "--tree"], ["show", trial(16).id]):
        assert ESCAPE not in run("experiments", *words).out


@pytest.mark.parametrize(
    "name",
    [
        "E/2=",
        "' OR name = '",
        "--help",
        "-+~.",
        "[bold]x[/]",
        "[1.5]",
        "%s{0}",
        "数字",
        "a\nb",
        ESCAPE,
    ],
)
def test_a_study_and_a_metric_may_have_any_name(workspace: Path, run: Run, name: str) -> None:
    with ExperimentStore(store_path(workspace)) as store:
        store.begin(Study(name=name, metric=name, dataset=name))
        odd = store.plan(Trial.new(study=name, kind="quick", config={name: 1}, proposer=name))
        store.finish(odd.id, status="done", metrics={name: 0.5})

    lines = run("experiments", "list").out.splitlines()
    shown = run("experiments", "show", "--", name)
    outcomes = [
        run("experiments", "show", "--tree", "--", name),
        run("experiments", "compare", "--", name, "digits"),
        run("experiments", "open", "--no-browser", "--", name),
        run("experiments", "prune", "--yes", "--", name),
    ]

    assert len(lines) == 3
    assert shown.code == 0
    words = name.replace("\x1b", " ").split()
    assert shown.out.splitlines()[1].split()[4 : 4 + len(words)] == words
    assert all(outcome.code == 0 for outcome in outcomes)
    assert "\x1b" not in "".join(outcome.out + outcome.err for outcome in [shown, *outcomes])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_has_no_number_for_a_score_is_never_the_best(
    workspace: Path, run: Run, value: float
) -> None:
    with ExperimentStore(store_path(workspace)) as store:
        odd = done(store, trial(1, study="odd"), value)
        good = done(store, trial(2, study="odd"), 0.5)
        (history,) = [[{"epoch": 1, "train_loss": value, "val_accuracy": value}]]
        done(store, trial(3, study="odd"), 0.4, history=history)

    shown = run("experiments", "show", "odd").out
    (listed,) = [s for s in run("experiments", "list", "--json").documents() if s["name"] == "odd"]
    report = Path(run("experiments", "open", "odd", "--no-browser").out.strip()).read_text()

    assert listed["best"]["trials"] == [good.id]
    assert re.search(rf"{odd.id[:8]} .* no accuracy", shown)
    assert "no accuracy" in report


def test_two_trials_are_compared_by_scores_and_by_what_changed(workspace: Path, run: Run) -> None:
    outcome = run("experiments", "compare", trial(16).id, "digits")
    (document,) = run("experiments", "compare", trial(16).id, "digits", "--json").documents()

    assert "+0.05" in outcome.out
    assert "-width: 16\n" in outcome.out
    assert document["metrics"] == {"accuracy": [0.9, 0.95]}
    assert "+width: 32" in document["diff"]


def test_numbers_that_json_cannot_say_are_null(workspace: Path, run: Run) -> None:
    with ExperimentStore(store_path(workspace)) as store:
        odd = store.plan(trial(99))
        store.finish(odd.id, status="done", metrics={"accuracy": float("nan")})

    for words in (["show", odd.id], ["show", "digits"], ["compare", odd.id, "digits"]):
        out = run("experiments", *words, "--json").out
        json.loads(out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["show", "nothing"], "experiments list"),
        (["show", ""], "give more of it"),
        (["show", "digits", "--code"], "is a study"),
        (["show", trial(64).id, "--tree", "--code"], "class Net"),
        (["open", "nothing"], "there are digits"),
        (["prune", "nothing"], "there are digits"),
        (["prune", "--forget"], "--forget needs a study"),
        (["resume", "digits"], "no message began it"),
        (["resume", trial(64).id], "guildbus experiments resume digits"),
    ],
)
def test_what_does_not_work_is_told_with_what_to_do(
    workspace: Path, run: Run, words: list[str], told: str
) -> None:
    outcome = run("experiments", *words)

    assert told in outcome.err + outcome.out
    assert outcome.code == (0 if told in outcome.out else 2)


@pytest.fixture
def unwritable(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same workspace on a disk that takes nothing, as SQLite finds it."""

    def refusing(path: Path) -> ExperimentStore:
        if path == store_path(Path()):
            raise StoreUnusableError(path, "unable to open database file")
        return ExperimentStore(path)

    monkeypatch.setattr(opening, "ExperimentStore", refusing)
    return workspace


def test_a_store_that_cannot_be_written_can_be_read(unwritable: Path, run: Run) -> None:
    with ExperimentStore(store_path(unwritable)) as store:
        store.plan(trial(128))
        listed, shown = run("experiments", "list"), run("experiments", "show", "digits", "--json")

    assert listed.code == 0, listed.err
    assert "accuracy 94.00 ± 1.00 %" in listed.out
    (document,) = shown.documents()
    assert len(document["trials"]) == 5  # with what lies in the log beside the file
    assert run("experiments", "compare", trial(16).id, "digits").code == 0
    assert "cannot be used" in run("experiments", "prune", "digits", "--forget", "--yes").err


def test_a_report_is_written_where_somebody_wants_it(unwritable: Path, run: Run) -> None:
    reports = store_path(unwritable).parent / "reports"
    reports.touch()  # no folder can be made there

    refused = run("experiments", "open", "digits", "--no-browser")
    written = run("experiments", "open", "digits", "--no-browser", "--to", unwritable / "given")

    assert refused.code == 2
    assert "--to" in refused.err
    assert Path(written.out.strip()) == unwritable / "given" / "report.html"


def test_a_study_that_left_its_own_report_shows_that(workspace: Path, run: Run) -> None:
    own = workspace / "runs" / "led" / "report.html"
    with ExperimentStore(store_path(workspace)) as store:
        store.begin(Study(name="led", asked={"runs_dir": "runs", "folds": 5}))
        early = run("experiments", "open", "led", "--no-browser").out.strip()
        own.parent.mkdir()
        own.write_text("its own")
        not_ended = run("experiments", "open", "led", "--no-browser").out.strip()
        store.end("led")

    shown = run("experiments", "open", "led", "--no-browser").out.strip()
    elsewhere = run("experiments", "open", "led", "--no-browser", "--to", "given").out.strip()

    assert shown == str(own)
    assert own.read_text() == "its own"
    assert early == not_ended
    assert len({early, shown, elsewhere}) == 3
    assert "Folds:" in Path(early).read_text()


_FULL_DISK = """
import subprocess, sys
from pathlib import Path
from agents.research.experiments import ExperimentStore, store_path
from tests.research.experiments.samples import done, trial

with ExperimentStore(store_path(Path())) as store:
    done(store, trial(16), 0.9, artifacts="runs/a")
Path("runs/a").mkdir(parents=True)
Path("runs/a/best.pt").write_bytes(b"x" * 200_000)
try:
    Path("filler").write_bytes(b"x" * 2**20)
except OSError:
    pass
for words in (["list"], ["prune", "--keep", "0", "--yes"], ["show", "digits", "--json"]):
    subprocess.run([sys.executable, "-m", "guild.cli", "experiments", *words])
"""


def test_pruning_makes_room_on_a_disk_that_is_full(tmp_path: Path) -> None:
    mount = 'mount -t tmpfs -o size=600k none "$0" && cd "$0" && exec "$1" -c "$2"'
    namespace = ["unshare", "--user", "--map-root-user", "--mount"]
    ran = subprocess.run(
        [*namespace, "sh", "-c", mount, str(tmp_path), sys.executable, _FULL_DISK],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.stderr.startswith(("unshare:", "mount:")):
        pytest.skip(f"no small disk can be made here: {ran.stderr}")

    assert "200 kB are free again" in ran.stderr
    assert "no room" not in ran.stderr
    assert ran.stdout.count("90.00 %") == 1
    assert '"artifacts": ""' in ran.stdout


def test_a_damaged_store_is_told_with_what_to_do(workspace: Path, run: Run) -> None:
    store_path(workspace).write_bytes(b"no database" * 1000)

    outcome = run("experiments", "list")

    assert outcome.code == 1
    assert ".recover" in outcome.err


def test_pruning_says_what_would_go_and_removes_nothing_unless_it_may(
    workspace: Path, run: Run
) -> None:
    dry = run("experiments", "prune", "--keep", "1", "--dry-run")
    asked = run("experiments", "prune", "--keep", "1")

    assert "5 kB" in dry.out
    assert trial(16).id in dry.out
    assert best().id not in dry.out
    assert (asked.code, "say --yes" in asked.err) == (2, True)
    assert (workspace / "runs" / "a").is_dir()


def test_pruning_removes_the_folders_of_what_is_not_best_and_keeps_what_is_known(
    workspace: Path, run: Run
) -> None:
    outcome = run("experiments", "prune", "--keep", "1", "--yes")

    assert "5 kB are free again" in outcome.err
    assert not (workspace / "runs" / "a").exists()
    assert (workspace / "runs" / "b" / "best.pt").is_file()
    assert [each.artifacts for each in trials(workspace)] == ["", "runs/b", "", ""]
    assert run("experiments", "prune", "--keep", "1", "--yes").err.startswith("there is nothing")


def test_a_folder_that_cannot_be_removed_stays_known_and_the_others_go(
    workspace: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = shutil.rmtree

    def refusing(name: str, *, dir_fd: int) -> None:
        if name == "a":
            raise PermissionError(13, "Permission denied", name)
        remove(name, dir_fd=dir_fd)

    monkeypatch.setattr(shutil, "rmtree", refusing)

    outcome = run("experiments", "prune", "digits", "--forget", "--yes")

    assert outcome.code == 1
    assert "runs/a could not be removed and stays" in outcome.err
    assert [each.artifacts for each in trials(workspace)] == ["runs/a", "", "", ""]


@pytest.mark.parametrize(
    "artifacts", ["../outside", "/etc", ".", ".guildbus", ".guildbus/experiments/x", "link"]
)
def test_pruning_never_touches_what_is_not_the_trials_own(
    workspace: Path, run: Run, artifacts: str
) -> None:
    outside = workspace.parent / "outside"
    outside.mkdir(exist_ok=True)
    (workspace / "link").symlink_to(outside)
    with ExperimentStore(store_path(workspace)) as store:
        done(store, trial(5, study="other"), 0.1, artifacts=artifacts)

    outcome = run("experiments", "prune", "other", "--keep", "0", "--yes")

    assert "none of this workspace's own" in outcome.err
    assert outside.is_dir()
    assert len(trials(workspace)) == 5


@pytest.mark.parametrize("needed", ["runs/a", "runs", "runs/a/deeper"])
def test_a_folder_that_another_study_needs_stays(workspace: Path, run: Run, needed: str) -> None:
    with ExperimentStore(store_path(workspace)) as store:
        done(store, trial(5, study="other"), 0.1, artifacts=needed)

    run("experiments", "prune", "digits", "--keep", "1", "--yes")

    assert (workspace / "runs" / "a").is_dir()


def test_what_was_tested_or_can_be_resumed_keeps_its_folder(workspace: Path, run: Run) -> None:
    with ExperimentStore(store_path(workspace)) as store:
        tested = store.plan(trial(16, kind="test", parent=trial(16).id))
        store.finish(tested.id, status="done", metrics={"accuracy": 0.9})
        halted = store.plan(trial(7).model_copy(update={"artifacts": "runs/halted"}))
        store.finish(halted.id, status="interrupted")

    found = run("experiments", "prune", "--keep", "0", "--dry-run").out

    assert "runs/a" not in found
    assert "runs/halted" not in found
    assert "runs/b" in found


def test_a_forgotten_study_leaves_nothing_behind(workspace: Path, run: Run) -> None:
    assert run("experiments", "prune", "digits", "--forget", "--yes").code == 0

    assert trials(workspace) == []
    assert not (workspace / "runs" / "b").exists()


def test_a_forgotten_study_takes_along_what_was_made_for_it(workspace: Path, run: Run) -> None:
    (workspace / "runs" / "ledger").mkdir()
    made = [workspace / "runs" / "led", workspace / VAULTS / "runs" / "led"]
    with ExperimentStore(store_path(workspace)) as store:
        store.begin(Study(name="led", asked={"runs_dir": "runs"}))
        halted = trial(7, study="led").model_copy(update={"artifacts": "runs/halted"})
        store.finish(store.plan(halted).id, status="interrupted")
    for folder in (*made, workspace / "runs" / "halted"):
        folder.mkdir(parents=True)
        (folder / "file").touch()

    outcome = run("experiments", "prune", "led", "--forget", "--yes")

    assert outcome.code == 0, outcome.err
    assert sorted(path.name for path in (workspace / "runs").iterdir()) == ["a", "b", "ledger"]
    assert not made[1].exists()


@pytest.mark.parametrize("name", [".", "..", "../runs"])
def test_forgetting_removes_no_folder_but_the_studys_own(
    workspace: Path, run: Run, name: str
) -> None:
    with ExperimentStore(store_path(workspace)) as store:
        store.begin(Study(name=name, asked={"runs_dir": "runs"}))

    assert run("experiments", "prune", "--forget", "--yes", "--", name).code == 0
    assert (workspace / "runs" / "a").is_dir()


def test_a_study_at_work_is_not_forgotten(workspace: Path, run: Run) -> None:
    with ExperimentStore(store_path(workspace)) as store:
        store.start(store.plan(trial(7)).id)

    outcome = run("experiments", "prune", "digits", "--forget", "--yes")

    assert (outcome.code, "stop what works on it first" in outcome.err) == (2, True)
    assert len(trials(workspace)) == 5
    assert (workspace / "runs" / "a").is_dir()


@pytest.mark.parametrize("name", ["digits", "../up/../..", "a" * 200, ".."])
def test_a_report_is_written_below_the_store_whatever_the_study_is_called(
    workspace: Path, run: Run, name: str
) -> None:
    with ExperimentStore(store_path(workspace)) as store:
        store.begin(Study(name=name, dataset="digits"))

    outcome = run("experiments", "open", name, "--no-browser")

    path = Path(outcome.out.strip())
    assert path.is_file()
    assert path.parent.parent == store_path(workspace).parent / "reports"
    assert "Study “" in path.read_text()


def test_resuming_a_study_asks_its_guild_what_it_was_asked(workspace: Path, run: Run) -> None:
    spec = workspace / "crew.yaml"
    spec.write_text(
        "id: crew\nbus: memory://\nagents:\n"
        "  - {id: worker, type: tests.cli.crew:Worker, topics: [jobs]}\n"
    )
    with ExperimentStore(store_path(workspace)) as store:
        store.begin(
            Study(name="asked", asked={"count": 7}, asked_type="crew.work", spec="crew.yaml")
        )

    outcome = run("experiments", "resume", "asked", "--json")

    assert outcome.code == 0
    assert '"count": 7' in outcome.out
    assert "asking crew.yaml once more" in outcome.err


def test_a_study_that_has_ended_is_not_begun_again(workspace: Path, run: Run) -> None:
    with ExperimentStore(store_path(workspace)) as store:
        store.end("digits")

    outcome = run("experiments", "resume", "digits")

    assert outcome.code == 2
    assert "experiments open digits" in outcome.err


@pytest.mark.long
def test_resuming_a_training_goes_on_in_its_folder(tmp_path: Path, run: Run) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\n\nclass Net(nn.Sequential):\n"
        "    def __init__(self):\n        super().__init__(nn.Flatten(), nn.Linear(64, 10))\n"
    )
    config: dict[str, Any] = {"dataset": "digits", "epochs": 2, "seed": 3}
    with ResearchToolkit(workspace=tmp_path) as kit:
        kit.pytorch_full_trainer("net.py", "Net", config, experiment_name="first")
    (before,) = trials(tmp_path)
    with sqlite3.connect(store_path(tmp_path)) as connection:
        connection.execute("UPDATE trials SET status = 'interrupted', metrics = '{}'")
    connection.close()

    outcome = run("experiments", "resume", before.id)

    assert outcome.code == 0, outcome.err
    assert "completed after 2 epochs" in outcome.out
    (after,) = trials(tmp_path)
    assert (after.status, after.metrics) == ("done", before.metrics)
    assert after.artifacts == "full_experiments/first"
    assert "has ended" in run("experiments", "resume", before.id).err


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys; from guild.cli.app import app; import agents.research.experiments.commands; "
        "print([n for n in ('torch', 'sqlite3', 'pydantic', 'yaml', 'rich') if n in sys.modules])"
    )

    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert ran.stdout.strip() == "[]"
