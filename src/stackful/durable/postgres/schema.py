"""The tables of a PostgreSQL store, in a schema of their own beside the application's, and how a store of an earlier version gets them."""

from __future__ import annotations

from stackful.errors import StoreError

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from stackful.durable.postgres.statements import Session

__all__ = ["LOCKS", "migrate"]

# "Stkf", the first of the two numbers of each advisory lock: with 0 the right to migrate, with a worker's number its being alive.
LOCKS = 0x53746B66

# The n-th entry leads from version n to n + 1. Published entries never change.
_MIGRATIONS = [
    # states: the one row of a run that each step writes. Narrow, without an index on what changes, and with room for the next version in its
    # page, so that PostgreSQL updates it in place (HOT); up to 8 KB of data stay in the row instead of in a table of their own.
    # guards: what is inserted here is checked when its transaction ends: see `shared.py`.
    """
    CREATE TABLE runs (
        number bigint GENERATED ALWAYS AS IDENTITY, id text COLLATE "C" PRIMARY KEY, kind text NOT NULL, program text NOT NULL,
        status text NOT NULL, wake double precision, queued boolean NOT NULL DEFAULT false, queue text,
        priority integer NOT NULL DEFAULT 0, dedup text, parent text, created double precision NOT NULL,
        updated double precision NOT NULL, started double precision, waits text, deadline double precision,
        cancelled boolean NOT NULL DEFAULT false, exit_status integer, python text NOT NULL, version text NOT NULL DEFAULT '',
        history integer NOT NULL DEFAULT 0, origin text, argv text[] NOT NULL DEFAULT '{}', cwd text NOT NULL DEFAULT '',
        every double precision, attributes jsonb, question text, error text,
        arguments bytea, result bytea, source bytea
    );
    CREATE INDEX runs_created ON runs (created DESC, number DESC);
    CREATE INDEX runs_due ON runs (wake) WHERE wake IS NOT NULL AND kind = 'function';
    CREATE INDEX runs_queued ON runs (queue, priority DESC, number) WHERE queued;
    CREATE INDEX runs_under_way ON runs (queue) WHERE queue IS NOT NULL AND status IN ('running', 'sleeping', 'waiting');
    CREATE INDEX runs_begun ON runs (queue, started) WHERE queue IS NOT NULL AND started IS NOT NULL;
    CREATE UNIQUE INDEX runs_dedup ON runs (dedup) WHERE dedup IS NOT NULL AND status NOT IN ('finished', 'failed', 'cancelled');
    CREATE INDEX runs_by_dedup ON runs (dedup, created DESC) WHERE dedup IS NOT NULL;
    CREATE INDEX runs_parent ON runs (parent) WHERE parent IS NOT NULL;
    CREATE INDEX runs_attributes ON runs USING gin (attributes jsonb_path_ops) WHERE attributes IS NOT NULL;
    CREATE TABLE states (
        run text COLLATE "C" PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE, fence bigint NOT NULL DEFAULT 0, owner text,
        seq bigint NOT NULL DEFAULT 0, steps bigint NOT NULL DEFAULT 0, step text NOT NULL DEFAULT '', line text NOT NULL DEFAULT '',
        taken double precision, size bigint NOT NULL DEFAULT 0, data bytea
    ) WITH (fillfactor = 40, toast_tuple_target = 8160);
    ALTER TABLE states ALTER COLUMN data SET STORAGE EXTERNAL;
    CREATE INDEX states_owner ON states (owner) WHERE owner IS NOT NULL;
    CREATE TABLE checkpoints (
        run text COLLATE "C" NOT NULL REFERENCES runs (id) ON DELETE CASCADE, seq bigint NOT NULL, taken double precision NOT NULL,
        size bigint NOT NULL, steps bigint NOT NULL DEFAULT 0, step text NOT NULL DEFAULT '', line text NOT NULL DEFAULT '',
        environment bytea, data bytea NOT NULL, PRIMARY KEY (run, seq)
    );
    CREATE TABLE signals (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, run text COLLATE "C" NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        name text NOT NULL, sent double precision NOT NULL, payload bytea NOT NULL
    );
    CREATE INDEX signals_run ON signals (run, name, id);
    CREATE TABLE signal_keys (
        run text COLLATE "C" NOT NULL REFERENCES runs (id) ON DELETE CASCADE, key text NOT NULL, PRIMARY KEY (run, key)
    );
    CREATE TABLE awaits (
        target text COLLATE "C" NOT NULL, run text COLLATE "C" NOT NULL REFERENCES runs (id) ON DELETE CASCADE, PRIMARY KEY (target, run)
    );
    CREATE INDEX awaits_run ON awaits (run);
    CREATE TABLE blobs (digest text COLLATE "C" PRIMARY KEY, data bytea NOT NULL);
    ALTER TABLE blobs ALTER COLUMN data SET STORAGE EXTERNAL;
    CREATE TABLE blob_users (
        run text COLLATE "C" NOT NULL REFERENCES runs (id) ON DELETE CASCADE, digest text COLLATE "C" NOT NULL REFERENCES blobs,
        PRIMARY KEY (run, digest)
    );
    CREATE INDEX blob_users_digest ON blob_users (digest);
    CREATE TABLE queues (name text PRIMARY KEY, concurrency integer, rate integer, seconds double precision);
    CREATE TABLE schedules (
        name text PRIMARY KEY, program text NOT NULL, cron text NOT NULL, zone text NOT NULL, next double precision NOT NULL,
        queue text, arguments bytea NOT NULL
    );
    CREATE TABLE keys (id text PRIMARY KEY, noted double precision NOT NULL);
    CREATE SEQUENCE worker_numbers AS integer CYCLE;
    CREATE TABLE workers (
        id text PRIMARY KEY, number integer NOT NULL UNIQUE, sessions text NOT NULL, host text NOT NULL, pid integer NOT NULL,
        started double precision NOT NULL, seen double precision NOT NULL, lease double precision NOT NULL,
        draining boolean NOT NULL DEFAULT false
    );
    CREATE FUNCTION clock() RETURNS double precision LANGUAGE sql AS $$ SELECT extract(epoch FROM clock_timestamp())::double precision $$;
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION 'the tables of the store are not to be written to in a transaction of a run' USING ERRCODE = 'SF001';
    END $$;
    CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF current_setting('stackful.shared', true) = 'on' THEN
            RAISE EXCEPTION 'the transaction of a run is committed by its store, with the state of the run' USING ERRCODE = 'SF002';
        END IF;
        RETURN NULL;
    END $$;
    CREATE TABLE guards (id bigint GENERATED ALWAYS AS IDENTITY);
    CREATE CONSTRAINT TRIGGER guard AFTER INSERT ON guards DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION guard();
    DO $$ DECLARE name text; BEGIN
        FOREACH name IN ARRAY ARRAY[
            'runs', 'states', 'checkpoints', 'signals', 'signal_keys', 'awaits', 'blobs', 'blob_users', 'queues', 'schedules', 'workers', 'keys', 'guards'
        ] LOOP
            EXECUTE format('CREATE TRIGGER refuse BEFORE INSERT OR UPDATE OR DELETE ON %I FOR EACH STATEMENT '
                'WHEN (current_setting(''stackful.shared'', true) = ''on'') EXECUTE FUNCTION refuse()', name);
            EXECUTE format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON %I FOR EACH STATEMENT '
                'WHEN (current_setting(''stackful.shared'', true) = ''on'') EXECUTE FUNCTION refuse()', name);
        END LOOP;
    END $$;
    """,
    # From which state to which one a run refers to a value; NULL: to the last, and those to come.
    """
    ALTER TABLE blob_users ADD COLUMN since bigint NOT NULL DEFAULT 0, ADD COLUMN until bigint;
    CREATE INDEX blob_users_ended ON blob_users (run) WHERE until IS NOT NULL;
    """,
]


def migrate(session: Session, address: str, create: bool = True) -> None:
    """Make the tables, or bring them up to date; one process at a time, the others wait.

    Raises:
        StoreError: there are none, and ``create`` is false; a later Stackful has made them, or the schema ``stackful`` is somebody else's.
        psycopg.Error: the database refuses.
    """
    version = _version(session, address)
    if version == len(_MIGRATIONS):
        return
    if not version and not create:
        raise StoreError(f"there is no store of runs in {address}; start a run first, or name the store with --store")
    with session.transaction():
        session.execute("SELECT pg_advisory_xact_lock(%s, 0)", [LOCKS])
        version = _version(session, address)  # another process may have been first: only now it is certain
        if version < len(_MIGRATIONS):
            session.execute("CREATE SCHEMA IF NOT EXISTS stackful")
            session.execute("SET LOCAL search_path = stackful")
            for migration in _MIGRATIONS[version:]:
                session.execute(migration)
            session.execute(f"COMMENT ON SCHEMA stackful IS 'Stackful {len(_MIGRATIONS)}'")


def _version(session: Session, address: str) -> int:
    """Kept in the schema's comment: there is no table that an empty database would have to have."""
    query = "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = 'stackful'"
    row = session.execute(query).fetchone()
    if row is None:
        return 0
    owner, _, number = (row[0] or "").partition(" ")
    if owner != "Stackful" or not number.isdigit():
        return _adopt(session, address)
    if int(number) > len(_MIGRATIONS):
        raise StoreError(f"the store {address} was made by a later version of Stackful; upgrade this one")
    return int(number)


def _adopt(session: Session, address: str) -> int:
    """A schema that an administrator made for us is empty; any other is another program's."""
    query = "SELECT count(*) FROM pg_class WHERE relnamespace = 'stackful'::regnamespace"
    ((tables,),) = session.execute(query).fetchall()
    if tables:
        raise StoreError(f"the schema `stackful` of {address} belongs to another program; choose another database")
    return 0
