"""Builds the extension `stackful._core`; everything else stands in pyproject.toml.

Switches, all off by default, read from the environment:
    STACKFUL_DEBUG=1     no optimisation, debug symbols, assertions and segment checks on
    STACKFUL_SANITIZE=1  address and undefined-behaviour sanitisers (preload gcc's libasan to run it)
    STACKFUL_WERROR=1    warnings are errors
    STACKFUL_LTO=0       no link-time optimisation (on by default where the compiler takes it)
"""

import os
import platform
import sys
import sysconfig
import tempfile
from glob import glob
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

INCLUDE = Path(sysconfig.get_path("include"))

WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Werror=implicit-function-declaration",
    "-Wno-unused-parameter",  # CPython dictates the signatures of slots and methods
    "-Wno-missing-field-initializers",  # {NULL} ends CPython's tables
]


def is_on(switch: str) -> bool:
    return os.environ.get(switch, "") not in {"", "0"}


def compile_flags() -> list[str]:
    if sys.platform == "win32":
        return ["/O2", "/std:c11", "/I", str(INCLUDE / "internal")]
    # Without vectors of two words: the interpreter has just written one half of what they would load at once.
    flags = ["-O3", "-fno-tree-slp-vectorize", "-fvisibility=hidden", *WARNINGS]
    # CPython's headers are not ours to mend: -isystem keeps their warnings out of our build.
    flags += ["-isystem", str(INCLUDE), "-isystem", str(INCLUDE / "internal")]
    # Debian's headers of debug builds are links to those of the release, beside whose pyconfig.h gcc would stay.
    flags += ["-include", sysconfig.get_config_h_filename()]
    # Whether the interpreter checks its own assertions is not for the switches below to say.
    asserts = "-DNDEBUG" not in (sysconfig.get_config_var("CFLAGS") or "").split()
    flags += [f"-DINTERPRETER_ASSERTS={asserts:d}"]
    if is_on("STACKFUL_DEBUG"):
        flags += ["-O0", "-g", "-UNDEBUG"]
    if is_on("STACKFUL_SANITIZE"):
        flags += ["-O1", "-g", "-UNDEBUG", "-fno-omit-frame-pointer"]
    if is_on("STACKFUL_WERROR"):
        flags += ["-Werror"]
    return flags


def instrument_flags() -> list[str]:
    """Flags that the compiler and the linker must both see."""
    return ["-fsanitize=address,undefined"] if is_on("STACKFUL_SANITIZE") else []


def refuse_other_interpreters() -> None:
    if platform.python_implementation() != "CPython":
        sys.exit(f"stackful works on CPython's own frames; this is {platform.python_implementation()}")
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        sys.exit("stackful does not support free-threaded builds of CPython yet")
    if not (INCLUDE / "internal" / "pycore_frame.h").exists():
        sys.exit(
            f"stackful is compiled against CPython's headers, and {INCLUDE}/internal is missing: "
            "install the headers of this Python (a package named like python3-dev)"
        )


class BuildCore(build_ext):
    """build_ext that adds -flto where it works, and rebuilds when the flags have changed."""

    def build_extensions(self) -> None:
        refuse_other_interpreters()
        extension = self.extensions[0]
        if self.wants_lto():
            extension.extra_compile_args.append("-flto")
            extension.extra_link_args += ["-flto", "-O3"]
        # File times tell of changed sources, not of changed flags: those are kept beside the objects.
        stamp = Path(self.build_temp) / "flags.txt"
        flags = " ".join(extension.extra_compile_args)
        if not stamp.exists() or stamp.read_text() != flags:
            self.force = True
        super().build_extensions()
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(flags)

    def wants_lto(self) -> bool:
        if os.environ.get("STACKFUL_LTO") == "0" or is_on("STACKFUL_DEBUG") or is_on("STACKFUL_SANITIZE"):
            return False
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text("int probe(void) { return 0; }\n")
            try:
                objects = self.compiler.compile([str(source)], output_dir=folder, extra_postargs=["-flto"])
                self.compiler.link_shared_object(objects, str(Path(folder, "probe.so")), extra_postargs=["-flto"])
            except Exception:  # noqa: BLE001 - whatever the tool chain says, the answer is "not here"
                return False
        return True


setup(
    ext_modules=[
        Extension(
            "stackful._core",
            sources=sorted(glob("csrc/*.c")),  # noqa: PTH207 - setuptools wants relative strings
            depends=sorted(glob("csrc/**/*.h", recursive=True)),  # noqa: PTH207
            include_dirs=["csrc"],
            extra_compile_args=compile_flags() + instrument_flags(),
            extra_link_args=instrument_flags(),
        )
    ],
    cmdclass={"build_ext": BuildCore},
)
