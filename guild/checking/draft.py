"""Reads a spec part by part, so that one that is wrong does not hide what is wrong elsewhere."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from guild.checking.inspection import Inspection
from guild.checking.parts import UNREADABLE, Parts, buses_of
from guild.checking.validation import QUOTED, findings_of, keys_of, required_keys_of, unknown_key
from guild.errors import Path, Problem
from guild.spec.references import FromReference, Resolved, resolve_gently
from guild.spec.source import Finding, Source
from guild.spec.spec import AgentSpec, EngineSpec, GuildSpec, ResourceSpec, RouteSpec, ScheduleSpec

M = TypeVar("M", bound=BaseModel)

_ANY_TEXT = "x"  # all that a part may need is text that this is
_LEADING = {"topic", "into"}  # without them a message would go elsewhere
_ANY_RHYTHM = {"every_s": 60.0}
_FREE_FORM = ("data", "properties")  # what is in them is judged later, one value at a time
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

    def problems(self, source: Source, seen: Inspection) -> list[Problem]:
        """Everything wrong with the spec, once each; `seen` is what is behind its parts."""
        behind = self.resolved.explained([*seen.errors, *seen.wiring])
        return [source.problem(finding) for finding in dict.fromkeys([*self.findings, *behind])]


def draft_of(
    data: Any, environ: Mapping[str, str], unknown: frozenset[Path] = frozenset()
) -> Draft:
    """Read `data`, a spec as YAML has it, with the references in it resolved.

    Args:
        data: the spec.
        environ: where variables are looked up.
        unknown: places of which nothing is known, and which are not judged.
    """
    resolved = _resolved(data, environ)
    resolved = resolved._replace(unknown=resolved.unknown | unknown)
    reader = _Reader(resolved, unknown)
    parts = reader.parts(resolved.value)
    told = tuple(resolved.explained(reader.findings))
    resolved = resolved._replace(unknown=resolved.unknown | reader.wrong)
    findings = [*resolved.findings, *map(_misplaced, sorted(resolved.secret_paths, key=str))]
    return Draft(resolved, parts, (*findings, *told))


def draft_of_spec(spec: GuildSpec, environ: Mapping[str, str]) -> Draft:
    """As `draft_of`, of a spec that was read; its parts are its own unless it holds references."""
    data = spec.as_data()
    resolved = _resolved(data, environ)
    return draft_of(data, environ) if resolved.written else Draft(resolved, Parts.of(spec), ())


def _resolved(data: Any, environ: Mapping[str, str]) -> Resolved:
    return resolve_gently(
        data, environ=environ, made=FromReference, leaves=GuildSpec.is_resolved_late
    )


class _Reader:
    def __init__(self, resolved: Resolved, unreadable: frozenset[Path]) -> None:
        self._resolved = resolved
        self._unreadable = unreadable
        self.findings: list[Finding] = []
        self.wrong: set[Path] = set()
        self._lost: set[str] = set()

    def parts(self, data: Any) -> Parts:
        if not isinstance(data, dict):
            self.findings.append(Finding((), "a spec is a mapping of keys such as id and agents"))
            return Parts({}, {}, {}, knows_agents=False)
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
            buses=buses_of(guild) if guild else {},
            knows_agents="agents" not in self._lost,
            knows_topics=self._lost.isdisjoint({"agents", "topics", "guild"}),
            knows_resources="resources" not in self._lost,
            knows_ends=self._lost.isdisjoint({"ends", "guild"}),
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
        """`data` as a `model`, without the keys that are wrong; None if nothing is left."""
        if not isinstance(data, dict):
            keys = ", ".join(keys_of(model)[:3])
            self.findings.append(Finding(path, f"this should be a mapping of keys such as {keys}"))
            self._lose(path)
            return None
        known = keys_of(model)
        wrong = self._unknown_below(path)
        strange = [key for key in data if key not in known and (*path, key) not in self._unreadable]
        slips = [unknown_key((*path, key), known) for key in strange]
        self.findings += slips
        kept = {key: value for key, value in data.items() if key in known}
        try:
            whole = model.model_validate(kept)
            if wrong.isdisjoint(kept):
                return whole
        except ValidationError as error:
            meant = {slip.suggestion for slip in slips}
            self.findings += [
                finding
                for finding in findings_of(error, model, path)
                if not (finding.is_missing and _names(finding) & meant)
            ]
            wrong |= {str(problem["loc"][0]) for problem in error.errors() if problem["loc"]}
        self._lost |= {"topics", "ends"} & wrong
        return self._without(wrong, kept, model, path)

    def _without(
        self, wrong: set[str], kept: Mapping[str, Any], model: type[M], path: Path
    ) -> M | None:
        """What is right of a part; what it needs and lacks is `UNREADABLE`."""
        self.wrong |= {(*path, key) for key in wrong & kept.keys()}
        rest = {key: value for key, value in kept.items() if key not in wrong}
        absent = [key for key in required_keys_of(model) if key not in rest]
        try:
            part = model.model_validate({**dict.fromkeys(absent, _ANY_TEXT), **rest})
        except ValidationError as error:  # what is right by itself does not go together
            told = [f for f in findings_of(error, model, path) if not _names(f) & wrong]
            self.findings += [finding for finding in told if finding not in self.findings]
            also_wrong = {name for finding in told for name in _names(finding)} & rest.keys()
            if also_wrong:
                return self._without(wrong | also_wrong, kept, model, path)
            if model is ScheduleSpec and "every_s" not in rest:  # when it fires is all it lacks
                return self._without(wrong - {"every_s"}, {**kept, **_ANY_RHYTHM}, model, path)
            self._lose(path)
            return None
        if "id" in absent and path:
            self._lose(path)
        unread = {*absent, *(_LEADING & wrong & kept.keys() & model.model_fields.keys())}
        return part.model_copy(update=dict.fromkeys(unread, UNREADABLE))

    def _unknown_below(self, path: Path) -> set[str]:
        """The keys at `path` whose values are not known here."""
        depth = len(path)
        places: Iterable[Path] = self._resolved.unknown
        return {
            str(place[depth])
            for place in places
            if place[:depth] == path
            and len(place) > depth
            and (place[depth] not in _FREE_FORM or len(place) == depth + 1)
        }

    def _lose(self, path: Path) -> None:
        """Remember that something is missing, so that what refers to it is not called wrong."""
        self._lost.add(str(path[0]) if path else "guild")


def _names(finding: Finding) -> set[str]:
    """The keys that a finding about several of them names."""
    return set(QUOTED.findall(finding.text))


def _misplaced(path: Path) -> Finding:
    return Finding(
        path,
        "a secret may stand in 'bus', 'neighbours' and 'properties' alone, because everything else "
        "of a spec is shown: write ${VAR}",
    )
