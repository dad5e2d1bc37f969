"""Runs in a PostgreSQL database.

`schema` is the tables, `sessions` the connections (`reasons` what goes wrong with them), `rows` what is asked of runs, `adding`, `saving`,
`signalling`, `claiming`, `queues`, `scripts`, `workers` the statements that change them, `shared` the transactions that runs take part in,
`attending` how processes hear of one another. `store` puts them together.
"""

from __future__ import annotations

from stackful.durable.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
