"""Begin a computation here, continue it in another process: a suspended fiber is bytes.

Without an argument it begins, stores, and starts a second process; with the name of a file it continues what that holds.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from stackful import Fiber, snapshot, suspend

# Seals the bytes: altered ones are refused before anything is unpickled. A real key is random and kept secret.
KEY = b"known to both processes"


def factorial(number):
    """Plain recursion, interrupted at its deepest point."""
    if number == 0:
        suspend()
        return 1
    return number * factorial(number - 1)


def begin(folder):
    fiber = Fiber(factorial, 20)
    fiber.resume()
    print(f"first process: suspended, {len(fiber.frames)} calls deep", flush=True)
    file = Path(folder, "factorial.snapshot")
    file.write_bytes(snapshot.dumps(fiber, key=KEY))
    subprocess.run([sys.executable, __file__, str(file)], check=True)


def go_on(file):
    fiber = snapshot.loads(Path(file).read_bytes(), key=KEY)
    print(f"second process: {len(fiber.frames)} calls deep, the innermost has {fiber.frames[-1].locals}")
    print(f"second process: the result is {fiber.resume():,}")


def main():
    if len(sys.argv) > 1:
        go_on(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as folder:
            begin(folder)


if __name__ == "__main__":
    main()
