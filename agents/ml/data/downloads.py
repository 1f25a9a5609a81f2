"""Dataset files from where their makers keep them, accepted by their checksums alone."""

import fcntl
import hashlib
import http.client
import os
import shutil
import tarfile
import urllib.request
from collections.abc import Iterable, Iterator
from io import BufferedRandom
from pathlib import Path
from typing import NamedTuple

from agents.ml.atomic_files import atomic_file, sync_folder
from agents.ml.errors import DatasetError
from agents.ml.plain_files import open_own

_TRIES = 5
_SILENCE_S = 30.0
_PIECE_BYTES = 1024**2


class Remote(NamedTuple):
    """A file that may be fetched: nothing but these very bytes is taken for it."""

    url: str
    size_bytes: int
    sha256: str

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]


class _BrokenOffError(Exception):
    """No more came; the text says why."""


def download(remote: Remote, folder: Path) -> Path:
    """Fetch a file into `folder` unless it is there, going on where an earlier try broke off.

    It gets its name once it is whole and its checksum is right. Several processes may try at once.

    Raises:
        DatasetError: it cannot be reached or written, or is not what it should be.
    """
    path = folder / remote.name
    draft = folder / f".{remote.name}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open_own(draft) as part:
            fcntl.flock(part, fcntl.LOCK_EX)
            if path.is_file():  # another process was here first
                draft.unlink(missing_ok=True)
                return path
            _fetch_whole(remote, part)
            os.fsync(part.fileno())
            draft.rename(path)
        sync_folder(folder)
    except OSError as error:
        raise DatasetError(f"cannot be written: {error.strerror}", where=str(path)) from error
    return path


def unpack(archive: Path, members: Iterable[str], folder: Path) -> None:
    """Write `members` of a tar file to `folder` by their last names, each whole or not at all.

    Raises:
        DatasetError: the archive is damaged or lacks one of them, or there is no room.
    """
    try:
        with tarfile.open(archive) as tar:
            for member in members:
                content = tar.extractfile(member)
                if content is None:
                    raise DatasetError(f"{member!r} in it is no file", where=str(archive))
                with atomic_file(folder / Path(member).name) as file:
                    shutil.copyfileobj(content, file)
    except (OSError, EOFError, KeyError, tarfile.TarError) as error:
        raise DatasetError(f"cannot be unpacked: {error}", where=str(archive)) from error


def _fetch_whole(remote: Remote, part: BufferedRandom) -> None:
    """Add to `part` what it lacks.

    Raises:
        DatasetError: the network does not give it, or not with its checksum.
        OSError: it cannot be written.
    """
    problem = "it ended too soon"
    for _ in range(_TRIES):
        had = _size(part)
        try:
            if had < remote.size_bytes:
                part.writelines(_pieces(remote, part, had))
        except _BrokenOffError as error:
            problem = str(error)
        if _size(part) >= remote.size_bytes:
            return _require_sum(remote, part)
        if _size(part) == had:  # nothing came, and nothing will by itself
            break
    raise DatasetError(
        f"cannot be downloaded: {problem}. Jobs have no network unless the operator sets "
        "'network: true' on them; or put the file into the folder of 'data_path' yourself",
        where=remote.url,
    )


def _pieces(remote: Remote, part: BufferedRandom, start: int) -> Iterator[bytes]:
    """What follows the first `start` bytes; from a server that starts anew, so does `part`."""
    request = urllib.request.Request(remote.url, headers={"Range": f"bytes={start}-"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=_SILENCE_S) as response:  # noqa: S310
            left = remote.size_bytes - start
            if response.status != http.client.PARTIAL_CONTENT:
                part.truncate(0)
                left = remote.size_bytes
            while left > -1 and (piece := response.read1(_PIECE_BYTES)):
                left -= len(piece)
                yield piece
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenOffError(str(error) or type(error).__name__) from error


def _size(part: BufferedRandom) -> int:
    return part.seek(0, os.SEEK_END)


def _require_sum(remote: Remote, part: BufferedRandom) -> None:
    part.seek(0)
    found = hashlib.file_digest(part, "sha256").hexdigest()
    if found != remote.sha256:
        part.truncate(0)
        raise DatasetError(
            f"what came is not the file that was asked for: its SHA-256 is {found}, not "
            f"{remote.sha256}; nothing of it was kept",
            where=remote.url,
        )
