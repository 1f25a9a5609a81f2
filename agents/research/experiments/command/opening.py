"""Opens a workspace's store for a command, and tells its errors as commands do."""

import functools
import shutil
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Concatenate, ParamSpec

from agents.research.errors import ResearchError
from agents.research.experiments.errors import (
    StoreError,
    StoreFullError,
    StoreUnusableError,
    UnknownStudyError,
    UnknownTrialError,
)
from agents.research.experiments.store import ExperimentStore, store_path
from agents.research.experiments.study import Study
from agents.research.experiments.trial import Trial
from guild.cli.calling.call import Call
from guild.cli.calling.exit_codes import FAILED, USAGE, UsageError

P = ParamSpec("P")
Command = Callable[Concatenate[Call, P], Coroutine[Any, Any, int]]


def telling(command: Command[P]) -> Command[P]:
    """Let `command` end with a sentence where the store or a file is at fault."""

    @functools.wraps(command)
    async def told(call: Call, /, *args: P.args, **kwargs: P.kwargs) -> int:
        try:
            return await command(call, *args, **kwargs)
        except ResearchError as error:
            call.output.error(str(error))
            return exit_code(error)

    return told


def exit_code(error: ResearchError) -> int:
    return USAGE if isinstance(error, UnknownStudyError | UnknownTrialError) else FAILED


def has_store(workspace: Path) -> bool:
    return store_path(workspace).exists()


def opened(workspace: Path) -> ExperimentStore:
    """The workspace's store; none is made where there is none.

    Raises:
        UsageError: there is none.
    """
    if not has_store(workspace):
        raise UsageError(nothing_in(workspace))
    return ExperimentStore(store_path(workspace))


@contextmanager
def consulted(workspace: Path) -> Iterator[ExperimentStore]:
    """The workspace's store, to read in; a copy where it lies on a disk that takes nothing.

    Even to be read an SQLite file wants to be written beside.

    Raises:
        UsageError: there is none.
    """
    with ExitStack() as stack:
        try:
            store = stack.enter_context(opened(workspace))
        except (StoreFullError, StoreUnusableError) as error:
            place = Path(stack.enter_context(TemporaryDirectory()))
            store = stack.enter_context(ExperimentStore(_copy(workspace, place, error)))
        yield store


def _copy(workspace: Path, place: Path, reason: StoreError) -> Path:
    """The store's file in another place, with what was not yet merged into it."""
    path = store_path(workspace)
    try:
        for name in (path.name, f"{path.name}-wal"):
            if (path.parent / name).exists():
                shutil.copyfile(path.parent / name, place / name)
    except OSError:
        raise reason from None
    return place / path.name


def nothing_in(workspace: Path) -> str:
    """That there is no store, and what to do."""
    return (
        f"there are no experiments in {workspace.resolve()} yet; name the folder that the research "
        "works in with --workspace (its first evaluation begins the store)"
    )


def find(store: ExperimentStore, name: str) -> Study | Trial:
    """The study of this name, else the trial whose id begins so.

    Raises:
        UnknownTrialError: it is neither.
    """
    study = next((each for each in store.studies() if each.name == name), None)
    return study if study is not None else store.find(name)
