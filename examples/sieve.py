"""The sieve of Eratosthenes as a growing chain of tasks (Doug McIlroy's), stopped in the middle, and continued by another process.

python examples/sieve.py
"""

import pickle
import subprocess
import sys
from pathlib import Path

from stackful.tasks import Channel, Scheduler, pause, spawn


def count(out):
    number = 2
    while True:
        out.send(number)
        number += 1


def sieve(source, sink, prime):
    while True:
        number = source.receive()
        if number % prime:
            sink.send(number)


def primes():
    """Prints three primes at a time; each prime found becomes a task that filters what comes after it."""
    channel = Channel()
    spawn(count, channel)
    while True:
        for _ in range(3):
            prime = channel.receive()
            print(prime, end=" ", flush=True)
            longer = Channel()
            spawn(sieve, channel, longer, prime)
            channel = longer
        pause()  # the scheduler's run() returns, and all tasks stay as they are


def main(file):
    if file.exists():
        scheduler = pickle.loads(file.read_bytes())
    else:
        scheduler = Scheduler()
        scheduler.spawn(primes)
    scheduler.run()
    print(f"({len(scheduler.tasks)} tasks)", flush=True)
    file.write_bytes(pickle.dumps(scheduler))


if __name__ == "__main__":
    if len(sys.argv) == 2:
        import sieve as program  # by its name: the bytes refer to the module's functions

        program.main(Path(sys.argv[1]))
    else:
        saved = Path("sieve.saved")
        for _ in range(3):  # three processes, one after the other
            subprocess.run([sys.executable, __file__, str(saved)], check=True)
        saved.unlink()
