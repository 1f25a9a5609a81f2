"""A guild that trains, and the workspace whose experiments its gateway shows."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.routing import Mount

from agents.research.experiments import ExperimentStore
from agents.research.experiments.measured import noting
from agents.research.experiments.store import store_path
from agents.research.experiments.trial import Trial
from agents.research.web.app import PATH, experiments_app
from guild.agent.agent import Agent, handles
from guild.gateway import gateway_app
from guild.progress import Measured, Progress
from guild.runtime import Guild
from guild.spec.spec import GuildSpec
from messaging.handling.context import Context
from messaging.wire.message import Message
from tests.console.served import listening

T = TypeVar("T")
RIGHT_TO_LEFT = "\u202e"
MARKUP = "<img src=x onerror=alert(1)>"


class Train(Message, wire_name="lab.train"):
    """Ask for a training.

    Attributes:
        steps: how many figures it tells.
    """

    steps: int = 3


class Trained(Message, wire_name="lab.trained"):
    loss: float


class Trainer(Agent):
    @handles(emits=[Progress, Measured])
    async def train(self, request: Train, ctx: Context) -> Trained:
        for step in range(1, request.steps + 1):
            values = {"loss": 1 / step, "lr": 0.1}
            ctx.emit(Progress(task="train", done=step, total=request.steps))
            ctx.emit(Measured(task="train", step=step, values=values))
        return Trained(loss=1 / request.steps)


SPEC = {
    "id": "lab",
    "bus": "memory://",
    "agents": [{"id": "trainer", "type": f"{__name__}:Trainer", "topics": ["trainings"]}],
}


class Unheard:
    def emit(self, message: BaseModel, /) -> None:
        """What is written down is shown."""


class Lab:
    """A gateway with experiments, and the store that they are in.

    Attributes:
        url: of the console, with a slash at its end.
    """

    def __init__(self, url: str, workspace: Path, store: ExperimentStore) -> None:
        self.url, self.workspace, self.store = url, workspace, store

    def runs(self, trial: Trial) -> Trial:
        """The trial, begun."""
        return self.store.start(self.store.plan(trial).id)

    def measures(self, trial: Trial, *steps: int, **values: float) -> None:
        """Let a trial that runs tell figures of these steps."""
        audience = noting(self.workspace, trial.id, Unheard())
        for step in steps:
            told = {"loss": 10 / step, "lr": 0.1, **values}
            audience.emit(Measured(task="train", step=step, values=told))


@contextmanager
def serving_lab(
    workspace: Path, *, prefix: str = "", has_experiments: bool = True
) -> Iterator[Lab]:
    """A guild on a bus in memory, its console, and the experiments of the workspace."""
    ready: Future[str] = Future()
    end = threading.Event()
    mounts = {PATH: experiments_app(workspace)} if has_experiments else {}

    async def serve() -> None:
        async with (
            Guild.launch(GuildSpec.model_validate(SPEC), allow=("tests",)) as guild,
            listening(_below(prefix, gateway_app(guild.client, mounts=mounts))) as url,
        ):
            ready.set_result(f"{url}{prefix}/")
            await asyncio.to_thread(end.wait)

    thread = threading.Thread(target=_run, args=(serve(), ready))
    thread.start()
    try:
        url = ready.result(60)
        with ExperimentStore(store_path(workspace)) as store:
            yield Lab(url, workspace, store)
    finally:
        end.set()
        thread.join()


def _below(prefix: str, app: Starlette) -> Starlette:
    return Starlette(routes=[Mount(prefix, app)]) if prefix else app


def _run(serving: Coroutine[Any, Any, None], ready: Future[T]) -> None:
    try:
        asyncio.run(serving)
    except BaseException as error:
        if ready.done():
            raise
        ready.set_exception(error)
