"""What goes wrong, as RFC 9457 tells it: one row for each class of error, with what to do."""

import math
from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from guild import errors as guild_errors
from guild.gateway import errors as refusals
from messaging import errors as bus_errors
from messaging.process.logs import get_logger

log = get_logger()

PROBLEM_TYPE = "application/problem+json"
RETRY_AFTER_S = 1
_URN = "urn:guildbus:problem:"


class Kind(NamedTuple):
    """What a class of error is to a caller.

    Attributes:
        title: the same for all errors of the class.
        remedy: what the caller can do about it.
        retry_after_s: when to try again; 0 where trying again does not help.
    """

    status: int
    title: str
    remedy: str
    retry_after_s: int = 0


Handlers = Mapping[Any, Callable[[Request, Exception], Coroutine[Any, Any, Response]]]

INTERNAL = Kind(
    500, "The gateway failed", "Look into the gateway's log; it may be a bug worth a report."
)

KINDS: Mapping[type[Exception], Kind] = {
    # the gateway itself
    refusals.HostNotAllowedError: Kind(
        403,
        "Not a name of this gateway",
        "Use localhost or the address, or start the gateway with --name HOST.",
    ),
    refusals.OriginNotAllowedError: Kind(
        403,
        "Not an origin of this gateway",
        "Ask from a program, or from the gateway's own pages; a proxy in front of it has to pass "
        "the header Host on.",
    ),
    refusals.AmbiguousLengthError: Kind(
        400,
        "The end of the request is not clear",
        "Send one of the two; a proxy in front of the gateway has to drop Content-Length.",
    ),
    refusals.TokenMissingError: Kind(
        401,
        "A token is needed",
        "Send `Authorization: Bearer TOKEN`; `guildbus tokens add` makes a token.",
    ),
    refusals.TokenUnknownError: Kind(
        401,
        "The token is not known",
        "Send one that `guildbus tokens list` shows; `guildbus tokens add` makes a token.",
    ),
    refusals.ScopeMissingError: Kind(
        403,
        "The token may not do this",
        "Use a token with this scope; `guildbus tokens add NAME --scope ...` makes one.",
    ),
    refusals.ReservedError: Kind(
        403, "Not to be sent by callers", "Do what the text says instead."
    ),
    refusals.NoSuchPathError: Kind(404, "No such path", "Take one of those in openapi.json."),
    refusals.MethodNotAllowedError: Kind(
        405, "Not a method of this path", "Use one of those that Allow names."
    ),
    refusals.BodyTypeError: Kind(
        415,
        "Not a type that is read",
        "Send JSON as it is, with `Content-Type: application/json` (curl --json).",
    ),
    refusals.BodyTooLargeError: Kind(
        413, "The body is too large", "Put large data into a file or store, and send its name."
    ),
    refusals.BodyTooSlowError: Kind(408, "The body came too slowly", "Send it again at once."),
    refusals.BodyNotJsonError: Kind(400, "The body is not JSON", "Send one JSON object in UTF-8."),
    refusals.InvalidBodyError: Kind(
        422, "The body does not fit", "Mend the fields that are named; openapi.json has the schema."
    ),
    refusals.InvalidParameterError: Kind(
        422,
        "The parameters do not fit",
        "Mend those that are named; openapi.json says what they may be.",
    ),
    refusals.KeyReusedError: Kind(
        422, "The Idempotency-Key was used", "Send another message under another key."
    ),
    refusals.GatewayClosingError: Kind(
        503,
        "The gateway ends",
        "Ask again as Retry-After says; a request goes on, and is followed at Location.",
        RETRY_AFTER_S,
    ),
    refusals.SourceUnreadableError: Kind(
        503, "It cannot be read", "Have the operator do what the text says.", RETRY_AFTER_S
    ),
    refusals.TooManyRequestsError: Kind(
        429, "Too many requests", "Wait as long as Retry-After says, then go on slower.", 1
    ),
    refusals.TooManyStreamsError: Kind(
        429, "Too many streams", "Close streams that are not read any more.", RETRY_AFTER_S
    ),
    # the guild
    guild_errors.UnknownAgentError: Kind(
        404, "No such agent", "Take one of those that /agents lists."
    ),
    guild_errors.UnknownAgentTypeError: Kind(
        404, "No such type of agent", "Take one of those that are installed here."
    ),
    guild_errors.NoSuchMessageError: Kind(
        422, "No such type of message", "Take one of those that /schemas lists."
    ),
    guild_errors.LetterNotFoundError: Kind(
        404, "No such dead letter", "Take one of those that /dead-letters lists."
    ),
    guild_errors.AgentInUseError: Kind(
        409, "The agent is in use", "Take it out of the spec, or stop it, first."
    ),
    guild_errors.NobodyAnswersError: Kind(
        409, "No agent answers this", "Publish the message instead of asking."
    ),
    guild_errors.UnexpectedReplyError: Kind(
        502, "An answer of another type", "Look at what the agent declares to answer: /schemas."
    ),
    guild_errors.GuildNotRunningError: Kind(
        503, "The guild is not running", "Try again once it is started.", RETRY_AFTER_S
    ),
    guild_errors.NoDeskError: Kind(
        404, "No desk for approvals", "Have an agent of type approvals.desk added to the spec."
    ),
    guild_errors.UnknownApprovalError: Kind(
        404, "No such approval", "Take one of those that /approvals lists."
    ),
    guild_errors.DecisionRefusedError: Kind(
        409, "The decision was refused", "See in /approvals/{id} what was decided."
    ),
    guild_errors.MissingExtraError: Kind(
        501, "A package is missing", "Have the operator install what is named."
    ),
    # the bus: what is asked of it
    bus_errors.UnknownTypeError: Kind(
        422, "No such type of message", "Take one of those that /schemas lists."
    ),
    bus_errors.InvalidMessageError: Kind(
        422, "The message does not fit its type", "Mend the fields; /schemas/{type} says how."
    ),
    bus_errors.PayloadTooLargeError: Kind(
        413, "The message is too large", "Put large data into a file or store, and send its name."
    ),
    bus_errors.WireError: Kind(
        422, "The message cannot travel", "Mend it as the text says, or take another type."
    ),
    bus_errors.TopicError: Kind(
        400, "Not a topic", "Take one of those that /topics or /schemas names."
    ),
    bus_errors.DelayError: Kind(422, "Not a delay", "Give seconds that end by the year 9999."),
    bus_errors.NobodyListensError: Kind(
        409,
        "No agent takes this there",
        "Take a topic that /schemas/{type} names, and see in /agents whether its agents run.",
    ),
    bus_errors.NotAskedError: Kind(
        409, "The id belongs to a message without answer", "Ask under another Idempotency-Key."
    ),
    # the bus: what became of a request
    bus_errors.RequestTimeoutError: Kind(
        504,
        "No answer in time",
        "The request goes on: follow it at Location, wait longer, or cancel it.",
    ),
    bus_errors.RequestFailedError: Kind(
        502,
        "The agent gave up",
        "See the dead letter that is named; mend the cause, then requeue or ask anew.",
    ),
    bus_errors.RequestCancelledError: Kind(
        409, "The request was cancelled", "Ask anew, under another Idempotency-Key."
    ),
    bus_errors.PositionLostError: Kind(
        410,
        "The position is not kept any more",
        "Follow the request without Last-Event-ID, which gives what is kept from its start.",
    ),
    # the bus: the store behind it
    bus_errors.BusFullError: Kind(
        429,
        "The topic is full",
        "Wait as Retry-After says; /agents shows which agent lags.",
        RETRY_AFTER_S,
    ),
    bus_errors.BackendUnavailableError: Kind(
        503,
        "The store is away",
        "Wait as Retry-After says, and send it again, under the same Idempotency-Key.",
        RETRY_AFTER_S,
    ),
    bus_errors.BackendSetupError: Kind(
        503, "The store is not set up", "Have the operator run `guildbus doctor SPEC`."
    ),
    bus_errors.NotReplicatedError: Kind(
        500,
        "Accepted, but not on every replica",
        "Do not send it again; have the operator look after the replicas.",
    ),
    bus_errors.BackendError: Kind(
        503, "The store refused", "Wait as Retry-After says, and try again.", RETRY_AFTER_S
    ),
    bus_errors.BusClosedError: Kind(
        503, "The bus is closed", "Try again once the gateway has started.", RETRY_AFTER_S
    ),
}
"""The nearest class counts for those that have no row of their own; see `kind_of`."""


class FieldProblem(BaseModel):
    """What is wrong with one field; its value is not repeated."""

    model_config = ConfigDict(frozen=True)

    field: str = Field(description="Where it is: names and indices, joined by dots.")
    problem: str


class Problem(BaseModel):
    """An answer that is an error, as RFC 9457 has it."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(description="Names the class of the problem; nothing lies there.")
    title: str
    status: int
    detail: str = Field(description="What happened, to what.")
    error: str = Field(description="The name of the class of the error.")
    remedy: str = Field(description="What to do about it.")
    fields: tuple[FieldProblem, ...] | None = Field(
        default=None, description="What is wrong with each field, where the problem is that."
    )
    message_id: str | None = Field(
        default=None, description="The message that this is about, where there is one."
    )
    dead_letter_id: str | None = Field(
        default=None, description="Finds the dead letter of what failed, where there is one."
    )
    agent: str | None = Field(default=None, description="The agent that gave up.")
    cause: str | None = Field(
        default=None, description="The class of the error in the agent that gave up."
    )


def kind_of(error_class: type[BaseException]) -> Kind:
    """The row of a class, or of the nearest one above it."""
    found = (KINDS[each] for each in error_class.__mro__ if each in KINDS)
    return next(found, INTERNAL)


def problem_of(error: Exception) -> Problem:
    """`error` as a caller is told. Of what was not foreseen only the log says more."""
    kind = kind_of(type(error))
    is_known = kind is not INTERNAL
    return Problem(
        type=f"{_URN}{type(error).__name__ if is_known else 'InternalError'}",
        title=kind.title,
        status=kind.status,
        detail=str(error) if is_known else "the gateway failed; its log says why",
        error=type(error).__name__ if is_known else "InternalError",
        remedy=_remedy_of(error, kind),
        fields=_fields_of(error),
        message_id=getattr(error, "asked_id", "") or getattr(error, "message_id", "") or None,
        dead_letter_id=getattr(error, "dead_letter_id", "") or None,
        **_failure_in(error),
    )


def _remedy_of(error: Exception, kind: Kind) -> str:
    has_letter = getattr(error, "dead_letter_id", "")
    if isinstance(error, bus_errors.RequestFailedError) and not has_letter:
        return "Nothing is kept of it: mend what the text names, then ask anew."
    return kind.remedy


def _failure_in(error: Exception) -> dict[str, str]:
    """The agent that gave up, and with what."""
    if not isinstance(error, bus_errors.RequestFailedError):
        return {}
    found = {"agent": error.agent, "cause": error.error_type}
    return {name: value for name, value in found.items() if value}


def headers_of(error: Exception) -> dict[str, str]:
    """What belongs into the header of an answer that is this error."""
    headers = {"Cache-Control": "no-store"}
    if retry_after_s := kind_of(type(error)).retry_after_s:
        wait_s = max(float(retry_after_s), getattr(error, "wait_s", 0.0))
        headers["Retry-After"] = str(math.ceil(wait_s))
    if isinstance(error, refusals.TokenMissingError):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, refusals.TokenUnknownError):
        headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
    if isinstance(error, refusals.ScopeMissingError):
        headers["WWW-Authenticate"] = f'Bearer error="insufficient_scope", scope="{error.scope}"'
    if isinstance(error, refusals.AmbiguousLengthError):
        headers["Connection"] = "close"  # what comes behind the head may be anything
    if isinstance(error, refusals.MethodNotAllowedError):
        headers["Allow"] = ", ".join(error.allowed)
    return headers


def problem_response(error: Exception, headers: Mapping[str, str] | None = None) -> Response:
    """The answer to a request that ended with `error`, which is logged if it was not foreseen."""
    log_unforeseen(error)
    problem = problem_of(error)
    return Response(
        problem.model_dump_json(exclude_none=True),
        problem.status,
        headers_of(error) | dict(headers or {}),
        PROBLEM_TYPE,
    )


def log_unforeseen(error: Exception) -> None:
    """Log what no row of `KINDS` is for: its caller is told nothing of it."""
    if kind_of(type(error)) is INTERNAL:
        log.error("gateway.failed", exc_info=error)


def _fields_of(error: Exception) -> tuple[FieldProblem, ...] | None:
    problems = getattr(error, "problems", None)
    if not isinstance(problems, tuple) or not all(isinstance(each, str) for each in problems):
        return None
    parts = [each.partition(": ") for each in problems]
    return tuple(
        FieldProblem(field=field if problem else "", problem=problem or field)
        for field, _, problem in parts
    )


def told_of_paths(there_is: str) -> Handlers:
    """Answers for paths and methods that do not exist, for an app's `exception_handlers`.

    Args:
        there_is: says which paths it has, with `{prefix}` for where the app is mounted.
    """

    async def tell(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        path = request.scope["path"]
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = (error.headers or {}).get("Allow", "").split(", ")
            return problem_response(
                refusals.MethodNotAllowedError(request.method, path, sorted(allowed))
            )
        known = there_is.format(prefix=request.scope.get("root_path", ""))
        return problem_response(refusals.NoSuchPathError(path, known))

    return {HTTPException: tell}
