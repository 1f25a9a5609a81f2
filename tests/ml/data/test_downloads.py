"""Downloads: whole, checked, taken up again; or an error, and nothing under the file's name."""

import io
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.ml.data.downloads import Remote, download, unpack
from agents.ml.errors import DatasetError
from tests.ml.data.sites import Site, serving

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as opened:
        yield opened


def test_a_file_is_fetched_once(site: Site, tmp_path: Path) -> None:
    remote = site.holds("images.gz", CONTENT)

    path = download(remote, tmp_path / "mnist")
    download(remote, tmp_path / "mnist")

    assert path.read_bytes() == CONTENT
    assert site.asked == [0]
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_connection_that_breaks_off_is_taken_up_again(
    site: Site, tmp_path: Path, *, knows_ranges: bool
) -> None:
    remote = site.holds("images.gz", CONTENT)
    site.knows_ranges = knows_ranges
    (tmp_path / ".images.gz.part").write_bytes(CONTENT[:4000])  # of a process that was killed

    download(remote, tmp_path)

    assert (tmp_path / "images.gz").read_bytes() == CONTENT
    assert site.asked == [4000]


def test_a_server_that_gives_little_at_a_time_is_asked_for_the_rest(
    site: Site, tmp_path: Path
) -> None:
    remote = site.holds("images.gz", CONTENT)
    site.breaks_after = 4000

    assert download(remote, tmp_path).read_bytes() == CONTENT
    assert site.asked == [0, 4000, 8000]


@pytest.mark.parametrize("content", [b"x" * len(CONTENT), CONTENT + b"more"])
def test_another_checksum_is_refused_and_nothing_kept(
    site: Site, tmp_path: Path, content: bytes
) -> None:
    remote = site.holds("images.gz", CONTENT)
    site.holds("images.gz", content)

    with pytest.raises(DatasetError, match=r"not the file that was asked for.*SHA-256"):
        download(remote, tmp_path)

    assert not (tmp_path / "images.gz").exists()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 0


def test_what_an_earlier_try_left_does_not_spoil_the_next(site: Site, tmp_path: Path) -> None:
    remote = site.holds("images.gz", CONTENT)
    (tmp_path / ".images.gz.part").write_bytes(b"another file's beginning")
    with pytest.raises(DatasetError, match="nothing of it was kept"):
        download(remote, tmp_path)

    assert download(remote, tmp_path).read_bytes() == CONTENT


def test_what_cannot_be_reached_says_what_to_do(site: Site, tmp_path: Path) -> None:
    gone = Remote(f"{site.address}/gone", 10, "0" * 64)
    closed = Remote("http://127.0.0.1:9/closed", 10, "0" * 64)

    with pytest.raises(DatasetError, match=r"404.*network: true"):
        download(gone, tmp_path)
    with pytest.raises(DatasetError, match=r"(?i)refused.*network: true"):
        download(closed, tmp_path)


def test_a_folder_that_cannot_be_written_is_named(site: Site, tmp_path: Path) -> None:
    remote = site.holds("images.gz", CONTENT)
    (tmp_path / "file").write_text("no folder")

    with pytest.raises(DatasetError, match=r"file/images\.gz: cannot be written"):
        download(remote, tmp_path / "file")


def test_several_at_once_get_the_same_file(site: Site, tmp_path: Path) -> None:
    remote = site.holds("images.gz", CONTENT)
    threads = [threading.Thread(target=download, args=(remote, tmp_path)) for _ in range(4)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (tmp_path / "images.gz").read_bytes() == CONTENT
    assert site.asked == [0]
    assert [path.name for path in tmp_path.iterdir()] == ["images.gz"]


def tar_of(path: Path, **members: bytes) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(f"inner/{name}.bin")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_only_the_members_that_are_named_are_unpacked(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a.tar.gz", wanted=b"1", other=b"2")

    unpack(archive, ["inner/wanted.bin"], tmp_path / "out")

    assert [path.name for path in (tmp_path / "out").iterdir()] == ["wanted.bin"]


@pytest.mark.parametrize("damage", ["cut", "lacks"])
def test_an_archive_that_is_damaged_is_named(tmp_path: Path, damage: str) -> None:
    archive = tar_of(tmp_path / "a.tar.gz", other=bytes(100_000))
    if damage == "cut":
        archive.write_bytes(archive.read_bytes()[:60])

    with pytest.raises(DatasetError, match=r"a\.tar\.gz: cannot be unpacked"):
        unpack(archive, ["inner/wanted.bin"], tmp_path)
