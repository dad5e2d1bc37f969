"""Runs for tests, in a module that every process imports. What they do to the world is a line in a file each."""

import asyncio
import os
import random
import sqlite3
import time
from pathlib import Path

from stackful import checkpoint, durable, suspend
from stackful.durable import aio
from stackful.durable.connections import current_engine

LOG = Path(os.environ.get("EFFECTS", "effects.log"))


def effect(text):
    """Something that cannot be undone: a line, written at once and whole."""
    file = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, f"{text}\n".encode())
    os.close(file)
    return len(text)


def effects():
    """What was done, in order."""
    return LOG.read_text().splitlines() if LOG.exists() else []


@durable.run
def order(item, steps=3):
    """Steps alone, with a loop, a closure and a random number between them."""
    sizes = []
    lucky = random.random()
    for number in range(steps):
        sizes.append(durable.step(effect, f"{item} {number}"))
    return len(sizes), lucky == lucky


def _write(connection, text):
    connection.execute("CREATE TABLE IF NOT EXISTS notes (text TEXT)")
    mark = "%s" if hasattr(connection, "pgconn") else "?"
    connection.execute(f"INSERT INTO notes VALUES ({mark})", [text])
    return text


@durable.run
def child(name):
    """A run that another one starts."""
    durable.step(effect, f"child {name}")
    return f"child of {name}"


@durable.run
def everything(name):
    """One of each: step, child, transaction, sleep, signal, attributes, finally."""
    try:
        durable.step(effect, f"{name} begins")
        started = durable.start(child, name)
        durable.transaction(_write, name)
        durable.set_attributes(stage="asleep")
        durable.sleep(0.02)
        approval = durable.wait_signal("approval")
        durable.step(effect, f"{name} was approved by {approval['by']}")
        return durable.gather(started)[0]
    finally:
        durable.step(effect, f"{name} ends")


@durable.run
def sleeper(seconds):
    """A run that mostly sleeps."""
    durable.sleep(seconds)
    return "slept"


@durable.run
def cleaner():
    """Waits for ever, and has something to do when it is ended."""
    try:
        durable.wait_signal("never")
    finally:
        durable.step(effect, "cleaned up")


def cancelling(transaction=None):
    """Something is done, and meanwhile somebody asks for the run's end."""
    durable.cancel(durable.current_step().run)
    return "the receipt"


@durable.run
def refunding(operation):
    """Undoes what was done, also when it hears of its end before it gets the receipt."""
    receipt = None
    try:
        receipt = getattr(durable, operation)(cancelling)
        durable.step(effect, "sent")
    except durable.RunCancelled as end:
        for receipt in end.recorded:
            durable.step(effect, f"paid back for {receipt}")
        raise


@durable.run
async def refunding_async(operation):
    """The same."""
    try:
        await getattr(aio, operation)(cancelling)
    except durable.RunCancelled as end:
        await aio.step(effect, f"paid back for {end.recorded[0]}")
        raise


@durable.run
def waiter(name, timeout=None):
    """Waits for one signal."""
    return durable.wait_signal(name, timeout)


def statuses():
    """Of all runs in the store that this process has open."""
    return [run.status.value for run in current_engine().runs()]


@durable.run
def onlooker():
    """Looks at the store as soon as it has come back to life."""
    durable.wait_signal("go")
    return durable.step(statuses)


@durable.run
def listener(count):
    """Waits for several."""
    return [durable.wait_signal("s") for _ in range(count)]


@durable.run
def failing():
    """Fails after a step."""
    durable.step(effect, "before")
    if not os.path.exists("repaired"):
        raise ValueError("it is broken")
    durable.step(effect, "after")
    return "repaired"


def flaky(until):
    """Raises as long as it was not tried often enough."""
    attempt = durable.current_step().attempt
    effect(f"attempt {attempt} of {durable.current_step().key}")
    if attempt < until:
        raise ConnectionError(f"attempt {attempt}")
    return attempt


@durable.run
def retrying(until, retries):
    """A step that needs several attempts."""
    return durable.step(flaky, until, retries=retries, backoff=0.01)


@durable.run
def starts_twice():
    """The same key, twice."""
    first, second = durable.start(waiter, "go", key="k"), durable.start(waiter, "go", key="k")
    durable.send(first, "go", 7)
    return first == second, second.result()


@durable.run
async def async_starts_twice():
    """The same, awaited."""
    first, second = await aio.start(waiter, "go", key="k"), await aio.start(waiter, "go", key="k")
    await aio.send(first, "go", 7)
    return first == second, await aio.result(second)


@durable.run
def sends(other, count):
    """Tells another run something."""
    for number in range(count):
        durable.send(other, "s", number)


@durable.run
def family(*names):
    """A parent of several, of which those called "bad" fail."""
    try:
        return durable.gather([durable.start(member, name) for name in names])
    except durable.RunFailedError as error:
        return str(error.__cause__)


@durable.run
def member(name):
    """A child that fails, ends, or waits."""
    try:
        if name == "bad":
            raise ValueError("bad child")
        if name == "slow":
            durable.sleep(1000)
        return name
    finally:
        durable.step(effect, f"{name} is over")


async def fetch(value, seconds=0.01):
    """A coroutine function as a step."""
    await asyncio.sleep(seconds)
    return value


@durable.run
def fetching(seconds, timeout=None):
    """A step in the event loop."""
    return durable.step(fetch, "fetched", seconds, timeout=timeout)


@durable.run
def impatient(seconds):
    """A step that blocks longer than it may."""
    return durable.step(time.sleep, seconds, timeout=0.05)


@durable.run
def behind_c():
    """A step within a C call, which cannot be stored."""
    return sorted([2, 1], key=lambda value: durable.step(effect, "never") or value)


@durable.run
def unsaveable():
    """A state that cannot be stored."""
    guard = sqlite3.connect(":memory:")
    guard.close()
    durable.step(effect, "once")
    return guard


@durable.run
def large():
    """A local that is large."""
    table = list(range(100_000))
    durable.step(effect, "large")
    return len(table)


@durable.run(history=True)
def counting(to):
    """A run whose states are kept."""
    total = 0
    for number in range(to):
        got = durable.step(abs, number)
        total += got
    return total


@durable.run
def writes_badly():
    """A transaction whose code does what it may not, and goes on after that."""
    try:
        durable.transaction(lambda connection: connection.execute("COMMIT"))
    except Exception as error:
        return type(error).__name__, str(error)


@durable.run
def rolls_back():
    """A transaction that raises leaves nothing."""
    try:
        durable.transaction(_write_and_raise)
    except ZeroDivisionError:
        durable.step(effect, "rolled back")
    return durable.transaction(_count)


def _write_and_raise(connection):
    _write(connection, "never")
    return 1 / 0


def _count(connection):
    connection.execute("CREATE TABLE IF NOT EXISTS notes (text TEXT)")
    return connection.execute("SELECT count(*) FROM notes").fetchone()[0]


@durable.run
def blocks(seconds):
    """Holds its thread in a step."""
    durable.step(time.sleep, seconds)
    return "done"


@durable.run
def generates():
    """Has a generator with a finally in hand while it waits."""

    def numbers():
        try:
            yield from range(3)
        finally:
            effect("generator closed")

    ballast = os.urandom(10_000)  # large enough to be compressed
    found = []
    for number in numbers():
        durable.sleep(0.01)
        found.append(number)
    return found if ballast else None


@durable.run
def asking():
    """Asks two questions."""
    form = {"how": ["mail", "courier"], "pieces": int, "note": durable.Field(default="none")}
    return durable.ask("How shall we send it?", form), durable.ask("Sure?")


@durable.run
def asks_oddly():
    """A form with what cannot be filled in."""
    return durable.ask("?", {"x": dict})


@durable.run
async def async_everything(name):
    """One of each, awaited."""
    try:
        await aio.step(effect, f"{name} begins")
        fetched = await aio.step(fetch, name)
        started = await aio.start(child, name)
        await aio.transaction(_write, name)
        await aio.set_attributes(stage="asleep")
        await aio.sleep(0.02)
        approval = await aio.wait_signal("approval")
        return fetched, approval, await aio.gather(started), await aio.result(started)
    finally:
        await aio.step(effect, f"{name} ends")


@durable.run
async def async_waiter():
    """Waits, within another coroutine."""
    return await _inner()


async def _inner():
    local = "inner"
    return local, await aio.wait_signal("go")


@durable.run
async def async_retrying(until, retries):
    """A step that needs several attempts."""
    return await aio.step(flaky, until, retries=retries, backoff=0.01)


@durable.run
async def async_wrong():
    """Awaits what only an event loop gives."""
    await asyncio.sleep(0.01)


@durable.run
async def async_sync_step():
    """Takes a step without awaiting it."""
    return durable.step(effect, "never")


@durable.run
def suspends():
    """Suspends as if somebody would resume it."""
    suspend("anybody?")


def wait_in_transaction(connection):
    """Holds a transaction until somebody has let go of it."""
    effect("in transaction")
    while not os.path.exists("let go"):
        time.sleep(0.01)


@durable.run
def slow_transaction():
    """A transaction during which the run is cancelled."""
    try:
        durable.transaction(wait_in_transaction)
        durable.sleep(1000)
    finally:
        durable.step(effect, "after the transaction")


@durable.run
def named_step(name):
    """One step with a name."""
    return durable.step(str, name, name=name)


EXECUTORS = {}


def square(value):
    """To be called elsewhere."""
    return value**2


@durable.run
def elsewhere(where, value):
    """A step in an executor."""
    return durable.step(square, value, executor=EXECUTORS[where])


def its_threads():
    """Finds an executor again."""
    return EXECUTORS["threads"]


@durable.run
def elsewhere_again(value):
    """A step in an executor, with retries."""
    return durable.step(square, value, executor=its_threads, retries=1, backoff=0.01)


@durable.run
def checkpoints():
    """Stored without a step."""
    return checkpoint()


def hold():
    """Blocks when it is called first."""
    effect("held")
    if effects().count("held") == 1:
        time.sleep(1000)
    return "done"


@durable.run
def held():
    """Its second step holds the process that comes to it first."""
    durable.step(effect, "first")
    return durable.step(hold)
