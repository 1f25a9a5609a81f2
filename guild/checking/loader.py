"""Reads guild specs from YAML and JSON, and writes them. Every problem is told, all at once."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

import yaml

from guild.agent.registry import Registry, why_unnameable
from guild.checking.draft import draft_of
from guild.checking.inspection import inspect_parts
from guild.errors import Path, SpecError, WiringError
from guild.spec.document import Document, plain_scalar, read_file, read_json, read_yaml
from guild.spec.source import Finding
from guild.spec.spec import AgentSpec, GuildSpec, ResourceSpec

_PLAIN = re.compile(r"[A-Za-z_](?:[\w./-]| (?=[\w./]))*", re.ASCII)


def load_file(
    path: str | FilePath,
    *,
    allow: Iterable[str] = (),
    environ: Mapping[str, str] | None = None,
) -> GuildSpec:
    """The spec in a YAML file, with what it includes, or in a `.json` file.

    Args:
        path: the file.
        allow: packages whose classes the spec may name by dotted path, also when it is launched.
        environ: where references to variables are looked up; None for the process's own.

    Raises:
        SpecError: everything wrong with it, each problem with file, line and column.
    """
    return _spec(read_file(path), Registry(allow), environ)


def load_yaml(
    text: str,
    name: str = "<yaml>",
    *,
    allow: Iterable[str] = (),
    environ: Mapping[str, str] | None = None,
) -> GuildSpec:
    """As `load_file`, from text; `name` stands for the file in what is said about it."""
    return _spec(read_yaml(text, name), Registry(allow), environ)


def load_json(
    text: str,
    name: str = "<json>",
    *,
    allow: Iterable[str] = (),
    environ: Mapping[str, str] | None = None,
) -> GuildSpec:
    """As `load_yaml`, from JSON."""
    return _spec(read_json(text, name), Registry(allow), environ)


def dump_yaml(spec: GuildSpec) -> str:
    """`spec` as YAML that reads back equal; defaults are left out, references stay.

    Raises:
        SpecError: an agent or a resource whose code nobody would find under its `type`.
    """
    return yaml.dump(
        dump(spec),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=1_000_000,  # a folded line is harder to read, and to edit, than a long one
    )


def dump(spec: GuildSpec) -> dict[str, Any]:
    """`spec` as plain data with the keys of YAML.

    Raises:
        SpecError: an agent or a resource whose code nobody would find under its `type`.
    """
    typed: dict[Path, AgentSpec | ResourceSpec] = {
        ("agents", index): agent for index, agent in enumerate(spec.agents)
    }
    typed |= {("resources", name): resource for name, resource in spec.resources.items()}
    problems = [
        spec.source.problem(Finding((*path, "type"), why))
        for path, part in typed.items()
        if (why := why_unnameable(part.type, part.given))
    ]
    if problems:
        raise SpecError(problems)
    return spec.as_data()


def _spec(document: Document, registry: Registry, environ: Mapping[str, str] | None) -> GuildSpec:
    environ = os.environ if environ is None else environ
    draft = draft_of(document.data, environ, document.unknown)
    seen = inspect_parts(draft.parts, registry, environ)
    problems = [*document.problems, *draft.problems(document.source, seen)]
    if problems:
        is_only_wired_wrong = not (document.problems or draft.findings or seen.errors)
        error = WiringError if is_only_wired_wrong else SpecError
        raise error(sorted(problems, key=lambda problem: problem[:3]))
    source = replace(document.source, allow=registry.allow)
    return GuildSpec.model_validate(document.data).located(source)


class _Dumper(yaml.SafeDumper):
    """Writes no aliases, and quotes every text that could be read as anything else."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    is_plain = _PLAIN.fullmatch(text) and isinstance(plain_scalar(text), str)
    style = None if is_plain else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _write_text)
