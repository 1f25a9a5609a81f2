"""Messages: pydantic models with a stable name and version on the wire."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple, Self, TypeVar, cast

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticSerializationError

from messaging.errors import (
    InvalidMessageError,
    MissingUpcasterError,
    TooNewError,
    UnknownTypeError,
    WireNameConflictError,
)
from messaging.wire.difference import differences
from messaging.wire.fidelity import Fidelity, Unverified, fidelity_of
from messaging.wire.json_limits import (
    DIGITS_TO_ZERO,
    LONG_NUMBER,
    MOST_PROBLEMS,
    TOO_DEEP,
    Leeway,
    is_too_deep,
    path_to,
    problems_in,
)
from messaging.wire.unfit import check_class
from messaging.wire.upcasting import Upcaster, check_step, oldest_readable, upcast, upcasters_of

M = TypeVar("M", bound=BaseModel)

NO_SUCH_FIELD = "there is no such field"


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

    A generic class with a wire name gives it to `Box[int]`, too, as `box[int]`, with its version.
    Making a class whose messages could never arrive as they were sent raises `UnfitClassError`.
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
        check_class(cls)
        generic = cast("type[Message] | None", cls.__pydantic_generic_metadata__["origin"])
        if generic is None:
            cls.__wire_type__ = WireType(wire_name or cls.__name__, version)
            cls.__upcasters__ = {}
        else:
            cls.__wire_type__ = _wire_type_of_parametrised(cls, generic)
            cls.__upcasters__ = generic.__upcasters__

    @classmethod
    def model_construct(  # type: ignore[override]  # pydantic's plug-in for mypy adds its own
        cls, _fields_set: set[str] | None = None, **values: Any
    ) -> Self:
        """As pydantic's. Nothing is validated here, so that publishing the message does it."""
        return _unverified(super().model_construct(_fields_set, **values))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's. An `update` is not validated here, so that publishing it does it."""
        copied = super().model_copy(update=update, deep=deep)
        return _unverified(copied) if update else copied

    @classmethod
    def upcast(cls, *, from_version: int) -> Callable[[Upcaster], Upcaster]:
        """Decorate the function that turns JSON of `from_version` into that of the next version.

        Messages of earlier versions then decode as this class; see `messaging.wire.upcasting`.

        Raises:
            ValueError: the class is not that new, or has that step already.
        """
        check_step(cls.__name__, cls.__wire_type__.version, cls.__upcasters__, from_version)

        def register(upcaster: Upcaster) -> Upcaster:
            cls.__upcasters__[from_version] = upcaster
            return upcaster

        return register


def _unverified(message: M) -> M:
    object.__setattr__(
        message, "__pydantic_fields_set__", Unverified(message.__pydantic_fields_set__)
    )
    return message


def _wire_type_of_parametrised(
    message_class: type[BaseModel], generic: type["Message"]
) -> WireType:
    """Of `Box[Item]`: made of the wire names of both, where `Box` was given one."""
    wire_type = generic.__wire_type__
    if wire_type == (generic.__name__, 1):
        return WireType(message_class.__name__, 1)
    parameters = message_class.__pydantic_generic_metadata__["args"]
    names = ", ".join(_parameter_name(generic, each) for each in parameters)
    return WireType(f"{wire_type.name}[{names}]", wire_type.version)


def _parameter_name(generic: type[BaseModel], parameter: Any) -> str:
    if isinstance(parameter, type) and issubclass(parameter, BaseModel):
        return str(wire_type_of(parameter))
    return generic.model_parametrized_name((parameter,))[len(generic.__name__) + 1 : -1]


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
            one, other = _path(message_class), _path(present)
            both = f"{one} and {other}" if one != other else f"two different classes, both {one},"
            raise WireNameConflictError(
                f"{both} are both called {wire_type} on the wire; give one of them a wire_name="
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
            UnknownTypeError: it is not registered; a `TooNewError` or `MissingUpcasterError` when
                only other versions are.
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
            UnknownTypeError: the type is not registered.
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
    """`message` as JSON that will be read back as an equal message.

    Raises:
        InvalidMessageError: it holds what JSON cannot, a lone surrogate, NaN, a cycle, a foreign
            object, or more than a payload may: an integer past 64 bits, 65 levels of nesting; or
            it would arrive as another message. The text names the fields.
        UnfitClassError: no message of its class could arrive.
    """
    message_class = type(message)
    fidelity = fidelity_of(message_class)
    leeway = fidelity.leeway
    is_sure = fidelity.is_simple and type(message.__pydantic_fields_set__) is not Unverified
    try:
        if is_sure:
            # Giving it any option costs as much as writing the message.
            payload = message.__pydantic_serializer__.to_json(message)
        else:
            payload, is_sure = _written(message, fidelity)
        if leeway is not None and (
            leeway.depth or leeway.floats or LONG_NUMBER in payload.translate(DIGITS_TO_ZERO)
        ):
            _check_depth(message_class, payload, leeway)
            _check_values(message, payload, leeway)
    except (PydanticSerializationError, UnicodeEncodeError) as error:
        problem = f"cannot be written as JSON: {error}"
        raise InvalidMessageError(str(wire_type_of(message_class)), (problem,)) from error
    if not is_sure:
        _try_to_read(message, payload)
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
    fidelity = fidelity_of(message_class)
    leeway = fidelity.leeway
    if leeway is not None:
        if leeway.depth or leeway.floats or LONG_NUMBER in payload.translate(DIGITS_TO_ZERO):
            _check_depth(message_class, payload, leeway)
        else:
            leeway = None
    try:
        # What `model_validate_json` calls in the end, without 0.4 µs of looking at options.
        read = message_class.__pydantic_validator__.validate_json
        if fidelity.has_own_names:
            message: M = read(payload, by_alias=False, by_name=True)
        else:
            message = read(payload)
    except ValidationError as error:
        raise InvalidMessageError(str(wire_type_of(message_class)), problems_of(error)) from None
    if leeway is not None:
        _check_values(message, payload, leeway)
    return message


def _written(message: BaseModel, fidelity: Fidelity) -> tuple[bytes, bool]:
    """`message` as JSON, and whether it is sure to arrive as it is."""
    by_alias = False if fidelity.has_own_names else None
    write = message.__pydantic_serializer__.to_json
    if fidelity.is_sure_of(message):
        if not fidelity.is_mutable:
            return write(message), True
        with suppress(PydanticSerializationError):  # its lists hold what is not of their types
            return write(message, by_alias=by_alias, warnings="error"), True
    check_class(type(message))
    return write(message, by_alias=by_alias, round_trip=True, warnings="none"), False


def _try_to_read(message: BaseModel, payload: bytes) -> None:
    """Pass when `payload` is read as a message equal to `message`, which it was written from."""
    try:
        problems = differences(message, decode(type(message), payload))
    except InvalidMessageError as error:
        problems = tuple(f"it would not be read again: {problem}" for problem in error.problems)
    if problems:
        raise InvalidMessageError(str(wire_type_of(type(message))), problems)


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


_PYTHONS_LISTS = re.compile(r"^(Tuple|List|Set|Frozenset)\b")


def _sentence(problem: ErrorDetails) -> str:
    if problem["type"] == "union_tag_invalid":  # pydantic's own sentence repeats the tag it found
        return f"no such tag, expected one of {problem['ctx']['expected_tags']}"
    if problem["type"] == "extra_forbidden":
        return NO_SUCH_FIELD
    text = problem["msg"].replace(" after validation", "")
    if problem["type"] in {"too_short", "too_long"}:  # JSON knows one kind of list
        return _PYTHONS_LISTS.sub("Array", text)
    return text


def _is_same_source(one: type[BaseModel], other: type[BaseModel]) -> bool:
    """Whether `other` is `one`, defined again: by a reload, or by a notebook's cell run again."""
    if _path(one) != _path(other) or _parameters(one) != _parameters(other):
        return False
    # A function may make several classes under one path, which are one only if they look alike.
    return "<locals>" not in one.__qualname__ or _shape(one) == _shape(other)


def _path(message_class: type) -> str:
    return f"{message_class.__module__}.{message_class.__qualname__}"


def _parameters(message_class: type[BaseModel]) -> tuple[str, ...]:
    parameters = message_class.__pydantic_generic_metadata__["args"]
    return tuple(_path(each) if isinstance(each, type) else repr(each) for each in parameters)


def _shape(message_class: type[BaseModel]) -> dict[str, str]:
    return {name: repr(field.annotation) for name, field in message_class.model_fields.items()}
