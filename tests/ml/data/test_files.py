import gzip
import pickle
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.ml.data import load_dataset
from agents.ml.data.files import read_array_pickle, read_idx, read_npz
from agents.ml.errors import DatasetError


def write_idx(path: Path, array: np.ndarray, *, promised: tuple[int, ...] | None = None) -> None:
    shape = promised or array.shape
    header = bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
    data = header + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 28, 28), dtype=np.uint8)


@pytest.mark.parametrize("name", ["images.idx", "images.gz"])
def test_an_idx_file_is_read_as_written(tmp_path: Path, pixels: np.ndarray, name: str) -> None:
    write_idx(tmp_path / name, pixels)

    assert np.array_equal(read_idx(tmp_path / name).numpy(), pixels)


@pytest.mark.parametrize("promised", [(2**31, 28, 28), (41, 28, 28), (39, 28, 28)])
def test_an_idx_header_that_lies_is_refused_before_memory_is_taken(
    tmp_path: Path, pixels: np.ndarray, promised: tuple[int, ...]
) -> None:
    write_idx(tmp_path / "lying", pixels, promised=promised)

    with pytest.raises(DatasetError, match=r"lying.*promises"):
        read_idx(tmp_path / "lying")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0",
        b"\x89PNG\r\n\x1a\n",
        b"\0\0\x08\x03\0\0",
        b"\0\0\x08\0x",  # no dimensions
        b"\0\0\x08\xff" + bytes(1020),  # 255 of them
        b"\0\0\x08\3" + bytes(12),  # no images
        b"<!doctype html><title>404</title>",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    ],
)
def test_what_is_no_idx_file_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "broken").write_bytes(data)

    with pytest.raises(DatasetError, match="broken"):
        read_idx(tmp_path / "broken")


class Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path(self.target),))  # type: ignore[return-value]  # what an attacker writes

    def __init__(self, target: str) -> None:
        self.target = target


def test_a_pickle_that_would_run_code_is_refused_unexecuted(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    (tmp_path / "evil").write_bytes(pickle.dumps({b"data": Payload(str(mark))}))

    with pytest.raises(DatasetError, match="not allowed"):
        read_array_pickle(tmp_path / "evil")

    assert not mark.exists()


def test_an_npz_with_pickled_objects_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "objects.npz", x=np.array([{"a": 1}], dtype=object))

    with pytest.raises(DatasetError, match=r"objects\.npz"):
        read_npz(tmp_path / "objects.npz")


def test_a_damaged_npz_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "odd.npz", "w") as archive:
        archive.writestr("x.npy", b"no array")

    with pytest.raises(DatasetError, match=r"odd\.npz"):
        read_npz(tmp_path / "odd.npz")


def test_missing_files_are_named_with_the_places_looked_in(tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as error:
        load_dataset("mnist", {"data_path": str(tmp_path)})

    assert str(tmp_path) in str(error.value)
    assert "train-images-idx3-ubyte.gz" in str(error.value)
    assert "mnist.npz" in str(error.value)


def test_mnist_is_read_from_idx_files(tmp_path: Path, pixels: np.ndarray) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    write_idx(raw / "train-images-idx3-ubyte.gz", pixels)
    write_idx(raw / "train-labels-idx1-ubyte", np.arange(40) % 2)
    write_idx(raw / "t10k-images.idx3-ubyte", pixels[:6])
    write_idx(raw / "t10k-labels.idx1-ubyte", np.arange(6))

    dataset = load_dataset("mnist", {"data_path": str(tmp_path)})

    assert len(dataset.split("train")) == 36
    assert len(dataset.split("val")) == 4
    inputs, labels = dataset.split("test").batch(torch.arange(6))
    assert inputs.shape == (6, 1, 28, 28)
    assert labels.tolist() == [0, 1, 2, 3, 4, 5]


def test_the_held_out_files_are_not_opened_before_the_test_split_is_asked_for(
    tmp_path: Path, pixels: np.ndarray
) -> None:
    write_idx(tmp_path / "train-images-idx3-ubyte", pixels)
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.arange(40) % 2)

    dataset = load_dataset("mnist", {"data_path": str(tmp_path)})
    dataset.split("val")

    with pytest.raises(DatasetError, match="t10k-images"):
        dataset.split("test")


def test_a_label_out_of_range_is_found_while_loading(tmp_path: Path, pixels: np.ndarray) -> None:
    write_idx(tmp_path / "train-images-idx3-ubyte", pixels)
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.array([*range(10)] * 3 + [12] * 10))

    with pytest.raises(DatasetError, match=r"label 12 \(10 times\) does not fit num_classes=10"):
        load_dataset("mnist", {"data_path": str(tmp_path)})


def cifar_rows(count: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    return (
        generator.integers(0, 256, (count, 3072), dtype=np.uint8),
        np.arange(count, dtype=np.uint8) % 10,
    )


def test_cifar_reads_the_same_from_binary_and_pickled_batches(tmp_path: Path) -> None:
    binary, pickled = tmp_path / "cifar-10-batches-bin", tmp_path / "cifar-10-batches-py"
    binary.mkdir()
    pickled.mkdir()
    data, labels = cifar_rows(20)
    for stem in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        rows = np.concatenate([labels[:, None], data], axis=1)
        (binary / f"{stem}.bin").write_bytes(rows.tobytes())
        content = {b"data": data, b"labels": labels.tolist()}
        (pickled / stem).write_bytes(pickle.dumps(content, protocol=2))

    first = load_dataset("cifar10", {"data_path": str(binary)})
    second = load_dataset("cifar10", {"data_path": str(pickled)})

    for split in ("train", "val", "test"):
        a = first.split(split).batch(torch.arange(10))
        b = second.split(split).batch(torch.arange(10))
        assert torch.equal(a[0], b[0])
        assert torch.equal(a[1], b[1])
    assert len(first.split("test")) == 20


def test_a_truncated_cifar_batch_is_refused(tmp_path: Path) -> None:
    for stem in (f"data_batch_{i}" for i in range(1, 6)):
        (tmp_path / f"{stem}.bin").write_bytes(b"\0" * 3072)

    with pytest.raises(DatasetError, match="no whole number of CIFAR-10 rows"):
        load_dataset("cifar10", {"data_path": str(tmp_path)})


def test_memory_is_taken_for_what_a_file_holds_and_not_for_what_it_might(
    tmp_path: Path, pixels: np.ndarray
) -> None:
    write_idx(tmp_path / "images", pixels)
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_DATA, (1024**3, 1024**3))
from pathlib import Path
from agents.ml.data.files import read_idx
print(tuple(read_idx(Path({str(tmp_path / "images")!r})).shape))
"""
    command = [sys.executable, "-c", code]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.stdout.strip() == str(pixels.shape), done.stderr


def marked(path: Path, offset: int, value: int) -> None:
    """Set a byte of each entry in a zip file's directory."""
    data = bytearray(path.read_bytes())
    at = data.find(b"PK\1\2")
    while at >= 0:
        data[at + offset] = value
        at = data.find(b"PK\1\2", at + 1)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("offset", "value", "told"), [(8, 1, "encrypted"), (10, 99, "compression method")]
)
def test_an_npz_that_cannot_be_unpacked_is_named(
    tmp_path: Path, offset: int, value: int, told: str
) -> None:
    np.savez(tmp_path / "odd.npz", x=np.arange(3))
    marked(tmp_path / "odd.npz", offset, value)

    with pytest.raises(DatasetError, match=rf"odd\.npz: cannot be read as npz: .*{told}"):
        read_npz(tmp_path / "odd.npz")


def test_an_array_whose_header_promises_more_than_any_memory_is_refused(tmp_path: Path) -> None:
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (99999, 99999, 99999), }"
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + header.ljust(117) + b"\n"
    with zipfile.ZipFile(tmp_path / "lying.npz", "w") as archive:
        archive.writestr("x.npy", data)

    with pytest.raises(DatasetError, match=r"lying\.npz: cannot be read as npz"):
        read_npz(tmp_path / "lying.npz")


def test_an_array_of_another_machine_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "big_endian.npz", x=np.arange(3, dtype=">i4"))

    assert read_npz(tmp_path / "big_endian.npz")["x"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (np.arange(40) % 10 + 0.5, "no whole numbers"),
        (np.full(40, np.nan), "no whole numbers"),
        (np.eye(10)[np.arange(40) % 10], "40 images but 400 labels"),
        (np.array(["cat"] * 40), "cannot be read as npz"),
    ],
)
def test_labels_that_are_no_classes_are_refused(
    tmp_path: Path, pixels: np.ndarray, labels: np.ndarray, told: str
) -> None:
    np.savez(tmp_path / "mnist.npz", x_train=pixels, y_train=labels)

    with pytest.raises(DatasetError, match=told):
        load_dataset("mnist", {"data_path": str(tmp_path / "mnist.npz")})


class Bomb:
    """What a pickle says to have memory taken: a reduction to a huge array."""

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (np.ndarray, ((2**31 - 1, 2**24 - 1), np.dtype(np.int8)))


@pytest.mark.parametrize(
    "data", [pickle.dumps({b"data": Bomb()}), b"\x80\x04\x96" + struct.pack("<Q", 2**40) + b"."]
)
def test_a_pickle_that_asks_for_more_than_any_memory_is_refused(
    tmp_path: Path, data: bytes
) -> None:
    (tmp_path / "bomb").write_bytes(data)

    with pytest.raises(DatasetError, match=r"bomb: cannot be read .*Error"):
        read_array_pickle(tmp_path / "bomb")
