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
        ImportError: somebody else's files stand in our place; names them and the remedy.
    """
    found = find_spec(package)
    if found is None or _is_ours(found.origin):
        return
    places = found.submodule_search_locations or ()
    place = found.origin or ", ".join(places)
    if owner := _owner_of(package, place):
        told = f"{owner} owns it. Uninstall {owner}"
    else:
        told = f"it hides ours, because Python looks there first. Rename {_to_rename(place)}"
    raise ImportError(
        f"the package {package!r} at {place} is not guildbus's: {told}, or give guildbus a virtual "
        "environment of its own."
    )


def _is_ours(origin: str | None) -> bool:
    if origin is None:
        return False
    file = Path(origin).resolve()
    return file.parent.parent == _OURS and _MARK in file.read_bytes()


def _owner_of(package: str, place: str) -> str:
    """The distribution that installed the file at `place`; "" when it is a file of the user's."""
    from importlib import metadata  # noqa: PLC0415 - 30 ms that only a stranger costs

    for name in metadata.packages_distributions().get(package, []):
        files = metadata.files(name) or ()
        if name != "guildbus" and any(str(file.locate()) == place for file in files):
            return name
    return ""


def _to_rename(place: str) -> str:
    """The file, or the folder of the package."""
    path = Path(place)
    return f"the folder {path.parent}" if path.name == "__init__.py" else f"the file {path}"
