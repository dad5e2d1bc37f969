"""Runs whose states are large: agents whose conversation grows, and others."""

import base64
import hashlib
import os
import random
import signal

from stackful import StoreError, durable

SIZE = 4000


def answer(number):
    """What the model says: as many characters, which nothing makes shorter. `DIE` is the number at which its process is killed."""
    if os.environ.get("DIE") == str(number):
        os.kill(os.getpid(), signal.SIGKILL)
    return base64.b85encode(random.Random(number).randbytes(SIZE * 4 // 5)).decode()


def digest(messages):
    """All that was said, in short."""
    return hashlib.sha256("".join(message["content"] for message in messages).encode()).hexdigest()


def expected(steps):
    """What `converse` returns."""
    return digest([{"content": answer(number)} for number in range(steps)])


def _converse(steps):
    messages = []
    for number in range(steps):
        messages.append({"role": "assistant", "content": durable.step(answer, number)})
    return messages


@durable.run
def converse(steps, waits=False):
    """An agent."""
    messages = _converse(steps)
    if waits:
        durable.wait_signal("go")
    return digest(messages)


@durable.run(history=8)
def remembered(steps, more=0):
    """One whose last states are kept."""
    messages = _converse(steps)
    durable.wait_signal("go")
    for number in range(more):
        messages.append({"role": "assistant", "content": durable.step(answer, steps + number)})
    return digest(messages)


@durable.run
def reading(steps):
    """It looks at one large page after the other, and keeps a line of each."""
    notes, messages = [], _converse(10)
    for number in range(steps):
        page = durable.step(answer, number) + durable.step(answer, -number)
        notes.append(f"{number}: {page[:200]}")
    del page
    durable.wait_signal("go")
    return len(notes), digest(messages)


@durable.run
def recomputing(steps):
    """All of its state is another after each step."""
    random_number = random.Random(1).random
    values = [random_number() for _ in range(4000)]
    for _ in range(steps):
        factor = durable.step(float, 0.9)
        values = [value * factor for value in values]
    durable.wait_signal("go")
    return len(values)


@durable.run
def forgetful():
    """A large state that becomes a small one."""
    messages = _converse(10)
    said = digest(messages)
    messages = None
    durable.step(int)
    durable.step(int)
    durable.wait_signal("go")
    return said


@durable.run(history=4)
def once_large(steps):
    """Of the large states at its beginning no checkpoint is kept at its end."""
    _converse(10)
    durable.wait_signal("go")
    durable.step(int)
    for _ in range(steps):
        durable.step(int)
    return steps


@durable.run
def stubborn(steps):
    """It goes on where the store has not taken a state."""
    messages, refused = [], 0
    for number in range(steps):
        try:
            content = durable.step(answer, number)
        except StoreError:
            refused += 1
            content = answer(number)
        messages.append({"content": content})
    durable.wait_signal("go")
    return digest(messages), refused


def _write(connection, text, fails):
    connection.execute("CREATE TABLE IF NOT EXISTS notes (text TEXT)")
    connection.execute(f"INSERT INTO notes VALUES ('{text}')")
    if fails:
        raise ValueError(text)
    return answer(100)


@durable.run
def writing():
    """Transactions in a large run: one that is rolled back, and one that is not."""
    messages = _converse(10)
    try:
        durable.transaction(_write, "no", True)
    except ValueError:
        messages.append({"content": durable.transaction(_write, "yes", False)})
    durable.wait_signal("go")
    return digest(messages)
