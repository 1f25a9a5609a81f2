"""References in a spec to what only the machine it runs on knows.

`${VAR}` and `${VAR:-default}` take environment variables; `${env:NAME}` and `${file:/path}` take
secrets, which are left alone until somebody needs them. `$${` stands for a plain `${`.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any, NamedTuple

from guild.errors import Path, UnresolvedReferenceError, dotted
from guild.source import Finding

MAX_SECRET_BYTES = 64 * 1024

_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<body>[^{}]*)\}?")
_VARIABLE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.DOTALL)


class Resolved(NamedTuple):
    """A value without its references.

    Attributes:
        secret_paths: where secrets stand, or stood.
        findings: references that lead nowhere; they stay in the value as they were.
    """

    value: Any
    secret_paths: frozenset[Path]
    findings: tuple[Finding, ...]


def resolve(value: Any, *, environ: Mapping[str, str] | None = None, path: Path = ()) -> Any:
    """`value` with every reference in it replaced, secrets too.

    Raises:
        UnresolvedReferenceError: one leads nowhere; names it, never a value.
    """
    resolved = resolve_gently(value, environ=environ, path=path, with_secrets=True)
    if resolved.findings:
        lines = [f"{dotted(finding.path)}: {finding.text}" for finding in resolved.findings]
        raise UnresolvedReferenceError("\n".join(lines))
    return resolved.value


def resolve_gently(
    value: Any,
    *,
    environ: Mapping[str, str] | None = None,
    path: Path = (),
    with_secrets: bool = False,
) -> Resolved:
    """`value` with its references replaced as far as they lead anywhere.

    Secrets stay references unless they are asked for `with_secrets`.
    """
    walk = _Walk(os.environ if environ is None else environ, with_secrets)
    return Resolved(walk.value(value, path), frozenset(walk.secret_paths), tuple(walk.findings))


class _Walk:
    def __init__(self, environ: Mapping[str, str], with_secrets: bool) -> None:
        self._environ = environ
        self._with_secrets = with_secrets
        self.secret_paths: set[Path] = set()
        self.findings: list[Finding] = []

    def value(self, value: Any, path: Path) -> Any:
        if isinstance(value, str) and "${" in value:
            return _REFERENCE.sub(lambda match: self._replacement(match, path), value)
        if isinstance(value, dict):
            return {key: self.value(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item, (*path, index)) for index, item in enumerate(value)]
        return value

    def _replacement(self, match: re.Match[str], path: Path) -> str:
        text, body = match[0], match["body"]
        if body is None:
            return "${"
        kind, colon, name = body.partition(":")
        try:
            if colon and kind in ("env", "file"):
                self.secret_paths.add(path)
                return self._secret(kind, name) if self._with_secrets else text
            return self._variable(text, body)
        except UnresolvedReferenceError as error:
            self.findings.append(Finding(path, str(error)))
            return text

    def _variable(self, text: str, body: str) -> str:
        variable = _VARIABLE.fullmatch(body)
        if variable is None or not text.endswith("}"):
            raise UnresolvedReferenceError(
                f"{text} is not a reference: write ${{VAR}}, ${{VAR:-default}}, ${{env:SECRET}}, "
                "${file:/path}, or $${ for the characters themselves"
            )
        value = self._environ.get(variable["name"]) or variable["default"]
        if value is None:
            raise UnresolvedReferenceError(
                f"the environment variable {variable['name']} is not set and has no default"
            )
        return value

    def _secret(self, kind: str, name: str) -> str:
        if kind == "env":
            if name not in self._environ:
                raise UnresolvedReferenceError(f"the environment variable {name} is not set")
            return self._environ[name]
        try:
            with FilePath(name).open("rb") as file:
                content = file.read(MAX_SECRET_BYTES + 1)
            if len(content) > MAX_SECRET_BYTES:
                raise UnresolvedReferenceError(f"the secret file {name} is too long")
            return content.decode().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise UnresolvedReferenceError(f"the secret file {name}: {reason}") from None
