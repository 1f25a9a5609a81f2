"""Messages: pydantic models with a stable name and version on the wire."""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple, TypeVar, cast

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticSerializationError

from messaging.errors import (
    InvalidMessageError,
    MissingUpcasterError,
    TooNewError,
    UnknownTypeError,
    WireNameConflictError,
)
from messaging.soundness import (
    MOST_PROBLEMS,
    TOO_DEEP,
    Leeway,
    is_suspect,
    is_too_deep,
    leeway_of,
    path_to,
    problems_in,
)
from messaging.versions import Upcaster, check_step, oldest_readable, upcast, upcasters_of

M = TypeVar("M", bound=BaseModel)


class WireType(NamedTuple):
    """What a class is called in an envelope."""

    name: str
    version: int

    def __str__(self) -> str:
        return self.name if self.version == 1 else f"{self.name}@{self.version}"


class Message(BaseModel):
    """A frozen model that may travel: nothing unknown, no NaN or Infinity, no values in errors.

    The wire name is the class's own name unless `wire_name=` says otherwise; with it a class
    may be renamed or moved while stored messages still decode:

        class EvaluateModel(Message, wire_name="research.evaluate", version=2): ...
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True
    )

    __wire_type__: ClassVar[WireType]
    __upcasters__: ClassVar[dict[int, Upcaster]]

    def __init_subclass__(
        cls, *, wire_name: str | None = None, version: int = 1, **kwargs: Any
    ) -> None:
        # Pydantic hands class keywords to this hook too, and `object` refuses them.
        super().__init_subclass__(**kwargs)

    @classmethod
    def __pydantic_init_subclass__(
        cls, *, wire_name: str | None = None, version: int = 1, **kwargs: Any
    ) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls.__wire_type__ = WireType(wire_name or cls.__name__, version)
        cls.__upcasters__ = {}

    @classmethod
    def upcast(cls, *, from_version: int) -> Callable[[Upcaster], Upcaster]:
        """Decorate the function that turns JSON of `from_version` into that of the next version.

        Messages of earlier versions then decode as this class; see `messaging.versions`.

        Raises:
            ValueError: the class is not that new, or has that step already.
        """
        check_step(cls.__name__, cls.__wire_type__.version, cls.__upcasters__, from_version)

        def register(upcaster: Upcaster) -> Upcaster:
            cls.__upcasters__[from_version] = upcaster
            return upcaster

        return register


@lru_cache(maxsize=4096)
def wire_type_of(message_class: type[BaseModel]) -> WireType:
    """The wire name and version of any model; a plain `BaseModel` goes by its class name."""
    declared = message_class.__dict__.get("__wire_type__")
    return declared if declared is not None else WireType(message_class.__name__, 1)


class MessageRegistry:
    """The classes that one guild, or one client, can decode."""

    def __init__(self, *message_classes: type[BaseModel]) -> None:
        self._classes: dict[tuple[str, int], type[BaseModel]] = {}
        for message_class in message_classes:
            self.add(message_class)

    def __iter__(self) -> Iterator[type[BaseModel]]:
        return iter(self._classes.values())

    def add(self, message_class: type[BaseModel]) -> None:
        """Make `message_class` known; adding it again changes nothing.

        Raises:
            WireNameConflictError: another class has this wire name and version.
        """
        wire_type = wire_type_of(message_class)
        present = self._classes.setdefault(wire_type, message_class)
        if present is not message_class and not _is_same_source(present, message_class):
            raise WireNameConflictError(
                f"{_path(message_class)} and {_path(present)} are both called {wire_type} on the "
                "wire; give one of them a wire_name="
            )
        self._classes[wire_type] = message_class

    def find(self, name: str) -> type[BaseModel] | None:
        """The class with this wire name or class name, the latest version of several.

        `name@2` is that version.
        """
        named = [
            (wire[1], message_class)
            for wire, message_class in self._classes.items()
            if name in (wire[0], message_class.__name__, f"{wire[0]}@{wire[1]}")
        ]
        return max(named, key=lambda pair: pair[0])[1] if named else None

    def has(self, name: str, version: int | None = None) -> bool:
        """Whether a class is registered under this wire name and version, None for any version."""
        if version is not None:
            return (name, version) in self._classes
        return any(wire[0] == name for wire in self._classes)

    def get(self, name: str, version: int) -> type[BaseModel]:
        """The class registered under this wire name and version, or one that reads that version.

        Raises:
            UnknownTypeError: there is none; a `TooNewError` or `MissingUpcasterError` when only
                other versions are known.
        """
        message_class = self._classes.get((name, version))
        if message_class is not None:
            return message_class
        versions = {wire[1]: found for wire, found in self._classes.items() if wire[0] == name}
        if not versions:
            known = tuple(sorted(str(wire_type_of(c)) for c in self._classes.values()))
            raise UnknownTypeError(name, version, known)
        return versions[find_version(name, version, versions)]

    def decode(self, name: str, version: int, payload: bytes) -> BaseModel:
        """The message in `payload`.

        Raises:
            UnknownTypeError: nobody registered the type.
            InvalidMessageError: the payload does not fit it.
        """
        return decode(self.get(name, version), payload, version=version)


def find_version(name: str, version: int, known: Mapping[int, type[BaseModel]]) -> int:
    """Which of the known versions of a type reads `version`: the lowest that can.

    Raises:
        TooNewError: it is later than all of them.
        MissingUpcasterError: none leads back so far.
    """
    later = sorted(each for each in known if each >= version)
    if not later:
        raise TooNewError(name, version, max(known))
    for each in later:
        if oldest_readable(known[each], each) <= version:
            return each
    oldest = oldest_readable(known[later[-1]], later[-1])
    raise MissingUpcasterError(name, version, oldest - 1, later[-1])


def encode(message: BaseModel) -> bytes:
    """`message` as JSON.

    Raises:
        InvalidMessageError: it holds what JSON cannot, a lone surrogate, NaN, a cycle, a foreign
            object, or more than a payload may: an integer past 64 bits, 65 levels of nesting.
    """
    message_class = type(message)
    try:
        payload = message.__pydantic_serializer__.to_json(message)
    except (PydanticSerializationError, UnicodeEncodeError) as error:
        problem = f"cannot be written as JSON: {error}"
        raise InvalidMessageError(str(wire_type_of(message_class)), (problem,)) from error
    leeway = leeway_of(message_class)
    if leeway is not None and is_suspect(payload, leeway):
        _check_depth(message_class, payload, leeway)
        _check_values(message, payload, leeway)
    return payload


def decode(message_class: type[M], payload: bytes, *, version: int | None = None) -> M:
    """The `message_class` in `payload`, which is of that `version` of it; None for its own.

    Raises:
        InvalidMessageError: it is not one; the text names fields and never repeats values.
        TooNewError, MissingUpcasterError: nothing leads from that version to this class.
    """
    if version is not None:
        name, own = wire_type_of(message_class)
        if version != own:
            upcasters = upcasters_of(message_class)
            payload = upcast(payload, upcasters, name=name, start=version, end=own)
    leeway = leeway_of(message_class)
    if leeway is not None and not is_suspect(payload, leeway):
        leeway = None
    if leeway is not None:
        _check_depth(message_class, payload, leeway)
    try:
        # What `model_validate_json` calls in the end, without 0.4 µs of looking at options.
        message = cast(M, message_class.__pydantic_validator__.validate_json(payload))
    except ValidationError as error:
        raise InvalidMessageError(str(wire_type_of(message_class)), problems_of(error)) from None
    if leeway is not None:
        _check_values(message, payload, leeway)
    return message


def problems_of(error: ValidationError) -> tuple[str, ...]:
    """Each problem as `field: sentence`, without the offending values; the first ones of many."""
    problems = [
        f"{path_to(problem['loc'])}: {_sentence(problem)}"
        for problem in error.errors(include_url=False, include_input=False)[:MOST_PROBLEMS]
    ]
    if (more := error.error_count() - len(problems)) > 0:
        problems.append(f"and {more:,} more")
    return tuple(problems)


def _check_depth(message_class: type[BaseModel], payload: bytes, leeway: Leeway) -> None:
    if leeway.depth and is_too_deep(payload):
        raise InvalidMessageError(str(wire_type_of(message_class)), (TOO_DEEP,))


def _check_values(message: BaseModel, payload: bytes, leeway: Leeway) -> None:
    if problems := problems_in(message, payload, leeway):
        raise InvalidMessageError(str(wire_type_of(type(message))), problems)


def _sentence(problem: ErrorDetails) -> str:
    if problem["type"] == "union_tag_invalid":  # pydantic's own sentence repeats the tag it found
        return f"no such tag, expected one of {problem['ctx']['expected_tags']}"
    return problem["msg"]


def _is_same_source(one: type, other: type) -> bool:
    return _path(one) == _path(other)


def _path(message_class: type) -> str:
    return f"{message_class.__module__}.{message_class.__qualname__}"
