"""Where the host's pip looks for packages, for a pip that sees nothing of the host."""

import ast
import subprocess
import sys
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

from agents.research.errors import WorkRefusedError

_KEPT = {"index-url", "extra-index-url", "find-links", "no-index", "cert", "trusted-host", "proxy"}


class PipSettings(NamedTuple):
    """What the host's pip is told by its files and its environment.

    Attributes:
        variables: the same as environment variables.
        paths: folders and files of this machine that they name.
    """

    variables: dict[str, str]
    paths: tuple[str, ...]


def host_settings() -> PipSettings:
    """Read them, by asking pip.

    Raises:
        WorkRefusedError: one of them holds a password, which code of a workspace must not see.
    """
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    settings: dict[str, list[str]] = {}
    for line in sorted(listed.splitlines(), key=_comes_from_environment):  # which wins
        name, _, value = line.partition("=")
        key = name.rpartition(".")[2]
        if key in _KEPT:
            settings[key] = str(ast.literal_eval(value)).split()
            _require_no_password(key, settings[key])
    paths = [path for words in settings.values() for path in map(_path_in, words) if path]
    variables = {
        f"PIP_{key.upper().replace('-', '_')}": " ".join(words) for key, words in settings.items()
    }
    return PipSettings(variables | {"PIP_CONFIG_FILE": "/dev/null"}, tuple(dict.fromkeys(paths)))


def _comes_from_environment(line: str) -> bool:
    return line.startswith(":env:")


def _require_no_password(key: str, words: list[str]) -> None:
    if any("@" in urlsplit(word).netloc for word in words):
        raise WorkRefusedError(
            "PasswordInSettingsError",
            f"pip's setting {key!r} holds a user name or password, and the workspace's code could "
            "read it; give pip an index that needs none",
            where=key,
        )


def _path_in(word: str) -> str:
    parts = urlsplit(word)
    if parts.scheme == "file":
        return url2pathname(parts.path)
    return word if word.startswith("/") else ""
