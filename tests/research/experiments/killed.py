"""Kills a process that writes to a store at one place after another, and looks at what is left.

Run as a process of its own, which forks the victims: it has one thread and holds nothing open.
"""

import json
import os
import signal
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agents.research.experiments import ExperimentStore, Study
from agents.research.experiments.database import Database
from tests.research.experiments.samples import NOW, trial

Deed = Callable[[ExperimentStore], object]
Arm = Callable[[sqlite3.Connection, int], None]

_MEMORY = Path("/dev/shm")  # a killed process loses nothing there, and nobody waits for a disk
_ROOT, _CHILD = trial(1), trial(2, parent=trial(1).id)
DEEDS: tuple[Deed, ...] = (
    lambda store: store.begin(Study(name="digits", dataset="digits", created_at=NOW)),
    lambda store: store.plan(_ROOT),
    lambda store: store.start(_ROOT.id),
    lambda store: store.finish(
        _ROOT.id, status="done", metrics={"accuracy": 0.9}, cost_s=2.0, history=[{"epoch": 1}]
    ),
    lambda store: store.plan(_CHILD),
    lambda store: store.start(_CHILD.id),
    lambda store: store.interrupt("digits", "stopped"),
    lambda store: store.drop_artifacts([_ROOT.id]),
    lambda store: store.end("digits"),
)


def at_statement(connection: sqlite3.Connection, number: int) -> None:
    """Die before the statement of this number."""
    left = number

    def die(_: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    connection.set_trace_callback(die)


def at_instruction(connection: sqlite3.Connection, number: int) -> None:
    """Die in the middle of a statement, after so many instructions of SQLite's machine."""
    left = number

    def die() -> int:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0

    connection.set_progress_handler(die, 1)


def main(kind: str, stride: int, *, without_transactions: bool = False) -> dict[str, Any]:
    """Kill at every `stride`-th place, until something is wrong; tell how often, and what."""
    arm = {"statement": at_statement, "instruction": at_instruction}[kind]
    if without_transactions:
        Database._transaction = _unprotected  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        moments = _moments(Path(folder) / "clean.db")
        deaths, wrong = 0, list[str]()
        while not wrong:
            path = Path(folder) / f"{deaths}.db"
            acknowledged, is_dead = _victim(path, arm, deaths * stride)
            if not is_dead:
                break
            deaths += 1
            found = _look(path)
            if found not in moments[acknowledged : acknowledged + 2]:
                wrong.append(f"killed in deed {acknowledged}: {found}")
            _do_all(path)
            if _look(path) != moments[-1]:
                wrong.append(f"killed in deed {acknowledged} and begun again: {_look(path)}")
    return {"deaths": deaths, "wrong": wrong}


def _moments(path: Path) -> list[str]:
    """How the store looks before the first deed and after each one."""
    with _open(path) as store:
        moments = [_seen(store)]
        for deed in DEEDS:
            deed(store)
            moments.append(_seen(store))
    return moments


def _victim(path: Path, arm: Arm, number: int) -> tuple[int, bool]:
    """How many deeds a child had confirmed when it ended, and whether it was killed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        connect = sqlite3.connect

        def armed(*args: Any, **kwargs: Any) -> sqlite3.Connection:
            connection = connect(*args, **kwargs)
            arm(connection, number)
            return connection

        sqlite3.connect = armed  # type: ignore[assignment]
        _do_all(path, lambda: os.write(writer, b"."))
        os._exit(0)
    os.close(writer)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as pipe:
        confirmed = len(pipe.read())
    assert status in (0, signal.SIGKILL), status
    return confirmed, status != 0


def _do_all(path: Path, confirm: Callable[[], object] = lambda: None) -> None:
    with _open(path) as store:
        for deed in DEEDS:
            deed(store)
            confirm()


def _look(path: Path) -> str:
    with _open(path) as store:
        return _seen(store)


def _open(path: Path) -> ExperimentStore:
    return ExperimentStore(path, clock=lambda: NOW)


def _seen(store: ExperimentStore) -> str:
    trials = [trial.model_copy(update={"worker": ""}) for trial in store.trials()]
    with store._database.reading() as connection:
        (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
        broken = connection.execute("PRAGMA foreign_key_check").fetchall()
    return repr((verdict, broken, store.studies(), trials, [store.history(t.id) for t in trials]))


@contextmanager
def _unprotected(self: Database, _: str) -> Iterator[sqlite3.Connection]:
    """The mutant: every statement is a transaction of its own."""
    yield self._connection


if __name__ == "__main__":
    kind, stride, *flags = sys.argv[1:]
    found = main(kind, int(stride), without_transactions=bool(flags))
    sys.stdout.write(json.dumps(found))
