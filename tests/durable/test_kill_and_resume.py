"""A run that is killed at any moment goes on from its last checkpoint, and nothing is lost."""

import random
import signal
import sqlite3
import subprocess
import time

import pytest

from durable.commands import kill

KILLS_EACH = 13  # times four scripts: more than fifty

PROGRAMS = {
    # Recursion, evaluation stacks half filled, a large heap: the kill often comes while a checkpoint is written.
    "explicit": (
        (),
        """
        from stackful import checkpoint
        ballast = [str(i) for i in range(20_000)]
        def busy():
            return sum(i * i % 7 for i in range(4_000))
        def walk(depth, path):
            if depth:
                return [0] + [*walk(depth - 1, path + "l")] + [busy() % 3] + [*walk(depth - 1, path + "r")]
            checkpoint()
            print(path, busy(), flush=True)
            return [len(path)]
        print(sum(walk(8, "")), len(ballast))
        """,
    ),
    # No call of checkpoint(); output stays in a buffer; the random generator and a dict's iterator go on.
    "timed": (
        ("--every", "0.03"),
        """
        import random
        random.seed(4)
        words = {f"word{i}": [] for i in range(60)}
        total = 0
        for turn in range(10):
            for word, numbers in words.items():
                for _ in range(4000):
                    total += random.random()
                numbers.append(total)
                print(turn, word, sum(numbers), total)
        print(len(words), total, random.random())
        """,
    ),
    # Classes of the script, try, with, finally, a generator held in a variable, closures.
    "structured": (
        (),
        """
        import contextlib, stackful
        class Ledger:
            def __init__(self): self.rows, self.open = [], 0
            @contextlib.contextmanager
            def entry(self, name):
                self.open += 1
                try:
                    yield name
                finally:
                    self.open -= 1
                    self.rows.append(name)
        def numbers():
            for i in range(10_000): yield i * i
        def counter():
            count = 0
            def more():
                nonlocal count
                count += 1
                return count
            return more
        ledger, squares, more = Ledger(), numbers(), counter()
        for step in range(300):
            try:
                with ledger.entry(f"step {step}"):
                    sum(i * i for i in range(3_000))
                    stackful.checkpoint()
                    if next(squares) % 3 == 0:
                        raise ValueError(step)
            except ValueError as error:
                print("caught", error, end=" ")
            finally:
                print(step, more(), len(ledger.rows), ledger.open, flush=True)
        print(ledger.rows[-1], next(squares))
        """,
    ),
    # Two fibers on the script's own stack, one on top of the other; the inner one calls checkpoint().
    "nested": (
        (),
        """
        from stackful import Fiber, checkpoint, resume, suspend
        def count(n):
            for i in range(n):
                sum(j * j for j in range(3_000))
                checkpoint()
                suspend(i)
        def pairs(n):
            fiber = Fiber(count, n)
            while (i := resume(fiber)) is not None:
                suspend((i, i * i))
        fiber, total = Fiber(pairs, 250), 0
        while (pair := resume(fiber)) is not None:
            total += pair[1]
            print(pair, total, fiber.status, flush=True)
        print(fiber.status)
        """,
    ),
    # Operations of the script, a handler with state, resumptions that wait in the program.
    "effects": (
        (),
        """
        from stackful import checkpoint, effect, handle, perform
        @effect
        def add(n: int) -> int: ...
        @effect
        def twice() -> int: ...
        def body():
            for i in range(250):
                sum(j * j for j in range(3_000))
                checkpoint()
                print(i, total := perform(add, i), flush=True)
            return total + perform(twice)
        counting = add.update(lambda s, n: (s + n, s + n))
        print(handle(lambda: handle(body, twice.ctl(lambda k: [k.resume(1), k.resume(2)])), counting, state=0))
        """,
    ),
    # Coroutines that the script transfers to, from its top level, and that transfer to each other.
    "coroutines": (
        (),
        """
        from stackful import Coroutine, checkpoint, transfer
        def produce():
            for i in range(250):
                sum(j * j for j in range(3_000))
                checkpoint()
                transfer(consumer, i)
            return total
        def consume():
            global total
            while True:
                got = transfer(producer)
                total += got
                print(got, total, flush=True)
        total, producer, consumer = 0, Coroutine(produce), Coroutine(consume)
        transfer(consumer)
        print("over", transfer(Coroutine(lambda: total)))
        """,
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_sigkill_at_random_moments_loses_nothing(commands, name):
    """Pieced together, what the killed attempts printed is the uninterrupted output; every checkpoint can be resumed."""
    options, text = PROGRAMS[name]
    script = commands.script(text)
    expected = commands.python(script).stdout.splitlines()
    chance, kills, patience = random.Random(name), 0, 0.6
    while kills < KILLS_EACH:
        reached, attempt = 0, begin(commands, "run", *options, script)
        while True:
            killed = kill_after(commands, attempt, chance.uniform(0, patience) if kills < KILLS_EACH else None)
            kills, patience = kills + killed, patience * (1 if killed else 0.7)  # whatever the machine's speed
            reached = check_piece(commands, expected, reached)
            check_store(commands)
            if has_finished(commands):  # perhaps just before the kill
                break
            attempt = begin(commands, "resume")
        assert reached == len(expected)
        for file in (commands.folder / ".stackful").glob("runs.db*"):
            file.unlink()


def begin(commands, *args):
    """Start an attempt that prints to fresh files."""
    with open(commands.folder / "output", "w") as output, open(commands.folder / "errors", "w") as errors:
        return commands.begin(*args, stdout=output, stderr=errors)


def kill_after(commands, process, seconds):
    """Kill an attempt some time after its start, but not before there is a checkpoint; whether it was still alive."""
    while process.poll() is None and not has_checkpoint(commands):
        time.sleep(0.02)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        kill(process)
    assert (commands.folder / "errors").read_text() == ""
    assert process.returncode in {0, -signal.SIGKILL}
    return process.returncode != 0


def ask(commands, query):
    """What the store says to a query, if there is a store already."""
    path = commands.folder / ".stackful" / "runs.db"
    if not path.exists():
        return None
    database = sqlite3.connect(path, timeout=60)
    try:
        return database.execute(query).fetchone()[0]
    except sqlite3.OperationalError:  # not set up yet
        return None
    finally:
        database.close()


def has_checkpoint(commands):
    return bool(ask(commands, "SELECT count(*) FROM checkpoints")) or has_finished(commands)


def has_finished(commands):
    return ask(commands, "SELECT count(*) FROM runs WHERE status = 'finished'") == 1


def check_piece(commands, expected, reached):
    """What an attempt printed continues the output without a gap; how far it came."""
    piece = (commands.folder / "output").read_text().splitlines(keepends=True)
    lines = [line[:-1] for line in piece if line.endswith("\n")]
    if not lines:
        return reached
    starts = [i for i in range(reached + 1) if expected[i : i + len(lines)] == lines]
    assert starts, f"a gap, or other output, after line {reached}: {lines[:3]}"
    return max(reached, starts[-1] + len(lines))


def check_store(commands):
    """The database is whole."""
    assert ask(commands, "PRAGMA integrity_check") == "ok"


COUNTER = """
    import os, signal, stackful
    total = 0
    for i in range(6):
        total += i
        print(i, total)
        stackful.checkpoint()
        if i == 3 and not os.path.exists("killed"):
            open("killed", "w").close()
            os.kill(os.getpid(), signal.{signal})
            while True: pass
    print("sum", total)
"""


@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT", "SIGTERM"])
def test_output_continues_where_it_was(commands, how):
    """What was printed before the checkpoint is not printed again, buffered or not, and nothing of it is lost."""
    script = commands.script(COUNTER.format(signal=how))
    first = commands.stackful("run", script)
    second = commands.stackful("resume")
    assert first.returncode == -signal.Signals[how]
    assert (second.stderr, second.returncode) == ("", 0)
    assert first.stdout + second.stdout == commands.python(script).stdout


def test_a_run_is_resumed_by_id_and_by_its_beginning(commands):
    """`resume` takes an id, or as much of it as is needed; another run stays as it is."""
    script = commands.script(
        "import os, stackful, sys\nif stackful.checkpoint() and len(sys.argv) > 1:\n    print(*sys.argv, flush=True)\n    os._exit(7)\n"
    )
    for name in ("alpha", "beta"):
        assert commands.stackful("run", "--name", name, script, name).returncode == 7
    assert commands.stackful("resume", "al").stdout == "program.py alpha\n"
    assert commands.stackful("resume").stdout == "program.py beta\n"
    assert commands.stackful("resume", "b").returncode == 7


def test_the_surroundings_are_restored(commands):
    """Arguments, working directory, sys.path, recursion limit, changed variables and random numbers are as they were."""
    script = commands.script("""
        import os, random, sys, stackful
        os.mkdir("sub"); os.chdir("sub")
        sys.path.insert(0, os.getcwd()); sys.setrecursionlimit(4321)
        def write(name, text):
            with open(name, "w") as file: file.write(text)
        write("late.py", "class Thing: kind = 'late'")
        os.environ["ADDED"] = "1"; del os.environ["REMOVED"]
        import late
        thing = late.Thing()
        random.seed(1)
        stackful.checkpoint()
        if not os.path.exists("killed"):
            open("killed", "w").close(); os.kill(os.getpid(), 9)
        print(sys.argv, os.getcwd(), sys.path[0], sys.getrecursionlimit(), thing.kind, random.random())
        print(os.environ["ADDED"], "REMOVED" in os.environ, os.environ["OUTER"])
    """)
    commands.environment |= {"REMOVED": "1", "OUTER": "old"}
    commands.stackful("run", script, "--x", "")
    commands.environment["OUTER"] = "new"
    sub = commands.folder / "sub"
    done = commands.stackful("resume", "--store", str(commands.folder / ".stackful/runs.db"), cwd="/")
    number = random.Random(1).random()
    assert done.stdout.splitlines() == [f"['program.py', '--x', ''] {sub} {sub} 4321 late {number}", "1 False new"]


def test_the_main_module_is_restored(commands):
    """Globals, classes, functions and what python itself provides are there, and are one with the suspended frames."""
    script = commands.script("""
        import os, pickle, stackful, sys
        x: int = 1
        class Point:
            instances = []
            def __init__(self): Point.instances.append(self)
        def f(): return point, x
        point = Point()
        def main(local):
            stackful.checkpoint()
            if not os.path.exists("killed"):
                open("killed", "w").close(); os.kill(os.getpid(), 9)
            print(local is point is Point.instances[0] is f()[0], type(local) is Point, Point.__module__)
            main = sys.modules["__main__"]
            print(__name__, __file__, __spec__, main.__annotations__, __loader__.name, main.x)
            print(f.__globals__ is globals(), pickle.loads(pickle.dumps(point)).instances[0] is point)
        main(point)
    """)
    commands.stackful("run", script)
    assert commands.stackful("resume").stdout == commands.python(script).stdout


def test_a_traceback_after_a_resume_is_pythons(commands):
    """The frames of another process's past stand in it like any others."""
    script = commands.script("""
        import os, stackful
        def f(n):
            if n:
                return f(n - 1) + 1
            stackful.checkpoint()
            if not os.path.exists("killed"):
                open("killed", "w").close(); os.kill(os.getpid(), 9)
            return 1 / n
        try:
            f(2)
        except ZeroDivisionError as error:
            raise ValueError(3) from error
    """)
    commands.stackful("run", script)
    resumed, plain = commands.stackful("resume"), commands.python(script)
    assert (resumed.stderr, resumed.returncode) == (plain.stderr, 1)


@pytest.mark.parametrize("text, status", [("sys.exit(5)", 5), ("sys.exit('text')", 1), ("sys.exit()", 0), ("1 / 0", 1)])
def test_a_resumed_scripts_exit_status_passes_through(commands, text, status):
    """SystemExit and errors mean after a resume what they mean before."""
    script = commands.script(
        f"import os, sys, stackful\nif stackful.checkpoint() and len(os.listdir()) < 4:\n    os.mkdir('killed')\n    os.kill(os.getpid(), 9)\n{text}\n"
    )
    (commands.folder / "filler").touch()
    commands.stackful("run", script)
    assert commands.stackful("resume").returncode == status


def test_a_failed_run_can_be_tried_again(commands):
    """A run that an exception ended goes on from its last checkpoint when asked for by name."""
    script = commands.script("""
        import os, stackful
        stackful.checkpoint()
        with open("needed") as file: print(file.read())
    """)
    assert commands.stackful("run", "--name", "r", script).returncode == 1
    (commands.folder / "needed").write_text("now it is there")
    assert commands.stackful("resume").returncode == 67
    assert commands.stackful("resume", "r").stdout == "now it is there\n"


def test_a_resumed_run_goes_on_being_stored(commands):
    """Checkpoints after a resume count on, by the clock too."""
    script = commands.script("""
        import os, time, stackful
        seen = 0
        start = time.monotonic()
        while not os.path.exists("done2"):
            if os.path.exists("again"): os.unlink("again"); os.kill(os.getpid(), 9)
            seen += 1
        print(seen > 0)
    """)
    process = commands.begin("run", "--every", "0.01", script, stdout=-1)
    for _ in range(3):
        seq = newest(commands)
        while newest(commands) <= seq + 2:
            assert process.poll() is None
            time.sleep(0.01)
        (commands.folder / "again").touch()
        assert process.wait(60) == -signal.SIGKILL
        process.stdout.close()
        process = commands.begin("resume", stdout=-1)
    (commands.folder / "done2").touch()
    assert process.communicate(timeout=60)[0] == "True\n"


def newest(commands):
    """The number of the last checkpoint."""
    return ask(commands, "SELECT max(seq) FROM checkpoints") or 0


def test_forked_children_are_not_the_run(commands):
    """A child stores nothing, ends without ending the run, and does not keep the lock when the parent dies."""
    script = commands.script("""
        import os, sys, time, stackful
        stackful.checkpoint()
        child = os.fork()
        if not child:
            assert stackful.checkpoint() is False
            while not os.path.exists("parent died"): time.sleep(0.01)
            sys.exit(5)
        if not os.path.exists("killed"):
            open("killed", "w").close(); os.kill(os.getpid(), 9)
        open("parent died", "w").close()
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """)
    process = commands.begin("run", "--name", "r", script)
    assert process.wait(60) == -signal.SIGKILL
    resumed = commands.stackful("resume")
    assert (resumed.stdout, resumed.stderr) == ("5\n", "")


def test_ctrl_c_while_a_checkpoint_is_written_happens_in_the_script(commands):
    """The script's own except and finally see it, its traceback ends at its own line, and the run stays resumable."""
    script = commands.script("""
        import os, signal, stackful
        class Interrupting:
            def __reduce__(self):
                os.kill(os.getpid(), signal.SIGINT)
                return Interrupting, ()
        def f():
            local = Interrupting()
            try:
                stackful.checkpoint()
            finally:
                print("finally")
        stackful.checkpoint()
        try:
            f()
        except KeyboardInterrupt:
            print("caught")
        f()
    """)
    done = commands.stackful("run", "--name", "r", script)
    assert done.stdout == "finally\ncaught\nfinally\n"
    assert done.stderr.startswith(
        "stackful: interrupted; `stackful resume r` goes on from the last checkpoint\nTraceback"
    )
    assert (
        done.stderr.endswith("    stackful.checkpoint()\nKeyboardInterrupt\n") or "^\nKeyboardInterrupt" in done.stderr
    )
    assert "src/stackful" not in done.stderr
    assert done.returncode == -signal.SIGINT


def test_a_loop_over_stdin_goes_on_with_the_new_one(commands):
    """Stdin is each process's own."""
    script = commands.script("""
        import os, stackful, sys
        for number, line in enumerate(sys.stdin):
            print(number, line, end="")
            stackful.checkpoint()
            if number == 1 and not os.path.exists("killed"):
                os.mkdir("killed"); os.kill(os.getpid(), 9)
    """)
    assert commands.stackful("run", script, input="a\nb\nlost\n").stdout == "0 a\n1 b\n"
    assert commands.stackful("resume", input="c\nd\n").stdout == "2 c\n3 d\n"


def test_a_redirected_stdout_is_restored(commands):
    """What the script put in the place of sys.stdout is there after a resume, with what it holds."""
    script = commands.script("""
        import contextlib, io, os, stackful
        buffer = io.StringIO()
        with contextlib.redirect_stdout(buffer):
            print("before")
            stackful.checkpoint()
            if not os.path.exists("killed"):
                os.mkdir("killed"); os.kill(os.getpid(), 9)
            print("after")
        print(repr(buffer.getvalue()))
    """)
    assert commands.stackful("run", script).returncode == -signal.SIGKILL
    assert commands.stackful("resume").stdout == "'before\\nafter\\n'\n"


def test_a_deep_stack_is_restored(commands):
    """Twenty thousand frames and the recursion limit that they need."""
    script = commands.script("""
        import os, stackful, sys
        sys.setrecursionlimit(50_000)
        def down(n):
            if n:
                return down(n - 1) + 1
            stackful.checkpoint()
            if not os.path.exists("killed"):
                os.mkdir("killed"); os.kill(os.getpid(), 9)
            return 0
        print(down(20_000))
    """)
    assert commands.stackful("run", script).returncode == -signal.SIGKILL
    assert commands.stackful("resume").stdout == "20000\n"
