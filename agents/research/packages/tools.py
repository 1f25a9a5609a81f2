"""The package tool, for messages and plain calls alike."""

import asyncio

from agents.research.errors import WorkRefusedError
from agents.research.jobs import Audience, Jobs
from agents.research.packages.messages import InstallPackage, PackageInstalled
from agents.research.packages.settings import host_settings

_INSTALL = "agents.research.packages.jobs:install"
_INSTALL_S = 1800.0


async def install_package(
    jobs: Jobs, request: InstallPackage, audience: Audience
) -> PackageInstalled:
    """Install it.

    Raises:
        WorkRefusedError: installing is off, the name or version is wrong, or pip finds nothing that
            leaves torch as it is.
    """
    if not jobs.may_install:
        raise WorkRefusedError(
            "InstallingIsOffError",
            f"{request.package_name!r} was not installed: installing packages is off; the operator "
            "turns it on by 'install_packages: true' among the properties of the jobs",
        )
    _require_a_name(request)
    settings = await asyncio.to_thread(host_settings)
    payload = request.model_dump(include={"package_name", "version", "upgrade"})
    done = await jobs.run(
        _INSTALL,
        payload | {"variables": settings.variables},
        audience,
        task=f"install {request.package_name}"[:80],
        timeout_s=_INSTALL_S,
        read_only=settings.paths,
        network=True,
    )
    return PackageInstalled(**done.result, note=_note(request, done.result["torch"]))


def _require_a_name(request: InstallPackage) -> None:
    """Refuse what the job would refuse, before pip is asked anything."""
    from agents.research.packages.requirement import (  # noqa: PLC0415  not all have what it imports
        RequirementRefusedError,
        requirement,
    )

    try:
        requirement(request.package_name, request.version)
    except RequirementRefusedError as error:
        raise WorkRefusedError(type(error).__name__, str(error), where=error.where) from error


def _note(request: InstallPackage, torch: str | None) -> str:
    """What is to be said of the versions that were named."""
    if torch is None:
        return "there is no torch in this environment"
    version, _, build = torch.partition("+")
    if version == request.pytorch_version and build in {"", request.cuda_version}:
        return ""
    return (
        f"torch {torch} is installed and stays; {request.pytorch_version} with "
        f"{request.cuda_version} was named"
    )
