import asyncio
import shutil
import sys
from pathlib import Path

import pytest

import agents
from agents.sandbox import JobRunner, NoFenceError, SandboxError, View
from agents.sandbox.doctor import look
from agents.sandbox.fence import choice
from agents.sandbox.fence.choice import candidates, choose_fence
from agents.sandbox.fence.fence import Fence, FenceName
from agents.sandbox.fence.layout import scene_of
from agents.sandbox.folders import require_no_code_of_the_guild
from tests.sandbox.conftest import a_runner

JOBS = "tests.sandbox.jobs"


@pytest.fixture
def nothing_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "_holding", set())
    monkeypatch.setattr(choice, "problem_of", lambda fence: f"no {fence.name} here")


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[Fence]:
    """Every fence that is tried; each holds."""
    fences: list[Fence] = []

    def remember(fence: Fence) -> str:
        fences.append(fence)
        return ""

    monkeypatch.setattr(choice, "_holding", set())
    monkeypatch.setattr(choice, "problem_of", remember)
    return fences


def test_the_machine_s_own_bubblewrap_comes_first(
    tried: list[Fence], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy("/bin/true", tmp_path / "bwrap")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert str(tmp_path) in str(choose_fence())
    assert len(tried) == 1


def test_without_any_bubblewrap_namespaces_are_tried(
    tried: list[Fence], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(choice, "find_spec", lambda name: None)

    assert choose_fence().name == "namespaces"
    with pytest.raises(NoFenceError, match="bubblewrap is not installed"):
        choose_fence("bubblewrap")


@pytest.mark.usefixtures("nothing_holds")
@pytest.mark.parametrize("wanted", ["auto", "namespaces"])
async def test_a_machine_without_a_fence_refuses_and_says_what_to_do(
    wanted: FenceName, tmp_path: Path
) -> None:
    runner = JobRunner(workspace=tmp_path, fence=wanted, preload=())

    with pytest.raises(NoFenceError, match="To have one") as caught:
        await runner.__aenter__()

    assert "no namespaces here" in str(caught.value)
    assert "fence: none" in str(caught.value)


@pytest.mark.usefixtures("nothing_holds")
def test_the_operator_may_opt_out_by_name() -> None:
    assert choose_fence("none").is_none


@pytest.mark.usefixtures("nothing_holds")
def test_the_doctor_says_what_is_missing() -> None:
    state, text = look()

    assert state == "missing"
    assert "no namespaces here" in text
    assert "To have one" in text


def test_the_doctor_says_which_fence_it_is() -> None:
    state, text = look()

    assert state in {"ok", "missing"}
    assert state == "missing" or any(str(fence) in text for fence in candidates())


def test_no_home_is_shown_for_a_python_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to("/usr/bin/env")
    monkeypatch.setattr("sys.executable", str(tmp_path / "bin" / "python"))

    shown = {item.target for item in scene_of(tmp_path / "ws", View()).shown}

    assert str(tmp_path / "bin") in shown
    assert not shown & {str(tmp_path), "/", "/root", "/home", "/etc", "/run", "/var"}


def test_code_in_the_workspace_stays_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".venv").mkdir()
    monkeypatch.setattr("sys.prefix", str(tmp_path / ".venv"))

    shown = [item for item in scene_of(tmp_path, View()).shown if str(tmp_path) in item.target]

    assert [(item.target, item.is_writable) for item in shown] == [
        (str(tmp_path), True),
        (str(tmp_path / ".venv"), False),
    ]


async def test_a_workspace_that_was_made_anew_is_the_new_one(
    any_runner: JobRunner, tmp_path: Path
) -> None:
    workspace = tmp_path / "ws"
    written = workspace / "file"
    await any_runner.run(f"{JOBS}:write", {"paths": [str(written)]})
    shutil.rmtree(workspace)

    await any_runner.run(f"{JOBS}:write", {"paths": [str(written)]})

    assert written.read_text() == "written"


async def test_a_path_with_odd_characters_is_a_workspace(fence: FenceName, tmp_path: Path) -> None:
    workspace = tmp_path / "a b\n'ü\\"
    async with a_runner(workspace, fence) as runner:
        result = await runner.run(f"{JOBS}:echo", {})

    assert result["cwd"] == str(workspace)


async def test_a_workspace_behind_a_link_is_the_same(fence: FenceName, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    async with a_runner(tmp_path / "link", fence) as runner:
        await runner.run(f"{JOBS}:write", {"paths": ["file"]})

    assert (tmp_path / "real" / "file").read_text() == "written"


@pytest.mark.parametrize("workspace", ["/", "/usr", str(Path.home())])
async def test_a_workspace_that_holds_a_home_or_the_system_is_refused(workspace: str) -> None:
    with pytest.raises(SandboxError, match="holds more than work"):
        await a_runner(Path(workspace)).__aenter__()


async def test_a_socket_in_the_workspace_leads_nowhere(
    any_runner: JobRunner, fence: FenceName, tmp_path: Path
) -> None:
    """Whoever may connect to it needs no right to write, so read-only mounts do not help."""
    workspace = tmp_path / "ws"
    workspace.mkdir()
    server = await asyncio.start_unix_server(lambda _, writer: writer.close(), workspace / "socket")
    async with server:
        connected = await any_runner.run(f"{JOBS}:connect", {"path": str(workspace / "socket")})

    assert connected == {"connected": fence == "none"}


def test_a_workspace_from_which_the_guild_imports_is_refused(tmp_path: Path) -> None:
    checkout = Path(agents.__file__).parents[1]

    for holding in (checkout, checkout.parent):
        with pytest.raises(SandboxError, match=r"from which this Python imports: .* such as .*lab"):
            require_no_code_of_the_guild(holding)


def test_a_folder_beside_the_guilds_code_is_a_workspace(tmp_path: Path) -> None:
    require_no_code_of_the_guild(tmp_path)
    require_no_code_of_the_guild(Path(agents.__file__).parents[1] / "lab")


def test_an_environment_in_the_workspace_is_no_way_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / ".venv" / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    monkeypatch.setattr(sys, "path", [*sys.path, str(packages)])

    require_no_code_of_the_guild(tmp_path)

    (tmp_path / "src").mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "src")])
    with pytest.raises(SandboxError, match="src, from which"):
        require_no_code_of_the_guild(tmp_path)
