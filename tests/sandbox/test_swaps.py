"""A folder that is to be shown, and a link in its place a moment after it was looked at.

Other jobs may change the workspace at any time: while a job waits, while its fence is put up, and
while its room is built in a fence that is up. The control shows that it leads out where nobody
looks again.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.sandbox import JobRunner, NotShownError, SandboxError, View, runner
from agents.sandbox.server import JobServer
from agents.sandbox.sight import Sight, sight_of
from tests.sandbox.conftest import Events, a_runner

JOBS = "tests.sandbox.jobs"
FENCES = pytest.mark.parametrize("fence", ["bubblewrap", "namespaces"], indirect=True)
pytestmark = FENCES


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """With a folder to be shown, and a secret in it that no job sees; there is one outside, too."""
    for folder in (tmp_path / "outside", tmp_path / "ws" / "state"):
        folder.mkdir(parents=True)
        (folder / "model.py").write_text("secret")
    (tmp_path / "ws" / "code").mkdir()
    (tmp_path / "ws" / "code" / "model.py").write_text("pass")
    return tmp_path / "ws"


@pytest.fixture
def room(workspace: Path) -> View:
    """What a trial sees: of the workspace its code alone."""
    return View(hidden=(str(workspace),), read_only=(str(workspace / "code"),))


@pytest.fixture(params=["outside", "state"])
def swap(request: pytest.FixtureRequest, workspace: Path) -> Callable[[], None]:
    """Put a link in the place of the folder: out of the workspace, or to what is hidden in it."""
    target = workspace.parent / "outside" if request.param == "outside" else workspace / "state"

    def swapped() -> None:
        if not (workspace / "code").is_symlink():
            (workspace / "code").rename(workspace / "moved")
            (workspace / "code").symlink_to(target)

    return swapped


@pytest.fixture
def unverified(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: rooms are taken as they are."""

    @contextmanager
    def taken_as_it_is(workspace: Path, view: View) -> Iterator[Sight]:
        with sight_of(workspace, View()) as sight:
            yield replace(sight, view=view)

    monkeypatch.setattr(runner, "sight_of", taken_as_it_is)


Before = Callable[[str, Callable[[], None]], None]


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> Before:
    """Have something happen before each call of a method of servers."""

    def acting(what: str, act: Callable[[], None]) -> None:
        original = getattr(JobServer, what)

        def first(*given: Any, **options: Any) -> Any:
            act()
            return original(*given, **options)

        monkeypatch.setattr(JobServer, what, first)

    return acting


async def seen(runner: JobRunner, room: View, path: Path) -> str:
    result = await runner.run(f"{JOBS}:look", {"paths": [str(path)]}, view=room)
    return str(result["seen"][str(path)])


async def test_a_link_in_its_place_from_the_beginning_is_refused(
    any_runner: JobRunner, room: View, workspace: Path, swap: Callable[[], None]
) -> None:
    assert await seen(any_runner, room, workspace / "code" / "model.py") == "pass"
    swap()

    with pytest.raises(NotShownError, match=r"code.*(out of the workspace|is or follows a link)"):
        await seen(any_runner, room, workspace / "code" / "model.py")


async def test_so_is_a_link_above_it(any_runner: JobRunner, workspace: Path) -> None:
    (workspace / "up").symlink_to(".")
    shown = View(read_only=(str(workspace / "up" / "code"),))

    with pytest.raises(NotShownError, match="follows a link"):
        await seen(any_runner, shown, workspace / "code" / "model.py")


@pytest.mark.parametrize("moment", ["start", "fork"])
async def test_a_link_that_takes_its_place_afterwards_is_not_shown(
    any_runner: JobRunner, room: View, swap: Callable[[], None], moment: str, before: Before
) -> None:
    path = Path(room.read_only[0], "model.py")
    if moment == "fork":
        assert await seen(any_runner, room, path) == "pass"
    before(moment, swap)

    with pytest.raises(SandboxError):
        await seen(any_runner, room, path)


@pytest.mark.usefixtures("unverified")
@pytest.mark.parametrize("swap", ["state"], indirect=True)
async def test_without_a_second_look_it_would_be(
    any_runner: JobRunner, room: View, swap: Callable[[], None], before: Before
) -> None:
    """The control, of the longest moment: a fence stays up for as long as a study takes."""
    path = Path(room.read_only[0], "model.py")
    assert await seen(any_runner, room, path) == "pass"
    before("fork", swap)

    assert await seen(any_runner, room, path) == "secret"


async def test_a_job_that_swaps_it_for_ever_shows_another_nothing(
    fence: Any, room: View, workspace: Path, events: Events
) -> None:
    async with a_runner(workspace, fence, grace_s=0.1) as runner:
        path, target = str(workspace / "code"), str(workspace / "state")
        job = runner.run(f"{JOBS}:swap", {"path": path, "target": target}, on_event=events)
        swapping = asyncio.create_task(job)
        await events.first()

        found = await asyncio.gather(
            *(seen(runner, room, workspace / "code" / "model.py") for _ in range(12)),
            return_exceptions=True,
        )
        swapping.cancel()
        await asyncio.gather(swapping, return_exceptions=True)

    assert "secret" not in found
    assert all(isinstance(each, (str, SandboxError)) for each in found)


async def test_a_folder_to_write_to_is_not_made_through_a_link(
    any_runner: JobRunner, workspace: Path
) -> None:
    (workspace / "kept").symlink_to("../outside")
    view = View(hidden=(str(workspace),), writable=(str(workspace / "kept" / "new"),))

    with pytest.raises(NotShownError, match="leads out"):
        await seen(any_runner, view, workspace)

    assert [path.name for path in (workspace.parent / "outside").iterdir()] == ["model.py"]
