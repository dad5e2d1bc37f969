"""Runs whose steps leave a line each in a file, so that what was done can be counted from outside."""

import os
import time

from stackful import durable


def note(text):
    """One line, whole, whoever else writes at the same time."""
    file = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(file, f"{text} {os.getpid()}\n".encode())
    os.close(file)


def effect(name, number, seconds):
    note(f"{name} {number} begins")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.005)
    note(f"{name} {number}")
    return number


@durable.run
def count(name, steps, seconds=0.0):
    total = 0
    for number in range(steps):
        total += durable.step(effect, name, number, seconds)
    return total


@durable.run
def nap(name, times, seconds):
    for number in range(times):
        durable.step(effect, name, number, 0.0)
        durable.sleep(seconds)
    return times


@durable.run
def long_step(name, seconds):
    return [
        durable.step(effect, name, 0, 0.0),
        durable.step(effect, name, 1, seconds),
        durable.step(effect, name, 2, 0.0),
    ]


@durable.run
def timed(name, seconds):
    return durable.step(effect, name, 0, seconds, timeout=60)


@durable.run
def heavy(name, steps, seconds):
    """Its state is large."""
    total = 0
    for number in range(steps):
        ballast = os.urandom(20_000)
        total += durable.step(effect, name, number, seconds)
        assert len(ballast) == 20_000
    return total


@durable.run
def patient(name):
    durable.step(effect, name, 0, 0.0)
    durable.wait_signal("go")
    return "went"
