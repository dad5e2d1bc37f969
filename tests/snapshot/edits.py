"""Programs that are edited while they are suspended: taken in one process, gone on with in another, from files."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import stackful

TAKE = """
import sys
from stackful import Fiber, snapshot
import shop
fiber = Fiber(shop.start)
fiber.resume()
open(sys.argv[1], "wb").write(snapshot.dumps(fiber, code=sys.argv[2]))
"""

GO_ON = """
import json, sys
from stackful import snapshot
data = open(sys.argv[1], "rb").read()
told = []
for policy in ("refuse", "keep", "move"):
    findings = [str(f) for f in snapshot.check_code(data, on_change=policy)]
    try:
        fiber = snapshot.loads(data, on_change=policy)
        import shop
        shop.log.clear()
        answer = None
        for number in range(20):
            if fiber.status == "dead":
                break
            answer = fiber.resume(number)
        told.append([policy, "ran", answer, list(shop.log), findings])
    except Exception as error:
        told.append([policy, type(error).__name__, str(error), getattr(error, "diff", ""), findings])
print(json.dumps(told))
"""


class Told(NamedTuple):
    """What came of going on: ``ran`` with an answer and what was logged since; or an error, its message and the lines in it."""

    what: str
    answer: object
    log: object
    findings: list[str]


def run(program: str, *arguments: object, cwd: Path, python: str = sys.executable, **environment: str) -> str:
    """What a program prints, run by its own interpreter, with the folder's modules."""
    paths = [str(cwd), str(Path(stackful.__file__).parents[1])]
    everything = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    command = [python, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=everything, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def take(folder: Path, source: str, code: str = "reference") -> Path:
    """A snapshot of ``shop.start``, suspended for the first time."""
    (folder / "shop.py").write_text(source)
    run(TAKE, folder / "shop.bin", code, cwd=folder)
    return folder / "shop.bin"


def go_on(folder: Path, source: str) -> dict[str, Told]:
    """What comes of the snapshot with this source, for each policy."""
    (folder / "shop.py").write_text(source)
    return {policy: Told(*rest) for policy, *rest in json.loads(run(GO_ON, folder / "shop.bin", cwd=folder))}
