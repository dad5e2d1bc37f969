"""`stackful completion`: what shells ask for."""

import os
import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.no_leakcheck("the programs run in other processes")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_own_words(commands, shell):
    """A script for the shell, which asks this program for what can follow."""
    done = commands.stackful("completion", shell)
    assert done.returncode == 0
    assert f"_STACKFUL_COMPLETE={shell}_complete" in done.stdout


def test_a_shell_that_is_not_known_is_named(commands):
    """And the ones that are."""
    commands.environment["SHELL"] = "/bin/odd"
    done = commands.stackful("completion")
    assert done.returncode == 64
    assert "'odd': name bash, zsh or fish" in done.stderr


def test_commands_are_completed(commands):
    """What the shell's script asks for: the commands that begin so."""
    commands.environment |= {"_STACKFUL_COMPLETE": "bash_complete", "COMP_WORDS": "stackful s", "COMP_CWORD": "1"}
    assert {line.partition(",")[2] for line in commands.stackful().stdout.split()} == {"serve", "show", "signal"}


def test_runs_are_completed(commands):
    """Their ids, in the store that the line names; where there is no store, nothing, and none is made."""

    def offered(line):
        commands.environment |= {
            "_STACKFUL_COMPLETE": "bash_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": str(line.count(" ")),
        }
        done = commands.stackful()
        assert done.stderr == ""
        return [each.partition(",")[2] for each in done.stdout.split()]

    commands.script("pass")
    for name in ("tea-1", "tea-2", "coffee"):
        commands.stackful("run", "--store", "mine.db", "--name", name, "program.py")
    assert offered("stackful show --store mine.db t") == ["tea-2", "tea-1"]
    assert offered("stackful resume --store mine.db c") == ["coffee"]
    assert offered("stackful cancel --store mine.db tea-1 co") == ["coffee"]
    assert offered("stackful show --store program.py t") == []
    assert offered("stackful show t") == []
    assert not (commands.folder / ".stackful").exists()


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_takes_the_script(commands):
    """It defines a completion for the command `stackful`."""
    script = f'eval "$({sys.executable} -m stackful completion bash)"; complete -p stackful'
    done = subprocess.run(
        ["bash", "-c", script], env=commands.environment | {"PATH": os.environ["PATH"]}, capture_output=True, text=True
    )
    assert "complete -o nosort -F _stackful_completion stackful" in done.stdout
