"""References in a spec to what only the machine it runs on knows.

`${VAR}` and `${VAR:-default}` take environment variables; `${env:NAME}` and `${file:/path}` take
secrets, which are left alone until somebody needs them. `$${` stands for a plain `${`.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any, NamedTuple

from guild.errors import Path, UnresolvedReferenceError, dotted
from guild.spec.source import Finding

MAX_SECRET_BYTES = 64 * 1024

REFERENCE = re.compile(r"\$\$\{|\$\{(?P<body>[^{}]*)\}?")
_VARIABLE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.DOTALL)


class FromReference(str):
    """Text that a reference stood for: it may mean a number or a boolean, as in a property."""

    __slots__ = ()


class Resolved(NamedTuple):
    """A value without its references.

    Attributes:
        secret_paths: where secrets stand, or stood.
        findings: references that lead nowhere; they stay in the value as they were.
        unknown: where the value still holds a reference, so that it cannot be judged.
        written: by path, the text with references that a value was made from.
    """

    value: Any
    secret_paths: frozenset[Path]
    findings: tuple[Finding, ...]
    unknown: frozenset[Path]
    written: Mapping[Path, str]

    def explained(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """What is wrong with the value, each with the reference that it came from.

        What is not known here is not judged.
        """
        for finding in findings:
            places = () if finding.at_key else self.unknown
            if any(finding.path[: len(place)] == place for place in places):
                continue
            text = self.written.get(finding.path)
            yield finding._replace(text=f"{finding.text} (from {text})") if text else finding


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
    made: Callable[[str], str] = str,
    leaves: Callable[[Path], bool] = lambda _: False,
) -> Resolved:
    """`value` with its references replaced as far as they lead anywhere.

    Secrets stay references unless they are asked for `with_secrets`.

    Args:
        value: text, or plain data of any depth.
        environ: where variables are looked up; None for the process's own.
        path: where the value stands.
        with_secrets: whether secrets are read.
        made: what becomes of text that held references.
        leaves: says of a path that everything there stays as it is.
    """
    walk = _Walk(os.environ if environ is None else environ, with_secrets, made, leaves)
    replaced = walk.value(value, path)
    return Resolved(
        replaced,
        frozenset(walk.secret_paths),
        tuple(walk.findings),
        frozenset(walk.unknown),
        walk.written,
    )


class _Walk:
    def __init__(
        self,
        environ: Mapping[str, str],
        with_secrets: bool,
        made: Callable[[str], str],
        leaves: Callable[[Path], bool],
    ) -> None:
        self._environ = environ
        self._with_secrets = with_secrets
        self._made = made
        self._leaves = leaves
        self.secret_paths: set[Path] = set()
        self.unknown: set[Path] = set()
        self.findings: list[Finding] = []
        self.written: dict[Path, str] = {}

    def value(self, value: Any, path: Path) -> Any:
        if self._leaves(path):
            return value
        if isinstance(value, str) and "${" in value:
            self.written[path] = value
            return self._made(REFERENCE.sub(lambda match: self._replacement(match, path), value))
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
                if self._with_secrets:
                    return self._secret(kind, name)
                self.unknown.add(path)
                return text
            return self._variable(text, body)
        except UnresolvedReferenceError as error:
            self.unknown.add(path)
            self.findings.append(Finding(path, str(error)))
            return text

    def _variable(self, text: str, body: str) -> str:
        variable = _VARIABLE.fullmatch(body)
        if not text.endswith("}") and ":-" in body and body.endswith("$"):
            raise UnresolvedReferenceError(
                f"the default of ${{{body.partition(':')[0]}}} holds a reference: a default is "
                "plain text without braces"
            )
        if variable is None or not text.endswith("}"):
            raise UnresolvedReferenceError(
                f"{text} is not a reference: write ${{VAR}}, ${{VAR:-default}}, ${{env:SECRET}}, "
                "${file:/path}, or $${ for the characters themselves"
            )
        value = self._environ.get(variable["name"]) or variable["default"]
        if value is None:
            name = variable["name"]
            raise UnresolvedReferenceError(
                f"the environment variable {name} is empty; where that is meant write ${{{name}:-}}"
                if name in self._environ
                else f"the environment variable {name} is not set and has no default"
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
        except (OSError, ValueError) as error:
            plain = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
            reason = getattr(error, "strerror", None) or plain
            raise UnresolvedReferenceError(f"the secret file {name}: {reason}") from None
