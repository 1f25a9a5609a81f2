"""New projects: what is made works, what is there stays."""

import json
from pathlib import Path
from runpy import run_path

import pytest

from agents.research import ResearchToolkit, scaffold
from agents.research.errors import OutsideWorkspaceError, WorkRefusedError
from agents.research.scaffold.project import create_project
from agents.research.workspace.files import WorkspaceFiles

NAME = "NewImageClassifier"
TEMPLATE = Path(scaffold.__file__).with_name("template")
PROJECT = f"scaffold/{NAME}"


@pytest.fixture
def files(tmp_path: Path) -> WorkspaceFiles:
    return WorkspaceFiles(tmp_path)


@pytest.fixture(scope="module")
def kit(common_kit: ResearchToolkit) -> ResearchToolkit:
    common_kit.create_pytorch_project_scaffold(NAME, "scaffold")
    return common_kit


@pytest.mark.slow
def test_the_project_passes_its_own_tests(kit: ResearchToolkit) -> None:
    text = kit.bash_run(f"cd {PROJECT} && python -m pytest -q -p no:cacheprovider")

    assert "7 passed" in text, text


@pytest.mark.long
def test_the_project_trains_and_is_evaluated(kit: ResearchToolkit, common_workspace: Path) -> None:
    trained = kit.python_run(f"{PROJECT}/train.py", "--epochs", "2", "--name", "first")
    tested = kit.bash_run(f"cd {PROJECT} && python evaluate.py experiments/first")

    assert "best val_accuracy 0." in trained, trained
    assert tested.startswith("test accuracy 0."), tested
    metrics = (common_workspace / PROJECT / "experiments" / "first" / "metrics.jsonl").read_text()
    assert json.loads(metrics.splitlines()[-1])["val_accuracy"] > 0.5


@pytest.mark.slow
def test_the_tools_take_the_model_of_the_project(kit: ResearchToolkit) -> None:
    path = f"{PROJECT}/src/models/small_cnn.py"

    summary = kit.pytorch_model_summary(path, "SmallCNN", (1, 1, 8, 8))

    assert summary["layer_details"][-1]["type"] == "Linear"


def test_the_name_stands_in_its_readme(files: WorkspaceFiles, tmp_path: Path) -> None:
    made = create_project(files, NAME, "projects/of mine")

    project = tmp_path / "projects" / "of mine" / NAME
    assert (project / "README.md").read_text().startswith(f"# {NAME}\n")
    assert {".gitignore", "src/models/small_cnn.py", "data/.gitkeep"} <= set(made)
    assert files.list("projects/of mine") == [NAME]


def test_a_project_made_twice_is_the_same_one(files: WorkspaceFiles) -> None:
    assert create_project(files, NAME) == create_project(files, NAME)


def test_an_empty_folder_is_taken(files: WorkspaceFiles) -> None:
    files.make_directory(NAME)

    assert create_project(files, NAME)


@pytest.mark.parametrize("path", [f"{NAME}/notes.txt", NAME])
def test_what_is_there_stays_as_it_is(files: WorkspaceFiles, path: str) -> None:
    files.write(path, "mine")

    with pytest.raises(WorkRefusedError):
        create_project(files, NAME)

    assert files.read(path) == "mine"
    assert files.list() == [NAME]


def test_a_project_that_was_changed_is_not_written_over(files: WorkspaceFiles) -> None:
    create_project(files, NAME)
    files.write(f"{NAME}/train.py", "mine")

    with pytest.raises(WorkRefusedError, match="give another name, or empty it"):
        create_project(files, NAME)

    assert files.read(f"{NAME}/train.py") == "mine"


def test_what_an_interrupted_start_left_is_made_anew(files: WorkspaceFiles) -> None:
    files.write(f".{NAME}.draft/half.txt", "half")

    create_project(files, NAME)

    assert files.list() == [NAME]
    assert "half.txt" not in files.list(NAME)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../x", "-x", "x" * 101, "né", "a\0", "a b", "a-", "a."]
)
def test_a_name_that_is_none_is_refused(files: WorkspaceFiles, name: str) -> None:
    with pytest.raises(WorkRefusedError, match="cannot be the name") as caught:
        create_project(files, name)

    assert caught.value.where == "project_name"
    assert files.list() == []


@pytest.mark.parametrize("was_there", [True, False])
def test_a_project_that_cannot_be_finished_leaves_what_was_there(
    tmp_path: Path, was_there: bool
) -> None:
    if was_there:
        (tmp_path / NAME).mkdir()
    (tmp_path / "mine.txt").write_text("mine")

    with pytest.raises(WorkRefusedError, match="over the limit"):
        create_project(WorkspaceFiles(tmp_path, max_bytes=100), NAME)

    assert WorkspaceFiles(tmp_path).list(recursive=True) == (
        [NAME, "mine.txt"] if was_there else ["mine.txt"]
    )


def test_no_project_is_made_in_a_home(files: WorkspaceFiles) -> None:
    with pytest.raises(OutsideWorkspaceError, match="base_dir"):
        create_project(files, NAME, "~/projects")

    assert files.list() == []


def test_no_project_is_made_outside_of_the_workspace(tmp_path: Path) -> None:
    (tmp_path / "ws").mkdir()

    files = WorkspaceFiles(tmp_path / "ws")
    with pytest.raises(OutsideWorkspaceError, match=r"base_dir: '\.\.' leads out"):
        create_project(files, NAME, "..")

    assert [path.name for path in tmp_path.iterdir()] == ["ws"]


def test_a_place_that_is_a_file_is_named(files: WorkspaceFiles) -> None:
    files.write("notes.txt", "mine")

    with pytest.raises(
        WorkRefusedError, match=r"base_dir: 'notes\.txt' lies below a file"
    ) as error:
        create_project(files, NAME, "notes.txt")

    assert error.value.where == "base_dir"
    assert files.read("notes.txt") == "mine"


def test_a_run_of_another_device_goes_on_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    module = run_path(str(TEMPLATE / "src" / "experiment.py"))
    experiment = module["Experiment"](tmp_path / "first")
    config = module["Config"](name="first")
    assert experiment.begin(config) is None
    with monkeypatch.context() as patched:
        patched.setattr(torch.serialization, "location_tag", lambda _: "cuda:63")
        torch.save({"weight": torch.ones(2)}, tmp_path / "first" / "last.pt")

    assert experiment.begin(config)["weight"].tolist() == [1, 1]
