"""Reads a spec part by part, so that one that is wrong does not hide what is wrong elsewhere."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from guild.errors import Path
from guild.parts import Parts
from guild.references import FromReference, Resolved, resolve_gently
from guild.source import Finding
from guild.spec import AgentSpec, EngineSpec, GuildSpec, ResourceSpec, RouteSpec, ScheduleSpec
from guild.validation import findings_of, keys_of, unknown_key

M = TypeVar("M", bound=BaseModel)

_LISTED = ("agents", "routes", "resources", "schedules")


class Draft(NamedTuple):
    """A spec as far as it can be read on this machine.

    Attributes:
        resolved: the whole with the values that its references stand for.
        parts: what of it is well-formed.
        findings: what is not.
    """

    resolved: Resolved
    parts: Parts
    findings: tuple[Finding, ...]


def draft_of(data: Any, environ: Mapping[str, str]) -> Draft:
    """Read `data`, a spec as YAML has it, with the references in it resolved."""
    resolved = resolve_gently(
        data, environ=environ, made=FromReference, leaves=GuildSpec.is_resolved_late
    )
    reader = _Reader(resolved)
    parts = reader.parts(resolved.value)
    return Draft(resolved, parts, tuple(reader.findings))


class _Reader:
    def __init__(self, resolved: Resolved) -> None:
        self._resolved = resolved
        self.findings = [
            *resolved.findings,
            *map(_misplaced, sorted(resolved.secret_paths, key=str)),
        ]
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
        wrong = self._unknown_below(path)
        try:
            whole = model.model_validate(kept)
            if not wrong & kept.keys():
                return whole
        except ValidationError as error:
            self.findings += self._resolved.explained(findings_of(error, model, path))
            wrong |= {str(problem["loc"][0]) for problem in error.errors() if problem["loc"]}
        self._lost |= {"topics"} & wrong
        try:
            return model.model_validate({k: v for k, v in kept.items() if k not in wrong})
        except ValidationError:
            self._lose(path)
            return None

    def _unknown_below(self, path: Path) -> set[str]:
        """The keys at `path` whose values are not known here."""
        depth = len(path)
        places: Iterable[Path] = self._resolved.unknown
        return {str(p[depth]) for p in places if p[:depth] == path and len(p) > depth}

    def _lose(self, path: Path) -> None:
        """Remember that something is missing, so that nobody is blamed for not finding it."""
        self._lost.add(str(path[0]) if path else "guild")


def _misplaced(path: Path) -> Finding:
    return Finding(
        path,
        "a secret may stand in 'bus', 'neighbours' and 'properties' alone, because everything else "
        "of a spec is shown: write ${VAR}",
    )
