"""Finds agents and resources by the names that specs use.

A name is an entry point of an installed distribution (`guildbus.agents`, `guildbus.resources`).
A dotted path is code that a spec would have us run: it is refused unless the operator allows its
package, or Python code of this process has handed the very class to a builder before.
"""

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path as FilePath
from typing import Any, NamedTuple

from guild.agent.agent import Agent
from guild.errors import MissingExtraError, UnknownAgentTypeError
from guild.suggest import closest
from messaging._origin import check_origin

AGENTS = "guildbus.agents"
RESOURCES = "guildbus.resources"

AgentClass = type[Agent[Any]]
ResourceFactory = Callable[..., Any]
"""`factory(properties)` -> async context manager of the resource."""

_KIND = {AGENTS: "agent", RESOURCES: "resource"}
_handed_over: dict[str, Any] = {}
_INSIDE = "<locals>"


class Needs(NamedTuple):
    """What must be installed before something can start."""

    extra: str
    modules: tuple[str, ...]


class Registry:
    """The agent and resource types that specs may name here.

    Args:
        allow: package prefixes below which specs may name classes by dotted path.
    """

    def __init__(self, allow: Iterable[str] = ()) -> None:
        self.allow = (allow,) if isinstance(allow, str) else tuple(allow)

    def agent_class(self, type_name: str, given: Any = None) -> AgentClass:
        """The agent class that `type_name` stands for: `given`, where Python code gave it.

        Raises:
            UnknownAgentTypeError: there is none, it may not be used, or it cannot be imported.
        """
        found = self._find(AGENTS, type_name) if given is None else given
        if not (isinstance(found, type) and issubclass(found, Agent)):
            raise UnknownAgentTypeError("agent", type_name, f"{type_name!r} is not an Agent class")
        return found

    def resource_factory(self, type_name: str, given: Any = None) -> ResourceFactory:
        """The factory that `type_name` stands for: `given`, where Python code gave it.

        Raises:
            UnknownAgentTypeError: there is none, it may not be used, or it cannot be imported.
        """
        found = self._find(RESOURCES, type_name) if given is None else given
        if not callable(found):
            raise UnknownAgentTypeError("resource", type_name, f"{type_name!r} is not callable")
        factory: ResourceFactory = found
        return factory

    @cached_property
    def agent_types(self) -> Mapping[str, str]:
        """Every registered agent type and the class behind it, by name."""
        return _values(AGENTS)

    @cached_property
    def resource_types(self) -> Mapping[str, str]:
        """Every registered resource type and the factory behind it, by name."""
        return _values(RESOURCES)

    def _find(self, group: str, type_name: str) -> Any:
        if type_name in _handed_over:
            return _handed_over[type_name]
        known = self.agent_types if group == AGENTS else self.resource_types
        if type_name in known:
            return _load(_KIND[group], type_name, known[type_name])
        if any(_is_below(type_name, prefix) for prefix in self.allow):
            return _load(_KIND[group], type_name, _with_colon(type_name))
        text, hint = f"unknown {_KIND[group]} type {type_name!r}", closest(type_name, known)
        if _is_path(type_name):
            text += _not_allowed(type_name, self.allow)
            hint = _named_by_file(type_name)
        elif type_name in self.allow:
            text += f"; {type_name} is a module: write {type_name}:CLASS"
        raise UnknownAgentTypeError(_KIND[group], type_name, text, hint)


def type_name_of(target: Any, group: str = AGENTS) -> str:
    """The registered name of a class or factory, else its path, which this process now knows.

    A path into a function stands for whatever it made last, so that no spec may name it.
    """
    path = f"{target.__module__}:{target.__qualname__}"
    for entry in _entries(group):
        if entry.value == path or (entry.attr == target.__name__ and entry.load() is target):
            return entry.name
    if _INSIDE not in path:
        _handed_over[path] = target
    return path


def why_unnameable(type_name: str, given: Any) -> str:
    """Why another process would not find `given` under its path; "" if it would, or was read."""
    if not _is_path(type_name):
        return ""
    module, _, attributes = _with_colon(type_name).partition(":")
    remedy = "; define it at the top level of a module, or register it as an entry point"
    if _INSIDE in attributes:
        return f"{type_name} was made in a function, where a path cannot lead{remedy}"
    if given is None:
        return ""
    if module == "__main__":
        return f"{type_name} is part of a script or notebook, which others do not import{remedy}"
    found = sys.modules.get(module)
    for attribute in attributes.split("."):
        found = getattr(found, attribute, None)
    if found is given:
        return ""
    stands_there = "nothing stands" if found is None else "another definition stands"
    return f"{type_name} would not lead back: {stands_there} there now{remedy}"


def requires(*modules: str, extra: str = "") -> Callable[[ResourceFactory], ResourceFactory]:
    """Say which modules a resource factory needs, and which extra of guildbus brings them."""

    def mark(factory: ResourceFactory) -> ResourceFactory:
        factory.__guild_needs__ = Needs(extra, modules)  # type: ignore[attr-defined] # functions take any
        return factory

    return mark


def check_installed(target: Any, subject: str, place: str = "") -> None:
    """Pass when everything that `target` needs is installed; imports nothing.

    Raises:
        MissingExtraError: names `subject`, `place` and the command to run.
    """
    needs = needs_of(target)
    missing = [module for module in needs.modules if not _is_installed(module)]
    if missing:
        raise MissingExtraError(subject, needs.extra, missing, place)


def needs_of(target: Any) -> Needs:
    """What `target`, an agent class or a resource factory, says it needs."""
    marked: Needs | None = getattr(target, "__guild_needs__", None)
    return marked or Needs(getattr(target, "extra", ""), tuple(getattr(target, "requires", ())))


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ModuleNotFoundError, ValueError):
        return False


def _entries(group: str) -> Iterable[EntryPoint]:
    return entry_points(group=group)


def _values(group: str) -> dict[str, str]:
    return {entry.name: entry.value for entry in sorted(_entries(group), key=lambda e: e.name)}


def _is_path(type_name: str) -> bool:
    """Registered names are lower case, as modules are; classes are not."""
    return ":" in type_name or type_name.rpartition(".")[2][:1].isupper()


def _named_by_file(type_name: str) -> str:
    """The path of the class that `type_name` names by its file; "" where it names no file."""
    file, _, attributes = type_name.partition(":")
    module = ".".join(part for part in file.removesuffix(".py").split("/") if part.strip("."))
    return f"{module}:{attributes}" if attributes and module != file else ""


def _not_allowed(type_name: str, allowed: Sequence[str]) -> str:
    if meant := _named_by_file(type_name):
        return f"; a class goes by its module, as {meant}, and not by a file"
    package = type_name.partition(":")[0].partition(".")[0]
    others = f" (allowed are: {', '.join(allowed)})" if allowed else ""
    return (
        "; a class by its path must lie below a package that the operator allows: "
        f"--allow {package}, or GUILDBUS_ALLOW{others}"
    )


def _is_below(type_name: str, prefix: str) -> bool:
    return type_name.startswith((f"{prefix}.", f"{prefix}:"))


def _with_colon(path: str) -> str:
    return path if ":" in path else ":".join(path.rpartition(".")[::2])


def _load(kind: str, type_name: str, value: str) -> Any:
    module_name, _, attributes = value.partition(":")
    found: Any = None
    wanted = ""
    try:
        found = importlib.import_module(module_name)
        for wanted in attributes.split("."):
            found = getattr(found, wanted)
    except (Exception, SystemExit) as error:  # importing runs code of anybody's
        is_slip = isinstance(error, AttributeError) and found is not None
        hint = _meant(kind, found, wanted) if is_slip else ""
        why = _explained(error, module_name)
        if is_slip and not hint:
            why += _what_is_there(kind, found)
        text = f"{kind} type {type_name!r} cannot be loaded: {why}"
        if hint and type_name.endswith(wanted):
            hint = type_name.removesuffix(wanted) + hint
        raise UnknownAgentTypeError(
            kind, type_name, text, hint or _named_by_file(type_name)
        ) from error
    return found


def _meant(kind: str, holder: Any, wanted: str) -> str:
    """The name in a module or class that `wanted` was probably to be: an agent's before others.

    What is not loaded stays so, and counts among the others.
    """
    names = [name for name in dir(holder) if not name.startswith("_")]
    if wanted in names:  # it is there, and getting it failed
        return ""
    loaded = getattr(holder, "__dict__", {})
    agents = [name for name in names if _is_agent(loaded.get(name))]
    return (kind == "agent" and closest(wanted, agents)) or closest(wanted, names)


def _is_agent(found: Any) -> bool:
    return isinstance(found, type) and issubclass(found, Agent) and found is not Agent


def _what_is_there(kind: str, holder: Any) -> str:
    """Agents that a module has, or which file stands before the one that was probably meant."""
    name, file = getattr(holder, "__name__", ""), getattr(holder, "__file__", None)
    here = FilePath(f"{name}.py").absolute()
    if here.is_file() and (file is None or here.resolve() != FilePath(file).resolve()):
        return f"; {file or name} is found before {here.name} here: give yours another name"
    loaded = sorted(
        key for key, value in getattr(holder, "__dict__", {}).items() if _is_agent(value)
    )
    if kind != "agent" or not loaded:
        return ""
    return f"; there {'are' if len(loaded) > 1 else 'is'} {', '.join(loaded)}"


def _explained(error: BaseException, module_name: str) -> str:
    """What went wrong, in one line; also that another project's `agents` stands before ours."""
    try:
        if module_name.startswith("agents."):
            check_origin("agents")
    except ImportError as better:
        error = better
    told = f"{type(error).__name__}: {' '.join(str(error).split())}{_place(error)}"
    if isinstance(error, SystemExit):
        told += '; what a script does stands below `if __name__ == "__main__":`'
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing and f"{module_name}.".startswith(f"{missing}."):
        told += "; it must lie in the folder where you start, or be installed"
    return told


def _place(error: BaseException) -> str:
    """The line of the imported code, not of ours or of Python's, that raised `error`."""
    ours = ("guild", "messaging", "importlib", "_frozen_importlib", "_frozen_importlib_external")
    lines = [
        f" ({FilePath(frame.f_code.co_filename).name}:{line})"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).partition(".")[0] not in ours
    ]
    return lines[-1] if lines else ""
