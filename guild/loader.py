"""Reads guild specs from YAML and JSON, and writes them. Every problem is told, all at once."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path as FilePath
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from guild.document import Document, plain_scalar, read_file, read_json, read_yaml
from guild.errors import Path, SpecError, WiringError
from guild.inspection import inspect_parts
from guild.parts import Parts
from guild.registry import Registry
from guild.source import Finding
from guild.spec import AgentSpec, EngineSpec, GuildSpec, ResourceSpec, RouteSpec, ScheduleSpec
from guild.validation import findings_of, keys_of, unknown_key

M = TypeVar("M", bound=BaseModel)

_PLAIN = re.compile(r"[A-Za-z_](?:[\w./-]| (?=[\w./]))*", re.ASCII)

_LISTED = ("agents", "routes", "resources", "schedules")


def load_file(
    path: str | FilePath,
    *,
    allow: Iterable[str] = (),
    environ: Mapping[str, str] | None = None,
) -> GuildSpec:
    """The spec in a YAML file, with what it includes, or in a `.json` file.

    Args:
        path: the file.
        allow: packages whose classes the spec may name by dotted path.
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
    """`spec` as YAML that reads back equal; defaults are left out, references stay."""
    return yaml.dump(
        dump(spec),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=1_000_000,  # a folded line is harder to read, and to edit, than a long one
    )


def dump(spec: GuildSpec) -> dict[str, Any]:
    """`spec` as plain data with the keys of YAML."""
    return spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _spec(document: Document, registry: Registry, environ: Mapping[str, str] | None) -> GuildSpec:
    draft = _Draft()
    parts = draft.parts(document.data)
    seen = inspect_parts(parts, registry, environ)
    findings = dict.fromkeys([*draft.findings, *seen.errors, *seen.wiring])
    problems = [*document.problems, *map(document.source.problem, findings)]
    if problems:
        is_only_wired_wrong = not (document.problems or draft.findings or seen.errors)
        error = WiringError if is_only_wired_wrong else SpecError
        raise error(sorted(problems, key=lambda problem: problem[:3]))
    return GuildSpec.model_validate(document.data).located(document.source)


class _Draft:
    """A spec read part by part, so that one that is wrong does not hide the others."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self._lost: set[str] = set()

    def parts(self, data: Any) -> Parts:
        if not isinstance(data, dict):
            self.findings.append(Finding((), "a spec is a mapping of keys such as id and agents"))
            return Parts({}, {}, {}, knows_agents=False, knows_topics=False, knows_resources=False)
        rest = {key: value for key, value in data.items() if key not in _LISTED}
        agents = self._items(data, "agents", AgentSpec)
        routes = self._items(data, "routes", RouteSpec)
        resources = self._resources(data)
        guild = self._part(GuildSpec, rest, ())
        return Parts(
            agents=agents,
            routes=routes,
            resources=resources,
            schedules=self._items(data, "schedules", ScheduleSpec),
            topics=guild.topics if guild else (),
            ends=guild.ends if guild else (),
            engine=guild.engine if guild else EngineSpec(),
            knows_agents="agents" not in self._lost,
            knows_topics=self._lost.isdisjoint({"agents", "topics", "guild"}),
            knows_resources="resources" not in self._lost,
        )

    def _items(self, data: dict[str, Any], key: str, model: type[M]) -> dict[int, M]:
        items = data.get(key, [])
        if not isinstance(items, list):
            self.findings.append(Finding((key,), f"{key!r} should be a list"))
            self._lost.add(key)
            return {}
        read = ((index, self._part(model, item, (key, index))) for index, item in enumerate(items))
        return {index: part for index, part in read if part is not None}

    def _resources(self, data: dict[str, Any]) -> dict[str, ResourceSpec]:
        items = data.get("resources", {})
        if not isinstance(items, dict):
            text = "'resources' should be a mapping of names"
            self.findings.append(Finding(("resources",), text))
            self._lost.add("resources")
            return {}
        read = (
            (name, self._part(ResourceSpec, item, ("resources", name)))
            for name, item in items.items()
        )
        return {name: part for name, part in read if part is not None}

    def _part(self, model: type[M], data: Any, path: Path) -> M | None:
        """`data` as a `model`, without the keys that are wrong; None if it needs those."""
        if not isinstance(data, dict):
            keys = ", ".join(keys_of(model)[:3])
            self.findings.append(Finding(path, f"this should be a mapping of keys such as {keys}"))
            self._lose(path)
            return None
        known = keys_of(model)
        self.findings += [unknown_key((*path, key), known) for key in data if key not in known]
        kept = {key: value for key, value in data.items() if key in known}
        try:
            return model.model_validate(kept)
        except ValidationError as error:
            self.findings += findings_of(error, model, path)
            wrong = {problem["loc"][0] for problem in error.errors() if problem["loc"]}
            self._lost |= {"topics"} & wrong
        try:
            return model.model_validate({k: v for k, v in kept.items() if k not in wrong})
        except ValidationError:
            self._lose(path)
            return None

    def _lose(self, path: Path) -> None:
        """Remember that something is missing, so that nobody is blamed for not finding it."""
        self._lost.add(str(path[0]) if path else "guild")


class _Dumper(yaml.SafeDumper):
    """Writes no aliases, and quotes every text that could be read as anything else."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    is_plain = _PLAIN.fullmatch(text) and isinstance(plain_scalar(text), str)
    style = None if is_plain else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _write_text)
