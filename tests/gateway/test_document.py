"""The OpenAPI document and the problems: what the table says is what is served."""

import inspect
import re
from typing import Any

import httpx
import pytest
from jsonschema import ValidationError
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import TypeAdapter

from guild import errors as guild_errors
from guild.gateway import errors as refusals
from guild.gateway import gateway_app
from guild.gateway.openapi import document_of, problems_of_route
from guild.gateway.problems import INTERNAL, KINDS, kind_of, problem_of
from guild.gateway.table import TABLE
from guild.gateway.tokens import TokenFile, add_token
from guild.runtime import Guild
from messaging import errors as bus_errors
from tests.gateway.conftest import DOCUMENT, LOCAL, asking, check_is_documented


@pytest.mark.parametrize("has_tokens", [False, True])
def test_the_document_is_valid(has_tokens: bool) -> None:
    OpenAPIV31SpecValidator(document_of(TABLE, has_tokens=has_tokens)).validate()


def test_the_check_of_the_document_can_fail() -> None:
    broken = document_of(TABLE, has_tokens=True)
    broken["paths"]["/guild"]["get"]["responses"]["200"].pop("description")

    assert not OpenAPIV31SpecValidator(broken).is_valid()


@pytest.mark.parametrize(
    ("status", "body"), [(418, {}), (200, {"id": 7}), (404, {}), (422, {"title": "no problem"})]
)
async def test_an_answer_that_is_not_documented_fails_the_test_that_gets_it(
    status: int, body: object
) -> None:
    request = httpx.Request("GET", f"{LOCAL}/api/v1/guild")

    with pytest.raises((AssertionError, ValidationError)):
        await check_is_documented(httpx.Response(status, request=request, json=body))


async def test_the_document_is_served_with_relative_addresses(http: httpx.AsyncClient) -> None:
    answer = await http.get("openapi.json")

    document = answer.json()
    assert document["servers"] == [{"url": "."}]
    assert set(document["paths"]) == {row.path for row in TABLE}
    assert "securitySchemes" not in document["components"]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.method} {row.path}")
def test_each_row_is_in_the_document(row: Any) -> None:
    operation = DOCUMENT["paths"][row.path][row.method.lower()]

    assert operation["summary"] == row.summary
    assert operation["security"] == [{"token": [row.scope]}]
    named = {(each["in"], each["name"]) for each in operation["parameters"]}
    assert {("path", name) for name in re.findall(r"{(\w+)}", row.path)} <= named
    assert ("requestBody" in operation) == (row.body is not None)
    if row.answer is not None:
        assert "application/json" in operation["responses"][str(row.status)]["content"]
    if row.events:
        told = operation["responses"][str(row.status)]["content"]["text/event-stream"]
        assert set(told["x-events"]) == set(row.events)
    for error in problems_of_route(row):
        told = operation["responses"][str(kind_of(error).status)]["x-problems"]
        assert error.__name__ in {each["error"] for each in told}


def test_operations_have_names_of_their_own() -> None:
    names = [row.name for row in TABLE]

    assert len(set(names)) == len(names)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.method} {row.path}")
async def test_each_row_is_served_and_asks_for_its_scope(
    crew: Guild, tmp_path: Any, row: Any
) -> None:
    file = tmp_path / "tokens"
    others = [scope for scope in ("read", "publish", "operate", "approve") if scope != row.scope]
    secret = add_token(file, "others", others)
    path = re.sub(r"{\w+}", "x", row.path).removeprefix("/")
    async with asking(gateway_app(crew.client, tokens=TokenFile(file))) as http:
        stranger = await http.request(row.method, path)
        other = await http.request(row.method, path, headers={"Authorization": f"Bearer {secret}"})

    assert stranger.status_code == 401
    assert (other.status_code, other.json()["error"]) == (403, "ScopeMissingError")


def errors_of(module: Any) -> list[type[Exception]]:
    return [
        each
        for _, each in inspect.getmembers(module, inspect.isclass)
        if issubclass(each, Exception) and each.__module__ == module.__name__
    ]


@pytest.mark.parametrize("error", errors_of(refusals), ids=lambda error: error.__name__)
def test_each_refusal_has_a_kind_of_its_own(error: type[Exception]) -> None:
    is_root = error in (refusals.RefusedError, refusals._ShapeError)
    is_told_to_nobody_outside = issubclass(error, refusals.TokenFileError)

    assert is_root or is_told_to_nobody_outside or error in KINDS


# What cannot reach a caller: of specs, of handlers and their processes, of the bus as a library.
INSIDE = {
    "GuildError", "SpecError", "WiringError", "HandlerError", "UnresolvedReferenceError",
    "ResourceError", "RouteError", "SettingsError", "MessagingError", "FencedError",
    "NotHeldError", "HandlingError", "HandlerTimeoutError", "HandlerResultError",
    "ForgottenAwaitError", "HandlingCancelledError", "DeadlineExceededError", "HopLimitError",
    "LostWorkerError", "StateConflictError", "StepError",
}  # fmt: skip


@pytest.mark.parametrize(
    "error", [*errors_of(guild_errors), *errors_of(bus_errors)], ids=lambda error: error.__name__
)
def test_each_error_of_a_guild_has_a_status_and_a_remedy_or_stays_inside(
    error: type[Exception],
) -> None:
    kind = kind_of(error)

    assert (kind is INTERNAL) == (error.__name__ in INSIDE)
    assert kind.title
    assert kind.remedy.endswith(".")
    assert 400 <= kind.status < 600


def test_what_was_not_foreseen_tells_nothing_of_itself() -> None:
    problem = problem_of(RuntimeError("hunter2 in /etc/secret"))

    assert problem.status == 500
    assert "hunter2" not in problem.model_dump_json()


def test_statuses_that_ask_to_come_back_say_when() -> None:
    for kind in KINDS.values():
        if kind.status in (429, 503) and kind is not KINDS[bus_errors.BackendSetupError]:
            assert kind.retry_after_s >= 1


def test_the_answers_of_the_table_can_be_written() -> None:
    for row in TABLE:
        if row.answer is not None:
            TypeAdapter(row.answer).json_schema(mode="serialization")
