"""Small data in the formats that people have: what the named datasets look like on a disk."""

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = 200


def put_cifar10(folder: Path, *, rows: int = 40) -> None:
    """The binary version: batches of a label and 3,072 bytes each."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for stem in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        labels = np.arange(rows, dtype=np.uint8) % 10
        pixels = generator.integers(0, 60, (rows, 3072), dtype=np.uint8) + 19 * labels[:, None]
        (folder / f"{stem}.bin").write_bytes(np.hstack([labels[:, None], pixels]).tobytes())


def put_tiny_imagenet(folder: Path) -> None:
    """As it is distributed: the classes of val/ are in a file, test/ tells none."""
    names = [f"n{index:08d}" for index in range(CLASSES)]
    for index, name in enumerate(names):
        _put_image(folder / "train" / name / "images" / f"{name}_0.JPEG", index)
        _put_image(folder / "val" / "images" / f"val_{index}.JPEG", index)
    _put_image(folder / "test" / "images" / "test_0.JPEG", 0)
    lines = [f"val_{index}.JPEG\t{name}\t0\t0\t63\t63\n" for index, name in enumerate(names)]
    (folder / "val" / "val_annotations.txt").write_text("".join(lines))
    (folder / "wnids.txt").write_text("\n".join(names))


def put_corpus(path: Path) -> None:
    """Sentences of words that are made of a few syllables."""
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    syllables = ["ba", "cen", "di", "for", "gu", "lo", "mi", "nor", "pe", "ster"]
    words = ["".join(generator.choice(syllables, 3)) for _ in range(400)]
    lines = [" ".join(generator.choice(words, 9)) + ".\n" for _ in range(600)]
    path.write_text("".join(lines))


def _put_image(path: Path, index: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((64, 64, 3), (index, 255 - index, index * 7 % 256), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
