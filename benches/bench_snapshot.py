"""What snapshots cost: time and bytes of suspended frames, of a large array, and of an agent's conversation that grows.

Beside them what comes nearest: dill and cloudpickle, which pickle functions and no frames, and dispatch-py, which pickles generators. Each is really
tried; what does not work says so with its own error. (dispatch-py cannot be installed on 3.13 and later: its C code does not compile there.)
"""

import base64
import hashlib
import importlib
import os
import pickle
import random
import statistics
import tempfile
import time
from pathlib import Path

import ten_functions
from bench_pickle import suspend_at
from measure import Row, expect, interleaved, time_text
from stackful import Fiber, snapshot, suspend

KEY = bytes(range(32))
ARRAY = 100 << 20
STEPS = 100
CHARACTERS = 8_000  # a step: 2,000 tokens of four characters
PAGES = sorted((Path(__file__).parents[1] / "docs").glob("*.md"))


def main():
    """The shape of a durable run: a function, and the stub that waits for a step."""
    number = 1
    return step(number)


def step(number):
    return suspend(number)


def attempt(call):
    """None, or why it does not work."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - whatever it raises is the answer
        return f"does not work: {type(error).__name__}: {str(error).splitlines()[0][:80]}"
    return None


def counting(n):
    """The nearest to a fiber that others may be able to pickle: a suspended generator."""
    yield 0
    yield n


def peers():
    """(name, what it is called with, dumps) of each library that is there, or why it is not."""
    for name, module in (
        ("cloudpickle", "cloudpickle"),
        ("dill", "dill"),
        ("dispatch-py", "dispatch.experimental.durable"),
    ):
        try:
            yield name, importlib.import_module(module), ""
        except Exception as error:  # noqa: BLE001 - not installed, or does not build, or does not load
            yield name, None, f"does not work: {type(error).__name__}: {str(error).splitlines()[0][:80]}"


def beside_frames():
    """What the others say to a suspended generator."""
    found = []
    for name, module, missing in peers():
        is_dispatch = name == "dispatch-py"
        said = missing
        if module is not None:
            generator = (module.durable(counting) if is_dispatch else counting)(3)
            next(generator)
            said = attempt(lambda dumps=pickle.dumps if is_dispatch else module.dumps, held=generator: dumps(held))
        found.append(f"{name} {said or 'works'}")
    return "; ".join(found)


def frames(rounds, number):
    """Ten frames, and the two of a durable run: sealed, bound to a run."""
    deep, two, ten = Fiber(suspend_at, 10), Fiber(main), Fiber(ten_functions.FIRST, 3)
    deep.resume()
    two.resume()
    ten.resume()
    of_ten = snapshot.dumps(ten, key=KEY, run="run", sequence=7)
    data, small = (snapshot.dumps(fiber, key=KEY, run="run", sequence=7) for fiber in (deep, two))
    expect(snapshot.loads(data, key=KEY, run="run", sequence=7).resume(0), 10)
    expect(snapshot.loads(small, key=KEY).resume(5), 5)

    def times(call):
        def turn(n):
            for _ in range(n):
                call()

        return turn

    took = interleaved(
        {
            "dumps": times(lambda: snapshot.dumps(deep, key=KEY, run="run", sequence=7)),
            "loads": times(lambda: snapshot.loads(data, key=KEY, run="run", sequence=7)),
            "ten dumps": times(lambda: snapshot.dumps(ten, key=KEY, run="run", sequence=7)),
            "ten loads": times(lambda: snapshot.loads(of_ten, key=KEY, run="run", sequence=7)),
            "two": times(lambda: snapshot.dumps(two, key=KEY, run="run", sequence=7)),
        },
        number,
        rounds,
    )

    def row(name, key, limit, target, beside=""):
        return Row(name, time_text(took[key]), beside, took[key] / limit, target, took[key] <= limit)

    def size(name, data):
        return Row(name, f"{len(data):,}", "", len(data) / 2048, "≤ 2,048", len(data) <= 2048)

    return [
        row("snapshot of 10 frames, sealed", "dumps", 60e-6, "≤ 60 µs", beside_frames()),
        size("snapshot of 10 frames, bytes", data),
        row("restore of 10 frames", "loads", 60e-6, "≤ 60 µs"),
        row("snapshot of 10 frames of 10 functions, sealed", "ten dumps", 60e-6, "≤ 60 µs"),
        size("snapshot of 10 frames of 10 functions, bytes", of_ten),
        row("restore of 10 frames of 10 functions", "ten loads", 60e-6, "≤ 60 µs"),
        row("snapshot of a run's 2 frames, sealed", "two", 20e-6, "≤ 20 µs"),
    ]


def function_beside_others(rounds, number):
    """A closure, which the others can pickle too."""

    def outer(factor):
        return lambda value: value * factor

    closure = outer(3)
    contenders = {"ours": lambda n: [snapshot.dumps(closure) for _ in range(n)]}
    for name, module, _ in peers():
        if module is not None and hasattr(module, "dumps"):
            contenders[name] = lambda n, dumps=module.dumps: [dumps(closure) for _ in range(n)]
    took = interleaved(contenders, max(20, number // 10), rounds)
    others = ", ".join(f"{name} {time_text(seconds)}" for name, seconds in took.items() if name != "ours")
    best = min((seconds for name, seconds in took.items() if name != "ours"), default=took["ours"])
    return [Row("snapshot of a closure of __main__'s kind", time_text(took["ours"]), others, took["ours"] / best)]


def seconds_of(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def array(rounds):
    """A hundred megabytes to the disk and from there, beside the same bytes as they are; each in turns with the other."""
    numpy = importlib.import_module("numpy")
    state = {"step": 1, "weights": numpy.random.default_rng(1).random(ARRAY // 8)}
    raw = memoryview(state["weights"]).cast("B")
    ways = {
        "theirs": (lambda file: file.write(raw), lambda file: file.read()),
        "ours": (lambda file: snapshot.dump(state, file, key=KEY), lambda file: snapshot.load(file, key=KEY)),
    }
    took = {(name, way): [] for name in ways for way in ("written", "read")}
    for _ in range(max(3, rounds)):
        for name, (write, read) in ways.items():
            with tempfile.TemporaryFile(dir=Path.cwd()) as file:
                took[name, "written"].append(seconds_of(lambda file=file, write=write: synced(file, write)))
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # it is read from the disk
                file.seek(0)
                took[name, "read"].append(seconds_of(lambda file=file, read=read: read(file)))
    digest = seconds_of(lambda: hashlib.sha256(raw))
    return [
        array_row("snapshot of 100 MB of numpy, sealed and synced", took, "written", "", "≥ 0.5"),
        array_row(
            "... restored from the disk", took, "read", f"; SHA-256 alone {ARRAY / digest / 1e6:.0f} MB/s", "≥ 0.5"
        ),
    ]


def synced(file, write):
    write(file)
    file.flush()
    os.fsync(file.fileno())


def array_row(name, took, way, beside, target):
    disk, own = (statistics.median(took[who, way]) for who in ("theirs", "ours"))
    beside = f"the disk alone: {ARRAY / disk / 1e6:.0f} MB/s{beside}"
    return Row(name, f"{ARRAY / own / 1e6:.0f} MB/s", beside, disk / own, target, disk / own >= 0.5)


def conversation(text_of):
    """The state after each of the steps: a message of the model and a longer one of a tool."""
    messages = []
    for number in range(STEPS):
        messages.append({"role": "assistant", "content": text_of(CHARACTERS // 8), "step": number})
        messages.append({"role": "tool", "content": text_of(CHARACTERS * 7 // 8), "tool_call_id": f"call_{number}"})
        yield {"step": number, "messages": messages}


def agent(name, text_of, is_judged):
    """Bytes stored over all steps beside the final state, and what the last steps cost beside the first."""
    blobs, size, took, whole = snapshot.MemoryBlobs(), 0, [], []
    history = snapshot.History(blobs)
    for state in conversation(text_of):
        start = time.perf_counter()
        data = snapshot.dumps(state, key=KEY, run="agent", sequence=state["step"], blobs=history)
        took.append(time.perf_counter() - start)
        whole.append(seconds_of(lambda state=state: snapshot.dumps(state, key=KEY)))
        size += len(data)
    final = len(snapshot.dumps(state, compression="none"))
    compressed = len(snapshot.dumps(state))
    expect(snapshot.loads(data, key=KEY, run="agent", sequence=STEPS - 1, blobs=snapshot.History(blobs)), state)
    stored = size + blobs.size()
    early, late = statistics.median(took[5:25]), statistics.median(took[-20:])
    skeleton = [{**message, "content": None} for message in state["messages"]]
    floor = statistics.median(seconds_of(lambda: pickle.dumps(skeleton, 5)) for _ in range(20))
    return [
        Row(
            f"agent of {STEPS} steps, {name}: bytes stored over all",
            f"{stored:,}",
            f"final state {final:,}, compressed {compressed:,}",
            stored / final,
            "≤ 1.2x" if is_judged else "",
            stored <= 1.2 * final if is_judged else None,
        ),
        Row(
            "... a snapshot near the end",
            time_text(late),
            f"near the start {time_text(early)}; pickle without the texts {time_text(floor)};"
            f" without blobs {time_text(statistics.median(whole[-20:]))}",
            late / early,
        ),
    ]


def prose():
    """Text as it is written: the pages of the documentation, one behind the other, shuffled by paragraphs."""
    paragraphs = [part for page in PAGES for part in page.read_text(encoding="utf-8").split("\n\n")]
    shuffled = random.Random(1)

    def text_of(length):
        parts, size = [], 0
        while size < length:
            parts.append(shuffled.choice(paragraphs))
            size += len(parts[-1])
        return "\n\n".join(parts)[:length]

    return text_of


def benchmark(rounds: int, number: int) -> list[Row]:
    rows = frames(rounds, number) + function_beside_others(rounds, number)
    for measured in (
        lambda: array(rounds),
        lambda: agent("random", lambda length: base64.b85encode(os.urandom(length))[:length].decode(), True),
        lambda: agent("prose", prose(), True),
    ):
        try:
            rows += measured()
        except ImportError as error:
            rows.append(Row("snapshot", "not measured", str(error)))
    return rows
