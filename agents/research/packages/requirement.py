"""What may be asked for: one package by its name, and one version of it."""

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version


class RequirementRefusedError(ValueError):
    """The name or version is not valid. `where` says which."""

    def __init__(self, where: str, text: str) -> None:
        super().__init__(text)
        self.where = where


def requirement(package_name: str, version: str | None) -> Requirement:
    """The package as pip takes it, such as `torchmetrics==0.11.4`.

    A name may have extras (`lightning[extra]`); options, addresses and conditions are refused.

    Raises:
        RequirementRefusedError: it is no name by PEP 508, or no version by PEP 440.
    """
    try:
        asked = Requirement(package_name)
    except InvalidRequirement as error:
        raise RequirementRefusedError(
            "package_name", f"{package_name!r} is no name of a package: {error}"
        ) from error
    if asked.specifier or asked.url or asked.marker:
        raise RequirementRefusedError(
            "package_name", f"{package_name!r} is more than a name; say the version in 'version'"
        )
    if version is None:
        return asked
    try:
        return Requirement(f"{package_name}=={Version(version)}")
    except InvalidVersion as error:
        raise RequirementRefusedError(
            "version", f"{version!r} is no version, such as '0.11.4'"
        ) from error
