"""A job directory on a Ray of this machine: each start of it takes ten seconds."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from agents.ml.training import on_ray
from tests.ml.training.test_team import APART, assert_equal, result_of, start

RAY = ("agents.ml.training.on_ray", "--processes")


def _can_be_apart() -> bool:
    try:
        return subprocess.run([*APART, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


with_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None or not _can_be_apart(),
    reason="needs the extra 'ray', and the right to have a network of its own",
)


@pytest.fixture(scope="module")
def torchrun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("torchrun")
    assert start(folder, "Dropping", 2) == 0
    return folder


@with_ray
@pytest.mark.long
def test_two_tasks_of_ray_end_like_two_processes_of_torchrun(
    torchrun: Path, tmp_path: Path
) -> None:
    assert start(tmp_path, "Dropping", 2, launcher=RAY) == 0

    assert_equal(tmp_path, torchrun)


@with_ray
@pytest.mark.long
def test_a_task_that_is_killed_ends_the_others_and_the_same_start_goes_on(
    torchrun: Path, tmp_path: Path
) -> None:
    assert start(tmp_path, "Dropping", 2, launcher=RAY, DIE_AT="30") == 1
    assert not (tmp_path / "job_result.json").exists()

    assert start(tmp_path, "Dropping", 2, launcher=RAY) == 0

    assert result_of(tmp_path)["resumed_from_step"] == 28
    assert_equal(tmp_path, torchrun)


def test_ray_that_is_not_installed_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "job.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "ray", None)

    assert on_ray.main([str(tmp_path)]) == 1
    assert "pip install 'guildbus[ray]'" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--processes", "0"]], ids=["no job", "no process"])
def test_what_cannot_be_started_is_wrong_usage(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        on_ray.main([str(tmp_path), *arguments])

    assert ended.value.code == 2
    assert "usage" in capsys.readouterr().err
