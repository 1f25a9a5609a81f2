import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.ml.atomic_files import atomic_file, write_text_atomically


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def test_a_write_that_fails_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail() -> None:
        with atomic_file(path) as file:
            file.write(b"half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_seen_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"

    with atomic_file(path) as file:
        file.write(b"half")
        assert not path.exists()
        file.write(b" and half")

    assert path.read_bytes() == b"half and half"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_may_not_go_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    with pytest.raises(FileExistsError), atomic_file(path, is_replacing=False) as file:
        file.write(b"new")

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_made_where_there_is_none_to_go(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "file", is_replacing=False) as file:
        file.write(b"new")

    assert (tmp_path / "file").read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


@pytest.mark.parametrize(("is_private", "mode"), [(True, 0o600), (False, 0o640)])
def test_others_read_only_what_is_not_private(
    tmp_path: Path, umask: None, is_private: bool, mode: int
) -> None:
    write_text_atomically(tmp_path / "file", "text", is_private=is_private)

    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode


def test_text_is_kept_as_it_is(tmp_path: Path) -> None:
    text = "a line\r\nand ü\n"

    write_text_atomically(tmp_path / "file", text)

    assert (tmp_path / "file").read_bytes().decode() == text
