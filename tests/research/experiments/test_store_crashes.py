"""What is left after `kill -9`, a full disk, a damaged file, and of several processes at once."""

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from agents.research.experiments import (
    CorruptStoreError,
    ExperimentStore,
    StoreBusyError,
    StoreError,
    StoreFullError,
    StoreGoneError,
    StoreUnusableError,
    StoreVersionError,
)
from agents.research.experiments.database import Database
from agents.research.experiments.schema import STEPS
from tests.research.experiments import crowd
from tests.research.experiments.samples import done, trial

_MODULES = "tests.research.experiments"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with a trial in it."""
    path = tmp_path / "experiments.db"
    with ExperimentStore(path) as store:
        done(store, trial(), 0.9, history=[{"epoch": 1}])
    return path


def killed(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", f"{_MODULES}.killed", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_killed_before_any_statement_each_change_is_there_whole_or_not_at_all() -> None:
    found = killed("statement", "1")

    assert found["wrong"] == []
    assert found["deaths"] > 40


def test_killed_in_the_middle_of_statements_each_change_is_there_whole_or_not_at_all() -> None:
    found = killed("instruction", "61")

    assert found["wrong"] == []
    assert found["deaths"] > 15


def test_without_transactions_the_killing_is_noticed() -> None:
    assert killed("statement", "1", "--without-transactions")["wrong"]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_killed_at_any_instruction_each_change_is_there_whole_or_not_at_all() -> None:
    assert killed("instruction", "1")["wrong"] == []


def test_processes_that_open_a_new_store_at_once_keep_every_trial_once(tmp_path: Path) -> None:
    path = tmp_path / "experiments.db"
    command = [sys.executable, "-m", f"{_MODULES}.crowd", str(path)]

    subprocess.run(command, check=True)

    with ExperimentStore(path) as store:
        shared = store.trials("shared")
        assert len(shared) == crowd.SHARED
        assert all((each.status, each.cost_s) == ("done", 1.0) for each in shared)
        assert len(store.trials()) == crowd.SHARED + crowd.OWN * crowd.PROCESSES


def test_a_full_disk_is_told_with_what_to_do_and_nothing_is_lost(path: Path) -> None:
    with ExperimentStore(path) as store:
        before = store.trials()
        with store._database.reading() as connection:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count = {pages}")

        with pytest.raises(StoreFullError, match="experiments prune") as raised:
            store.plan(trial(2, code="x" * 100_000))

        assert raised.value.retryable
        assert store.trials() == before
        with store._database.reading() as connection:
            connection.execute("PRAGMA max_page_count = 100000")
        assert store.plan(trial(2, code="x" * 100_000)).status == "planned"


_FILL = """
import os, sys
from pathlib import Path
from agents.research.experiments import ExperimentStore, StoreFullError
from tests.research.experiments.samples import trial
folder = Path(sys.argv[1])
with ExperimentStore(folder / "experiments.db") as store:
    kept = 0
    try:
        while kept < 1000:
            store.plan(trial(kept + 1, code="x" * 20_000))
            kept += 1
    except StoreFullError:
        pass
with ExperimentStore(folder / "experiments.db") as store:
    print(kept, len(store.trials()))
"""


def test_a_disk_that_really_is_full_keeps_what_was_confirmed(tmp_path: Path) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare to make a small disk with")
    mount = 'mount -t tmpfs -o size=1m none "$0" && exec "$1" -c "$2" "$0"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount]
    made = subprocess.run([*command[:4], "mount", "-t", "tmpfs", "none", tmp_path], check=False)
    if made.returncode:
        pytest.skip("this machine lets nobody mount a small disk")

    ran = subprocess.run(
        [*command, str(tmp_path), sys.executable, _FILL],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    confirmed, found = map(int, ran.stdout.split())
    assert 0 < confirmed < 1000
    assert found == confirmed


def _scribble(path: Path, start: int, size: int) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xa5" * size)


DAMAGES = {
    "no database": lambda path: path.write_bytes(b"experiments: none\n" * 100),
    "cut in the middle": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "overwritten header": lambda path: _scribble(path, 0, 40),
    "overwritten table": lambda path: _scribble(path, 4096, 16 * 4096),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_told_with_what_to_do_and_left_as_it_is(path: Path, damage: Any) -> None:
    damage(path)
    left = path.read_bytes()

    with pytest.raises(CorruptStoreError, match=r"\.recover"), ExperimentStore(path) as store:
        store.trials()

    assert path.read_bytes() == left


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE trials SET config = '{'",
        "UPDATE trials SET status = 'great'",
        "UPDATE trials SET cost_s = 'much'",
        "UPDATE trials SET config = replace(hex(zeroblob(50000)), '0', '[')",
        "DROP TABLE trials",
    ],
)
def test_rows_that_are_none_of_ours_are_damage_too(path: Path, change: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(change)
    connection.close()

    with ExperimentStore(path) as store, pytest.raises(CorruptStoreError):
        store.trials()


def test_a_trial_that_is_its_own_ancestor_ends_no_one_in_a_circle(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE trials SET parent = id")
    connection.close()

    with ExperimentStore(path) as store, pytest.raises(CorruptStoreError, match="own ancestor"):
        store.lineage(trial().id)


def test_the_database_of_something_else_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "photos.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE photos (name TEXT)")
    connection.close()
    left = path.read_bytes()

    with pytest.raises(CorruptStoreError, match="none of an experiment store"):
        ExperimentStore(path)

    assert path.read_bytes() == left


def test_a_file_of_a_later_version_is_refused_and_left_as_it_is(path: Path) -> None:
    Database(path, wait_s=1, steps=(*STEPS, ())).close()
    left = path.read_bytes()

    with pytest.raises(StoreVersionError, match="Upgrade guildbus"):
        ExperimentStore(path)

    assert path.read_bytes() == left


def test_an_older_file_gets_the_steps_that_it_lacks_and_keeps_its_trials(path: Path) -> None:
    steps = (*STEPS, ("ALTER TABLE trials ADD COLUMN mood TEXT DEFAULT 'calm'",))

    for _ in range(2):
        database = Database(path, wait_s=1, steps=steps)
        with database.reading() as connection:
            rows = connection.execute("SELECT id, mood FROM trials").fetchall()
        database.close()

    assert [tuple(row) for row in rows] == [(trial().id, "calm")]


def test_a_file_of_the_first_version_is_taken_to_this_one(tmp_path: Path) -> None:
    path = tmp_path / "experiments.db"
    Database(path, wait_s=1, steps=STEPS[:1]).close()
    with sqlite3.connect(path) as connection:
        connection.execute(
            "INSERT INTO studies VALUES ('digits', '{\"name\": \"digits\"}', 0, NULL)"
        )
    connection.close()

    with ExperimentStore(path) as store:
        assert done(store, trial(), 0.9).worker
        assert [study.name for study in store.studies()] == ["digits"]


def test_a_step_that_fails_takes_the_others_back(path: Path) -> None:
    steps = (*STEPS, ("ALTER TABLE trials ADD COLUMN mood TEXT", "DROP TABLE nothing"))

    with pytest.raises(StoreError):
        Database(path, wait_s=1, steps=steps)

    with ExperimentStore(path) as store:
        assert len(store.trials()) == 1


@pytest.mark.parametrize("is_replaced", [False, True], ids=["removed", "replaced"])
def test_a_file_that_goes_away_under_an_open_store_is_noticed(
    path: Path, is_replaced: bool
) -> None:
    with ExperimentStore(path) as store:
        path.rename(path.with_suffix(".moved"))
        if is_replaced:
            ExperimentStore(path).close()

        with pytest.raises(StoreGoneError, match="removed or replaced"):
            store.plan(trial(2))


def test_whoever_waits_too_long_for_another_writer_may_try_again(path: Path) -> None:
    with ExperimentStore(path) as other, ExperimentStore(path, wait_s=0.01) as store:
        with other._database.writing():
            assert len(store.trials()) == 1  # readers do not wait
            with pytest.raises(StoreBusyError) as raised:
                store.plan(trial(2))

        assert raised.value.retryable
        assert store.plan(trial(2)).status == "planned"


def test_whoever_reads_holds_up_nobody_who_writes(path: Path) -> None:
    with ExperimentStore(path) as reader, ExperimentStore(path, wait_s=0.01) as writer:
        with reader._database.reading() as connection:
            before = connection.execute("SELECT count(*) FROM trials").fetchone()
            writer.plan(trial(2))
            after = connection.execute("SELECT count(*) FROM trials").fetchone()

        assert tuple(before) == tuple(after) == (1,)
        assert len(reader.trials()) == 2


def test_a_place_where_no_file_can_be_is_told_with_the_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.db").mkdir()

    for place in (tmp_path / "file" / "experiments.db", tmp_path / "folder.db"):
        with pytest.raises(StoreUnusableError, match=str(place)):
            ExperimentStore(place)


def test_an_error_of_the_caller_inside_a_change_takes_the_change_back(path: Path) -> None:
    with ExperimentStore(path) as store:
        with suppress(KeyError), store._database.writing() as connection:
            connection.execute("DELETE FROM trials")
            raise KeyError

        assert len(store.trials()) == 1
