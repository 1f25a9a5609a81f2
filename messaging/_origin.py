"""Finds out whether our three packages are really ours.

`agents` and `guild` are import names of other distributions too. When one of those is installed
over ours, or found before ours, imports fail in ways that nobody can read; this check names the
culprit instead.
"""

from importlib.util import find_spec
from pathlib import Path

_OURS = Path(__file__).resolve().parent.parent
_MARK = b"check_origin(__name__)"  # what the first lines of our packages call


def check_origin(package: str) -> None:
    """Pass when `package` lies beside this one and is ours, or is not there at all.

    Raises:
        ImportError: another distribution's files stand in our place; names it and the remedy.
    """
    found = find_spec(package)
    if found is None or _is_ours(found.origin):
        return
    owner = _owner_of(package)
    raise ImportError(
        f"the package {package!r} at {found.origin} is not guildbus's: {owner} owns it. "
        f"Uninstall {owner}, or give guildbus a virtual environment of its own."
    )


def _is_ours(origin: str | None) -> bool:
    if origin is None:
        return False
    file = Path(origin).resolve()
    return file.parent.parent == _OURS and _MARK in file.read_bytes()


def _owner_of(package: str) -> str:
    from importlib import metadata  # noqa: PLC0415 - 30 ms that only a stranger costs

    owners = metadata.packages_distributions().get(package, [])
    return next((name for name in owners if name != "guildbus"), "another project")
