"""The clock of PostgreSQL's server is set, while workers share its database: nobody is taken for dead who lives, nobody lives on who is dead."""

import time

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed: PostgreSQL IS NOT TESTED", exc_type=ImportError)

import psycopg

from durable.postgres_stores import store  # noqa: F401 - a fixture
from durable.store_contract import begun, ids, new, save, worker
from stackful import durable
from stackful.durable.postgres import PostgresStore
from stackful.durable.records import Change
from stackful.durable.store import Status

DAY = 86_400.0
LEASE = 1.5


@pytest.fixture
def leap(store, postgres_url):
    """Set the clock that all statements of the store go by, forward or back by so many seconds."""

    def set_by(seconds):
        with psycopg.connect(postgres_url, autocommit=True) as session:
            session.execute(
                "CREATE OR REPLACE FUNCTION stackful.clock() RETURNS double precision LANGUAGE sql AS $$"
                f" SELECT extract(epoch FROM clock_timestamp())::double precision + {seconds}::double precision $$"
            )

    return set_by


@pytest.fixture
def others(postgres_url):
    """Two workers' stores, in which both have been heard of."""
    opened = [PostgresStore(postgres_url, lease=LEASE) for _ in range(2)]
    for name, one in zip(("w1", "w2"), opened, strict=True):
        worker(one, name)
    for name, one in zip(("w1", "w2"), opened, strict=True):
        one.heartbeat(name)
    yield opened
    for one in opened:
        one.close()


@pytest.mark.parametrize("seconds", [DAY, -DAY])
def test_workers_outlive_a_leap_of_the_servers_clock(others, leap, seconds):
    """Whoever looks first takes nobody for dead, and no run is taken from its worker: no step is done twice."""
    first, second = others
    begun(first)
    leap(seconds)
    for number in range(1, 9):
        assert (second.heartbeat("w2"), second.recover()) == (True, 0)
        assert first.commit([save(seq=number)]) == []
        assert first.heartbeat("w1") is True
        time.sleep(LEASE / 4)
    assert (second.claim("w2", 10), second.recover()) == ([], 0)


@pytest.mark.parametrize("seconds", [DAY, -DAY])
def test_a_worker_that_is_paused_when_the_servers_clock_is_set_is_found_dead(others, leap, seconds):
    """Once all who live could be heard of by the new clock; its run goes on elsewhere, and what it commits then is refused."""
    paused, living = others
    begun(paused)
    leap(seconds)
    end = time.monotonic() + 60
    while not living.recover():
        assert time.monotonic() < end
        assert living.heartbeat("w2") is True
        time.sleep(0.1)
    assert ids(living.claim("w2", 10)) == ["one"]
    assert paused.commit([save()]) == ["one"]
    assert paused.heartbeat("w1") is False


@pytest.mark.parametrize("seconds", [DAY, -DAY])
def test_a_worker_that_dies_after_the_servers_clock_was_set_is_missed_before_its_lease_ends(
    others, postgres_url, leap, seconds
):
    """Its lock is free as soon as the server has noticed that it left, though by the clock the server itself may begin only later."""
    dying, living = PostgresStore(postgres_url, lease=3600.0), others[1]
    worker(dying, "w3")
    dying.add_runs([new()], "w3")
    leap(seconds)
    dying.heartbeat("w3")
    living.heartbeat("w2")
    dying._numbers.clear()  # it leaves without a word
    dying.close()
    end = time.monotonic() + 60
    while not living.recover():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_sleeps_end_by_the_servers_clock_as_it_is_set(store, leap):
    """A leap over the time of a wake-up wakes, and one back lets sleep on; each once."""
    begun(store)
    store.commit([save(change=Change(Status.SLEEPING, wake=store.now() + DAY / 2))])
    leap(-DAY)
    assert store.claim("w1", 10) == []
    leap(DAY)
    assert ids(store.claim("w1", 10)) == ["one"]
    assert store.claim("w1", 10) == []


def test_an_engine_notices_that_the_servers_clock_was_set_forward(postgres_url, leap, monkeypatch):
    """A run that sleeps for half a day wakes soon after, once, and its worker is the one that it was."""
    monkeypatch.setenv("STACKFUL_KEY", "ab" * 32)
    monkeypatch.setattr("stackful.durable.postgres.store._CLOCK_FOR", 0.5)
    with durable.connect(postgres_url, lease=LEASE) as engine:
        name = engine.worker
        engine.store.add_runs([new("other", wake=engine.store.now() + DAY / 2, program="durable.programs:none")])
        leap(DAY)
        end = time.monotonic() + 60
        while durable.Handle("other").status is not Status.FAILED:  # there is no such function: it was begun
            assert time.monotonic() < end
            time.sleep(0.05)
        assert engine.worker == name
