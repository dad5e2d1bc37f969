"""`stackful run script.py` is `python script.py`: what it prints, how it ends, what the script sees."""

import re
import signal
import subprocess
import sys

import pytest

SCRIPTS = {
    "output": """
        import sys
        print("out"); print("err", file=sys.stderr); sys.stdout.write("no newline")
    """,
    "namespace": """
        "the docstring"
        import sys
        x: int = 1
        print({k: type(v).__name__ for k, v in globals().items()}, __name__, __doc__, __spec__, sys.modules["__main__"].__annotations__)
        print(__file__, __loader__.name, __loader__.path, __loader__.get_source("__main__")[:20])
        print(sys.modules["__main__"].__dict__ is globals(), sys.argv, sys.path[0], __builtins__)
        print(vars() is globals(), locals() is globals(), sys._getframe().f_locals is globals())
    """,
    "main guard": """
        def main(): return 7
        if __name__ == "__main__":
            import sys
            sys.exit(main())
    """,
    "neighbour": """
        import neighbour
        print(neighbour.__file__, neighbour.value)
    """,
    "exit none": "import sys; sys.exit()",
    "exit 0": "import sys; sys.exit(0)",
    "exit 3": "import sys; sys.exit(3)",
    "exit 256": "import sys; sys.exit(256 + 4)",
    "exit negative": "import sys; sys.exit(-1)",
    "exit true": "import sys; sys.exit(True)",
    "exit text": "import sys; print('before'); sys.exit('the text')",
    "exit object": "raise SystemExit([1, 2])",
    "exit in function": "def f(n): return f(n - 1) if n else exit(5)\nf(50)",
    "exit in except": "try:\n    1 / 0\nexcept ZeroDivisionError:\n    raise SystemExit(9)",
    "os exit": "import os; os._exit(6)",
    "error": "def f(n):\n    return 1 / n if n == 0 else f(n - 1)\nprint('out')\nf(3)\n",
    "error in module code": "x = [1, 2, 3]\nprint(x[\n  1] + x[9])\n",
    "chained error": """
        def f():
            try:
                {}["key"]
            except KeyError as error:
                raise ValueError("second") from error
        try:
            f()
        finally:
            1 / 0
    """,
    "error group": "raise ExceptionGroup('many', [ValueError(1), TypeError(2)])",
    "error with note": "e = ValueError('x'); e.add_note('a note'); raise e",
    "error raised twice": """
        try:
            int("x")
        except ValueError as caught:
            error = caught
        raise error
    """,
    "recursion": "import sys\nsys.setrecursionlimit(120)\ndef f(): return f() + 1\ntry:\n    f()\nexcept RecursionError as e: print(e)",
    "error in repr": "class E(Exception):\n    def __str__(self): raise ValueError\nraise E",
    "base exception": "class Stop(BaseException): pass\nraise Stop('now')",
    "syntax error": "x = 1\nif x\n    pass\n",
    "bad indent": "def f():\nreturn 1\n",
    "syntax warning": "x = 1\nprint(x is 1)\n",
    "own hook": """
        import sys
        def hook(kind, error, traceback):
            print("hook:", kind.__name__, error, traceback.tb_frame.f_code.co_name, traceback.tb_lineno)
        sys.excepthook = hook
        1 / 0
    """,
    "hook that fails": """
        import sys
        def hook(*info): raise KeyError("in hook")
        sys.excepthook = hook
        1 / 0
    """,
    "hook that exits": """
        import sys
        def hook(*info): sys.exit(8)
        sys.excepthook = hook
        1 / 0
    """,
    "deleted hook": "import sys\ndel sys.excepthook\n1 / 0\n",
    "print_exc": "import traceback\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    traceback.print_exc()\n",
    "print_stack": "import traceback\ndef f(): traceback.print_stack(limit=2)\nf()\n",
    "atexit": """
        import atexit, sys
        atexit.register(print, "registered first")
        atexit.register(lambda: print("registered second", sys.argv))
        def fails(): 1 / 0
        atexit.register(fails)
        sys.exit(4)
    """,
    "atexit after error": "import atexit\natexit.register(print, 'bye')\n1 / 0\n",
    "threads are waited for": """
        import threading, time
        def work(): time.sleep(0.2); print("worked")
        threading.Thread(target=work).start()
        print("main ends")
    """,
    "error in thread": """
        import threading
        thread = threading.Thread(target=lambda: 1 / 0, name="T")
        thread.start(); thread.join()
    """,
    "deleted at exit": """
        class Noisy:
            def __del__(self): print("deleted", __name__)
        noisy = Noisy()
    """,
    "unraisable at exit": """
        class Bad:
            def __del__(self): raise ValueError("in del")
        bad = Bad()
    """,
    "closed stdout": "import sys\nprint('x', flush=True)\nsys.stdout.close()\n",
    "fork": """
        import os
        print("before", flush=True)
        child = os.fork()
        if not child:
            print("child", flush=True); raise SystemExit(3)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """,
    "multiprocessing": """
        import multiprocessing
        def square(n): return n * n
        if __name__ == "__main__":
            for method in ("fork", "spawn"):
                with multiprocessing.get_context(method).Pool(2) as pool:
                    print(pool.map(square, range(5)))
    """,
    "asyncio": "import asyncio\nasync def main(): await asyncio.sleep(0); return 5\nprint(asyncio.run(main()))\n",
    "pickle of own class": """
        import pickle
        class Point:
            def __eq__(self, other): return type(other) is Point
        print(pickle.loads(pickle.dumps(Point())) == Point(), pickle.dumps(Point)[:30])
    """,
    "dataclasses and enums": """
        import dataclasses, enum, typing
        @dataclasses.dataclass
        class Box:
            width: int = 2
            height: "typing.Optional[int]" = None
        class Colour(enum.Enum): RED = 1
        print(Box(), typing.get_type_hints(Box), Colour.RED)
    """,
    "del main": "import sys\ndel sys.modules['__main__']\nprint('still here')\n",
    "inspect": "import inspect\ndef f(): pass\nprint(inspect.getsource(f), inspect.getsourcefile(f))\n",
    "checkpoint in it": "from stackful import checkpoint\nprint(type(checkpoint()))\n1 / 0\n",
}  # fmt: skip


def outcome(done):
    """What a process did; addresses differ from process to process."""
    return done.stdout, re.sub("0x[0-9a-f]+", "0x", done.stderr), done.returncode


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_cannot_tell(commands, name):
    """Output, errors, traceback and exit status are python's, to the byte, with checks and without."""
    script = commands.script(SCRIPTS[name])
    commands.script("value = 42\n", "neighbour.py")
    pythons = outcome(commands.python(script, "a"))
    assert outcome(commands.stackful("run", script, "a")) == pythons
    if name != "namespace":  # there the two names that the checks need are to be seen
        assert outcome(commands.stackful("run", "--every", "1000", script, "a")) == pythons


@pytest.mark.parametrize("path", ["./program.py", "sub/../program.py", "link.py"])
def test_a_scripts_path_is_treated_as_python_does(commands, path):
    """__file__, sys.argv[0] and sys.path[0] come from the path as it was given."""
    commands.script("import sys\nprint(__file__, sys.argv, sys.path[0])\n")
    (commands.folder / "sub").mkdir()
    (commands.folder / "sub" / "real.py").write_text("import sys\nprint(__file__, sys.argv, sys.path[0])\n")
    (commands.folder / "link.py").symlink_to("sub/real.py")
    assert commands.stackful("run", path).stdout == commands.python(path).stdout


ARGUMENTS = ["--every", "3", "-h", "--", "--store=x", "-", "", "a b", "--help", "-x", "ünï"]


def test_arguments_pass_through_untouched(commands):
    """What stands behind the script's name is the script's, options and all."""
    script = commands.script("import sys\nprint(sys.argv)\n")
    assert commands.stackful("run", script, *ARGUMENTS).stdout == commands.python(script, *ARGUMENTS).stdout


def test_a_script_does_not_wait_for_what_it_does_not_use(commands):
    """`stackful run` loads neither a parser for options, nor pathlib, typing and re, nor the snapshots before the first checkpoint."""
    unwanted = {"click", "pathlib", "typing", "re", "pickle", "rich", "stackful.snapshot", "stackful.stackmap"}
    script = commands.script(f"import sys; print(sorted({unwanted!r} & set(sys.modules)))")
    assert commands.stackful("run", script).stdout == commands.python(script).stdout == "[]\n"


def test_stdin_is_the_scripts(commands):
    """A script reads what the process is given."""
    script = commands.script("import sys\nprint(input(), [line for line in sys.stdin], sys.stdin.isatty())\n")
    given = {"input": "one\ntwo\nthree"}
    assert commands.stackful("run", script, **given).stdout == commands.python(script, **given).stdout


def test_an_interpreters_options_apply(commands):
    """-O, -W and -X reach the script as under plain python."""
    script = commands.script(
        "import sys, warnings\nprint(__debug__, sys.flags.dev_mode)\nwarnings.warn('w')\nassert 0\n"
    )
    for options in (["-O"], ["-W", "error"], ["-X", "dev"]):
        ours = commands.python(*options, "-m", "stackful", "run", script)
        pythons = commands.python(*options, script)
        assert (ours.stdout, ours.stderr, ours.returncode) == (pythons.stdout, pythons.stderr, pythons.returncode)


def test_a_reader_that_goes_away_is_reported_as_by_python(commands):
    """BrokenPipeError in the script, or at the last flush, ends the process as python would."""
    for text in ("print('x' * 100_000, flush=True)\n", "print('x')\n"):
        script = commands.script(text)
        results = []
        for command in (["-m", "stackful", "run", script], [script]):
            process = subprocess.Popen(
                [sys.executable, *command], cwd=commands.folder, env=commands.environment,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            process.stdout.close()
            errors = process.stderr.read()
            process.stderr.close()
            results.append((process.wait(), errors))
        assert results[0] == results[1]
        assert "BrokenPipeError" in results[0][1]


@pytest.mark.parametrize("checkpoint", ["", "stackful.checkpoint()"])
def test_ctrl_c_ends_the_process_as_under_python(commands, checkpoint):
    """The script's finally runs, python's traceback is shown, the process dies of SIGINT, and the run can be resumed."""
    script = commands.script(f"""
        import os, signal, stackful
        def wait():
            try:
                os.kill(os.getpid(), signal.SIGINT)
                while True: pass
            finally:
                print("finally")
        {checkpoint}
        wait()
    """)
    ours, pythons = commands.stackful("run", "--name", "r", script), commands.python(script)
    hint = "stackful: interrupted; `stackful resume r` goes on from the last checkpoint\n"
    assert ours.returncode == pythons.returncode == -signal.SIGINT
    assert ours.stdout == pythons.stdout == "finally\n"
    assert ours.stderr.replace(hint, "") == pythons.stderr
    assert (hint in ours.stderr) == bool(checkpoint)


def test_a_script_may_catch_ctrl_c(commands):
    """KeyboardInterrupt that the script handles is nobody else's business."""
    script = commands.script("""
        import os, signal
        try:
            os.kill(os.getpid(), signal.SIGINT)
            while True: pass
        except KeyboardInterrupt:
            print("caught")
    """)
    ours = commands.stackful("run", script)
    assert (ours.stdout, ours.stderr, ours.returncode) == ("caught\n", "", 0)


def test_a_suspend_that_nobody_resumes_is_the_scripts_error(commands):
    """The script runs in a fiber, but is not told: a bare suspend() fails, with a traceback of its own line."""
    script = commands.script("from stackful import suspend\nsuspend(1)\n")
    ours = commands.stackful("run", script)
    assert ours.returncode == 1
    assert ours.stderr.startswith("Traceback (most recent call last):\n  File ")
    assert "FiberError: suspend() outside of any fiber" in ours.stderr


def test_fibers_of_the_script_work_inside_the_run(commands):
    """A script that uses fibers itself runs as under python."""
    script = commands.script("""
        import copy
        from stackful import Fiber, suspend
        def count(n):
            for i in range(n): suspend(i)
        fiber = Fiber(count, 3)
        print(fiber.resume(), fiber.resume(), copy.copy(fiber).resume(), fiber.resume(), fiber.status)
    """)
    assert commands.stackful("run", script).stdout == commands.python(script).stdout == "0 1 2 2 suspended\n"


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("perform(ask)", "stackful.errors.UnhandledError: no handler"),
        ("shift(print)", "stackful.errors.PromptNotFoundError: "),
        ("raise_it(StoreError('my own'))", "stackful.errors.StoreError: my own"),
        ("raise_it(RunNotFoundError('my own'))", "stackful.errors.RunNotFoundError: my own"),
    ],
)
def test_errors_of_stackful_that_the_script_makes_are_shown_with_a_traceback(commands, call, error):
    """Only what goes wrong with the run itself is one message with a status of its own."""
    script = commands.script(f"""
        from stackful import effect, perform, shift
        from stackful.errors import RunNotFoundError, StoreError
        @effect
        def ask() -> None: ...
        def raise_it(error): raise error
        def main(): {call}
        main()
    """)
    done = commands.stackful("run", script, check=False)
    lines = done.stderr.splitlines()
    assert done.returncode == 1
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1].startswith(error)
    assert any(line.endswith("in main") for line in lines)
