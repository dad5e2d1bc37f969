"""What an error of PostgreSQL means, and whether waiting helps. The codes: PostgreSQL's documentation, appendix A."""

from __future__ import annotations

import psycopg

__all__ = ["is_final", "is_passing", "reason"]

# Beginnings of SQLSTATE, the longer before the shorter.
_REASONS = {
    "28": "it refuses the user or the password; see to the URL, or to PGPASSWORD or ~/.pgpass",
    "3D000": "there is no such database; `createdb` makes it",
    "3F000": "there is no such schema; see to the search_path of the user",
    "42501": "the user may not do that; grant it the rights on the schema, or make it the database's owner",
    "53100": "the disk of the server is full; free some space there",
    "53200": "the server has no memory left",
    "53300": "the server has no connection left; raise its max_connections, or run fewer workers",
    "54": "a state is larger than PostgreSQL can hold (1 GB)",
    "25006": "the server takes no writes; name the primary server, not a standby",
    "57P04": "the database was dropped",
    "SF001": "a transaction of a run wrote to the store's own tables",
    "SF002": "a transaction of a run is committed by its store: return to commit, raise to roll back",
    "42P01": "it has no tables of Stackful's any more; was it emptied?",
    "XX001": "its data is damaged; restore it from a backup",
    "XX002": "an index is damaged; REINDEX DATABASE makes them anew",
}

# They pass by themselves: the server restarts, fails over, has too many sessions for the moment, or has chosen a victim.
# 23503: what a blob was wanted for has just been deleted.
_PASSING = ("08", "57P01", "57P02", "57P03", "57P05", "40", "55P03", "53300", "25006", "25P03", "23503")

# They say that the server is well, and what was to be written is not: a value, a constraint, a size, a rule of ours.
_FINAL = ("22", "23", "54", "SF")

# A connection that cannot be made has no code: its text, in English or not, is all there is.
_REFUSALS = (
    ("database system is", ""),  # starting up, shutting down, in recovery
    ("too many clients", "53300"),
    ("connection slots", "53300"),
    ("password", "28"),
    ("no pg_hba.conf entry", "28"),
    ('role "', "28"),
    ('database "', "3D000"),
)


def reason(error: psycopg.Error) -> str:
    """One sentence on what went wrong and what is to be done, with what the server said."""
    text = " ".join(str(error).split())
    state = _state(error)
    for prefix, meaning in _REASONS.items():
        if state.startswith(prefix):
            return f"{meaning} (PostgreSQL says: {text})"
    if is_passing(error):
        return f"the server is away, or does not answer (PostgreSQL says: {text})"
    return f"PostgreSQL says: {text}"


def is_passing(error: psycopg.Error) -> bool:
    """Whether the same may succeed in a while, in a new session."""
    state = _state(error)
    if state:
        return state.startswith(_PASSING)
    return isinstance(error, psycopg.OperationalError)


def is_final(error: psycopg.Error) -> bool:
    """Whether the same will never succeed."""
    return not is_passing(error) and _state(error).startswith(_FINAL)


def _state(error: psycopg.Error) -> str:
    if error.sqlstate:
        return error.sqlstate
    text = str(error)
    if "FATAL" in text or "fe_sendauth" in text:
        return next((state for words, state in _REFUSALS if words in text), "")
    return ""
