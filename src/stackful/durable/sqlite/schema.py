"""The tables of an SQLite store, and how a store of an earlier version gets them."""

from __future__ import annotations

__all__ = ["APPLICATION_ID", "MIGRATIONS", "OWN_TABLES", "statements"]

# "Stkf": says in the file's header whose it is.
APPLICATION_ID = 0x53746B66

OWN_TABLES = frozenset(
    "runs states checkpoints signals signal_keys awaits blobs blob_users queues schedules workers".split()
)

# The n-th entry leads from user_version n to n + 1. Published entries never change. Foreign keys are off meanwhile.
MIGRATIONS = [
    """
    CREATE TABLE runs (
        id TEXT PRIMARY KEY, script TEXT NOT NULL, argv TEXT NOT NULL, cwd TEXT NOT NULL, every REAL,
        python TEXT NOT NULL, created REAL NOT NULL, status TEXT NOT NULL, exit_status INTEGER,
        updated REAL NOT NULL, source BLOB NOT NULL
    );
    CREATE TABLE checkpoints (
        run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, seq INTEGER NOT NULL, taken REAL NOT NULL,
        size INTEGER NOT NULL, environment BLOB NOT NULL, program BLOB NOT NULL, PRIMARY KEY (run, seq)
    );
    """,
    # Runs of functions. What is large stands last in its row: SQLite need not read it to see the rest.
    """
    CREATE TABLE new_runs (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, program TEXT NOT NULL, status TEXT NOT NULL,
        wake REAL, queued INTEGER NOT NULL DEFAULT 0, queue TEXT, priority INTEGER NOT NULL DEFAULT 0, dedup TEXT, parent TEXT,
        created REAL NOT NULL, updated REAL NOT NULL, started REAL, waits TEXT, deadline REAL,
        cancelled INTEGER NOT NULL DEFAULT 0, exit_status INTEGER, python TEXT NOT NULL, version TEXT NOT NULL DEFAULT '',
        history INTEGER NOT NULL DEFAULT 0, origin TEXT, argv TEXT NOT NULL DEFAULT '', cwd TEXT NOT NULL DEFAULT '', every REAL,
        attributes TEXT, question TEXT, error TEXT, arguments BLOB, result BLOB, source BLOB
    );
    INSERT INTO new_runs (id, kind, program, status, created, updated, exit_status, python, argv, cwd, every, source)
        SELECT id, 'script', script, status, created, updated, exit_status, python, argv, cwd, every, source FROM runs ORDER BY rowid;
    CREATE TABLE new_checkpoints (
        run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, seq INTEGER NOT NULL, taken REAL NOT NULL,
        size INTEGER NOT NULL, steps INTEGER NOT NULL DEFAULT 0, step TEXT NOT NULL DEFAULT '', line TEXT NOT NULL DEFAULT '',
        environment BLOB, data BLOB NOT NULL, PRIMARY KEY (run, seq)
    );
    INSERT INTO new_checkpoints (run, seq, taken, size, environment, data)
        SELECT run, seq, taken, size, environment, program FROM checkpoints;
    DROP TABLE checkpoints;
    DROP TABLE runs;
    ALTER TABLE new_runs RENAME TO runs;
    ALTER TABLE new_checkpoints RENAME TO checkpoints;
    CREATE INDEX runs_created ON runs (created);
    CREATE INDEX runs_due ON runs (wake) WHERE wake IS NOT NULL AND kind = 'function';
    CREATE INDEX runs_queued ON runs (queue, priority DESC, number) WHERE queued = 1;
    CREATE INDEX runs_under_way ON runs (queue) WHERE queue IS NOT NULL AND status IN ('running', 'sleeping', 'waiting');
    CREATE INDEX runs_begun ON runs (queue, started) WHERE queue IS NOT NULL AND started IS NOT NULL;
    CREATE UNIQUE INDEX runs_dedup ON runs (dedup) WHERE dedup IS NOT NULL AND status NOT IN ('finished', 'failed', 'cancelled');
    CREATE INDEX runs_parent ON runs (parent) WHERE parent IS NOT NULL;
    CREATE TABLE states (
        run TEXT PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE, fence INTEGER NOT NULL DEFAULT 0, owner TEXT,
        seq INTEGER NOT NULL DEFAULT 0, steps INTEGER NOT NULL DEFAULT 0, step TEXT NOT NULL DEFAULT '',
        line TEXT NOT NULL DEFAULT '', taken REAL, data BLOB
    );
    CREATE INDEX states_owner ON states (owner) WHERE owner IS NOT NULL;
    CREATE TABLE signals (
        id INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        name TEXT NOT NULL, sent REAL NOT NULL, payload BLOB NOT NULL
    );
    CREATE INDEX signals_run ON signals (run, name);
    CREATE TABLE signal_keys (
        run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, key TEXT NOT NULL, PRIMARY KEY (run, key)
    ) WITHOUT ROWID;
    CREATE TABLE awaits (target TEXT NOT NULL, run TEXT NOT NULL, PRIMARY KEY (target, run)) WITHOUT ROWID;
    CREATE INDEX awaits_run ON awaits (run);
    CREATE TABLE blobs (digest TEXT PRIMARY KEY, data BLOB NOT NULL);
    CREATE TABLE blob_users (
        run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, digest TEXT NOT NULL, PRIMARY KEY (run, digest)
    ) WITHOUT ROWID;
    CREATE INDEX blob_users_digest ON blob_users (digest);
    CREATE TABLE queues (name TEXT PRIMARY KEY, concurrency INTEGER, rate INTEGER, seconds REAL);
    CREATE TABLE schedules (
        name TEXT PRIMARY KEY, program TEXT NOT NULL, cron TEXT NOT NULL, zone TEXT NOT NULL, next REAL NOT NULL,
        queue TEXT, arguments BLOB NOT NULL
    );
    CREATE TABLE workers (
        id TEXT PRIMARY KEY, host TEXT NOT NULL, pid INTEGER NOT NULL, started REAL NOT NULL, draining INTEGER NOT NULL DEFAULT 0
    );
    """,
    # From which state to which one a run refers to a value; NULL: to the last, and those to come.
    """
    ALTER TABLE blob_users ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE blob_users ADD COLUMN until INTEGER;
    CREATE INDEX blob_users_ended ON blob_users (run) WHERE until IS NOT NULL;
    """,
]


def statements(script: str) -> list[str]:
    """The statements of a migration; none of them holds a semicolon.

    >>> statements("A; B;")
    ['A', 'B']
    """
    return [text.strip() for text in script.split(";") if text.strip()]
