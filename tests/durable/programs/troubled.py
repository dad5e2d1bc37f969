"""Runs that are in the middle of something when trouble comes."""

import os
import time
from pathlib import Path

from stackful import durable


@durable.run
def tidy(seconds):
    """Takes its time to clean up when it is cancelled."""
    try:
        durable.wait_signal("never")
    finally:
        durable.sleep(seconds)


@durable.run
def stubborn():
    """Waits for something else when it is cancelled."""
    try:
        durable.wait_signal("never")
    finally:
        durable.wait_signal("more")


@durable.run
def booking():
    """A transaction, and a step after it whatever came of it."""
    try:
        return durable.transaction(lambda connection: connection.execute("SELECT 1").fetchone())
    finally:
        durable.step(str, "tidy")


@durable.run
def hears():
    """Takes a signal, then a step that the store refuses, then looks whether there is another signal."""
    first = durable.wait_signal("s")
    try:
        durable.step(str, name="refused")
    except OverflowError:
        pass
    try:
        return first, durable.wait_signal("s", timeout=0)
    except TimeoutError:
        return first, None


@durable.run
def swells(size):
    """Its state is as large as is wanted."""
    ballast = os.urandom(size)
    try:
        durable.step(str, "large")
    finally:
        del ballast
    return "small again"


@durable.run
def grows(steps, size):
    """Steps, with a state of this size."""
    ballast = os.urandom(size)
    for number in range(steps):
        durable.step(abs, number)
    return len(ballast)


@durable.run
def naps(seconds):
    """Sleeps, and tells for how long it was."""
    begin = time.time()
    durable.sleep(seconds)
    return time.time() - begin


@durable.run
def hears_all(count):
    """What it was told, in order."""
    return [durable.wait_signal("s") for _ in range(count)]


@durable.run
def gets(value):
    """Gives back what it was given."""
    return value


def hold():
    """Takes its time, until it may go on."""
    Path("held").touch()
    for _ in range(3000):
        if Path("go").exists():
            return "done"
        time.sleep(0.01)
    raise TimeoutError("nobody let it go on")


@durable.run
def holds():
    """Is in a step."""
    return durable.step(hold)


@durable.run
def tells(other, count):
    """Sends signals."""
    for number in range(count):
        durable.send(other, "s", number)
    return "told"


def mark():
    """Leaves a mark."""
    with Path("marks").open("a") as file:
        file.write("m")


@durable.run
def marks():
    """Waits for a step in another thread, and then leaves a mark."""
    held = durable.step(hold, timeout=60)
    durable.step(mark)
    return held
