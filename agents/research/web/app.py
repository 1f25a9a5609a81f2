"""The experiments of a workspace as an app that a gateway mounts."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from agents.research.experiments.errors import (
    StoreError,
    UnknownStudyError,
    UnknownTrialError,
)
from agents.research.web.files import Rows, read_curves, read_studies, read_study, read_trial
from guild.checking.plan import Plan
from guild.cli.calling.exit_codes import UsageError
from guild.gateway.errors import InvalidParameterError, SourceUnreadableError
from guild.gateway.problems import PROBLEM_TYPE, Kind, Problem, problem_response, told_of_paths

PATH = "/experiments"
JOBS = "research.jobs"
_MOST_DIGITS = 9
_PATHS = "there are /studies, /studies/NAME, /trials/ID and /trials/ID/curves"
_NOTHING_YET = Kind(404, "No experiments yet", "Ask for a study, or evaluate a model.")
_KINDS: Mapping[type[Exception], Kind] = {
    UnknownStudyError: Kind(404, "No such study", "Take one of those that /studies lists."),
    UnknownTrialError: Kind(404, "No such trial", "Take one of those that its study lists."),
}


@asynccontextmanager
async def experiments(plan: Plan) -> AsyncIterator[Mapping[str, ASGIApp]]:
    """The entry point `guildbus.http`: the experiments of the workspace that a spec names."""
    named = [name for name, each in plan.spec.resources.items() if each.type == JOBS]
    if not named:
        yield {}
        return
    properties: Any = plan.resource_properties(named[0])
    yield {PATH: experiments_app(Path(properties.workspace))}


def experiments_app(workspace: Path) -> Starlette:
    """Studies, trials and curves of a workspace, read anew for each request.

    `GET /studies`, `/studies/{name}`, `/trials/{id}` and `/trials/{id}/curves?after=NUMBER&of=TEXT`
    with the `next` and `of` of the answer before.
    """
    known: Rows = {}
    listing = asyncio.Lock()

    async def list_studies(_: Request) -> Response:
        async with listing:
            found = await asyncio.to_thread(read_studies, workspace, known)
        return _json(found.model_dump_json().encode())

    async def show_study(request: Request) -> Response:
        return await _shown(read_study, workspace, request.path_params["name"])

    async def show_trial(request: Request) -> Response:
        return await _shown(read_trial, workspace, request.path_params["id"])

    async def show_curves(request: Request) -> Response:
        after = request.query_params.get("after", "0")
        if not (after.isascii() and after.isdigit() and len(after) <= _MOST_DIGITS):
            problem = "after: the number of the first record that is wanted, from 0"
            return problem_response(InvalidParameterError((problem,)))
        trial_id = request.path_params["id"]
        of = request.query_params.get("of", "")
        return await _shown(read_curves, workspace, trial_id, int(after), of)

    app = Starlette(
        routes=[
            Route("/studies", list_studies),
            Route("/studies/{name:path}", show_study),
            Route("/trials/{id}", show_trial),
            Route("/trials/{id}/curves", show_curves),
        ],
        exception_handlers={**told_of_paths(_PATHS), StoreError: _told},
    )
    app.router.redirect_slashes = False  # as those of the gateway itself
    return app


async def _shown(read: Callable[..., Any], *args: Any) -> Response:
    try:
        found = await asyncio.to_thread(read, *args)
    except UsageError as error:  # nothing was tried yet
        return _problem(error, _NOTHING_YET)
    return _json(found.model_dump_json().encode())


async def _told(_: Request, error: Exception) -> Response:
    kind = _KINDS.get(type(error))
    if kind is None:
        return problem_response(SourceUnreadableError(str(error)))
    return _problem(error, kind)


def _problem(error: Exception, kind: Kind) -> Response:
    name = type(error).__name__
    problem = Problem(
        type=f"urn:guildbus:problem:{name}",
        title=kind.title,
        status=kind.status,
        detail=str(error),
        error=name,
        remedy=kind.remedy,
    )
    content = problem.model_dump_json(exclude_none=True)
    return Response(content, kind.status, {"Cache-Control": "no-store"}, PROBLEM_TYPE)


def _json(content: bytes) -> Response:
    return Response(content, media_type="application/json")
