from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn import datasets as oracle

from agents.ml.data import DATASETS, digest_of_files, load_dataset
from agents.ml.data.batches import Batches
from agents.ml.data.bundled import small_numbers
from agents.ml.data.dataset import ResidentSource
from agents.ml.errors import ConfigError, DatasetError
from tests.real_data import needs_real_data, real_file


def test_digits_are_the_ones_of_scikit_learn() -> None:
    expected = oracle.load_digits()

    source = load_dataset("digits").split("train").source

    assert isinstance(source, ResidentSource)
    pixels = source.inputs_N.reshape(1797, 64)
    original = torch.tensor(expected.data, dtype=torch.float32)
    assert torch.equal(source.targets_N, torch.tensor(expected.target))
    correlation = torch.corrcoef(torch.stack([pixels.flatten(), original.flatten()]))[0, 1]
    assert correlation == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [(b"0,5,13\n99,0\n", [0, 5, 13, 99, 0]), (b"7", [7]), (b"", []), (b"1 20", [1, 20])],
)
def test_small_whole_numbers_are_read(text: bytes, numbers: list[int]) -> None:
    assert small_numbers(text).tolist() == numbers


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "diabetes"])
def test_bundled_tables_have_the_targets_of_scikit_learn(name: str) -> None:
    expected = getattr(oracle, f"load_{name}")()

    source = load_dataset(name).split("train").source

    assert isinstance(source, ResidentSource)
    assert source.targets_N.flatten().tolist() == pytest.approx(expected.target.tolist())
    assert source.inputs_N.shape == expected.data.shape


@pytest.mark.parametrize("name", ["digits", "iris", "diabetes"])
def test_splits_are_disjoint_complete_and_the_same_every_time(name: str) -> None:
    once, again = load_dataset(name), load_dataset(name)

    seen: set[int] = set()
    for split in ("train", "val", "test"):
        indices = once.split(split).indices_N.tolist()
        assert indices == again.split(split).indices_N.tolist()
        assert seen.isdisjoint(indices)
        seen.update(indices)
    assert len(seen) == len(once.split("train").source)


def test_every_class_has_its_share_in_every_split() -> None:
    dataset = load_dataset("digits")

    for name in ("train", "val", "test"):
        split = dataset.split(name)
        _, labels = split.batch(torch.arange(len(split)))
        counts = labels.bincount(minlength=10)
        assert counts.min() > 0.8 * counts.float().mean()


def test_a_table_is_standardised_by_its_training_split() -> None:
    split = load_dataset("wine").split("train")

    inputs, _ = split.batch(torch.arange(len(split)))

    assert inputs.mean(dim=0).abs().max() < 1e-5
    assert (inputs.std(dim=0) - 1).abs().max() < 1e-5


@needs_real_data
def test_mnist_npz_is_read_whole() -> None:
    dataset = load_dataset("mnist", {"data_path": str(real_file("mnist.npz"))})

    inputs, labels = dataset.split("train").batch(torch.arange(0, 54_000, 200))

    assert len(dataset.split("train")) + len(dataset.split("val")) == 60_000
    assert len(dataset.split("test")) == 10_000
    assert inputs.shape == (270, 1, 28, 28)
    assert set(labels.tolist()) == set(range(10))


def test_a_csv_may_name_its_classes(tmp_path: Path) -> None:
    rows = "\n".join(f"{i},{-i},{'yes' if i % 2 else 'no'}" for i in range(40))
    (tmp_path / "t.csv").write_text(f"a,b,label\n{rows}\n")

    dataset = load_dataset("csv", {"data_path": str(tmp_path / "t.csv"), "label_column": "label"})

    assert dataset.class_names == ("no", "yes")
    assert dataset.input_shape == (2,)


def test_a_cell_that_is_no_number_is_named_with_line_and_column(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,label\n1,0\n,1\n")

    with pytest.raises(DatasetError, match=r"t.csv:3: column 'a' is empty"):
        load_dataset("csv", {"data_path": str(tmp_path / "t.csv"), "label_column": "label"})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no rows"),
        (b"a,a\n1,2\n", "same name"),
        (b"a,b\n1\n", "1 cells"),
        (b"\xff\xfe\0", "CSV"),
    ],
)
def test_a_broken_csv_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)

    with pytest.raises(DatasetError, match=message):
        load_dataset("csv", {"data_path": str(tmp_path / "t.csv"), "label_column": "a"})


def test_an_image_folder_gives_a_class_per_folder(tmp_path: Path) -> None:
    for part, count in (("train", 10), ("test", 3)):
        for shade, name in ((0, "black"), (255, "white")):
            folder = tmp_path / part / name / "images"
            folder.mkdir(parents=True)
            for i in range(count):
                Image.fromarray(np.full((9, 7, 3), shade, np.uint8)).save(folder / f"{i}.png")

    params = {"data_path": str(tmp_path), "image_size": 8}
    dataset = load_dataset("imagenet_subset", params, num_classes=2)

    inputs, labels = dataset.split("test").batch(torch.arange(6))
    assert dataset.class_names == ("black", "white")
    assert inputs.shape == (6, 3, 8, 8)
    assert torch.equal(inputs.mean(dim=(1, 2, 3)), labels * 2.0 - 1)
    assert len(dataset.split("val")) == 4


def test_an_image_that_is_none_is_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(8):
            (tmp_path / name / f"{i}.png").write_bytes(b"no image")

    with pytest.raises(DatasetError, match=r"0\.png: cannot be decoded"):
        load_dataset("image_folder", {"data_path": str(tmp_path)}).split("train")


BUILD = """
import torch
class Squares(torch.utils.data.Dataset):
    def __init__(self, n): self.n = n
    def __len__(self): return self.n
    def __getitem__(self, i): return torch.full((3,), float(i)), i % {classes}
def build(split, sizes): return Squares(sizes[split])
"""


def test_a_custom_script_builds_its_own_splits(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(BUILD.format(classes=2))
    params = {
        "script_path": str(tmp_path / "mine.py"),
        "params": {"sizes": {"train": 8, "val": 4, "test": 2}},
    }

    dataset = load_dataset("custom_dataset_script", params, num_classes=2)

    inputs, labels = dataset.split("val").batch(torch.tensor([0, 3]))
    assert dataset.input_shape == (3,)
    assert inputs.tolist() == [[0.0] * 3, [3.0] * 3]
    assert labels.tolist() == [0, 1]
    assert len(dataset.split("test")) == 2


def test_a_custom_script_with_labels_out_of_range_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(BUILD.format(classes=5))
    params = {"script_path": str(tmp_path / "mine.py"), "params": {"sizes": {"train": 8}}}
    dataset = load_dataset("custom_dataset_script", params, num_classes=2)

    with pytest.raises(DatasetError, match="does not fit num_classes=2"):
        dataset.split("train").batch(torch.arange(8))


@pytest.mark.parametrize(
    ("script", "message"),
    [("x = 1", "no function build"), ("1/0", "ZeroDivisionError"), ("build = list", "not accept")],
)
def test_a_custom_script_that_fails_says_how(tmp_path: Path, script: str, message: str) -> None:
    (tmp_path / "mine.py").write_text(script)
    params = {"script_path": str(tmp_path / "mine.py"), "params": {"surprise": 1}}

    with pytest.raises(DatasetError, match=message):
        load_dataset("custom_dataset_script", params, num_classes=2)


def test_a_digest_tells_the_users_files_apart(tmp_path: Path) -> None:
    for name in ("t.csv", "make.py", "img/a/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    labelled = {"data_path": str(tmp_path / "t.csv"), "label_column": "y"}
    asked: list[tuple[str, dict[str, Any], str]] = [
        ("csv", labelled, "t.csv"),
        ("custom_dataset_script", {"script_path": str(tmp_path / "make.py")}, "make.py"),
        ("image_folder", {"data_path": str(tmp_path / "img")}, "img/a/2.png"),
    ]
    for name, params, changed in asked:
        before = digest_of_files(name, params)
        assert digest_of_files(name, params) == before != ""
        (tmp_path / changed).write_text("other")
        assert digest_of_files(name, params) != before
    images = {"data_path": str(tmp_path / "img")}
    before = digest_of_files("image_folder", images)
    for name in (".DS_Store", "a/._1.png", "a/Thumbs.db"):
        (tmp_path / "img" / name).write_text("left behind")
    assert digest_of_files("image_folder", images) == before
    (tmp_path / "img" / "val_annotations.txt").write_text("1.png\ta\n")
    assert digest_of_files("image_folder", images) != before
    assert digest_of_files("digits", {}) == ""
    assert digest_of_files("csv", labelled | {"data_path": str(tmp_path / "none")})  # told later


def test_an_unknown_dataset_suggests_the_nearest() -> None:
    with pytest.raises(
        ConfigError, match=r"dataset: unknown dataset 'MNSIT'; did you mean 'mnist'"
    ):
        load_dataset("MNSIT")


def test_an_unknown_key_of_a_dataset_is_named() -> None:
    with pytest.raises(ConfigError, match=r"dataset_params.val_frac.*did you mean 'val_fraction'"):
        load_dataset("digits", {"val_frac": 0.1})


def test_fewer_classes_than_the_data_has_are_refused() -> None:
    with pytest.raises(DatasetError, match="10 classes but num_classes is 5"):
        load_dataset("digits", num_classes=5)


def test_the_dummy_shape_must_begin_with_the_batch_dimension() -> None:
    with pytest.raises(ConfigError, match=r"input_shape.*\[3, 8, 8\]"):
        load_dataset("dummy", {"input_shape": [3, 8, 8]}, num_classes=2)

    dataset = load_dataset("dummy", {"input_shape": [1, 3, 8, 8]}, num_classes=2)
    assert dataset.input_shape == (3, 8, 8)


def test_every_dataset_of_the_document_is_there() -> None:
    asked = {"mnist", "cifar10", "dummy", "imagenet", "imagenet_subset", "custom_dataset_script"}
    assert asked <= set(DATASETS)


def test_batches_are_a_function_of_seed_and_step() -> None:
    batches = Batches(10, 4, seed=3)

    assert batches.steps_per_epoch == 3
    first_epoch = torch.cat([batches.at(step) for step in range(3)])
    second_epoch = torch.cat([batches.at(step) for step in range(3, 6)])
    assert sorted(first_epoch.tolist()) == list(range(10))
    assert first_epoch.tolist() != second_epoch.tolist()
    assert torch.equal(Batches(10, 4, seed=3).at(4), second_epoch[4:8])
    assert not torch.equal(Batches(10, 4, seed=4).at(0), first_epoch[:4])


def test_a_last_batch_of_one_sample_is_left_out() -> None:
    assert Batches(9, 4, seed=0).steps_per_epoch == 2
    assert Batches(1, 4, seed=0).steps_per_epoch == 1


@pytest.mark.parametrize(
    ("length", "item", "told"),
    [
        ("10**15", "[0.0], 0", "its length is no number of samples"),
        ("-1", "[0.0], 0", "its length is no number of samples"),
        ("'four'", "[0.0], 0", "its length is no number of samples"),
        ("4", "{}['gone']", "sample 0 is not a pair .*KeyError"),
        ("4", "1 / 0", "sample 0 is not a pair .*ZeroDivisionError"),
    ],
)
def test_whatever_a_custom_dataset_raises_is_an_error_of_the_dataset(
    tmp_path: Path, length: str, item: str, told: str
) -> None:
    script = tmp_path / "data.py"
    script.write_text(
        f"class Data:\n"
        f"    def __len__(self): return {length}\n"
        f"    def __getitem__(self, index): return {item}\n"
        f"def build(split): return Data()\n"
    )

    with pytest.raises(DatasetError, match=told):
        load_dataset("custom_dataset_script", {"script_path": str(script)}, num_classes=2)
