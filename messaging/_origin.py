"""Finds out whether our three packages are really ours.

`agents` and `guild` are import names of other distributions too. When one of those is installed
over ours, imports fail in ways that nobody can read; this check names the culprit instead.
"""

from pathlib import Path


def check_origin(package: str, package_file: str | None) -> None:
    """Pass when `package_file` lies beside this package.

    Raises:
        ImportError: another distribution's files stand in our place; names it and the remedy.
    """
    ours = Path(__file__).resolve().parent.parent
    if package_file and Path(package_file).resolve().parent.parent == ours:
        return
    owner = _owner_of(package)
    raise ImportError(
        f"the package {package!r} at {package_file} is not guildbus's: {owner} owns it. "
        f"Uninstall {owner}, or give guildbus a virtual environment of its own."
    )


def _owner_of(package: str) -> str:
    from importlib import metadata  # noqa: PLC0415 - 30 ms that only a stranger costs

    owners = metadata.packages_distributions().get(package, [])
    return next((name for name in owners if name != "guildbus"), "another distribution")
