"""Folders of images as people have them, and images as they are stored."""

import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from agents.ml.data import Dataset, load_dataset
from agents.ml.data.decoding import decode_image
from agents.ml.errors import DatasetError
from tests.research.small_data import CLASSES, put_tiny_imagenet

SIDE = 8


def save(path: Path, grey: int = 128) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (SIDE, SIDE), (grey, grey, grey)).save(path)


def fill(root: Path, *classes: str, count: int = 10) -> None:
    for number, name in enumerate(classes):
        for i in range(count):
            save(root / name / f"{i}.png", 10 * number + i)


def load(root: Path) -> Dataset:
    return load_dataset("image_folder", {"data_path": str(root), "image_size": SIDE})


def sizes(dataset: Dataset) -> dict[str, int]:
    return {name: len(dataset.split(name)) for name in ("train", "val", "test")}


def test_what_notebooks_and_systems_leave_is_no_class_and_no_image(tmp_path: Path) -> None:
    fill(tmp_path, "cat", "dog")
    save(tmp_path / ".ipynb_checkpoints" / "cat-checkpoint.png")
    save(tmp_path / "cat" / ".ipynb_checkpoints" / "0-checkpoint.png")
    (tmp_path / "__MACOSX" / "cat").mkdir(parents=True)
    (tmp_path / "__MACOSX" / "cat" / "._0.png").write_bytes(b"\0\5\26\7")
    (tmp_path / "cat" / "._0.png").write_bytes(b"\0\5\26\7")

    dataset = load(tmp_path)

    assert dataset.class_names == ("cat", "dog")
    assert sum(sizes(dataset).values()) == 20


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [("train", "val", "test"), ("Train", "Valid", "Test"), ("TRAINING", "validation", "testing")],
)
def test_splits_are_known_by_their_usual_names(
    tmp_path: Path, train: str, val: str, test: str
) -> None:
    for part, count in ((train, 10), (val, 4), (test, 3)):
        fill(tmp_path / part, "cat", "dog", count=count)

    dataset = load(tmp_path)

    assert dataset.class_names == ("cat", "dog")
    assert sizes(dataset) == {"train": 20, "val": 8, "test": 6}


def test_two_folders_for_one_split_are_refused(tmp_path: Path) -> None:
    fill(tmp_path / "train", "cat", "dog")
    fill(tmp_path / "Training", "cat", "dog")

    with pytest.raises(DatasetError, match="both 'Training' and 'train' are the train split"):
        load(tmp_path)


def test_a_class_may_be_called_test_where_nothing_is_to_be_trained_on(tmp_path: Path) -> None:
    fill(tmp_path, "test", "dog")

    assert load(tmp_path).class_names == ("dog", "test")


def test_a_class_without_images_is_named(tmp_path: Path) -> None:
    fill(tmp_path, "cat", "dog")
    (tmp_path / "emu").mkdir()
    (tmp_path / "emu" / "notes.txt").write_text("later")

    with pytest.raises(DatasetError, match=r"emu: holds no images \(\.bmp, .*\.png"):
        load(tmp_path)


def test_a_class_that_is_not_trained_on_is_named_and_one_may_be_left_out(tmp_path: Path) -> None:
    fill(tmp_path / "train", "cat", "dog", "emu")
    fill(tmp_path / "val", "dog", "emu", count=3)
    dataset = load(tmp_path)

    assert dataset.split("val").batch(torch.arange(6))[1].tolist() == [1, 1, 1, 2, 2, 2]

    fill(tmp_path / "val", "Cat", count=3)
    with pytest.raises(DatasetError, match=r"Cat: is no class to train on; did you mean 'cat'"):
        dataset.split("val")


def test_accents_that_are_taken_apart_make_no_other_class(tmp_path: Path) -> None:
    fill(tmp_path / "train", "caf\u00e9", "dog")
    fill(tmp_path / "val", "cafe\u0301", "dog", count=3)

    dataset = load(tmp_path)

    assert dataset.class_names == ("caf\u00e9", "dog")
    assert dataset.split("val").batch(torch.arange(6))[1].tolist() == [0, 0, 0, 1, 1, 1]

    fill(tmp_path / "train", "cafe\u0301")
    with pytest.raises(DatasetError, match="two folders are called 'caf\u00e9'"):
        load(tmp_path)


RAMP = np.arange(SIDE * SIDE, dtype=np.float64).reshape(SIDE, SIDE) / (SIDE * SIDE - 1)
STORED: dict[str, Callable[[Path], None]] = {
    "8 bits": lambda path: Image.fromarray((RAMP * 255).round().astype(np.uint8)).save(path),
    "16 bits": lambda path: Image.fromarray((RAMP * 65535).round().astype(np.uint16)).save(path),
    "32 bits": lambda path: Image.fromarray((RAMP * 2e9).round().astype(np.int32)).save(path),
    "floats": lambda path: Image.fromarray((RAMP * 7 - 3).astype(np.float32)).save(path),
}


@pytest.mark.parametrize("kind", STORED)
def test_values_of_any_depth_keep_their_order_and_range(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "image.tiff"
    STORED[kind](path)

    pixels = decode_image(path, SIDE, 1)[..., 0]

    assert np.abs(pixels - RAMP * 255).max() <= 1


def test_one_bit_becomes_black_and_white(tmp_path: Path) -> None:
    Image.fromarray(RAMP > 0.5).convert("1").save(tmp_path / "image.png")

    assert set(np.unique(decode_image(tmp_path / "image.png", SIDE, 1))) == {0, 255}


def test_a_photo_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    upright = Image.fromarray((RAMP * 255).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    upright.rotate(90).save(tmp_path / "turned.png", exif=exif)
    upright.save(tmp_path / "plain.png")

    turned, plain = (
        decode_image(tmp_path / f"{name}.png", SIDE, 1) for name in ("turned", "plain")
    )

    assert np.array_equal(turned, plain)


ORIENTATIONS = {  # what was done to the picture, by the number that tells of it
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("ending", ["png", "webp", "tiff"])
@pytest.mark.parametrize("number", ORIENTATIONS)
def test_every_orientation_is_undone(tmp_path: Path, number: int, ending: str) -> None:
    upright = Image.fromarray((RAMP * 255).astype(np.uint8))
    change = ORIENTATIONS[number]
    stored = upright if change is None else upright.transpose(change)
    exif = Image.Exif()
    exif[0x0112] = number
    stored.save(tmp_path / f"image.{ending}", exif=exif, lossless=True)

    pixels = decode_image(tmp_path / f"image.{ending}", SIDE, 1)[..., 0]

    assert np.array_equal(pixels, np.asarray(upright))


# Upright, and a resolution of -1/0, which pillow reads and cannot write again.
_ODD_RESOLUTION = b"Exif\0\0MM\0*" + struct.pack(
    ">IH HHIHH HHII I ii", 8, 2, 0x0112, 3, 1, 6, 0, 0x011A, 10, 1, 38, 0, -1, 0
)


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0no TIFF at all",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01\x03\0",
        _ODD_RESOLUTION,
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_exif_is_no_reason_to_refuse_a_photo(tmp_path: Path, exif: bytes) -> None:
    Image.fromarray((RAMP * 255).astype(np.uint8)).save(tmp_path / "photo.jpg", exif=exif)

    assert decode_image(tmp_path / "photo.jpg", SIDE, 3).std() > 50


def test_what_is_transparent_is_black(tmp_path: Path) -> None:
    image = Image.new("RGBA", (SIDE, SIDE), (255, 255, 255, 0))
    image.save(tmp_path / "clear.png")
    palette = ImageOps.grayscale(Image.new("RGB", (SIDE, SIDE), (255, 255, 255))).convert("P")
    palette.save(tmp_path / "palette.png", transparency=palette.getpixel((0, 0)))

    assert decode_image(tmp_path / "clear.png", SIDE, 3).max() == 0
    assert decode_image(tmp_path / "palette.png", SIDE, 3).max() == 0


@pytest.mark.parametrize("kind", ["cut short", "a bomb", "nan", "empty", "text"])
def test_what_cannot_be_decoded_is_named(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "image.tiff"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    if kind == "a bomb":
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    elif kind == "nan":
        Image.fromarray(np.full((SIDE, SIDE), np.nan, dtype=np.float32)).save(path)
    else:
        content = {"cut short": path.read_bytes()[:600], "empty": b"", "text": b"no image"}
        path.write_bytes(content[kind])

    with pytest.raises(DatasetError, match=r"image\.tiff: cannot be decoded as an image"):
        decode_image(path, SIDE, 3)


def test_pixels_lie_between_minus_one_and_one(tmp_path: Path) -> None:
    fill(tmp_path, "cat", "dog")

    inputs, labels = load(tmp_path).split("train").batch(torch.arange(4))

    assert inputs.shape == (4, 3, SIDE, SIDE)
    assert float(inputs.min()) >= -1
    assert labels.dtype == torch.int64


def test_a_split_may_list_its_images_as_tiny_imagenet_does(tmp_path: Path) -> None:
    put_tiny_imagenet(tmp_path)

    dataset = load_dataset("imagenet_subset", {"data_path": str(tmp_path), "image_size": 8})

    labels = dataset.split("val").batch(torch.arange(CLASSES))[1]
    assert labels.tolist() == list(range(CLASSES))
    with pytest.raises(DatasetError, match=r"test split tells no classes.*test_annotations\.txt"):
        dataset.split("test")


@pytest.mark.parametrize("line", ["val_0.JPEG", "val_0.JPEG\tn9\t0", "../../x.JPEG\tn00000000\t0"])
def test_a_line_of_such_a_list_that_tells_no_class_is_named(tmp_path: Path, line: str) -> None:
    put_tiny_imagenet(tmp_path)
    annotations = tmp_path / "val" / "val_annotations.txt"
    annotations.write_text(f"val_1.JPEG\tn00000001\t0\n{line}\n")
    dataset = load_dataset("imagenet_subset", {"data_path": str(tmp_path), "image_size": 8})

    with pytest.raises(DatasetError, match=r"val_annotations\.txt:2: .*is no image and one of"):
        dataset.split("val")


def test_a_file_that_has_a_program_run_to_decode_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/executed\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    picture = tmp_path / "picture.png"
    picture.write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"
    )

    with pytest.raises(DatasetError, match="cannot identify"):
        decode_image(picture, SIDE, 3)

    assert not (tmp_path / "executed").exists()


def test_what_only_looks_like_an_image_by_its_name_is_named(tmp_path: Path) -> None:
    fill(tmp_path, "cat", "dog")
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    with pytest.raises(DatasetError, match=r"pipe\.png: is no regular file"):
        load(tmp_path)
    (tmp_path / "cat" / "pipe.png").unlink()

    (tmp_path / "cat" / "gone.png").symlink_to("nowhere")
    with pytest.raises(DatasetError, match=r"gone\.png: cannot be read: no such file"):
        load(tmp_path)
    (tmp_path / "cat" / "gone.png").unlink()

    (tmp_path / "cat" / "more.png").mkdir()
    assert sum(sizes(load(tmp_path)).values()) == 20
