"""The tables of the store, and how an older file gets them. Steps are only ever added."""

import sqlite3
from collections.abc import Sequence

APPLICATION_ID = 0x47425358  # "GBSX": whose file this is, as `file` and sqlite3 show it

_FIRST = (
    """
    CREATE TABLE studies (
        name TEXT PRIMARY KEY,
        study TEXT NOT NULL,
        created_at REAL NOT NULL,
        ended_at REAL
    )
    """,
    """
    CREATE TABLE trials (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        study TEXT NOT NULL REFERENCES studies (name) ON DELETE CASCADE,
        parent TEXT REFERENCES trials (id) ON DELETE SET NULL,
        kind TEXT NOT NULL,
        proposer TEXT NOT NULL,
        config TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        code TEXT NOT NULL,
        seed INTEGER NOT NULL,
        status TEXT NOT NULL,
        metrics TEXT NOT NULL,
        cost_s REAL NOT NULL,
        tokens INTEGER NOT NULL,
        error TEXT NOT NULL,
        note TEXT NOT NULL,
        created_at REAL NOT NULL,
        started_at REAL,
        ended_at REAL,
        artifacts TEXT NOT NULL,
        UNIQUE (study, fingerprint, seed, kind)
    )
    """,
    "CREATE INDEX trials_by_parent ON trials (parent)",
    """
    CREATE TABLE histories (
        trial TEXT PRIMARY KEY REFERENCES trials (id) ON DELETE CASCADE,
        records TEXT NOT NULL
    )
    """,
)

_WORKERS = ("ALTER TABLE trials ADD COLUMN worker TEXT NOT NULL DEFAULT ''",)

Step = Sequence[str]
STEPS: tuple[Step, ...] = (_FIRST, _WORKERS)


def version_of(connection: sqlite3.Connection) -> int:
    """How many steps the file has had; 0 for a new one.

    Raises:
        ValueError: it is the database of something else.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    is_new = (application, version, tables) == (0, 0, 0)
    if application != APPLICATION_ID and not is_new:
        raise ValueError("it is an SQLite database, but none of an experiment store")
    return int(version)


def migrate(connection: sqlite3.Connection, steps: Sequence[Step]) -> None:
    """Take the steps that the file has not had, all or none; another process may do so, too."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in steps[version_of(connection) :]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(steps)}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
