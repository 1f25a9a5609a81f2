import os
from pathlib import Path
from typing import Any

import pytest

from agents.sandbox import JobRunner, NoFenceError, View
from agents.sandbox.fence import FenceName
from tests.sandbox.conftest import TESTS, a_runner, exists

JOBS = "tests.sandbox.jobs"
FENCES = pytest.mark.parametrize("fence", ["bubblewrap", "namespaces"], indirect=True)


async def looked(runner: JobRunner, view: View, *paths: Path) -> list[Any]:
    result = await runner.run(f"{JOBS}:look", {"paths": [str(path) for path in paths]}, view=view)
    return [result["seen"][str(path)] for path in paths]


async def written(runner: JobRunner, view: View, *paths: Path) -> list[bool]:
    result = await runner.run(f"{JOBS}:write", {"paths": [str(path) for path in paths]}, view=view)
    return [result["written"][str(path)] == "" for path in paths]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "held-out").mkdir(parents=True)
    (folder / "train.csv").write_text("1,2")
    (folder / "held-out" / "labels").write_text("secret")
    return folder


@FENCES
async def test_what_is_outside_is_there_when_it_is_granted_and_cannot_be_changed(
    any_runner: JobRunner, data: Path
) -> None:
    granted = View(read_only=(str(data),))

    assert await looked(any_runner, View(), data) == ["No such file or directory"]
    assert await looked(any_runner, granted, data / "train.csv") == ["1,2"]
    assert await written(any_runner, granted, data / "train.csv", data / "new") == [False, False]
    assert (data / "train.csv").read_text() == "1,2"


@FENCES
async def test_what_only_its_owner_may_read_is_read_when_it_is_granted(
    any_runner: JobRunner, data: Path
) -> None:
    os.chmod(data / "train.csv", 0o600)  # noqa: PTH101
    os.chmod(data, 0o700)  # noqa: PTH101

    assert await looked(any_runner, View(read_only=(str(data),)), data / "train.csv") == ["1,2"]


@FENCES
async def test_what_is_hidden_is_empty_for_one_job_and_there_for_another(
    any_runner: JobRunner, tmp_path: Path
) -> None:
    workspace = tmp_path / "ws"
    (workspace / "labels").mkdir(parents=True)
    (workspace / "labels" / "test").write_text("secret")
    (workspace / "key").write_text("secret")
    hidden = View(hidden=(str(workspace / "labels"), str(workspace / "key")))
    paths = [workspace / "labels", workspace / "key"]

    assert await looked(any_runner, hidden, *paths) == [[], ""]
    assert await written(any_runner, hidden, workspace / "labels" / "new", paths[1]) == [False] * 2
    assert await looked(any_runner, View(), *paths) == [["test"], "secret"]
    assert (workspace / "key").read_text() == "secret"


@FENCES
async def test_below_something_hidden_a_folder_can_stay(
    any_runner: JobRunner, data: Path, tmp_path: Path
) -> None:
    state = tmp_path / "ws" / "state"
    state.mkdir(parents=True)
    (state / "socket").write_text("secret")
    view = View(
        hidden=(str(state), str(data)),
        writable=(str(state / "shared"),),
        read_only=(str(data / "held-out"),),
    )

    assert await written(any_runner, view, state / "shared" / "new", state / "new") == [True, False]
    assert await looked(any_runner, view, state, data) == [["shared"], ["held-out"]]
    assert (state / "shared" / "new").read_text() == "written"


@FENCES
async def test_what_a_job_must_not_see_is_hidden_although_all_jobs_are_granted_it(
    fence: FenceName, data: Path, tmp_path: Path
) -> None:
    granted = View(read_only=(str(data / "train.csv"), str(data / "held-out"))) | TESTS
    runner = JobRunner(workspace=tmp_path / "ws", fence=fence, view=granted, preload=())
    paths = [data / "train.csv", data / "held-out" / "labels"]
    async with runner:
        assert await looked(runner, View(), *paths) == ["1,2", "secret"]
        for hidden in (data, *paths):
            seen = await looked(runner, View(hidden=(str(hidden),)), *paths)
            assert not {"1,2", "secret"} & {
                text for path, text in zip(paths, seen, strict=True) if path.is_relative_to(hidden)
            }


@FENCES
async def test_a_folder_that_stays_hides_what_is_hidden_in_it(
    any_runner: JobRunner, tmp_path: Path
) -> None:
    workspace = tmp_path / "ws"
    (workspace / "data" / "labels").mkdir(parents=True)
    (workspace / "data" / "labels" / "test").write_text("secret")
    (workspace / "data" / "inputs").write_text("1,2")
    labels = workspace / "data" / "labels"
    (workspace / "code").write_text("pass")
    shown = (str(workspace / "data"), str(workspace / "code"))
    view = View(hidden=(str(workspace), str(labels)), read_only=shown)

    paths = [workspace, workspace / "data" / "inputs", labels]
    assert await looked(any_runner, view, *paths) == [["code", "data"], "1,2", []]
    assert await written(any_runner, view, workspace / "new", paths[1]) == [False, False]


@FENCES
async def test_a_library_s_own_data_can_be_hidden(any_runner: JobRunner) -> None:
    folder = Path(pytest.__file__).parent

    assert await looked(any_runner, View(hidden=(str(folder),)), folder) == [[]]


async def test_few_warm_processes_are_kept_and_the_oldest_goes(
    runner: JobRunner, tmp_path: Path
) -> None:
    pids = []
    for name in "abcd":
        (tmp_path / name).mkdir()
        await looked(runner, View(read_only=(str(tmp_path / name),)), tmp_path)
        pids.append(runner.server_pid)

    await looked(runner, View(read_only=(str(tmp_path / "d"),)), tmp_path)
    assert runner.server_pid == pids[3]
    assert [exists(f"/proc/{pid}") for pid in pids] == [False, True, True, True]


async def test_nothing_is_hidden_in_silence_without_a_fence(tmp_path: Path) -> None:
    async with a_runner(tmp_path, "none") as runner:
        with pytest.raises(NoFenceError, match="/labels cannot be hidden"):
            await runner.run(f"{JOBS}:echo", {}, view=View(hidden=("/labels",)))


@pytest.mark.parametrize("path", ["labels", "/data/../etc", ""])
def test_a_view_names_absolute_paths(path: str) -> None:
    with pytest.raises(ValueError, match="absolute paths"):
        View(hidden=(path,))


@FENCES
async def test_files_made_in_the_workspace_belong_to_its_owner(
    fence: FenceName, tmp_path: Path
) -> None:
    workspace = tmp_path / "theirs"
    workspace.mkdir()
    async with a_runner(workspace, fence) as runner:
        await written(runner, View(), workspace / "new")

    assert (workspace / "new").stat().st_uid == workspace.stat().st_uid


@FENCES
async def test_no_file_of_the_workspace_lends_its_owner_s_rights(
    any_runner: JobRunner, tmp_path: Path
) -> None:
    result = await any_runner.run(f"{JOBS}:lend_rights", {})

    modes = {path.name: path.stat().st_mode for path in (tmp_path / "ws").iterdir()}
    assert not {name: oct(mode) for name, mode in modes.items() if mode & 0o6000}
    assert result["refused"] == 6  # set-uid, set-gid and both, in two ways
    assert "program" in modes
