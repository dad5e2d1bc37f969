"""Other interpreters of this machine that have the core built for them: by name on the path, or under pyenv."""

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import stackful

ROOT = Path(__file__).parents[2]


class Interpreter(NamedTuple):
    """A version, its executable, and the folder that has the package for it."""

    version: tuple[int, int]
    python: str
    package: str

    def __str__(self) -> str:
        return "{}.{}".format(*self.version)


def _executables(minor: int) -> list[str]:
    found = shutil.which(f"python3.{minor}")
    pyenv = sorted((Path.home() / ".pyenv" / "versions").glob(f"3.{minor}.*/bin/python3"))
    return [*([found] if found else []), *map(str, pyenv)]


def _packages(minor: int) -> list[str]:
    """The folder in use, the sources, and where tools/check builds."""
    built = ROOT / "build" / f"check-release-3.{minor}" / "lib"
    return [str(Path(stackful.__file__).parents[1]), str(ROOT / "src"), str(built)]


@cache
def others() -> list[Interpreter]:
    """One interpreter of each other minor version."""
    found = []
    for minor in range(11, 16):
        if minor == sys.version_info[1]:
            continue
        for python in _executables(minor):
            usable = [package for package in _packages(minor) if _works(python, package)]
            if usable:
                found.append(Interpreter((3, minor), python, usable[0]))
                break
    return found


def _works(python: str, package: str) -> bool:
    command = [python, "-c", f"import sys; sys.path.insert(0, {package!r}); import stackful.snapshot"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def this() -> Interpreter:
    """The one that runs the tests."""
    return Interpreter(sys.version_info[:2], sys.executable, str(Path(stackful.__file__).parents[1]))
