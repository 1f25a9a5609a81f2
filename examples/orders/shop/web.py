"""The shop on the web: `uvicorn shop.web:app --workers 2`.

Each worker is a client of the guild and runs no agent. A customer makes the id of an order, and
may send the order again under it whenever no answer came: to this worker or to another one.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from guild import GuildBuilder, GuildClient
from messaging.errors import (
    BackendError,
    NobodyListensError,
    RequestFailedError,
    RequestTimeoutError,
)
from shop.messages import OrderConfirmed, PlaceOrder

LATER = (BackendError, NobodyListensError, RequestTimeoutError)
"""The server is away, `guildbus run` has not been up yet, or the answer takes its time."""

SPEC = GuildBuilder.from_yaml_file("orders.yaml", allow=("shop",)).build_spec()
ANSWER_S, SERVER_S = 20.0, 60.0


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with GuildClient.connect(SPEC, wait_s=SERVER_S) as client:  # it may start before Redis
        app.state.client = client
        yield


async def place_order(request: Request) -> Response:
    client: GuildClient = request.app.state.client
    try:
        order = PlaceOrder.model_validate_json(await request.body())
        answer = await client.request(
            "orders", order, timeout_s=ANSWER_S, message_id=request.path_params["order_id"]
        )
    except (ValidationError, ValueError) as error:
        return JSONResponse({"error": str(error)}, status_code=422)
    except RequestFailedError as error:
        return JSONResponse({"error": str(error)}, status_code=502)
    except LATER as error:
        return JSONResponse({"error": str(error)}, status_code=503, headers={"Retry-After": "1"})
    status = 200 if isinstance(answer, OrderConfirmed) else 409
    return JSONResponse(answer.model_dump(), status_code=status)


async def health(_: Request) -> Response:
    return JSONResponse({"pid": os.getpid()})


app = Starlette(
    routes=[
        Route("/orders/{order_id}", place_order, methods=["PUT"]),
        Route("/health", health),
    ],
    lifespan=lifespan,
)
