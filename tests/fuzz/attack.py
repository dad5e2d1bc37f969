"""Loads changed snapshots and reinstates changed frames, in a process of its own; whoever started it sees how it ends.

    python attack.py BODIES SEED FIRST COUNT FILE

Attack number n of a seed is the same whenever it is made in the same process after the same ones. FILE begins with the number of the
attack at hand (8 bytes), so that a crash leaves it behind; at the end what happened is written behind it, as JSON.

What must hold:  bytes whose seal does not fit are refused with a `SnapshotError`, and nothing of them is unpickled;
                 bytes whose seal was made anew load, or are refused with a `SnapshotError`;
                 a changed state is reinstated, or refused with an exception;
                 whatever was made of them can be looked at, copied, resumed and closed; and nothing ever ends in a signal.
"""

import copy
import faulthandler
import hashlib
import json
import mmap
import os
import pickle
import random
import resource
import signal
import sys
import warnings
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from corpus.points import SCHEDULE
from fuzz import mutations, subjects
from stackful import Fiber, InternalError, SnapshotError, _core, snapshot
from stackful.snapshot.format import HAS_PARTS, Terms, open_sealed, seal
from stackful.snapshot.keys import keys_of
from stackful.snapshot.listing import look

KEY = subjects.KEY
CPU_SECONDS = 0.5  # for one attack; changed numbers make long loops
MEMORY = 3 << 30
RESUMPTIONS = 4

# What a changed pickle could do to the machine is stopped here: that it *can* call such things once its seal is right is no secret.
DANGEROUS = ("os.", "subprocess.", "shutil.", "socket.", "ctypes.", "signal.", "ftplib.", "webbrowser.", "urllib.")
HARMLESS = {"os.listdir", "os.scandir", "os.walk", "os.getxattr"}


class TimeUpError(BaseException):
    """The attack has had its time."""


class Violation(Exception):
    """Something that must hold did not."""


class Watch:
    """The audit hook."""

    def __init__(self):
        self.armed = False
        self.lookups = 0
        self.blocked = 0
        sys.addaudithook(self)

    def __call__(self, event, arguments):
        if not self.armed:
            return
        if event == "pickle.find_class":
            self.lookups += 1
        elif event == "open":
            writes = isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
            if writes and str(arguments[0]) != os.devnull:
                self.blocked += 1
                raise PermissionError("files are not written here")
        elif event.startswith(DANGEROUS) and event not in HARMLESS:
            self.blocked += 1
            raise PermissionError(event)


def time_up(*_):
    raise TimeUpError


def exercise(fiber):
    """Whatever a fiber was made of, it can be used."""
    steps = [repr, lambda f: repr(f.frames), copy.copy, snapshot.dumps, copy.deepcopy]
    others = []
    for step in steps:
        try:
            others.append(step(fiber))
        except Exception as error:
            check_error(error)
    SCHEDULE.arm(everywhere=True)
    for one in [*(other for other in others if isinstance(other, Fiber)), fiber]:
        try:
            for turn in range(RESUMPTIONS):
                if one.status == "suspended":
                    one.resume(None if turn == 0 and not one.frames else turn)
            one.close()
        except Exception as error:
            check_error(error)
    SCHEDULE.disarm()


def check_error(error):
    """Errors are welcome, but for those that mean a fault of the core."""
    if isinstance(error, (SystemError, InternalError)) and not isinstance(error.__cause__, ValueError):
        raise Violation(f"{type(error).__name__}: {error}") from error


class Attacker:
    """All that the attacks of one process have in common."""

    def __init__(self, bodies, seed):
        self.seed = seed
        self.bodies = bodies
        self.sealed = [seal(body, KEY) for body in bodies]
        payload = snapshot._pickle([subjects.Payload(), *range(50)])
        self.traps = [
            seal(payload, KEY),
            seal(payload, None),
            seal(payload, KEY, Terms("run", 7)),
            seal(payload, KEY, Terms(None, None, 1)),
        ]
        self.blobs, self.parts, self.told_by_base = subjects.make_blobs()
        self.heads = [*self.sealed, *self.traps, *self.parts, *self.told_by_base]
        self.fibers, self.states = subjects.make_states()
        self.generators = subjects.generators()
        self.generator_states = [_core.capture_generator(generator) for generator in self.generators]
        self.counts = Counter()
        self.watch = Watch()
        self.random = None

    def attack(self, index):
        """Attack number `index`."""
        self.random = random.Random(f"{self.seed}:{index}")
        kind = self.random.choices(list(KINDS), [weight for weight, _ in KINDS.values()])[0]
        signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)
        self.watch.armed = True
        try:
            outcome = KINDS[kind][1](self)
        except TimeUpError:
            outcome = "time up"
        except Violation:
            raise
        except Exception as error:
            outcome = f"refused: {type(error).__name__}"
        except BaseException as error:
            outcome = f"raised: {type(error).__name__}"
        try:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        except TimeUpError:  # just before it was switched off
            outcome = "time up"
        self.watch.armed = False
        self.counts[f"{kind}: {outcome}"] += 1

    def pick(self, things):
        return things[self.random.randrange(len(things))]

    def altered(self):
        """Bytes are changed, the seal is not."""
        original = self.pick(self.traps if self.random.random() < 0.8 else self.sealed)
        data = mutations.changed_bytes(self.random, original, self.pick(self.sealed))
        key = self.pick((KEY, KEY, None, b"other")) if data in (*self.traps, *self.sealed) else self.pick((KEY, None))
        if data in (*self.traps, *self.sealed) and key in (KEY, None):
            return "unchanged"
        self.watch.lookups = subjects.Payload.fired = 0  # a head that was sealed anew may have been good enough
        try:
            snapshot.loads(data, key=key)
        except SnapshotError as error:
            outcome = f"refused: {type(error).__name__}"
        else:
            raise Violation(f"these bytes were accepted with key {key}: {data!r}")
        if self.watch.lookups or subjects.Payload.fired:
            raise Violation(f"something of these bytes was unpickled: {data!r}")
        return outcome

    def load(self, body):
        """Load a body with a seal that fits, and use what comes of it."""
        try:
            value = snapshot.loads(seal(body, KEY), key=KEY, allow=self.pick((None, snapshot.EVERYTHING)))
        except SnapshotError as error:
            return self.refused(error)
        return self.used(value)

    def refused(self, error):
        """A refusal is no fault of the core."""
        if isinstance(error.__cause__, SystemError):
            check_error(error.__cause__)
        return f"refused: {type(error).__name__}"

    def used(self, value):
        """What was made of changed bytes can be used."""
        if isinstance(value, Fiber):
            exercise(value)
            return "used"
        return "something else"

    def resealed_head(self):
        """All before the body, or anything else, is changed, and the seal is made anew; looking at it calls nothing."""
        data = self.pick(self.heads)[:-32]
        at = self.random.choice((48, 160, len(data)))
        data = mutations.changed_bytes(self.random, data[:at], self.pick(self.heads)[:at]) + data[at:]
        data += keys_of(KEY).newest.mac([data])
        self.watch.lookups = 0
        try:
            list(look(data, key=self.pick((None, KEY)), blobs=self.pick((None, self.blobs))).instructions())
        except SnapshotError:
            pass
        if self.watch.lookups:
            raise Violation(f"looking at these bytes has looked up a name: {data!r}")
        try:
            return self.used(snapshot.loads(data, key=KEY, blobs=self.pick((None, snapshot.History(self.blobs)))))
        except SnapshotError as error:
            return self.refused(error)

    def resealed_parts(self):
        """The table of parts, or a blob that it tells of, is changed, and all digests and the seal are made anew."""
        body = bytes(open_sealed(self.pick(self.parts), keys_of(KEY)).body)
        blobs = snapshot.MemoryBlobs()
        blobs.data.update(self.blobs.data)
        old = self.pick(list(blobs.data))
        if self.random.random() < 0.5 and old in body:
            blob = mutations.changed_bytes(self.random, blobs.data[old], self.pick(list(blobs.data.values())))
            digest = hashlib.sha256(blob).digest()
            blobs.put(digest, blob)
            body = body.replace(old, digest)
        else:
            body = mutations.changed_bytes(self.random, body[:100], body) + body[100:]
        try:
            return self.used(snapshot.loads(seal(body, KEY, flags=HAS_PARTS), key=KEY, blobs=blobs))
        except SnapshotError as error:
            return self.refused(error)

    def resealed_bytes(self):
        return self.load(mutations.changed_bytes(self.random, self.pick(self.bodies), self.pick(self.bodies)))

    def resealed_operations(self):
        return self.load(mutations.changed_operations(self.random, self.pick(self.bodies), self.pick(self.bodies)))

    def changed_state(self):
        state = mutations.changed_state(self.random, self.pick(self.states), self.states)
        fiber = _core.reinstate(_core.blank(Fiber), state)
        exercise(fiber)
        return "used"

    def changed_generator(self):
        at = self.random.randrange(len(self.generator_states))
        state = mutations.changed_generator_state(self.random, self.generator_states[at])
        generator = _core.blank_generator(self.generator_states[at][0], type(self.generators[at]))
        _core.reinstate_generator(generator, state)
        repr((generator, generator.gi_frame))
        for value in (None, 1, 2):
            generator.send(value)
        return "used"


KINDS = {
    "altered, seal as it was": (3, Attacker.altered),
    "bytes changed, sealed anew": (2, Attacker.resealed_bytes),
    "operations changed, sealed anew": (3, Attacker.resealed_operations),
    "head changed, sealed anew": (1, Attacker.resealed_head),
    "parts or blobs changed, sealed anew": (1, Attacker.resealed_parts),
    "state changed": (3, Attacker.changed_state),
    "generator's state changed": (1, Attacker.changed_generator),
}


def main(bodies, seed, first, count, path):
    faulthandler.enable()
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda unraisable: None
    if "libasan" not in os.environ.get("LD_PRELOAD", ""):  # whose shadow memory takes all addresses
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGVTALRM, time_up)
    with open(bodies, "rb") as file:
        attacker = Attacker(pickle.load(file), seed)
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 8) as at:
        for index in range(int(first), int(first) + int(count)):
            at[:] = index.to_bytes(8, "little")
            attacker.attack(index)
        file.seek(8)
        file.write(json.dumps({**attacker.counts, "dangerous calls stopped": attacker.watch.blocked}).encode())
    os._exit(0)  # what the attacks left behind has had its turn


if __name__ == "__main__":
    main(*sys.argv[1:])
