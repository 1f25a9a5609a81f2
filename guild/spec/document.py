"""Reads YAML and JSON into plain data, strictly, and remembers where everything stood.

Built on PyYAML's events rather than its constructors: YAML 1.2 scalars (`no` is text, `12:30` is
text), no tags, aliases or duplicate keys, nothing deeper or larger than a spec needs to be. Those
rules hold for every part of a document that is put together with `!include`.
"""

import json
import math
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml

from guild.errors import Path, Problem, SpecError
from guild.spec.parse_errors import UndecodableError, decoded, json_slip, unmarked, yaml_slip
from guild.spec.source import Position, Source

MAX_SIZE_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_NODES = 10_000

_TOO_DEEP = f"nested more than {MAX_DEPTH} deep"
_TOO_LONG = f"a spec is at most {MAX_SIZE_BYTES // 1024} KiB long"
_TOO_DEEP_FOR_LIBYAML = "exceeded maximum nesting depth"  # it looks far ahead of what it gives us
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
_WORD = re.compile(r"true|True|TRUE|false|False|FALSE|null|Null|NULL|~|")
_HEX = "[0-9a-fA-F]"
_SURROGATES = re.compile(
    rf"(?<!\\)((?:\\\\)*)(\\u[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}})"
)
_NOT_PLAIN_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True)
class Document:
    """Plain data and where it stood.

    Attributes:
        problems: what is wrong with single values. Of keys that are there twice the first counts.
        unknown: where the values stand, or should, that could not be read.
    """

    data: Any
    source: Source
    problems: tuple[Problem, ...] = ()
    unknown: frozenset[Path] = frozenset()


def read_file(path: str | FilePath) -> Document:
    """The document in a `.json` file, or in a YAML file with what it includes.

    Raises:
        SpecError: it cannot be used at all; each problem with file, line and column.
    """
    reader = _Reader()
    return reader.read(str(path), lambda: reader.file(FilePath(path), str(path), (), 0))


def read_yaml(text: str, name: str = "<yaml>") -> Document:
    """The document in `text`, which may not include files.

    Raises:
        SpecError: it cannot be used at all; each problem with name, line and column.
    """
    reader = _Reader()
    return reader.read(name, lambda: reader.text(unmarked(text), name, (), 0))


def read_json(text: str, name: str = "<json>") -> Document:
    """As `read_yaml`, for JSON and nothing else.

    Raises:
        SpecError: it cannot be used at all; each problem with name, line and column.
    """
    reader = _Reader()
    return reader.read(name, lambda: reader.json(unmarked(text), name, (), 0))


class _CannotGoOnError(Exception):
    """Reading cannot go on behind this place."""


@dataclass
class _Reader:
    """Gathers the data, positions and problems of one document and its includes."""

    problems: list[Problem] = field(default_factory=list)
    duplicates: list[Problem] = field(default_factory=list)
    values: dict[Path, Position] = field(default_factory=dict)
    keys: dict[Path, Position] = field(default_factory=dict)
    nodes: int = 0
    size_bytes: int = 0
    root: FilePath | None = None
    open_files: tuple[FilePath, ...] = ()

    def read(self, name: str, produce: Callable[[], Any]) -> Document:
        unknown: frozenset[Path] = frozenset({()})
        with suppress(_CannotGoOnError):
            data = produce()
            unknown = frozenset(problem.path for problem in self.problems)
        problems = sorted([*self.problems, *self.duplicates], key=lambda each: each[:3])
        if () in unknown:
            raise SpecError(problems)
        return Document(data, Source(name, self.values, self.keys), tuple(problems), unknown)

    def file(self, file: FilePath, name: str, path: Path, depth: int) -> Any:
        try:
            with file.open("rb") as stream:
                content = stream.read(MAX_SIZE_BYTES + 1)  # a device has no size, and no end
            if len(content) > MAX_SIZE_BYTES:
                return self.report(Position(name, 1, 1), path, _TOO_LONG)
            text = decoded(content)
        except UndecodableError as error:
            return self.report(Position(name, error.line, error.column), path, error.text)
        except OSError as error:
            reason = error.strerror or str(error)
            return self.report(Position(name, 1, 1), path, f"cannot read {file}: {reason}")
        if self.root is None:
            self.root = file.resolve().parent
        if file.suffix == ".json":
            return self.json(text, name, path, depth)
        outer, self.open_files = self.open_files, (*self.open_files, file.resolve())
        data = self.text(text, name, path, depth)
        self.open_files = outer
        return data

    def json(self, text: str, name: str, path: Path, depth: int) -> Any:
        try:
            json.loads(text, parse_constant=_refuse)
        except json.JSONDecodeError as error:
            return self.report(Position(name, error.lineno, error.colno), path, json_slip(error))
        except _NotJSONError as error:
            line = text.count("\n", 0, text.index(str(error))) + 1
            return self.report(Position(name, line, 1), path, f"{error} is not JSON")
        except (RecursionError, ValueError):
            pass  # what is too deep or too long for Python is found, and placed, below
        # Valid JSON is YAML but for three things: tabs between tokens, escaped surrogate pairs, and
        # characters that YAML refuses or takes for the end of a line.
        text = _SURROGATES.sub(lambda m: m[1] + json.loads(f'"{m[2]}"'), text.replace("\t", " "))
        text = _NOT_PLAIN_IN_YAML.sub(lambda m: f"\\u{ord(m[0]):04x}", text)
        return self.text(text, name, path, depth)

    def text(self, text: str, name: str, path: Path, depth: int) -> Any:
        if not self._fits(text, name, path):
            return None
        events = yaml.parse(text, Loader=_LOADER)
        try:
            return _Walk(self, name, events).document(path, depth)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line, mark.column) if mark else (0, 0)
            problem = yaml_slip(error, text)
            if problem == _TOO_DEEP_FOR_LIBYAML:
                problem = _TOO_DEEP
            return self.report(Position(name, line + 1, column + 1), path, problem)
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            column = error.position - text.rfind("\n", 0, error.position)
            told = f"{error.reason}: U+{error.character:04X}"
            return self.report(Position(name, line, column), path, told)

    def include(self, target: str, position: Position, path: Path, depth: int) -> Any:
        """The data of another file, named relative to the one that includes it."""
        if self.root is None or not self.open_files:
            return self.report(position, path, "!include works in YAML files only")
        try:
            file = (self.open_files[-1].parent / target).resolve()
            is_file = file.is_file()
        except (OSError, ValueError) as error:  # too long, not to be looked at, or with a 0 in it
            reason = getattr(error, "strerror", None) or str(error)
            return self.report(position, path, f"cannot include {target!r}: {reason}")
        if not file.is_relative_to(self.root):
            return self.report(position, path, f"{target!r} lies outside {self.root}")
        if file in self.open_files:
            return self.report(position, path, f"{target!r} includes itself")
        if not is_file:
            return self.report(position, path, f"there is no file {target!r} to include")
        return self.file(file, target, path, depth)

    def _fits(self, text: str, name: str, path: Path) -> bool:
        try:
            self.size_bytes += len(text.encode())
        except UnicodeEncodeError as error:
            line = text.count("\n", 0, error.start) + 1
            self.report(Position(name, line, 1), path, "the text holds half a character")
            return False
        if self.size_bytes > MAX_SIZE_BYTES:
            self.report(Position(name, 1, 1), path, _TOO_LONG)
            return False
        return True

    def report(self, position: Position, path: Path, text: str) -> None:
        self.problems.append(Problem(*position, path, text))


class _Walk:
    """One text's events, consumed from left to right."""

    def __init__(self, reader: _Reader, name: str, events: Iterator[Any]) -> None:
        self._reader = reader
        self._name = name
        self._events = events

    def document(self, path: Path, depth: int) -> Any:
        next(self._events)  # the stream starts
        if isinstance(next(self._events), yaml.StreamEndEvent):
            self._reader.report(Position(self._name, 1, 1), path, "the document is empty")
            return None
        data = self._value(next(self._events), path, depth)
        next(self._events)  # the document ends
        if not isinstance(event := next(self._events), yaml.StreamEndEvent):
            self.report(event, (), "one document only: remove what follows ---")
        return data

    def _value(self, event: Any, path: Path, depth: int) -> Any:
        self._reader.values[path] = self._position(event)
        self._count(event, path, depth)
        if isinstance(event, yaml.AliasEvent):
            whole = path[:-1] if path[-1:] == ("<<",) else path  # what it would bring is not missed
            return self.report(
                event,
                whole,
                f"aliases are not allowed (*{event.anchor}): write the value out, or keep it in a "
                "file of its own and !include it",
            )
        if event.anchor:
            self.report(event, path, f"anchors are not allowed (&{event.anchor}): remove it")
        if event.tag == "!include" and isinstance(event, yaml.ScalarEvent):
            return self._reader.include(event.value, self._position(event), path, depth)
        if event.tag is not None:
            self.report(event, path, f"tags are not allowed ({event.tag}): remove it")
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path, depth)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path, depth)
        return self._scalar(event, path)

    def _sequence(self, path: Path, depth: int) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(event, (*path, len(items)), depth + 1))
        return items

    def _mapping(self, path: Path, depth: int) -> dict[str, Any]:
        items: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, path, depth)
            key_path = (*path, key)
            if key in items:
                first = self._reader.keys[key_path].line
                text = f"duplicate key {key!r}, first in line {first}"
                self._reader.duplicates.append(Problem(*self._position(event), key_path, text))
                self._value(next(self._events), (*key_path, "duplicate"), depth + 1)
                continue
            self._reader.keys[key_path] = self._position(event)
            value = self._value(next(self._events), key_path, depth + 1)
            if key != "<<" or event.style:  # in quotes it is a key as any other
                items[key] = value
            elif value is not None:
                self.report(event, path, "keys are not merged (<<): write them here")
        return items

    def _key(self, event: Any, path: Path, depth: int) -> str:
        if isinstance(event, yaml.ScalarEvent) and event.tag is None and not event.anchor:
            if event.style or isinstance(plain_scalar(event.value), str):
                return str(event.value)
            key = str(event.value)
            self.report(event, (*path, key), f"a key is text: write {event.value!r} in quotes")
            return key
        key = f"\0{self._reader.nodes}"
        self.report(event, (*path, key), "a key is plain text")
        self._value(event, (*path, "key"), depth + 1)
        return key

    def _scalar(self, event: Any, path: Path) -> Any:
        if event.style:  # neither None (PyYAML) nor "" (libyaml) for plain scalars
            return event.value
        if _NOT_FINITE.fullmatch(event.value):
            return self.report(event, path, "a number must be finite")
        try:
            value = plain_scalar(event.value)
        except ValueError:
            return self.report(event, path, "the number is too long")
        if isinstance(value, float) and not math.isfinite(value):
            return self.report(event, path, "the number is too large")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            return self.report(event, path, "the number does not fit 64 bits")
        return value

    def _count(self, event: Any, path: Path, depth: int) -> None:
        self._reader.nodes += 1
        if depth >= MAX_DEPTH:
            self.report(event, path, _TOO_DEEP)
            raise _CannotGoOnError
        if self._reader.nodes > MAX_NODES:
            self.report(event, path, f"a spec has at most {MAX_NODES:,} values")
            raise _CannotGoOnError

    def _position(self, event: Any) -> Position:
        mark = event.start_mark
        return Position(self._name, mark.line + 1, mark.column + 1)

    def report(self, event: Any, path: Path, text: str) -> None:
        self._reader.report(self._position(event), path, text)


class _NotJSONError(Exception):
    """Python reads NaN and Infinity, JSON knows neither."""


def _refuse(constant: str) -> None:
    raise _NotJSONError(constant)


def plain_scalar(text: str) -> Any:
    """What an unquoted scalar means in YAML 1.2."""
    if _WORD.fullmatch(text):
        return _WORDS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
