"""The switch of C stacks alone, on each processor that it is written for: machine/switch.c, compiled and run without Python."""

import shutil
import subprocess
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("machine") / "switch.c"
SOURCES = Path(__file__).parents[2] / "csrc"
CROSS = "aarch64-linux-gnu-gcc"

# Of each machine: how to compile for it, and how to run the outcome here.
MACHINES = {
    "this": (["cc"], []),
    "ucontext": (["cc", "-DSTACKFUL_UCONTEXT"], []),
    "aarch64": ([CROSS, "-static"], ["qemu-aarch64"]),
}


@pytest.mark.no_leakcheck("the program runs in another process")
@pytest.mark.parametrize("optimisation", ["-O0", "-O3"])
@pytest.mark.parametrize("machine", MACHINES)
def test_stacks_are_switched_by_the_rules_of_the_machine(machine, optimisation, tmp_path):
    """Values go back and forth, registers and control words are preserved, the last resumer gets the result, unwinders get to main."""
    compiler, runner = MACHINES[machine]
    needed = [compiler[0], *runner]
    if any(shutil.which(name) is None for name in needed):
        pytest.skip(f"needs {' and '.join(needed)} (Debian: gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, qemu-user)")
    program = tmp_path / "switch"
    flags = [optimisation, "-Wall", "-Wextra", "-Werror", "-funwind-tables", f"-I{SOURCES}"]
    subprocess.run([*compiler, *flags, PROGRAM, "-o", program, "-lm"], check=True)
    done = subprocess.run([*runner, program], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
