"""Named image datasets: where they are looked for, how they are told apart, how they get there."""

import gzip
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents.ml.data import image_places, load_dataset, places_of
from agents.ml.errors import DatasetError
from tests.ml.data.sites import Site, serving
from tests.ml.data.test_files import write_idx

INSTALLED = Path("/usr/share/datasets/fashion-mnist")


def put(folder: Path, *, shade: int) -> None:
    """Forty images all of one shade to train on, ten to test."""
    folder.mkdir(parents=True, exist_ok=True)
    for stem, count in (("train", 40), ("t10k", 10)):
        pixels = np.full((count, 28, 28), shade, dtype=np.uint8)
        write_idx(folder / f"{stem}-images-idx3-ubyte.gz", pixels)
        write_idx(folder / f"{stem}-labels-idx1-ubyte.gz", np.arange(count) % 10)


def shade_of(name: str, **params: Any) -> int:
    source = load_dataset(name, {"val_fraction": 0.25, **params}).split("train").source
    return int(source.inputs_N[0, 0, 0, 0])  # type: ignore[attr-defined]  # a ResidentSource


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where packages of the system put Fashion-MNIST."""
    folder = tmp_path / "usr" / "fashion-mnist"
    monkeypatch.setitem(image_places._INSTALLED, "fashion_mnist", folder)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.mark.parametrize(
    ("places", "found"),
    [
        (["usr/fashion-mnist"], "usr/fashion-mnist"),
        (["data/fashion-mnist", "usr/fashion-mnist"], "data/fashion-mnist"),
        (["data/FashionMNIST/raw"], "data/FashionMNIST/raw"),  # torchvision's
        (["data", "usr/fashion-mnist"], "usr/fashion-mnist"),  # in data itself may lie MNIST
    ],
)
def test_fashion_mnist_is_found_by_name(
    installed: Path, tmp_path: Path, places: list[str], found: str
) -> None:
    assert installed.is_relative_to(tmp_path)
    for shade, place in enumerate(places, start=1):
        put(tmp_path / place, shade=shade)

    assert shade_of("fashion_mnist") == places.index(found) + 1


def test_a_data_path_that_is_named_is_the_only_one(installed: Path, tmp_path: Path) -> None:
    put(installed, shade=1)
    put(tmp_path / "mine", shade=2)
    (tmp_path / "empty").mkdir()

    assert shade_of("fashion_mnist", data_path="mine") == 2
    with pytest.raises(DatasetError, match=r"apt-get install dataset-fashion-mnist.*'data_path'"):
        load_dataset("fashion_mnist", {"data_path": "empty"})


def test_two_datasets_that_call_their_files_the_same_do_not_mix(
    installed: Path, tmp_path: Path
) -> None:
    assert not installed.exists()
    put(tmp_path / "data", shade=1)
    put(tmp_path / "data/mnist", shade=2)
    (tmp_path / "data/mnist/train-labels-idx1-ubyte.gz").unlink()  # half of it is no dataset

    assert shade_of("mnist") == 1


def test_a_file_is_read_by_what_it_is_and_not_by_its_name(tmp_path: Path) -> None:
    put(tmp_path, shade=3)
    packed, plain = "train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"
    (tmp_path / packed).rename(tmp_path / packed.removesuffix(".gz"))
    (tmp_path / plain).write_bytes(gzip.decompress((tmp_path / plain).read_bytes()))

    dataset = load_dataset("mnist", {"data_path": str(tmp_path), "val_fraction": 0.25})

    assert len(dataset.split("test")) == 10


def test_the_npz_that_is_named_is_the_one_that_is_read(tmp_path: Path) -> None:
    put(tmp_path, shade=1)
    pixels = np.full((40, 28, 28), 2, dtype=np.uint8)
    np.savez(tmp_path / "other.npz", x_train=pixels, y_train=np.arange(40) % 10)

    assert shade_of("mnist", data_path=str(tmp_path / "other.npz")) == 2


def test_all_places_of_a_dataset_are_known_to_whoever_hides_them(
    installed: Path, tmp_path: Path
) -> None:
    put(installed, shade=1)
    put(tmp_path, shade=2)

    assert installed in places_of("fashion_mnist", {})
    assert Path("data") in places_of("mnist", {})
    here = [path.name for path in places_of("mnist", {"data_path": "."}) if path.is_file()]
    assert "t10k-labels-idx1-ubyte.gz" in here


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as opened:
        yield opened


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_what_is_missing_is_downloaded_when_asked_to(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    put(tmp_path / "published", shade=7)
    files = sorted((tmp_path / "published").iterdir())
    remotes = tuple(site.holds(file.name, file.read_bytes()) for file in files)
    monkeypatch.setattr(image_places, "REMOTES", {name: remotes})
    place = str(tmp_path / "data")
    with pytest.raises(DatasetError, match="'download': true"):
        load_dataset(name, {"data_path": place})

    assert shade_of(name, data_path=place, download=True) == 7
    assert shade_of(name, data_path=place) == 7
    assert len(site.asked) == 4


def test_cifar10_is_downloaded_and_unpacked(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for stem in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "../../slip"):
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{stem}.bin")
            rows = np.zeros((20, 3073), dtype=np.uint8)
            rows[:, 0] = np.arange(20) % 10
            info.size = rows.nbytes
            tar.addfile(info, io.BytesIO(rows.tobytes()))
    remote = site.holds("cifar-10-binary.tar.gz", packed.getvalue())
    monkeypatch.setattr(image_places, "REMOTES", {"cifar10": (remote,)})

    place = tmp_path / "in" / "data"
    dataset = load_dataset("cifar10", {"data_path": str(place), "download": True})

    assert dataset.split("train").batch(torch.arange(2))[0].shape == (2, 3, 32, 32)
    assert len(dataset.split("test")) == 20
    assert [path.name for path in place.iterdir()] == ["cifar-10-batches-bin"]
    assert not list(tmp_path.glob("**/slip*"))


@pytest.mark.skipif(not INSTALLED.is_dir(), reason="dataset-fashion-mnist is not installed")
def test_the_package_of_the_system_is_read() -> None:
    dataset = load_dataset("fashion_mnist")

    assert len(dataset.split("train")) == 54_000
    assert len(dataset.split("test")) == 10_000
    assert dataset.class_names[9] == "Ankle boot"
    assert dataset.split("test").batch(torch.arange(1))[1].tolist() == [9]
