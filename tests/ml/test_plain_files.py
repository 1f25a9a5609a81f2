"""Files that anybody may have put there are opened without waiting, and only if they are files."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.ml.checkpoints import load_checkpoint
from agents.ml.errors import MLError
from agents.ml.optimizers.building import OptimizerConfig
from agents.ml.optimizers.registry import MANIFEST_FILE as OPTIMIZERS
from agents.ml.optimizers.registry import OptimizerRegistry
from agents.ml.plain_files import locked, open_own, open_plain, read_plain
from agents.ml.tokenizer.registry import MANIFEST_FILE as TOKENIZERS
from agents.ml.tokenizer.registry import TokenizerRegistry
from agents.ml.training.configs import TrainerConfig
from agents.ml.training.experiment import read_json
from agents.ml.training.full import identity_of
from agents.ml.training.locks import hold

pytestmark = pytest.mark.timeout(20)  # a FIFO that is waited for has no writer, ever


def test_a_file_is_read_and_so_is_a_link_where_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"seen")
    (tmp_path / "link").symlink_to("file")

    assert read_plain(tmp_path / "file") == read_plain(tmp_path / "link") == b"seen"
    with pytest.raises(OSError, match="symbolic links"):
        open_plain(tmp_path / "link", follow=False)


@pytest.mark.parametrize("place", ["fifo", "folder", "/dev/zero"])
def test_what_is_no_file_is_refused(tmp_path: Path, place: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()

    with pytest.raises(OSError, match="no regular file"):
        open_plain(tmp_path / place)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("model.py", lambda path: identity_of(str(path), "M", TrainerConfig(dataset="digits"))),
        ("config.json", read_json),
        ("step_000000001.pt", load_checkpoint),
        (OPTIMIZERS, lambda path: OptimizerRegistry(path.parent).resolve("mine")),
        (TOKENIZERS, lambda path: TokenizerRegistry(path.parent).info("mine")),
    ],
    ids=["script", "config", "checkpoint", "optimizers", "tokenizers"],
)
def test_a_fifo_in_the_place_of_a_file_keeps_nobody_waiting(
    tmp_path: Path, name: str, read: Callable[[Path], object]
) -> None:
    os.mkfifo(tmp_path / name)

    with pytest.raises(MLError, match="no regular file"):
        read(tmp_path / name)


def test_a_file_of_our_own_is_made_and_afterwards_left_as_it_is(tmp_path: Path) -> None:
    for expected in (b"", b"kept"):
        with open_own(tmp_path / "file") as file:
            file.seek(0)
            assert file.read() == expected
        (tmp_path / "file").write_bytes(b"kept")


def link(path: Path) -> None:
    path.symlink_to("target")


def dangling(path: Path) -> None:
    path.symlink_to("new")


@pytest.mark.parametrize("plant", [link, dangling, os.mkfifo, Path.mkdir])
@pytest.mark.parametrize("name", ["lock", "tokenizers", "optimizers", "experiment"])
def test_what_is_planted_for_a_lock_is_refused_and_what_a_link_leads_to_is_as_it_was(
    tmp_path: Path, name: str, plant: Callable[[Path], None]
) -> None:
    (tmp_path / "target").write_text("kept")
    lock = {"tokenizers": f".{TOKENIZERS}.lock", "optimizers": f".{OPTIMIZERS}.lock"}.get(name)
    plant(tmp_path / (lock or ".lock"))

    with pytest.raises((MLError, OSError), match=r"(?i)link|no regular file|directory"):
        take(name, tmp_path)

    assert (tmp_path / "target").read_text() == "kept"
    assert not (tmp_path / "new").exists()


def take(name: str, folder: Path) -> None:
    match name:
        case "lock":
            with locked(folder / ".lock"):
                pass
        case "tokenizers":
            TokenizerRegistry(folder)._register("mine", folder)
        case "optimizers":
            OptimizerRegistry(folder).add("mine", OptimizerConfig(type="SGD", params={"lr": 0.1}))
        case "experiment":
            hold(folder / ".lock", folder)
