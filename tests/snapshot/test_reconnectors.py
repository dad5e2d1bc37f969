"""Reconnectors: what lives outside of the program is saved and opened again as somebody says."""

import socket
import sqlite3
import threading

import pytest

from stackful import Fiber, ReconnectError, UnsaveableError, snapshot, suspend


class Device:
    """A handle that means something in this process only."""

    opened = 0

    def __init__(self, name):
        Device.opened += 1
        self.name = name
        self.lock = threading.Lock()
        self.lock.acquire()


class Special(Device):
    pass


def name_of(device):
    return device.name


@pytest.fixture
def devices():
    made = snapshot.reconnector(Device, save=name_of, reopen=Device)
    yield made
    made.remove()


def use(device):
    suspend(None)
    return device.name, device


def test_without_one_the_value_is_refused():
    """With the variable, and for known types the way out."""
    fiber = Fiber(use, Device("a"))
    fiber.resume()
    with pytest.raises(UnsaveableError, match=r'local "device"\.lock'):
        snapshot.dumps(fiber)
    with socket.socket() as connection, pytest.raises(UnsaveableError, match="register a reconnector"):
        snapshot.dumps(connection)


def test_with_one_the_value_is_opened_again(devices):
    """In a frame; `save` is called when it is saved, `reopen` when it is loaded."""
    fiber = Fiber(use, Device("a"))
    fiber.resume()
    data = snapshot.dumps(fiber)
    before = Device.opened
    name, device = snapshot.loads(data).resume()
    assert (name, type(device), Device.opened) == ("a", Device, before + 1)


def test_subclasses_are_included(devices):
    """Unless they have one of their own."""
    assert type(snapshot.loads(snapshot.dumps(Special("a")))) is Device
    own = snapshot.reconnector(Special, save=name_of, reopen=Special)
    assert type(snapshot.loads(snapshot.dumps(Special("a")))) is Special
    own.remove()


def test_one_object_stays_one(devices):
    """It is opened once."""
    device = Device("a")
    before = Device.opened
    first, second = snapshot.loads(snapshot.dumps([device, device]))
    assert first is second
    assert Device.opened == before + 1


def test_what_save_raises_refuses_the_snapshot(devices):
    """With its text."""

    def refuse(device):
        raise ValueError("it is busy")

    busy = snapshot.reconnector(Special, save=refuse, reopen=Special)
    with pytest.raises(UnsaveableError, match="its reconnector refuses: it is busy"):
        snapshot.dumps([Special("a")])
    busy.remove()


def test_what_reopen_raises_is_a_reconnect_error():
    """With the type, and the cause."""

    def fail(name):
        raise ConnectionError("nobody answers")

    with_failure = snapshot.reconnector(Special, save=name_of, reopen=fail)
    data = snapshot.dumps(Special("a"))
    with_failure.remove()
    with pytest.raises(ReconnectError, match=r"a .*Special cannot be opened again \(nobody answers\)") as caught:
        snapshot.loads(data)
    assert isinstance(caught.value.__cause__, ConnectionError)
    snapshot.reconnector(Special, save=name_of, reopen=fail).remove()


def test_the_functions_travel_and_are_registered_where_it_is_loaded(devices):
    """The next snapshot of the loading process can save it again."""
    data = snapshot.dumps(Device("a"))
    devices.remove()
    device = snapshot.loads(data)
    assert snapshot.loads(snapshot.dumps(device)).name == "a"
    snapshot.reconnector(Device, save=name_of, reopen=Device).remove()  # what the load registered


def test_a_database_is_opened_again(tmp_path):
    """As the documentation shows."""

    def path_of(connection):
        if connection.in_transaction:
            raise ValueError("commit before the snapshot")
        return connection.execute("PRAGMA database_list").fetchone()[2]

    databases = snapshot.reconnector(sqlite3.Connection, save=path_of, reopen=sqlite3.connect)
    connection = sqlite3.connect(tmp_path / "db")
    connection.execute("CREATE TABLE t (x)")
    data = snapshot.dumps(connection)
    connection.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(UnsaveableError, match="commit before the snapshot"):
        snapshot.dumps(connection)
    connection.commit()
    restored = snapshot.loads(data)
    assert restored.execute("SELECT x FROM t").fetchall() == [(1,)]
    databases.remove()
    connection.close(), restored.close()


@pytest.mark.parametrize(("kind", "save", "reopen"), [("x", len, len), (int, None, len), (int, len, 5)])
def test_a_reconnector_is_made_of_a_type_and_two_functions(kind, save, reopen):
    """TypeError for anything else."""
    with pytest.raises(TypeError):
        snapshot.reconnector(kind, save=save, reopen=reopen)
