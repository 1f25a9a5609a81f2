"""What pip says of an environment, and what it would do and does to it."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_QUIETLY = (
    "--disable-pip-version-check", "--no-input", "--no-color",
)  # fmt: skip
# Wheels run no code while they are installed.
_SAFELY = (
    "--only-binary", ":all:", "--progress-bar", "off", "--timeout", "20", "--retries", "2",
)  # fmt: skip


class PipFailedError(Exception):
    """pip could not do what it was asked for; the text is its own."""

    where = "package_name"


class Environment(NamedTuple):
    """A virtual environment.

    Attributes:
        installed: versions by name, those that it sees of the environment below it, too.
    """

    python: Path
    variables: Mapping[str, str]
    installed: Mapping[str, str]

    @classmethod
    def of(cls, python: Path, variables: Mapping[str, str]) -> "Environment":
        """Ask pip, with its settings as environment `variables`."""
        listed = json.loads(_pip(python, variables, ["list", "--format", "json"]))
        installed = {str(canonicalize_name(item["name"])): item["version"] for item in listed}
        return cls(python, variables, installed)

    def would_install(self, asked: Requirement, *, upgrade: bool) -> dict[str, str]:
        """Versions by name of what pip would add or change.

        Raises:
            PipFailedError: nothing fits what is pinned, or there is no such package or version.
        """
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder, "report.json")
            self._install(asked, ["--dry-run", "--report", str(report)], upgrade=upgrade)
            planned = json.loads(report.read_text())["install"]
        return {
            canonicalize_name(item["metadata"]["name"]): str(item["metadata"]["version"])
            for item in planned
        }

    def install(self, asked: Requirement, *, upgrade: bool) -> str:
        """Install, and return what pip printed.

        Raises:
            PipFailedError: as `would_install`.
        """
        return self._install(asked, [], upgrade=upgrade)

    def _install(self, asked: Requirement, options: Sequence[str], *, upgrade: bool) -> str:
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
            constraints.writelines(f"{name}=={self.installed[name]}\n" for name in self.pinned)
            constraints.flush()
            upgrading = ["--upgrade"] if upgrade else []
            return _pip(
                self.python,
                self.variables,
                ["install", *_SAFELY, *options, *upgrading, "--constraint", constraints.name],
                str(asked),
            )

    @property
    def pinned(self) -> list[str]:
        """What must stay as it is: torch, and what drives its devices."""
        return [name for name in self.installed if name == "torch" or drives_devices(name)]

    @property
    def has_device_packages(self) -> bool:
        return any(map(drives_devices, self.installed))


def drives_devices(name: str) -> bool:
    """Whether a package is a part of CUDA or ROCm."""
    return name.startswith(("nvidia-", "cuda-", "rocm-", "pytorch-triton")) or name == "triton"


def _pip(python: Path, variables: Mapping[str, str], arguments: Sequence[str], *names: str) -> str:
    command = [sys.executable, "-m", "pip", "--python", str(python), *arguments, *_QUIETLY]
    done = subprocess.run(  # noqa: S603  every argument is ours or a parsed requirement
        [*command, "--", *names] if names else command,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if names else subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise PipFailedError((done.stdout + (done.stderr or "")).strip())
    return done.stdout
