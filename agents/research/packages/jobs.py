"""The job that installs a package: ask pip what it would do, refuse or do it, try the import."""

import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from agents.ml.reporting import Report
from agents.research.packages.pip import Environment, drives_devices
from agents.research.packages.requirement import requirement
from agents.research.workspace.commands import own_venv

_IMPORT_S = 120.0
_NAMES = (  # what a distribution of that name puts at the top level
    "import sys; from importlib.metadata import packages_distributions as tops; "
    "print(*sorted(top for top, names in tops().items() if sys.argv[1] in "
    "[name.lower().replace('_', '-').replace('.', '-') for name in names]))"
)


class WouldChangeTorchError(Exception):
    """The package does not go with the torch that is installed."""

    where = "package_name"


def install(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """Install into the workspace's own virtual environment, made if there is none.

    Returns:
        `output`: what pip printed; `added`: versions by name; `imported`: what could be imported;
        `problem`: why an import failed, or ""; `torch`: the version that is installed, or None.

    Raises:
        RequirementRefusedError: the name or version is not valid.
        PipFailedError: pip finds nothing that fits.
        WouldChangeTorchError: torch or its drivers would change.
    """
    asked = requirement(payload["package_name"], payload["version"])
    report({"done": 0, "total": 4, "text": "look at the environment"})
    environment = Environment.of(_own_python(), payload["variables"])
    report({"done": 1, "total": 4, "text": f"ask pip what {asked} needs"})
    planned = environment.would_install(asked, upgrade=payload["upgrade"])
    _require_torch_stays(asked, environment, planned)
    report({"done": 2, "total": 4, "text": f"install {', '.join(planned) or 'nothing'}"})
    output = environment.install(asked, upgrade=payload["upgrade"])
    report({"done": 3, "total": 4, "text": f"import {asked.name}"})
    imported, problem = _import(environment.python, asked)
    return {
        "output": output,
        "added": planned,
        "imported": imported,
        "problem": problem,
        "torch": environment.installed.get("torch"),
    }


def _own_python() -> Path:
    """The interpreter of the workspace's environment, which sees the packages of the guild's."""
    found = own_venv()
    if found is None:
        found = Path(".venv")
        venv.create(found, system_site_packages=True, with_pip=False, symlinks=True)
        _show_guild_packages(found)
    return found.absolute() / "bin" / "python"


def _show_guild_packages(folder: Path) -> None:
    """Let it see the guild's packages, which lie in a virtual environment, too."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    below = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (folder / "lib" / version / "site-packages" / "guild.pth").write_text("\n".join(below) + "\n")


def _require_torch_stays(
    asked: Requirement, environment: Environment, planned: dict[str, str]
) -> None:
    torch = environment.installed.get("torch")
    if torch is not None and "torch" in planned:
        raise WouldChangeTorchError(
            f"{asked} would change torch from {torch} to {planned['torch']}; nothing was "
            "installed. Ask for a version of it that goes with the installed torch"
        )
    drivers = sorted(filter(drives_devices, planned))
    if torch is not None and drivers and not environment.has_device_packages:
        raise WouldChangeTorchError(
            f"{asked} would bring {', '.join(drivers)} into an environment whose torch {torch} "
            "uses none; nothing was installed"
        )


def _import(python: Path, asked: Requirement) -> tuple[list[str], str]:
    """Import what the package has at its top level; what could be, and why the rest could not."""
    tops = _run(python, _NAMES, canonicalize_name(asked.name)).stdout.split()
    imported: list[str] = []
    for top in tops:
        done = _run(python, f"import {top}")
        if done.returncode != 0:
            return imported, done.stderr.strip().splitlines()[-1] if done.stderr else "it crashed"
        imported.append(top)
    return imported, ""


def _run(python: Path, code: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603  in the sandbox
        [str(python), "-c", code, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_IMPORT_S,
        check=False,
    )
