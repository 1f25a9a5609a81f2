"""Files that appear under their names as a whole, or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic_file(
    path: Path, *, is_private: bool = True, is_synced: bool = True, is_replacing: bool = True
) -> Iterator[BinaryIO]:
    """Open a draft beside `path`, which becomes the file when the block ends without an error.

    Args:
        path: where; its folder is made when missing.
        is_private: whether only its owner may read the file; else the umask decides.
        is_synced: whether the file survives a power cut as soon as the block has ended.
        is_replacing: whether a file that is there may go.

    Raises:
        FileExistsError: a file is there, and it may not go.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    mode = 0o600 if is_private else 0o666
    try:
        with open(draft, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            yield file
            if is_synced:
                file.flush()
                os.fsync(file.fileno())
        if is_replacing:
            draft.replace(path)
        else:
            path.hardlink_to(draft)
    finally:
        draft.unlink(missing_ok=True)
    if is_synced:
        sync_folder(path.parent)


def write_text_atomically(path: Path, text: str, *, is_private: bool = True) -> None:
    """Make `text` the whole content of a file that survives a power cut."""
    with atomic_file(path, is_private=is_private) as file:
        file.write(text.encode())


def sync_folder(folder: Path) -> None:
    """Make the names inside `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
